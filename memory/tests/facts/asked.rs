//! Reading: recall, history, diff.

use llmdb_memory::facts::{
    DiffQuery, DifferenceKind, Document, HistoryQuery, NewFact, NewKey, Point, Recall, What,
};
use llmdb_temporal::AsOf;
use serde_json::json;

use crate::{Desk, date, key, printed, tagged};

fn keys(desk: &Desk, query: &Recall) -> Vec<String> {
    desk.recall(query).facts.iter().map(|fact| fact.key.to_string()).collect()
}

#[test]
fn an_empty_memory_answers_with_nothing() {
    let desk = Desk::new();
    let recalled = desk.recall(&Recall::default());
    assert!(recalled.facts.is_empty() && recalled.cursor.is_none() && recalled.point.known.is_none());
    assert!(desk.facts().diff(&DiffQuery::default()).unwrap().differences.is_empty());
    assert!(desk.facts().history(&key("a/b"), &HistoryQuery::default()).is_err());
    assert!(desk.facts().why(&key("a/b"), Point::default()).is_err());
}

#[test]
fn facts_are_found_by_key_subject_beginning_and_tags() {
    let desk = Desk::new();
    let facts = [
        tagged("alice/employer", "Acme", &["work"]),
        tagged("alice/employee-number", "7", &["work", "number"]),
        tagged("alicia/employer", "Initech", &["work"]),
        tagged("bob/age", "44", &["number"]),
    ];
    desk.facts().remember(&facts).unwrap();
    let by = |what| keys(&desk, &Recall { what, ..Recall::default() });
    assert_eq!(by(What::Subject("alice".into())), ["alice/employee-number", "alice/employer"]);
    assert_eq!(by(What::Prefix("ali".into())).len(), 3);
    assert_eq!(by(What::Prefix("alice/employe".into())).len(), 2);
    assert_eq!(
        by(What::Keys(vec![key("bob/age"), key("none/x"), key("alice/employer")])),
        ["alice/employer", "bob/age"]
    );
    let tags = |what, tags: &[&str]| {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        keys(&desk, &Recall { what, tags, ..Recall::default() })
    };
    assert_eq!(tags(What::All, &["number"]), ["alice/employee-number", "bob/age"]);
    assert_eq!(tags(What::All, &["work", "number"]), ["alice/employee-number"]);
    assert_eq!(tags(What::Subject("bob".into()), &["number"]), ["bob/age"]);
    assert_eq!(tags(What::Prefix("alicia".into()), &["work"]), ["alicia/employer"]);
    assert_eq!(tags(What::Keys(vec![key("bob/age")]), &["work"]), [""; 0]);
}

#[test]
fn a_tag_that_was_taken_away_is_found_only_where_it_was() {
    let desk = Desk::new();
    desk.facts().remember(&[tagged("a/x", "one", &["old"])]).unwrap();
    let before = desk.store().view().unwrap().snapshot().timestamp();
    desk.facts().remember(&[tagged("a/x", "two", &["new"])]).unwrap();
    let query = |tag: &str, point| Recall { tags: vec![tag.into()], point, ..Recall::default() };
    assert!(keys(&desk, &query("old", Point::default())).is_empty());
    assert_eq!(keys(&desk, &query("new", Point::default())), ["a/x"]);
    assert_eq!(keys(&desk, &query("old", Point::both(before))), ["a/x"]);
    assert!(keys(&desk, &query("new", Point::both(before))).is_empty());
}

#[test]
fn each_of_the_two_times_is_asked_for_by_itself() {
    let desk = Desk::new();
    let first = desk.remember("ada/city", "London", "2019-03-01", "");
    let second = desk.remember("ada/city", "Paris", "2019-06-01", "");
    desk.remember("ada/city", "Paris", "2019-05-01", "2019-06-01");
    let at = |valid, known| desk.text("ada/city", Point { valid: date(valid), known });
    assert_eq!(at("", AsOf::Now).as_deref(), Some("Paris"));
    assert_eq!(at("2019-05-15", AsOf::Now).as_deref(), Some("Paris"));
    assert_eq!(at("2019-05-15", AsOf::Time(second)).as_deref(), Some("London"));
    assert_eq!(at("2019-06-15", AsOf::Time(first)).as_deref(), Some("London"));
    assert_eq!(at("2019-02-28", AsOf::Now), None);
    assert_eq!(desk.text("ada/city", Point::both(first)).as_deref(), Some("London"));
}

