//! What a person may expect of a search.

use llmdb_engine::{Engine, ErrorKind};
use llmdb_temporal::{AsOf, At, History, Key, RowKey, Rows, Store, Timestamp, TxnId, Valid, Value};
use llmdb_text::{Error, Language, Query, Search, TextIndex, Texts};

use crate::naive::{NOTES, create, text_of};

fn put(store: Store<'_>, row: &str, text: &str, valid: Valid) -> (TxnId, Timestamp) {
    let mut txn = store.begin_write().unwrap();
    txn.collection(NOTES).unwrap().put(row, valid, Value::raw(text.as_bytes())).unwrap();
    let index = TextIndex::open(&mut txn, NOTES).unwrap().unwrap();
    index.add(&mut txn, &row.into(), text).unwrap();
    let commit = txn.commit().unwrap();
    (commit.txid, commit.timestamp)
}

/// The rows that a query finds, best first.
fn rows(store: Store<'_>, query: &str, at: At) -> Vec<String> {
    let view = store.view().unwrap();
    let texts = Texts::open(&view, NOTES).unwrap();
    let hits = texts.search(&Query::parse(query).unwrap(), &Search::at(at), text_of).unwrap();
    hits.iter().map(|hit| hit.fact.row.to_string().trim_matches(['(', ')', '"']).to_owned()).collect()
}

#[test]
pub fn a_search_is_true_of_its_point_in_both_times() {
    let engine = Engine::in_memory().unwrap();
    let store = Store::new(&engine);
    create(store);
    let (_, first) = put(store, "ada", "Ada lives in London", Valid::Now);
    let (second, then) = put(store, "ada", "Ada lives in Paris", Valid::Now);
    let correction = Valid::During(llmdb_temporal::Period::new(first, then));
    put(store, "ada", "Ada lived in Zürich", correction);
    assert_eq!(rows(store, "paris", At::NOW), ["ada"]);
    assert_eq!(rows(store, "london", At::NOW), [""; 0]);
    assert_eq!(rows(store, "zurich", At::valid(first)), ["ada"]);
    assert_eq!(rows(store, "london", At::valid(first)), [""; 0]);
    assert_eq!(rows(store, "london", At::valid(first).as_of(AsOf::Transaction(second))), ["ada"]);
    assert_eq!(rows(store, "zurich", At::valid(first).as_of(AsOf::Transaction(second))), [""; 0]);
    let mut txn = store.begin_write().unwrap();
    store.undo(&mut txn, second).unwrap();
    txn.commit().unwrap();
    assert_eq!(rows(store, "london", At::NOW), ["ada"]);
}

#[test]
pub fn what_an_old_state_answers_never_changes() {
    let engine = Engine::in_memory().unwrap();
    let store = Store::new(&engine);
    create(store);
    for number in 0..40 {
        put(
            store,
            &format!("row {number:02}"),
            &format!("London {}", "and Paris ".repeat(number % 7)),
            Valid::Now,
        );
    }
    let (txid, moment) = put(store, "last", "London in Paris", Valid::Now);
    let query = Query::parse("london paris").unwrap();
    let asked = Search { limit: 50, ..Search::at(At::valid(moment).as_of(AsOf::Transaction(txid))) };
    let ask = || {
        let view = store.view().unwrap();
        let texts = Texts::open(&view, NOTES).unwrap();
        let hits = texts.search(&query, &asked, text_of).unwrap();
        hits.into_iter().map(|hit| (hit.fact.row, hit.score)).collect::<Vec<_>>()
    };
    let before = ask();
    for number in 0..300 {
        put(store, &format!("row {number:03}"), "Paris by night", Valid::Now);
    }
    assert_eq!(before.len(), 41);
    assert_eq!(ask(), before);
}

