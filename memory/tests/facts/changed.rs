//! Writing: remember, correct, forget, undo, and why.

use llmdb_memory::{
    Error,
    facts::{By, Correction, Document, Forget, HistoryQuery, NewFact, NewKey, Point, Recall, What},
};
use llmdb_temporal::{AsOf, TxnId};
use serde_json::json;

use crate::{Desk, date, key, printed, tagged};

fn correction(key_text: &str, text: &str, from: &str, to: &str) -> Correction {
    Correction { key: key(key_text), document: Document::new(text), from: date(from), to: date(to) }
}

fn forget(what: What) -> Forget {
    Forget { what, ..Forget::default() }
}

fn believed(desk: &Desk, key_text: &str, dates: &[&str]) -> Vec<Option<String>> {
    let at = |text: &&str| desk.text(key_text, Point { valid: date(text), known: AsOf::Now });
    dates.iter().map(at).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| (!text.is_empty()).then(|| (*text).to_owned())).collect()
}

#[test]
fn what_is_known_already_is_not_written_again() {
    let desk = Desk::new();
    let fact = tagged("a/b", "one", &["x", "y"]);
    let first = desk.facts().remember(std::slice::from_ref(&fact)).unwrap();
    assert!(first.learned.is_some() && first.facts[0].replaced.is_empty());
    let again = desk.facts().remember(&[tagged("a/b", "one", &["y", "x", "y"])]).unwrap();
    assert!(again.learned.is_none() && again.facts[0].unchanged && again.facts[0].replaced.is_empty());
    let earlier = NewFact { from: date("2020"), ..fact.clone() };
    let earlier = desk.facts().remember(&[earlier]).unwrap();
    assert!(earlier.learned.is_some(), "of the time before nothing was known");
    let part = NewFact { from: date("2021"), to: date("2022"), ..fact.clone() };
    assert!(desk.facts().remember(&[part]).unwrap().learned.is_none());
    let both = desk.facts().remember(&[fact, tagged("a/c", "new", &[])]).unwrap();
    assert_eq!(both.facts.iter().map(|fact| fact.unchanged).collect::<Vec<_>>(), [true, false]);
    let other = desk.facts().remember(&[tagged("a/b", "two", &[])]).unwrap();
    assert_eq!(other.facts[0].replaced[0].document.text, "one");
}

#[test]
fn facts_without_keys_get_some() {
    let desk = Desk::new();
    let under = NewFact { key: NewKey::Under("alice".into()), ..NewFact::note("likes tea") };
    let done = desk.facts().remember(&[NewFact::note("a"), NewFact::note("b"), under]).unwrap();
    let keys: Vec<_> = done.facts.iter().map(|fact| fact.key.clone()).collect();
    assert_eq!(
        keys.iter().map(llmdb_memory::facts::FactKey::subject).collect::<Vec<_>>(),
        ["note", "note", "alice"]
    );
    assert_ne!(keys[0], keys[1]);
    let later = desk.facts().remember(&[NewFact::note("c")]).unwrap();
    assert!(later.facts[0].key > keys[1]);
}

#[test]
fn a_correction_takes_the_period_that_is_meant_and_no_other() {
    let desk = Desk::new();
    desk.remember("ada/city", "London", "2019-03-01", "2019-06-01");
    desk.remember("ada/city", "Paris", "2019-06-01", "");
    let dates = ["2019-02-01", "2019-04-01", "2019-05-15", "2019-07-01", ""];
    let by = By::default();
    let done = desk.facts().correct(&[correction("ada/city", "Lyon", "", "")], &by).unwrap();
    assert_eq!(printed(&done.facts[0].valid), json!({ "from": "2019-06-01T00:00:00Z", "to": null }));
    assert_eq!(done.facts[0].replaced[0].document.text, "Paris");
    assert_eq!(believed(&desk, "ada/city", &dates), some(&["", "London", "London", "Lyon", "Lyon"]));
    desk.facts().correct(&[correction("ada/city", "Leeds", "2019-05-01", "")], &by).unwrap();
    assert_eq!(believed(&desk, "ada/city", &dates), some(&["", "London", "Leeds", "Lyon", "Lyon"]));
    desk.facts().correct(&[correction("ada/city", "York", "2019-01-15", "")], &by).unwrap();
    assert_eq!(believed(&desk, "ada/city", &dates), some(&["York", "London", "Leeds", "Lyon", "Lyon"]));
    desk.facts().correct(&[correction("ada/city", "Bath", "2019-01-20", "2019-05-20")], &by).unwrap();
    assert_eq!(believed(&desk, "ada/city", &dates), some(&["Bath", "Bath", "Bath", "Lyon", "Lyon"]));
}

