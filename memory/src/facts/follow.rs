//! Following what others do to the facts: programs and migrations that put them, purges that remove their history.

use llmdb_base::plant::{Bug, planted};
use llmdb_temporal::{
    At, Error as TemporalError, Follower, History, Result as TemporalResult, RowKey, Rows, Store, TxnId,
    Valid, Value, View, WriteTxn,
};
use llmdb_text::TextIndex;

use super::{Document, FACTS, FactKey, Facts, TAGS, assert::tag_row, collection, text};
use crate::Result;

/// Tags that one transaction looks at.
const TAGS_PER_STEP: usize = 1_024;

/// Tells the index and the tags what is put into the facts by others than this room. Give it to [`Store::followed`].
#[derive(Clone, Copy, Debug)]
pub struct FactsFollower;

impl Follower for FactsFollower {
    fn follows(&self, collection: &str) -> bool {
        collection == FACTS
    }

    fn put(
        &self,
        txn: &mut WriteTxn<'_>,
        collection: &str,
        row: &RowKey,
        value: &Value<'_>,
    ) -> TemporalResult<()> {
        // What is no fact of an agent has no words: whoever asks for it is told so.
        let (Ok(key), Ok(document)) = (FactKey::of_row(row), Document::decode(value, row)) else {
            return Ok(());
        };
        let told = TextIndex::open(txn, FACTS).and_then(|index| match index {
            Some(index) if !planted(Bug::LeaveFactsUntold) => {
                index.add(txn, row, &text::words(&key, &document))
            }
            _ => Ok(()),
        });
        told.map_err(|error| match error {
            llmdb_text::Error::Temporal(error) => error,
            other => TemporalError::Refused {
                collection: collection.into(),
                row: row.clone(),
                what: other.to_string(),
            },
        })?;
        document.tags.iter().try_for_each(|tag| put_tag(txn, tag_row(tag, &key)))
    }
}

fn put_tag(txn: &mut WriteTxn<'_>, row: RowKey) -> TemporalResult<()> {
    match txn.create(TAGS, History::Plain) {
        Ok(()) | Err(TemporalError::CollectionExists(_)) => {}
        Err(error) => return Err(error),
    }
    let mut tags = txn.collection(TAGS)?;
    match tags.get(row.clone())? {
        Some(_) => Ok(()),
        None => tags.put(row, Valid::Now, Value::raw(b"")),
    }
}

/// What [`Facts::follow_purges`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Followed {
    /// Words of facts that no version of them has any more.
    pub words: u64,
    /// Tags of facts that no version of them has any more.
    pub tags: u64,
    /// Whether nothing is left. If not, another call goes on.
    pub is_done: bool,
}

impl Facts<'_> {
    /// Takes from the index and from the tags what purges of the facts left: words and tags that no version of a fact has any
    /// more. Until then they propose facts for nothing; no answer depends on it. Call it after each purge of the facts;
    /// if there was none, it does nothing.
    ///
    /// `progress` is told after each step, and stops it by answering `false`.
    ///
    /// Cost: the history of each fact, twice for one with tags; in transactions of some hundred facts.
    ///
    /// # Errors
    /// [`crate::Error::Temporal`], [`crate::Error::Document`]: what was removed is removed, call it again.
    pub fn follow_purges(&self, progress: &mut dyn FnMut(&Followed) -> bool) -> Result<Followed> {
        let mut done = Followed::default();
        while let Some(purged) = left(self.store)? {
            if !self.forget_tags(&mut done, progress)? {
                return Ok(done);
            }
            let (words, tags) = (done.words, done.tags);
            let mut tell = |swept: &llmdb_text::Swept| {
                progress(&Followed { words: words + swept.words, tags, is_done: false })
            };
            let swept = TextIndex::sweep(self.store, FACTS, text::words_of, &mut tell)?;
            done.words += swept.words;
            match swept.followed {
                Some(followed) if followed == purged => settle(self.store, purged)?,
                Some(_) => {}
                None if left(self.store)? == Some(purged) => return Ok(done),
                None => {}
            }
        }
        Ok(Followed { is_done: true, ..done })
    }

    /// Goes through all tags. Answers whether it came to their end.
    fn forget_tags(&self, done: &mut Followed, progress: &mut dyn FnMut(&Followed) -> bool) -> Result<bool> {
        let mut last = None;
        loop {
            let mut txn = self.store.begin_write()?;
            let view = self.store.view_before(&txn)?;
            let (gone, next) = gone_tags(&view, last.as_ref())?;
            if gone.is_empty() {
                txn.abort();
            } else {
                done.tags += gone.len() as u64;
                for row in gone {
                    txn.collection(TAGS)?.delete(row, Valid::Now)?;
                }
                txn.commit()?;
            }
            if next.is_none() {
                return Ok(true);
            }
            if !progress(done) {
                return Ok(false);
            }
            last = next;
        }
    }
}

/// Tags behind `last` that no version of their fact has any more, and where to go on.
fn gone_tags(view: &View, last: Option<&RowKey>) -> Result<(Vec<RowKey>, Option<RowKey>)> {
    let (Some(tags), Some(facts)) = (collection(view, TAGS)?, collection(view, FACTS)?) else {
        return Ok((Vec::new(), None));
    };
    let rows = last.map_or(Rows::all(), |last| {
        Rows::between((std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded))
    });
    let (mut gone, mut looked_at) = (Vec::new(), 0);
    for row in tags.scan(&rows, At::NOW)? {
        let row = row?.row;
        let key = FactKey::of_elements(&row, 1)?;
        let has_tag = |value: &Value<'_>| {
            let document = Document::decode(value, &key.row());
            // What cannot be read may have it.
            document.map_or(true, |document| document.tags.iter().any(|tag| tag_row(tag, &key) == row))
        };
        if !planted(Bug::KeepPurgedTags)
            && !facts.history(key.row())?.iter().any(|version| has_tag(&version.value))
        {
            gone.push(row.clone());
        }
        looked_at += 1;
        if looked_at == TAGS_PER_STEP {
            return Ok((gone, Some(row)));
        }
    }
    Ok((gone, None))
}

/// The last purge of the facts that has not been followed.
fn left(store: Store<'_>) -> Result<Option<TxnId>> {
    if collection(&store.view()?, FACTS)?.is_none() {
        return Ok(None);
    }
    let mut txn = store.begin_write()?;
    let left = txn.left_beside(FACTS)?;
    txn.abort();
    Ok(left)
}

/// Says that `purged` has been followed, if it still is the last.
fn settle(store: Store<'_>, purged: TxnId) -> Result<()> {
    let mut txn = store.begin_write()?;
    if txn.left_beside(FACTS)? == Some(purged) {
        txn.followed_beside(FACTS)?;
    }
    txn.commit()?;
    Ok(())
}
