//! Guarded collections: the guard sees everything that is about to be asserted, with what the transaction wrote so far.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use llmdb_engine::{Engine, ErrorKind};
use llmdb_temporal::{
    Assertion, At, Error, Guard, History, Inside, Kind, Result, RowKey, Store, Timestamp, Valid, Value,
};

/// Wants what is written to "facts" to be one of the words that the row "words" of "rules" lists, and nothing of that row
/// deleted; claims "rules" from the beginning.
#[derive(Debug)]
struct Words;

impl Guard for Words {
    fn claims(&self, collection: &str) -> bool {
        collection == "rules"
    }

    fn check(&self, inside: &mut Inside<'_, '_>, assertion: &Assertion<'_>) -> Result<()> {
        if assertion.collection == "rules" {
            return match assertion.value {
                None => Err(assertion.refuse("rules stay")),
                Some(_) => Ok(()),
            };
        }
        let Some(value) = assertion.value else { return Ok(()) };
        let rules = inside.get("rules", &RowKey::from("words"))?.unwrap_or_default();
        let words = Value::decode(&rules).map_or(Vec::new(), |rules| rules.payload.to_vec());
        let words = String::from_utf8(words).unwrap();
        match words.split(' ').any(|word| word.as_bytes() == value.payload) {
            true => Ok(()),
            false => Err(assertion.refuse(format!("not one of {words:?}"))),
        }
    }
}

fn setup(engine: &Engine) -> Store<'_> {
    let store = Store::new(engine).guarded(&Words);
    let mut txn = store.begin_write().unwrap();
    txn.create("rules", History::default()).unwrap();
    txn.create("facts", History::default()).unwrap();
    txn.create("plain", History::Plain).unwrap();
    txn.set_guarded("facts", true).unwrap();
    txn.set_guarded("plain", true).unwrap();
    txn.collection("rules").unwrap().put("words", Valid::Now, Value::raw(b"red blue")).unwrap();
    txn.commit().unwrap();
    store
}

#[test]
fn what_the_guard_refuses_is_not_written_and_the_rest_of_the_transaction_is() {
    let engine = Engine::in_memory().unwrap();
    let store = setup(&engine);
    let mut txn = store.begin_write().unwrap();
    for name in ["facts", "plain"] {
        let mut facts = txn.collection(name).unwrap();
        facts.put("a", Valid::Now, Value::raw(b"red")).unwrap();
        let error = facts.put("a", Valid::Now, Value::raw(b"green")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(error.to_string(), format!("{name:?}, row (\"a\"): refused: not one of \"red blue\""));
        assert_eq!(facts.get("a").unwrap(), Some(b"\0red".to_vec()), "also inside the transaction");
        assert_eq!(facts.get("b").unwrap(), None);
    }
    txn.commit().unwrap();
    let view = store.view().unwrap();
    for name in ["facts", "plain"] {
        let fact = view.collection(name).unwrap().get("a", At::NOW).unwrap().unwrap();
        assert_eq!((fact.value.kind, fact.value.payload), (Kind::Raw, &b"red"[..]));
    }
}

#[test]
fn the_guard_sees_what_the_transaction_wrote_so_far() {
    let engine = Engine::in_memory().unwrap();
    let store = setup(&engine);
    let mut txn = store.begin_write().unwrap();
    txn.collection("rules").unwrap().put("words", Valid::Now, Value::raw(b"green")).unwrap();
    txn.collection("facts").unwrap().put("a", Valid::Now, Value::raw(b"green")).unwrap();
    assert!(txn.collection("facts").unwrap().put("a", Valid::Now, Value::raw(b"red")).is_err());
    assert!(txn.collection("rules").unwrap().delete("words", Valid::Now).is_err());
    txn.abort();
    let mut txn = store.begin_write().unwrap();
    txn.collection("facts").unwrap().put("a", Valid::Now, Value::raw(b"red")).unwrap();
}

#[test]
fn an_undo_is_looked_at_too() {
    let engine = Engine::in_memory().unwrap();
    let store = setup(&engine);
    let write = |name: &str, row: &str, value: &[u8]| {
        let mut txn = store.begin_write().unwrap();
        txn.collection(name).unwrap().put(row, Valid::Now, Value::raw(value)).unwrap();
        txn.commit().unwrap().txid
    };
    write("facts", "a", b"red");
    write("rules", "words", b"red blue");
    let blue = write("facts", "a", b"blue");
    write("rules", "words", b"blue");
    let mut txn = store.begin_write().unwrap();
    assert!(matches!(store.undo(&mut txn, blue), Err(Error::Refused { .. })), "red is no word any more");
}

#[test]
fn who_has_no_guard_reads_and_may_not_write() {
    let engine = Engine::in_memory().unwrap();
    let store = setup(&engine);
    let mut txn = store.begin_write().unwrap();
    txn.collection("facts").unwrap().put("a", Valid::Now, Value::raw(b"red")).unwrap();
    let red = txn.commit().unwrap().txid;

    let bare = Store::new(&engine);
    assert!(bare.view().unwrap().collection("facts").unwrap().get("a", At::NOW).unwrap().is_some());
    let mut txn = bare.begin_write().unwrap();
    for name in ["rules", "facts", "plain"] {
        let mut collection = txn.collection(name).unwrap();
        let error = collection.put("a", Valid::Now, Value::raw(b"red")).unwrap_err();
        assert!(matches!(error, Error::Unguarded(of) if of == name));
        assert!(matches!(collection.delete("a", Valid::Now), Err(Error::Unguarded(_))));
    }
    assert!(matches!(txn.set_guarded("facts", false), Err(Error::Unguarded(_))));
    assert!(matches!(bare.undo(&mut txn, red), Err(Error::Unguarded(_))));
    txn.create("free", History::default()).unwrap();
    txn.collection("free").unwrap().put("a", Valid::Now, Value::raw(b"red")).unwrap();
    txn.commit().unwrap();

    let mut txn = store.begin_write().unwrap();
    assert!(matches!(txn.set_guarded("none", true), Err(Error::NoCollection(_))));
    txn.set_guarded("facts", false).unwrap();
    txn.collection("facts").unwrap().put("a", Valid::Now, Value::raw(b"anything")).unwrap();
    txn.commit().unwrap();
}

#[test]
fn the_present_of_a_row_inside_a_transaction() {
    let engine = Engine::in_memory().unwrap();
    let store = Store::new(&engine);
    let mut txn = store.begin_write().unwrap();
    txn.create("facts", History::default()).unwrap();
    let now = txn.timestamp().get();
    let at = |offset: i64| Timestamp::new(now + offset);
    let period = |from, to| llmdb_temporal::Period::new(at(from), at(to));
    let mut facts = txn.collection("facts").unwrap();
    facts.put("a", period(-100, 0), Value::raw(b"past")).unwrap();
    facts.put("a", period(1, 100), Value::raw(b"future")).unwrap();
    assert_eq!(facts.get("a").unwrap(), None);
    facts.put("a", period(-100, 1), Value::raw(b"present")).unwrap();
    assert_eq!(facts.get("a").unwrap(), Some(b"\0present".to_vec()));
    facts.put("a", Valid::Now, Value::raw(b"now on")).unwrap();
    assert_eq!(facts.get("a").unwrap(), Some(b"\0now on".to_vec()));
    facts.delete("a", period(0, 50)).unwrap();
    assert_eq!(facts.get("a").unwrap(), None);
}
