//! What the machine can do without any engine, measured in the same run: the yardstick beside the peers.

mod direct;
mod disk;
mod log;
mod memory;

use crate::engine::Outcome;
use crate::job::{Job, Record};

/// Name under which limits stand where engines do.
pub const NAME: &str = "limit";

/// Every probe, each for a part of the measured time.
pub fn run(job: &Job) -> Outcome<Vec<Record>> {
    std::fs::create_dir_all(&job.dir)?;
    let time = job.scale.part(8);
    let mut records = disk::probe(&job.dir, time)?;
    records.extend(log::probe(&job.dir, time)?);
    records.extend(memory::probe(job.scale.rows, time));
    Ok(records)
}
