//! How long recovery would take is estimated from counts, and held below a limit: without a look at a clock.

use llmdb_engine::{Churn, Engine, Options, RecoveryTime};
use llmdb_vfs::crash::Chooser;

use crate::{
    common::{assert_sound, killed, open_with, options, state},
    store::{open_new, put, some},
};

/// Only the estimate makes checkpoints due.
fn by_estimate(recovery: RecoveryTime) -> Options {
    let mut options = options();
    options.checkpoint_log_bytes = u64::MAX;
    options.stall_log_bytes = u64::MAX;
    options.churn = Churn { percent: 0, bytes_min: u64::MAX };
    options.recovery = recovery;
    options
}

fn limits(checkpoint_us: u64) -> RecoveryTime {
    RecoveryTime { checkpoint_us, throttle_us: checkpoint_us * 2, stall_us: checkpoint_us * 3, read_us: 100 }
}

#[test]
fn the_estimate_counts_what_a_replay_would_do() {
    let (disk, engine) = open_new(by_estimate(limits(u64::MAX / 4)));
    put(&engine, 0..20_000, 0, |_| 200);
    engine.checkpoint().unwrap();
    let stats = engine.stats().unwrap();
    assert_eq!((stats.replay_ops, stats.pages.replaced_pages, stats.replay_estimate_us), (0, 0, 0));
    // One row in every leaf, twice: each leaf is read once.
    let leaves = stats.pages.live_pages;
    for round in 1..3 {
        put(&engine, (0..20_000).step_by(10), round, |_| 200);
    }
    let stats = engine.stats().unwrap();
    assert!((4_000..=4_400).contains(&stats.replay_ops), "{stats:?}");
    let replaced = stats.pages.replaced_pages;
    assert!(replaced > leaves * 9 / 10 && replaced <= leaves, "{replaced} of {leaves}");
    let apply_us = stats.replay_ops * (stats.apply_ns + 200) / 1_000 + stats.replay_bytes / 1_024 * 2;
    // Files, a map of one page twice, and what is left of two segments.
    let opening_us = 10_000 + 200 + 2 * (64 << 10) / 1_024 * 2;
    let read_us = (replaced * 100).min(stats.pages.live_pages * 8);
    assert_eq!(stats.replay_estimate_us, apply_us + read_us + opening_us);
    // Recovery comes to the same counts.
    engine.sync().unwrap();
    let again = open_with(&killed(&disk), by_estimate(limits(u64::MAX / 4))).unwrap();
    let found = again.stats().unwrap();
    assert_eq!(found.replay_ops, stats.replay_ops);
    assert!(found.pages.replaced_pages.abs_diff(replaced) < 20, "{found:?}");
    assert!(state(&again) == state(&engine));
}

#[test]
fn a_checkpoint_begins_before_recovery_would_take_too_long() {
    let (_, engine) = open_new(by_estimate(limits(50_000)));
    let mut chooser = Chooser::new(3);
    let mut most = 0;
    for round in 0..300 {
        put(&engine, some(&mut chooser, 10_000, 100), round, |_| 200);
        most = most.max(engine.stats().unwrap().replay_estimate_us);
    }
    let stats = engine.stats().unwrap();
    // 30,000 operations of some 4 us are 120 ms and the leaves on top.
    assert!((2..60).contains(&stats.checkpoint_count), "{stats:?}");
    assert!(most < 50_000, "{most} us");
    assert_eq!((stats.throttled_count, stats.stalled_count), (0, 0), "there was no need");
    assert_sound(&engine);
}

/// A transaction that is too large by itself: the next writer finds a checkpoint made.
#[test]
fn one_large_transaction() {
    let (_, engine) = open_new(by_estimate(limits(10_000)));
    let mut txn = engine.begin_write().unwrap();
    let mut tree = txn.tree("rows").unwrap();
    for number in 0..20_000_u64 {
        tree.put(number.to_be_bytes(), [7; 50]).unwrap();
    }
    txn.commit().unwrap();
    assert!(engine.stats().unwrap().replay_estimate_us < 10_000);
    assert_eq!(engine.stats().unwrap().checkpoint_count, 1);
}

/// Limits that every commit exceeds: each makes its checkpoint, and the next goes on.
#[test]
fn a_limit_that_cannot_be_held_stops_nobody_for_ever() {
    let (_, engine) =
        open_new(by_estimate(RecoveryTime { checkpoint_us: 1, throttle_us: 1, stall_us: 1, read_us: 1 }));
    for round in 0..20 {
        put(&engine, 0..50, round, |_| 200);
    }
    let stats: llmdb_engine::Stats = Engine::stats(&engine).unwrap();
    assert!(stats.checkpoint_count >= 20, "{stats:?}");
}

/// With threads: writers that run ahead of the checkpoints are slowed down, or wait, and all they wrote is there.
#[test]
fn writers_wait_for_checkpoints_in_the_background() {
    for (throttle_us, stall_us) in [(1, u64::MAX), (1, 2)] {
        let mut options =
            by_estimate(RecoveryTime { checkpoint_us: u64::MAX, throttle_us, stall_us, read_us: 1 });
        options.background = llmdb_engine::Background::Threads;
        let (_, engine) = open_new(options);
        for round in 0..20 {
            put(&engine, 0..10, round, |_| 200);
        }
        let stats = engine.stats().unwrap();
        if stall_us == u64::MAX {
            assert_eq!(stats.throttled_count, 19, "each but the first: {stats:?}");
        } else {
            assert!(stats.stalled_count > 0 && stats.checkpoint_count >= stats.stalled_count, "{stats:?}");
        }
        assert_eq!(engine.snapshot_latest().unwrap().trees().unwrap(), [("rows".to_owned(), 10)]);
    }
}

/// Epochs are given away by transactions that log nothing, too. The next opening skips 2^20 of them: a checkpoint comes
/// before a crash could lose more.
#[test]
fn a_checkpoint_comes_before_too_many_epochs() {
    let (_, engine) = open_new(by_estimate(limits(u64::MAX / 4)));
    put(&engine, 0..1, 0, |_| 200);
    for _ in 0..(1 << 19) {
        drop(engine.begin_write().unwrap());
    }
    let stats = engine.stats().unwrap();
    assert_eq!((stats.checkpoint_count, stats.pages.epochs > 1 << 19), (0, true), "{stats:?}");
    put(&engine, 0..1, 1, |_| 200);
    let stats = engine.stats().unwrap();
    assert_eq!((stats.checkpoint_count, stats.pages.epochs < 10), (1, true), "{stats:?}");
    // Whoever commits nothing is stopped in time.
    for _ in 0..(1 << 20) {
        drop(engine.begin_write().unwrap());
    }
    let stats = engine.stats().unwrap();
    assert_eq!(stats.checkpoint_count, 2, "{stats:?}");
    assert!(stats.pages.epochs < 1 << 20, "{stats:?}");
}
