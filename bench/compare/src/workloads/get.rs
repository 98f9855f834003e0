//! Random gets from a warm store: one long snapshot, batches of keys, a snapshot for each get.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::data::{self, Dataset, KEY_LEN, Key, Random};
use crate::engine::{Engine, Outcome, Peer, Session};
use crate::histogram::Histogram;
use crate::job::{Job, Record};
use crate::rows::{Depth, Rows};
use crate::workloads::store::{self, BASE_VALUE_BYTES};
use crate::workloads::threads_name;

/// Keys of a multi-get.
const MULTI: usize = 16;

/// One get in so many is timed by itself: reading the clock costs a few percent of a get.
const SAMPLE_EVERY: u64 = 32;

/// The ways to get.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Long,
    Multi,
    Fresh,
}

/// Gets in all ways, from one and two threads.
pub fn get(peer: &Peer, job: &Job) -> Outcome<Vec<Record>> {
    let dataset = Dataset::new(BASE_VALUE_BYTES);
    let engine = store::open(peer, job, 2)?;
    store::verify_all(engine.session()?.as_mut(), &dataset, job.scale.rows)?;
    drop(dataset);
    let mut records = Vec::new();
    for threads in [1, 2] {
        for way in [Way::Long, Way::Multi, Way::Fresh] {
            let mut record = measure(engine.as_ref(), job, threads, way)?;
            if way == Way::Multi && !peer.abilities.multi_get {
                record.notes.push("no multi-get: a loop over single gets".to_owned());
            }
            records.push(record);
        }
    }
    engine.close()?;
    Ok(records)
}

fn measure(engine: &dyn Engine, job: &Job, threads: usize, way: Way) -> Outcome<Record> {
    let (barrier, time) = (Barrier::new(threads), job.scale.part(3));
    let parts: Vec<Outcome<(f64, Histogram)>> = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..threads as u64)
            .map(|thread| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let session = engine.session();
                    barrier.wait();
                    get_alone(session?.as_mut(), job.scale.rows, Random::new(thread + 11), time, way)
                })
            })
            .collect();
        readers
            .into_iter()
            .map(|reader| reader.join().unwrap_or_else(|_| Err("a reader panicked".into())))
            .collect()
    });
    let (mut rate, mut latencies) = (0.0, Histogram::default());
    for part in parts {
        let (its_rate, its_latencies) = part?;
        rate += its_rate;
        latencies.merge(&its_latencies);
    }
    let name = match way {
        Way::Long => "one snapshot".to_owned(),
        Way::Multi => format!("multi-get of {MULTI}"),
        Way::Fresh => "fresh snapshot each".to_owned(),
    };
    let mut record = Record::new("get", format!("{}, {name}", threads_name(threads)));
    record.threads = Some(threads);
    record.metric("gets_s", rate).latencies(&latencies);
    Ok(record)
}

/// Gets random rows until the time is over; the rate, and the latency of a call.
fn get_alone(
    session: &mut dyn Session,
    rows: u64,
    mut random: Random,
    time: Duration,
    way: Way,
) -> Outcome<(f64, Histogram)> {
    let mut sink = Rows::new(Depth::Whole);
    let mut keys: [Key; MULTI] = [[0; KEY_LEN]; MULTI];
    let start = Instant::now();
    let (count, latencies) = match way {
        Way::Fresh => repeat(time, || {
            let found = session.fresh_get(&data::key(random.below(rows)), &mut sink)?;
            Ok(usize::from(found))
        })?,
        Way::Long | Way::Multi => {
            let mut result = None;
            session.snapshot(&mut |snapshot| {
                let counted = repeat(time, || {
                    if way == Way::Long {
                        return Ok(usize::from(snapshot.get(&data::key(random.below(rows)), &mut sink)?));
                    }
                    keys.fill_with(|| data::key(random.below(rows)));
                    snapshot.multi_get(&keys, &mut sink)
                })?;
                result = Some(counted);
                Ok(())
            })?;
            result.ok_or("the engine did not run what reads the snapshot")?
        }
    };
    let took = start.elapsed();
    let wanted = if way == Way::Multi { count * MULTI as u64 } else { count };
    if sink.count != wanted {
        return Err(format!("{} of {wanted} rows were not found", wanted - sink.count).into());
    }
    Ok((sink.count as f64 / took.as_secs_f64(), latencies))
}

/// Calls until the time is over; returns how often, and the latencies of a sample.
fn repeat(time: Duration, mut call: impl FnMut() -> Outcome<usize>) -> Outcome<(u64, Histogram)> {
    let mut latencies = Histogram::default();
    let end = Instant::now() + time;
    let mut count = 0;
    loop {
        for _ in 1..SAMPLE_EVERY {
            call()?;
        }
        let before = Instant::now();
        call()?;
        let after = Instant::now();
        latencies.add(after - before);
        count += SAMPLE_EVERY;
        if after >= end {
            return Ok((count, latencies));
        }
    }
}
