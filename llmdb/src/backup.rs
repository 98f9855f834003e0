//! Backup sets, the archive of the log, and restoring from both.

use std::path::Path;

use llmdb_engine::Engine;

use crate::{
    ArchiveReport, ArchiveSpan, Db, RestoreReport, RestoreSource, RestoreTo, Result, SetBackup, StoreId,
};

impl Db {
    /// Begins a backup set in the folder `set` with a full backup, while readers and writers go on. A set is a folder:
    /// one full backup, and incremental ones that stand on it.
    ///
    /// `progress` is told the pages written and the pages in all, and stops the backup by answering `false`. When
    /// this returns, the backup is whole and durable; if it is interrupted, there is none.
    /// Cost: a checkpoint, and reading and writing every page in use.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Misuse`] if the set has a backup already; [`crate::ErrorKind::Cancelled`];
    /// [`crate::ErrorKind::Corruption`]; [`crate::ErrorKind::Io`]; [`crate::ErrorKind::NoSpace`].
    ///
    /// # Examples
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let (path, set, copy) = (folder.path().join("a.llmdb"), folder.path().join("set"), folder.path().join("b.llmdb"));
    /// use llmdb::{Db, Options, RestoreSource, RestoreTo};
    ///
    /// let db = Db::open(&path, Options::new())?;
    /// db.backup_full(&set, &mut |_, _| true)?;
    /// let mut txn = db.begin_write()?;
    /// txn.put("key", "value")?;
    /// let commit = txn.commit()?;
    /// db.backup_incremental(&set, &mut |_, _| true)?;                 // only what changed
    ///
    /// let source = RestoreSource { set, ..RestoreSource::default() };
    /// Db::restore(&source, &copy, RestoreTo::Tx(commit.txid), &mut |_, _| true)?;
    /// assert!(Db::open(&copy, Options::new())?.snapshot()?.get("key")?.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backup_full(
        &self,
        set: impl AsRef<Path>,
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<SetBackup> {
        let backup = self.0.backup_full(&set, progress)?;
        self.note_erasures(set.as_ref())?;
        Ok(backup)
    }

    /// Adds a backup to a set that holds only the pages that are new since the last one in it. Otherwise as
    /// [`Db::backup_full`]; reads and writes only what changed.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Missing`] if the set has no full backup; [`crate::ErrorKind::BrokenBackup`] if its chain
    /// is broken; [`crate::ErrorKind::Misuse`] if it is of another database; the rest as [`Db::backup_full`].
    pub fn backup_incremental(
        &self,
        set: impl AsRef<Path>,
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<SetBackup> {
        let backup = self.0.backup_incremental(&set, progress)?;
        self.note_erasures(set.as_ref())?;
        Ok(backup)
    }

    /// Reads every byte of a backup set and compares it with the checksums in the manifests, and each backup with the
    /// one it stands on. Returns the backups, the full one first.
    ///
    /// # Errors
    /// [`crate::ErrorKind::BrokenBackup`]: which file is missing, foreign, out of its place or changed;
    /// [`crate::ErrorKind::Missing`] if there is no backup; [`crate::ErrorKind::Cancelled`];
    /// [`crate::ErrorKind::Io`].
    pub fn verify_backups(
        set: impl AsRef<Path>,
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Vec<SetBackup>> {
        Ok(Engine::verify_set(set, progress)?)
    }

    /// Makes the database at `to` from a backup set, brought forward with archived log if there is some: to the last
    /// commit, to a chosen one, or to a time. Everything that is used is verified; the file appears under its name once
    /// it is whole. It is a database of its own, with another identity; commits keep their ids and times.
    ///
    /// What was erased after the chosen commit, by the lists in the folders of the set and the archive, is erased again,
    /// by commits behind it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::BrokenBackup`]; [`crate::ErrorKind::NotKept`] if the wanted commit lies before the backups or
    /// behind backups and log, saying how far they go; [`crate::ErrorKind::Misuse`] if `to` exists;
    /// [`crate::ErrorKind::Missing`]; [`crate::ErrorKind::Corruption`] of the log; [`crate::ErrorKind::Cancelled`];
    /// [`crate::ErrorKind::Io`]; [`crate::ErrorKind::NoSpace`].
    pub fn restore(
        source: &RestoreSource,
        to: impl AsRef<Path>,
        until: RestoreTo,
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<RestoreReport> {
        #[cfg(feature = "temporal")]
        {
            let mut notes = Engine::noted_erasures(&source.set)?;
            if let Some(archive) = &source.archive {
                notes.extend(Engine::noted_erasures(archive)?);
                notes.sort_unstable();
                notes.dedup();
            }
            if !notes.is_empty() {
                return crate::temporal::restore(&notes, source, to.as_ref(), until, progress);
            }
        }
        Ok(Engine::restore(source, to, until, progress)?)
    }

    /// Tells the backup set in the folder `set` what was erased, as each backup does: for a set that gets no more of
    /// them. Nothing happens if nothing was erased.
    ///
    /// # Errors
    /// [`crate::ErrorKind::BrokenBackup`] if the list in the folder is damaged; [`crate::ErrorKind::Io`];
    /// [`crate::ErrorKind::NoSpace`]; [`crate::ErrorKind::Corruption`].
    pub fn note_erasures(&self, set: &Path) -> Result<()> {
        #[cfg(feature = "temporal")]
        {
            let notes = self.facts().erasure_notes()?;
            if !notes.is_empty() {
                Engine::note_erasures(set, &notes)?;
            }
        }
        let _ = set;
        Ok(())
    }

    /// The list of what was erased in the folder of a backup set or of an archive: which backups in it were taken before
    /// can be told by the ids of the commits. Their files hold it still.
    ///
    /// # Errors
    /// [`crate::ErrorKind::BrokenBackup`] if the list is damaged; [`crate::ErrorKind::Io`].
    #[cfg(feature = "temporal")]
    pub fn noted_erasures(folder: impl AsRef<Path>) -> Result<Vec<crate::temporal::ErasureNote>> {
        Ok(Engine::noted_erasures(folder)?)
    }

    /// Brings the archive ([`crate::Options::archive`]) up to the last commit. Without this call it gets each piece
    /// of the log when that is full, or when the database is closed.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Misuse`] if the database was opened without an archive; [`crate::ErrorKind::Io`],
    /// [`crate::ErrorKind::NoSpace`], [`crate::ErrorKind::Corruption`] if the archive refuses: the log is kept.
    pub fn archive_now(&self) -> Result<ArchiveReport> {
        Ok(self.0.archive_now()?)
    }

    /// Reads all of an archive, and says what it holds of the log of the database with the identity `store`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Corruption`] if a part is damaged or of another database; [`crate::ErrorKind::NotKept`] if
    /// there is a gap; [`crate::ErrorKind::Missing`]; [`crate::ErrorKind::Io`].
    pub fn verify_archive(archive: impl AsRef<Path>, store: StoreId) -> Result<ArchiveSpan> {
        Ok(Engine::verify_archive(archive, store)?)
    }
}
