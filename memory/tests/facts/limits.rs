//! What is too much, or makes no sense, is refused with the field and the mend, and nothing is written.

use llmdb_memory::{
    Error,
    facts::{DiffQuery, Document, Forget, HistoryQuery, NewFact, NewKey, Recall, What, limits::BATCH_MAX},
};
use llmdb_temporal::{History, Valid, Value};

use crate::{Desk, date, key};

fn field(error: Error) -> String {
    match error {
        Error::Field { field, mend, .. } => {
            assert!(!mend.is_empty());
            field
        }
        other => panic!("{other}"),
    }
}

#[test]
fn facts_that_cannot_be_remembered() {
    let desk = Desk::new();
    let base = || NewFact::new("a/b", "x").unwrap();
    let refused = |facts: &[NewFact]| field(desk.facts().remember(facts).unwrap_err());
    assert_eq!(refused(&[]), "facts");
    assert_eq!(refused(&vec![base(); BATCH_MAX + 1]), "facts");
    assert_eq!(refused(&[base(), base()]), "facts[1].key");
    assert_eq!(refused(&[NewFact { document: Document::new(""), ..base() }]), "facts[0].text");
    assert_eq!(refused(&[NewFact { key: NewKey::Under("a/b".into()), ..base() }]), "facts[0].subject");
    assert_eq!(refused(&[NewFact { from: date("2024"), to: date("2024"), ..base() }]), "facts[0].to");
    assert_eq!(refused(&[NewFact { to: date("2020"), ..base() }]), "facts[0].to");
    let deep = (0..200).fold(serde_json::Value::Null, |inner, _| serde_json::json!([inner]));
    let deep = NewFact { document: Document { value: Some(deep), ..Document::new("x") }, ..base() };
    assert!(matches!(desk.facts().remember(&[deep]), Err(Error::Temporal(_))));
    assert!(desk.store().view().unwrap().collections().unwrap().is_empty(), "nothing was written");
}

#[test]
fn questions_that_cannot_be_answered() {
    let desk = Desk::new();
    let refused = |query: Recall| field(desk.facts().recall(&query).unwrap_err());
    assert_eq!(refused(Recall { results_max: 0, ..Recall::default() }), "results_max");
    assert_eq!(refused(Recall { results_max: 1_001, ..Recall::default() }), "results_max");
    assert_eq!(refused(Recall { tokens_max: Some(0), ..Recall::default() }), "tokens_max");
    assert_eq!(refused(Recall { cursor: Some("x".into()), ..Recall::default() }), "cursor");
    assert_eq!(refused(Recall { what: What::Subject("a/b".into()), ..Recall::default() }), "subject");
    assert_eq!(refused(Recall { what: What::Keys(vec![]), ..Recall::default() }), "keys");
    assert_eq!(refused(Recall { tags: vec!["x".into(); 99], ..Recall::default() }), "tags");
    let diff = DiffQuery { cursor: Some("1.2.a/b".into()), ..DiffQuery::default() };
    assert_eq!(field(desk.facts().diff(&diff).unwrap_err()), "cursor");
    desk.remember("a/b", "x", "", "");
    let history = HistoryQuery { cursor: Some("x.y".into()), ..HistoryQuery::default() };
    assert_eq!(field(desk.facts().history(&key("a/b"), &history).unwrap_err()), "cursor");
}

#[test]
fn too_much_is_not_forgotten_at_once() {
    let desk = Desk::new();
    let batch = |number| {
        let fact = |index| NewFact::new(&format!("s/{number}-{index}"), "x").unwrap();
        (0..BATCH_MAX).map(fact).collect::<Vec<_>>()
    };
    desk.facts().remember(&batch(0)).unwrap();
    desk.facts().remember(&batch(1)[..1]).unwrap();
    let what = What::Subject("s".into());
    let error = desk.facts().forget(&Forget { what, ..Forget::default() }).unwrap_err();
    assert_eq!(field(error), "what");
    let done =
        desk.facts().forget(&Forget { what: What::Prefix("s/0-".into()), ..Forget::default() }).unwrap();
    assert_eq!(done.facts.len(), BATCH_MAX);
}

#[test]
fn what_others_wrote_into_the_collection_is_damage_and_no_panic() {
    let desk = Desk::new();
    desk.remember("a/b", "x", "", "");
    for (row, value) in [("stranger", Value::json("{\"text\":\"x\"}")), ("other", Value::raw(b"\xff"))] {
        let mut txn = desk.store().begin_write().unwrap();
        txn.collection("facts").unwrap().put(row, Valid::Now, value).unwrap();
        txn.commit().unwrap();
        assert!(matches!(desk.facts().recall(&Recall::default()), Err(Error::Document { .. })));
    }
    assert_eq!(desk.recall(&Recall::key(key("a/b"))).facts.len(), 1, "the others are still found");

    let desk = Desk::new();
    let mut txn = desk.store().begin_write().unwrap();
    txn.create("facts", History::Plain).unwrap();
    txn.commit().unwrap();
    assert!(matches!(desk.facts().recall(&Recall::default()), Err(Error::Document { .. })));
    assert!(desk.facts().remember(&[NewFact::note("x")]).is_err());
}

#[test]
fn the_example_of_the_documentation_is_true() {
    let page = include_str!("../../../docs/format/facts.md");
    let block = page.rsplit("```text\n").next().and_then(|rest| rest.split("```").next()).unwrap_or_default();
    let line = |name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let bytes = |hex: &str| -> Vec<u8> {
            hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
        };
        match line
            .split_once('{')
            .and_then(|(tag, rest)| Some((tag, rest.split_once("}  valid_from (8 bytes)")?)))
        {
            Some((tag, (json, flags))) => (bytes(tag), format!("{{{json}}}"), bytes(flags)),
            None => (bytes(line), String::new(), Vec::new()),
        }
    };
    let desk = Desk::new();
    desk.facts().remember(&[crate::tagged("alice/employer", "Acme Corp", &["work"])]).unwrap();
    let view = desk.store().view().unwrap();
    let stored = |number: u32| {
        let tree = view.snapshot().tree(format!("_time/{number}/now").as_str()).unwrap().unwrap();
        let (key, value) = tree.iter().unwrap().next().unwrap().unwrap();
        (key.to_vec(), value.to_vec())
    };
    let (key, value) = stored(1);
    assert_eq!(key, line("facts key").0);
    let (tag, json, flags) = line("facts value");
    assert!(value.starts_with(&[&tag[..], json.as_bytes()].concat()) && value.ends_with(&flags));
    assert_eq!(value.len(), tag.len() + json.len() + 8 + flags.len());
    assert_eq!(stored(2), (line("facts_tags key").0, line("facts_tags value").0));
}
