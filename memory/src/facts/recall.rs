//! Finding facts: by key, subject, tags or words, at a point in both times, within a budget.

use std::collections::HashMap;

use llmdb_temporal::Fact;
use serde::Serialize;

use super::{
    Document, FACTS, FactKey, Facts, Point, ShownFact, ShownPoint, What, collection, cursor,
    document::check_collection,
    find,
    limits::{BYTES_PER_TOKEN, RESULTS_DEFAULT, RESULTS_MAX, SAME_AS_MAX, TAGS_MAX},
    point::Resolved,
    text,
};
use crate::{Error, Result};

/// A question for facts.
#[derive(Clone, PartialEq, Debug)]
pub struct Recall {
    /// Which facts.
    pub what: What,
    /// Only those that say something of these words, the best first: words, `"phrases"`, beginnings as `begin*`.
    /// Key, tags, text and value are searched. See [`llmdb_text::Query`].
    pub text: Option<String>,
    /// Only those that have all of these tags.
    pub tags: Vec<String>,
    /// The point in both times; now in both if nothing is said.
    pub point: Point,
    /// Most facts of the answer; at least 1, at most [`RESULTS_MAX`].
    pub results_max: usize,
    /// Most tokens of the answer, estimated as a quarter of its bytes as JSON. If the first fact alone is longer, its
    /// text is shortened.
    pub tokens_max: Option<usize>,
    /// Whether facts that say the same are told one by one. Otherwise the first tells the keys of the others.
    pub keep_duplicates: bool,
    /// Where an earlier answer to the same question ended. It also names the point in both times, so that all pages
    /// answer for one.
    pub cursor: Option<String>,
}

impl Default for Recall {
    fn default() -> Self {
        Self {
            what: What::All,
            text: None,
            tags: Vec::new(),
            point: Point::default(),
            results_max: RESULTS_DEFAULT,
            tokens_max: None,
            keep_duplicates: false,
            cursor: None,
        }
    }
}

impl Recall {
    /// What says something of these words.
    pub fn text(words: impl Into<String>) -> Self {
        Self { text: Some(words.into()), ..Self::default() }
    }

    /// Everything about `subject`.
    pub fn subject(subject: impl Into<String>) -> Self {
        Self { what: What::Subject(subject.into()), ..Self::default() }
    }

    /// The fact `key`.
    pub fn key(key: FactKey) -> Self {
        Self { what: What::Keys(vec![key]), ..Self::default() }
    }

    fn check(&self) -> Result<()> {
        self.what.check()?;
        check_results_max(self.results_max)?;
        if self.tags.len() > TAGS_MAX {
            return Err(Error::field("tags", format!("there are more than {TAGS_MAX}"), "ask for fewer"));
        }
        match self.tokens_max {
            Some(0) => Err(Error::field("tokens_max", "it is 0", "write at least 1, or leave it out")),
            _ => Ok(()),
        }
    }
}

/// Checks the size that an answer may have.
pub(super) fn check_results_max(results_max: usize) -> Result<()> {
    match results_max {
        1..=RESULTS_MAX => Ok(()),
        other => {
            let what = format!("{other} is not between 1 and {RESULTS_MAX}");
            Err(Error::field("results_max", what, "take what is more with the cursor of the answer"))
        }
    }
}

/// Facts, in the order of their keys; those that were found by words the best first.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Recalled {
    /// The point in both times that is answered for.
    pub point: ShownPoint,
    /// What was found.
    pub facts: Vec<ShownFact>,
    /// Estimated tokens of the facts.
    pub tokens: usize,
    /// Where to go on; `None` if that is all.
    pub cursor: Option<String>,
}

