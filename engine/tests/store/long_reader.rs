//! A snapshot is held while the store is overwritten many times: what it shows never changes, the pages that it cannot
//! see are used again, and when it goes, so does what it held.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
use crate::common::{
    Trees, assert_sound, contents, killed, open_with, options,
    script::{Change, commit, key, puts, value},
    state,
};
use llmdb_engine::{Engine, Options, Snapshot};
use llmdb_vfs::crash::CrashVfs;

const ROWS: u64 = 600;
const ROUNDS: u64 = 120;

fn store() -> (CrashVfs, Engine) {
    let disk = CrashVfs::new(1);
    let engine = open_with(&disk, small()).unwrap();
    (disk, engine)
}

/// Checkpoints come often, by themselves.
fn small() -> Options {
    let mut options = options();
    options.checkpoint_log_bytes = 200 << 10;
    options
}

/// Overwrites everything, with values short and long.
fn churn(engine: &Engine, round: u64) {
    let mut changes = puts("rows", 0..ROWS, round, 150);
    changes.extend((0..4).map(|number| Change::Put("long", key(number), value(round + number, 10_000))));
    if round.is_multiple_of(5) {
        changes.push(Change::Drop("few"));
    }
    changes.extend(puts("few", round..round + 20, round, 60));
    commit(engine, &changes).unwrap();
}

fn read(snapshot: &Snapshot) -> Trees {
    contents(snapshot).unwrap()
}

fn file_pages(engine: &Engine) -> u64 {
    engine.stats().unwrap().pages.file_pages
}

#[test]
fn what_a_snapshot_shows_never_changes() {
    let (_, engine) = store();
    churn(&engine, 0);
    let held = engine.snapshot().unwrap();
    let before = read(&held);
    for round in 1..ROUNDS {
        churn(&engine, round);
        if round % 10 == 0 {
            assert!(read(&held) == before, "round {round}");
            let later = engine.snapshot().unwrap();
            assert!(read(&later) != before);
        }
    }
    assert!(engine.stats().unwrap().checkpoint_count > 20, "{}", engine.stats().unwrap().checkpoint_count);
    assert!(read(&held) == before);
    assert_sound(&engine);
}

#[test]
fn pages_that_it_cannot_see_are_used_again() {
    let (_, engine) = store();
    churn(&engine, 0);
    churn(&engine, 1);
    let live = engine.stats().unwrap().pages.live_pages;
    let held = engine.snapshot().unwrap();
    let mut early = 0;
    for round in 2..ROUNDS {
        churn(&engine, round);
        if round == 20 {
            early = file_pages(&engine);
        }
    }
    let late = file_pages(&engine);
    // The rounds have written a hundred times the live pages; what the snapshot alone can see is held, and no more.
    assert!(late <= early + live, "{early} pages after 20 rounds, {late} after {ROUNDS}; {live} are live");
    assert!(late < live * 6 + 128, "{late} pages for {live} live ones");
    let stats = engine.stats().unwrap().pages;
    assert!(stats.held_pages > live / 3, "{stats:?}");
    assert_eq!(stats.readers, 1, "{stats:?}");
    drop(held);
}

#[test]
fn when_it_goes_what_it_held_is_used() {
    let (_, engine) = store();
    churn(&engine, 0);
    churn(&engine, 1);
    let live = engine.stats().unwrap().pages.live_pages;
    let held = engine.snapshot().unwrap();
    for round in 2..30 {
        churn(&engine, round);
    }
    let before = engine.stats().unwrap().pages;
    assert_eq!(before.oldest_holder.is_some(), before.oldest_holder_pages > 0);
    drop(held);
    // Two checkpoints, so that neither generation is older than the snapshot was.
    for round in 30..34 {
        churn(&engine, round);
        engine.checkpoint().unwrap();
    }
    let after = engine.stats().unwrap().pages;
    assert!(after.held_pages + live / 3 < before.held_pages, "{before:?}, then {after:?}");
    assert_eq!((after.readers, after.oldest_reader), (0, None));
    assert!(after.file_pages <= before.file_pages, "what was given back was used, or cut off");
    // A clean close gives the rest of the free end of the file back to the disk.
    engine.close().unwrap();
}

#[test]
fn readers_of_many_ages() {
    let (_, engine) = store();
    let mut readers: Vec<(u64, Snapshot, Trees)> = Vec::new();
    let mut chooser = llmdb_vfs::crash::Chooser::new(3);
    for round in 0..ROUNDS {
        churn(&engine, round);
        if chooser.percent(40) {
            let snapshot = engine.snapshot().unwrap();
            let shown = read(&snapshot);
            readers.push((round, snapshot, shown));
        }
        if !readers.is_empty() && chooser.percent(35) {
            let (born, snapshot, shown) = readers.swap_remove(chooser.index(readers.len()));
            assert!(read(&snapshot) == shown, "born in round {born}, dropped in {round}");
        }
        if round % 20 == 19 {
            for (born, snapshot, shown) in &readers {
                assert!(read(snapshot) == *shown, "born in round {born}, read in {round}");
            }
        }
    }
    assert!(readers.len() > 3, "{}", readers.len());
    assert_sound(&engine);
}

/// A reader of another thread reads all the time while pages are reused under it.
#[test]
fn reading_while_it_churns() {
    let (_, engine) = store();
    churn(&engine, 0);
    let snapshot = engine.snapshot().unwrap();
    let before = read(&snapshot);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| (0..40).all(|_| read(&snapshot) == before));
        for round in 1..ROUNDS / 2 {
            churn(&engine, round);
        }
        assert!(reader.join().unwrap());
    });
}

#[test]
fn a_crash_forgets_readers_and_nothing_else() {
    let (disk, engine) = store();
    churn(&engine, 0);
    let held = engine.snapshot().unwrap();
    for round in 1..40 {
        churn(&engine, round);
    }
    let now = state(&engine);
    let found = killed(&disk);
    let after = open_with(&found, small()).unwrap();
    assert!(state(&after) == now);
    assert_sound(&after);
    // Nobody holds anything any more: the next rounds find room without growing the file.
    let pages = file_pages(&after);
    for round in 40..80 {
        churn(&after, round);
    }
    assert!(file_pages(&after) <= pages + 64, "{pages}, then {}", file_pages(&after));
    drop(held);
}
