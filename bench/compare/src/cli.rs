//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures LLMDB and its peers side by side.
///
/// Every engine gets the same rows, every commit is durable, and the rounds are interleaved: only ratios within one
/// run are worth comparing. Run it on a quiet machine; the load average is part of the results.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub run: RunArgs,
}

const EXAMPLES: &str = "\
Examples:
  compare --smoke                              Everything once, tiny, in under a minute: does it work here?
  compare                                      Everything at full size, three rounds (hours).
  compare --workloads get,scan --engines lmdb,redb --rounds 5
  compare --workloads get,scan,overwrite --rows 16000000
  compare table results.jsonl                  The table of an earlier run.
  compare plot results.jsonl --dir plots       Plots (SVG) of an earlier run.";

/// What to do instead of measuring.
#[derive(Subcommand)]
pub enum Command {
    /// List engines with versions, and workloads.
    List,
    /// Print the table of results that were measured before.
    Table {
        /// Results file, JSON lines.
        results: PathBuf,
    },
    /// Draw throughput and latency against threads and value size as SVG.
    Plot {
        /// Results file, JSON lines.
        results: PathBuf,
        /// Folder for the plots.
        #[arg(long, default_value = "plots")]
        dir: PathBuf,
    },
    /// One measurement in a child process; started by the program itself.
    #[command(hide = true)]
    Worker {
        /// The job as JSON.
        job: String,
    },
}

/// How to measure.
#[derive(Args)]
pub struct RunArgs {
    /// Workloads to run, separated by commas [default: all].
    #[arg(long, value_delimiter = ',')]
    pub workloads: Vec<Workload>,
    /// Engines to measure, separated by commas; `compare list` names them [default: all].
    #[arg(long, value_delimiter = ',')]
    pub engines: Vec<String>,
    /// Rounds; the table shows medians over them. Each round runs the engines in another order.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Rows of the store that is read and overwritten; 24-byte keys, 256-byte values.
    #[arg(long, default_value_t = 4_000_000, value_parser = clap::value_parser!(u64).range(1000..=1_000_000_000))]
    pub rows: u64,
    /// Megabytes of keys and values that a load writes at most.
    #[arg(long, default_value_t = 1100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub load_mb: u64,
    /// Seconds for each timed workload, and at most for each load.
    #[arg(long, default_value_t = 15.0)]
    pub seconds: f64,
    /// Seconds at most for overwriting everything; what is reached is shown as a share.
    #[arg(long, default_value_t = 60.0)]
    pub overwrite_seconds: f64,
    /// Megabytes for engines with a cache of their own [default: a sixth of memory, at most 4096].
    #[arg(long)]
    pub cache_mb: Option<u64>,
    /// Folder for the stores, on the disk to be measured; what is put there is removed again.
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
    /// Fill an engine's store anew for each measurement instead of keeping those of all engines: less disk, more time.
    #[arg(long)]
    pub refill: bool,
    /// File for the results, one JSON line each; an existing file is continued.
    #[arg(long, default_value = "results.jsonl")]
    pub out: PathBuf,
    /// File for the table (Markdown), written again after each round.
    #[arg(long, default_value = "table.md")]
    pub table: PathBuf,
    /// Print results as JSON lines instead of the table.
    #[arg(long)]
    pub json: bool,
    /// Tiny sizes, one round, under a minute: shows that everything works; the figures mean nothing.
    #[arg(long, conflicts_with_all = ["rounds", "rows", "load_mb", "seconds", "overwrite_seconds"])]
    pub smoke: bool,
}

/// A family of measurements.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Workload {
    /// What the machine can do without an engine: disk, log, memory.
    Limits,
    /// Durable loads of an empty store: orders, value sizes, batch sizes.
    Load,
    /// Overwriting every row of a full store in random order; device bytes and disk space.
    Overwrite,
    /// One durable put per transaction from 1, 16 and 64 threads.
    Put,
    /// One durable put per transaction, submitted without waiting (engines that offer it).
    Pipeline,
    /// Random gets: one snapshot, multi-get, fresh snapshots; 1 and 2 threads.
    Get,
    /// Full scans and ranges of 100 rows.
    Scan,
    /// Gets beside a writer at full speed.
    Mixed,
    /// kill -9 in mid-load, then open: time, and rows that were acknowledged but are missing.
    Crash,
    /// Open a cleanly closed store and get one row.
    Open,
    /// Memory that open and one get add to a fresh process.
    Memory,
}
