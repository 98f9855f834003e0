//! Reading in order: cursors and ranges both ways, prefixes, many keys at once.

use std::ops::Bound;

use llmdb::Db;

fn numbers(count: u32) -> Db {
    let db = Db::in_memory().unwrap();
    let mut txn = db.begin_write().unwrap();
    for number in 0..count {
        txn.put(format!("{number:05}"), number.to_string()).unwrap();
    }
    txn.commit().unwrap();
    db
}

#[test]
fn ranges_have_both_kinds_of_bounds_and_both_directions() {
    let db = numbers(3_000);
    let snapshot = db.snapshot().unwrap();
    let tree = snapshot.main().unwrap();
    assert_eq!(super::keys(tree.range("00010".."00013").unwrap()), ["00010", "00011", "00012"]);
    assert_eq!(super::keys(tree.range("00010"..="00011").unwrap().rev()), ["00011", "00010"]);
    let open = (Bound::Excluded("00010"), Bound::Included("00012"));
    assert_eq!(super::keys(tree.range::<&str>(open).unwrap()), ["00011", "00012"]);
    assert_eq!(tree.range("02990"..).unwrap().count(), 10);
    assert_eq!(tree.range(.."00010").unwrap().count(), 10);
    assert_eq!(tree.iter().unwrap().rev().count(), 3_000);
    assert_eq!(tree.range("5".."4").unwrap().count(), 0);
}

#[test]
fn a_range_met_from_both_ends_gives_each_row_once() {
    let db = numbers(1_000);
    let snapshot = db.snapshot().unwrap();
    let mut range = snapshot.iter().unwrap();
    let mut seen = Vec::new();
    while let Some(row) = range.next() {
        seen.push(row.unwrap().0);
        if let Some(row) = range.next_back() {
            seen.push(row.unwrap().0);
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 1_000);
}

#[test]
fn prefixes_end_where_they_should() {
    let db = Db::in_memory().unwrap();
    let mut txn = db.begin_write().unwrap();
    for key in [&b"a"[..], b"a\xFF", b"a\xFF\xFF", b"b", b"\xFF", b"\xFF\xFF1"] {
        txn.put(key, "").unwrap();
    }
    txn.commit().unwrap();
    let snapshot = db.snapshot().unwrap();
    let count = |prefix: &[u8]| snapshot.main().unwrap().prefix(prefix).unwrap().count();
    assert_eq!(count(b"a"), 3);
    assert_eq!(count(b"a\xFF"), 2);
    assert_eq!(count(b"\xFF"), 2);
    assert_eq!(count(b""), 6);
    assert_eq!(count(b"c"), 0);
}

#[test]
fn cursors_move_both_ways() {
    let db = numbers(1_000);
    let snapshot = db.snapshot().unwrap();
    let mut cursor = snapshot.main().unwrap().cursor();
    assert_eq!(cursor.first().unwrap().unwrap().0, b"00000");
    assert_eq!(cursor.prev().unwrap(), None);
    assert_eq!(cursor.last().unwrap().unwrap().0, b"00999");
    assert_eq!(cursor.next().unwrap(), None);
    assert_eq!(cursor.seek("005").unwrap().unwrap().0, b"00500");
    assert_eq!(cursor.next().unwrap().unwrap().0, b"00501");
    assert_eq!(cursor.prev().unwrap().unwrap().0, b"00500");
    assert_eq!(cursor.prev().unwrap().unwrap().0, b"00499");
    assert_eq!(cursor.seek("9").unwrap(), None);
}

#[test]
fn multi_get_answers_in_the_order_asked() {
    let db = numbers(1_000);
    let snapshot = db.snapshot().unwrap();
    let found = snapshot.main().unwrap().multi_get(&[b"00007", b"none", b"00003", b"00007"]).unwrap();
    assert_eq!(found, [Some(&b"7"[..]), None, Some(b"3"), Some(b"7")]);
    assert!(snapshot.main().unwrap().multi_get(&[]).unwrap().is_empty());
}

#[test]
fn ranges_inside_a_transaction_show_its_changes() {
    let db = numbers(10);
    let mut txn = db.begin_write().unwrap();
    let mut tree = txn.tree("main").unwrap();
    tree.delete("00005").unwrap();
    tree.put("00004x", "").unwrap();
    let seen = super::keys(tree.range("00004".."00007").unwrap());
    assert_eq!(seen, ["00004", "00004x", "00006"]);
}
