//! A process that shares the store does one thing and then nothing any more: it commits and waits, holds a snapshot,
//! stands in the middle of a transaction. The others see what it committed without its help; when it is killed they
//! go on at once, and what it held is used again.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
#![cfg(target_os = "linux")]
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::common::assert_sound;
use llmdb_engine::{Engine, ErrorKind, Options, Sharing};

/// Tells this program, started again, what to do, and with which store.
const DOES: &str = "LLMDB_TEST_SHARING_DOES";
const STORE: &str = "LLMDB_TEST_SHARING_STORE";

fn options() -> Options {
    let mut options = Options::default();
    options.sharing = Sharing::Shared;
    options.lock_timeout_us = 60_000_000;
    options
}

fn put(engine: &Engine, key: &str, value: impl AsRef<[u8]>) {
    let mut txn = engine.begin_write().unwrap();
    txn.put(key, value).unwrap();
    txn.commit().unwrap();
}

fn get(engine: &Engine, key: &str) -> Option<Vec<u8>> {
    engine.snapshot().unwrap().get(key).unwrap().map(<[u8]>::to_vec)
}

/// Not a test of its own: what the other process does. Nothing is dropped before it is killed.
#[test]
fn the_other_process() {
    let (Ok(does), Ok(store)) = (std::env::var(DOES), std::env::var(STORE)) else { return };
    let engine = Engine::open(store, options()).unwrap();
    let wait = || {
        println!("\nready");
        let _ = std::io::stdin().read(&mut [0]);
    };
    match &*does {
        "commit" => {
            put(&engine, "theirs", "committed");
            wait();
        }
        "hold" => {
            let snapshot = engine.snapshot().unwrap();
            wait();
            drop(snapshot);
        }
        "change" => {
            let mut txn = engine.begin_write().unwrap();
            txn.put("theirs", "changed").unwrap();
            txn.put("long", vec![7; 1 << 20]).unwrap();
            wait();
            drop(txn);
        }
        other => panic!("nobody can do {other}"),
    }
}

/// The process, and what it goes on to say, which somebody must listen to.
fn start(does: &str, path: &Path) -> (Child, impl Sized + use<>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["sharing_places::the_other_process", "--exact", "--nocapture"])
        .env(DOES, does)
        .env(STORE, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line == "ready"), "the other process came to its end");
    (child, said)
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_another_process_committed_is_there_though_it_does_nothing_and_after_its_death() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let engine = Engine::open(&path, options()).unwrap();
    put(&engine, "ours", "1");
    let (child, _said) = start("commit", &path);
    assert_eq!(get(&engine, "theirs").unwrap(), b"committed");
    let reader = Engine::open(&path, {
        let mut options = options();
        options.read_only = true;
        options
    })
    .unwrap();
    assert_eq!(get(&reader, "theirs").unwrap(), b"committed");
    kill(child);
    put(&engine, "ours", "2");
    assert_eq!(get(&reader, "theirs").unwrap(), b"committed");
    assert_eq!(get(&reader, "ours").unwrap(), b"2");
    assert_sound(&engine);
}

#[test]
fn who_dies_in_the_middle_of_a_transaction_leaves_nothing_of_it_and_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let engine = Engine::open(&path, options()).unwrap();
    put(&engine, "ours", "1");
    let held = engine.snapshot().unwrap();
    let (child, _said) = start("change", &path);
    let number = child.id().to_string();
    assert_eq!(get(&engine, "theirs"), None);

    // While it lives, whoever wants to write is told for whom it waits.
    let impatient = Engine::open(&path, {
        let mut options = options();
        options.lock_timeout_us = 50_000;
        options
    });
    let refused = impatient.unwrap().begin_write().map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Locked);
    assert!(refused.to_string().contains(&number), "{refused}");

    kill(child);
    put(&engine, "ours", "2");
    assert_eq!((get(&engine, "theirs"), get(&engine, "long")), (None, None));
    assert_eq!(held.get("ours").unwrap().unwrap(), b"1");
    drop(held);
    assert_sound(&engine);
}

#[test]
fn a_snapshot_of_a_process_that_died_holds_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let engine = Engine::open(&path, options()).unwrap();
    put(&engine, "ours", "1");
    let (child, _said) = start("hold", &path);
    let elsewhere = || engine.readers().into_iter().filter(|reader| reader.is_elsewhere).count();
    put(&engine, "ours", "2");
    assert_eq!(elsewhere(), 1);
    kill(child);
    // The holder of the turn looks for the dead now and then.
    for round in 0..1_000_000 {
        put(&engine, "ours", round.to_string());
        if elsewhere() == 0 {
            assert_sound(&engine);
            return;
        }
    }
    panic!("the snapshot of a dead process is held for ever");
}
