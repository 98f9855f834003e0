//! Committers on many threads share writes, on the real disk, whichever way it is written.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    sync::{Arc, Barrier, Mutex},
    thread,
};

use crate::common::{Place, append, record};
use llmdb_base::Lsn;
use llmdb_vfs::{
    DirectIo, OsOptions, OsVfs, RingChoice,
    crash::{CrashVfs, OpKind},
};
use llmdb_wal::{Log, LogError, LogOptions};

const THREADS: usize = 16;

fn on_disk(ring: RingChoice, direct: DirectIo, test: impl Fn(&Place)) {
    let folder = tempfile::tempdir().unwrap();
    let vfs = OsVfs::with_options(OsOptions { ring, direct, ..OsOptions::default() });
    test(&Place::on(Arc::new(vfs), &folder.path().join("db-wal"), LogOptions::default()));
}

/// Appends under a lock, as writers of an engine do, and returns the LSN.
fn append_one(log: &Log, order: &Mutex<Vec<Vec<u8>>>, bytes: Vec<u8>) -> Lsn {
    let mut order = order.lock().unwrap();
    let lsn = append(log, &bytes).unwrap();
    order.push(bytes);
    lsn
}

fn commits_of_one_moment_share_a_write(place: &Place) {
    let log = place.create();
    let order = Mutex::new(Vec::new());
    let (rounds, barrier) = (20, Barrier::new(THREADS));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (log, order, barrier) = (&log, &order, &barrier);
            scope.spawn(move || {
                for round in 0..rounds {
                    let lsn = append_one(log, order, record((round * THREADS + thread) as u64, 300));
                    // Nobody commits before all have appended: one write is enough for all of them.
                    barrier.wait();
                    log.sync_to(lsn).unwrap();
                    assert!(log.durable() >= lsn);
                    barrier.wait();
                }
            });
        }
    });
    let stats = log.stats();
    assert_eq!(stats.commit_count, (rounds * THREADS) as u64);
    assert_eq!(stats.batch_count, rounds as u64);
    assert!(stats.ring.is_some());
    drop(log);
    assert!(place.replay(Lsn::new(0)).0 == *order.lock().unwrap());
}

fn commits_at_full_speed(place: &Place) {
    let log = place.create();
    let order = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (log, order) = (&log, &order);
            scope.spawn(move || {
                for number in 0..100 {
                    // Now and then a record of many batches, written while others commit.
                    let len = if number == 50 && thread % 4 == 0 { 3_000_000 } else { 300 };
                    let lsn = append_one(log, order, record((thread * 1000 + number) as u64, len));
                    log.sync_to(lsn).unwrap();
                    assert!(log.durable() >= lsn);
                }
            });
        }
    });
    let stats = log.stats();
    assert!(stats.sync_count <= stats.commit_count);
    assert_eq!(stats.commit_count, 1600);
    drop(log);
    assert!(place.replay(Lsn::new(0)).0 == *order.lock().unwrap());
}

#[test]
fn commits_of_one_moment_share_a_write_in_the_background() {
    on_disk(RingChoice::Auto, DirectIo::Auto, commits_of_one_moment_share_a_write);
}

#[test]
fn commits_of_one_moment_share_a_portable_write() {
    on_disk(RingChoice::Portable, DirectIo::Auto, commits_of_one_moment_share_a_write);
}

#[test]
fn commits_at_full_speed_in_the_background() {
    on_disk(RingChoice::Auto, DirectIo::Auto, commits_at_full_speed);
}

#[test]
fn commits_at_full_speed_with_portable_writes() {
    on_disk(RingChoice::Portable, DirectIo::Auto, commits_at_full_speed);
}

#[test]
fn commits_at_full_speed_through_the_page_cache() {
    on_disk(RingChoice::Portable, DirectIo::Off, commits_at_full_speed);
}

#[test]
fn everybody_learns_of_a_failed_write() {
    use llmdb_vfs::crash::{CrashVfs, Failure, Fault, OpKind};
    let disk = CrashVfs::new(1);
    let place = Place::on(Arc::new(disk.clone()), "db-wal".as_ref(), crate::common::SMALL);
    let log = place.create();
    crate::common::commit(&log, b"fine");
    disk.plan(Fault { kind: OpKind::Completion, after_count: 0, fail_count: 1, failure: Failure::Io });
    let (order, barrier) = (Mutex::new(Vec::new()), Barrier::new(THREADS));
    let errors: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (log, order, barrier) = (&log, &order, &barrier);
                scope.spawn(move || {
                    let lsn = append_one(log, order, record(thread as u64, 100));
                    barrier.wait();
                    log.sync_to(lsn).unwrap_err()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let first = errors.iter().filter(|error| matches!(error, LogError::Io { .. })).count();
    let others = errors.iter().filter(|error| matches!(error, LogError::Poisoned(_))).count();
    assert_eq!((first, others), (1, THREADS - 1));
    assert!(log.poisoned().unwrap().contains("planned device error"));
}

/// What a disk is asked to do for a group is one write, and no sync, no length, nothing else.
#[test]
fn a_group_asks_the_disk_for_one_thing() {
    let disk = CrashVfs::new(1);
    let place = Place::on(Arc::new(disk.clone()), "db-wal".as_ref(), LogOptions::default());
    let log = place.create();
    log.sync_to(append(&log, &record(0, 300)).unwrap()).unwrap();
    let kinds = [OpKind::Submit, OpKind::Completion, OpKind::Arrival];
    let counts = || (kinds.map(|kind| disk.call_count(kind)), disk.op_count());
    for group in [1, 2, 50] {
        let (before, all_before) = counts();
        let lsns: Vec<Lsn> = (0..group).map(|number| append(&log, &record(number, 60)).unwrap()).collect();
        lsns.into_iter().for_each(|lsn| log.sync_to(lsn).unwrap());
        let (after, all_after) = counts();
        let asked: Vec<u64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
        assert_eq!(asked[..2], [1, 1], "a group of {group}");
        assert_eq!(all_after - all_before, asked.iter().sum::<u64>(), "nothing else for a group of {group}");
    }
}