#[test]
fn rows_and_other_conditions_narrow_a_search() {
    let engine = Engine::in_memory().unwrap();
    let store = Store::new(&engine);
    create(store);
    let mut txn = store.begin_write().unwrap();
    let index = TextIndex::open(&mut txn, NOTES).unwrap().unwrap();
    for number in 0..200 {
        let row = RowKey::new(0, Key::of([["ada", "bob"][number % 2].into(), (number as i64).into()]));
        let text = format!("note {number} about London");
        txn.collection(NOTES).unwrap().put(&row, Valid::Now, Value::raw(text.as_bytes())).unwrap();
        index.add(&mut txn, &row, &text).unwrap();
    }
    txn.commit().unwrap();
    let view = store.view().unwrap();
    let texts = Texts::open(&view, NOTES).unwrap();
    let search = Search { rows: Rows::prefix(0, ["ada".into()]), limit: 1000, ..Search::at(At::NOW) };
    let query = Query::parse("london").unwrap();
    assert_eq!(texts.search(&query, &search, text_of).unwrap().len(), 100);
    let ends = |digit: char| move |fact: &llmdb_temporal::Fact<'_>| fact.row.to_string().contains(digit);
    let is_wanted = ends('7');
    let hits = texts.search(&query, &search, |fact| text_of(fact).filter(|_| is_wanted(fact))).unwrap();
    assert!(!hits.is_empty() && hits.iter().all(|hit| is_wanted(&hit.fact)));
    assert_eq!(texts.search(&query, &Search { limit: 0, ..search }, text_of).unwrap(), []);
}

#[test]
fn an_erased_row_leaves_no_word() {
    let engine = Engine::in_memory().unwrap();
    let store = Store::new(&engine);
    create(store);
    let mut txn = store.begin_write().unwrap();
    let index = TextIndex::open(&mut txn, NOTES).unwrap().unwrap();
    // Asserted and replaced in one transaction: no version says it, but the index was told.
    index.add(&mut txn, &"ada".into(), "xyzzy").unwrap();
    index.add(&mut txn, &"ada".into(), "plugh and London").unwrap();
    index.add(&mut txn, &"bob".into(), "London").unwrap();
    txn.commit().unwrap();
    let mut txn = store.begin_write().unwrap();
    assert_eq!(index.erase(&mut txn, &"ada".into()).unwrap(), 4);
    assert_eq!(index.erase(&mut txn, &"ada".into()).unwrap(), 0);
    txn.commit().unwrap();
    let view = store.view().unwrap();
    for (name, _) in view.snapshot().trees().unwrap().iter().filter(|tree| tree.0.starts_with("_text")) {
        for entry in view.snapshot().tree(name).unwrap().unwrap().iter().unwrap() {
            let (key, value) = entry.unwrap();
            let stored = [key, value].concat();
            for word in ["xyzzy", "plugh", "ada"] {
                assert!(
                    !stored.windows(word.len()).any(|bytes| bytes == word.as_bytes()),
                    "{word} in {name}"
                );
            }
        }
    }
    assert_eq!(Texts::open(&view, NOTES).unwrap().statistics(AsOf::Now).unwrap().rows, 1);
}

#[test]
fn erasing_a_row_of_the_collection_erases_its_words() {
    let engine = Engine::in_memory().unwrap();
    let store = Store::new(&engine);
    create(store);
    for number in 0..300 {
        put(store, &format!("row {number}"), &format!("London {number} and other words"), Valid::Now);
    }
    put(store, "ada", "the word is xyzzy in London", Valid::Now);
    put(store, "ada", "plugh", Valid::Now);
    store.erase(NOTES, "ada", &mut |_, _| true).unwrap();
    let view = store.view().unwrap();
    assert_eq!(view.snapshot().tree("_text/1/rows").unwrap().unwrap().len(), 300);
    drop(view);
    let also = [b"xyzzy".to_vec(), b"plugh".to_vec()];
    let check = store.check_erased(NOTES, "ada", &also, &mut |_, _| true).unwrap();
    assert!(check.is_clean(), "{check:?}");
    assert_eq!(rows(store, "xyzzy", At::NOW), [""; 0]);
    assert_eq!(rows(store, "299", At::NOW), ["row 299"]);
}

#[test]
fn a_purge_keeps_the_words_that_are_still_said() {
    let engine = Engine::in_memory().unwrap();
    let store = Store::new(&engine);
    create(store);
    put(store, "ada", "London and Paris", Valid::Now);
    put(store, "ada", "Paris and Rome", Valid::Now);
    let mut txn = store.begin_write().unwrap();
    let index = TextIndex::open(&mut txn, NOTES).unwrap().unwrap();
    assert_eq!(index.keep(&mut txn, &"ada".into(), ["Paris and Rome"]).unwrap(), 1);
    txn.commit().unwrap();
    assert_eq!(rows(store, "paris", At::NOW), ["ada"]);
    let view = store.view().unwrap();
    assert_eq!(view.snapshot().tree("_text/1/words").unwrap().unwrap().len(), 3);
}

