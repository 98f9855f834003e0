//! The recorded counts, one line for each operation.

use std::{collections::BTreeMap, fmt, process::Command};

/// Where the record lies.
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");

const HEADER: &str =
    "# Instructions per operation, counted by callgrind in a release build on x86_64. Written by
#   cargo run --release -p llmdb-bench-own --example instructions -- --record
";
const ORIGIN: &str = "# by ";

/// Counts of operations, and where they come from.
#[derive(Default)]
pub struct Record {
    origin: String,
    counts: BTreeMap<String, u64>,
}

/// What to think of a count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Same,
    More,
    Less,
    New,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "",
            Self::More => "MORE than recorded",
            Self::Less => "less than recorded: record it",
            Self::New => "not recorded yet",
        })
    }
}

impl Record {
    /// The record as it lies in the tree.
    pub fn read() -> Result<Self, String> {
        let text = std::fs::read_to_string(PATH).map_err(|error| format!("{PATH}: {error}"))?;
        let mut record = Self::default();
        if let Some(origin) = text.lines().find_map(|line| line.strip_prefix(ORIGIN)) {
            origin.clone_into(&mut record.origin);
        }
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (name, count) = line.rsplit_once(' ').ok_or_else(|| format!("{PATH}: what is {line:?}?"))?;
            let count = count.parse().map_err(|error| format!("{PATH}: {line:?}: {error}"))?;
            record.add(name.trim(), count);
        }
        Ok(record)
    }

    #[expect(clippy::disallowed_methods, reason = "a file of the tree, not of a database")]
    pub fn write(&self) -> Result<(), String> {
        std::fs::write(PATH, self.to_string()).map_err(|error| format!("{PATH}: {error}"))
    }

    /// An empty record of this machine.
    pub fn new() -> Self {
        Self { origin: origin(), counts: BTreeMap::new() }
    }

    /// Whether it was written by another compiler, or on another kind of machine.
    pub fn is_from_elsewhere(&self) -> bool {
        self.origin != origin()
    }

    pub fn add(&mut self, name: &str, count: u64) {
        self.counts.insert(name.to_owned(), count);
    }

    /// What was recorded (0 if nothing was), and what `now` is beside it.
    pub fn judge(&self, name: &str, now: u64, tolerance_percent: u64) -> (u64, Verdict) {
        let Some(&before) = self.counts.get(name) else { return (0, Verdict::New) };
        let slack = before * tolerance_percent / 100;
        let verdict = match now {
            now if now > before + slack => Verdict::More,
            now if now < before - slack => Verdict::Less,
            _ => Verdict::Same,
        };
        (before, verdict)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}{ORIGIN}{}", self.origin)?;
        self.counts.iter().try_for_each(|(name, count)| writeln!(f, "{name:<32} {count}"))
    }
}

/// What the installed compiler calls itself, and for which of the system's routines the processor is made: both change
/// counts for no fault of ours.
fn origin() -> String {
    let said = Command::new("rustc").arg("--version").output();
    let compiler = said
        .map_or_else(|_| "unknown".into(), |said| String::from_utf8_lossy(&said.stdout).trim().to_owned());
    let has = |name, is_there| if is_there { name } else { "" };
    #[cfg(target_arch = "x86_64")]
    let features = has(" avx2", std::arch::is_x86_feature_detected!("avx2")).to_owned()
        + has(" pclmul", std::arch::is_x86_feature_detected!("pclmulqdq"));
    #[cfg(not(target_arch = "x86_64"))]
    let features = has(" another architecture", true);
    format!("{compiler},{features}")
}
