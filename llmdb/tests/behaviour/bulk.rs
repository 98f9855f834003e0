//! Loading rows that come in order.

use llmdb::{Db, ErrorKind};

#[test]
fn a_bulk_load_is_like_as_many_puts() {
    let home = super::Home::new();
    let db = home.open();
    let rows = || (0_u32..20_000).map(|number| (number.to_be_bytes(), vec![3; (number % 300) as usize]));
    let mut txn = db.begin_write().unwrap();
    assert_eq!(txn.tree("bulk").unwrap().bulk_load(rows()).unwrap(), 20_000);
    let mut puts = txn.tree("puts").unwrap();
    for (key, value) in rows() {
        puts.put(key, value).unwrap();
    }
    txn.commit().unwrap();
    let snapshot = db.snapshot().unwrap();
    let [bulk, puts] = ["bulk", "puts"].map(|name| snapshot.tree(name).unwrap().unwrap().iter().unwrap());
    assert!(bulk.map(Result::unwrap).eq(puts.map(Result::unwrap)));
    assert!(db.check().unwrap().problems.is_empty());
}

#[test]
fn only_an_empty_tree_can_be_bulk_loaded() {
    let db = Db::in_memory().unwrap();
    super::put(&db, &[("a", "1")]);
    let mut txn = db.begin_write().unwrap();
    let error = txn.tree("main").unwrap().bulk_load([("b", "1")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    txn.put("c", "1").unwrap();
    txn.commit().unwrap();
}

#[test]
fn keys_out_of_order_abort_the_load() {
    let db = Db::in_memory().unwrap();
    let mut txn = db.begin_write().unwrap();
    let error = txn.tree("t").unwrap().bulk_load([("b", "1"), ("a", "1")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert_eq!(txn.commit().unwrap_err().kind(), ErrorKind::TxnFailed);
    assert!(db.snapshot().unwrap().trees().unwrap().is_empty());
}
