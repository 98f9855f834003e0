//! Facts seen from outside: what is learned, asked, corrected and taken back.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod asked;
mod changed;
mod limits;
mod model;
mod planted;
mod words;

use std::sync::Arc;

use llmdb_engine::{Engine, Options};
use llmdb_memory::{
    Facts, Memory,
    facts::{Document, FactKey, NewFact, Point, Recall, Recalled},
    when,
};
use llmdb_temporal::{Store, Timestamp};
use llmdb_vfs::MemoryVfs;

/// A memory in memory.
pub(crate) struct Desk(pub(crate) Engine);

impl Desk {
    pub(crate) fn new() -> Self {
        Self(Engine::in_memory().unwrap())
    }

    /// One with a file and a log, in which something can be left.
    pub(crate) fn with_files() -> Self {
        let disk = Arc::new(MemoryVfs::new(1));
        Self(Engine::open_on(disk, "facts.llmdb", Options::default()).unwrap())
    }

    pub(crate) fn store(&self) -> Store<'_> {
        Store::new(&self.0)
    }

    pub(crate) fn facts(&self) -> Facts<'_> {
        Memory::new(self.store()).facts()
    }

    /// Remembers one fact for a period, written as dates; empty for now and for no end.
    pub(crate) fn remember(&self, key_text: &str, text: &str, from: &str, to: &str) -> Timestamp {
        let fact = NewFact { from: date(from), to: date(to), ..NewFact::new(key_text, text).unwrap() };
        self.facts().remember(&[fact]).unwrap().learned.unwrap().at.0
    }

    pub(crate) fn recall(&self, query: &Recall) -> Recalled {
        self.facts().recall(query).unwrap()
    }

    /// The text of a fact at a point.
    pub(crate) fn text(&self, key_text: &str, point: Point) -> Option<String> {
        let query = Recall { point, ..Recall::key(key(key_text)) };
        self.recall(&query).facts.pop().map(|fact| fact.document.text)
    }
}

pub(crate) fn key(text: &str) -> FactKey {
    text.parse().unwrap()
}

pub(crate) fn date(text: &str) -> Option<Timestamp> {
    (!text.is_empty()).then(|| when::parse(text, Timestamp::new(0)).unwrap())
}

pub(crate) fn tagged(key_text: &str, text: &str, tags: &[&str]) -> NewFact {
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    let document = Document { tags, ..Document::new(text) };
    NewFact { document, ..NewFact::new(key_text, "").unwrap() }
}

/// The period of an answer as it is printed.
pub(crate) fn printed(value: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(value).unwrap()
}
