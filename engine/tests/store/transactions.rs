//! What transactions promise while nothing goes wrong, on a disk in memory. The same on the real disk: `portable.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
use crate::{
    behaviour_on,
    common::{
        assert_sound,
        behaviour::{Disk, rows},
        killed, open, state,
    },
};
use llmdb_engine::{Engine, Error, Place};
use llmdb_vfs::crash::CrashVfs;

behaviour_on!(Disk::memory());

#[test]
fn in_memory_stores_work_like_others() {
    let engine = Engine::in_memory().unwrap();
    for round in 0..20u32 {
        let mut txn = engine.begin_write().unwrap();
        for key in 0..100u32 {
            txn.put(key.to_be_bytes(), round.to_le_bytes()).unwrap();
        }
        txn.commit().unwrap();
    }
    assert_eq!(rows(&engine).len(), 100);
    engine.checkpoint().unwrap();
    engine.close().unwrap();
}

fn place<'a>(tree: &'a str, key: &'a str) -> Place<'a> {
    Place { tree, key: key.as_bytes() }
}

#[test]
fn copies_of_any_length_are_there_after_a_crash_and_say_little_in_the_log() {
    let disk = CrashVfs::new(1);
    let engine = open(&disk).unwrap();
    let long = vec![7; 700_000];
    let mut txn = engine.begin_write().unwrap();
    txn.put("long", &long).unwrap();
    txn.put("short", vec![1; 300]).unwrap();
    let before = txn.commit().unwrap().lsn;
    let mut txn = engine.begin_write().unwrap();
    let copies =
        [("main", "short", "short-2", 10), ("main", "long", "long-2", 3), ("other", "long-2", "long-2", 0)];
    for (tree, from, to, cut) in copies {
        assert!(txn.copy(place(tree, from), place("other", to), cut, b"end").unwrap());
    }
    // What was copied does not follow what comes later; a copy of a copy in the same transaction is one.
    txn.put("short", "new").unwrap();
    assert!(txn.copy(place("other", "short-2"), place("main", "short-3"), 3, b"").unwrap());
    let after = txn.commit().unwrap().lsn;
    assert!(after.get() - before.get() < 16 << 10, "{before} {after}");
    let expected = state(&engine);
    assert_eq!(expected["other"][&b"long-2"[..]], [&long[..699_997], b"endend"].concat());
    assert_eq!(expected["other"][&b"short-2"[..]], [&[1; 290][..], b"end"].concat());
    assert_eq!(expected["main"][&b"short-3"[..]], [1; 290]);
    let killed = killed(&disk);
    drop(engine);
    let engine = open(&killed).unwrap();
    assert!(state(&engine) == expected, "a replay copies what was there when it was copied");
    assert_sound(&engine);
}

#[test]
fn a_copy_that_cannot_be_changes_nothing() {
    let engine = Engine::in_memory().unwrap();
    let mut txn = engine.begin_write().unwrap();
    txn.put("key", "value").unwrap();
    assert!(!txn.copy(place("main", "none"), place("main", "to"), 0, b"").unwrap());
    assert!(!txn.copy(place("none", "key"), place("main", "to"), 0, b"").unwrap());
    let (from, to) = (place("main", "key"), place("main", "to"));
    assert!(matches!(txn.copy(from, to, 6, b""), Err(Error::Misuse(_))));
    assert!(matches!(txn.copy(from, to, 0, &[0; 1025]), Err(Error::Misuse(_))));
    let far = "k".repeat(3_000);
    assert!(matches!(txn.copy(from, place("main", &far), 0, b""), Err(Error::KeyTooLong { .. })));
    assert!(txn.copy(from, from, 5, b"other").unwrap());
    txn.commit().unwrap();
    assert_eq!(rows(&engine), [(b"key".to_vec(), b"other".to_vec())]);
}
