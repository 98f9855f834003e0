//! What transactions promise while nothing goes wrong.

use std::{path::Path, sync::Arc};

use llmdb_engine::{Durability, Engine, ErrorKind, KEY_LEN_MAX, Options};
use llmdb_vfs::{MemoryVfs, Vfs};

fn store() -> (Arc<dyn Vfs>, Engine) {
    let vfs: Arc<dyn Vfs> = Arc::new(MemoryVfs::default());
    let engine = open(&vfs);
    (vfs, engine)
}

fn open(vfs: &Arc<dyn Vfs>) -> Engine {
    Engine::open_on(vfs.clone(), Path::new("test.llmdb"), Options::default()).unwrap()
}

fn rows(engine: &Engine) -> Vec<(Vec<u8>, Vec<u8>)> {
    let snapshot = engine.snapshot().unwrap();
    let rows = snapshot.iter().unwrap().map(Result::unwrap);
    rows.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

#[test]
fn commits_are_there_after_reopening() {
    let (vfs, engine) = store();
    let mut txn = engine.begin_write().unwrap();
    assert!(!txn.put("a", "1").unwrap());
    assert!(txn.put("a", "2").unwrap());
    assert_eq!(txn.get("a").unwrap(), Some(b"2".as_slice()));
    let commit = txn.commit().unwrap();
    engine.close().unwrap();
    let engine = open(&vfs);
    assert_eq!(rows(&engine), [(b"a".to_vec(), b"2".to_vec())]);
    let last = engine.last_commit();
    assert_eq!((last.txid, last.timestamp), (commit.txid, commit.timestamp));
    assert_eq!(engine.recovery().replayed_txns, 0, "a clean close leaves nothing to recover");
}

#[test]
fn a_clean_close_leaves_the_data_file_alone() {
    let (vfs, engine) = store();
    let mut txn = engine.begin_write().unwrap();
    txn.put("k", "v").unwrap();
    txn.commit().unwrap();
    assert!(vfs.exists(Path::new("test.llmdb-wal")).unwrap());
    engine.close().unwrap();
    assert!(!vfs.exists(Path::new("test.llmdb-wal")).unwrap());
}

#[test]
fn aborted_and_dropped_transactions_leave_no_trace() {
    let (_, engine) = store();
    let mut txn = engine.begin_write().unwrap();
    txn.put("a", "1").unwrap();
    txn.tree("other").unwrap().put("b", "2").unwrap();
    txn.abort();
    drop(engine.begin_write().unwrap());
    assert!(rows(&engine).is_empty());
    assert!(engine.snapshot().unwrap().trees().unwrap().is_empty());
    assert_eq!(engine.last_commit().txid.get(), 0);
}

#[test]
fn snapshots_stay_as_they_were() {
    let (_, engine) = store();
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

#[test]
fn savepoints_nest_and_can_be_gone_back_to_again() {
    let (vfs, engine) = store();
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
    assert_eq!(rows(&open(&vfs)), expected);
}

#[test]
fn trees_are_made_listed_and_dropped_in_transactions() {
    let (vfs, engine) = store();
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
    let trees = open(&vfs).snapshot().unwrap().trees().unwrap();
    assert_eq!(trees, [("a".into(), 500), ("b".into(), 0), ("c".into(), 500)]);
}

#[test]
fn an_oversize_key_is_refused_and_the_transaction_goes_on() {
    let (_, engine) = store();
    let mut txn = engine.begin_write().unwrap();
    txn.put([7; KEY_LEN_MAX], "longest").unwrap();
    let error = txn.put([7; KEY_LEN_MAX + 1], "longer").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLong);
    txn.commit().unwrap();
    assert_eq!(rows(&engine).len(), 1);
}

#[test]
fn long_values_stream_in_and_out() {
    use std::io::Read;
    let (vfs, engine) = store();
    let value: Vec<u8> = (0..3_000_001u32).map(|index| (index % 251) as u8).collect();
    let mut txn = engine.begin_write().unwrap();
    txn.tree("blobs").unwrap().put_reader("big", value.len() as u64, &mut value.as_slice()).unwrap();
    txn.commit().unwrap();
    engine.close().unwrap();
    let engine = open(&vfs);
    let snapshot = engine.snapshot().unwrap();
    let tree = snapshot.tree("blobs").unwrap().unwrap();
    let mut read = Vec::new();
    let mut reader = tree.get_reader("big").unwrap().unwrap();
    assert_eq!(reader.len(), value.len() as u64);
    reader.read_to_end(&mut read).unwrap();
    assert!(read == value);
    assert!(tree.get("big").unwrap() == Some(value.as_slice()));
}

#[test]
fn a_source_that_ends_early_fails_the_transaction() {
    let (_, engine) = store();
    let mut txn = engine.begin_write().unwrap();
    let error = txn.tree("t").unwrap().put_reader("k", 1 << 20, &mut [0u8; 10].as_slice()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(txn.put("a", "b").unwrap_err().kind(), ErrorKind::TxnFailed);
    assert_eq!(txn.commit().unwrap_err().kind(), ErrorKind::TxnFailed);
    engine.begin_write().unwrap().commit().unwrap();
}

#[test]
fn asynchronous_commits_become_visible_and_durable() {
    let (_, engine) = store();
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

#[test]
fn durability_off_is_visible_at_once() {
    let (_, engine) = store();
    let mut txn = engine.begin_write().unwrap();
    txn.put("a", "1").unwrap();
    txn.commit_with(Durability::Off).unwrap();
    assert_eq!(rows(&engine).len(), 1);
}

#[test]
fn many_threads_commit_and_every_commit_is_there() {
    let (vfs, engine) = store();
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
    assert_eq!(rows(&open(&vfs)).len(), 400);
}

#[test]
fn bulk_load_fills_an_empty_tree() {
    let (_, engine) = store();
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

#[test]
fn in_memory_stores_work_like_others() {
    let engine = Engine::in_memory().unwrap();
    for round in 0..20u32 {
        let mut txn = engine.begin_write().unwrap();
        for key in 0..100u32 {
            txn.put(key.to_be_bytes(), round.to_le_bytes()).unwrap();
        }
        txn.commit().unwrap();
    }
    assert_eq!(rows(&engine).len(), 100);
    engine.checkpoint().unwrap();
    engine.close().unwrap();
}

#[test]
fn a_second_opening_is_refused() {
    let (vfs, engine) = store();
    let error = Engine::open_on(vfs.clone(), "test.llmdb", Options::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains("process"), "{error}");
    drop(engine);
    open(&vfs);
}

#[test]
fn missing_stores_are_made_only_on_request() {
    let vfs: Arc<dyn Vfs> = Arc::new(MemoryVfs::default());
    let options = {
        let mut options = Options::default();
        options.create = false;
        options
    };
    assert_eq!(Engine::open_on(vfs, "none.llmdb", options).unwrap_err().kind(), ErrorKind::Missing);
}
