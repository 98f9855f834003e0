//! What transactions promise while nothing goes wrong, on any disk: the bodies of the tests, and the table of disks.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use llmdb_engine::{Durability, Engine, ErrorKind, KEY_LEN_MAX, Options, Result};
use llmdb_vfs::{MemoryVfs, OsOptions, OsVfs, Vfs};

/// A disk with a place for a store on it.
pub struct Disk {
    pub vfs: Arc<dyn Vfs>,
    path: PathBuf,
    _folder: Option<tempfile::TempDir>,
}

impl Disk {
    /// In memory.
    pub fn memory() -> Self {
        Self { vfs: Arc::new(MemoryVfs::default()), path: "test.llmdb".into(), _folder: None }
    }

    /// A folder of the real disk that goes with the value.
    pub fn real(options: OsOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.llmdb");
        Self { vfs: Arc::new(OsVfs::with_options(options)), path, _folder: Some(folder) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the log of the store lies.
    pub fn log(&self) -> PathBuf {
        self.path.with_file_name("test.llmdb-wal")
    }

    pub fn try_open(&self, options: Options) -> Result<Engine> {
        Engine::open_on(Arc::clone(&self.vfs), &self.path, options)
    }

    pub fn open(&self) -> Engine {
        self.try_open(Options::default()).unwrap()
    }
}

/// The rows of the main tree.
pub fn rows(engine: &Engine) -> Vec<(Vec<u8>, Vec<u8>)> {
    let snapshot = engine.snapshot().unwrap();
    let rows = snapshot.iter().unwrap().map(Result::unwrap);
    rows.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

pub fn commits_are_there_after_reopening(disk: &Disk) {
    let engine = disk.open();
    let mut txn = engine.begin_write().unwrap();
    assert!(!txn.put("a", "1").unwrap());
    assert!(txn.put("a", "2").unwrap());
    assert_eq!(txn.get("a").unwrap(), Some(b"2".as_slice()));
    let commit = txn.commit().unwrap();
    engine.close().unwrap();
    let engine = disk.open();
    assert_eq!(rows(&engine), [(b"a".to_vec(), b"2".to_vec())]);
    let last = engine.last_commit();
    assert_eq!((last.txid, last.timestamp), (commit.txid, commit.timestamp));
    assert_eq!(engine.recovery().replayed_txns, 0, "a clean close leaves nothing to recover");
}

pub fn a_clean_close_leaves_the_data_file_alone(disk: &Disk) {
    let engine = disk.open();
    let mut txn = engine.begin_write().unwrap();
    txn.put("k", "v").unwrap();
    txn.commit().unwrap();
    assert!(disk.vfs.exists(&disk.log()).unwrap());
    engine.close().unwrap();
    assert!(!disk.vfs.exists(&disk.log()).unwrap());
}

pub fn aborted_and_dropped_transactions_leave_no_trace(disk: &Disk) {
    let engine = disk.open();
    let mut txn = engine.begin_write().unwrap();
    txn.put("a", "1").unwrap();
    txn.tree("other").unwrap().put("b", "2").unwrap();
    txn.abort();
    drop(engine.begin_write().unwrap());
    assert!(rows(&engine).is_empty());
    assert!(engine.snapshot().unwrap().trees().unwrap().is_empty());
    assert_eq!(engine.last_commit().txid.get(), 0);
}

pub fn snapshots_stay_as_they_were(disk: &Disk) {
    let engine = disk.open();
    for round in 0..50u32 {
        let mut txn = engine.begin_write().unwrap();
        for key in 0..200u32 {
            txn.put(key.to_be_bytes(), round.to_le_bytes().repeat(20)).unwrap();
        }
        txn.commit().unwrap();
        let before = engine.snapshot().unwrap();
        let mut txn = engine.begin_write().unwrap();
        txn.tree("main").unwrap().clear().unwrap();
        txn.commit().unwrap();
        assert_eq!(before.main().unwrap().len(), 200);
        for row in before.iter().unwrap() {
            assert_eq!(row.unwrap().1, round.to_le_bytes().repeat(20));
        }
        assert!(rows(&engine).is_empty());
    }
}

pub fn savepoints_nest_and_can_be_gone_back_to_again(disk: &Disk) {
    let engine = disk.open();
    let mut txn = engine.begin_write().unwrap();
    txn.put("kept", "1").unwrap();
    let outer = txn.savepoint().unwrap();
    txn.put("outer", "2").unwrap();
    let inner = txn.savepoint().unwrap();
    txn.tree("t").unwrap().put("inner", "3").unwrap();
    txn.rollback_to(inner).unwrap();
    assert_eq!(txn.get("outer").unwrap(), Some(b"2".as_slice()));
    assert!(txn.open_tree("t").unwrap().is_none());
    txn.rollback_to(outer).unwrap();
    assert_eq!(txn.rollback_to(inner).unwrap_err().kind(), ErrorKind::Misuse);
    txn.put("again", "4").unwrap();
    txn.rollback_to(outer).unwrap();
    txn.put("last", "5").unwrap();
    txn.commit().unwrap();
    let expected = [(b"kept".to_vec(), b"1".to_vec()), (b"last".to_vec(), b"5".to_vec())];
    assert_eq!(rows(&engine), expected);
    engine.close().unwrap();
    assert_eq!(rows(&disk.open()), expected);
}

pub fn trees_are_made_listed_and_dropped_in_transactions(disk: &Disk) {
    let engine = disk.open();
    let mut txn = engine.begin_write().unwrap();
    for name in ["c", "a", "b"] {
        for key in 0..500u32 {
            txn.tree(name).unwrap().put(key.to_be_bytes(), name).unwrap();
        }
    }
    txn.commit().unwrap();
    let mut txn = engine.begin_write().unwrap();
    assert!(txn.drop_tree("b").unwrap());
    assert!(!txn.drop_tree("b").unwrap());
    assert_eq!(txn.tree_names().unwrap(), ["a", "c"]);
    assert_eq!(txn.tree("b").unwrap().len(), 0);
    txn.commit().unwrap();
    engine.close().unwrap();
    let trees = disk.open().snapshot().unwrap().trees().unwrap();
    assert_eq!(trees, [("a".into(), 500), ("b".into(), 0), ("c".into(), 500)]);
}

pub fn an_oversize_key_is_refused_and_the_transaction_goes_on(disk: &Disk) {
    let engine = disk.open();
    let mut txn = engine.begin_write().unwrap();
    txn.put([7; KEY_LEN_MAX], "longest").unwrap();
    let error = txn.put([7; KEY_LEN_MAX + 1], "longer").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLong);
    txn.commit().unwrap();
    assert_eq!(rows(&engine).len(), 1);
}

pub fn long_values_stream_in_and_out(disk: &Disk) {
    use std::io::Read;
    let engine = disk.open();
    let value: Vec<u8> = (0..3_000_001u32).map(|index| (index % 251) as u8).collect();
    let mut txn = engine.begin_write().unwrap();
    txn.tree("blobs").unwrap().put_reader("big", value.len() as u64, &mut value.as_slice()).unwrap();
    txn.commit().unwrap();
    engine.close().unwrap();
    let engine = disk.open();
    let snapshot = engine.snapshot().unwrap();
    let tree = snapshot.tree("blobs").unwrap().unwrap();
    let mut read = Vec::new();
    let mut reader = tree.get_reader("big").unwrap().unwrap();
    assert_eq!(reader.len(), value.len() as u64);
    reader.read_to_end(&mut read).unwrap();
    assert!(read == value);
    assert!(tree.get("big").unwrap() == Some(value.as_slice()));
}

pub fn a_source_that_ends_early_fails_the_transaction(disk: &Disk) {
    let engine = disk.open();
    let mut txn = engine.begin_write().unwrap();
    let error = txn.tree("t").unwrap().put_reader("k", 1 << 20, &mut [0u8; 10].as_slice()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(txn.put("a", "b").unwrap_err().kind(), ErrorKind::TxnFailed);
    assert_eq!(txn.commit().unwrap_err().kind(), ErrorKind::TxnFailed);
    engine.begin_write().unwrap().commit().unwrap();
}

pub fn asynchronous_commits_become_visible_and_durable(disk: &Disk) {
    let engine = disk.open();
    let mut tickets = Vec::new();
    for key in 0..100u32 {
        let mut txn = engine.begin_write().unwrap();
        txn.put(key.to_be_bytes(), "v").unwrap();
        tickets.push(txn.commit_async().unwrap());
    }
    for ticket in &tickets {
        ticket.wait().unwrap();
        assert!(ticket.is_durable());
    }
    assert_eq!(rows(&engine).len(), 100);
}

pub fn durability_off_is_visible_at_once(disk: &Disk) {
    let engine = disk.open();
    let mut txn = engine.begin_write().unwrap();
    txn.put("a", "1").unwrap();
    txn.commit_with(Durability::Off).unwrap();
    assert_eq!(rows(&engine).len(), 1);
}

pub fn many_threads_commit_and_every_commit_is_there(disk: &Disk) {
    let engine = disk.open();
    std::thread::scope(|scope| {
        for thread in 0..8u32 {
            let engine = &engine;
            scope.spawn(move || {
                for count in 0..50u32 {
                    let mut txn = engine.begin_write().unwrap();
                    txn.put([thread.to_be_bytes(), count.to_be_bytes()].concat(), "v").unwrap();
                    let durability = if thread % 2 == 0 {
                        Durability::Sync
                    } else {
                        Durability::Group { interval_us: 200 }
                    };
                    let commit = txn.commit_with(durability).unwrap();
                    assert!(
                        engine.snapshot().unwrap().txid() >= commit.txid,
                        "an acknowledged commit is visible"
                    );
                }
            });
        }
    });
    assert_eq!(rows(&engine).len(), 400);
    engine.close().unwrap();
    assert_eq!(rows(&disk.open()).len(), 400);
}

pub fn bulk_load_fills_an_empty_tree(disk: &Disk) {
    let engine = disk.open();
    let mut txn = engine.begin_write().unwrap();
    let rows = (0..5000u32).map(|key| (key.to_be_bytes(), key.to_le_bytes().repeat(8)));
    assert_eq!(txn.tree("t").unwrap().bulk_load(rows).unwrap(), 5000);
    assert_eq!(txn.tree("t").unwrap().bulk_load([("a", "b")]).unwrap_err().kind(), ErrorKind::Misuse);
    txn.commit().unwrap();
    let snapshot = engine.snapshot().unwrap();
    let tree = snapshot.tree("t").unwrap().unwrap();
    assert_eq!(tree.get(4999u32.to_be_bytes()).unwrap(), Some(4999u32.to_le_bytes().repeat(8).as_slice()));
    assert_eq!(tree.iter().unwrap().rev().count(), 5000);
}

pub fn a_second_opening_is_refused(disk: &Disk) {
    let engine = disk.open();
    let error = disk.try_open(Options::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains("process"), "{error}");
    drop(engine);
    disk.open();
}

pub fn missing_stores_are_made_only_on_request(disk: &Disk) {
    let options = {
        let mut options = Options::default();
        options.create = false;
        options
    };
    assert_eq!(disk.try_open(options).unwrap_err().kind(), ErrorKind::Missing);
}

pub fn a_transaction_can_know_its_timestamp_before_it_commits(disk: &Disk) {
    let engine = disk.open();
    let mut txn = engine.begin_write().unwrap();
    let timestamp = txn.timestamp();
    txn.put("a", timestamp.get().to_le_bytes()).unwrap();
    assert_eq!(txn.timestamp(), timestamp, "asking fixes it");
    assert_eq!(txn.commit().unwrap().timestamp, timestamp);
    let mut txn = engine.begin_write().unwrap();
    assert!(txn.timestamp() > timestamp);
    txn.abort();
    let mut txn = engine.begin_write().unwrap();
    txn.put("b", "").unwrap();
    assert!(txn.commit().unwrap().timestamp > timestamp);
    assert!(engine.now() > timestamp);
}

/// Every test of this file, each on a disk of its own that `$disk` makes.
#[macro_export]
macro_rules! behaviour_on {
    ($disk:expr) => {
        $crate::behaviour_on! { $disk;
            commits_are_there_after_reopening
            a_clean_close_leaves_the_data_file_alone
            aborted_and_dropped_transactions_leave_no_trace
            snapshots_stay_as_they_were
            savepoints_nest_and_can_be_gone_back_to_again
            trees_are_made_listed_and_dropped_in_transactions
            an_oversize_key_is_refused_and_the_transaction_goes_on
            long_values_stream_in_and_out
            a_source_that_ends_early_fails_the_transaction
            asynchronous_commits_become_visible_and_durable
            durability_off_is_visible_at_once
            many_threads_commit_and_every_commit_is_there
            bulk_load_fills_an_empty_tree
            a_second_opening_is_refused
            missing_stores_are_made_only_on_request
            a_transaction_can_know_its_timestamp_before_it_commits
        }
    };
    ($disk:expr; $($name:ident)*) => {
        $(#[test]
        fn $name() {
            $crate::common::behaviour::$name(&$disk);
        })*
    };
}
