//! Another program cuts the data file while it is open, on the real disk: readers and writers are told, with the page;
//! no answer is wrong; the process lives; nothing is written that would hide what happened; and the log still has
//! every acknowledged commit.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
#![allow(clippy::disallowed_methods, reason = "the files of the real disk are cut and put back by hand")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::common::{
    Trees, assert_sound,
    script::{commit, key, puts, value},
    state,
};
use llmdb_engine::{Background, Engine, Error, ErrorKind, Options, Sharing, Snapshot};

const ROWS: u64 = 3_000;
const LONG: u64 = 24;
const PAGE: u64 = 4096;

fn options() -> Options {
    let mut options = Options::default();
    options.background = Background::Manual;
    options
}

struct Store {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Store {
    /// A store with short rows, and values that fill pages, after two checkpoints.
    fn new() -> (Self, Engine) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let engine = Engine::open(&path, options()).unwrap();
        commit(&engine, &puts("rows", 0..ROWS, 1, 100)).unwrap();
        commit(&engine, &puts("long", 0..LONG, 1, 30_000)).unwrap();
        commit(&engine, &puts("longer", 0..3, 1, 400_000)).unwrap();
        engine.checkpoint().unwrap();
        commit(&engine, &puts("few", 0..10, 1, 50)).unwrap();
        engine.checkpoint().unwrap();
        (Self { folder, path }, engine)
    }

    fn file(&self) -> fs::File {
        fs::OpenOptions::new().write(true).open(&self.path).unwrap()
    }

    fn len(&self) -> u64 {
        fs::metadata(&self.path).unwrap().len()
    }

    fn cut(&self, pages: u64) {
        self.file().set_len(pages * PAGE).unwrap();
    }

    /// The data file as it is, under another name.
    fn copy(&self) -> PathBuf {
        let copy = self.folder.path().join("copy");
        fs::copy(&self.path, &copy).unwrap();
        copy
    }

    /// Writes the bytes of a copy into the file: the same file, for whoever has it open.
    fn put_back(&self, copy: &Path) {
        fs::write(&self.path, fs::read(copy).unwrap()).unwrap();
    }
}

fn long_value(tree: &str, number: u64) -> Vec<u8> {
    value(1 + number, if tree == "long" { 30_000 } else { 400_000 })
}

fn assert_is_damage(error: &Error) {
    let Error::Corruption(damage) = error else { panic!("{error:?}") };
    assert!(error.to_string().contains(&damage.pgno.to_string()), "{error}");
}

/// Looks up rows from all over; counts right answers. Every other answer is an error that names a page.
fn look(snapshot: &Snapshot, from: u64) -> (u64, Option<Error>) {
    let mut right = 0;
    let mut note = |found: llmdb_engine::Result<bool>| match found {
        Ok(is_right) => {
            assert!(is_right, "a wrong answer");
            right += 1;
            None
        }
        Err(error) => {
            assert_is_damage(&error);
            Some(error)
        }
    };
    let mut error = None;
    for step in 0..50 {
        let number = (from + step * 61) % ROWS;
        let get = || {
            Ok(snapshot
                .tree("rows")?
                .map(|rows| rows.get(key(number)).map(|found| found.map(<[u8]>::to_vec))))
        };
        let found: llmdb_engine::Result<Option<llmdb_engine::Result<Option<Vec<u8>>>>> = get();
        let found = found.and_then(|found| found.expect("the tree is there"));
        error = error.or(note(found.map(|found| found == Some(value(1 + number, 100)))));
    }
    for tree in ["long", "longer"] {
        let number = from % 3;
        // Copied first, asked afterwards whether the slice was there.
        let read = || {
            let Some(tree) = snapshot.tree(tree)? else { return Ok(None) };
            let copied = tree.get(key(number))?.map(<[u8]>::to_vec);
            snapshot.check_intact()?;
            Ok(copied)
        };
        let found: llmdb_engine::Result<Option<Vec<u8>>> = read();
        error = error.or(note(found.map(|found| found == Some(long_value(tree, number)))));
        let streamed = || {
            let Some(tree) = snapshot.tree(tree)? else { return Ok(None) };
            let Some(mut reader) = tree.get_reader(key(number))? else { return Ok(None) };
            let mut bytes = Vec::new();
            Ok(std::io::Read::read_to_end(&mut reader, &mut bytes).ok().map(|_| bytes))
        };
        let found: llmdb_engine::Result<Option<Vec<u8>>> = streamed();
        if let Ok(Some(bytes)) = found {
            assert!(bytes == long_value(tree, number), "a wrong answer from a reader");
        }
    }
    (right, error)
}

