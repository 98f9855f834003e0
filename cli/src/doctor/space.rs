//! Whether the file and the log are as large as they need to be, and who keeps them from being smaller.

use llmdb::{Reader, Stats};

use super::finding::{Finding, Severity};
use crate::figures::{Bytes, Count, Seconds};

/// Less than this is not worth anybody's time.
const WORTH_BYTES: u64 = 64 << 20;

/// From here on recovery is not what an operator expects of it.
const SLOW_RECOVERY_US: u64 = 1_000_000;

/// Judges the figures of a database.
pub fn examine(stats: &Stats, readers: &[Reader], findings: &mut Vec<Finding>) {
    findings.push(free(stats));
    findings.push(held(stats));
    findings.extend(readers.iter().filter_map(reader));
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
        "{} of freed pages wait, {} of them for the next two checkpoints, the rest for {} open snapshots",
        Bytes(stats.held_bytes),
        Bytes(stats.settling_bytes),
        Count(stats.snapshot_count)
    );
    let by_readers = stats.held_bytes.saturating_sub(stats.settling_bytes);
    if by_readers >= WORTH_BYTES && by_readers > stats.live_bytes / 4 {
        Finding::new(Severity::Warning, "readers", "held_back", text)
            .mend("end the snapshots that nobody needs: the file grows while they are held")
    } else {
        Finding::new(Severity::Good, "readers", "held", text)
    }
}

/// A reader that alone keeps much from being used again.
fn reader(reader: &Reader) -> Option<Finding> {
    (reader.held_bytes >= WORTH_BYTES).then(|| {
        let text = format!("the snapshot {:?} alone holds back {}", reader.name, Bytes(reader.held_bytes));
        Finding::new(Severity::Warning, "readers", "long_reader", text)
            .mend("end it, or let it read under a lease (`Db::leased_snapshot`) that `Options::long_readers` may end")
    })
}

fn log(stats: &Stats) -> Finding {
    let text = format!(
        "after a crash {} of log would be replayed, in {} by estimate; the log's files take {}",
        Bytes(stats.replay_bytes),
        Seconds(std::time::Duration::from_micros(stats.replay_estimate_us).as_secs_f64()),
        Bytes(stats.log_bytes)
    );
    if stats.replay_estimate_us > SLOW_RECOVERY_US {
        Finding::new(Severity::Warning, "log", "slow_recovery", text).mend(
            "lower `Options::recovery_time`, or close the database once to bring the data file up to date",
        )
    } else {
        Finding::new(Severity::Good, "log", "replay", text)
    }
}
