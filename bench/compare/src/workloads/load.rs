//! Durable loads of an empty store, overwriting of a full one, and the stores that other workloads start from.

use std::time::{Duration, Instant};

use crate::data::{Dataset, Shuffle};
use crate::device::{self, Meter};
use crate::engine::{Engine, Hint, Outcome, Peer};
use crate::job::{Job, Order, Record};
use crate::workloads::store::{self, BASE_VALUE_BYTES, ORDER_SEED};
use crate::workloads::write::{Plan, Written, write};

/// Batches in which stores for other workloads are filled.
const FILL_BATCH_BYTES: u64 = 16 << 20;

/// Makes a store of `rows` rows and closes it.
pub fn fill(peer: &Peer, job: &Job, rows: u64) -> Outcome<Vec<Record>> {
    let dataset = Dataset::new(BASE_VALUE_BYTES);
    let engine = store::open(peer, job, 1)?;
    let plan = Plan {
        dataset: &dataset,
        version: 0,
        rows,
        batch_rows: Plan::rows_of(&dataset, FILL_BATCH_BYTES),
        time_max: Duration::MAX,
        hint: Hint::None,
    };
    write(engine.session()?.as_mut(), &plan, |position| position, |_| ())?;
    engine.settle()?;
    engine.close()?;
    device::sync_file_system(&job.dir)?;
    Ok(Vec::new())
}

/// Loads an empty store in one order; random loads stop when their time is over.
pub fn load(
    peer: &Peer,
    job: &Job,
    order: Order,
    value_bytes: usize,
    batch_bytes: u64,
) -> Outcome<Vec<Record>> {
    let dataset = Dataset::new(value_bytes);
    let rows = (job.scale.load_bytes / dataset.row_bytes()).max(1);
    let plan = Plan {
        dataset: &dataset,
        version: 0,
        rows,
        batch_rows: Plan::rows_of(&dataset, batch_bytes),
        time_max: job.scale.time(),
        hint: if order == Order::Append { Hint::Append } else { Hint::None },
    };
    let shuffle = Shuffle::new(rows, ORDER_SEED);
    let engine = store::open(peer, job, 1)?;
    let mut record = case("load", order_name(order), value_bytes, batch_bytes);
    let written = write_and_settle(job, engine, &plan, &mut record, |position| match order {
        Order::Sequential | Order::Append => position,
        Order::Random => shuffle.at(position),
    })?;
    let engine = store::open(peer, job, 1)?;
    store::verify_all(engine.session()?.as_mut(), &dataset, written.rows)?;
    engine.close()?;
    Ok(vec![record])
}

/// Overwrites every row of the base store once, in random order, until its time is over.
pub fn overwrite(peer: &Peer, job: &Job, batch_bytes: u64) -> Outcome<Vec<Record>> {
    let dataset = Dataset::new(BASE_VALUE_BYTES);
    let rows = job.scale.rows;
    let shuffle = Shuffle::new(rows, ORDER_SEED);
    let plan = Plan {
        dataset: &dataset,
        version: 1,
        rows,
        batch_rows: Plan::rows_of(&dataset, batch_bytes),
        time_max: Duration::from_secs_f64(job.scale.overwrite_seconds),
        hint: Hint::None,
    };
    let mut record = case("overwrite", "random", BASE_VALUE_BYTES, batch_bytes);
    let payload = rows * dataset.row_bytes();
    record.metric("disk_before_per_payload", ratio(device::disk_bytes(&job.dir)?, payload));
    let engine = store::open(peer, job, 1)?;
    store::verify_all(engine.session()?.as_mut(), &dataset, rows)?;
    let written = write_and_settle(job, engine, &plan, &mut record, |position| shuffle.at(position))?;
    record.metric("disk_per_payload", ratio(device::disk_bytes(&job.dir)?, payload));
    let engine = store::open(peer, job, 1)?;
    store::verify_overwritten(engine.session()?.as_mut(), &dataset, shuffle, rows, written.rows)?;
    engine.close()?;
    Ok(vec![record])
}

/// Writes, settles, closes and syncs, and notes what that took of time, device and disk.
fn write_and_settle(
    job: &Job,
    engine: Box<dyn Engine>,
    plan: &Plan<'_>,
    record: &mut Record,
    index_at: impl Fn(u64) -> u64,
) -> Outcome<Written> {
    let meter = Meter::start(&job.dir)?;
    let written = write(engine.session()?.as_mut(), plan, index_at, |_| ())?;
    let settling = Instant::now();
    engine.settle()?;
    engine.close()?;
    device::sync_file_system(&job.dir)?;
    let settled = written.busy + settling.elapsed();
    let payload = written.rows * plan.dataset.row_bytes();
    record
        .metric("mb_s", payload as f64 / 1e6 / written.busy.as_secs_f64())
        .metric("settled_mb_s", payload as f64 / 1e6 / settled.as_secs_f64())
        .metric("share", written.rows as f64 / plan.rows as f64)
        .metric("disk_per_payload", ratio(device::disk_bytes(&job.dir)?, payload))
        .metric_if("written_per_payload", meter.written_bytes().map(|bytes| ratio(bytes, payload)))
        .latencies(&written.commits);
    if written.rows < plan.rows {
        record.notes.push("stopped by its time limit".to_owned());
    }
    Ok(written)
}

fn case(workload: &str, order: &str, value_bytes: usize, batch_bytes: u64) -> Record {
    let mut record =
        Record::new(workload, format!("{order}, {value_bytes} B, {} batch", bytes_name(batch_bytes)));
    (record.value_bytes, record.batch_bytes) = (Some(value_bytes), Some(batch_bytes));
    record
}

fn order_name(order: Order) -> &'static str {
    match order {
        Order::Sequential => "sequential",
        Order::Append => "append hint",
        Order::Random => "random",
    }
}

/// Bytes as people say them.
pub fn bytes_name(bytes: u64) -> String {
    match bytes {
        0..0x400 => format!("{bytes} B"),
        0x400..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
