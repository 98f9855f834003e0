//! What two times cost: facts beside a plain collection of the same rows, in one store and one run.
//!
//! ```sh
//! cargo bench -p llmdb-bench-own --bench two_times
//! cargo bench -p llmdb-bench-own --bench two_times -- --rows 200000 --versions 10 --only reads --rounds 9 --folder /data/tmp
//! ```
//!
//! Reads: one row of 20,000, by chance among those with many versions, now and as of the moment of a commit drawn by chance.
//! "Wide" is a plain collection with as many rows as there are versions: what a get costs in as much data.
//! Scans: every row, now and as of the middle of the history. Puts: to rows drawn by chance, one to a durable commit and 1,000
//! to a commit that waits for nothing. Each case is measured in turn with its plain twin; what is printed are medians and their
//! ratio. The values of both are the same 100 bytes.
#![expect(clippy::expect_used, reason = "a bench stops at the first surprise")]

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use llmdb_bench_own::rows::{Random, sum};
use llmdb_engine::{Durability, Engine, Options};
use llmdb_temporal::{
    AsOf, At, Collection, History, Key, RowKey, Rows, Store, Timestamp, TxnId, Valid, Value, View,
};

const VALUE_BYTES: usize = 100;
/// Versions in all that one case has.
const VERSIONS_MAX: usize = 200_000;
const PUTS_PER_COMMIT: usize = 1_000;

struct Args {
    rows: usize,
    versions: Vec<usize>,
    /// Reads, scans or puts; all if nothing is said.
    only: Option<String>,
    rounds: usize,
    folder: Option<PathBuf>,
}

impl Args {
    fn parse() -> Self {
        let mut args =
            Self { rows: 20_000, versions: vec![1, 10, 100, 10_000], only: None, rounds: 5, folder: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| wrong(&word));
            match word.as_str() {
                "--bench" => {}
                "--rows" => args.rows = value().parse().unwrap_or_else(|_| wrong(&word)),
                "--versions" => args.versions = numbers(&value()).unwrap_or_else(|| wrong(&word)),
                "--only" => args.only = Some(value()),
                "--rounds" => args.rounds = value().parse().unwrap_or_else(|_| wrong(&word)),
                "--folder" => args.folder = Some(value().into()),
                _ => wrong(&word),
            }
        }
        if args.rows == 0 || args.rounds == 0 || args.versions.contains(&0) {
            wrong("--rows, --rounds or --versions");
        }
        args
    }

    fn wants(&self, what: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only.split(',').any(|part| part == what))
    }
}

fn numbers(text: &str) -> Option<Vec<usize>> {
    text.split(',').map(|number| number.parse().ok()).collect()
}

fn wrong(word: &str) -> ! {
    eprintln!("two_times: {word} is not known, or wants another value");
    std::process::exit(2)
}

fn main() {
    let args = Args::parse();
    let folder = args.folder.clone().unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::tempdir_in(folder).expect("a folder for the stores");
    println!("{} rows, values of {VALUE_BYTES} bytes, medians of {} rounds", args.rows, args.rounds);
    if args.wants("reads") || args.wants("scans") {
        measure_versions(&args, folder.path());
    }
    if args.wants("puts") {
        measure_puts(&args, &folder.path().join("puts.llmdb"));
    }
}

