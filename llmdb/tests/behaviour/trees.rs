//! Named trees: made, listed, dropped inside transactions.

use llmdb::{Db, ErrorKind};

#[test]
fn trees_are_made_listed_and_dropped() {
    let db = Db::in_memory().unwrap();
    let mut txn = db.begin_write().unwrap();
    for name in ["b", "a", "ü"] {
        txn.tree(name).unwrap().put("key", name).unwrap();
    }
    assert_eq!(txn.tree_names().unwrap(), ["a", "b", "ü"]);
    assert!(txn.open_tree("c").unwrap().is_none());
    txn.commit().unwrap();

    let old = db.snapshot().unwrap();
    let mut txn = db.begin_write().unwrap();
    assert!(txn.drop_tree("a").unwrap());
    assert!(!txn.drop_tree("a").unwrap());
    txn.commit().unwrap();

    assert_eq!(old.tree("a").unwrap().unwrap().get("key").unwrap(), Some(&b"a"[..]));
    let new = db.snapshot().unwrap();
    assert!(new.tree("a").unwrap().is_none());
    assert_eq!(new.trees().unwrap(), [("b".to_owned(), 1), ("ü".to_owned(), 1)]);
    assert!(db.check().unwrap().problems.is_empty());
}

#[test]
fn a_tree_dropped_and_made_again_is_empty() {
    let db = Db::in_memory().unwrap();
    super::put(&db, &[("a", "1")]);
    let mut txn = db.begin_write().unwrap();
    txn.drop_tree("main").unwrap();
    txn.put("b", "1").unwrap();
    txn.commit().unwrap();
    assert_eq!(super::keys(db.snapshot().unwrap().iter().unwrap()), ["b"]);
}

#[test]
fn trees_do_not_see_each_other_s_keys() {
    let db = Db::in_memory().unwrap();
    let mut txn = db.begin_write().unwrap();
    for name in ["one", "two"] {
        let mut tree = txn.tree(name).unwrap();
        for number in 0_u32..500 {
            tree.put(number.to_be_bytes(), name).unwrap();
        }
    }
    txn.tree("one").unwrap().clear().unwrap();
    txn.commit().unwrap();
    let snapshot = db.snapshot().unwrap();
    assert!(snapshot.tree("one").unwrap().unwrap().is_empty());
    assert_eq!(snapshot.tree("two").unwrap().unwrap().len(), 500);
}

#[test]
fn bad_names_are_refused_without_harm() {
    let db = Db::in_memory().unwrap();
    let mut txn = db.begin_write().unwrap();
    for name in ["", &"x".repeat(llmdb::TREE_NAME_LEN_MAX + 1)] {
        assert_eq!(txn.tree(name).unwrap_err().kind(), ErrorKind::Misuse);
    }
    txn.tree(&"x".repeat(llmdb::TREE_NAME_LEN_MAX)).unwrap().put("a", "1").unwrap();
    txn.commit().unwrap();
}
