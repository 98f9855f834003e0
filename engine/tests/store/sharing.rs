//! Several processes have one store open: each sees what the others commit, one writes at a time, and the store stays
//! whole. Here the processes are openings of one program, which exclude each other as processes do.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its numbers are small"
)]
use std::{path::Path, sync::Arc};

use crate::common::{
    assert_sound,
    script::{commit, puts},
    state,
};
use llmdb_engine::{Background, Durability, Engine, Error, ErrorKind, Options, Sharing};
use llmdb_vfs::{
    MemoryVfs, OsVfs, Vfs,
    crash::{CrashVfs, Failure, Fault, Observer, OpKind},
};

fn shared() -> Options {
    let mut options = Options::default();
    options.sharing = Sharing::Shared;
    options
}

fn open(path: &Path) -> Engine {
    Engine::open(path, shared()).unwrap()
}

/// A process without threads: it gives the turn away behind each transaction.
fn by_hand(disk: CrashVfs) -> Engine {
    let mut options = shared();
    options.background = Background::Manual;
    Engine::open_on(Arc::new(disk), "store", options).unwrap()
}

fn get(engine: &Engine, key: u64) -> Option<Vec<u8>> {
    engine.snapshot().unwrap().get(key.to_be_bytes()).unwrap().map(<[u8]>::to_vec)
}

fn put(engine: &Engine, key: u64, value: impl AsRef<[u8]>) {
    let mut txn = engine.begin_write().unwrap();
    txn.put(key.to_be_bytes(), value).unwrap();
    txn.commit().unwrap();
}

#[test]
fn each_sees_what_the_others_commit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let first = open(&path);
    put(&first, 1, "one");
    let second = open(&path);
    assert_eq!(get(&second, 1).unwrap(), b"one", "what was committed before the second came");
    put(&first, 2, "two");
    assert_eq!(get(&second, 2).unwrap(), b"two");
    put(&second, 3, "three");
    assert_eq!(get(&first, 3).unwrap(), b"three");
    let third = open(&path);
    put(&third, 1, "three again");
    for engine in [&first, &second, &third] {
        assert_eq!(get(engine, 1).unwrap(), b"three again");
        assert_eq!(engine.last_commit().txid.get(), 4);
    }
    let pages = [&first, &second, &third].map(|engine| engine.stats().unwrap().pages);
    let figures = pages.map(|pages| (pages.file_pages, pages.live_pages, pages.free_pages));
    assert_eq!(figures, [figures[2]; 3], "whoever asks");
    assert!(figures[0].1 > 4 && figures[0].2 > 0, "{figures:?}");
    first.close().unwrap();
    put(&second, 4, "four");
    assert_eq!(get(&third, 4).unwrap(), b"four");
    assert_sound(&third);
    drop(second);
    third.close().unwrap();
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name == "store" || name == "store-lock"), "{names:?}");
    let engine = Engine::open(&path, Options::default()).unwrap();
    assert_eq!(engine.recovery().replayed_txns, 0, "the last one closed it");
    assert_eq!(get(&engine, 3).unwrap(), b"three");
    assert_sound(&engine);
}

#[test]
fn a_snapshot_stays_as_it_was_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (first, second) = (open(&path), open(&path));
    commit(&first, &puts("t", 0..400, 1, 300)).unwrap();
    let old = [first.snapshot().unwrap(), second.snapshot().unwrap()];
    let before = state(&first);
    for round in 2..30 {
        let engine = if round % 2 == 0 { &first } else { &second };
        commit(engine, &puts("t", 0..400, round, 300)).unwrap();
        if round % 7 == 0 {
            engine.checkpoint().unwrap();
        }
    }
    for snapshot in &old {
        assert!(crate::common::contents(snapshot).unwrap() == before);
    }
    assert!(state(&first) == state(&second) && state(&first) != before);
    drop(old);
    assert_sound(&first);
    assert_sound(&second);
}

