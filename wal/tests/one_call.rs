//! A group of commits costs one call of the system. The only test of its program: it counts the calls of the whole process.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    sync::{Arc, Barrier, Mutex},
    thread,
};

use llmdb_base::{Lsn, StoreId};
use llmdb_vfs::OsVfs;
use llmdb_wal::{Log, LogOptions};

const THREADS: usize = 4;
const ROUNDS: usize = 100;

/// Calls of this process so far that write, as the kernel counts them; `None` where it does not say.
fn write_calls() -> Option<u64> {
    let counts = std::fs::read_to_string("/proc/self/io").ok()?;
    counts.lines().find_map(|line| line.strip_prefix("syscw: "))?.parse().ok()
}

fn append(log: &Log, order: &Mutex<()>) -> Lsn {
    let _one = order.lock().unwrap();
    let mut record = log.begin().unwrap();
    record.append(&[7; 100]).unwrap();
    record.finish().unwrap()
}

#[test]
fn a_group_is_one_call() {
    let folder = tempfile::tempdir().unwrap();
    let (vfs, dir) = (Arc::new(OsVfs::new()), folder.path().join("db-wal"));
    let log = Log::create(vfs, &dir, StoreId::new(1), Lsn::new(0), LogOptions::default()).unwrap();
    let order = Mutex::new(());
    // Makes the first segment, and the zeros ahead of all that follows.
    log.sync_to(append(&log, &order)).unwrap();
    let Some(calls) = write_calls() else { return };
    let batches = log.stats().batch_count;

    for _ in 0..ROUNDS {
        log.sync_to(append(&log, &order)).unwrap();
    }
    assert_eq!(log.stats().batch_count - batches, ROUNDS as u64);
    assert_eq!(write_calls().unwrap() - calls, ROUNDS as u64, "of a commit alone");

    let barrier = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let lsn = append(&log, &order);
                    barrier.wait();
                    log.sync_to(lsn).unwrap();
                    barrier.wait();
                }
            });
        }
    });
    assert_eq!(log.stats().batch_count - batches, 2 * ROUNDS as u64, "a group of {THREADS} is one batch");
    assert_eq!(write_calls().unwrap() - calls, 2 * ROUNDS as u64, "of groups of {THREADS}");
}