#[test]
fn readers_on_many_threads_are_told() {
    for pages in [0, 1, 18, 40, 100] {
        let (store, engine) = Store::new();
        let old = engine.snapshot().unwrap();
        assert!(look(&old, 0).1.is_none());
        let failed = AtomicU64::new(0);
        let passes = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (engine, failed, passes) = (&engine, &failed, &passes);
                scope.spawn(move || {
                    let mut from = thread;
                    while failed.load(Ordering::Relaxed) < 40 {
                        from += 7;
                        match engine.snapshot() {
                            Ok(snapshot) => {
                                let (_, error) = look(&snapshot, from);
                                failed.fetch_add(u64::from(error.is_some()), Ordering::Relaxed);
                            }
                            Err(error) => assert_is_damage(&error),
                        }
                        passes.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            while passes.load(Ordering::Relaxed) < 8 {
                std::thread::yield_now();
            }
            store.cut(pages);
        });
        let (_, error) = look(&old, 1);
        assert!(error.is_some(), "the old snapshot is not to be trusted any more");
        assert!(old.check_intact().is_err());

        // No write is taken, and the file is left as it is, for whoever comes to look.
        let refused = commit(&engine, &puts("rows", 0..5, 9, 100)).unwrap_err();
        assert!(
            matches!(refused.error().kind(), ErrorKind::Poisoned | ErrorKind::Corruption),
            "{:?}",
            refused.error()
        );
        assert!(engine.checkpoint().is_err());
        drop(old);
        assert!(engine.close().is_err());
        assert_eq!(store.len(), pages * PAGE);
        let error = Engine::open(&store.path, options()).unwrap_err();
        let text = error.to_string();
        match pages {
            0 => assert_eq!(error.kind(), ErrorKind::NotADatabase, "{text}"),
            _ => assert!(text.contains(&format!("{} bytes", pages * PAGE)), "{text}"),
        }
    }
}

/// A page below the cut is as good as before, in a snapshot that begins afterwards.
#[test]
fn what_is_left_stays_readable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Store { folder, path };
    let engine = Engine::open(&store.path, options()).unwrap();
    commit(&engine, &puts("gone", 0..100, 1, 100)).unwrap();
    commit(&engine, &puts("rows", 0..ROWS, 1, 100)).unwrap();
    engine.close().unwrap();
    // The list of trees and the root of the tree move to the beginning of the file, where there is room now.
    let engine = Engine::open(&store.path, options()).unwrap();
    commit(&engine, &[crate::common::script::Change::Drop("gone")]).unwrap();
    engine.checkpoint().unwrap();
    engine.checkpoint().unwrap();
    engine.close().unwrap();
    let engine = Engine::open(&store.path, options()).unwrap();
    commit(&engine, &puts("rows", [0], 1, 100)).unwrap();
    engine.checkpoint().unwrap();

    store.cut(store.len() / PAGE / 2);
    let (mut right, mut failed) = (0, 0);
    for number in (0..ROWS).step_by(7) {
        let snapshot = engine.snapshot().unwrap();
        let get = || Ok::<_, Error>(snapshot.tree("rows")?.unwrap().get(key(number))?.map(<[u8]>::to_vec));
        match get() {
            Ok(found) => {
                assert!(found == Some(value(1 + number, 100)), "a wrong answer");
                right += 1;
            }
            Err(error) => {
                assert_is_damage(&error);
                failed += 1;
            }
        }
    }
    assert!(right > 100 && failed > 50, "{right} right, {failed} failed");
}

/// The cut comes while a transaction is under way, at a commit, at a checkpoint: what was acknowledged is in the log.
#[test]
fn writers_are_told_and_the_log_has_what_was_acknowledged() {
    for story in ["before the first change", "before the commit", "before a checkpoint", "before the close"] {
        let (store, engine) = Store::new();
        let copy = store.copy();
        let mut expected = state(&engine);
        let add = |expected: &mut Trees, number: u64| {
            expected.entry("new".into()).or_default().insert(key(number), value(1 + number, 300));
        };
        for number in 0..20 {
            commit(&engine, &puts("new", [number], 1, 300)).unwrap();
            add(&mut expected, number);
        }
        match story {
            "before the first change" => {
                store.cut(20);
                for number in 20..40 {
                    match commit(&engine, &puts("new", [number], 1, 300)) {
                        Ok(()) => add(&mut expected, number),
                        Err(refused) => {
                            let kind = refused.error().kind();
                            assert!(
                                matches!(kind, ErrorKind::Poisoned | ErrorKind::Corruption),
                                "{refused:?}"
                            );
                        }
                    }
                }
            }
            "before the commit" => {
                let mut txn = engine.begin_write().unwrap();
                let mut put = || txn.tree("new")?.put(key(20), value(21, 300));
                put().unwrap();
                store.cut(20);
                for number in (0..ROWS).step_by(50) {
                    let touched = txn.tree("rows").and_then(|mut rows| rows.put(key(number), b"x"));
                    if touched.is_err() {
                        break;
                    }
                }
                assert!(txn.commit().is_err());
            }
            "before a checkpoint" => {
                store.cut(20);
                assert!(engine.checkpoint().is_err());
                assert_eq!(store.len(), 20 * PAGE);
            }
            _ => store.cut(20),
        }
        assert!(engine.close().is_err(), "{story}");
        assert_eq!(store.len(), 20 * PAGE, "{story}");
        assert!(
            Engine::open(&store.path, options()).unwrap_err().to_string().contains("81920 bytes"),
            "{story}"
        );
        store.put_back(&copy);
        let engine = Engine::open(&store.path, options()).unwrap();
        assert!(state(&engine) == expected, "{story}: an acknowledged commit is missing");
        assert_sound(&engine);
    }
}

