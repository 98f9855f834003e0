//! One measurement of one engine, small enough to be handed to a child process as one argument, and its result.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;
use crate::machine::Machine;

/// The order in which rows are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Ascending keys, nothing promised.
    Sequential,
    /// Ascending keys, and the engine is told so. Only engines that have such a hint.
    Append,
    /// Shuffled keys.
    Random,
}

/// What to do with the engine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Open, write and read a row, tell version and settings.
    Describe,
    /// Make a store of `rows` rows for others to use.
    Fill { rows: u64 },
    /// Load an empty store.
    Load { order: Order, value_bytes: usize, batch_bytes: u64 },
    /// Overwrite every row of the base store in random order.
    Overwrite { batch_bytes: u64 },
    /// One durable put per transaction.
    Put { threads: usize },
    /// One durable put per transaction, submitted without waiting.
    Pipeline,
    /// Random gets.
    Get,
    /// Scans and ranges.
    Scan,
    /// Gets beside a writer at full speed; 0 bytes means one put per transaction.
    Mixed { batch_bytes: u64 },
    /// Kill a process that loads, then open.
    Crash,
    /// The process to be killed.
    CrashVictim,
    /// Open a store that was closed cleanly, and read a row.
    Open { rows: u64 },
    /// Memory taken by opening a small store and reading a row.
    Memory { rows: u64 },
    /// What the machine can do without any engine.
    Limits,
}

/// Sizes and times that hold for a whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scale {
    /// Rows of the base store, 256-byte values.
    pub rows: u64,
    /// Key and value bytes that a load writes at most.
    pub load_bytes: u64,
    /// Measured time of a timed workload; cap of a load.
    pub seconds: f64,
    /// Cap of overwriting.
    pub overwrite_seconds: f64,
    /// Bytes for an engine's own cache.
    pub cache_bytes: u64,
}

impl Scale {
    /// Measured time of a timed workload.
    pub fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// A fraction of the measured time, for workloads of several parts.
    pub fn part(&self, parts: u32) -> Duration {
        self.time() / parts
    }
}

/// One measurement of one engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Name of the engine.
    pub engine: String,
    /// What to do.
    pub task: Task,
    /// The folder of the store.
    pub dir: PathBuf,
    /// Sizes and times.
    pub scale: Scale,
}

/// One result: several metrics of one engine in one case of one workload.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// Round of the run, from 1.
    pub round: u32,
    /// Workload, as on the command line.
    pub workload: String,
    /// Which case of the workload.
    pub case: String,
    /// The engine, or `limit`.
    pub engine: String,
    /// Threads, where they matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Bytes of a value, where they matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_bytes: Option<usize>,
    /// Bytes of a batch, where they matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_bytes: Option<u64>,
    /// The figures; names end in their unit.
    pub metrics: BTreeMap<String, f64>,
    /// What a reader must know about this result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why there are no figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Record {
    /// A result without figures yet.
    pub fn new(workload: &str, case: impl Into<String>) -> Record {
        Record { workload: workload.to_owned(), case: case.into(), ..Record::default() }
    }

    /// Adds a figure.
    pub fn metric(&mut self, name: &str, figure: f64) -> &mut Record {
        self.metrics.insert(name.to_owned(), figure);
        self
    }

    /// Adds a figure if there is one.
    pub fn metric_if(&mut self, name: &str, figure: Option<f64>) -> &mut Record {
        figure.map(|figure| self.metrics.insert(name.to_owned(), figure));
        self
    }

    /// Adds the percentiles of latencies.
    pub fn latencies(&mut self, latencies: &Histogram) -> &mut Record {
        for (name, share) in [("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)] {
            self.metric(name, latencies.percentile_us(share));
        }
        self.metric("max_us", latencies.max_us())
    }
}

/// What identifies a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RunInfo {
    /// The machine.
    pub machine: Machine,
    /// The command line.
    pub command: String,
    /// Version and settings by engine.
    pub engines: Vec<(String, String)>,
}

/// One line of the results file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line {
    /// First line of a run.
    Run(RunInfo),
    /// One result.
    Result(Record),
}
