//! Processes that share a store are killed, again and again, at a moment drawn by chance: while they wait for the turn,
//! hold it, commit, hand it over, take it over, open the store. Another process reads and writes all the while.
//!
//! Each writer numbers its transactions, writes its number to two trees in each, and says so when it was acknowledged.
//! Nothing that was acknowledged is missing, no number goes back, both trees always agree, and nobody waits for ever.
//!
//! `LLMDB_KILL_ROUNDS` sets the number of kills, 24 if it is not set.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::common::assert_sound;
use llmdb_engine::{Durability, Engine, Options, Sharing};
use llmdb_vfs::crash::Chooser;

/// Tells this program, started again, which process it is, and where the store lies.
const CHILD: &str = "LLMDB_TEST_SHARING_CHILD";
const NUMBER: &str = "LLMDB_TEST_SHARING_NUMBER";
const PROCESSES: u64 = 3;
const WRITERS: u64 = 2;

fn options() -> Options {
    let mut options = Options::default();
    options.sharing = Sharing::Shared;
    options.checkpoint_log_bytes = 256 << 10;
    options.stall_log_bytes = 1 << 20;
    options.segment_bytes_max = 256 << 10;
    options.log_window_bytes = 32 << 10;
    options.lock_timeout_us = 60_000_000;
    options
}

fn number_of(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes[..8].try_into().unwrap())
}

/// The last number of each writer, as both trees have it.
fn numbers(engine: &Engine) -> BTreeMap<u64, u64> {
    let snapshot = engine.snapshot().unwrap();
    let read = |name: &str| {
        let tree = snapshot.tree(name).unwrap();
        let rows = tree.iter().flat_map(|tree| tree.iter().unwrap()).map(Result::unwrap);
        rows.map(|(key, value)| (number_of(key), number_of(value))).collect::<BTreeMap<_, _>>()
    };
    let (left, right) = (read("left"), read("right"));
    assert_eq!(left, right, "a commit in parts");
    left
}

fn write(engine: &Engine, writer: u64, number: u64) {
    let mut txn = engine.begin_write().unwrap();
    let value = [&number.to_be_bytes()[..], &vec![number as u8; 200 + (number % 7) as usize * 900]].concat();
    txn.tree("left").unwrap().put(writer.to_be_bytes(), &value).unwrap();
    txn.tree("right").unwrap().put(writer.to_be_bytes(), &value).unwrap();
    let durability =
        if number.is_multiple_of(5) { Durability::Group { interval_us: 100 } } else { Durability::Sync };
    txn.commit_with(durability).unwrap();
}

