//! Deleting many keys at once.

use std::collections::BTreeSet;

use llmdb::Db;

#[test]
fn range_deletes_agree_with_a_model() {
    let db = Db::in_memory().unwrap();
    let mut txn = db.begin_write().unwrap();
    let mut tree = txn.tree("main").unwrap();
    let mut model: BTreeSet<u32> = (0..5_000).collect();
    for number in &model {
        tree.put(number.to_be_bytes(), vec![1; 60]).unwrap();
    }
    for (from, to) in [(10, 20), (0, 3), (4_990, 6_000), (1_000, 3_500), (3_499, 3_501), (7, 7)] {
        let expected = model.range(from..to).count() as u64;
        model.retain(|number| !(from..to).contains(number));
        let deleted = tree.delete_range(from.to_be_bytes()..to.to_be_bytes()).unwrap();
        assert_eq!(deleted, expected, "{from}..{to}");
        assert_eq!(tree.len(), model.len() as u64);
    }
    txn.commit().unwrap();
    let snapshot = db.snapshot().unwrap();
    let left = snapshot.iter().unwrap().map(|row| u32::from_be_bytes(row.unwrap().0.try_into().unwrap()));
    assert!(left.eq(model.iter().copied()));
    assert!(db.check().unwrap().problems.is_empty());
}

#[test]
fn prefix_and_clear() {
    let db = Db::in_memory().unwrap();
    super::put(&db, &[("a/1", ""), ("a/2", ""), ("a0", ""), ("b", "")]);
    let mut txn = db.begin_write().unwrap();
    let mut tree = txn.tree("main").unwrap();
    assert_eq!(tree.delete_prefix("a/").unwrap(), 2);
    assert_eq!(super::keys(tree.iter().unwrap()), ["a0", "b"]);
    assert_eq!(tree.clear().unwrap(), 2);
    assert!(tree.is_empty());
    txn.commit().unwrap();
    assert!(db.check().unwrap().problems.is_empty());
}
