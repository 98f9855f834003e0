//! Facts by their words, at points of both times, in pages, with other conditions.

use llmdb_memory::facts::{
    By, Document, FactsFollower, Followed, Forget, NewFact, Point, Recall, What, limits,
};
use llmdb_temporal::{AsOf, History, Retention, Valid, Value};
use serde_json::json;

use crate::{Desk, date, key, printed, tagged};

fn keys(desk: &Desk, query: &Recall) -> Vec<String> {
    desk.recall(query).facts.iter().map(|fact| fact.key.to_string()).collect()
}

fn found(desk: &Desk, words: &str) -> Vec<String> {
    keys(desk, &Recall::text(words))
}

#[test]
fn facts_are_found_by_what_they_say_the_best_first() {
    let desk = Desk::new();
    assert!(found(&desk, "anything").is_empty(), "of an empty memory, too");
    let mut valued = tagged("carol/home", "moved", &["address"]);
    valued.document.value = Some(json!({ "town": "Zürich", "since": 2021 }));
    let facts = [
        tagged("ada/city", "Ada has lived in London since March", &[]),
        tagged("bob/city", "London. London is the town for Bob.", &["address"]),
        tagged("bob/plan", "to move to Paris, one day", &[]),
        valued,
    ];
    desk.facts().remember(&facts).unwrap();
    assert_eq!(found(&desk, "london"), ["bob/city", "ada/city"]);
    assert_eq!(found(&desk, "living")[..], ["ada/city"]);
    assert_eq!(found(&desk, "zurich")[..], ["carol/home"]);
    assert_eq!(found(&desk, "bob paris")[..1], ["bob/plan"]);
    assert_eq!(found(&desk, "\"town for bob\""), ["bob/city"]);
    assert_eq!(found(&desk, "addr*").len(), 2);
    let narrow = Recall { what: What::Subject("ada".into()), ..Recall::text("london") };
    assert_eq!(keys(&desk, &narrow), ["ada/city"]);
    let narrow = Recall { tags: vec!["address".into()], ..Recall::text("london") };
    assert_eq!(keys(&desk, &narrow), ["bob/city"]);
    for what in [What::Prefix("bo".into()), What::Prefix("bob/c".into()), What::Keys(vec![key("bob/city")])] {
        assert_eq!(keys(&desk, &Recall { what, ..Recall::text("london") }), ["bob/city"]);
    }
    let scores = printed(&desk.recall(&Recall::text("london")));
    assert!(scores["facts"][0]["score"].as_f64() > scores["facts"][1]["score"].as_f64());
    assert!(printed(&desk.recall(&Recall::default()))["facts"][0].get("score").is_none());
}

#[test]
pub fn words_are_true_of_the_point_that_is_asked_for() {
    let desk = Desk::new();
    let first = desk.remember("ada/city", "London", "2019-03-01", "");
    let second = desk.remember("ada/city", "Paris", "2019-06-01", "");
    let on = |day: &str, known| Point { valid: date(day), known };
    let asked = |words: &str, point| keys(&desk, &Recall { point, ..Recall::text(words) }).len();
    assert_eq!(asked("london", Point::default()), 0);
    assert_eq!(asked("london", on("2019-04-01", AsOf::Now)), 1);
    assert_eq!(asked("london", Point { valid: None, known: AsOf::Time(first) }), 1);
    assert_eq!(asked("paris", Point { valid: None, known: AsOf::Time(first) }), 0);
    let txid = desk.store().view().unwrap().transaction_at(second).unwrap().unwrap().0;
    desk.facts().undo(txid, &By::default()).unwrap();
    assert_eq!((asked("london", Point::default()), asked("paris", Point::default())), (1, 0));
    let forget = Forget { what: What::Subject("ada".into()), from: None, to: None, by: By::default() };
    desk.facts().forget(&forget).unwrap();
    assert_eq!((asked("london", Point::default()), asked("london", on("2019-04-01", AsOf::Now))), (0, 1));
}