#[test]
fn a_fact_says_for_which_period_it_holds_however_it_is_stored() {
    let desk = Desk::new();
    desk.remember("ada/city", "London", "2019-03-01", "");
    let valid = |desk: &Desk, text| {
        let point = Point { valid: date(text), known: AsOf::Now };
        let facts = desk.recall(&Recall { point, ..Recall::key(key("ada/city")) }).facts;
        printed(&facts[0].valid)
    };
    let open = json!({ "from": "2019-03-01T00:00:00Z", "to": null });
    assert_eq!(valid(&desk, ""), open);
    assert_eq!(valid(&desk, "2019-04-01"), open, "the cut at the commit is not shown");
    desk.remember("ada/city", "Paris", "2019-06-01", "");
    let closed = json!({ "from": "2019-03-01T00:00:00Z", "to": "2019-06-01T00:00:00Z" });
    assert_eq!(valid(&desk, "2019-04-01"), closed);
    assert_eq!(valid(&desk, "")["from"], "2019-06-01T00:00:00Z");
    desk.remember("ada/city", "Rome", "9000-01-01", "");
    assert_eq!(valid(&desk, ""), json!({ "from": "2019-06-01T00:00:00Z", "to": "9000-01-01T00:00:00Z" }));
    let then = desk.remember("ada/city", "Oslo", "", "");
    let now = valid(&desk, "");
    assert_eq!(
        (now["from"].clone(), now["to"].clone()),
        (printed(&llmdb_memory::facts::Moment(then)), json!(null))
    );
}

#[test]
fn pages_together_are_the_whole_and_answer_for_one_point() {
    let desk = Desk::new();
    let facts: Vec<_> =
        (0..10).map(|number| tagged(&format!("s/{number}"), &format!("t{number}"), &["x"])).collect();
    desk.facts().remember(&facts).unwrap();
    for tags in [vec![], vec!["x".to_owned()]] {
        let last = desk.text("s/9", Point::default()).unwrap();
        let mut query = Recall { results_max: 3, tags, ..Recall::default() };
        let mut all = Vec::new();
        loop {
            let page = desk.recall(&query);
            all.extend(page.facts.iter().map(|fact| fact.document.text.clone()));
            // What happens between two pages is not in them.
            desk.facts().remember(&[tagged("s/9", &format!("later {}", all.len()), &["x"])]).unwrap();
            query.cursor = page.cursor;
            if query.cursor.is_none() {
                break;
            }
        }
        assert_eq!((all.len(), &all[9]), (10, &last), "{all:?}");
    }
}

#[test]
fn what_says_the_same_is_said_once() {
    let desk = Desk::new();
    let texts = [("a/1", "Acme Corp"), ("a/2", "acme  corp"), ("a/3", "Acme"), ("b/1", "ACME CORP")];
    let facts: Vec<_> = texts.iter().map(|(key, text)| NewFact::new(key, *text).unwrap()).collect();
    desk.facts().remember(&facts).unwrap();
    let recalled = desk.recall(&Recall::default());
    let said: Vec<_> =
        recalled.facts.iter().map(|fact| (fact.key.to_string(), fact.same_as.clone())).collect();
    assert_eq!(said, [("a/1".into(), vec![key("a/2"), key("b/1")]), ("a/3".into(), vec![])]);
    assert_eq!(keys(&desk, &Recall { keep_duplicates: true, ..Recall::default() }).len(), 4);
    let page = desk.recall(&Recall { results_max: 1, ..Recall::default() });
    assert_eq!(page.facts[0].same_as, [key("a/2")], "of what was seen up to where the page ends");
}

#[test]
fn an_answer_keeps_to_its_budget() {
    let desk = Desk::new();
    let long = "word ".repeat(1_000);
    let facts =
        (0..9).map(|number| NewFact::new(&format!("s/{number}"), format!("{number} {long}")).unwrap());
    desk.facts().remember(&facts.collect::<Vec<_>>()).unwrap();
    let ask = |tokens_max, cursor| {
        desk.recall(&Recall { tokens_max: Some(tokens_max), cursor, ..Recall::default() })
    };
    let two = ask(3_000, None);
    assert_eq!((two.facts.len(), two.cursor.is_some()), (2, true));
    assert!(two.tokens <= 3_000 && two.facts.iter().all(|fact| !fact.cut));
    let one = ask(100, two.cursor);
    assert_eq!((one.facts.len(), one.facts[0].key.to_string()), (1, "s/2".into()));
    assert!(one.facts[0].cut && one.tokens <= 100 && one.facts[0].document.text.len() > 100, "{one:?}");
    assert_eq!(ask(1, None).facts[0].document.text, "", "a budget for nothing gets nothing but the key");
}

