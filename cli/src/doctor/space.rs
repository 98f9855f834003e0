//! Whether the file and the log are as large as they need to be, and who keeps them from being smaller.

use llmdb::Stats;

use super::finding::{Finding, Severity};
use crate::figures::{Bytes, Count};

/// Less than this is not worth anybody's time.
const WORTH_BYTES: u64 = 64 << 20;

/// Judges the figures of a database.
pub fn examine(stats: &Stats, findings: &mut Vec<Finding>) {
    findings.push(free(stats));
    findings.push(held(stats));
    findings.push(log(stats));
}

fn free(stats: &Stats) -> Finding {
    let (file, free) = (Bytes(stats.file_bytes), Bytes(stats.free_bytes));
    let text = format!("the data file has {file}, of which {free} are free");
    if stats.free_bytes >= WORTH_BYTES && stats.free_bytes > stats.live_bytes {
        let text = format!("{text}; they are used again before the file grows");
        Finding::new(Severity::Hint, "space", "mostly_free", text).mend("llmdb compact")
    } else {
        Finding::new(Severity::Good, "space", "file_size", text)
    }
}

fn held(stats: &Stats) -> Finding {
    let text = format!(
        "{} are held for {} open snapshots and the last two checkpoints",
        Bytes(stats.held_bytes),
        Count(stats.snapshot_count)
    );
    if stats.held_bytes >= WORTH_BYTES && stats.held_bytes > stats.live_bytes / 4 {
        Finding::new(Severity::Warning, "readers", "held_back", text)
            .mend("end the snapshots that nobody needs: the file grows while they are held")
    } else {
        Finding::new(Severity::Good, "readers", "held", text)
    }
}

fn log(stats: &Stats) -> Finding {
    let text = format!(
        "{} of log would be replayed after a crash; its files take {}",
        Bytes(stats.replay_bytes),
        Bytes(stats.log_bytes)
    );
    Finding::new(Severity::Good, "log", "replay", text)
}
