//! Random lives of a few facts: every answer beside what the collection itself says of each key.

use llmdb_memory::facts::{
    By, Correction, DiffQuery, Document, FactKey, Forget, HistoryQuery, NewFact, NewKey, Point, Recall, What,
};
use llmdb_temporal::{AsOf, At, Timestamp};
use proptest::prelude::*;

use crate::Desk;

const KEYS: [&str; 6] = ["a/x", "a/xy", "a/z", "ab/x", "b/x", "b/y"];
const TAGS: [&str; 3] = ["p", "q", "r"];

#[derive(Clone, Debug)]
enum Step {
    Remember(usize, u8, Option<i64>, Option<i64>),
    Correct(usize, u8, i64),
    Forget(usize, i64),
    Undo(usize),
}

/// Moments on both sides of the present.
fn moment() -> impl Strategy<Value = i64> {
    prop_oneof![0..20_i64, 4_000_000_000_000_000..4_000_000_000_000_020_i64]
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS.len();
    prop_oneof![
        4 => (key.clone(), 0_u8..8, proptest::option::of(moment()), proptest::option::of(1..30_i64))
            .prop_map(|(key, said, from, len)| Step::Remember(key, said, from, len)),
        2 => (key.clone(), 0_u8..8, moment()).prop_map(|(key, said, from)| Step::Correct(key, said, from)),
        1 => (key, moment()).prop_map(|(key, from)| Step::Forget(key, from)),
        1 => (0..8_usize).prop_map(Step::Undo),
    ]
}

/// A document whose tags are the bits of `said`.
fn document(said: u8) -> Document {
    let tags =
        TAGS.iter().enumerate().filter(|(bit, _)| said >> bit & 1 == 1).map(|(_, tag)| (*tag).to_owned());
    Document { tags: tags.collect(), ..Document::new(format!("said {}", said / 2)) }
}

fn key(index: usize) -> FactKey {
    KEYS[index].parse().unwrap()
}

fn apply(desk: &Desk, step: &Step) {
    let facts = desk.facts();
    let by = By::default();
    // What is refused here is refused for a reason that other tests know; nothing may be written then.
    let _ = match step.clone() {
        Step::Remember(index, said, from, len) => {
            let from = from.map(Timestamp::new);
            let to = from.zip(len).map(|(from, len)| Timestamp::new(from.get() + len));
            let fact = NewFact { key: NewKey::Given(key(index)), document: document(said), from, to };
            facts.remember(&[fact]).map(drop)
        }
        Step::Correct(index, said, from) => {
            let from = Some(Timestamp::new(from));
            facts
                .correct(&[Correction { key: key(index), document: document(said), from, to: None }], &by)
                .map(drop)
        }
        Step::Forget(index, from) => {
            let from = Some(Timestamp::new(from));
            facts.forget(&Forget { what: What::Keys(vec![key(index)]), from, to: None, by }).map(drop)
        }
        Step::Undo(back) => {
            let view = desk.store().view().unwrap();
            let txid = view.snapshot().txid().get().saturating_sub(back as u64);
            facts.undo(llmdb_temporal::TxnId::new(txid), &by).map(drop)
        }
    };
}

/// The documents of all keys at a point, as the collection has them.
fn expected(
    desk: &Desk,
    point: Point,
    is_meant: impl Fn(&FactKey, &Document) -> bool,
) -> Vec<(String, Document)> {
    let view = desk.store().view().unwrap();
    let Ok(facts) = view.collection("facts") else { return Vec::new() };
    let at = At { valid: point.valid, system: point.known };
    let found = (0..KEYS.len()).filter_map(|index| {
        let fact = facts.get(key(index).row(), at).unwrap()?;
        let document: Document = serde_json::from_slice(fact.value.payload).unwrap();
        is_meant(&key(index), &document).then(|| (KEYS[index].to_owned(), document))
    });
    found.collect()
}