#[test]
fn writers_of_several_processes_lose_nothing() {
    const PROCESSES: u64 = 4;
    const WRITERS: u64 = 3;
    const COMMITS: u64 = 60;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let engines: Vec<_> = (0..PROCESSES).map(|_| open(&path)).collect();
    std::thread::scope(|scope| {
        for (process, engine) in (0..).zip(&engines) {
            for writer in 0..WRITERS {
                scope.spawn(move || {
                    let key = process * WRITERS + writer;
                    for number in 1..=COMMITS {
                        let mut txn = engine.begin_write().unwrap();
                        let total = txn.get("total").unwrap().map_or(0, number_of);
                        txn.put("total", (total + 1).to_be_bytes()).unwrap();
                        txn.put(key.to_be_bytes(), number.to_be_bytes()).unwrap();
                        txn.tree("long").unwrap().put(key.to_be_bytes(), vec![number as u8; 20_000]).unwrap();
                        txn.commit().unwrap();
                    }
                });
            }
            scope.spawn(move || {
                let mut last = 0;
                while last < PROCESSES * WRITERS * COMMITS {
                    let snapshot = engine.snapshot().unwrap();
                    let total = snapshot.get("total").unwrap().map_or(0, number_of);
                    assert!(total >= last, "{total} after {last}");
                    let counts = (0..PROCESSES * WRITERS)
                        .map(|key| snapshot.get(key.to_be_bytes()).unwrap().map_or(0, number_of));
                    assert_eq!(counts.sum::<u64>(), total, "a commit in parts");
                    last = total;
                }
            });
        }
    });
    for engine in &engines {
        assert_eq!(
            number_of(engine.snapshot().unwrap().get("total").unwrap().unwrap()),
            PROCESSES * WRITERS * COMMITS
        );
    }
    assert_sound(&engines[0]);
    engines.into_iter().for_each(|engine| engine.close().unwrap());
    let engine = Engine::open(&path, Options::default()).unwrap();
    assert_eq!(engine.recovery().replayed_txns, 0);
    assert_sound(&engine);
}

fn number_of(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}

#[test]
fn who_waits_too_long_is_told_for_whom() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let first = open(&path);
    let mut options = shared();
    options.lock_timeout_us = 100_000;
    let second = Engine::open(&path, options.clone()).unwrap();
    let txn = first.begin_write().unwrap();
    let error = second.begin_write().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    assert!(second.try_begin_write().unwrap().is_none());
    assert!(get(&second, 1).is_none(), "reading goes on");
    txn.abort();
    put(&second, 1, "one");
    assert_eq!(get(&first, 1).unwrap(), b"one");
}

#[test]
fn exclusive_and_shared_openings_exclude_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut read_only = Options::default();
    read_only.read_only = true;
    {
        let sharing = open(&path);
        put(&sharing, 1, "one");
        for options in [Options::default(), read_only.clone()] {
            let error = Engine::open(&path, options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
            assert!(error.to_string().contains("process"), "{error}");
        }
        sharing.close().unwrap();
    }
    for options in [Options::default(), read_only] {
        let alone = Engine::open(&path, options).unwrap();
        let error = Engine::open(&path, shared()).unwrap_err();
        assert!(matches!(error, Error::Locked { .. }), "{error}");
        drop(alone);
    }
    assert_eq!(get(&open(&path), 1).unwrap(), b"one");
}

#[test]
fn who_only_reads_reads_with_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    open(&path).close().unwrap();
    let mut options = shared();
    options.read_only = true;
    let reader = Engine::open(&path, options).unwrap();
    let writer = open(&path);
    put(&writer, 1, "one");
    assert_eq!(get(&reader, 1).unwrap(), b"one");
    let old = reader.snapshot().unwrap();
    for round in 0..50_u64 {
        put(&writer, 1, round.to_be_bytes());
    }
    assert_eq!(old.get(1_u64.to_be_bytes()).unwrap().unwrap(), b"one");
    assert_eq!(reader.begin_write().unwrap_err().kind(), ErrorKind::ReadOnly);
    drop(old);
    reader.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn a_damaged_area_is_made_anew_once_everybody_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let area = folder.path().join("store-share");
    for garbage in [vec![], vec![0xAB; 5000], vec![0xFF; (1 << 20) + 77], vec![1; 3 << 20]] {
        std::fs::write(&area, garbage).unwrap();
        let (first, second) = (open(&path), open(&path));
        put(&first, 1, "one");
        put(&second, 2, "two");
        assert_eq!(get(&first, 2).unwrap(), b"two");
    }
}

/// Without threads of the engine nobody gives the turn away while the process does something else.
#[test]
fn without_threads_the_turn_goes_round_by_hand() {
    let vfs = Arc::new(MemoryVfs::default());
    let mut options = shared();
    options.background = Background::Manual;
    options.checkpoint_log_bytes = 32 << 10;
    let open = || Engine::open_on(vfs.clone(), "store", options.clone()).unwrap();
    let engines = [open(), open(), open()];
    for round in 0..60 {
        for (index, engine) in engines.iter().enumerate() {
            let mut txn = engine.begin_write().unwrap();
            for key in 0..20_u64 {
                txn.put(key.to_be_bytes(), [round as u8, index as u8].repeat(100)).unwrap();
            }
            txn.commit_with([Durability::Sync, Durability::Async, Durability::Off][round % 3]).unwrap();
            for other in &engines {
                assert_eq!(get(other, 7).unwrap()[..2], [round as u8, index as u8]);
            }
        }
    }
    assert_sound(&engines[2]);
    engines.into_iter().for_each(|engine| engine.close().unwrap());
    let engine = Engine::open_on(vfs, "store", Options::default()).unwrap();
    assert_eq!(engine.recovery().replayed_txns, 0);
    assert_sound(&engine);
}

