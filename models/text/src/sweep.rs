//! Following a purge: the words that no version of a row has any more go, in steps that survive crashes.
//!
//! The collection notes that a purge removed something, in the purge's own transaction. A sweep goes through the rows of the
//! index, in order; its place stands in a tree of its own beside the collection, so that an erasure takes the row from
//! there, too, and the sweep begins again.

use std::{borrow::Cow, ops::Bound};

use llmdb_base::plant::{Bug, planted};
use llmdb_temporal::{RowKey, RowsIn, Store, TxnId, Value, View, WriteTxn};

use crate::{Error, Result, TextIndex};

/// Rows that one transaction looks at.
const ROWS_PER_STEP: usize = 256;
/// Bytes of text after which it ends, too.
const BYTES_PER_STEP: usize = 4 << 20;

/// What a sweep has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Swept {
    /// Rows looked at by this call.
    pub rows: u64,
    /// Entries of words removed by this call.
    pub words: u64,
    /// The last step of a purge that the index has followed now; `None` if nothing was to be followed, or if it was stopped.
    pub followed: Option<TxnId>,
}

/// Where a sweep is.
struct Place {
    /// The last step of a purge when it began.
    purged: TxnId,
    /// The row that it looked at last.
    row: Vec<u8>,
}

impl TextIndex {
    /// Forgets the words that purges of a collection left: those that no version of their row has any more. Goes on where an
    /// earlier call was stopped. When whatever else is kept beside the collection has followed, too, say so by
    /// [`WriteTxn::followed_beside`], if [`WriteTxn::left_beside`] still is what was followed.
    ///
    /// `text` says what the text of a row's value is; `progress` is told what was done after each step, and stops it by
    /// returning false.
    ///
    /// Cost: the history of every row of the index.
    ///
    /// # Errors
    /// [`Error::OtherRules`]; [`Error::Temporal`]: what was removed is removed, call it again.
    pub fn sweep(
        store: Store<'_>,
        collection: &str,
        text: impl for<'v> Fn(&RowKey, &Value<'v>) -> Option<Cow<'v, str>>,
        progress: &mut dyn FnMut(&Swept) -> bool,
    ) -> Result<Swept> {
        let mut swept = Swept::default();
        loop {
            let mut txn = store.begin_write()?;
            let (Some(index), Some(purged)) =
                (Self::open(&mut txn, collection)?, txn.left_beside(collection)?)
            else {
                return Ok(swept);
            };
            let view = store.view_before(&txn)?;
            let place = index.place(&mut txn)?.unwrap_or(Place { purged, row: Vec::new() });
            let next = index.sweep_step(&mut txn, &view, &place, &text, &mut swept)?;
            let is_through = next.is_none() && (place.purged == purged || planted(Bug::SweepTooEarly));
            index.put_place(&mut txn, &place, next.map(|row| Place { row, ..place }))?;
            txn.commit()?;
            if is_through {
                return Ok(Swept { followed: Some(purged), ..swept });
            }
            if !progress(&swept) {
                return Ok(swept);
            }
        }
    }

    /// Looks at the rows behind the place. Returns the last of them; `None` if there are no more.
    fn sweep_step(
        &self,
        txn: &mut WriteTxn<'_>,
        view: &View,
        place: &Place,
        text: &impl for<'v> Fn(&RowKey, &Value<'v>) -> Option<Cow<'v, str>>,
        swept: &mut Swept,
    ) -> Result<Option<Vec<u8>>> {
        let name = self.info.rows_tree();
        let tree = view.snapshot().tree(&name)?.ok_or_else(|| Error::damaged(&name, b""))?;
        let facts = view.collection(&self.collection)?;
        let (mut rows, mut bytes) = (0, 0);
        for entry in tree.range::<Vec<u8>>((Bound::Excluded(&place.row), Bound::Unbounded))? {
            let (encoded, _) = entry?;
            let row = RowKey::decode(encoded).ok_or_else(|| Error::damaged(&name, encoded))?;
            let versions = facts.history(&row)?;
            let texts: Vec<_> = versions.iter().filter_map(|version| text(&row, &version.value)).collect();
            swept.words += self.keep(txn, &row, texts.iter().map(AsRef::as_ref))?;
            rows += 1;
            swept.rows += 1;
            bytes += texts.iter().map(|text| text.len()).sum::<usize>();
            if rows >= ROWS_PER_STEP || bytes >= BYTES_PER_STEP {
                return Ok(Some(encoded.to_vec()));
            }
        }
        Ok(None)
    }

    fn place(&self, txn: &mut WriteTxn<'_>) -> Result<Option<Place>> {
        let name = self.info.sweep_tree();
        let Some(tree) = txn.engine().open_tree(&name)? else { return Ok(None) };
        let Some(entry) = tree.iter()?.next() else { return Ok(None) };
        let (row, purged) = entry?;
        let purged = purged.try_into().map_err(|_| Error::damaged(&name, row))?;
        Ok(Some(Place { purged: TxnId::new(u64::from_le_bytes(purged)), row: row.to_vec() }))
    }

    fn put_place(&self, txn: &mut WriteTxn<'_>, old: &Place, new: Option<Place>) -> Result<()> {
        let name = self.info.sweep_tree();
        if new.is_some() {
            txn.keep_beside(&self.collection, &name, RowsIn::Keys)?;
        }
        let mut tree = txn.engine().tree(&name)?;
        tree.delete(&old.row)?;
        if let Some(Place { purged, row }) = new {
            tree.put(row, purged.get().to_le_bytes())?;
        }
        Ok(())
    }
}
