//! What the figures mean: how tables name them, which direction is good, which limit they compare with.

/// Which figures are better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Better {
    /// Large ones.
    Higher,
    /// Small ones.
    Lower,
}

/// A figure as tables show it.
pub struct Metric {
    /// Name in the results.
    pub name: &'static str,
    /// Name for people, with its unit.
    pub title: &'static str,
    /// Which figures are better; `None` for those that only inform.
    pub better: Option<Better>,
}

const fn metric(name: &'static str, title: &'static str, better: Option<Better>) -> Metric {
    Metric { name, title, better }
}

/// Every figure that tables show, in their order.
pub const METRICS: &[Metric] = &[
    metric("mb_s", "MB/s", Some(Better::Higher)),
    metric("settled_mb_s", "MB/s, settling included", Some(Better::Higher)),
    metric("tx_s", "tx/s", Some(Better::Higher)),
    metric("gets_s", "gets/s", Some(Better::Higher)),
    metric("mrows_s", "M rows/s", Some(Better::Higher)),
    metric("ops_s", "ops/s", Some(Better::Higher)),
    metric("gb_s", "GB/s", Some(Better::Higher)),
    metric("latency_ns", "ns", Some(Better::Lower)),
    metric("page_ns", "ns per 4 KiB page", Some(Better::Lower)),
    metric("p50_us", "p50 us", Some(Better::Lower)),
    metric("p99_us", "p99 us", Some(Better::Lower)),
    metric("p999_us", "p99.9 us", Some(Better::Lower)),
    metric("max_us", "max us", Some(Better::Lower)),
    metric("writer_tx_s", "writer tx/s", Some(Better::Higher)),
    metric("writer_mb_s", "writer MB/s", Some(Better::Higher)),
    metric("written_per_payload", "device bytes per payload byte", Some(Better::Lower)),
    metric("kb_per_tx", "KB to the device per tx", Some(Better::Lower)),
    metric("settled_kb_per_tx", "KB to the device per tx, settled", Some(Better::Lower)),
    metric("disk_before_per_payload", "disk per payload before", Some(Better::Lower)),
    metric("disk_per_payload", "disk per payload after", Some(Better::Lower)),
    metric("share", "share done in its time", Some(Better::Higher)),
    metric("open_ms", "open + first get, ms", Some(Better::Lower)),
    metric("first_commit_ms", "first commit, ms", Some(Better::Lower)),
    metric("acknowledged_mb", "acknowledged MB", None),
    metric("missing_rows", "acknowledged rows missing", Some(Better::Lower)),
    metric("rss_added_mb", "resident memory added, MB", Some(Better::Lower)),
    metric("anon_added_mb", "of it not backed by files, MB", Some(Better::Lower)),
    metric("rss_before_mb", "resident before, MB", None),
];

/// Whether the table has a row for the figure. Results always have it; tables leave out what repeats another row.
pub fn is_shown(workload: &str, name: &str) -> bool {
    match workload {
        "load" | "overwrite" => !matches!(name, "p50_us" | "p999_us"),
        "get" => !matches!(name, "p999_us" | "max_us"),
        "scan" => name != "max_us",
        "memory" => name != "rss_before_mb",
        _ => true,
    }
}

/// The limit that a row compares with: its case among the limits, and the figure there.
pub fn limit_of(workload: &str, case: &str, metric: &str) -> Option<(&'static str, &'static str)> {
    match (workload, metric) {
        ("load", "mb_s" | "settled_mb_s") => Some(("synced overwrite 1 MiB, depth 4", "mb_s")),
        ("overwrite", "mb_s" | "settled_mb_s") => Some(("synced overwrite 1 MiB, depth 4", "mb_s")),
        ("put", _) => put_limit(case, metric),
        ("pipeline", "tx_s") => Some(("log, pipelined commits of one writer", "ops_s")),
        ("scan", "mrows_s") if case.contains("value read") => {
            Some(("rows of 256 B in pages, ascending, read in full", "mrows_s"))
        }
        _ => None,
    }
}

fn put_limit(case: &str, metric: &str) -> Option<(&'static str, &'static str)> {
    let figure = match metric {
        "tx_s" => "ops_s",
        "p50_us" => "p50_us",
        "p99_us" => "p99_us",
        _ => return None,
    };
    let limit = match case {
        "1 thread" => "synced overwrite 4 KiB, depth 1",
        "16 threads" => "log with group commit, 16 threads",
        "64 threads" => "log with group commit, 64 threads",
        _ => return None,
    };
    Some((limit, figure))
}
