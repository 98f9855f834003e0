//! Building the index of a collection that has texts already, in steps that survive crashes.

use std::borrow::Cow;

use llmdb_temporal::{At, History, RowKey, Rows, Store, Timestamp, Value, View, Which, WriteTxn};

use crate::{Error, Language, Result, TextIndex};

/// Rows that one transaction indexes.
const ROWS_PER_STEP: usize = 256;
/// Bytes of text after which it ends, too.
const BYTES_PER_STEP: usize = 4 << 20;

/// What a step has read: rows with their texts and the moments at which these were learned.
type Step<'v> = Vec<(RowKey, Vec<(Cow<'v, str>, Timestamp)>)>;

impl TextIndex {
    /// Builds the index of a collection from all versions of all its rows, in transactions of some hundred rows. One that was
    /// interrupted is gone on with, in the language that it was begun with. Meanwhile every writer tells the index its texts as if it were complete; searching is
    /// refused. Texts that are too long are left out.
    ///
    /// `text` says what the text of a row's value is; `progress` is told the number of rows so far, and stops the building, to be gone on
    /// with later, by returning false. Returns whether the index is complete.
    ///
    /// # Errors
    /// [`Error::OtherRules`]: drop the index first. [`Error::Temporal`].
    pub fn build(
        store: Store<'_>,
        collection: &str,
        language: Language,
        text: impl for<'v> Fn(&RowKey, &Value<'v>) -> Option<Cow<'v, str>>,
        mut progress: impl FnMut(u64) -> bool,
    ) -> Result<bool> {
        let mut txn = store.begin_write()?;
        let index = match Self::open(&mut txn, collection)? {
            Some(index) => index,
            None => Self::register(&mut txn, collection, language, Some(Vec::new()))?,
        };
        // Whatever was written before the index was there is in every view from here on.
        txn.commit_with(llmdb_engine::Durability::Sync)?;
        let mut done = index.info.built.clone();
        let mut rows = 0;
        while let Some(behind) = done {
            let mut txn = store.begin_write()?;
            // Whoever built it meanwhile, or dropped it, is found here.
            let Some(mut index) = Self::open(&mut txn, collection)? else {
                return Err(Error::NoIndex(collection.into()));
            };
            if index.info.built.as_ref() != Some(&behind) {
                done = index.info.built;
                continue;
            }
            // Newer than what is durable, perhaps: what a purge removed is in no case read again.
            let view = store.view_before(&txn)?;
            let (step, next) = read(&view, collection, &behind, &text)?;
            rows += step.len() as u64;
            index.tell(&mut txn, step)?;
            index.info.built.clone_from(&next);
            index.store(&mut txn)?;
            txn.commit()?;
            done = next;
            if done.is_some() && !progress(rows) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn tell(&self, txn: &mut WriteTxn<'_>, step: Step<'_>) -> Result<()> {
        for (row, texts) in step {
            for (text, learned) in texts {
                match self.add_from(txn, &row, &text, learned) {
                    Err(Error::TextTooLong { .. } | Error::RowTooLong { .. }) => {}
                    told => told?,
                }
            }
        }
        Ok(())
    }
}

/// The texts of some rows behind `behind`, and the last of these rows; `None` if there are no more.
fn read<'v>(
    view: &'v View,
    collection: &str,
    behind: &[u8],
    text: &impl for<'t> Fn(&RowKey, &Value<'t>) -> Option<Cow<'t, str>>,
) -> Result<(Step<'v>, Option<Vec<u8>>)> {
    let facts = view.collection(collection)?;
    let last = RowKey::decode(behind);
    let rows = match &last {
        Some(last) => Rows::between((std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded)),
        None => Rows::all(),
    };
    let (mut step, mut bytes): (Step<'v>, usize) = (Vec::new(), 0);
    let mut add = |row, texts: Vec<(Cow<'v, str>, Timestamp)>| {
        bytes += texts.iter().map(|text| text.0.len()).sum::<usize>();
        step.push((row, texts));
        step.len() < ROWS_PER_STEP && bytes < BYTES_PER_STEP
    };
    let is_more: std::result::Result<(), Option<llmdb_temporal::Error>> = match facts.history_kind() {
        History::Plain => facts.scan(&rows, At::NOW)?.try_for_each(|fact| {
            let fact = fact.map_err(Some)?;
            let texts = text(&fact.row, &fact.value).map(|text| (text, fact.learned));
            if add(fact.row, texts.into_iter().collect()) { Ok(()) } else { Err(None) }
        }),
        History::Bitemporal { .. } => facts.versions_of(&rows, Which::All)?.try_for_each(|versions| {
            let (row, versions) = versions.map_err(Some)?;
            let learned = |version: &llmdb_temporal::Version<'v>| {
                Some((text(&row, &version.value)?, version.system.from))
            };
            let texts = versions.iter().filter_map(learned).collect();
            if add(row, texts) { Ok(()) } else { Err(None) }
        }),
    };
    match is_more {
        Ok(()) => Ok((step, None)),
        Err(None) => {
            let last = step.last().map(|(row, _)| row.encode());
            Ok((step, last))
        }
        Err(Some(error)) => Err(Error::from(error)),
    }
}
