//! What is too long is refused, and costs nothing but the call.

use llmdb::{Db, ErrorKind, KEY_LEN_MAX};

#[test]
fn the_longest_key_fits_and_the_next_does_not() {
    const { assert!(KEY_LEN_MAX >= 1_900) }
    let db = Db::in_memory().unwrap();
    let mut txn = db.begin_write().unwrap();
    txn.put(vec![b'k'; KEY_LEN_MAX], "value").unwrap();
    let error = txn.put(vec![b'k'; KEY_LEN_MAX + 1], "value").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLong);
    assert!(error.to_string().contains(&(KEY_LEN_MAX + 1).to_string()), "{error}");
    let mut reader = std::io::repeat(0);
    let error = txn.tree("main").unwrap().put_reader("k", (4 << 30) + 4096, &mut reader).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLong);
    txn.put("", "the empty key is a key").unwrap();
    txn.commit().unwrap();
    let snapshot = db.snapshot().unwrap();
    assert_eq!(snapshot.main().unwrap().len(), 2);
    assert_eq!(snapshot.get(vec![b'k'; KEY_LEN_MAX]).unwrap(), Some(&b"value"[..]));
    assert_eq!(snapshot.get(vec![b'k'; KEY_LEN_MAX + 1]).unwrap(), None);
}

#[test]
fn deleting_a_key_that_is_too_long_finds_nothing() {
    let db = Db::in_memory().unwrap();
    let mut txn = db.begin_write().unwrap();
    txn.put("a", "1").unwrap();
    assert!(!txn.delete(vec![0; KEY_LEN_MAX + 1]).unwrap());
    txn.commit().unwrap();
}
