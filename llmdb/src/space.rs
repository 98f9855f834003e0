//! The room that a database takes, and who keeps it.

use crate::{CompactReport, Db, LeasedSnapshot, Reader, Result, Snapshot};

impl Db {
    /// Shrinks the file to what lives in it and some room, while readers and writers go on: moves pages from its end
    /// into free ones at its beginning, step by step, and cuts the end off. A writer waits for one step at most,
    /// some 256 pages or one long value.
    ///
    /// `progress` is told the number of pages moved and of pages to be moved in all, and stops the compaction by
    /// answering `false`. What has been moved stays moved; the next call goes on. A crash on the way harms nothing.
    ///
    /// A database that is overwritten all the time keeps to its size by itself, see [`crate::Options::churn`]; this
    /// is for after much was deleted. Cost: copies the pages behind the new end; reads every leaf if long values lie
    /// there; four checkpoints or more.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Corruption`] if a page to be moved is damaged; [`crate::ErrorKind::Io`],
    /// [`crate::ErrorKind::NoSpace`], [`crate::ErrorKind::Poisoned`], [`crate::ErrorKind::ReadOnly`].
    ///
    /// # Examples
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let db = llmdb::Db::open(folder.path().join("a.llmdb"), llmdb::Options::new())?;
    /// let report = db.compact(&mut |done, all| {
    ///     println!("{done} of {all} pages");
    ///     true
    /// })?;
    /// assert!(report.file_bytes <= report.bytes_before);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compact(&self, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<CompactReport> {
        Ok(self.engine().compact(progress)?)
    }

    /// Every snapshot that somebody holds, with what it keeps from being used again: exactly, as of the last commit.
    /// Cost: looks at every range of freed pages.
    ///
    /// # Examples
    /// ```
    /// # let db = llmdb::Db::in_memory()?;
    /// let report = db.snapshot_named("monthly report")?;
    /// for reader in db.readers() {
    ///     println!("{}: {} bytes since {}", reader.name, reader.held_bytes, reader.since);
    /// }
    /// # Ok::<(), llmdb::Error>(())
    /// ```
    pub fn readers(&self) -> Vec<Reader> {
        self.engine().readers()
    }

    /// As [`Db::snapshot`], under a name that [`Db::readers`] and warnings show. 32 bytes of it are kept.
    ///
    /// # Errors
    /// As [`Db::snapshot`].
    pub fn snapshot_named(&self, name: &str) -> Result<Snapshot> {
        Ok(Snapshot(self.engine().snapshot_named(name)?))
    }

    /// The newest durable state, under a lease that may be ended when it is held for too long, see
    /// [`LeasedSnapshot`].
    ///
    /// # Errors
    /// As [`Db::snapshot`].
    pub fn leased_snapshot(&self, name: &str) -> Result<LeasedSnapshot> {
        Ok(LeasedSnapshot(self.engine().leased_snapshot(name)?))
    }
}