impl Facts<'_> {
    /// Finds facts.
    ///
    /// Cost: a lookup for each key; else a scan of what is meant at that point, or with tags of what ever had the first
    /// tag; for words what ever had one of them. Facts of an earlier version are indexed when they are asked for by words first.
    ///
    /// # Errors
    /// [`Error::Field`]; [`Error::Temporal`], [`Error::Document`].
    pub fn recall(&self, query: &Recall) -> Result<Recalled> {
        query.check()?;
        if let Some(text) = &query.text {
            text::ensure(self.store)?;
            let (asked, after) = query.cursor.as_deref().map(text::read).transpose()?.unzip();
            let view = self.store.view()?;
            let point = asked.unwrap_or(query.point).resolve(&view)?;
            return text::recall(&view, query, text, &point, after);
        }
        let cursor = query.cursor.as_deref().map(|text| cursor::read(text, 1)).transpose()?;
        let view = self.store.view()?;
        let point = cursor.as_ref().map_or(query.point, |cursor| cursor.points[0]).resolve(&view)?;
        let mut answer = Answer::new(query);
        if let Some(facts) = collection(&view, FACTS)? {
            check_collection(&facts)?;
            let after = cursor.as_ref().map(|cursor| &cursor.after);
            for fact in find::facts(&view, &facts, &query.what, &query.tags, point.at, after)? {
                let fact = fact?;
                let document = Document::decode(&fact.value, &fact.row)?;
                if query.tags.iter().all(|tag| document.tags.contains(tag)) {
                    let show = |fact: &Fact<'_>, document| ShownFact::with(&facts, fact, &point, document);
                    if !answer.take(&fact, document, show)? {
                        break;
                    }
                }
            }
        }
        Ok(answer.finish(point.shown(&view)?, &point))
    }
}

/// An answer that is being made.
pub(super) struct Answer<'q> {
    query: &'q Recall,
    facts: Vec<ShownFact>,
    /// What was said, and where in the answer.
    said: HashMap<String, usize>,
    tokens: usize,
    last: Option<FactKey>,
    is_full: bool,
}

impl<'q> Answer<'q> {
    pub(super) fn new(query: &'q Recall) -> Self {
        Self { query, facts: Vec::new(), said: HashMap::new(), tokens: 0, last: None, is_full: false }
    }

    /// Adds a fact, unless that is said already. Answers `false` if there is no room: the fact is not in.
    pub(super) fn take(
        &mut self,
        fact: &Fact<'_>,
        document: Document,
        show: impl Fn(&Fact<'_>, Document) -> Result<ShownFact>,
    ) -> Result<bool> {
        let said = said(&document);
        if let Some(index) = self.said.get(&said).copied().filter(|_| !self.query.keep_duplicates) {
            let key = FactKey::of_row(&fact.row)?;
            self.last = Some(key.clone());
            let same_as = &mut self.facts[index].same_as;
            if same_as.len() < SAME_AS_MAX {
                same_as.push(key);
            }
            return Ok(true);
        }
        self.is_full = self.facts.len() == self.query.results_max;
        if self.is_full {
            return Ok(false);
        }
        let mut shown = show(fact, document)?;
        let left = self.query.tokens_max.map_or(usize::MAX, |max| max.saturating_sub(self.tokens));
        if tokens(&shown) > left {
            if !self.facts.is_empty() {
                self.is_full = true;
                return Ok(false);
            }
            shorten(&mut shown, left);
        }
        self.tokens += tokens(&shown);
        self.last = Some(shown.key.clone());
        self.said.insert(said, self.facts.len());
        self.facts.push(shown);
        Ok(true)
    }

    pub(super) fn finish(self, shown: ShownPoint, point: &Resolved) -> Recalled {
        let cursor = self.last.filter(|_| self.is_full).map(|last| cursor::behind(&[point], &last));
        Recalled { point: shown, facts: self.facts, tokens: self.tokens, cursor }
    }
}

/// What two documents have in common that say the same: words in lower case, spaces aside, and the value.
fn said(document: &Document) -> String {
    let words: Vec<_> = document.text.split_whitespace().map(str::to_lowercase).collect();
    let value = document.value.as_ref().map_or(String::new(), ToString::to_string);
    format!("{}\n{value}", words.join(" "))
}

fn tokens(fact: &ShownFact) -> usize {
    serde_json::to_string(fact).map_or(0, |json| json.len().div_ceil(BYTES_PER_TOKEN))
}

/// Cuts the text of a fact, and leaves its value out, so that it takes `left` tokens if it can.
fn shorten(fact: &mut ShownFact, left: usize) {
    fact.document.value = None;
    fact.cut = true;
    while tokens(fact) > left && !fact.document.text.is_empty() {
        let excess_bytes = (tokens(fact) - left) * BYTES_PER_TOKEN;
        let text = &mut fact.document.text;
        let mut len = text.len().saturating_sub(excess_bytes);
        while !text.is_char_boundary(len) {
            len -= 1;
        }
        text.truncate(len);
    }
}