#[test]
fn a_history_has_what_a_person_asserted_in_pages() {
    let desk = Desk::new();
    desk.remember("ada/city", "London", "2019-03-01", "");
    desk.remember("ada/city", "Paris", "2019-06-01", "");
    let all = desk.facts().history(&key("ada/city"), &HistoryQuery::default()).unwrap();
    let told: Vec<_> = all
        .versions
        .iter()
        .map(|version| {
            let printed = printed(version);
            (version.document.text.clone(), printed["valid"].clone(), printed["known"]["to"].is_null())
        })
        .collect();
    let period = |from, to: Option<&str>| json!({ "from": from, "to": to });
    let (march, june) = ("2019-03-01T00:00:00Z", "2019-06-01T00:00:00Z");
    assert_eq!(
        told,
        [
            ("London".into(), period(march, Some(june)), true),
            ("London".into(), period(june, None), false),
            ("Paris".into(), period(june, None), true),
        ]
    );
    let page =
        |cursor| desk.facts().history(&key("ada/city"), &HistoryQuery { results_max: 2, cursor }).unwrap();
    let first = page(None);
    desk.remember("ada/city", "Rome", "2019-04-01", "2019-05-01");
    let second = page(first.cursor);
    assert_eq!(
        [first.versions, second.versions].concat(),
        all.versions,
        "as it was when the first page was asked for"
    );
}

#[test]
fn two_points_are_compared() {
    let desk = Desk::new();
    desk.facts()
        .remember(&[tagged("a/1", "stays", &[]), tagged("a/2", "changes", &[]), tagged("b/1", "goes", &[])])
        .unwrap();
    let before = desk.store().view().unwrap().snapshot().timestamp();
    desk.remember("a/2", "changed", "", "");
    desk.remember("c/1", "comes", "", "");
    let forget = llmdb_memory::facts::Forget { what: What::Subject("b".into()), ..Default::default() };
    desk.facts().forget(&forget).unwrap();
    let query = DiffQuery { from: Point::both(before), ..DiffQuery::default() };
    let all = desk.facts().diff(&query).unwrap();
    let told: Vec<_> = all.differences.iter().map(|change| (change.key.to_string(), change.kind)).collect();
    let expected =
        [("a/2", DifferenceKind::Changed), ("b/1", DifferenceKind::Removed), ("c/1", DifferenceKind::Added)];
    assert_eq!(told, expected.map(|(key, kind)| (key.to_owned(), kind)));
    let first = desk.facts().diff(&DiffQuery { results_max: 1, ..query.clone() }).unwrap();
    let rest = desk.facts().diff(&DiffQuery { cursor: first.cursor, ..query.clone() }).unwrap();
    assert_eq!([first.differences, rest.differences].concat(), all.differences);
    let only = desk.facts().diff(&DiffQuery { what: What::Subject("a".into()), ..query }).unwrap();
    assert_eq!(only.differences.len(), 1);
}

#[test]
fn what_serde_prints_is_flat_and_complete() {
    let desk = Desk::new();
    let document = Document {
        text: "Acme".into(),
        value: Some(json!({ "vat": 7 })),
        source: Some("letter".into()),
        confidence: Some(0.5),
        tags: vec!["work".into()],
        agent: Some("planner".into()),
    };
    let fact = NewFact { key: NewKey::Given(key("a/b")), document, from: date("2019"), to: date("9000") };
    let done = printed(&desk.facts().remember(&[fact]).unwrap());
    assert!(done["learned"]["txid"].as_u64().is_some() && done["facts"][0]["unchanged"] == false, "{done}");
    let mut recalled = printed(&desk.recall(&Recall::default()));
    let learned = recalled["facts"][0]["learned"].take();
    assert_eq!(learned, recalled["point"]["known"]["at"]);
    let expected = json!({
        "key": "a/b", "text": "Acme", "value": { "vat": 7 }, "source": "letter", "confidence": 0.5, "tags": ["work"],
        "agent": "planner", "learned": null,
        "valid": { "from": "2019-01-01T00:00:00Z", "to": "9000-01-01T00:00:00Z" },
    });
    assert_eq!(recalled["facts"][0], expected);
}
