//! `llmdb bench`: quick figures of this machine, disk and database.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use llmdb::{Db, Options};
use serde_json::{Value, json};

use crate::{
    chaos,
    failure::{Exit, Failure},
    figures::{Bytes, Count, rate},
    host::Stopwatch,
    interrupt::Interrupt,
    output::Output,
};

/// Measure this machine: durable puts, loading, random gets, scans; or let processes die
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Each figure is the median of the rounds. The database is made in a temporary folder and removed afterwards; where
the folder lies in memory (as /tmp does on some systems), durable writes cost nothing and their figures mean nothing:
name a file on the disk you care about with --db. How other databases fare on the same work is measured by
bench/compare in the repository.

Examples:
  llmdb bench
  llmdb bench --db /data/bench.llmdb --rows 1000000 --threads 1 --threads 64
  llmdb bench chaos --seconds 60"
)]
pub struct BenchArgs {
    #[command(subcommand)]
    other: Option<Other>,
    /// Make the database here, and keep it; it must not exist
    #[arg(long, short, value_name = "FILE")]
    db: Option<PathBuf>,
    /// Rows to load
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    rows: u64,
    /// Length of a value
    #[arg(long, default_value_t = 256, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(0..=1 << 20))]
    value_bytes: u32,
    /// Numbers of threads that put durably
    #[arg(long, default_values_t = [1, 4, 16], value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Vec<u16>,
    /// Time for the durable puts of each round
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    seconds: f64,
    /// Rounds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: u16,
}

/// What can be put to the test besides speed.
#[derive(Debug, Subcommand)]
enum Other {
    Chaos(chaos::ChaosArgs),
}

/// Rows per transaction while loading: about a mebibyte.
const BATCH_BYTES: u64 = 1 << 20;

pub fn run(args: &BenchArgs, output: &mut Output) -> Result<Exit, Failure> {
    if let Some(Other::Chaos(args)) = &args.other {
        return chaos::run(args, output);
    }
    if !(args.seconds > 0.0 && args.seconds <= 600.0) {
        return Err(Failure::usage("--seconds must lie between 0 and 600"));
    }
    if let Some(path) = args.db.as_ref().filter(|path| path.exists()) {
        return Err(Failure::usage(format!(
            "{} exists; the bench makes a database of its own",
            path.display()
        )));
    }
    let folder = tempfile::Builder::new().prefix("llmdb-bench-").tempdir()?;
    let path = args.db.clone().unwrap_or_else(|| folder.path().join("bench.llmdb"));
    let bench = Bench { db: Db::open(&path, Options::new())?, args, stop: Interrupt::listen()? };
    let results = bench.run(&path, output)?;
    bench.db.close()?;
    if output.json {
        output.line(&results)?;
    }
    Ok(Exit::Done)
}

struct Bench<'a> {
    db: Db,
    args: &'a BenchArgs,
    stop: Interrupt,
}

