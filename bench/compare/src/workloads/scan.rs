//! Scans of a warm store: everything, and ranges of a hundred rows.

use std::time::{Duration, Instant};

use crate::data::{self, Dataset, Random};
use crate::engine::{Outcome, Peer, Session};
use crate::histogram::Histogram;
use crate::job::{Job, Record};
use crate::rows::{Depth, Rows};
use crate::workloads::store::{self, BASE_VALUE_BYTES};

/// Rows of a range.
const RANGE_ROWS: usize = 100;

/// Scans of all rows, values read in full and touched, then ranges.
pub fn scan(peer: &Peer, job: &Job) -> Outcome<Vec<Record>> {
    let dataset = Dataset::new(BASE_VALUE_BYTES);
    let engine = store::open(peer, job, 1)?;
    let mut session = engine.session()?;
    store::verify_all(session.as_mut(), &dataset, job.scale.rows)?;
    drop(dataset);
    let time = job.scale.part(3);
    let mut records = Vec::new();
    for (name, depth) in
        [("all rows, value read", Depth::Whole), ("all rows, one word touched", Depth::Touch)]
    {
        let mut record = Record::new("scan", name);
        record.metric("mrows_s", scan_all(session.as_mut(), job.scale.rows, depth, time)? / 1e6);
        records.push(record);
    }
    records.push(ranges(session.as_mut(), job.scale.rows, time)?);
    drop(session);
    engine.close()?;
    Ok(records)
}

/// Rows per second, over as many whole scans as fit the time, at least one.
fn scan_all(session: &mut dyn Session, rows: u64, depth: Depth<'_>, time: Duration) -> Outcome<f64> {
    let start = Instant::now();
    let mut seen = 0;
    while seen == 0 || start.elapsed() < time {
        let mut sink = Rows::new(depth);
        session.snapshot(&mut |snapshot| snapshot.scan(None, usize::MAX, &mut sink))?;
        if sink.count != rows {
            return Err(format!("a scan saw {} of {rows} rows", sink.count).into());
        }
        seen += sink.count;
    }
    Ok(seen as f64 / start.elapsed().as_secs_f64())
}

fn ranges(session: &mut dyn Session, rows: u64, time: Duration) -> Outcome<Record> {
    let mut random = Random::new(21);
    let mut latencies = Histogram::default();
    let mut sink = Rows::new(Depth::Whole);
    let last_start = rows.saturating_sub(RANGE_ROWS as u64) + 1;
    let start = Instant::now();
    session.snapshot(&mut |snapshot| {
        let mut before = Instant::now();
        let end = before + time;
        while before < end {
            let from = data::key(random.below(last_start));
            snapshot.scan(Some(&from), RANGE_ROWS, &mut sink)?;
            let after = Instant::now();
            latencies.add(after - before);
            before = after;
        }
        Ok(())
    })?;
    let mut record = Record::new("scan", format!("ranges of {RANGE_ROWS} rows"));
    record.metric("mrows_s", sink.count as f64 / 1e6 / start.elapsed().as_secs_f64()).latencies(&latencies);
    Ok(record)
}