#[test]
fn long_answers_come_in_pages_that_fit_together() {
    let desk = Desk::new();
    let facts: Vec<_> = (0..45)
        .map(|number| {
            NewFact::new(&format!("s/n{number:02}"), format!("London {}", "x ".repeat(number % 9))).unwrap()
        })
        .collect();
    desk.facts().remember(&facts).unwrap();
    let all = keys(&desk, &Recall { results_max: 100, keep_duplicates: true, ..Recall::text("london") });
    assert_eq!(all.len(), 45);
    let mut query = Recall { results_max: 7, keep_duplicates: true, ..Recall::text("london") };
    let mut paged = Vec::new();
    loop {
        let recalled = desk.recall(&query);
        paged.extend(recalled.facts.iter().map(|fact| fact.key.to_string()));
        // What is learned between two pages is not in them.
        desk.remember("s/late", &format!("London {}", paged.len()), "", "");
        query.cursor = recalled.cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    assert_eq!(paged, all);
    let once = desk.recall(&Recall { results_max: 20, ..Recall::text("london -late") });
    assert!(once.facts.len() < 20 && once.facts.iter().any(|fact| fact.same_as.len() > 2));
    let short = desk.recall(&Recall { tokens_max: Some(80), ..Recall::text("london") });
    assert!(short.tokens <= 80 && !short.facts.is_empty() && short.cursor.is_some());
    for text in ["", "!", "\"\""] {
        let error = desk.facts().recall(&Recall::text(text)).unwrap_err();
        assert!(error.to_string().starts_with("text: it has no word"), "{error}");
    }
    let wrong = Recall { cursor: Some("1.2.s/n01".into()), ..Recall::text("london") };
    assert!(desk.facts().recall(&wrong).is_err());
}

#[test]
fn the_longest_document_is_indexed() {
    let desk = Desk::new();
    let long: String =
        (0..).map(|number: u32| format!("w{number} ")).take(limits::TEXT_BYTES_MAX / 9).collect();
    desk.remember("a/long", &long, "", "");
    assert_eq!(found(&desk, "w100000"), ["a/long"]);
}

#[test]
fn facts_without_an_index_get_one_when_they_are_asked() {
    let desk = Desk::new();
    let store = desk.store();
    let mut txn = store.begin_write().unwrap();
    txn.create("facts", History::default()).unwrap();
    for number in 0..400 {
        let json = serde_json::to_string(&Document::new(format!("London {number}"))).unwrap();
        let row = key(&format!("s/n{number}")).row();
        txn.collection("facts").unwrap().put(row, Valid::Now, Value::json(&json)).unwrap();
    }
    txn.commit().unwrap();
    assert_eq!(found(&desk, "347"), ["s/n347"]);
    desk.remember("s/more", "London 1000", "", "");
    assert_eq!(found(&desk, "1000"), ["s/more"]);
}

/// What a program puts, a migration, an import: not this room.
fn put_by_others(desk: &Desk, key_text: &str, document: &Document) {
    let store = desk.store().followed(Some(&FactsFollower));
    let mut txn = store.begin_write().unwrap();
    let json = serde_json::to_string(document).unwrap();
    txn.collection("facts").unwrap().put(key(key_text).row(), Valid::Now, Value::json(&json)).unwrap();
    txn.commit().unwrap();
}

#[test]
pub fn what_others_put_is_found_by_words_and_tags() {
    let desk = Desk::new();
    let then = desk.remember("ada/city", "London", "", "");
    let document = Document { tags: vec!["home".into()], ..Document::new("She moved to Zürich") };
    put_by_others(&desk, "ada/city", &document);
    put_by_others(&desk, "bob/city", &Document { text: "He moved to Zürich, too".into(), ..document });
    assert_eq!(found(&desk, "moving zurich"), ["ada/city", "bob/city"]);
    let tagged = Recall { tags: vec!["home".into()], ..Recall::default() };
    assert_eq!(keys(&desk, &tagged), ["ada/city", "bob/city"]);
    let before = Recall { point: Point { valid: None, known: AsOf::Time(then) }, ..Recall::text("london") };
    assert_eq!((keys(&desk, &before).len(), found(&desk, "london").len()), (1, 0));
}

#[test]
pub fn what_was_purged_is_in_no_word_and_no_tag() {
    let desk = Desk::with_files();
    for version in ["wordone", "wordtwo", "wordthree"] {
        let facts: Vec<_> = (0..600)
            .map(|number| {
                tagged(&format!("s/n{number}"), &format!("{version} {number}"), &[&format!("tag{version}")])
            })
            .collect();
        desk.facts().remember(&facts).unwrap();
    }
    assert!(desk.facts().follow_purges(&mut |_| true).unwrap().is_done, "nothing was purged");
    desk.store().purge("facts", Retention::Versions(2), &mut |_| true).unwrap();
    // Until they follow, they propose facts for nothing.
    assert_eq!((found(&desk, "wordone").len(), found(&desk, "wordthree").len()), (0, 50));
    let stopped = desk.facts().follow_purges(&mut |_| false).unwrap();
    assert!(!stopped.is_done);
    let followed = desk.facts().follow_purges(&mut |_| true).unwrap();
    assert!(followed.is_done && stopped.tags + followed.tags == 600, "{stopped:?} {followed:?}");
    assert_eq!(stopped.words + followed.words, 1_200, "a word of the text and one of the tag");
    assert!(
        desk.facts().follow_purges(&mut |_| true).unwrap()
            == Followed { is_done: true, ..Followed::default() }
    );
    assert_eq!((found(&desk, "wordone").len(), found(&desk, "wordthree").len()), (0, 50));
    let tag = |tag: &str| Recall { tags: vec![tag.into()], ..Recall::default() };
    assert_eq!((keys(&desk, &tag("tagwordone")).len(), keys(&desk, &tag("tagwordthree")).len()), (0, 50));
    assert!(desk.0.scrub(&mut |_, _| true).unwrap().is_complete());
    let needles = ["wordone", "wordtwo"].map(|word| word.as_bytes().to_vec());
    let traces = desk.0.find_traces(&needles, &mut |_, _| true).unwrap().found;
    assert!(!traces.is_empty() && traces.iter().all(|trace| trace.needle == 1), "{traces:?}");
}
