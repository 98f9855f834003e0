//! One reader, a fresh snapshot for each get, beside one writer at full speed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::data::{self, Dataset, Random};
use crate::engine::{Engine, Hint, Outcome, Pair, Peer};
use crate::histogram::Histogram;
use crate::job::{Job, Record};
use crate::rows::{Depth, Rows};
use crate::workloads::load::bytes_name;
use crate::workloads::store::{self, BASE_VALUE_BYTES};
use crate::workloads::write::Plan;

/// Reads beside a writer whose transactions hold `batch_bytes` bytes of rows, or one row if 0.
pub fn mixed(peer: &Peer, job: &Job, batch_bytes: u64) -> Outcome<Vec<Record>> {
    let dataset = Dataset::new(BASE_VALUE_BYTES);
    let engine = store::open(peer, job, 2)?;
    store::verify_all(engine.session()?.as_mut(), &dataset, job.scale.rows)?;
    let batch_rows = Plan::rows_of(&dataset, batch_bytes);
    let stop = AtomicBool::new(false);
    let (reads, commits) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_until(engine.as_ref(), &dataset, job, batch_rows, &stop));
        let reads = read_for(engine.as_ref(), job);
        stop.store(true, Ordering::Relaxed);
        (reads, writer.join().unwrap_or_else(|_| Err("the writer panicked".into())))
    });
    engine.close()?;
    let (reads, commits) = (reads?, commits?);
    let name = if batch_bytes == 0 { "1 put".to_owned() } else { bytes_name(batch_bytes) };
    let seconds = job.scale.seconds;
    let mut record = Record::new("mixed", format!("writer commits {name}"));
    record.batch_bytes = Some(batch_bytes);
    record
        .metric("gets_s", reads.count() as f64 / seconds)
        .metric("writer_tx_s", commits as f64 / seconds)
        .metric("writer_mb_s", (commits * batch_rows * dataset.row_bytes()) as f64 / 1e6 / seconds)
        .latencies(&reads);
    Ok(vec![record])
}

fn read_for(engine: &dyn Engine, job: &Job) -> Outcome<Histogram> {
    let mut session = engine.session()?;
    let mut random = Random::new(31);
    let mut latencies = Histogram::default();
    let mut sink = Rows::new(Depth::Whole);
    let (mut before, end) = (Instant::now(), Instant::now() + job.scale.time());
    while before < end {
        let found = session.fresh_get(&data::key(random.below(job.scale.rows)), &mut sink)?;
        if !found {
            return Err("a row disappeared beside a writer that only overwrites".into());
        }
        let after = Instant::now();
        latencies.add(after - before);
        before = after;
    }
    Ok(latencies)
}

/// Overwrites random rows until told to stop; returns the commits made.
fn write_until(
    engine: &dyn Engine,
    dataset: &Dataset,
    job: &Job,
    batch_rows: u64,
    stop: &AtomicBool,
) -> Outcome<u64> {
    let mut session = engine.session()?;
    let mut random = Random::new(32);
    let mut batch = Vec::new();
    let mut commits = 0;
    while !stop.load(Ordering::Relaxed) {
        batch.clear();
        batch.extend((0..batch_rows).map(|_| {
            let index = random.below(job.scale.rows);
            Pair { key: data::key(index), value: dataset.value(index, 1) }
        }));
        session.commit(&batch, Hint::None)?;
        commits += 1;
    }
    Ok(commits)
}
