//! Whether the disk is as quick as commits need it, and as slow as an honest disk is.

use std::path::Path;

use llmdb::{Db, DiskReport};

use super::finding::{Finding, Severity};
use crate::figures::Seconds;

const AREA: &str = "disk";
/// No medium forces a block faster; where it seems so, nothing is forced at all.
const TOO_FAST_US: u64 = 10;
/// A spinning disk takes about this long.
const SLOW_US: u64 = 8_000;

/// Times durable writes beside the database.
pub fn examine(path: &Path, write_count: u32, findings: &mut Vec<Finding>) {
    if write_count == 0 {
        return;
    }
    match Db::probe_disk(path, u64::from(write_count)) {
        Ok(report) => judge(report, findings),
        Err(error) => findings.push(
            Finding::new(
                Severity::Hint,
                AREA,
                "not_measured",
                format!("the disk could not be measured: {error}"),
            )
            .mend("the folder must be writable for that, and is needed so by whoever writes the database"),
        ),
    }
}

fn judge(report: DiskReport, findings: &mut Vec<Finding>) {
    let seconds = |us: u64| Seconds(std::time::Duration::from_micros(us).as_secs_f64());
    let text = format!(
        "a durable write of 4 KiB takes {} (99 of 100 within {}, the slowest of {} {})",
        seconds(report.median_us),
        seconds(report.p99_us),
        report.write_count,
        seconds(report.max_us)
    );
    let finding = if report.median_us < TOO_FAST_US {
        Finding::new(Severity::Warning, AREA, "too_fast", format!("{text}: faster than any medium forces a block"))
            .mend("look whether the folder lies in memory (tmpfs), or the disk lies about its cache; a power cut may take commits")
    } else if report.median_us > SLOW_US {
        Finding::new(Severity::Warning, AREA, "slow", format!("{text}: every durable commit waits for that"))
            .mend("commit more in each transaction, from several threads, or with a weaker durability; or use a faster disk")
    } else {
        Finding::new(Severity::Good, AREA, "latency", text)
    };
    findings.push(finding);
    if !report.io_uring {
        let text =
            "io_uring is not to be had here: the log is written by pwrite and fdatasync, as safe and slower";
        findings.push(
            Finding::new(Severity::Hint, "configuration", "no_io_uring", text).mend(
                "allow io_uring_setup in the container's seccomp profile, and kernel.io_uring_disabled=0",
            ),
        );
    }
}
