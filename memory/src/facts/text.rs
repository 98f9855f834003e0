//! Facts by their words: what of a fact is found, and the answers, the best first.

use std::borrow::Cow;

use llmdb_temporal::{AsOf, Element, Fact, RowKey, Rows, Store, Timestamp, Value, View, WriteTxn};
use llmdb_text::{Language, Mark, Query, Search, TEXT_LEN_MAX, TextIndex, Texts};

use super::{
    Document, FACTS, FactKey, Point, Recall, ShownFact, What, collection,
    document::check_collection,
    point::Resolved,
    recall::{Answer, Recalled},
};
use crate::{Error, Result};

/// The language whose words the facts are taken to have. Words of others are found as they are written.
const LANGUAGE: Language = Language::English;
/// Longest text that is indexed: the room of a whole document, its key and more.
const _: () =
    assert!(super::limits::DOCUMENT_BYTES_MAX + super::limits::SUBJECT_BYTES_MAX + 1024 < TEXT_LEN_MAX);

/// The index of the facts, made with the collection; `None` for facts of an earlier version: then it is built when the
/// first question comes.
pub(super) fn index(txn: &mut WriteTxn<'_>, is_new: bool) -> Result<Option<TextIndex>> {
    match is_new {
        true => Ok(Some(TextIndex::create(txn, FACTS, LANGUAGE)?)),
        false => Ok(TextIndex::open(txn, FACTS)?),
    }
}

/// What a fact is found by: key, tags, text, and whatever is said in its value.
pub(super) fn words(key: &FactKey, document: &Document) -> String {
    let mut words =
        format!("{} {}\n{}\n{}", key.subject(), key.name(), document.tags.join(" "), document.text);
    if let Some(value) = &document.value {
        add_value(&mut words, value);
    }
    words
}

fn add_value(words: &mut String, value: &serde_json::Value) {
    match value {
        serde_json::Value::Null => {}
        serde_json::Value::String(text) => {
            words.push('\n');
            words.push_str(text);
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| add_value(words, value)),
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                words.push('\n');
                words.push_str(name);
                add_value(words, value);
            }
        }
        other => {
            words.push('\n');
            words.push_str(&other.to_string());
        }
    }
}

