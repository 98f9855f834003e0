//! A process with the thread that serves others, on a real disk whose data file cannot be written any more.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
use std::{
    any::Any,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::common::assert_sound;
use llmdb_base::Timestamp;
use llmdb_engine::{Engine, Error, Options, Sharing};
use llmdb_vfs::{
    AlignedBuf, File, FileLock, LockError, LockKind, Mapping, Open, OsVfs, Ring, ShareError, SharedArea, Vfs,
};

/// The real disk, as a process has it whose files cannot be written. The log goes through a ring, and is well.
#[derive(Debug)]
struct Failing {
    disk: OsVfs,
    fails: Arc<AtomicBool>,
}

#[derive(Debug)]
struct FailingFile {
    file: Arc<dyn File>,
    fails: Arc<AtomicBool>,
}

impl FailingFile {
    fn refuse(&self) -> io::Result<()> {
        let fails = self.fails.load(Ordering::SeqCst);
        if fails { Err(io::Error::other("planned device error")) } else { Ok(()) }
    }
}

impl File for FailingFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.refuse().and_then(|()| self.file.write_at(buf, offset))
    }
    fn write_durable_at(&self, buf: &AlignedBuf, offset: u64) -> io::Result<()> {
        self.refuse().and_then(|()| self.file.write_durable_at(buf, offset))
    }
    fn read_media_at(&self, buf: &mut AlignedBuf, offset: u64) -> io::Result<()> {
        self.file.read_media_at(buf, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.refuse().and_then(|()| self.file.sync_data())
    }
    fn start_writeback(&self, offset: u64, len: u64) {
        self.file.start_writeback(offset, len);
    }
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.file.allocate(offset, len)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn as_any(&self) -> &dyn Any {
        self.file.as_any()
    }
}

impl Vfs for Failing {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(FailingFile { file: self.disk.open(path, how)?, fails: Arc::clone(&self.fails) }))
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }
    fn list_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.list_dir(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }
    fn lock(&self, path: &Path, kind: LockKind, note: &str) -> Result<Box<dyn FileLock>, LockError> {
        self.disk.lock(path, kind, note)
    }
    fn share(&self, path: &Path) -> Result<Arc<dyn SharedArea>, ShareError> {
        self.disk.share(path)
    }
    fn ring(&self, depth: usize) -> io::Result<Box<dyn Ring>> {
        self.disk.ring(depth)
    }
    fn map(&self, file: Option<Arc<dyn File>>) -> io::Result<Mapping> {
        self.disk.map(file)
    }
    fn now(&self) -> Timestamp {
        self.disk.now()
    }
    fn monotonic_us(&self) -> u64 {
        self.disk.monotonic_us()
    }
    fn random_u64(&self) -> u64 {
        self.disk.random_u64()
    }
}

fn options(lock_timeout_us: u64) -> Options {
    let mut options = Options::default();
    options.sharing = Sharing::Shared;
    options.lock_timeout_us = lock_timeout_us;
    options
}

fn put(engine: &Engine, key: u64, value: &str) -> Result<(), Error> {
    let mut txn = engine.begin_write()?;
    txn.put(key.to_be_bytes(), value)?;
    txn.commit().map(drop)
}

fn get(engine: &Engine, key: u64) -> Option<Vec<u8>> {
    engine.snapshot().unwrap().get(key.to_be_bytes()).unwrap().map(<[u8]>::to_vec)
}

fn failing(path: &Path) -> (Engine, Arc<AtomicBool>) {
    let fails = Arc::new(AtomicBool::new(false));
    let disk = Failing { disk: OsVfs::new(), fails: Arc::clone(&fails) };
    (Engine::open_on(Arc::new(disk), path, options(10_000_000)).unwrap(), fails)
}

#[test]
fn in_company_it_gives_the_turn_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (failing, fails) = failing(&path);
    let other = Engine::open(&path, options(10_000_000)).unwrap();
    put(&failing, 1, "one").unwrap();
    put(&other, 2, "two").unwrap();
    put(&failing, 3, "three").unwrap();
    fails.store(true, Ordering::SeqCst);
    assert!(put(&failing, 4, "four").is_err(), "its pages must be in the file before others see it");
    put(&other, 5, "five").unwrap();
    for engine in [&failing, &other] {
        assert_eq!(get(engine, 3).as_deref(), Some(&b"three"[..]));
        assert_eq!(get(engine, 4), None);
        assert_eq!(get(engine, 5).as_deref(), Some(&b"five"[..]));
    }
    drop(failing);
    put(&other, 6, "six").unwrap();
    assert_sound(&other);
    other.close().unwrap();
}

#[test]
fn alone_it_keeps_what_only_it_has_and_says_that_it_must_be_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (failing, fails) = failing(&path);
    put(&failing, 1, "one").unwrap();
    fails.store(true, Ordering::SeqCst);
    let error = loop {
        // It says so from the first time on that it could not write; whoever was faster is told who it is.
        let error = Engine::open(&path, options(300_000)).map(drop).unwrap_err();
        assert!(matches!(error, Error::Busy { .. }), "{error}");
        if error.to_string().contains("cannot write") {
            break error;
        }
    };
    assert!(error.to_string().contains("close it"), "{error}");
    assert_eq!(get(&failing, 1).as_deref(), Some(&b"one"[..]));
    drop(failing);
    let other = Engine::open(&path, options(10_000_000)).unwrap();
    assert_eq!(get(&other, 1).as_deref(), Some(&b"one"[..]), "what was acknowledged is there");
    put(&other, 2, "two").unwrap();
    assert_sound(&other);
    other.close().unwrap();
}
