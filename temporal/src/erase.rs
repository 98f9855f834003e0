//! Erasing a row: everything that was ever asserted of it goes, everywhere, and a note without its content stays.
//!
//! ```text
//!   one commit    records of the row from all trees, notes of changes; a tombstone, and where the records stood
//!   separators    that were made of the row are made anew
//!   one commit    where they stood is forgotten
//!   scrub         checkpoints; zeros over the old log and over free pages
//!   one commit    the tombstone says that it is done
//! ```
//!
//! After a crash, or where a reader held pages, [`Store::finish_erasures`] goes on.

mod again;
mod check;
mod remove;
mod tombstone;

use llmdb_engine::ScrubReport;

use self::{
    remove::remove_row,
    tombstone::{PENDING, SALT, TOMBSTONE, damaged, hash, number_in, numbered, salt},
};
use crate::{
    Error, Result, RowKey, Store,
    catalog::{self, Info, META},
};

pub use self::{check::ErasedCheck, tombstone::Erasure};
pub(crate) use self::{remove::prefixes, tombstone::ERASED};

/// What erasing did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Erased {
    /// The note that stays.
    pub erasure: Erasure,
    /// What was destroyed in data file and log. If it is not complete, a reader holds pages: see
    /// [`Store::finish_erasures`].
    pub scrub: ScrubReport,
}

impl Store<'_> {
    /// Erases a row with its whole history: what is believed of it and what ever was, in both times, copies, notes of
    /// changes; then the bytes of all that, in the data file and in the log. It commits by itself. What stays is an
    /// [`Erasure`], which says when, and the hash of the row. Nothing tells afterwards that the row was there: reads
    /// at any point of both times find nothing.
    ///
    /// Backups and archived log that were made before hold it still; they cannot be changed from here. The list of
    /// erasures goes with later backups of the set, and restoring applies it.
    ///
    /// `progress` gets pages looked at and all pages, and stops by answering `false`: then the row is gone for every
    /// reader, and [`Store::finish_erasures`] does the rest.
    ///
    /// Cost: a look at every note of a change; what [`llmdb_engine::Engine::scrub`] costs.
    ///
    /// # Errors
    /// [`Error::NoCollection`]: nothing happened. [`Error::Engine`], [`Error::Corruption`]: if it was erased and not
    /// scrubbed, [`Store::erasures`] says so.
    pub fn erase(
        &self,
        collection: &str,
        row: impl Into<RowKey>,
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Erased> {
        let number = self.erase_rows(collection, &[row.into().encode()])?;
        self.engine.note_erasures_in_archive(&self.erasure_notes()?)?;
        let scrub = self.finish_erasures(progress)?;
        let erasure = self.erasures()?.into_iter().find(|erasure| erasure.number == number);
        let erasure = erasure.ok_or_else(|| damaged("the tombstone that was just written is gone".into()))?;
        Ok(Erased { erasure, scrub })
    }

    /// Goes on with erasures that are not through: after a crash, or when a reader held pages. Does nothing, and says
    /// that it is complete, if there are none.
    ///
    /// # Errors
    /// [`Error::Engine`], [`Error::Corruption`].
    pub fn finish_erasures(&self, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<ScrubReport> {
        let open: Vec<Erasure> =
            self.erasures()?.into_iter().filter(|erasure| erasure.scrubbed.is_none()).collect();
        let Some(last) = open.last().map(|erasure| erasure.number) else { return Ok(ScrubReport::default()) };
        self.engine.renew_separators(&self.pending(last)?)?;
        let mut txn = self.engine.begin_write()?;
        txn.tree(ERASED)?.delete_range(numbered(PENDING, 0)..numbered(PENDING, last + 1))?;
        txn.commit()?;
        let report = self.engine.scrub(progress)?;
        if report.is_complete() {
            let mut txn = self.engine.begin_write()?;
            let now = txn.timestamp();
            let mut tree = txn.tree(ERASED)?;
            for erasure in open {
                let done = Erasure { scrubbed: Some(now), ..erasure };
                tree.put(numbered(TOMBSTONE, done.number), done.encode())?;
            }
            txn.commit()?;
        }
        Ok(report)
    }

    /// The notes of all erasures, in their order.
    ///
    /// # Errors
    /// [`Error::Engine`], [`Error::Corruption`].
    pub fn erasures(&self) -> Result<Vec<Erasure>> {
        let snapshot = self.engine.snapshot_latest()?;
        let Some(tree) = snapshot.tree(ERASED)? else { return Ok(Vec::new()) };
        let rows = tree.range(numbered(TOMBSTONE, 0)..=numbered(TOMBSTONE, u64::MAX))?;
        rows.map(|row| {
            let (key, value) = row?;
            Erasure::decode(key, value)
        })
        .collect()
    }

    /// Removes everything of some rows in one commit, and notes it; returns the number of the last note.
    fn erase_rows(&self, collection: &str, rows: &[Vec<u8>]) -> Result<u64> {
        let store = self.engine.store_id();
        let mut txn = self.engine.begin_write()?;
        let meta = txn.tree(META)?;
        let info = meta.get(catalog::collection_key(collection))?;
        let info = Info::decode(collection, info.ok_or_else(|| Error::NoCollection(collection.into()))?)?;
        let (txid, timestamp) = (txn.txid(), txn.timestamp());
        let mut number = 0;
        for row in rows {
            let removed = remove_row(&mut txn, &info, row)?;
            let mut tree = txn.tree(ERASED)?;
            let salt = match tree.get([SALT])? {
                Some(bytes) => salt(Some(bytes))?,
                None => {
                    let salt = store.get().to_le_bytes();
                    tree.put([SALT], salt)?;
                    salt
                }
            };
            let last = tree
                .range(numbered(TOMBSTONE, 0)..=numbered(TOMBSTONE, u64::MAX))?
                .next_back()
                .transpose()?;
            number = 1 + last.map_or(Ok(0), |(key, _)| number_in(key))?;
            let erasure = Erasure {
                number,
                collection: info.name.clone(),
                key_hash: hash(&salt, info.id, row),
                txid,
                timestamp,
                removed: removed.count,
                scrubbed: None,
                collection_id: info.id,
            };
            tree.put(numbered(TOMBSTONE, number), erasure.encode())?;
            for (index, (name, key)) in (0_u32..).zip(removed.places) {
                let at = [&numbered(PENDING, number)[..], &index.to_be_bytes()].concat();
                tree.put(at, [&[u8::try_from(name.len()).unwrap_or(0)], name.as_bytes(), &key].concat())?;
            }
        }
        txn.commit()?;
        Ok(number)
    }

    /// Where removed records stood, of erasures up to number `last`.
    fn pending(&self, last: u64) -> Result<Vec<(String, Vec<u8>)>> {
        let snapshot = self.engine.snapshot_latest()?;
        let Some(tree) = snapshot.tree(ERASED)? else { return Ok(Vec::new()) };
        let rows = tree.range(numbered(PENDING, 0)..numbered(PENDING, last + 1))?;
        rows.map(|row| {
            let (_, value) = row?;
            let parts = value.split_first().and_then(|(len, rest)| rest.split_at_checked(usize::from(*len)));
            let (name, key) = parts.ok_or_else(|| damaged("where a record stood".into()))?;
            Ok((String::from_utf8_lossy(name).into_owned(), key.to_vec()))
        })
        .collect()
    }
}
