//! The clock steps back, or stands still: commits go on in order, what was asserted "from now on" holds, and what had
//! been believed stays where it was.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use llmdb_engine::{Background, Engine, Options};
use llmdb_temporal::{AsOf, At, History, Store, Timestamp, TxnId, Valid, Value};
use llmdb_vfs::{File, FileLock, LockError, LockKind, Mapping, MemoryVfs, Open, Ring, Vfs};

/// A disk in memory whose clock stands where it was put.
#[derive(Debug, Default)]
struct Stopped {
    disk: MemoryVfs,
    now: AtomicI64,
}

impl Vfs for Stopped {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        self.disk.open(path, how)
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
    fn ring(&self, depth: usize) -> io::Result<Box<dyn Ring>> {
        self.disk.ring(depth)
    }
    fn map(&self, file: Option<Arc<dyn File>>) -> io::Result<Mapping> {
        self.disk.map(file)
    }
    fn now(&self) -> Timestamp {
        Timestamp::new(self.now.load(Ordering::Relaxed))
    }
    fn monotonic_us(&self) -> u64 {
        self.disk.monotonic_us()
    }
    fn random_u64(&self) -> u64 {
        self.disk.random_u64()
    }
}

#[test]
fn a_clock_that_steps_back_changes_no_order() {
    let disk = Arc::new(Stopped::default());
    let mut options = Options::default();
    options.background = Background::Manual;
    let engine = Engine::open_on(disk.clone(), "test.llmdb", options).unwrap();
    let store = Store::new(&engine);
    let mut txn = store.begin_write().unwrap();
    txn.create("facts", History::default()).unwrap();
    txn.commit().unwrap();

    let hour = 3_600_000_000;
    let mut commits: Vec<(TxnId, Timestamp)> = Vec::new();
    for (clock, value) in [(hour, "a"), (10, "b"), (10, "c"), (2 * hour, "d"), (-hour, "e")] {
        disk.now.store(clock, Ordering::Relaxed);
        let mut txn = store.begin_write().unwrap();
        txn.collection("facts").unwrap().put("row", Valid::Now, Value::raw(value.as_bytes())).unwrap();
        let commit = txn.commit().unwrap();
        assert!(commits.last().is_none_or(|last| last.1 < commit.timestamp));
        commits.push((commit.txid, commit.timestamp));
        let view = store.view().unwrap();
        let facts = view.collection("facts").unwrap();
        let fact = facts.get("row", At::NOW).unwrap().unwrap();
        assert_eq!((fact.value, fact.learned), (Value::raw(value.as_bytes()), commit.timestamp));
        assert!(view.now() >= commit.timestamp, "the present is not before what is believed");
    }
    assert_eq!(commits[0].1.get(), hour);
    assert_eq!(commits[1].1.get(), hour + 1, "the clock stood before the last commit");
    let view = store.view().unwrap();
    let facts = view.collection("facts").unwrap();
    for ((txid, timestamp), value) in commits.iter().zip(["a", "b", "c", "d", "e"]) {
        let expected = Some(Value::raw(value.as_bytes()));
        for at in [
            At::NOW.as_of(AsOf::Transaction(*txid)),
            At::NOW.as_of(AsOf::Time(*timestamp)),
            At::valid(*timestamp),
        ] {
            assert_eq!(facts.get("row", at).unwrap().map(|fact| fact.value), expected);
        }
    }
    assert_eq!(facts.history("row").unwrap().len(), 9, "five values, four of them superseded");
}