impl Bench<'_> {
    fn run(&self, path: &Path, output: &mut Output) -> Result<Value, Failure> {
        let args = self.args;
        let row_bytes = u64::from(args.value_bytes) + KEY_BYTES;
        let mut tell = |what: &str, per_second: u64, more: String| {
            if output.json {
                return Ok(());
            }
            output.line(format_args!("{what:<34} {:>12}/s{more}", Count(per_second).to_string()))?;
            output.finish()
        };
        let load = self.median(|round| self.load(round))?;
        tell("load, rows in batches of 1 MiB", load, format!("  {}/s", Bytes(load * row_bytes)))?;
        let mut durable = Vec::new();
        for threads in &args.threads {
            let puts = self.median(|_| self.durable_puts(*threads))?;
            tell(&format!("durable puts, {threads} at a time"), puts, String::new())?;
            durable.push(json!({ "threads": threads, "per_second": puts }));
        }
        let gets = self.median(|round| self.random_gets(round))?;
        tell("random gets, 1 thread", gets, String::new())?;
        let scan = self.median(|_| self.scan())?;
        tell("scan, rows in order", scan, format!("  {}/s", Bytes(scan * row_bytes)))?;
        Ok(json!({
            "path": path.display().to_string(),
            "rows": args.rows,
            "value_bytes": args.value_bytes,
            "rounds": args.rounds,
            "load_rows_per_second": load,
            "durable_puts": durable,
            "gets_per_second": gets,
            "scan_rows_per_second": scan,
            "file_bytes": self.db.stats()?.file_bytes,
        }))
    }

    fn median(&self, mut round: impl FnMut(u64) -> Result<u64, Failure>) -> Result<u64, Failure> {
        let mut figures = Vec::new();
        for number in 0..self.args.rounds {
            self.stop.check()?;
            figures.push(round(number.into())?);
        }
        figures.sort_unstable();
        Ok(figures[figures.len() / 2])
    }

    /// Loads all rows in the order of their keys into an empty tree.
    fn load(&self, round: u64) -> Result<u64, Failure> {
        let mut txn = self.db.begin_write()?;
        txn.drop_tree(ROWS)?;
        txn.commit()?;
        let batch_rows = (BATCH_BYTES / (u64::from(self.args.value_bytes) + KEY_BYTES)).max(1);
        let value = self.value(round);
        let watch = Stopwatch::start();
        let mut next = 0;
        while next < self.args.rows {
            self.stop.check()?;
            let mut txn = self.db.begin_write()?;
            let mut tree = txn.tree(ROWS)?;
            let end = (next + batch_rows).min(self.args.rows);
            for number in next..end {
                tree.put(key(number), &value)?;
            }
            txn.commit()?;
            next = end;
        }
        Ok(rate(self.args.rows, watch.seconds()))
    }

    /// One row per transaction, each durable, from several threads.
    fn durable_puts(&self, threads: u16) -> Result<u64, Failure> {
        let watch = Stopwatch::start();
        let counts: Result<Vec<u64>, llmdb::Error> = std::thread::scope(|scope| {
            let started: Vec<_> =
                (0..threads).map(|thread| scope.spawn(move || self.put_for(thread, watch))).collect();
            started.into_iter().map(|thread| thread.join().expect("the loop below does not panic")).collect()
        });
        Ok(rate(counts?.iter().sum(), watch.seconds()))
    }

    fn put_for(&self, thread: u16, watch: Stopwatch) -> Result<u64, llmdb::Error> {
        let mut random = Random(u64::from(thread) + 1);
        let value = self.value(thread.into());
        let mut count = 0;
        while watch.seconds() < self.args.seconds && !self.stop.is_asked() {
            let mut txn = self.db.begin_write()?;
            txn.tree(PUTS)?.put(key(random.next() % self.args.rows), &value)?;
            txn.commit()?;
            count += 1;
        }
        Ok(count)
    }

    fn random_gets(&self, round: u64) -> Result<u64, Failure> {
        let snapshot = self.db.snapshot()?;
        let tree = crate::store::tree(&snapshot, ROWS)?;
        let mut random = Random(round);
        let watch = Stopwatch::start();
        let mut count = 0;
        while count < self.args.rows && !self.stop.is_asked() {
            let number = random.next() % self.args.rows;
            if tree.get(key(number))?.is_none() {
                return Err(Failure::damaged(format!("row {number} is not there")));
            }
            count += 1;
        }
        Ok(rate(count, watch.seconds()))
    }

    fn scan(&self) -> Result<u64, Failure> {
        let snapshot = self.db.snapshot()?;
        let tree = crate::store::tree(&snapshot, ROWS)?;
        let watch = Stopwatch::start();
        let mut sum = 0;
        for row in tree.iter()? {
            let (key, value) = row?;
            sum += key.len() + value.first().map_or(0, |byte| usize::from(*byte));
        }
        std::hint::black_box(sum);
        Ok(rate(tree.len(), watch.seconds()))
    }

    fn value(&self, seed: u64) -> Vec<u8> {
        let mut random = Random(seed);
        (0..self.args.value_bytes).map(|_| random.next().to_le_bytes()[0]).collect()
    }
}

const ROWS: &str = "rows";
const PUTS: &str = "puts";
const KEY_BYTES: u64 = 8;

fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// SplitMix64: small, and good enough to spread keys.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }
}
