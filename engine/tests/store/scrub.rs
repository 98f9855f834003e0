//! What was deleted and scrubbed is in no byte of the data file and of the log, whatever had happened before: short and
//! long values, values replaced, trees dropped, a crash on the way. A reader that still sees it keeps it, and the
//! scrub says so.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
use std::sync::{Arc, Mutex};

use crate::common::{
    LOG, PATH, assert_sound, bytes, open, open_with, options,
    script::{commit, puts},
    state,
};
use llmdb_engine::{Engine, ErrorKind, FeedFrom, TracePlace};
use llmdb_vfs::{
    Vfs,
    crash::{Chooser, CrashVfs, OpKind},
};
use std::path::Path;

const SECRET: &[u8] = b"the-secret-that-must-go";

fn secret_value(len: usize) -> Vec<u8> {
    SECRET.iter().copied().cycle().take(len).collect()
}

fn contains(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|window| window == SECRET)
}

/// Files of the store that hold the secret.
fn holders(disk: &CrashVfs) -> Vec<String> {
    let files = disk.files().into_iter().map(|(path, _)| path);
    let held = files.filter(|path| contains(&bytes(disk, path)));
    held.map(|path| path.display().to_string()).collect()
}

fn put(engine: &Engine, tree: &str, key: &[u8], value: &[u8]) {
    let mut txn = engine.begin_write().unwrap();
    txn.tree(tree).unwrap().put(key, value).unwrap();
    txn.commit().unwrap();
}

/// Secrets in keys and values of every kind, among other rows, with checkpoints between.
fn fill(engine: &Engine) {
    for round in 0..6 {
        commit(engine, &puts("rows", 0..300, round, 90)).unwrap();
        put(engine, "rows", &[b"row/0000", SECRET, &round.to_be_bytes()].concat(), b"v");
        put(engine, "rows", format!("short/{round}").as_bytes(), &secret_value(100));
        put(engine, "rows", b"replaced", &secret_value(60 + 7 * round as usize));
        put(engine, "rows", b"long", &secret_value(9_000 + round as usize));
        put(engine, "dropped", format!("{round}").as_bytes(), &secret_value(3_000));
        if round % 2 == 1 {
            engine.checkpoint().unwrap();
        }
    }
}

fn delete(engine: &Engine) {
    let mut txn = engine.begin_write().unwrap();
    let mut rows = txn.tree("rows").unwrap();
    rows.delete_prefix([b"row/0000", SECRET].concat()).unwrap();
    rows.delete_prefix("short/").unwrap();
    rows.put("replaced", "harmless").unwrap();
    rows.delete("long").unwrap();
    txn.drop_tree("dropped").unwrap();
    txn.commit().unwrap();
}

fn removed() -> Vec<(String, Vec<u8>)> {
    vec![("rows".into(), [b"row/0000", SECRET].concat()), ("rows".into(), b"short/".to_vec())]
}

fn scrub(engine: &Engine) -> llmdb_engine::ScrubReport {
    engine.renew_separators(&removed()).unwrap();
    engine.scrub(&mut |_, _| true).unwrap()
}

fn traces(engine: &Engine) -> llmdb_engine::Traces {
    engine.find_traces(&[SECRET.to_vec()], &mut |_, _| true).unwrap()
}

#[test]
fn nothing_is_left_of_what_was_deleted() {
    let disk = CrashVfs::new(5);
    let engine = open(&disk).unwrap();
    fill(&engine);
    assert!(traces(&engine).count > 0);
    delete(&engine);
    let before = state(&engine);
    assert!(!holders(&disk).is_empty(), "deleting alone leaves it everywhere");
    let found = traces(&engine).found;
    assert!(found.iter().any(|trace| matches!(trace.place, TracePlace::Page { .. })));
    assert!(found.iter().any(|trace| matches!(trace.place, TracePlace::Log { .. })));
    let report = scrub(&engine);
    assert!(report.is_complete() && report.wiped_pages > 0 && report.wiped_log_bytes > 0, "{report:?}");
    assert_eq!(holders(&disk), Vec::<String>::new());
    assert_eq!(traces(&engine).found, []);
    assert_eq!(state(&engine), before);
    assert_sound(&engine);
    // The store goes on, and is found again after a crash.
    commit(&engine, &puts("rows", 0..50, 9, 80)).unwrap();
    let after = state(&engine);
    let crashed = open(&disk.crash(&mut Chooser::new(1))).unwrap();
    assert_eq!(state(&crashed), after);
    assert_sound(&crashed);
}