fn measure_versions(args: &Args, folder: &Path) {
    if args.wants("reads") {
        println!(
            "\n| versions a row | plain get, ns | now | ratio | as of known | ratio | as of valid | ratio | both | ratio | wide | ratio |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    }
    let mut scans = Vec::new();
    for versions in args.versions.iter().copied() {
        let path = folder.join(format!("{versions}.llmdb"));
        let engine = Engine::open(&path, Options::default()).expect("a new store");
        let case = Case::load(&engine, args.rows, versions);
        if args.wants("reads") {
            case.measure_reads(args.rounds);
        }
        if args.wants("scans") {
            scans.push((versions, case.measure_scans(args.rounds)));
        }
    }
    if args.wants("scans") {
        println!(
            "\n| versions a row | plain scan, ns a row | now | ratio | as of known | ratio | as of valid | ratio |"
        );
        println!("|---|---|---|---|---|---|---|---|");
    }
    for (versions, figures) in scans {
        println!("| {versions} {}", beside(&figures));
    }
}

/// A store with a plain collection and facts, of the same rows.
struct Case<'e> {
    store: Store<'e>,
    versions: usize,
    /// Rows that have so many versions; the others have one.
    hot: usize,
    /// Moments between the commits of the history.
    moments: Vec<Timestamp>,
    rows: usize,
}

fn row(number: usize) -> RowKey {
    RowKey::new(0, Key::from(format!("row-{number:09}").as_str()))
}

fn value(number: usize) -> [u8; VALUE_BYTES] {
    let mut value = [b'.'; VALUE_BYTES];
    let text = number.to_string();
    value[..text.len()].copy_from_slice(text.as_bytes());
    value
}

impl<'e> Case<'e> {
    fn load(engine: &'e Engine, rows: usize, versions: usize) -> Self {
        let store = Store::new(engine);
        let hot = rows.min(VERSIONS_MAX.max(rows * 10) / versions).max(1);
        let mut txn = store.begin_write().expect("a transaction");
        txn.create("plain", History::Plain).expect("a collection");
        txn.create("facts", History::default()).expect("a collection");
        txn.create("wide", History::Plain).expect("a collection");
        txn.commit_with(Durability::Off).expect("a commit");
        put_all(store, &["plain", "facts"], rows, 0);
        put_all(store, &["wide"], rows + hot * (versions - 1), 0);
        let mut moments = Vec::new();
        for version in 1..versions {
            moments.push(put_all(store, &["plain", "facts"], hot, version));
        }
        engine.checkpoint().expect("a checkpoint");
        if moments.is_empty() {
            moments.push(store.view().expect("a view").snapshot().timestamp());
        }
        Self { store, versions, hot, moments, rows }
    }

    fn measure_reads(&self, rounds: usize) {
        let view = self.store.view().expect("a view");
        let (plain, facts) = collections(&view);
        let mut random = Random(7);
        let asked: Vec<(RowKey, Timestamp)> = (0..20_000)
            .map(|_| (row(random.below(self.hot)), self.moments[random.below(self.moments.len())]))
            .collect();
        let wide = view.collection("wide").expect("a collection");
        let in_wide: Vec<(RowKey, Timestamp)> = (0..asked.len())
            .map(|_| (row(random.below(self.rows + self.hot * (self.versions - 1))), self.moments[0]))
            .collect();
        type Question<'a> = (&'a Collection<'a>, &'a [(RowKey, Timestamp)], fn(Timestamp) -> At);
        let points: [Question<'_>; 6] = [
            (&plain, &asked, |_| At::NOW),
            (&facts, &asked, |_| At::NOW),
            (&facts, &asked, |moment| At::NOW.as_of(AsOf::Time(moment))),
            (&facts, &asked, At::valid),
            (&facts, &asked, |moment| At::valid(moment).as_of(AsOf::Time(moment))),
            (&wide, &in_wide, |_| At::NOW),
        ];
        let mut figures = vec![Vec::new(); points.len()];
        for _ in 0..rounds {
            for ((collection, asked, point), figures) in points.iter().zip(&mut figures) {
                figures.push(time(asked.len(), || {
                    let mut total = 0_u64;
                    for (row, moment) in *asked {
                        let fact = collection.get(row, point(*moment)).expect("a read").expect("a row");
                        total = total.wrapping_add(sum(fact.value.payload));
                    }
                    std::hint::black_box(total);
                }));
            }
        }
        println!("| {} {}", self.versions, beside(&medians(figures)));
    }

    fn measure_scans(&self, rounds: usize) -> Vec<f64> {
        let view = self.store.view().expect("a view");
        let (plain, facts) = collections(&view);
        let middle = self.moments[self.moments.len() / 2];
        let points = [
            (&plain, At::NOW),
            (&facts, At::NOW),
            (&facts, At::NOW.as_of(AsOf::Time(middle))),
            (&facts, At::valid(middle)),
        ];
        let mut figures = vec![Vec::new(); points.len()];
        for _ in 0..rounds {
            for ((collection, at), figures) in points.iter().zip(&mut figures) {
                figures.push(time(self.rows, || {
                    let mut count = 0;
                    for fact in collection.scan(&Rows::all(), *at).expect("a scan") {
                        std::hint::black_box(sum(fact.expect("a row").value.payload));
                        count += 1;
                    }
                    assert_eq!(count, self.rows, "the same result");
                }));
            }
        }
        medians(figures)
    }
}

