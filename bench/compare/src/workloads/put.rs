//! One durable put per transaction: from several threads that wait, and from one that does not.

use std::collections::VecDeque;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::data::{self, Dataset, Random};
use crate::device::{self, Meter};
use crate::engine::{Engine, Hint, Outcome, Pair, Peer};
use crate::histogram::Histogram;
use crate::job::{Job, Record};
use crate::workloads::store::{self, BASE_VALUE_BYTES};

/// Commits in flight at most. Deep enough to fill several log writes, shallow enough to keep latencies honest.
const IN_FLIGHT_MAX: usize = 4096;

/// How often the pipelined writer asks what is durable.
const ASK_EVERY: u64 = 32;

/// Overwrites random rows of the base store, one row per transaction, from `threads` threads.
pub fn put(peer: &Peer, job: &Job, threads: usize) -> Outcome<Vec<Record>> {
    let dataset = Dataset::new(BASE_VALUE_BYTES);
    let engine = store::open(peer, job, threads)?;
    store::verify_all(engine.session()?.as_mut(), &dataset, job.scale.rows)?;
    let meter = Meter::start(&job.dir)?;
    let barrier = Barrier::new(threads + 1);
    let (took, parts): (Duration, Vec<Outcome<Histogram>>) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads as u64)
            .map(|thread| {
                let (engine, dataset, barrier) = (engine.as_ref(), &dataset, &barrier);
                scope.spawn(move || put_alone(engine, dataset, job, thread, barrier))
            })
            .collect();
        barrier.wait();
        let start = Instant::now();
        let parts =
            workers.into_iter().map(|it| it.join().unwrap_or_else(|_| Err("a writer panicked".into())));
        let parts = parts.collect();
        (start.elapsed(), parts)
    });
    let written = meter.written_bytes();
    let mut latencies = Histogram::default();
    for part in parts {
        latencies.merge(&part?);
    }
    engine.settle()?;
    engine.close()?;
    device::sync_file_system(&job.dir)?;
    let per_tx = |bytes: u64| bytes as f64 / 1e3 / latencies.count().max(1) as f64;
    let mut record = Record::new("put", threads_name(threads));
    record.threads = Some(threads);
    record
        .metric("tx_s", latencies.count() as f64 / took.as_secs_f64())
        .metric_if("kb_per_tx", written.map(per_tx))
        .metric_if("settled_kb_per_tx", meter.written_bytes().map(per_tx))
        .latencies(&latencies);
    Ok(vec![record])
}

fn put_alone(
    engine: &dyn Engine,
    dataset: &Dataset,
    job: &Job,
    thread: u64,
    barrier: &Barrier,
) -> Outcome<Histogram> {
    let session = engine.session();
    // Every thread must come here, or the others would wait for it for ever.
    barrier.wait();
    let mut session = session?;
    let mut random = Random::new(thread + 1);
    let mut latencies = Histogram::default();
    let (mut before, end) = (Instant::now(), Instant::now() + job.scale.time());
    while before < end {
        let index = random.below(job.scale.rows);
        let pair = Pair { key: data::key(index), value: dataset.value(index, 1) };
        session.commit(&[pair], Hint::None)?;
        let after = Instant::now();
        latencies.add(after - before);
        before = after;
    }
    Ok(latencies)
}

/// Overwrites random rows of the base store, one row per transaction, without waiting for each.
pub fn pipeline(peer: &Peer, job: &Job) -> Outcome<Vec<Record>> {
    let dataset = Dataset::new(BASE_VALUE_BYTES);
    let engine = store::open(peer, job, 1)?;
    store::verify_all(engine.session()?.as_mut(), &dataset, job.scale.rows)?;
    let (took, latencies) = submit_for(engine.as_ref(), &dataset, job)?;
    engine.settle()?;
    engine.close()?;
    let mut record = Record::new("pipeline", "1 writer");
    record.metric("tx_s", latencies.count() as f64 / took.as_secs_f64()).latencies(&latencies);
    Ok(vec![record])
}

fn submit_for(engine: &dyn Engine, dataset: &Dataset, job: &Job) -> Outcome<(Duration, Histogram)> {
    let mut pipeline = engine.pipeline().ok_or("the engine says that it has a pipeline")??;
    let mut random = Random::new(1);
    let mut in_flight = VecDeque::with_capacity(IN_FLIGHT_MAX);
    let mut latencies = Histogram::default();
    let start = Instant::now();
    let mut submitted = 0;
    while start.elapsed() < job.scale.time() {
        for _ in 0..ASK_EVERY {
            let index = random.below(job.scale.rows);
            in_flight.push_back(Instant::now());
            pipeline.submit(&Pair { key: data::key(index), value: dataset.value(index, 1) })?;
            submitted += 1;
        }
        if in_flight.len() >= IN_FLIGHT_MAX {
            pipeline.wait(submitted - in_flight.len() as u64 / 2)?;
        }
        acknowledge(&mut in_flight, submitted, pipeline.durable_count()?, &mut latencies);
    }
    pipeline.wait(submitted)?;
    acknowledge(&mut in_flight, submitted, submitted, &mut latencies);
    Ok((start.elapsed(), latencies))
}

fn acknowledge(in_flight: &mut VecDeque<Instant>, submitted: u64, durable: u64, latencies: &mut Histogram) {
    let now = Instant::now();
    let waiting = (submitted - durable.min(submitted)) as usize;
    while in_flight.len() > waiting {
        in_flight.pop_front().into_iter().for_each(|since| latencies.add(now - since));
    }
}

/// A number of threads as people say it.
pub fn threads_name(threads: usize) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}