#[test]
fn a_correction_stays_within_one_subject_and_says_what_it_needs() {
    let desk = Desk::new();
    desk.remember("ada/city", "London", "", "");
    let by = By::default();
    let two = [correction("ada/city", "Paris", "", ""), correction("bob/city", "Paris", "2020", "")];
    let error = desk.facts().correct(&two, &by).unwrap_err();
    assert!(
        matches!(&error, Error::Field { field, mend, .. } if field == "facts" && mend.contains("one subject"))
    );
    let error = desk.facts().correct(&[correction("ada/city", "Paris", "", "2020")], &by).unwrap_err();
    assert!(matches!(&error, Error::Field { field, .. } if field == "facts[0].from"), "{error}");
    let error = desk.facts().correct(&[correction("ada/age", "7", "", "")], &by).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    let twice = [correction("ada/city", "Paris", "2020", "2022"), correction("ada/city", "Rome", "2021", "")];
    assert!(matches!(desk.facts().correct(&twice, &by), Err(Error::Field { .. })));
    assert_eq!(desk.text("ada/city", Point::default()).as_deref(), Some("London"), "nothing was written");
}

#[test]
fn what_is_forgotten_ends_and_was() {
    let desk = Desk::new();
    let learned = desk.remember("ada/city", "London", "2019", "");
    let done = desk.facts().forget(&forget(What::Keys(vec![key("ada/city")]))).unwrap();
    assert_eq!((done.facts.len(), done.facts[0].replaced[0].document.text.as_str()), (1, "London"));
    assert_eq!(believed(&desk, "ada/city", &["", "2020"]), some(&["", "London"]));
    assert_eq!(desk.text("ada/city", Point::both(learned)).as_deref(), Some("London"));
    let again = desk.facts().forget(&forget(What::Keys(vec![key("ada/city")]))).unwrap_err();
    assert!(matches!(again, Error::NotFound { .. }), "{again}");
    let past =
        Forget { from: date("2019-06-01"), to: date("2019-07-01"), ..forget(What::Subject("ada".into())) };
    desk.facts().forget(&past).unwrap();
    assert_eq!(
        believed(&desk, "ada/city", &["2019-05-15", "2019-06-15", "2019-07-15"]),
        some(&["London", "", "London"])
    );
}

#[test]
fn a_fact_about_the_future_is_forgotten_by_its_key() {
    let desk = Desk::new();
    desk.remember("ada/city", "Mars", "9000", "");
    assert!(desk.facts().forget(&forget(What::Subject("ada".into()))).is_err(), "none holds now");
    desk.facts().forget(&forget(What::Keys(vec![key("ada/city")]))).unwrap();
    assert_eq!(believed(&desk, "ada/city", &["9001"]), some(&[""]));
}

#[test]
fn an_undo_brings_back_what_was_believed_and_can_be_undone() {
    let desk = Desk::new();
    desk.facts().remember(&[tagged("a/x", "one", &["old"])]).unwrap();
    let second =
        desk.facts().remember(&[tagged("a/x", "two", &["new"]), tagged("a/y", "three", &[])]).unwrap();
    let by = By { agent: Some("tester".into()), reason: Some("it was a guess".into()) };
    let txid = second.learned.unwrap().txid.0;
    let undone = desk.facts().undo(txid, &by).unwrap();
    assert_eq!((undone.facts.len(), undone.restored > 0, undone.kept.len()), (2, true, 0));
    assert_eq!(believed(&desk, "a/x", &[""]), some(&["one"]));
    assert_eq!(believed(&desk, "a/y", &[""]), some(&[""]));
    let old = Recall { tags: vec!["old".into()], ..Recall::default() };
    assert_eq!(desk.recall(&old).facts.len(), 1, "the index of tags still finds it");
    let nothing = desk.facts().undo(txid, &by).unwrap();
    assert!(nothing.learned.is_none() && nothing.restored == 0 && !nothing.kept.is_empty(), "{nothing:?}");
    desk.facts().undo(undone.learned.unwrap().txid.0, &By::default()).unwrap();
    assert_eq!(believed(&desk, "a/x", &[""]), some(&["two"]));
    let none = desk.facts().undo(TxnId::new(999_999), &by).unwrap_err();
    assert!(matches!(none, Error::NotFound { .. }), "{none}");
}