/// A thread that waits for longer has a bug.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// A process that has begun to publish and has not told the others yet must not use again what these may still come to hold.
#[test]
fn what_others_may_come_to_hold_is_not_used_again() {
    let disk = CrashVfs::new(9);
    let (writer, reader) = (by_hand(disk.clone()), by_hand(disk.process()));
    let begin = |value: u8| {
        let mut txn = writer.begin_write().unwrap();
        for key in 0..60_u64 {
            txn.put(key.to_be_bytes(), [value; 500]).unwrap();
        }
        txn
    };
    begin(1).commit().unwrap();
    // The thread that publishes stops at its first step in what the processes share.
    let (stopped, has_stopped) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let may_go_on = std::sync::Mutex::new(Some(may_go_on));
    let observer: Observer = Arc::new(move |_, op| {
        let publishes = std::thread::current().name() == Some("publisher") && op.kind == OpKind::Area;
        if let Some(may_go_on) = publishes.then(|| may_go_on.lock().unwrap().take()).flatten() {
            stopped.send(()).unwrap();
            may_go_on.recv_timeout(PATIENCE).unwrap();
        }
    });
    std::thread::scope(|scope| {
        let publish = || {
            let txn = begin(2);
            disk.observe(Some(observer));
            txn.commit_with(Durability::Off).unwrap();
        };
        let publisher = std::thread::Builder::new().name("publisher".into());
        let publisher = publisher.spawn_scoped(scope, publish).unwrap();
        has_stopped.recv_timeout(PATIENCE).unwrap();
        let mut txn = writer.begin_write().unwrap();
        let held = reader.snapshot().unwrap();
        for key in 0..60_u64 {
            txn.put(key.to_be_bytes(), [3; 500]).unwrap();
        }
        go_on.send(()).unwrap();
        publisher.join().unwrap();
        txn.commit().unwrap();
        for key in 0..60_u64 {
            assert_eq!(held.get(key.to_be_bytes()).unwrap(), Some(&[1; 500][..]), "{key}");
        }
    });
    disk.observe(None);
    assert_sound(&reader);
}

/// Lets the other threads end, also if this one panics.
struct StopAtEnd<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

/// The file is cut while other processes read it, and made longer again by whoever writes next.
#[test]
fn a_file_that_is_compacted_shrinks_under_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let engines = [open(&path), open(&path), open(&path)];
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        for engine in &engines {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let snapshot = engine.snapshot().unwrap();
                    let count = snapshot.trees().unwrap().iter().map(|(_, keys)| keys).sum::<u64>();
                    let rows = crate::common::contents(&snapshot).unwrap();
                    assert_eq!(rows.values().map(|rows| rows.len() as u64).sum::<u64>(), count);
                }
            });
        }
        for round in 0..6_u64 {
            let engine = &engines[(round % 3) as usize];
            for part in 0..8 {
                commit(engine, &puts("t", part * 100..part * 100 + 100, round, 900)).unwrap();
            }
            let mut txn = engines[((round + 1) % 3) as usize].begin_write().unwrap();
            txn.drop_tree("t").unwrap();
            txn.commit().unwrap();
            let other = &engines[((round + 2) % 3) as usize];
            commit(other, &puts("kept", 0..20, round, 100)).unwrap();
            other.compact(&mut |_, _| true).unwrap();
        }
    });
    engines[0].compact(&mut |_, _| true).unwrap();
    assert!(engines[1].stats().unwrap().file_bytes < 1 << 20, "{}", engines[1].stats().unwrap().file_bytes);
    engines.iter().for_each(assert_sound);
}

