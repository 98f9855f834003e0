//! Facts in two times beside what a user would otherwise do: a table of SQLite with a row for each version, its valid and
//! its system period, and the indexes that answer each question by one seek.
//!
//! ```sh
//! cargo run --release --no-default-features --features times --bin times -- --versions 100
//! cargo run --release --no-default-features --features times --bin times -- --puts
//! ```
//!
//! The same rows, the same history, the same questions; the answers are compared. Each reader has its keys made and its
//! statements prepared, and one read transaction open. SQLite comes twice: `lean` stores each value once, `covering` has an
//! index with the values for each kind of question. Medians of interleaved rounds.

mod ours;
mod puts;
mod sqlite;

use std::{error::Error, path::Path, path::PathBuf, process::ExitCode, time::Instant};

use clap::Parser;

use crate::{
    ours::Ours,
    sqlite::{Indexes, Sqlite},
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Measures facts in two times beside a table of SQLite
#[derive(Debug, Parser)]
#[command(name = "times")]
struct Args {
    /// Rows
    #[arg(long, default_value_t = 20_000)]
    rows: usize,
    /// Versions of each row that is asked for: as many rows as have 200,000 versions together. The others have one
    #[arg(long, default_value_t = 100)]
    versions: usize,
    /// Questions of each kind in a round
    #[arg(long, default_value_t = 20_000)]
    questions: usize,
    /// Rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Measure puts instead of reads
    #[arg(long)]
    puts: bool,
    /// Folder for the files [default: that for temporary files]
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// What is asked of a row: what held at `valid`, by what was believed at `known`; `None` for now.
#[derive(Clone, Copy, Debug)]
struct Question {
    row: usize,
    valid: Option<i64>,
    known: Option<i64>,
}

/// Whether a commit waits until it is on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Force {
    Yes,
    No,
}

/// A store of versions.
trait Versions {
    /// Asserts a value of each row from now on, in one commit, and returns its moment.
    fn put(&mut self, rows: &[(usize, usize)], force: Force) -> Outcome<i64>;
    /// Brings what was put into its place, before reads are measured.
    fn settle(&mut self) -> Outcome<()>;
    /// Answers each question with the sum of the bytes of the value, in one read transaction.
    fn ask(&mut self, questions: &[Question]) -> Outcome<Vec<u64>>;
    /// The number of rows and the sum of the bytes of their values at a point. Of several ways to find them, way `way`.
    fn scan(&mut self, valid: Option<i64>, known: Option<i64>, way: usize) -> Outcome<(usize, u64)>;
    /// How many ways [`Versions::scan`] knows for such a question.
    fn scan_ways(&self, valid: Option<i64>, known: Option<i64>) -> usize;
}

/// Rows to a commit while loading.
const BATCH: usize = 500;
/// Versions of all rows that are asked for.
const VERSIONS_MAX: usize = 200_000;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("times: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Outcome<()> {
    if args.rows == 0 || args.versions == 0 || args.questions == 0 || args.rounds == 0 {
        return Err("rows, versions, questions and rounds are 1 at least".into());
    }
    let parent = args.folder.clone().unwrap_or_else(std::env::temp_dir);
    let folder = parent.join(format!("llmdb-times-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let done = if args.puts { puts::measure(args, &folder) } else { measure(args, &folder) };
    std::fs::remove_dir_all(&folder)?;
    done
}

/// LLMDB, and SQLite with both kinds of indexes.
fn stores(args: &Args, folder: &Path) -> Outcome<Vec<Box<dyn Versions>>> {
    Ok(vec![
        Box::new(Ours::open(&folder.join("ours.llmdb"), args.rows)?),
        Box::new(Sqlite::open(&folder.join("lean.sqlite"), args.rows, Indexes::Lean)?),
        Box::new(Sqlite::open(&folder.join("covering.sqlite"), args.rows, Indexes::Covering)?),
    ])
}

fn measure(args: &Args, folder: &Path) -> Outcome<()> {
    let mut stores = stores(args, folder)?;
    let hot = args.rows.min(VERSIONS_MAX / args.versions).max(1);
    println!(
        "{} rows, {hot} of them with {} versions; {}; microseconds, medians of {} rounds",
        args.rows,
        args.versions,
        sqlite::version(),
        args.rounds
    );
    let moments =
        stores.iter_mut().map(|store| load(args, hot, &mut **store)).collect::<Outcome<Vec<_>>>()?;
    head("LLMDB");
    for (name, ask) in kinds() {
        measure_reads(args, hot, &mut stores, &moments, (name, ask))?;
    }
    for (name, ask) in kinds() {
        measure_scans(args, &mut stores, &moments, (name, ask))?;
    }
    Ok(())
}

/// A kind of question: the point that is asked for, from a moment.
type Ask = fn(i64) -> (Option<i64>, Option<i64>);

fn kinds() -> [(&'static str, Ask); 4] {
    [
        ("now", |_| (None, None)),
        ("as of known", |moment| (None, Some(moment))),
        ("as of valid", |moment| (Some(moment), None)),
        ("as of both", |moment| (Some(moment), Some(moment))),
    ]
}

fn measure_reads(
    args: &Args,
    hot: usize,
    stores: &mut [Box<dyn Versions>],
    moments: &[Vec<i64>],
    (name, ask): (&str, Ask),
) -> Outcome<()> {
    let mut random = Random(7);
    let count = moments.first().map_or(0, Vec::len);
    let drawn: Vec<(usize, usize)> =
        (0..args.questions).map(|_| (random.below(hot), random.below(count))).collect();
    let questions_at = |moments: &[i64]| -> Vec<Question> {
        let question = |(row, moment): &(usize, usize)| {
            let (valid, known) = ask(moments[*moment]);
            Question { row: *row, valid, known }
        };
        drawn.iter().map(question).collect()
    };
    let questions: Vec<_> = moments.iter().map(|moments| questions_at(moments)).collect();
    let mut times = vec![Vec::new(); stores.len()];
    for _ in 0..args.rounds {
        let mut expected = None;
        for ((store, questions), times) in stores.iter_mut().zip(&questions).zip(&mut times) {
            let (answers, time) = timed(|| store.ask(questions))?;
            times.push(time / args.questions as f64);
            if *expected.get_or_insert_with(|| answers.clone()) != answers {
                return Err(format!("{name}: the answers differ").into());
            }
        }
    }
    line(&format!("read {name}"), &times.into_iter().map(median).collect::<Vec<_>>());
    Ok(())
}

fn measure_scans(
    args: &Args,
    stores: &mut [Box<dyn Versions>],
    moments: &[Vec<i64>],
    (name, ask): (&str, Ask),
) -> Outcome<()> {
    let mut best = Vec::new();
    for (store, moments) in stores.iter_mut().zip(moments) {
        let (valid, known) = ask(moments[moments.len() / 2]);
        let mut medians = Vec::new();
        for way in 0..store.scan_ways(valid, known) {
            let mut times = Vec::new();
            for _ in 0..args.rounds {
                let ((rows, _), time) = timed(|| store.scan(valid, known, way))?;
                times.push(time / args.rows as f64);
                if rows != args.rows {
                    return Err(format!("{name}: a scan found {rows} rows").into());
                }
            }
            medians.push(median(times));
        }
        best.push(medians.into_iter().fold(f64::INFINITY, f64::min));
    }
    line(&format!("scan {name}, a row"), &best);
    same_scans(stores, moments, (name, ask))
}

/// Every store and every way gives the same rows.
fn same_scans(
    stores: &mut [Box<dyn Versions>],
    moments: &[Vec<i64>],
    (name, ask): (&str, Ask),
) -> Outcome<()> {
    let mut expected = None;
    for (store, moments) in stores.iter_mut().zip(moments) {
        let (valid, known) = ask(moments[moments.len() / 2]);
        for way in 0..store.scan_ways(valid, known) {
            let answer = store.scan(valid, known, way)?;
            if *expected.get_or_insert(answer) != answer {
                return Err(format!("scan {name}: the answers differ").into());
            }
        }
    }
    Ok(())
}

/// Gives every row a version, and the hot ones theirs; returns a moment behind each version.
fn load(args: &Args, hot: usize, store: &mut dyn Versions) -> Outcome<Vec<i64>> {
    let mut moments = Vec::new();
    for version in 0..args.versions {
        let rows: Vec<_> =
            (0..if version == 0 { args.rows } else { hot }).map(|row| (row, version)).collect();
        let mut last = 0;
        for chunk in rows.chunks(BATCH) {
            last = store.put(chunk, Force::No)?;
        }
        moments.push(last);
    }
    store.settle()?;
    Ok(moments)
}

fn key(row: usize) -> String {
    format!("row-{row:09}")
}

/// The value of a version: 100 bytes.
fn value(row: usize, version: usize) -> Vec<u8> {
    format!("{:.<100}", row * 10_000 + version).into_bytes()
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum + u64::from(*byte))
}

/// What `work` returns, and the microseconds that it took.
fn timed<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, f64)> {
    let start = Instant::now();
    let done = work()?;
    Ok((done, start.elapsed().as_nanos() as f64 / 1e3))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn head(ours: &str) {
    println!("\n| | {ours} | SQLite, lean | times as fast | SQLite, covering | times as fast |");
    println!("|---|---|---|---|---|---|");
}

fn line(name: &str, figures: &[f64]) {
    let ours = figures.first().copied().unwrap_or(f64::NAN);
    let others: String =
        figures.iter().skip(1).map(|theirs| format!(" {theirs:.2} | {:.1} |", theirs / ours)).collect();
    println!("| {name} | {ours:.2} |{others}");
}

/// A small generator of numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % end.max(1) as u64).unwrap_or(0)
    }
}