/// All pages of a question.
fn recalled(desk: &Desk, mut query: Recall) -> Vec<(String, Document)> {
    query.keep_duplicates = true;
    let mut all = Vec::new();
    loop {
        let page = desk.recall(&query);
        all.extend(page.facts.into_iter().map(|fact| {
            let holds = |moment: Timestamp| {
                fact.valid.from.is_none_or(|from| from.0 <= moment)
                    && fact.valid.to.is_none_or(|to| moment < to.0)
            };
            assert!(holds(query.point.valid.unwrap_or(page.point.valid.0)), "{fact:?}");
            (fact.key.to_string(), fact.document)
        }));
        query.cursor = page.cursor;
        if query.cursor.is_none() {
            return all;
        }
    }
}

fn check(desk: &Desk, point: Point, results_max: usize) {
    let ask = |what, tags: Vec<String>| {
        recalled(desk, Recall { what, tags, point, results_max, ..Recall::default() })
    };
    assert_eq!(ask(What::All, vec![]), expected(desk, point, |_, _| true));
    assert_eq!(ask(What::Subject("a".into()), vec![]), expected(desk, point, |key, _| key.subject() == "a"));
    assert_eq!(
        ask(What::Prefix("a/x".into()), vec![]),
        expected(desk, point, |key, _| { key.subject() == "a" && key.name().starts_with('x') })
    );
    for tag in TAGS {
        let has = |document: &Document| document.tags.iter().any(|other| other == tag);
        assert_eq!(ask(What::All, vec![tag.into()]), expected(desk, point, |_, document| has(document)));
        let some = expected(desk, point, |key, document| key.subject().starts_with('a') && has(document));
        assert_eq!(ask(What::Prefix("a".into()), vec![tag.into()]), some);
    }
}

/// What the versions of a history say of a point is what the collection says.
fn check_history(desk: &Desk, index: usize, valid: Timestamp, known: Timestamp) {
    let history = desk.facts().history(&key(index), &HistoryQuery::default());
    let Ok(history) = history else { return };
    let holds = |period: llmdb_memory::facts::ShownPeriod, moment: Timestamp| {
        period.from.is_none_or(|from| from.0 <= moment) && period.to.is_none_or(|to| moment < to.0)
    };
    let found: Vec<_> = history
        .versions
        .iter()
        .filter(|version| holds(version.valid, valid) && holds(version.known, known))
        .map(|version| (KEYS[index].to_owned(), version.document.clone()))
        .collect();
    let point = Point { valid: Some(valid), known: AsOf::Time(known) };
    assert_eq!(found, expected(desk, point, |other, _| *other == key(index)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_answer_is_what_the_collection_says(
        steps in proptest::collection::vec(step(), 1..14),
        points in proptest::collection::vec((moment(), 0..14_usize, 1..4_usize), 6)
    ) {
        let desk = Desk::new();
        let mut commits = vec![Timestamp::new(0)];
        for step in &steps {
            apply(&desk, step);
            commits.push(desk.store().view().unwrap().snapshot().timestamp());
        }
        check(&desk, Point::default(), 2);
        for (valid, commit, results_max) in points {
            let (valid, known) = (Timestamp::new(valid), commits[commit % commits.len()]);
            let point = Point { valid: Some(valid), known: AsOf::Time(known) };
            check(&desk, point, results_max);
            check(&desk, Point { known: AsOf::Now, ..point }, results_max);
            for index in 0..KEYS.len() {
                check_history(&desk, index, valid, known);
                if let Ok(why) = desk.facts().why(&key(index), point) {
                    let there = expected(&desk, point, |other, _| *other == key(index));
                    prop_assert_eq!(why.holds, !there.is_empty());
                    prop_assert!(there.iter().all(|(_, document)| *document == why.asserted.document));
                }
            }
            let diff = DiffQuery { from: point, ..DiffQuery::default() };
            let differences = desk.facts().diff(&diff).unwrap().differences;
            let (before, after) = (expected(&desk, point, |_, _| true), expected(&desk, Point::default(), |_, _| true));
            let count = KEYS.iter().filter(|name| {
                let of = |side: &[(String, Document)]| side.iter().find(|(key, _)| key == *name).cloned();
                of(&before) != of(&after)
            });
            prop_assert_eq!(differences.len(), count.count());
        }
    }
}
