//! Collections, refusals, undo, clocks: what is not a question of points in time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
use llmdb_engine::{Engine, ErrorKind};
use llmdb_temporal::{
    AsOf, At, BEGINNING, Error, FOREVER, History, Key, Period, RowKey, Rows, Store, Timestamp, TxnId, Valid,
    Value,
};

fn engine() -> Engine {
    let engine = Engine::in_memory().unwrap();
    let store = Store::new(&engine);
    crate::common::create(store, History::default());
    engine
}

fn put(engine: &Engine, row: impl Into<RowKey>, valid: impl Into<Valid>, value: &str) -> (TxnId, Timestamp) {
    let mut txn = Store::new(engine).begin_write().unwrap();
    txn.collection(crate::common::FACTS).unwrap().put(row, valid, Value::raw(value.as_bytes())).unwrap();
    let commit = txn.commit().unwrap();
    (commit.txid, commit.timestamp)
}

fn get(engine: &Engine, row: impl Into<RowKey>, at: At) -> Option<String> {
    let view = Store::new(engine).view().unwrap();
    let fact = view.collection(crate::common::FACTS).unwrap().get(row, at).unwrap();
    fact.map(|fact| String::from_utf8(fact.value.payload.to_vec()).unwrap())
}

#[test]
fn collections_are_made_listed_and_refused() {
    let engine = engine();
    let store = Store::new(&engine);
    assert!(matches!(store.view().unwrap().collection("no"), Err(Error::NoCollection(name)) if name == "no"));
    let mut txn = store.begin_write().unwrap();
    assert!(matches!(txn.create(crate::common::FACTS, History::Plain), Err(Error::CollectionExists(_))));
    assert!(matches!(txn.create("", History::Plain), Err(Error::CollectionName(_))));
    assert!(matches!(txn.create(&"x".repeat(256), History::Plain), Err(Error::CollectionName(_))));
    assert!(matches!(txn.collection("no"), Err(Error::NoCollection(_))));
    txn.create("_meta/schema", History::Plain).unwrap();
    txn.commit().unwrap();
    let view = store.view().unwrap();
    let expected =
        [("_meta/schema".to_owned(), History::Plain), (crate::common::FACTS.to_owned(), History::default())];
    assert_eq!(view.collections().unwrap(), expected);
    assert!(Store::new(&Engine::in_memory().unwrap()).view().unwrap().collections().unwrap().is_empty());
}