fn collections(view: &View) -> (Collection<'_>, Collection<'_>) {
    (view.collection("plain").expect("a collection"), view.collection("facts").expect("a collection"))
}

/// Puts a version of the first `rows` rows into some collections; returns the moment of the last commit.
fn put_all(store: Store<'_>, names: &[&str], rows: usize, version: usize) -> Timestamp {
    let numbers: Vec<usize> = (0..rows).collect();
    let mut last = Timestamp::default();
    for chunk in numbers.chunks(PUTS_PER_COMMIT) {
        let mut txn = store.begin_write().expect("a transaction");
        for name in names {
            let mut collection = txn.collection(name).expect("a collection");
            for number in chunk {
                let value = value(version + number);
                collection.put(row(*number), Valid::Now, Value::raw(&value)).expect("a put");
            }
        }
        last = txn.commit_with(Durability::Off).expect("a commit").timestamp;
    }
    last
}

fn measure_puts(args: &Args, path: &Path) {
    let engine = Engine::open(path, Options::default()).expect("a new store");
    let case = Case::load(&engine, args.rows, 2);
    println!("\n| puts | plain, us | facts | puts a second, facts beside plain |");
    println!("|---|---|---|---|");
    for (name, puts, per_commit, durability) in [
        ("one to a durable commit", 100, 1, Durability::Sync),
        ("16 to a durable commit", 1_600, 16, Durability::Sync),
        ("1,000 to a commit that waits for nothing", 5_000, 1_000, Durability::Off),
    ] {
        let mut figures = vec![Vec::new(); 2];
        let mut random = Random(11);
        // Short turns: what the disk does otherwise meets both.
        for _ in 0..args.rounds * 8 {
            for (name, figures) in ["plain", "facts"].iter().zip(&mut figures) {
                figures.push(time(puts, || {
                    for _ in 0..puts / per_commit {
                        put_some(case.store, name, per_commit, durability, &mut random, args.rows);
                    }
                }));
            }
        }
        let medians = medians(figures);
        let (plain, facts) = (medians[0] / 1e3, medians[1] / 1e3);
        println!("| {name} | {plain:.2} | {facts:.2} | {:.2} |", plain / facts);
    }
}

fn put_some(
    store: Store<'_>,
    name: &str,
    count: usize,
    durability: Durability,
    random: &mut Random,
    rows: usize,
) -> TxnId {
    let mut txn = store.begin_write().expect("a transaction");
    let mut collection = txn.collection(name).expect("a collection");
    for _ in 0..count {
        let value = value(random.below(1_000_000));
        collection.put(row(random.below(rows)), Valid::Now, Value::raw(&value)).expect("a put");
    }
    txn.commit_with(durability).expect("a commit").txid
}

/// Nanoseconds for each of `count` things that `work` does.
#[expect(clippy::disallowed_methods, reason = "a bench looks at the clock")]
#[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
fn time(count: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos() as f64 / count as f64
}

fn medians(figures: Vec<Vec<f64>>) -> Vec<f64> {
    let median = |mut figures: Vec<f64>| {
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    figures.into_iter().map(median).collect()
}

/// The first figure, and each other one with its ratio to it.
fn beside(figures: &[f64]) -> String {
    let plain = figures[0];
    let others: String = figures[1..].iter().map(|ns| format!(" | {ns:.0} | {:.2}", ns / plain)).collect();
    format!("| {plain:.0}{others} |")
}
