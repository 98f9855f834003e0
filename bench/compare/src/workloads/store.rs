//! Opening a store, and the checks that its rows are what they must be.

use crate::data::{self, Dataset, Random, Shuffle};
use crate::engine::{Engine, Outcome, Peer, Session, Settings};
use crate::job::Job;
use crate::rows::{Depth, Rows};

/// Value bytes of the base store.
pub const BASE_VALUE_BYTES: usize = 256;

/// Seed of the order in which rows are written randomly.
pub const ORDER_SEED: u64 = 0x0bad_5eed;

/// Address space for engines that map: far more than a store here needs, far less than a process has.
const MAP_BYTES: u64 = 64 << 30;

/// The settings of a job's engine for `sessions_max` threads.
pub fn settings(job: &Job, sessions_max: usize) -> Settings {
    Settings { dir: job.dir.clone(), cache_bytes: job.scale.cache_bytes, map_bytes: MAP_BYTES, sessions_max }
}

/// Opens a job's store for `sessions_max` threads.
pub fn open(peer: &Peer, job: &Job, sessions_max: usize) -> Outcome<Box<dyn Engine>> {
    std::fs::create_dir_all(&job.dir)?;
    (peer.open)(&settings(job, sessions_max))
}

/// Warms the store up by reading every row, and fails unless there are `rows` rows that hold version 0.
pub fn verify_all(session: &mut dyn Session, dataset: &Dataset, rows: u64) -> Outcome<()> {
    let mut seen = Rows::new(Depth::Verify(dataset, 0));
    session.snapshot(&mut |snapshot| snapshot.scan(None, usize::MAX, &mut seen))?;
    if seen.count != rows || seen.wrong > 0 {
        return Err(
            format!("expected {rows} rows, found {}, {} of them wrong", seen.count, seen.wrong).into()
        );
    }
    Ok(())
}

/// Fails unless, among random positions of `order`, those below `written` hold version 1 and the others version 0.
pub fn verify_overwritten(
    session: &mut dyn Session,
    dataset: &Dataset,
    order: Shuffle,
    rows: u64,
    written: u64,
) -> Outcome<()> {
    const SAMPLES: u64 = 20_000;
    let mut random = Random::new(99);
    let (mut old, mut new) = (Rows::new(Depth::Verify(dataset, 0)), Rows::new(Depth::Verify(dataset, 1)));
    let mut missing = 0_u64;
    session.snapshot(&mut |snapshot| {
        for _ in 0..SAMPLES {
            let position = random.below(rows);
            let key = data::key(order.at(position));
            let found = snapshot.get(&key, if position < written { &mut new } else { &mut old })?;
            missing += u64::from(!found);
        }
        Ok(())
    })?;
    let wrong = old.wrong + new.wrong;
    if missing + wrong > 0 {
        return Err(
            format!("of {SAMPLES} rows looked up, {missing} are missing and {wrong} are wrong").into()
        );
    }
    Ok(())
}
