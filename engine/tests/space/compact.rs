//! Compaction: the file becomes as short as what lives in it, step by step, whatever else goes on.

use std::{sync::Arc, time::Duration};

use llmdb_engine::{Background, CompactReport, Engine};
use llmdb_vfs::{MemoryVfs, crash::Chooser};

use crate::{
    common::{assert_sound, contents, killed, open_with, options, script::key, state},
    store::{open_new, pages, put, value},
};

/// A store of which four fifths were deleted, here and there.
fn holey(len: impl Fn(u64) -> usize) -> (llmdb_vfs::crash::CrashVfs, Engine) {
    let (disk, engine) = open_new(options());
    put(&engine, 0..5_000, 0, &len);
    put(&engine, (0..5_000).rev(), 1, &len);
    delete(&engine, |number| number % 5 != 0);
    (disk, engine)
}

fn delete(engine: &Engine, which: impl Fn(u64) -> bool) {
    let mut txn = engine.begin_write().unwrap();
    let mut tree = txn.tree("rows").unwrap();
    for number in (0..5_000).filter(|number| which(*number)) {
        tree.delete(key(number)).unwrap();
    }
    txn.commit().unwrap();
}

fn compact(engine: &Engine) -> CompactReport {
    engine.compact(&mut |_, _| true).unwrap()
}

fn assert_small(engine: &Engine, report: &CompactReport) {
    let (file, live) = pages(engine);
    assert!(file <= live * 11 / 10 + 192, "{file} pages for {live} live ones: {report:?}");
    assert_eq!(report.file_bytes, file * 4096);
    assert!(report.file_bytes < report.bytes_before / 2, "{report:?}");
    assert!(!report.stopped);
}

#[test]
fn short_values() {
    let (disk, engine) = holey(|_| 300);
    let before = state(&engine);
    let report = compact(&engine);
    assert_small(&engine, &report);
    assert!(report.moved_pages > 0, "{report:?}");
    assert!(state(&engine) == before);
    assert_sound(&engine);
    // Nothing is left to do.
    assert!(compact(&engine).moved_pages < 20);
    let again = open_with(&killed(&disk), options()).unwrap();
    assert!(state(&again) == before);
    assert_sound(&again);
}

#[test]
fn long_values() {
    let (_, engine) = holey(|number| if number.is_multiple_of(3) { 9_000 } else { 200 });
    let before = state(&engine);
    let report = compact(&engine);
    assert_small(&engine, &report);
    assert!(state(&engine) == before);
    assert_sound(&engine);
}

#[test]
fn it_can_be_stopped_and_gone_on_with_also_after_a_crash() {
    let (disk, engine) = holey(|number| if number.is_multiple_of(7) { 6_000 } else { 400 });
    let before = state(&engine);
    let (mut steps, mut moved) = (0, 0);
    let report = engine
        .compact(&mut |done, all| {
            assert!(done <= all && done >= moved, "{done} of {all} after {moved}");
            moved = done;
            steps += 1;
            steps < 2
        })
        .unwrap();
    assert!(report.stopped && steps == 2, "{report:?}");
    assert!(state(&engine) == before);
    assert_sound(&engine);
    let again = open_with(&killed(&disk), options()).unwrap();
    assert!(state(&again) == before);
    let report = compact(&again);
    assert_small(&again, &report);
    assert!(state(&again) == before);
    assert_sound(&again);
}

/// Between two steps others write, and a snapshot is taken before each.
#[test]
fn readers_and_writers_go_on() {
    let (_, engine) = holey(|_| 1_500);
    let mut held = Vec::new();
    let mut chooser = Chooser::new(1);
    let mut round = 2;
    let report = engine
        .compact(&mut |_, _| {
            let snapshot = engine.snapshot().unwrap();
            let shown = contents(&snapshot).unwrap();
            held.push((snapshot, shown));
            let numbers = (0..20).map(|_| chooser.index(5_000) as u64);
            put(&engine, numbers, round, |number| 100 + number as usize % 3_000);
            round += 1;
            true
        })
        .unwrap();
    assert!(round > 4, "{report:?}");
    for (snapshot, shown) in &held {
        assert!(contents(snapshot).unwrap() == *shown);
    }
    assert_sound(&engine);
    drop(held);
    let report = compact(&engine);
    let (file, live) = pages(&engine);
    assert!(file <= live * 11 / 10 + 192, "{file} pages for {live} live ones: {report:?}");
    assert_sound(&engine);
}

/// A reader that began before keeps its pages, and so the file long; when it goes, so does the rest.
#[test]
fn an_old_reader_keeps_the_end_of_the_file() {
    let (_, engine) = open_new(options());
    put(&engine, 0..5_000, 0, |_| 300);
    let held = engine.snapshot_latest().unwrap();
    let shown = contents(&held).unwrap();
    delete(&engine, |number| number % 5 != 0);
    let report = compact(&engine);
    assert!(report.left_bytes > 0, "{report:?}");
    assert!(contents(&held).unwrap() == shown);
    drop(held);
    assert_small(&engine, &compact(&engine));
}

#[test]
fn in_memory_there_is_nothing_to_give_back() {
    let engine = Engine::in_memory().unwrap();
    put(&engine, 0..100, 0, |_| 300);
    let report = compact(&engine);
    assert_eq!((report.bytes_before, report.moved_pages), (report.file_bytes, 0));
    let snapshot = engine.snapshot().unwrap();
    assert_eq!(snapshot.tree("rows").unwrap().unwrap().get(key(3)).unwrap(), Some(&value(3, 0, 300)[..]));
}

/// When nobody writes any more, a thread does it; a commit stops it, and it comes back.
#[test]
fn a_file_that_is_left_alone_becomes_short_by_itself() {
    for calm_us in [20_000, u64::MAX] {
        let mut options = options();
        options.background = Background::Threads;
        options.compact_calm_us = calm_us;
        let engine = Engine::open_on(Arc::new(MemoryVfs::default()), "store", options).unwrap();
        put(&engine, 0..5_000, 0, |_| 3_000);
        put(&engine, (0..5_000).rev(), 1, |_| 3_000);
        let before = pages(&engine);
        delete(&engine, |number| number % 5 != 0);
        if calm_us == u64::MAX {
            assert!(pages(&engine).0 >= before.0, "nobody asked for it");
            continue;
        }
        // A minute at most; it takes a moment.
        let is_short = || {
            let (file, live) = pages(&engine);
            file <= live * 11 / 10 + 2_500
        };
        let waited = (0..3_000).find(|_| {
            std::thread::park_timeout(Duration::from_millis(20));
            is_short()
        });
        assert!(waited.is_some(), "{:?} of {before:?}", pages(&engine));
        assert_sound(&engine);
        assert_eq!(engine.snapshot().unwrap().trees().unwrap()[0].1, 1_000);
        put(&engine, 0..10, 2, |_| 3_000);
        engine.close().unwrap();
    }
}
