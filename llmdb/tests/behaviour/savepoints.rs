//! Going back inside a transaction.

use llmdb::{Db, ErrorKind};

#[test]
fn rollback_undoes_puts_deletes_and_trees_since_the_savepoint() {
    let db = Db::in_memory().unwrap();
    super::put(&db, &[("old", "1"), ("kept", "1")]);
    let mut txn = db.begin_write().unwrap();
    txn.put("before", "1").unwrap();
    let savepoint = txn.savepoint().unwrap();
    for number in 0_u32..2_000 {
        txn.put(number.to_be_bytes(), [7; 100]).unwrap();
    }
    txn.delete("old").unwrap();
    txn.tree("new").unwrap().put("a", "1").unwrap();
    txn.rollback_to(savepoint).unwrap();
    assert_eq!(txn.tree_names().unwrap(), ["main"]);
    txn.put("after", "1").unwrap();
    txn.commit().unwrap();
    let snapshot = db.snapshot().unwrap();
    assert_eq!(super::keys(snapshot.iter().unwrap()), ["after", "before", "kept", "old"]);
    assert!(db.check().unwrap().problems.is_empty());
}

#[test]
fn savepoints_nest_and_can_be_gone_back_to_again() {
    let db = Db::in_memory().unwrap();
    let mut txn = db.begin_write().unwrap();
    let outer = txn.savepoint().unwrap();
    txn.put("a", "1").unwrap();
    let inner = txn.savepoint().unwrap();
    txn.put("b", "1").unwrap();
    txn.rollback_to(inner).unwrap();
    txn.put("c", "1").unwrap();
    txn.rollback_to(inner).unwrap();
    assert_eq!(super::keys(txn.tree("main").unwrap().iter().unwrap()), ["a"]);
    txn.rollback_to(outer).unwrap();
    assert_eq!(txn.rollback_to(inner).unwrap_err().kind(), ErrorKind::Misuse);
    assert_eq!(txn.get("a").unwrap(), None);
    txn.put("d", "1").unwrap();
    txn.commit().unwrap();
    assert_eq!(super::keys(db.snapshot().unwrap().iter().unwrap()), ["d"]);
}

#[test]
fn a_rolled_back_part_stays_away_after_a_crash() {
    let home = super::Home::new();
    let db = home.open();
    let mut txn = db.begin_write().unwrap();
    txn.put("a", "1").unwrap();
    let savepoint = txn.savepoint().unwrap();
    txn.put("b", "1").unwrap();
    txn.rollback_to(savepoint).unwrap();
    txn.put("c", "1").unwrap();
    txn.commit().unwrap();
    let copy = super::reopen::as_after_a_crash(&home);
    assert_eq!(super::keys(copy.db.snapshot().unwrap().iter().unwrap()), ["a", "c"]);
}

#[test]
fn a_savepoint_of_another_transaction_is_refused() {
    let db = Db::in_memory().unwrap();
    let mut txn = db.begin_write().unwrap();
    let foreign = txn.savepoint().unwrap();
    txn.put("a", "1").unwrap();
    txn.commit().unwrap();
    let mut txn = db.begin_write().unwrap();
    assert_eq!(txn.rollback_to(foreign).unwrap_err().kind(), ErrorKind::Misuse);
    txn.put("b", "1").unwrap();
    txn.commit().unwrap();
}