#[test]
fn a_reader_keeps_what_it_sees_and_the_report_says_so() {
    let disk = CrashVfs::new(6);
    let engine = open(&disk).unwrap();
    fill(&engine);
    let reader = engine.snapshot().unwrap();
    delete(&engine);
    let report = scrub(&engine);
    assert!(!report.is_complete() && report.held_pages > 0, "{report:?}");
    assert_eq!(reader.tree("rows").unwrap().unwrap().get("long").unwrap().map(<[u8]>::len), Some(9_005));
    drop(reader);
    assert!(scrub(&engine).is_complete());
    assert_eq!(holders(&disk), Vec::<String>::new());
}

#[test]
fn a_clean_close_and_a_compact_copy_carry_nothing_on() {
    let disk = CrashVfs::new(7);
    let engine = open(&disk).unwrap();
    fill(&engine);
    engine.close().unwrap();
    let engine = open(&disk).unwrap();
    delete(&engine);
    assert!(scrub(&engine).is_complete());
    engine.backup("copy.llmdb", &mut |_, _| true).unwrap();
    engine.close().unwrap();
    assert_eq!(holders(&disk), Vec::<String>::new());
    let copy = Engine::open_on(Arc::new(disk.clone()), "copy.llmdb", options()).unwrap();
    assert_sound(&copy);
}

#[test]
fn the_archive_gets_the_log_before_it_goes() {
    let disk = CrashVfs::new(8);
    let with_archive = || {
        let mut options = options();
        options.archive = Some("archive".into());
        options
    };
    let engine = open_with(&disk, with_archive()).unwrap();
    fill(&engine);
    delete(&engine);
    assert!(scrub(&engine).is_complete());
    let held = holders(&disk);
    assert!(!held.is_empty() && held.iter().all(|file| file.starts_with("archive")), "{held:?}");
    let traces = traces(&engine).found;
    assert!(
        traces
            .iter()
            .all(|trace| matches!(&trace.place, TracePlace::Log { path, .. } if path.starts_with("archive")))
    );
    Engine::verify_archive_on(&disk, Path::new("archive"), engine.store_id()).unwrap();
}

#[test]
fn readers_of_changes_that_are_behind_find_a_gap() {
    let disk = CrashVfs::new(10);
    let engine = open(&disk).unwrap();
    fill(&engine);
    let mut changes = engine.changes(FeedFrom::Oldest).unwrap();
    changes.next_txn().unwrap().unwrap();
    delete(&engine);
    assert!(scrub(&engine).is_complete());
    let gap = loop {
        match changes.next_txn() {
            // What it had read ahead it may still tell.
            Ok(Some(_)) => {}
            Ok(None) => panic!("it was not told that something is missing"),
            Err(error) => break error,
        }
    };
    assert_eq!(gap.kind(), ErrorKind::NotKept, "{gap}");
}

/// The power fails at any moment of a scrub: the store is sound, shows what it showed, and the next scrub ends the work.
#[test]
fn a_crash_at_any_moment_changes_nothing_and_the_next_scrub_ends_the_work() {
    let disk = CrashVfs::new(9);
    let engine = open(&disk).unwrap();
    fill(&engine);
    delete(&engine);
    let expected = state(&engine);
    let points = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let points = points.clone();
        move |disk: &CrashVfs, op: &llmdb_vfs::crash::Op<'_>| {
            if op.kind != OpKind::Read && op.index.is_multiple_of(5) {
                points.lock().unwrap().push(disk.crash_point());
            }
        }
    };
    disk.observe(Some(Arc::new(observer)));
    scrub(&engine);
    disk.observe(None);
    let points = std::mem::take(&mut *points.lock().unwrap());
    assert!(points.len() > 5);
    let mut chooser = Chooser::new(3);
    for point in points {
        let disk = point.crash(&mut chooser);
        let engine = open(&disk).unwrap();
        assert_eq!(state(&engine), expected);
        assert!(scrub(&engine).is_complete());
        assert_sound(&engine);
        assert_eq!(state(&engine), expected);
        assert_eq!(holders(&disk), Vec::<String>::new());
    }
    assert!(disk.exists(Path::new(PATH)).unwrap() && disk.exists(Path::new(LOG)).unwrap());
}
