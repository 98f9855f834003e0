//! All or nothing, one writer at a time, own changes visible at once.

use llmdb::Db;

#[test]
fn a_transaction_sees_its_own_changes_and_nobody_else_does() {
    let db = Db::in_memory().unwrap();
    let mut txn = db.begin_write().unwrap();
    assert!(!txn.put("a", "1").unwrap());
    assert!(txn.put("a", "2").unwrap());
    assert_eq!(txn.get("a").unwrap(), Some(&b"2"[..]));
    assert_eq!(db.snapshot().unwrap().get("a").unwrap(), None);
    assert_eq!(db.snapshot_latest().unwrap().get("a").unwrap(), None);
    txn.commit().unwrap();
    assert_eq!(db.snapshot().unwrap().get("a").unwrap(), Some(&b"2"[..]));
}

#[test]
fn aborted_and_dropped_transactions_leave_no_trace() {
    let db = Db::in_memory().unwrap();
    let mut txn = db.begin_write().unwrap();
    txn.put("a", "1").unwrap();
    txn.abort();
    let mut txn = db.begin_write().unwrap();
    txn.tree("other").unwrap().put("b", "1").unwrap();
    drop(txn);
    assert!(db.snapshot().unwrap().trees().unwrap().is_empty());
    assert!(db.check().unwrap().problems.is_empty());
}

#[test]
fn an_empty_transaction_commits_nothing() {
    let db = Db::in_memory().unwrap();
    super::put(&db, &[("a", "1")]);
    let last = db.last_commit();
    assert_eq!(db.begin_write().unwrap().commit().unwrap(), last);
    assert_eq!(db.last_commit(), last);
}

#[test]
fn commits_are_numbered_and_dated_in_order() {
    let db = Db::in_memory().unwrap();
    let mut last = db.last_commit();
    for number in 0..10 {
        let mut txn = db.begin_write().unwrap();
        txn.put("n", [number]).unwrap();
        let announced = txn.txid();
        let commit = txn.commit().unwrap();
        assert_eq!(commit.txid, announced);
        assert!(commit.txid > last.txid && commit.timestamp > last.timestamp);
        last = commit;
    }
}

#[test]
fn a_second_writer_waits_for_the_first() {
    let db = Db::in_memory().unwrap();
    let mut first = db.begin_write().unwrap();
    assert!(db.try_begin_write().unwrap().is_none());
    first.put("a", "first").unwrap();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| {
            let mut txn = db.begin_write().unwrap();
            let seen = txn.get("a").unwrap().map(<[u8]>::to_vec);
            txn.put("a", "second").unwrap();
            txn.commit().unwrap();
            seen
        });
        first.commit().unwrap();
        assert_eq!(second.join().unwrap(), Some(b"first".to_vec()));
    });
    assert_eq!(db.snapshot().unwrap().get("a").unwrap(), Some(&b"second"[..]));
}

#[test]
fn deleting_says_whether_the_key_was_there() {
    let db = Db::in_memory().unwrap();
    super::put(&db, &[("a", "1")]);
    let mut txn = db.begin_write().unwrap();
    assert!(txn.delete("a").unwrap());
    assert!(!txn.delete("a").unwrap());
    assert_eq!(txn.get("a").unwrap(), None);
    txn.commit().unwrap();
    assert!(db.snapshot().unwrap().main().unwrap().is_empty());
}