#[test]
fn bad_values_periods_and_keys_are_refused_and_the_transaction_goes_on() {
    let engine = engine();
    let mut txn = Store::new(&engine).begin_write().unwrap();
    let mut facts = txn.collection(crate::common::FACTS).unwrap();
    let error = facts.put("a", Valid::Now, Value::json("{")).unwrap_err();
    assert!(matches!(error, Error::Value(_)), "{error}");
    let empty = Period::new(Timestamp::new(5), Timestamp::new(5));
    let error = facts.put("a", empty, Value::raw(b"")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    let long = Key::from("x".repeat(3_000).as_str());
    assert_eq!(facts.put(long, Valid::Now, Value::raw(b"")).unwrap_err().kind(), ErrorKind::TooLong);
    let longest = Key::from("x".repeat(llmdb_temporal::KEY_LEN_MAX - 7).as_str());
    for value in ["1", "2"] {
        facts.put(longest.clone(), Valid::Now, Value::raw(value.as_bytes())).unwrap();
    }
    txn.commit().unwrap();
    put(&engine, longest.clone(), Valid::During(Period::new(BEGINNING, FOREVER)), "3");
    put(&engine, longest.clone(), Valid::During(Period::new(BEGINNING, FOREVER)), "4");
    assert_eq!(get(&engine, longest, At::NOW).as_deref(), Some("4"));
    assert_eq!(get(&engine, "a", At::NOW), None);
}

#[test]
fn a_plain_collection_has_no_times() {
    let engine = Engine::in_memory().unwrap();
    let store = Store::new(&engine);
    crate::common::create(store, History::Plain);
    put(&engine, "a", Valid::Now, "1");
    let (txid, _) = put(&engine, "a", Valid::Now, "2");
    assert_eq!(get(&engine, "a", At::NOW).as_deref(), Some("2"));
    let view = store.view().unwrap();
    let facts = view.collection(crate::common::FACTS).unwrap();
    assert_eq!(facts.scan(&Rows::all(), At::NOW).unwrap().count(), 1);
    let refused = |result: llmdb_temporal::Result<()>| assert!(matches!(result, Err(Error::NotTemporal(_))));
    refused(facts.get("a", At::NOW.as_of(AsOf::Transaction(txid))).map(drop));
    refused(facts.scan(&Rows::all(), At::valid(BEGINNING)).map(drop));
    refused(facts.history("a").map(drop));
    refused(facts.changes(AsOf::Now, AsOf::Now).map(drop));
    let mut txn = store.begin_write().unwrap();
    let mut facts = txn.collection(crate::common::FACTS).unwrap();
    refused(facts.put("a", Valid::Since(BEGINNING), Value::raw(b"")));
    facts.delete("a", Valid::Now).unwrap();
    txn.commit().unwrap();
    assert_eq!(get(&engine, "a", At::NOW), None);
}

#[test]
fn rows_are_scanned_by_partition_prefix_and_range() {
    let engine = engine();
    let key = |a: &str, b: i64| Key::of([a.into(), b.into()]);
    for row in [
        RowKey::new(0, key("a", 1)),
        RowKey::new(1, key("a", 1)),
        RowKey::new(1, key("a", 2)),
        RowKey::new(1, key("ab", 1)),
        RowKey::new(2, key("a", 1)),
        RowKey::new(u32::MAX, key("a", 1)),
    ] {
        put(&engine, row, Valid::Now, "x");
    }
    let view = Store::new(&engine).view().unwrap();
    let facts = view.collection(crate::common::FACTS).unwrap();
    let count = |rows: Rows| facts.scan(&rows, At::NOW).unwrap().map(Result::unwrap).count();
    assert_eq!(count(Rows::all()), 6);
    assert_eq!(count(Rows::partition(1)), 3);
    assert_eq!(count(Rows::partition(u32::MAX)), 1);
    assert_eq!(count(Rows::prefix(1, ["a".into()])), 2);
    assert_eq!(count(Rows::prefix(1, ["a".into(), 2.into()])), 1);
    assert_eq!(count(Rows::prefix(3, [])), 0);
    let (first, last) = (RowKey::new(1, key("a", 1)), RowKey::new(2, key("a", 1)));
    assert_eq!(count(Rows::one(&first)), 1);
    assert_eq!(count(Rows::between(&first..&last)), 3);
    assert_eq!(count(Rows::between(&first..=&last)), 4);
    assert_eq!(count(Rows::between(..&first)), 1);
    assert_eq!(count(Rows::between(&last..)), 2);
}

#[test]
fn an_undone_transaction_is_remembered_and_later_ones_stay() {
    let engine = engine();
    let store = Store::new(&engine);
    put(&engine, "a", Valid::Now, "old");
    put(&engine, "b", Valid::Now, "old");
    let mut txn = store.begin_write().unwrap();
    let mut facts = txn.collection(crate::common::FACTS).unwrap();
    facts.put("a", Valid::Now, Value::raw(b"wrong")).unwrap();
    facts.delete("b", Valid::Now).unwrap();
    facts.put("c", Valid::Now, Value::raw(b"wrong")).unwrap();
    let wrong = txn.commit().unwrap();
    let (_, later) = put(&engine, "c", Valid::Now, "right");

    let mut txn = store.begin_write().unwrap();
    let undone = store.undo(&mut txn, wrong.txid).unwrap();
    txn.commit().unwrap();
    assert_eq!(get(&engine, "a", At::NOW).as_deref(), Some("old"));
    assert_eq!(get(&engine, "b", At::NOW).as_deref(), Some("old"));
    assert_eq!(get(&engine, "c", At::NOW).as_deref(), Some("right"));
    assert_eq!(get(&engine, "c", At::valid(wrong.timestamp)), None, "what only the wrong one said is gone");
    assert_eq!(get(&engine, "a", At::valid(wrong.timestamp)).as_deref(), Some("old"));
    let then = AsOf::Transaction(wrong.txid);
    assert_eq!(get(&engine, "a", At::NOW.as_of(then)).as_deref(), Some("wrong"), "nothing is rewritten");
    assert_eq!(undone.restored, 3);
    let kept: Vec<_> = undone.kept.iter().map(|kept| (kept.row.clone(), kept.valid)).collect();
    assert_eq!(kept, [("c".into(), Period::since(later))]);

    let mut txn = store.begin_write().unwrap();
    assert!(matches!(store.undo(&mut txn, TxnId::new(999)), Err(Error::NoTransaction(_))));
    assert!(matches!(store.undo(&mut txn, TxnId::new(0)), Err(Error::NoTransaction(_))));
}

/// A later commit asserted something again, and one after it ended that: the last word was theirs, though it was the same
/// as that of the commit that is undone.
#[test]
fn a_deletion_that_was_said_again_later_is_not_undone() {
    let engine = engine();
    let store = Store::new(&engine);
    let delete = || {
        let mut txn = store.begin_write().unwrap();
        txn.collection(crate::common::FACTS).unwrap().delete("a", Valid::Now).unwrap();
        txn.commit().unwrap()
    };
    put(&engine, "a", Period::new(BEGINNING, Timestamp::new(i64::MAX - 1)), "old");
    let deleted = delete();
    let (_, again) = put(&engine, "a", Valid::Now, "again");
    let ended = delete();
    let mut txn = store.begin_write().unwrap();
    store.undo(&mut txn, deleted.txid).unwrap();
    txn.commit().unwrap();
    assert_eq!(get(&engine, "a", At::valid(deleted.timestamp)).as_deref(), Some("old"));
    assert_eq!(get(&engine, "a", At::valid(again)).as_deref(), Some("again"));
    assert_eq!(get(&engine, "a", At::valid(ended.timestamp)), None);
    assert_eq!(get(&engine, "a", At::NOW), None);
}

#[test]
fn aborted_facts_were_never_known() {
    let engine = engine();
    let mut txn = Store::new(&engine).begin_write().unwrap();
    txn.collection(crate::common::FACTS).unwrap().put("a", Valid::Now, Value::raw(b"1")).unwrap();
    txn.abort();
    let view = Store::new(&engine).view().unwrap();
    assert!(view.collection(crate::common::FACTS).unwrap().history("a").unwrap().is_empty());
    assert_eq!(view.transaction_at(FOREVER).unwrap(), None);
}

#[test]
fn what_will_hold_is_not_the_present() {
    let engine = engine();
    let (_, now) = put(&engine, "a", Valid::Now, "now");
    let tomorrow = Timestamp::new(now.get() + 86_400_000_000);
    put(&engine, "a", Valid::Since(tomorrow), "tomorrow");
    assert_eq!(get(&engine, "a", At::NOW).as_deref(), Some("now"));
    assert_eq!(get(&engine, "a", At::valid(tomorrow)).as_deref(), Some("tomorrow"));
    assert_eq!(get(&engine, "a", At::valid(Timestamp::new(tomorrow.get() - 1))).as_deref(), Some("now"));
}

#[test]
fn a_row_of_other_hands_is_damage_that_is_named() {
    let engine = engine();
    put(&engine, "a", Valid::Now, "1");
    let mut txn = engine.begin_write().unwrap();
    let row = [&0u32.to_be_bytes()[..], Key::from("a").as_bytes(), &[0]].concat();
    assert!(txn.tree("_time/1/now").unwrap().put(&row, [0, b'x', 0xFF]).unwrap(), "the row was there");
    txn.commit().unwrap();
    let view = Store::new(&engine).view().unwrap();
    let facts = view.collection(crate::common::FACTS).unwrap();
    let error = facts.get("a", At::NOW).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert!(error.to_string().contains("_time/1/now"), "{error}");
    assert!(facts.scan(&Rows::all(), At::NOW).unwrap().next().unwrap().is_err());
    assert!(facts.history("a").is_err());
}
