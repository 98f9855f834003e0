//! Opening a store: time, memory, and what the engine says about itself.

use std::time::Instant;

use crate::data::{self, Dataset};
use crate::engine::{Engine, Hint, Outcome, Pair, Peer};
use crate::engines;
use crate::job::{Job, Record};
use crate::machine;
use crate::rows::{Depth, Rows};
use crate::workloads::store::{self, BASE_VALUE_BYTES};

/// Opens, writes and reads a row, and notes versions and settings.
pub fn describe(peer: &Peer, job: &Job) -> Outcome<Vec<Record>> {
    let dataset = Dataset::new(BASE_VALUE_BYTES);
    let engine = store::open(peer, job, 1)?;
    let mut session = engine.session()?;
    session.commit(&[Pair { key: data::key(1), value: dataset.value(1, 0) }], Hint::None)?;
    let mut rows = Rows::new(Depth::Verify(&dataset, 0));
    if !session.fresh_get(&data::key(1), &mut rows)? || rows.wrong > 0 {
        return Err("the first row written could not be read".into());
    }
    drop(session);
    let mut versions: Vec<_> = engine.library_version().into_iter().collect();
    engine.close()?;
    versions.extend(peer.crates.iter().map(|name| engines::crate_version(name)));
    let mut record = Record::new("describe", "");
    record.notes = vec![versions.join(", "), (peer.settings)(&store::settings(job, 1))];
    Ok(vec![record])
}

/// The time from a process that has opened nothing yet to the first row of a store that was closed cleanly.
pub fn open(peer: &Peer, job: &Job, rows: u64) -> Outcome<Vec<Record>> {
    let start = Instant::now();
    let engine = open_and_get(peer, job, rows)?;
    let took = start.elapsed();
    engine.close()?;
    let mut record = Record::new("open", format!("{rows} rows, closed cleanly"));
    record.metric("open_ms", took.as_secs_f64() * 1e3);
    Ok(vec![record])
}

/// The memory that opening a store and reading a row adds to a process, while the store is open.
pub fn memory(peer: &Peer, job: &Job, rows: u64) -> Outcome<Vec<Record>> {
    let (all_before, own_before) = machine::resident_bytes();
    let engine = open_and_get(peer, job, rows)?;
    let (all, own) = machine::resident_bytes();
    engine.close()?;
    let megabytes = |after: u64, before: u64| after.saturating_sub(before) as f64 / 1e6;
    let mut record = Record::new("memory", format!("open and get, {rows} rows"));
    record
        .metric("rss_added_mb", megabytes(all, all_before))
        .metric("anon_added_mb", megabytes(own, own_before))
        .metric("rss_before_mb", all_before as f64 / 1e6);
    Ok(vec![record])
}

fn open_and_get(peer: &Peer, job: &Job, rows: u64) -> Outcome<Box<dyn Engine>> {
    let engine = store::open(peer, job, 1)?;
    let mut sink = Rows::new(Depth::Whole);
    if !engine.session()?.fresh_get(&data::key(rows / 2), &mut sink)? {
        return Err("a row of the store is missing".into());
    }
    Ok(engine)
}
