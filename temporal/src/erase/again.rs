//! Erasures as they go with backups, and what a store does with them that was restored to a commit before.

use llmdb_engine::ErasureNote;

use super::tombstone::{ERASED, Erasure, SALT, damaged, hash, salt};
use crate::{AsOf, BEGINNING, Result, Store, catalog::Info};

impl Store<'_> {
    /// The notes as they go with backups.
    ///
    /// # Errors
    /// As [`Store::erasures`].
    pub fn erasure_notes(&self) -> Result<Vec<ErasureNote>> {
        let erasures = self.erasures()?;
        if erasures.is_empty() {
            return Ok(Vec::new());
        }
        let snapshot = self.engine.snapshot_latest()?;
        let tree = snapshot.tree(ERASED)?.ok_or_else(|| damaged("the tree is missing".into()))?;
        let salt = salt(tree.get([SALT])?)?;
        let note = |erasure: Erasure| ErasureNote {
            collection: erasure.collection_id,
            name: erasure.collection,
            salt,
            key_hash: erasure.key_hash,
            txid: erasure.txid,
            timestamp: erasure.timestamp,
        };
        Ok(erasures.into_iter().map(note).collect())
    }

    /// Erases again what `notes` say, in a store that was restored to a commit before them. Notes of commits that the
    /// store has are passed by: it has erased what they say. Returns how many rows were erased.
    ///
    /// Cost: a hash for every row that was ever there, and for every note of a change.
    ///
    /// # Errors
    /// [`crate::Error::Engine`], [`crate::Error::Corruption`].
    pub fn erase_again(
        &self,
        notes: &[ErasureNote],
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<u64> {
        let last = self.engine.last_commit().txid;
        let later: Vec<&ErasureNote> = notes.iter().filter(|note| note.txid > last).collect();
        let mut erased = 0;
        if !later.is_empty() {
            for (info, rows) in self.rows_of_notes(&later)? {
                erased += rows.len() as u64;
                for row in rows {
                    self.erase_rows(&info.name, &[row])?;
                }
            }
        }
        self.finish_erasures(progress)?;
        // Pages of the backups that no state uses are in the file, too.
        if !notes.is_empty() {
            self.engine.scrub(progress)?;
        }
        Ok(erased)
    }

    /// Rows whose hashes the notes name, collection by collection.
    fn rows_of_notes(&self, notes: &[&ErasureNote]) -> Result<Vec<(Info, Vec<Vec<u8>>)>> {
        let view = self.view()?;
        let mut found = Vec::new();
        for (name, _) in view.collections()? {
            let collection = view.collection(&name)?;
            let of_it: Vec<&&ErasureNote> = notes
                .iter()
                .filter(|note| note.collection == collection.info.id && note.name == name)
                .collect();
            if of_it.is_empty() {
                continue;
            }
            let mut rows = Vec::new();
            let mut look_at = |row: &[u8]| {
                let is_named = |note: &&&ErasureNote| hash(&note.salt, note.collection, row) == note.key_hash;
                if of_it.iter().any(is_named) {
                    rows.push(row.to_vec());
                }
            };
            collection.each_row(&mut look_at)?;
            if collection.trees().is_ok() {
                for change in collection.changes_kept(AsOf::Time(BEGINNING), AsOf::Now)? {
                    look_at(&change?.row.encode());
                }
            }
            rows.sort_unstable();
            rows.dedup();
            found.push((collection.info.clone(), rows));
        }
        Ok(found)
    }
}
