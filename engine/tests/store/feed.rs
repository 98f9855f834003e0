//! The change feed: whoever applies what it is told holds the store, after every crash, without a gap and without a
//! repeat; consumers keep the log for themselves, as far as they may; and who falls behind is told.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::common::{
    Script, Step,
    follower::{Follower, visible},
    killed, open_with, options,
    script::{Change, commit, key, puts, value},
    segments, state,
};
use llmdb_engine::{
    Change as Seen, Durability, Engine, Error, ErrorKind, FeedFrom, Lsn, Options, Position, Sharing, TxnId,
};
use llmdb_vfs::crash::{Chooser, CrashVfs, Preset};
use proptest::prelude::*;

fn small() -> Options {
    let mut options = options();
    options.checkpoint_log_bytes = 96 << 10;
    options
}

fn store(seed: u64) -> (CrashVfs, Engine) {
    let disk = CrashVfs::new(seed);
    let engine = open_with(&disk, small()).unwrap();
    (disk, engine)
}

#[test]
fn the_feed_of_a_script_gives_every_state_of_it() {
    let script = Script::varied();
    let disk = CrashVfs::new(1);
    let mut engine = open_with(&disk, script.options.clone()).unwrap();
    engine.create_consumer("copy", FeedFrom::Now).unwrap();
    let (mut follower, mut count) = (Follower::default(), 0);
    for step in &script.steps {
        match step {
            Step::Commit(changes) => {
                commit(&engine, changes).unwrap();
                count += 1;
                follower.drain(&mut engine.changes_for("copy").unwrap()).unwrap();
                engine.advance_consumer("copy", follower.position.unwrap()).unwrap();
                assert!(follower.trees == script.states[count], "after {count} commits");
                assert_eq!(follower.count, count as u64, "one transaction for each commit");
            }
            Step::Checkpoint => engine.checkpoint().unwrap(),
            Step::Reopen => {
                engine.close().unwrap();
                engine = open_with(&disk, script.options.clone()).unwrap();
            }
            Step::Hold | Step::Release | Step::Backup => {}
        }
    }
}

#[test]
fn what_nobody_read_before_a_clean_close_is_read_after_it() {
    let script = Script::varied();
    let disk = CrashVfs::new(2);
    let engine = open_with(&disk, script.options.clone()).unwrap();
    engine.create_consumer("late", FeedFrom::Now).unwrap();
    engine.close().unwrap();
    script.run(&disk).close().unwrap();
    for _ in 0..3 {
        // Openings that write nothing lose nothing, either.
        open_with(&disk, script.options.clone()).unwrap().close().unwrap();
    }
    let engine = open_with(&disk, script.options.clone()).unwrap();
    let mut follower = Follower::default();
    follower.drain(&mut engine.changes_for("late").unwrap()).unwrap();
    assert!(follower.trees == *script.last());
    assert_eq!(follower.count as usize, script.states.len() - 1);
}

#[test]
fn without_consumers_a_clean_close_leaves_no_log() {
    let (disk, engine) = store(3);
    engine.create_consumer("short", FeedFrom::Now).unwrap();
    commit(&engine, &puts("rows", 0..10, 1, 50)).unwrap();
    assert!(engine.remove_consumer("short").unwrap());
    assert!(!engine.remove_consumer("short").unwrap());
    engine.close().unwrap();
    assert_eq!(segments(&disk), []);
}