#[test]
fn a_long_text_is_refused_whole_or_found_whole() {
    let engine = Engine::in_memory().unwrap();
    let store = Store::new(&engine);
    create(store);
    let mut txn = store.begin_write().unwrap();
    let index = TextIndex::open(&mut txn, NOTES).unwrap().unwrap();
    let long = "word ".repeat(2 << 20);
    let error = index.add(&mut txn, &"ada".into(), &long).unwrap_err();
    assert!(matches!(error, Error::TextTooLong { len } if len == long.len()));
    assert_eq!(error.kind(), ErrorKind::TooLong);
    let row = RowKey::from("k".repeat(1920).as_str());
    assert!(matches!(index.add(&mut txn, &row, "word").unwrap_err(), Error::RowTooLong { .. }));
    txn.commit().unwrap();
    let mut longest: String = (0..).map(|number: u32| format!("w{number:x} ")).take(200_000).collect();
    longest.truncate(1 << 20);
    put(store, "bob", &longest, Valid::Now);
    put(store, "row", &"字".repeat(300_000), Valid::Now);
    assert_eq!(rows(store, "w1e240", At::NOW), ["bob"]);
    assert_eq!(rows(store, "字", At::NOW), ["row"]);
    assert_eq!(rows(store, "w1e2*", At::NOW), ["bob"]);
}

#[test]
fn what_is_not_there_or_not_ready_is_said() {
    let engine = Engine::in_memory().unwrap();
    let store = Store::new(&engine);
    let mut txn = store.begin_write().unwrap();
    assert!(TextIndex::open(&mut txn, NOTES).unwrap().is_none());
    assert!(matches!(TextIndex::create(&mut txn, NOTES, Language::None).unwrap_err(), Error::Temporal(_)));
    txn.create(NOTES, History::Plain).unwrap();
    TextIndex::create(&mut txn, NOTES, Language::German).unwrap();
    assert!(matches!(TextIndex::create(&mut txn, NOTES, Language::None).unwrap_err(), Error::IndexExists(_)));
    assert_eq!(TextIndex::open(&mut txn, NOTES).unwrap().unwrap().language(), Language::German);
    txn.commit().unwrap();
    let view = store.view().unwrap();
    assert!(matches!(Texts::open(&view, "others").unwrap_err(), Error::NoIndex(_)));
    let texts = Texts::open(&view, NOTES).unwrap();
    let query = Query::parse("word").unwrap();
    assert_eq!(texts.search(&query, &Search::at(At::NOW), text_of).unwrap(), []);
    let mut txn = store.begin_write().unwrap();
    assert!(TextIndex::drop(&mut txn, NOTES).unwrap());
    assert!(!TextIndex::drop(&mut txn, NOTES).unwrap());
    txn.commit().unwrap();
    let view = store.view().unwrap();
    assert!(matches!(Texts::open(&view, NOTES).unwrap_err(), Error::NoIndex(_)));
    // An index by other rules is known as such, and can be dropped.
    let mut txn = store.begin_write().unwrap();
    TextIndex::create(&mut txn, NOTES, Language::None).unwrap();
    txn.engine().tree("_text").unwrap().put("inotes", [2, 0, 0, 0, 9, 0, 1]).unwrap();
    assert!(matches!(TextIndex::open(&mut txn, NOTES).unwrap_err(), Error::OtherRules { stored: 9, .. }));
    assert!(TextIndex::drop(&mut txn, NOTES).unwrap());
}

#[test]
fn many_words_that_begin_alike_are_all_found() {
    let engine = Engine::in_memory().unwrap();
    let store = Store::new(&engine);
    create(store);
    let mut txn = store.begin_write().unwrap();
    let index = TextIndex::open(&mut txn, NOTES).unwrap().unwrap();
    for number in 0..600i64 {
        let text = format!("zebra{number}x");
        txn.collection(NOTES).unwrap().put(number, Valid::Now, Value::raw(text.as_bytes())).unwrap();
        index.add(&mut txn, &number.into(), &text).unwrap();
    }
    txn.commit().unwrap();
    let view = store.view().unwrap();
    let texts = Texts::open(&view, NOTES).unwrap();
    let count = |query: &str| {
        let search = Search { limit: 1000, ..Search::at(At::NOW) };
        texts.search(&Query::parse(query).unwrap(), &search, text_of).unwrap().len()
    };
    assert_eq!((count("zeb*"), count("zebra5*"), count("zebra59x"), count("zebra 59*")), (600, 111, 1, 0));
}
