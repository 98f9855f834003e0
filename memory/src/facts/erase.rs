//! Erasing a fact: what is believed of it and what ever was goes, everywhere, for good.

use llmdb_temporal::{Erased, Error as TemporalError};
use serde::Serialize;

use super::{FACTS, FactKey, Facts, Learned, TAGS, collection, history::unknown};
use crate::Result;

/// What [`Facts::erase`] did.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ErasedFact {
    /// The fact.
    pub key: FactKey,
    /// The commit that erased it.
    pub erased: Learned,
    /// Records and notes that were removed.
    pub removed: u64,
    /// Whether its bytes are gone from the data file and the log, too. If not, readers hold pages, or it was stopped: the
    /// fact is gone for every new reader, and [`llmdb_temporal::Store::finish_erasures`] does the rest.
    pub complete: bool,
    /// How many pages readers hold.
    pub held_pages: u64,
    /// What the store says of it.
    #[serde(skip)]
    pub report: Erased,
}

impl Facts<'_> {
    /// Erases a fact with its whole history and all of its tags, and then their bytes in the data file and in the log.
    /// Unlike an end of a fact, this cannot be undone, and nothing tells afterwards that it was there, but a note without its
    /// content. Backups from before hold it still, and are told when they are restored. A reason that the journal holds
    /// of a correction stays.
    ///
    /// `progress` gets pages looked at and all pages, and stops by answering `false`.
    ///
    /// Cost: a look at all tags and all notes of changes, and at every page.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`]: nothing was ever known of it. [`crate::Error::Temporal`]. After a crash on the way,
    /// [`llmdb_temporal::Store::finish_erasures`] goes on.
    pub fn erase(&self, key: &FactKey, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<ErasedFact> {
        let view = self.store.view()?;
        let facts = collection(&view, FACTS)?.ok_or_else(|| unknown(key))?;
        let is_known = !facts.history(key.row())?.is_empty();
        // A view would hold back the pages that shall go.
        drop(view);
        if !is_known {
            return Err(unknown(key));
        }
        // Facts of an earlier version are not noted to have tags.
        let mut txn = self.store.begin_write()?;
        match txn.keep_plain_beside(FACTS, TAGS) {
            Ok(()) => drop(txn.commit()?),
            Err(TemporalError::NoCollection(_)) => txn.abort(),
            Err(error) => return Err(error.into()),
        }
        let report = self.store.erase(FACTS, key.row(), progress)?;
        Ok(ErasedFact {
            key: key.clone(),
            erased: Learned::new(report.erasure.txid, report.erasure.timestamp),
            removed: report.erasure.removed,
            complete: report.scrub.is_complete(),
            held_pages: report.scrub.held_pages,
            report,
        })
    }
}