#[test]
fn only_what_counts_is_shown_and_as_it_was_called_then() {
    let (_, engine) = store(4);
    engine.create_consumer("c", FeedFrom::Now).unwrap();
    let mut changes = engine.changes_for("c").unwrap();
    let mut txn = engine.begin_write().unwrap();
    txn.tree("gone").unwrap().put("k", "v").unwrap();
    let savepoint = txn.savepoint().unwrap();
    txn.tree("never").unwrap().put("x", "y").unwrap();
    txn.rollback_to(savepoint).unwrap();
    txn.tree("gone").unwrap().put("l", value(1, 600_000)).unwrap();
    let committed = txn.commit().unwrap();
    let mut txn = engine.begin_write().unwrap();
    txn.drop_tree("gone").unwrap();
    txn.commit().unwrap();

    let mut found = changes.next_txn().unwrap().unwrap();
    assert_eq!(found.commit(), committed);
    let mut seen = Vec::new();
    while let Some(change) = found.next_change().unwrap() {
        seen.push(match change {
            Seen::CreateTree { tree, .. } => format!("create {tree}"),
            Seen::Put { tree, key, value_len } => format!("put {tree} {} {value_len}", key.escape_ascii()),
            other => format!("{other:?}"),
        });
    }
    assert_eq!(seen, ["create gone", "put gone k 1", "put gone l 600000"]);
    let mut found = changes.next_txn().unwrap().unwrap();
    assert!(matches!(found.next_change().unwrap(), Some(Seen::DropTree { tree: "gone", .. })));
    assert!(changes.next_txn().unwrap().is_none());
    assert_eq!(changes.position().unwrap().txid, engine.last_commit().txid);
}

#[test]
fn a_tree_that_was_dropped_before_anybody_looked_has_its_name() {
    let (_, engine) = store(5);
    commit(&engine, &puts("early", [1], 1, 10)).unwrap();
    let position = Position::from(engine.last_commit());
    commit(&engine, &puts("early", [2], 1, 10)).unwrap();
    commit(&engine, &puts("other", [2], 1, 10)).unwrap();
    commit(&engine, &[Change::Drop("early")]).unwrap();
    let mut changes = engine.changes(FeedFrom::After(position)).unwrap();
    let mut txn = changes.next_txn().unwrap().unwrap();
    assert!(matches!(txn.next_change().unwrap(), Some(Seen::Put { tree: "early", .. })));
}

#[test]
fn only_what_is_durable_is_shown() {
    let (disk, engine) = store(6);
    commit(&engine, &puts("rows", 0..5, 1, 50)).unwrap();
    let mut changes = engine.changes(FeedFrom::Now).unwrap();
    let mut txn = engine.begin_write().unwrap();
    txn.put("quick", "1").unwrap();
    txn.commit_with(Durability::Off).unwrap();
    assert!(changes.next_txn().unwrap().is_none(), "it could still be lost");
    assert!(!changes.wait(Duration::from_millis(1)));
    engine.sync().unwrap();
    assert!(changes.wait(Duration::ZERO));
    let found = changes.next_txn().unwrap().unwrap().commit();
    assert_eq!(found.txid, engine.last_commit().txid);
    drop(disk);
}

#[test]
fn reading_can_begin_at_any_transaction_and_position() {
    let (disk, engine) = store(7);
    let mut commits = Vec::new();
    for number in 0..20 {
        commit(&engine, &puts("rows", [number], number, 700)).unwrap();
        commits.push(engine.last_commit());
    }
    let first = |from| {
        let mut changes = engine.changes(from).unwrap();
        changes.next_txn().unwrap().map(|txn| txn.commit().txid.get())
    };
    for (index, commit) in commits.iter().enumerate() {
        let next = commits.get(index + 1).map(|commit| commit.txid.get());
        assert_eq!(first(FeedFrom::AfterTx(commit.txid)), next);
        assert_eq!(first(FeedFrom::After((*commit).into())), next);
        assert_eq!(first(FeedFrom::AfterLsn(commit.lsn)), next);
    }
    assert_eq!(first(FeedFrom::Oldest), Some(1));
    assert_eq!(first(FeedFrom::AfterTx(TxnId::new(0))), Some(1));
    assert_eq!(first(FeedFrom::Now), None);
    for ahead in [
        FeedFrom::AfterTx(TxnId::new(21)),
        FeedFrom::AfterLsn(Lsn::new(1 << 40)),
        FeedFrom::After(Position { txid: TxnId::new(99), lsn: Lsn::new(4096) }),
    ] {
        assert_eq!(engine.changes(ahead).unwrap_err().kind(), ErrorKind::NotKept, "{ahead:?}");
    }
    let misplaced = Position { txid: TxnId::new(9), lsn: commits[4].lsn };
    let error = engine.changes(FeedFrom::After(misplaced)).unwrap().next_txn().unwrap_err();
    assert!(error.to_string().contains("tx6 follows tx9"), "{error}");
    engine.close().unwrap();
    let engine = open_with(&disk, small()).unwrap();
    for gone in [FeedFrom::AfterTx(TxnId::new(3)), FeedFrom::After(commits[2].into())] {
        let error = engine.changes(gone).unwrap().next_txn().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotKept, "nobody kept the log: {error}");
    }
    assert!(engine.changes(FeedFrom::AfterTx(TxnId::new(20))).unwrap().next_txn().unwrap().is_none());
    let memory = Engine::in_memory().unwrap();
    assert_eq!(memory.changes(FeedFrom::Now).unwrap_err().kind(), ErrorKind::Misuse);
}

