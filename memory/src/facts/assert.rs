//! The one door through which facts are written: what else is kept of them is told here, in the same transaction.

use std::collections::BTreeSet;

use llmdb_temporal::{
    At, Element, Error as TemporalError, History, Key, RowKey, Valid, Value, View, WriteTxn,
};
use llmdb_text::TextIndex;

use super::{Document, FACTS, FactKey, JOURNAL, TAGS, collection, text};
use crate::Result;

/// Writes facts in one transaction.
pub(super) struct Writer<'w, 'e> {
    pub txn: &'w mut WriteTxn<'e>,
    /// What was there before it.
    before: &'w View,
    /// The index of what the facts say.
    texts: Option<TextIndex>,
    /// Rows of the tags that were added by this transaction.
    tagged: BTreeSet<RowKey>,
}

impl<'w, 'e> Writer<'w, 'e> {
    /// A writer in `txn`, which began with the state `before`. Makes the collections that are not there.
    pub fn begin(txn: &'w mut WriteTxn<'e>, before: &'w View) -> Result<Self> {
        let kinds = [(FACTS, History::default()), (TAGS, History::Plain), (JOURNAL, History::Plain)];
        let mut has_new_facts = false;
        for (name, history) in kinds {
            match txn.create(name, history) {
                Ok(()) => has_new_facts |= name == FACTS,
                Err(TemporalError::CollectionExists(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // An erasure of a fact takes its tags with it.
        txn.keep_plain_beside(FACTS, TAGS)?;
        let texts = text::index(txn, has_new_facts)?;
        Ok(Self { txn, before, texts, tagged: BTreeSet::new() })
    }

    /// Asserts that the fact `key` is `document`, checked and as JSON, for the time that `valid` says.
    pub fn assert(&mut self, key: &FactKey, valid: Valid, document: &Document, json: &str) -> Result<()> {
        let row = key.row();
        self.txn.collection(FACTS)?.put(&row, valid, Value::json(json))?;
        if let Some(index) = &self.texts {
            index.add(self.txn, &row, &text::words(key, document))?;
        }
        document.tags.iter().try_for_each(|tag| self.tag(key, tag))
    }

    /// Asserts that nothing is known of the fact `key` for the time that `valid` says.
    pub fn end(&mut self, key: &FactKey, valid: Valid) -> Result<()> {
        Ok(self.txn.collection(FACTS)?.delete(key.row(), valid)?)
    }

    /// Remembers that the fact once had the tag. Nothing ever takes that back: whoever looks for a tag asks the fact
    /// itself, at the point that is asked about.
    fn tag(&mut self, key: &FactKey, tag: &str) -> Result<()> {
        let row = tag_row(tag, key);
        let is_known = match collection(self.before, TAGS)? {
            Some(tags) => tags.get(&row, At::NOW)?.is_some(),
            None => false,
        };
        if !is_known && self.tagged.insert(row.clone()) {
            self.txn.collection(TAGS)?.put(row, Valid::Now, Value::raw(b""))?;
        }
        Ok(())
    }
}

/// The row that says that the fact `key` once had `tag`.
pub(super) fn tag_row(tag: &str, key: &FactKey) -> RowKey {
    let elements = [tag, key.subject(), key.name()];
    RowKey::new(0, Key::of(elements.map(Element::from)))
}