/// Somebody writes another file over ours: private pages are gone without a signal.
#[test]
fn a_file_that_is_written_over_is_not_made_whole_by_a_checkpoint() {
    let (store, engine) = Store::new();
    let copy = store.copy();
    for number in 0..20 {
        commit(&engine, &puts("new", [number], 1, 300)).unwrap();
    }
    let expected = state(&engine);
    store.put_back(&copy);
    let checkpoint = engine.checkpoint();
    assert!(checkpoint.is_err(), "{checkpoint:?}");
    assert!(engine.close().is_err());
    let engine = Engine::open(&store.path, options()).unwrap();
    assert!(state(&engine) == expected);
    assert_sound(&engine);
}

#[test]
fn a_backup_of_pages_that_go_away_fails() {
    let (store, engine) = Store::new();
    let to = store.folder.path().join("backup");
    let mut cut = false;
    let result = engine.backup(&to, &mut |done, _| {
        if done > 0 && !cut {
            cut = true;
            store.cut(20);
        }
        true
    });
    assert!(cut && result.is_err(), "{result:?}");
    assert!(!to.exists());
}

/// What processes share is cut as well as the data: nobody dies, nobody takes zeros for what the others said, and nothing
/// that was acknowledged is lost once all have let go.
#[test]
fn a_cut_of_what_processes_share_is_an_error() {
    for (len, order) in [(0, [0, 1]), (0, [1, 0]), (64 << 10, [0, 1])] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let share = folder.path().join("store-share");
        let shared = || {
            let mut options = options();
            options.sharing = Sharing::Shared;
            options.lock_timeout_us = 200_000;
            options
        };
        let engines = [Engine::open(&path, shared()).unwrap(), Engine::open(&path, shared()).unwrap()];
        let mut acknowledged = 0;
        for (number, engine) in (0..6).zip(engines.iter().cycle()) {
            commit(engine, &puts("rows", 0..40, number, 100)).unwrap();
            acknowledged = number;
        }
        let held = engines[0].snapshot().unwrap();
        fs::OpenOptions::new().write(true).open(&share).unwrap().set_len(len).unwrap();
        let (mut told, mut tried) = (0, acknowledged);
        for index in order {
            for _ in 0..2 {
                tried += 1;
                let number = tried;
                match commit(&engines[index], &puts("rows", 0..40, number, 100)) {
                    Ok(_) => acknowledged = number,
                    Err(_) => told += 1,
                }
            }
            match engines[index].snapshot() {
                Ok(snapshot) => assert_some_commit(&snapshot, tried),
                Err(_) => told += 1,
            }
        }
        assert!(told > 0, "nobody noticed, cut to {len}");
        assert_some_commit(&held, tried);
        drop(held);
        for engine in engines {
            let _ = engine.close();
        }
        let engine = Engine::open(&path, shared()).unwrap();
        assert_sound(&engine);
        let found =
            engine.snapshot().unwrap().tree("rows").unwrap().unwrap().get(key(7)).unwrap().unwrap().to_vec();
        let is_kept = (acknowledged..=tried).any(|number| found == value(number + 7, 100));
        assert!(is_kept, "cut to {len}: acknowledged up to {acknowledged}");
        engine.close().unwrap();
    }
}

/// What it shows was committed once, or it says that it shows nothing.
fn assert_some_commit(snapshot: &Snapshot, tried: u64) {
    let Ok(Some(rows)) = snapshot.tree("rows") else { return };
    if let Ok(row) = rows.get(key(7)) {
        assert!((0..=tried).any(|number| row == Some(&value(number + 7, 100)[..])));
    }
}

/// Whatever the process gives to new files: who may use the data file may share it.
#[test]
fn what_processes_share_has_the_rights_of_the_data_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut shared = options();
    shared.sharing = Sharing::Shared;
    Engine::open(&path, shared.clone()).unwrap().close().unwrap();
    for mode in [0o660, 0o600, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let engine = Engine::open(&path, shared.clone()).unwrap();
        let found = fs::metadata(folder.path().join("store-share")).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode);
        engine.close().unwrap();
    }
}
