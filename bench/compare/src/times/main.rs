//! Facts in two times beside what a user would otherwise do: a table of SQLite with a row for each version, its valid and
//! its system period, and the indexes that answer each question by one seek.
//!
//! ```sh
//! cargo run --release --no-default-features --features times --bin times
//! cargo run --release --no-default-features --features times --bin times -- --versions 1000 --rounds 9
//! ```
//!
//! The same rows, the same history, the same questions, and every commit durable in both; the answers are compared. Each
//! reader has its statements prepared and one read transaction open. Medians of interleaved rounds.

mod ours;
mod sqlite;

use std::{error::Error, path::PathBuf, process::ExitCode, time::Instant};

use clap::Parser;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Measures facts in two times beside a table of SQLite
#[derive(Debug, Parser)]
#[command(name = "times")]
struct Args {
    /// Rows
    #[arg(long, default_value_t = 2_000)]
    rows: usize,
    /// Versions of each row
    #[arg(long, default_value_t = 100)]
    versions: usize,
    /// Questions of each kind in a round
    #[arg(long, default_value_t = 20_000)]
    questions: usize,
    /// Rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,
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

/// A store of versions.
trait Versions {
    /// Asserts a value of each row from now on, in one durable commit, and returns its moment.
    fn put(&mut self, rows: &[usize], version: usize) -> Outcome<i64>;
    /// Answers each question with the sum of the bytes of the value, in one read transaction.
    fn ask(&mut self, questions: &[Question]) -> Outcome<Vec<u64>>;
    /// The number of rows and the sum of the bytes of their values at a point.
    fn scan(&mut self, valid: Option<i64>, known: Option<i64>) -> Outcome<(usize, u64)>;
}

/// Rows to a commit while loading.
const BATCH: usize = 500;

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
    let parent = args.folder.clone().unwrap_or_else(std::env::temp_dir);
    let folder = parent.join(format!("llmdb-times-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let done = measure(args, &folder);
    std::fs::remove_dir_all(&folder)?;
    done
}

fn measure(args: &Args, folder: &std::path::Path) -> Outcome<()> {
    let mut ours = ours::Ours::open(&folder.join("ours.llmdb"))?;
    let mut sqlite = sqlite::Sqlite::open(&folder.join("theirs.sqlite"))?;
    println!("{} rows, {} versions each; {}", args.rows, args.versions, sqlite::version());
    let (our_moments, our_load) = load(args, &mut ours)?;
    let (their_moments, their_load) = load(args, &mut sqlite)?;
    println!("\n| | LLMDB, us | SQLite, us | times as fast |\n|---|---|---|---|");
    let puts = (args.rows * args.versions) as f64;
    line("put, 500 to a durable commit", our_load / puts, their_load / puts);

    type Ask = fn(i64) -> (Option<i64>, Option<i64>);
    let kinds: [(&str, Ask); 4] = [
        ("read now", |_| (None, None)),
        ("read as of known", |moment| (None, Some(moment))),
        ("read as of valid", |moment| (Some(moment), None)),
        ("read as of both", |moment| (Some(moment), Some(moment))),
    ];
    for (name, ask) in kinds {
        let mut random = Random(7);
        let drawn: Vec<(usize, usize)> =
            (0..args.questions).map(|_| (random.below(args.rows), random.below(our_moments.len()))).collect();
        let questions = |moments: &[i64]| -> Vec<Question> {
            let question = |(row, moment): &(usize, usize)| {
                let (valid, known) = ask(moments[*moment]);
                Question { row: *row, valid, known }
            };
            drawn.iter().map(question).collect()
        };
        let (our_questions, their_questions) = (questions(&our_moments), questions(&their_moments));
        let (mut us, mut them) = (Vec::new(), Vec::new());
        for _ in 0..args.rounds {
            let (our_answers, time) = timed(|| ours.ask(&our_questions))?;
            us.push(time / args.questions as f64);
            let (their_answers, time) = timed(|| sqlite.ask(&their_questions))?;
            them.push(time / args.questions as f64);
            if our_answers != their_answers {
                return Err(format!("{name}: the answers differ").into());
            }
        }
        line(name, median(us), median(them));
    }
    for (name, ask) in kinds {
        let name = name.replace("read", "scan, a row,");
        let middle = |moments: &[i64]| ask(moments[moments.len() / 2]);
        let (mut us, mut them) = (Vec::new(), Vec::new());
        for _ in 0..args.rounds {
            let (valid, known) = middle(&our_moments);
            let (our_answer, time) = timed(|| ours.scan(valid, known))?;
            us.push(time / args.rows as f64);
            let (valid, known) = middle(&their_moments);
            let (their_answer, time) = timed(|| sqlite.scan(valid, known))?;
            them.push(time / args.rows as f64);
            if our_answer != their_answer || our_answer.0 != args.rows {
                return Err(format!("{name}: {our_answer:?} and {their_answer:?} differ").into());
            }
        }
        line(&name, median(us), median(them));
    }
    Ok(())
}

/// Gives every row its versions; returns a moment behind each version but the last of all, and the microseconds.
fn load(args: &Args, store: &mut dyn Versions) -> Outcome<(Vec<i64>, f64)> {
    let rows: Vec<usize> = (0..args.rows).collect();
    let mut moments = Vec::new();
    let ((), time) = timed(|| {
        for version in 0..args.versions {
            let mut last = 0;
            for chunk in rows.chunks(BATCH) {
                last = store.put(chunk, version)?;
            }
            moments.push(last);
        }
        Ok(())
    })?;
    Ok((moments, time))
}

fn key(row: usize) -> String {
    format!("row-{row:09}")
}

/// The value of a version: 100 bytes.
fn value(row: usize, version: usize) -> Vec<u8> {
    format!("{:.<100}", row * 1_000 + version).into_bytes()
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum + u64::from(*byte))
}

fn timed<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, f64)> {
    let start = Instant::now();
    let done = work()?;
    Ok((done, start.elapsed().as_nanos() as f64 / 1e3))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn line(name: &str, ours: f64, theirs: f64) {
    println!("| {name} | {ours:.2} | {theirs:.2} | {:.1} |", theirs / ours);
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