#[test]
fn consumers_have_names_and_positions_of_their_own() {
    let (disk, engine) = store(8);
    engine.create_consumer("a", FeedFrom::Now).unwrap();
    assert_eq!(engine.create_consumer("a", FeedFrom::Now).unwrap_err().kind(), ErrorKind::Misuse);
    commit(&engine, &puts("rows", 0..3, 1, 50)).unwrap();
    engine.create_consumer("b", FeedFrom::Now).unwrap();
    engine.create_consumer("all", FeedFrom::Oldest).unwrap();
    commit(&engine, &puts("rows", 3..6, 1, 50)).unwrap();
    let (mut a, mut b) = (Follower::default(), Follower::default());
    a.drain(&mut engine.changes_for("a").unwrap()).unwrap();
    assert_eq!(a.count, 2);
    engine.advance_consumer("a", a.position.unwrap()).unwrap();
    let old = Position { txid: TxnId::new(1), lsn: Lsn::new(0) };
    assert_eq!(engine.advance_consumer("a", old).unwrap_err().kind(), ErrorKind::Misuse);
    assert_eq!(engine.advance_consumer("nobody", old).unwrap_err().kind(), ErrorKind::Misuse);
    assert_eq!(engine.changes_for("nobody").unwrap_err().kind(), ErrorKind::Misuse);
    let crashed = killed(&disk);
    let engine = open_with(&crashed, small()).unwrap();
    let names: Vec<_> = engine.consumers().unwrap().into_iter().map(|consumer| consumer.name).collect();
    assert_eq!(names, ["a", "all", "b"]);
    assert!(engine.changes_for("a").unwrap().next_txn().unwrap().is_none(), "a has seen it all");
    b.trees = visible(state(&engine));
    b.trees.get_mut("rows").unwrap().retain(|row, _| *row < key(3));
    b.drain(&mut engine.changes_for("b").unwrap()).unwrap();
    assert_eq!(b.count, 1);
    b.assert_equals(&engine, "b");
    let mut all = Follower::default();
    all.drain(&mut engine.changes_for("all").unwrap()).unwrap();
    assert_eq!(all.count, 2);
    all.assert_equals(&engine, "all");
}

fn log_bytes(disk: &CrashVfs) -> u64 {
    segments(disk).iter().map(|(_, len)| len).sum()
}

#[test]
fn who_falls_behind_gets_a_gap_and_goes_on_from_a_snapshot() {
    let disk = CrashVfs::new(9);
    let mut options = small();
    options.feed_log_bytes = 512 << 10;
    let engine = open_with(&disk, options).unwrap();
    engine.create_consumer("slow", FeedFrom::Now).unwrap();
    engine.create_consumer("fast", FeedFrom::Now).unwrap();
    let mut fast = Follower::default();
    for round in 0..60 {
        commit(&engine, &puts("rows", round..round + 40, round, 900)).unwrap();
        fast.drain(&mut engine.changes_for("fast").unwrap()).unwrap();
        engine.advance_consumer("fast", fast.position.unwrap()).unwrap();
        assert!(log_bytes(&disk) < 1 << 20, "the log stays within what it may take");
    }
    engine.checkpoint().unwrap();
    fast.assert_equals(&engine, "fast");
    let error = engine.changes_for("slow").unwrap().next_txn().unwrap_err();
    let Error::FeedGap { oldest, .. } = &error else { panic!("{error}") };
    assert_eq!(error.kind(), ErrorKind::NotKept);
    let snapshot = engine.snapshot().unwrap();
    assert!(snapshot.lsn() >= *oldest);
    let position = Position { txid: snapshot.txid(), lsn: snapshot.lsn() };
    let trees = visible(crate::common::contents(&snapshot).unwrap());
    let mut slow = Follower { trees, position: Some(position), count: 0 };
    engine.advance_consumer("slow", position).unwrap();
    commit(&engine, &puts("rows", 500..510, 1, 50)).unwrap();
    slow.drain(&mut engine.changes_for("slow").unwrap()).unwrap();
    slow.assert_equals(&engine, "slow");
}