/// Not a test of its own: what the processes do that are killed.
#[test]
fn a_process_that_is_killed() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let process: u64 = std::env::var(NUMBER).unwrap().parse().unwrap();
    let engine = Engine::open(&path, options()).unwrap();
    let known = numbers(&engine);
    std::thread::scope(|scope| {
        for writer in process * WRITERS..(process + 1) * WRITERS {
            let (engine, first) = (&engine, known.get(&writer).copied().unwrap_or(0) + 1);
            scope.spawn(move || {
                for number in first.. {
                    write(engine, writer, number);
                    let line = format!("ack {writer} {number}\n");
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
        // Snapshots are held when the process dies.
        scope.spawn(|| {
            let mut last = numbers(&engine);
            loop {
                let held = engine.snapshot().unwrap();
                let now = numbers(&engine);
                assert!(
                    last.iter().all(|(writer, number)| now.get(writer) >= Some(number)),
                    "{last:?} {now:?}"
                );
                last = now;
                assert!(held.trees().is_ok());
            }
        });
    });
}

type Acknowledged = Arc<Mutex<BTreeMap<u64, u64>>>;

struct Running {
    child: Child,
    listener: JoinHandle<()>,
}

fn start(path: &Path, process: u64, acknowledged: &Acknowledged) -> Running {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["sharing_deaths::a_process_that_is_killed", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, path)
        .env(NUMBER, process.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (output, acknowledged) = (child.stdout.take().unwrap(), Arc::clone(acknowledged));
    let listener = std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = String::new();
        while output.read_line(&mut line).unwrap() > 0 {
            let words: Vec<&str> = line.split_whitespace().collect();
            // A line without its end was being written when the process was killed.
            if let (["ack", writer, number], true) = (&words[..], line.ends_with('\n')) {
                acknowledged.lock().unwrap().insert(writer.parse().unwrap(), number.parse().unwrap());
            }
            line.clear();
        }
    });
    Running { child, listener }
}

fn kill(mut running: Running) {
    // By the number that the system gave it, with the signal that it cannot catch.
    assert!(running.child.try_wait().unwrap().is_none(), "a process ended by itself");
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    running.listener.join().unwrap();
}

#[test]
fn the_living_go_on_where_the_dead_left_off() {
    let rounds: u64 =
        std::env::var("LLMDB_KILL_ROUNDS").ok().and_then(|count| count.parse().ok()).unwrap_or(24);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let acknowledged = Acknowledged::default();
    let engine = Engine::open(&path, options()).unwrap();
    let stop = AtomicBool::new(false);
    let mut chooser = Chooser::new(5);
    std::thread::scope(|scope| {
        // This process writes too, and keeps a snapshot for longer.
        let writer = scope.spawn(|| {
            let (mine, mut number) = (PROCESSES * WRITERS, 0);
            let mut held = (engine.snapshot().unwrap(), numbers(&engine));
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                write(&engine, mine, number);
                acknowledged.lock().unwrap().insert(mine, number);
                let now = numbers(&engine);
                assert_eq!(now[&mine], number);
                if number % 40 == 0 {
                    let tree = held.0.tree("left").unwrap();
                    let rows = tree.iter().flat_map(|tree| tree.iter().unwrap()).map(Result::unwrap);
                    let rows: BTreeMap<_, _> =
                        rows.map(|(key, value)| (number_of(key), number_of(value))).collect();
                    assert_eq!(rows, held.1, "a snapshot changed");
                    // Taken before the numbers are read: they may be later ones, never earlier.
                    let snapshot = engine.snapshot().unwrap();
                    let tree = snapshot.tree("left").unwrap();
                    let rows = tree.iter().flat_map(|tree| tree.iter().unwrap()).map(Result::unwrap);
                    let rows = rows.map(|(key, value)| (number_of(key), number_of(value))).collect();
                    held = (snapshot, rows);
                }
            }
            number
        });
        let mut running: Vec<_> =
            (0..PROCESSES).map(|process| Some(start(&path, process, &acknowledged))).collect();
        for _ in 0..rounds {
            std::thread::park_timeout(Duration::from_millis(chooser.between(20, 250)));
            let victim = chooser.below(PROCESSES);
            kill(running[victim as usize].take().unwrap());
            let seen = acknowledged.lock().unwrap().clone();
            let found = numbers(&engine);
            for (writer, number) in seen {
                assert!(found.get(&writer) >= Some(&number), "writer {writer}: {number}, {found:?}");
            }
            running[victim as usize] = Some(start(&path, victim, &acknowledged));
        }
        running.into_iter().flatten().for_each(kill);
        stop.store(true, Ordering::Relaxed);
        println!("{} transactions here, {:?}", writer.join().unwrap(), acknowledged.lock().unwrap());
    });
    assert!(acknowledged.lock().unwrap().len() as u64 > PROCESSES * WRITERS / 2);
    assert_sound(&engine);
    let before = numbers(&engine);
    println!("{:?}", engine.stats().unwrap().pages);
    engine.close().unwrap();
    let engine = Engine::open(&path, Options::default()).unwrap();
    assert_eq!(numbers(&engine), before);
    assert_sound(&engine);
}

/// Here nobody is always there: processes find themselves alone and go over to private pages, others come in and wait for
/// them at the door, all are killed at once, and whoever comes next begins anew.
#[test]
fn now_and_then_nobody_is_left() {
    let rounds: u64 =
        std::env::var("LLMDB_KILL_ROUNDS").ok().and_then(|count| count.parse().ok()).unwrap_or(24);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let acknowledged = Acknowledged::default();
    let mut chooser = Chooser::new(11);
    let mut running: Vec<Option<Running>> = (0..PROCESSES).map(|_| None).collect();
    for round in 0..rounds {
        for process in 0..PROCESSES {
            let slot = &mut running[process as usize];
            match slot.take() {
                None if chooser.percent(60) => *slot = Some(start(&path, process, &acknowledged)),
                Some(process) if chooser.percent(50) => kill(process),
                other => *slot = other,
            }
        }
        if chooser.percent(30) {
            running.iter_mut().filter_map(Option::take).for_each(kill);
        }
        std::thread::park_timeout(Duration::from_millis(chooser.below(120)));
        if chooser.percent(60) {
            let seen = acknowledged.lock().unwrap().clone();
            let engine =
                Engine::open(&path, options()).unwrap_or_else(|error| panic!("round {round}: {error}"));
            let found = numbers(&engine);
            for (writer, number) in seen {
                assert!(
                    found.get(&writer) >= Some(&number),
                    "round {round}: writer {writer}: {number}, {found:?}"
                );
            }
            if chooser.coin() {
                let mine = PROCESSES * WRITERS;
                let number = found.get(&mine).copied().unwrap_or(0) + 1;
                write(&engine, mine, number);
                acknowledged.lock().unwrap().insert(mine, number);
                assert_eq!(numbers(&engine)[&mine], number);
            }
            if chooser.percent(20) {
                assert_sound(&engine);
            }
            engine.close().unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
    }
    running.into_iter().flatten().for_each(kill);
    let engine = Engine::open(&path, options()).unwrap();
    let found = numbers(&engine);
    for (writer, number) in acknowledged.lock().unwrap().iter() {
        assert!(found.get(writer) >= Some(number), "writer {writer}: {number}, {found:?}");
    }
    assert_sound(&engine);
    println!("{found:?}");
    engine.close().unwrap();
    assert!(!folder.path().join("store-share").exists() && !folder.path().join("store-wal").exists());
}