/// A process that dies while it does nothing must not leave anything to recover: it has handed over long before.
#[test]
fn a_process_without_work_hands_over_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (first, second) = (open(&path), open(&path));
    let area = OsVfs::new().share(&folder.path().join("store-share")).unwrap();
    // Number of the last hand-over, while no turn is under way: see docs/format/lock.md.
    let clean = || area.words()[48].load(std::sync::atomic::Ordering::SeqCst);
    for engine in [&first, &second, &first] {
        put(engine, 1, "one");
        while clean() == 0 {
            std::thread::yield_now();
        }
    }
    drop(second);
    // Alone again, the first keeps its pages private, and the turn.
    while area.words()[56].load(std::sync::atomic::Ordering::SeqCst) == 0 {
        put(&first, 1, "two");
    }
    assert_eq!(clean(), 0);
    assert_eq!(get(&first, 1).unwrap(), b"two");
    first.close().unwrap();
}

/// A process whose disk fails reads on, and keeps nobody from writing.
#[test]
fn a_process_that_cannot_write_any_more_lets_the_others_go_on() {
    for kind in [OpKind::Completion, OpKind::Sync] {
        let disk = CrashVfs::new(7);
        let (failing, other) = (by_hand(disk.clone()), by_hand(disk.process()));
        put(&other, 1, "before");
        put(&failing, 2, "by the one that will fail");
        let kept = failing.snapshot().unwrap();
        disk.plan(Fault { kind, after_count: 0, fail_count: u64::MAX, failure: Failure::Io });
        let mut txn = failing.begin_write().unwrap();
        txn.put(3_u64.to_be_bytes(), "perhaps").unwrap();
        let is_acknowledged = txn.commit().is_ok();
        assert!(!is_acknowledged || failing.checkpoint().is_err(), "{kind:?}");
        disk.clear_faults();
        put(&other, 4, "by the other");
        assert_eq!(get(&failing, 4).as_deref(), Some(&b"by the other"[..]), "{kind:?}");
        assert_eq!(get(&failing, 1).as_deref(), Some(&b"before"[..]));
        assert_eq!(kept.get(4_u64.to_be_bytes()).unwrap(), None);
        assert!(matches!(failing.begin_write(), Err(Error::Poisoned(_))));
        assert!(matches!(failing.sync(), Err(Error::Poisoned(_))));
        if is_acknowledged {
            assert_eq!(get(&other, 3).as_deref(), Some(&b"perhaps"[..]));
        }
        drop(kept);
        // It has nothing to add any more.
        drop(failing);
        put(&other, 5, "after it went");
        assert_sound(&other);
        other.close().unwrap();
        let again = Engine::open_on(Arc::new(disk.clone()), "store", Options::default()).unwrap();
        assert_eq!(get(&again, 5).as_deref(), Some(&b"after it went"[..]));
        assert_sound(&again);
    }
}

/// One that cannot write its pages for a hand-over gives the turn up all the same: in company it has none that others need.
#[test]
fn a_process_that_cannot_write_its_pages_lets_the_others_go_on() {
    for more in [None, Some(OpKind::Completion), Some(OpKind::Sync)] {
        let disk = CrashVfs::new(8);
        let (failing, other) = (by_hand(disk.clone()), by_hand(disk.process()));
        put(&other, 1, "before");
        put(&failing, 2, "by the one that will fail");
        let kept = failing.snapshot_latest().unwrap();
        for kind in [Some(OpKind::Write), more].into_iter().flatten() {
            disk.plan(Fault { kind, after_count: 0, fail_count: u64::MAX, failure: Failure::Io });
        }
        let mut txn = failing.begin_write().unwrap();
        txn.put(3_u64.to_be_bytes(), vec![3; 9_000]).unwrap();
        assert!(txn.commit().is_err(), "{more:?}");
        // The disk of the other one is well.
        disk.clear_faults();
        put(&other, 4, "by the other");
        assert_eq!(get(&failing, 4).as_deref(), Some(&b"by the other"[..]), "{more:?}");
        assert_eq!(kept.get(2_u64.to_be_bytes()).unwrap(), Some(&b"by the one that will fail"[..]));
        assert_eq!(kept.get(4_u64.to_be_bytes()).unwrap(), None);
        match failing.begin_write() {
            Ok(mut txn) => {
                txn.put(5_u64.to_be_bytes(), "again").unwrap();
                txn.commit().unwrap();
                assert_eq!(get(&other, 5).as_deref(), Some(&b"again"[..]));
            }
            Err(error) => assert!(matches!(error, Error::Poisoned(_)), "{more:?}: {error}"),
        }
        drop((kept, failing));
        assert_sound(&other);
        other.close().unwrap();
        let again = Engine::open_on(Arc::new(disk.clone()), "store", Options::default()).unwrap();
        assert_eq!(get(&again, 4).as_deref(), Some(&b"by the other"[..]));
        assert_sound(&again);
    }
}