#[test]
fn log_is_kept_for_a_consumer_and_no_longer_than_allowed() {
    let disk = CrashVfs::new(10);
    let mut options = small();
    options.feed_log_us = 3_600_000_000;
    let engine = open_with(&disk, options).unwrap();
    engine.create_consumer("slow", FeedFrom::Now).unwrap();
    for round in 0..40 {
        commit(&engine, &puts("rows", round..round + 40, round, 900)).unwrap();
    }
    let kept = segments(&disk).len();
    assert!(kept > 15, "{kept} segments");
    let mut slow = Follower::default();
    slow.drain(&mut engine.changes_for("slow").unwrap()).unwrap();
    slow.assert_equals(&engine, "slow");
    disk.advance_us(2 * 3_600_000_000);
    for round in 0..3 {
        commit(&engine, &puts("rows", round..round + 40, round, 900)).unwrap();
        engine.checkpoint().unwrap();
    }
    assert!(segments(&disk).len() < kept / 2);
    assert_eq!(engine.changes_for("slow").unwrap().next_txn().unwrap_err().kind(), ErrorKind::NotKept);
}

#[test]
fn a_reader_without_a_name_keeps_the_log_while_it_lives() {
    let (disk, engine) = store(11);
    commit(&engine, &puts("rows", [1], 1, 50)).unwrap();
    let mut follower = Follower { trees: state(&engine), ..Follower::default() };
    let mut changes = engine.changes(FeedFrom::Now).unwrap();
    for round in 0..30 {
        commit(&engine, &puts("rows", round..round + 40, round, 900)).unwrap();
    }
    follower.drain(&mut changes).unwrap();
    follower.assert_equals(&engine, "it was kept");
    let kept = segments(&disk).len();
    drop(changes);
    (0..3).for_each(|_| engine.checkpoint().unwrap());
    assert!(segments(&disk).len() < kept);
}

#[test]
fn a_follower_beside_writers_sees_every_commit_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::default();
    options.segment_bytes_max = 256 << 10;
    options.log_window_bytes = 64 << 10;
    options.checkpoint_log_bytes = 512 << 10;
    let engine = Engine::open(folder.path().join("live.llmdb"), options).unwrap();
    engine.create_consumer("copy", FeedFrom::Now).unwrap();
    let done = AtomicBool::new(false);
    let mut follower = Follower::default();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2_u64)
            .map(|writer| {
                let engine = &engine;
                scope.spawn(move || {
                    for number in 0..150_u64 {
                        let mut changes = puts("rows", [number * 2 + writer], number, 3_000);
                        if number.is_multiple_of(20) {
                            changes.push(Change::Put("long", key(number), value(number, 700_000)));
                        }
                        commit(engine, &changes).unwrap();
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut changes = engine.changes_for("copy").unwrap();
            while !done.load(Ordering::Acquire) {
                changes.wait(Duration::from_millis(20));
                follower.drain(&mut changes).unwrap();
            }
            follower.drain(&mut changes).unwrap();
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Release);
        reader.join().unwrap();
    });
    assert_eq!(follower.count, 300);
    follower.assert_equals(&engine, "after all writers");
}

#[test]
fn a_process_that_does_not_write_follows_those_that_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shared.llmdb");
    let mut options = Options::default();
    options.sharing = Sharing::Shared;
    options.segment_bytes_max = 128 << 10;
    options.log_window_bytes = 32 << 10;
    options.checkpoint_log_bytes = 256 << 10;
    let open = || Engine::open(&path, options.clone()).unwrap();
    let (first, second, watcher) = (open(), open(), open());
    let mut follower = Follower::default();
    watcher.create_consumer("copy", FeedFrom::Now).unwrap();
    let mut changes = watcher.changes_for("copy").unwrap();
    for round in 0..40 {
        let writer = if round % 3 == 0 { &second } else { &first };
        commit(writer, &puts("rows", round..round + 5, round, 4_000)).unwrap();
        while follower.count < round + 1 {
            changes.wait(Duration::from_millis(100));
            follower.drain(&mut changes).unwrap();
        }
        follower.assert_equals(writer, "beside the writers");
    }
    first.close().unwrap();
    second.close().unwrap();
    watcher.close().unwrap();
    let again = open();
    let mut late = Follower::default();
    late.drain(&mut again.changes_for("copy").unwrap()).unwrap();
    assert_eq!(late.count, 40);
    late.assert_equals(&again, "after all have gone");
}

