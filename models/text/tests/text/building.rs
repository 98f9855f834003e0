//! An index for a collection that has texts already.

use std::borrow::Cow;

use llmdb_engine::Engine;
use llmdb_temporal::{AsOf, At, History, RowKey, Store, Valid, Value};
use llmdb_text::{Error, Language, Query, Search, TextIndex, Texts};

use crate::naive::{NOTES, text_of};

fn text<'v>(_: &RowKey, value: &Value<'v>) -> Option<Cow<'v, str>> {
    std::str::from_utf8(value.payload).ok().map(Cow::Borrowed)
}

fn fill(store: Store<'_>, history: History) -> llmdb_temporal::Timestamp {
    let mut txn = store.begin_write().unwrap();
    txn.create(NOTES, history).unwrap();
    let mut notes = txn.collection(NOTES).unwrap();
    for number in 0..700i64 {
        notes.put(number, Valid::Now, Value::raw(format!("London {number}").as_bytes())).unwrap();
    }
    let first = txn.commit().unwrap().timestamp;
    let mut txn = store.begin_write().unwrap();
    let mut notes = txn.collection(NOTES).unwrap();
    for number in 0..700i64 {
        notes.put(number, Valid::Now, Value::raw(format!("Paris {number}").as_bytes())).unwrap();
    }
    txn.commit().unwrap();
    first
}

fn count(store: Store<'_>, query: &str, at: At) -> usize {
    let view = store.view().unwrap();
    let texts = Texts::open(&view, NOTES).unwrap();
    let search = Search { limit: 1000, ..Search::at(at) };
    texts.search(&Query::parse(query).unwrap(), &search, text_of).unwrap().len()
}

#[test]
fn a_building_that_was_stopped_is_gone_on_with() {
    let engine = Engine::in_memory().unwrap();
    let store = Store::new(&engine);
    let first = fill(store, History::default());
    assert!(!TextIndex::build(store, NOTES, Language::English, text, |_| false).unwrap());
    assert!(matches!(Texts::open(&store.view().unwrap(), NOTES).unwrap_err(), Error::Building(_)));
    // A writer tells the index meanwhile: of a row that is built, and of one that is not.
    let mut txn = store.begin_write().unwrap();
    let index = TextIndex::open(&mut txn, NOTES).unwrap().unwrap();
    for number in [3i64, 699] {
        let text = format!("Zürich, not London {number}");
        txn.collection(NOTES).unwrap().put(number, Valid::Now, Value::raw(text.as_bytes())).unwrap();
        index.add(&mut txn, &number.into(), &text).unwrap();
    }
    txn.commit().unwrap();
    let mut rows = 0;
    let is_built = TextIndex::build(store, NOTES, Language::English, text, |done| {
        rows = done;
        true
    });
    assert!(is_built.unwrap() && rows > 0);
    assert_eq!(count(store, "paris", At::NOW), 698);
    assert_eq!(count(store, "zurich", At::NOW), 2);
    assert_eq!(count(store, "london", At::valid(first).as_of(AsOf::Time(first))), 700);
    assert!(
        TextIndex::build(store, NOTES, Language::English, text, |_| true).unwrap(),
        "it is built already"
    );
}

#[test]
fn a_plain_collection_is_built_from_what_it_has() {
    let engine = Engine::in_memory().unwrap();
    let store = Store::new(&engine);
    fill(store, History::Plain);
    assert!(TextIndex::build(store, NOTES, Language::None, text, |_| true).unwrap());
    assert_eq!(count(store, "paris", At::NOW), 700);
    assert_eq!(count(store, "london", At::NOW), 0);
}