#[test]
fn a_fact_tells_where_it_comes_from_and_what_became_of_it() {
    let desk = Desk::new();
    desk.remember("ada/city", "London", "2019-03-01", "");
    desk.remember("ada/city", "Paris", "2019-06-01", "");
    let by = By { agent: Some("clerk".into()), reason: Some("the letter says May".into()) };
    desk.facts().correct(&[correction("ada/city", "Paris", "2019-05-01", "2019-06-01")], &by).unwrap();
    let why =
        |text| desk.facts().why(&key("ada/city"), Point { valid: date(text), known: AsOf::Now }).unwrap();

    let march = why("2019-04-01");
    assert_eq!((march.asserted.document.text.as_str(), march.holds), ("London", true));
    assert_eq!(
        printed(&march.asserted.valid),
        json!({ "from": "2019-03-01T00:00:00Z", "to": null }),
        "as it was asserted"
    );
    assert!(march.replaced.is_empty() && march.noted.is_none());
    let ends: Vec<_> = march.replaced_by.iter().map(printed).collect();
    assert_eq!(ends.len(), 2, "{ends:?}");
    assert_eq!(ends[0]["valid"], json!({ "from": "2019-06-01T00:00:00Z", "to": null }));
    assert_eq!((&ends[0]["by"][0]["text"], &ends[0]["noted"]), (&json!("Paris"), &json!(null)));
    assert_eq!(ends[1]["valid"], json!({ "from": "2019-05-01T00:00:00Z", "to": "2019-06-01T00:00:00Z" }));
    assert_eq!(
        ends[1]["noted"],
        json!({ "op": "correct", "agent": "clerk", "reason": "the letter says May" })
    );

    let may = why("2019-05-15");
    assert_eq!(may.noted.map(|noted| noted.op), Some("correct".into()));
    assert_eq!((may.replaced.len(), may.replaced[0].document.text.as_str()), (1, "London"));

    desk.facts().forget(&Forget { by, ..forget(What::Keys(vec![key("ada/city")])) }).unwrap();
    let gone = why("");
    assert_eq!((gone.holds, gone.asserted.document.text.as_str()), (false, "Paris"));
    let end = gone.replaced_by.last().map(printed).unwrap_or_default();
    assert_eq!((&end["noted"]["op"], &end["by"]), (&json!("forget"), &json!([])), "{gone:?}");
    assert_eq!(desk.facts().history(&key("ada/city"), &HistoryQuery::default()).unwrap().versions.len(), 6);
}

#[test]
fn what_is_erased_was_never_there_and_its_tags_neither() {
    let desk = Desk::with_files();
    let secret = tagged("ada/secret", "swordfish", &["home", "private"]);
    desk.facts().remember(&[secret, tagged("ada/city", "London", &["home"])]).unwrap();
    let learned = desk.store().view().unwrap().snapshot().timestamp();
    desk.remember("ada/secret", "tuna", "", "");
    let erased = desk.facts().erase(&key("ada/secret"), &mut |_, _| true).unwrap();
    assert!(erased.complete && erased.removed > 0, "{erased:?}");
    for point in [Point::default(), Point::both(learned)] {
        assert_eq!(desk.text("ada/secret", point), None);
        let home = desk.recall(&Recall { tags: vec!["home".into()], point, ..Recall::default() });
        assert_eq!(home.facts.iter().map(|fact| fact.document.text.as_str()).collect::<Vec<_>>(), ["London"]);
    }
    let no = |result: Result<(), Error>| assert!(matches!(result, Err(Error::NotFound { .. })), "{result:?}");
    no(desk.facts().history(&key("ada/secret"), &HistoryQuery::default()).map(drop));
    no(desk.facts().why(&key("ada/secret"), Point::both(learned)).map(drop));
    no(desk.facts().erase(&key("ada/secret"), &mut |_, _| true).map(drop));
    let also = [b"swordfish".to_vec(), b"private".to_vec()];
    let check = desk.store().check_erased("facts", key("ada/secret").row(), &also, &mut |_, _| true).unwrap();
    assert!(check.is_clean(), "{check:?}");
}

#[test]
fn an_erasure_that_was_stopped_goes_on() {
    let desk = Desk::with_files();
    desk.facts().remember(&[tagged("ada/secret", "swordfish", &["private"])]).unwrap();
    let erased = desk.facts().erase(&key("ada/secret"), &mut |_, _| false).unwrap();
    assert!(!erased.complete, "{erased:?}");
    assert!(
        desk.facts().history(&key("ada/secret"), &HistoryQuery::default()).is_err(),
        "it is gone for readers"
    );
    assert!(desk.store().finish_erasures(&mut |_, _| true).unwrap().is_complete());
    let check =
        desk.store()
            .check_erased("facts", key("ada/secret").row(), &[b"swordfish".to_vec()], &mut |_, _| true);
    assert!(check.unwrap().is_clean());
}