/// What happens between two commits.
#[derive(Clone, Debug)]
enum Event {
    Nothing,
    Follow,
    FollowAndStore,
    Checkpoint,
    Reopen,
    Kill,
    PowerCut(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => Just(Event::Nothing),
        3 => Just(Event::Follow),
        2 => Just(Event::FollowAndStore),
        2 => Just(Event::Checkpoint),
        1 => Just(Event::Reopen),
        2 => Just(Event::Kill),
        2 => any::<u64>().prop_map(Event::PowerCut),
    ]
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let tree = prop::sample::select(vec!["a", "b"]);
    let put = (tree.clone(), 0..40_u64, 0..255_u64, 0..900_usize)
        .prop_map(|(tree, number, seed, len)| Change::Put(tree, key(number), value(seed, len)));
    let long = (tree.clone(), 0..9_u64, 0..255_u64, 5_000..90_000_usize)
        .prop_map(|(tree, number, seed, len)| Change::Put(tree, key(number), value(seed, len)));
    let delete = (tree.clone(), 0..40_u64).prop_map(|(tree, number)| Change::Delete(tree, key(number)));
    let range = (tree.clone(), 0..40_u64, 0..20_u64)
        .prop_map(|(tree, from, width)| Change::DeleteRange(tree, key(from), key(from + width)));
    let change = prop_oneof![8 => put, 1 => long, 3 => delete, 2 => range, 1 => tree.prop_map(Change::Drop)];
    prop::collection::vec(change, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The follower's copy outlives the crashes, as its own database would: it is never ahead of the store, and is the
    /// store whenever it has caught up.
    #[test]
    fn the_feed_equals_the_model_after_crashes(
        steps in prop::collection::vec((changes(), any::<bool>(), event()), 1..30),
        seed in 0..1000_u64,
    ) {
        let mut disk = CrashVfs::new(seed);
        let mut engine = open_with(&disk, small()).unwrap();
        let begin = engine.create_consumer("copy", FeedFrom::Now).unwrap();
        let mut follower = Follower { position: Some(begin), ..Follower::default() };
        for (changes, is_durable, event) in &steps {
            let mut txn = engine.begin_write().unwrap();
            changes.iter().for_each(|change| change.run(&mut txn).unwrap());
            txn.commit_with(if *is_durable { Durability::Sync } else { Durability::Off }).unwrap();
            match event {
                Event::Nothing => {}
                Event::Follow => follower.follow(&engine).unwrap(),
                Event::FollowAndStore => {
                    follower.follow(&engine).unwrap();
                    engine.advance_consumer("copy", follower.position.unwrap()).unwrap();
                }
                Event::Checkpoint => engine.checkpoint().unwrap(),
                Event::Reopen => {
                    engine.close().unwrap();
                    engine = open_with(&disk, small()).unwrap();
                }
                Event::Kill => {
                    disk = killed(&disk);
                    engine = open_with(&disk, small()).unwrap();
                }
                Event::PowerCut(seed) => {
                    let mut chooser = Chooser::new(*seed);
                    let preset = *chooser.pick(&[Preset::Nothing, Preset::Everything]);
                    let point = disk.crash_point();
                    disk = if chooser.coin() { point.crash(&mut chooser) } else { point.crash_as(preset, &mut chooser) };
                    engine = open_with(&disk, small()).unwrap();
                }
            }
        }
        engine.sync().unwrap();
        follower.follow(&engine).unwrap();
        prop_assert!(follower.trees == visible(state(&engine)));
        prop_assert_eq!(follower.position.unwrap().txid, engine.last_commit().txid);
    }
}