/// Builds the index of facts that have none. Nothing is done if there is one, or if there are no facts.
pub(super) fn ensure(store: Store<'_>) -> Result<()> {
    let view = store.view()?;
    if collection(&view, FACTS)?.is_none() {
        return Ok(());
    }
    match Texts::open(&view, FACTS) {
        Ok(_) => Ok(()),
        Err(llmdb_text::Error::NoIndex(_) | llmdb_text::Error::Building(_)) => {
            drop(view);
            TextIndex::build(store, FACTS, LANGUAGE, words_of, |_| true)?;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// What a row is found by.
pub(super) fn words_of<'v>(row: &RowKey, value: &Value<'v>) -> Option<Cow<'v, str>> {
    let document = Document::decode(value, row).ok()?;
    Some(Cow::Owned(words(&FactKey::of_row(row).ok()?, &document)))
}

/// Answers a question for words at a point.
pub(super) fn recall(
    view: &View,
    query: &Recall,
    text: &str,
    point: &Resolved,
    after: Option<Mark>,
) -> Result<Recalled> {
    let mut answer = Answer::new(query);
    let parsed = Query::parse(text)?;
    let Some(facts) = collection(view, FACTS)? else { return Ok(answer.finish(point.shown(view)?, point)) };
    check_collection(&facts)?;
    let texts = Texts::open(view, FACTS)?;
    // One more than is asked for tells whether there is more.
    let limit = query.results_max.saturating_add(1);
    let mut search = Search { at: point.at, rows: rows(&query.what), limit, after };
    let mut last = None;
    loop {
        let mut failed: Option<Error> = None;
        let hits = texts.search(&parsed, &search, |fact| match searched(query, fact) {
            Ok(words) => words.map(Cow::Owned),
            Err(error) => {
                failed = failed.take().or(Some(error));
                None
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        for hit in &hits {
            let document = Document::decode(&hit.fact.value, &hit.fact.row)?;
            let show = |fact: &Fact<'_>, document| {
                ShownFact::with(&facts, fact, point, document)
                    .map(|shown| ShownFact { score: Some(hit.score), ..shown })
            };
            if !answer.take(&hit.fact, document, show)? {
                let recalled = answer.finish(point.shown(view)?, point);
                return Ok(Recalled {
                    cursor: last.map(|mark| behind(point, &mark)).transpose()?,
                    ..recalled
                });
            }
            last = Some(hit.mark());
        }
        if hits.len() < limit {
            return Ok(answer.finish(point.shown(view)?, point));
        }
        search.after = last.clone();
    }
}

/// What a fact is found by, if it is one of those that are meant.
fn searched(query: &Recall, fact: &Fact<'_>) -> Result<Option<String>> {
    let key = FactKey::of_row(&fact.row)?;
    if !query.what.holds(&key) {
        return Ok(None);
    }
    let document = Document::decode(&fact.value, &fact.row)?;
    let is_tagged = query.tags.iter().all(|tag| document.tags.contains(tag));
    Ok(is_tagged.then(|| words(&key, &document)))
}

/// Rows among which all are that are meant.
fn rows(what: &What) -> Rows {
    match what {
        What::Subject(subject) => Rows::prefix(0, [Element::from(subject.as_str())]),
        What::Keys(keys) if keys.len() == 1 => keys.first().map_or(Rows::all(), |key| Rows::one(&key.row())),
        What::Prefix(prefix) => match prefix.split_once('/') {
            Some((subject, _)) => Rows::prefix(0, [Element::from(subject)]),
            None => Rows::all(),
        },
        What::All | What::Keys(_) => Rows::all(),
    }
}

/// The place behind a hit, as text: moments of valid and system time, the bits of the score, and the key.
fn behind(point: &Resolved, mark: &Mark) -> Result<String> {
    let key = FactKey::of_row(&mark.row)?;
    Ok(format!("{}.{}.{:016x}.{key}", point.valid.get(), point.known.get(), mark.score.to_bits()))
}

/// Reads such a place.
pub(super) fn read(cursor: &str) -> Result<(Point, Mark)> {
    let parse = || {
        let mut parts = cursor.splitn(4, '.');
        let valid = Timestamp::new(parts.next()?.parse().ok()?);
        let known = AsOf::Time(Timestamp::new(parts.next()?.parse().ok()?));
        let score = f64::from_bits(u64::from_str_radix(parts.next()?, 16).ok()?);
        let key: FactKey = parts.next()?.parse().ok()?;
        Some((Point { valid: Some(valid), known }, Mark { score, row: key.row() }))
    };
    parse().ok_or_else(|| {
        Error::field(
            "cursor",
            "it is not one that an answer gave",
            "give it as it was, with the same question",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_a_fact_says_is_found() {
        let key: FactKey = "alice/job".parse().unwrap();
        let mut document = Document::new("Works at Acme");
        document.tags = vec!["work".into()];
        document.value = Some(serde_json::json!({ "since": 2019, "where": ["Paris", null, true] }));
        let words = words(&key, &document);
        assert_eq!(words, "alice job\nwork\nWorks at Acme\nsince\n2019\nwhere\nParis\ntrue");
    }

    #[test]
    fn arbitrary_text_is_a_cursor_or_refused() {
        for text in ["", "1.2.3", "1.2.zz.a/b", "x.2.0.a/b", "1.2.0.alice", "1.2.0.a/b\n"] {
            assert!(read(text).is_err(), "{text:?}");
        }
        let (point, mark) = read("5.7.3ff0000000000000.a/b.c").unwrap();
        assert_eq!((point.valid, mark.score), (Some(Timestamp::new(5)), 1.0));
    }
}
