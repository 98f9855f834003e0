//! A process that commits durable transactions on the real disk is killed, again and again, at a moment drawn by
//! chance: while it commits, makes a checkpoint, opens the store or recovers it.
//!
//! Two threads number their transactions, and the process says of each that it was acknowledged. Every transaction
//! writes to three trees, overwrites, deletes, and now and then puts a long value. After each kill every
//! acknowledged transaction is there, each is there in all its trees or in none, and the store is sound.
//!
//! `LLMDB_KILL_ROUNDS` sets the number of kills, 24 if it is not set, and `LLMDB_KILL_SEED` the chance.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::Duration,
};

use crate::common::{Trees, assert_sound, state};
use llmdb_engine::{Durability, Engine, Options};
use llmdb_vfs::crash::Chooser;

/// Tells this program, started again, that it is the one to be killed, and where the store lies.
const CHILD: &str = "LLMDB_TEST_KILL_NINE";
const THREADS: u64 = 2;
/// Numbers that the trees keep; older ones are deleted.
const KEPT: u64 = 50;

/// Small enough that a round sees several checkpoints.
fn options() -> Options {
    let mut options = Options::default();
    options.checkpoint_log_bytes = 96 << 10;
    options.stall_log_bytes = 512 << 10;
    options.segment_bytes_max = 256 << 10;
    options.log_window_bytes = 32 << 10;
    options
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// The value that transaction `number` of `thread` puts.
fn value(thread: u64, number: u64) -> Vec<u8> {
    let len = if number % 9 == 4 { 30_000 + number as usize % 20_000 } else { 100 + number as usize % 300 };
    crate::common::script::value(thread * 1_000 + number, len)
}

fn commit(engine: &Engine, thread: u64, number: u64) {
    let mut txn = engine.begin_write().unwrap();
    for (tree, reversed) in [("left", false), ("right", true)] {
        let key = key(thread, number, reversed);
        txn.tree(tree).unwrap().put(key, value(thread, number)).unwrap();
        if number > KEPT {
            assert!(txn.tree(tree).unwrap().delete(self::key(thread, number - KEPT, reversed)).unwrap());
        }
    }
    txn.tree("last").unwrap().put(thread.to_be_bytes(), number.to_be_bytes()).unwrap();
    let durability =
        if number.is_multiple_of(3) { Durability::Group { interval_us: 100 } } else { Durability::Sync };
    txn.commit_with(durability).unwrap();
}

fn key(thread: u64, number: u64, reversed: bool) -> Vec<u8> {
    let number = if reversed { u64::MAX - number } else { number };
    [thread.to_be_bytes(), number.to_be_bytes()].concat()
}

/// The last number of each thread.
fn last_numbers(engine: &Engine) -> Vec<u64> {
    let snapshot = engine.snapshot().unwrap();
    let tree = snapshot.tree("last").unwrap();
    let last = |thread: u64| {
        let found = tree.as_ref().and_then(|tree| tree.get(thread.to_be_bytes()).unwrap());
        found.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()))
    };
    (0..THREADS).map(last).collect()
}

/// What the store holds after these transactions.
fn expected(last: &[u64]) -> Trees {
    let mut trees = Trees::new();
    for (thread, last) in (0u64..).zip(last).filter(|(_, last)| **last > 0) {
        trees
            .entry("last".into())
            .or_default()
            .insert(thread.to_be_bytes().into(), last.to_be_bytes().into());
        for number in last.saturating_sub(KEPT - 1).max(1)..=*last {
            for (tree, reversed) in [("left", false), ("right", true)] {
                let rows = trees.entry(tree.into()).or_default();
                rows.insert(key(thread, number, reversed), value(thread, number));
            }
        }
    }
    trees
}

/// Not a test of its own: what the process does that is killed.
#[test]
fn the_process_that_is_killed() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let engine = Engine::open(&path, options()).unwrap();
    let last = last_numbers(&engine);
    println!("\nopen");
    std::thread::scope(|scope| {
        for (thread, last) in (0..).zip(last) {
            let engine = &engine;
            scope.spawn(move || {
                for number in last + 1.. {
                    commit(engine, thread, number);
                    // One write of the system: whoever reads a line reads all of it.
                    std::io::stdout()
                        .lock()
                        .write_all(format!("ack {thread} {number}\n").as_bytes())
                        .unwrap();
                }
            });
        }
    });
}

/// Lines that the process writes, as they come.
fn lines(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = String::new();
        while output.read_line(&mut line).unwrap() > 0 {
            // A line without its end was being written when the process was killed.
            if !line.ends_with('\n') || sender.send(std::mem::take(&mut line)).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Starts the process, kills it, and takes down what it acknowledged.
fn kill_one(path: &Path, chooser: &mut Chooser, acknowledged: &mut [u64]) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["kill_nine::the_process_that_is_killed", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = lines(child.stdout.take().unwrap());
    let mut count = 0;
    let mut take = |line: String| {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["ack", thread, number] = words[..] {
            let (thread, number): (usize, u64) = (thread.parse().unwrap(), number.parse().unwrap());
            assert!(number > acknowledged[thread], "acknowledged twice: {line}");
            acknowledged[thread] = number;
            count += 1;
        }
    };
    // Some die before they have opened the store, others after some commits, and then a moment later.
    let wanted = if chooser.percent(20) { 0 } else { chooser.between(1, 120) };
    for _ in 0..wanted {
        take(lines.recv_timeout(Duration::from_secs(60)).expect("the process goes on until it is killed"));
    }
    let moment = Duration::from_micros(chooser.below(if wanted == 0 { 25_000 } else { 5_000 }));
    match lines.recv_timeout(moment) {
        Ok(line) => take(line),
        Err(RecvTimeoutError::Timeout) => {}
        Err(RecvTimeoutError::Disconnected) => panic!("the process ended by itself"),
    }
    child.kill().unwrap();
    child.wait().unwrap();
    lines.into_iter().for_each(take);
    count
}

#[test]
fn kill_it_again_and_again() {
    let rounds = from_environment("LLMDB_KILL_ROUNDS", 24);
    let seed = from_environment("LLMDB_KILL_SEED", 9);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut chooser = Chooser::new(seed);
    let mut acknowledged = vec![0; THREADS as usize];
    let mut replayed = 0;
    let mut count = 0;
    for round in 0..rounds {
        count += kill_one(&path, &mut chooser, &mut acknowledged);
        // Now and then the next process recovers what this one left, and is killed in turn.
        if chooser.percent(30) {
            continue;
        }
        let story = format!("round {round}, seed {seed}");
        let engine = Engine::open(&path, options()).unwrap_or_else(|error| panic!("{story}: {error}"));
        replayed += engine.recovery().replayed_txns;
        let last = last_numbers(&engine);
        for (thread, (found, acknowledged)) in last.iter().zip(&acknowledged).enumerate() {
            assert!(
                found >= acknowledged,
                "{story}: thread {thread}: {acknowledged} acknowledged, {found} found"
            );
            // Each thread waits for its commit, so that at most one more can have been under way.
            assert!(*found <= acknowledged + rounds, "{story}: thread {thread}: {acknowledged}, {found}");
        }
        assert!(state(&engine) == expected(&last), "{story}: not the state after {last:?}");
        assert_sound(&engine);
        acknowledged = last;
        if chooser.coin() {
            engine.close().unwrap();
        }
    }
    println!("{rounds} kills, {count} acknowledged transactions, {replayed} recovered");
    assert!(count > rounds, "{count} transactions in {rounds} rounds");
    assert!(replayed > 0, "nothing was ever recovered");
}
