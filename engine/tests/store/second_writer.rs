//! Somebody opens a store that is open already, in this process or in another one: the second is refused and told who
//! holds it, and the lock ends with its holder, however that ends.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
use std::{
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::common::{
    script::{commit, puts},
    state,
};
use llmdb_engine::{Engine, Error, ErrorKind, Options};

/// Tells this program, started again, that it is the other process, and where the store lies.
const CHILD: &str = "LLMDB_TEST_SECOND_WRITER";

/// Not a test of its own: what the other process does. It opens the store, commits, says so, and waits until its
/// input ends.
#[test]
fn the_other_process() {
    let Ok(path) = std::env::var(CHILD) else { return };
    match Engine::open(&path, Options::default()) {
        Err(error) => println!("\nrefused: {error}"),
        Ok(engine) => {
            commit(&engine, &puts("t", 0..20, 1, 100)).unwrap();
            println!("\nholds {}", engine.last_commit().txid.get());
            std::io::stdout().flush().unwrap();
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        }
    }
}

/// The other process, and what it said. Its output stays open for as long as the reader lives.
struct Other {
    child: Child,
    _output: BufReader<ChildStdout>,
}

fn start_child(path: &Path) -> (Other, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["second_writer::the_other_process", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let lines = output.by_ref().lines().map(Result::unwrap);
    let said = lines.into_iter().find(|line| line.starts_with("holds") || line.starts_with("refused"));
    (Other { child, _output: output }, said.expect("the child says how it went"))
}

fn read_only() -> Options {
    let mut options = Options::default();
    options.read_only = true;
    options
}

fn assert_held_by(error: &Error, pid: u32) {
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    let Error::Locked { path, holder } = error else { panic!("{error:?}") };
    assert!(path.to_string_lossy().ends_with("-lock"), "{error}");
    assert!(holder.contains(&format!("process {pid}")), "{error}");
    assert!(error.to_string().contains(&format!("process {pid}")), "{error}");
}

#[test]
fn another_process_holds_the_store_until_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (mut other, said) = start_child(&path);
    assert_eq!(said, "holds 1");
    for options in [Options::default(), read_only()] {
        assert_held_by(&Engine::open(&path, options).unwrap_err(), other.child.id());
    }
    let saved = folder.path().join("saved");
    assert_held_by(&Engine::salvage(&path, &saved).unwrap_err(), other.child.id());
    // By the number that the system gave it, with the signal that it cannot catch.
    other.child.kill().unwrap();
    other.child.wait().unwrap();
    let engine = Engine::open(&path, Options::default()).unwrap();
    assert_eq!(engine.recovery().replayed_txns, 1);
    assert_eq!(state(&engine)["t"].len(), 20);
}

#[test]
fn this_process_holds_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let engine = Engine::open(&path, Options::default()).unwrap();
    let (mut other, said) = start_child(&path);
    other.child.wait().unwrap();
    assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
    assert_held_by(&Engine::open(&path, Options::default()).unwrap_err(), std::process::id());
    engine.close().unwrap();
    let (mut other, said) = start_child(&path);
    assert_eq!(said, "holds 1");
    drop(other.child.stdin.take());
    other.child.wait().unwrap();
    assert_eq!(state(&Engine::open(&path, Options::default()).unwrap())["t"].len(), 20);
}

/// A snapshot can name pages of the store, so that nobody else may write it while one is left.
#[test]
fn a_snapshot_keeps_the_store_locked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let engine = Engine::open(&path, Options::default()).unwrap();
    commit(&engine, &puts("t", 0..500, 1, 100)).unwrap();
    let before = state(&engine);
    let snapshot = engine.snapshot().unwrap();
    engine.close().unwrap();
    assert_held_by(&Engine::open(&path, Options::default()).unwrap_err(), std::process::id());
    assert!(crate::common::contents(&snapshot).unwrap() == before, "it goes on reading");
    drop(snapshot);
    assert!(state(&Engine::open(&path, Options::default()).unwrap()) == before);
}

/// Readers share the store; a writer waits outside, and they are not told to go.
#[test]
fn readers_share() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    Engine::open(&path, Options::default()).unwrap().close().unwrap();
    let readers: Vec<_> = (0..3).map(|_| Engine::open(&path, read_only()).unwrap()).collect();
    assert_held_by(&Engine::open(&path, Options::default()).unwrap_err(), std::process::id());
    drop(readers);
    Engine::open(&path, Options::default()).unwrap();
}
