//! A store on a medium that nobody can write: it is read, also if it was not closed, and nothing is touched.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
use std::{io, path::Path, sync::Arc};

use crate::common::{
    assert_sound,
    script::{commit, puts},
    state,
};
use llmdb_base::Timestamp;
use llmdb_engine::{Engine, ErrorKind, Options, Sharing};
use llmdb_vfs::{
    Create, File, FileLock, LockError, LockKind, Mapping, MemoryVfs, Open, Ring, ShareError, SharedArea, Vfs,
};

/// A disk that refuses every change, as a medium does that is mounted so.
#[derive(Debug)]
struct Frozen(MemoryVfs);

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Vfs for Frozen {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        if how.write || how.create == Create::New { refused() } else { self.0.open(path, how) }
    }

    fn remove_file(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        refused()
    }

    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn remove_dir(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn list_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.0.list_dir(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.0.exists(path)
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn lock(&self, _path: &Path, _kind: LockKind, _note: &str) -> Result<Box<dyn FileLock>, LockError> {
        Err(LockError::Io(io::ErrorKind::ReadOnlyFilesystem.into()))
    }

    fn share(&self, _path: &Path) -> Result<Arc<dyn SharedArea>, ShareError> {
        Err(ShareError::ReadOnlyMedium)
    }

    fn ring(&self, depth: usize) -> io::Result<Box<dyn Ring>> {
        self.0.ring(depth)
    }

    fn map(&self, file: Option<Arc<dyn File>>) -> io::Result<Mapping> {
        self.0.map(file)
    }

    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn monotonic_us(&self) -> u64 {
        self.0.monotonic_us()
    }

    fn random_u64(&self) -> u64 {
        self.0.random_u64()
    }
}

fn reading() -> Options {
    let mut options = crate::common::read_only();
    options.sharing = Sharing::Shared;
    options
}

#[test]
fn a_store_that_was_closed_is_read() {
    let disk = MemoryVfs::new(3);
    let engine =
        Engine::open_on(Arc::new(disk.clone()), crate::common::PATH, crate::common::options()).unwrap();
    commit(&engine, &puts("t", 0..300, 1, 200)).unwrap();
    let before = state(&engine);
    engine.close().unwrap();
    let engine = Engine::open_on(Arc::new(Frozen(disk)), crate::common::PATH, reading()).unwrap();
    assert!(state(&engine) == before);
    assert_sound(&engine);
    assert_eq!(engine.begin_write().unwrap_err().kind(), ErrorKind::ReadOnly);
    engine.close().unwrap();
}

#[test]
fn a_store_that_was_not_closed_is_recovered_in_memory() {
    let disk = MemoryVfs::new(3);
    let engine =
        Engine::open_on(Arc::new(disk.clone()), crate::common::PATH, crate::common::options()).unwrap();
    commit(&engine, &puts("t", 0..300, 1, 200)).unwrap();
    engine.checkpoint().unwrap();
    for round in 2..8 {
        commit(&engine, &puts("t", 0..300, round, 900)).unwrap();
        commit(&engine, &puts("long", 0..2, round, 400_000)).unwrap();
    }
    let before = state(&engine);
    // As a process does that is killed.
    std::mem::forget(engine);
    for _ in 0..2 {
        let engine = Engine::open_on(Arc::new(Frozen(disk.clone())), crate::common::PATH, reading()).unwrap();
        assert_eq!(engine.recovery().replayed_txns, 12);
        assert!(state(&engine) == before);
        assert_sound(&engine);
        assert_eq!(engine.begin_write().unwrap_err().kind(), ErrorKind::ReadOnly);
        engine.close().unwrap();
    }
}

#[test]
fn writing_there_is_refused() {
    let disk = MemoryVfs::new(3);
    drop(Engine::open_on(Arc::new(disk.clone()), crate::common::PATH, crate::common::options()).unwrap());
    let mut options = reading();
    options.read_only = false;
    let error = Engine::open_on(Arc::new(Frozen(disk)), crate::common::PATH, options).unwrap_err();
    assert!(error.to_string().contains("medium cannot be written"), "{error}");
}
