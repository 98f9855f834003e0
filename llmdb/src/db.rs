//! The open database.

use std::path::Path;

use llmdb_engine::Engine;

use crate::{
    BackupReport, CheckReport, Commit, DiskReport, MendReport, Options, RecoveryReport, Result,
    SalvageReport, Snapshot, Stats, WriteTxn,
};

/// An open database. Share it between threads by reference or behind an `Arc`.
///
/// Dropping it closes it as [`Db::close`] does, but has nobody to tell of a failure; what was acknowledged is
/// safe either way.
#[derive(Debug)]
pub struct Db(pub(crate) Engine, #[cfg(feature = "catalog")] pub(crate) llmdb_catalog::Keeper);

impl Db {
    /// Opens the database at `path`, makes it if it is missing and [`Options::create`] allows it, and recovers
    /// it if it was not closed: every commit that was acknowledged as durable is there, and no part of any other.
    ///
    /// Cost: a few reads after a clean close. After a crash, the replay of the log's tail, which checkpoints keep
    /// short (see [`Options::checkpoint_log_bytes`]).
    ///
    /// # Errors
    /// - [`ErrorKind::Missing`]: there is no such file, and none was to be made.
    /// - [`ErrorKind::Locked`]: it is open elsewhere; the message names the holder.
    /// - [`ErrorKind::NotADatabase`], [`ErrorKind::NewerVersion`]: the file was not touched.
    /// - [`ErrorKind::Corruption`]: no valid meta page, or a log that lacks acknowledged commits.
    /// - [`ErrorKind::ReadOnly`]: it must be recovered, but was to be opened for reading only.
    /// - [`ErrorKind::Io`], [`ErrorKind::NoSpace`].
    ///
    /// [`ErrorKind::Missing`]: crate::ErrorKind::Missing
    /// [`ErrorKind::Locked`]: crate::ErrorKind::Locked
    /// [`ErrorKind::NotADatabase`]: crate::ErrorKind::NotADatabase
    /// [`ErrorKind::NewerVersion`]: crate::ErrorKind::NewerVersion
    /// [`ErrorKind::Corruption`]: crate::ErrorKind::Corruption
    /// [`ErrorKind::ReadOnly`]: crate::ErrorKind::ReadOnly
    /// [`ErrorKind::Io`]: crate::ErrorKind::Io
    /// [`ErrorKind::NoSpace`]: crate::ErrorKind::NoSpace
    ///
    /// # Examples
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.llmdb");
    /// use llmdb::{Db, ErrorKind, Options};
    ///
    /// let error = Db::open(&path, Options::new().create(false)).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Missing);
    /// let db = Db::open(&path, Options::new())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        Ok(Self::of(Engine::open(path, options.0)?))
    }

    /// A database in memory, for tests and caches: nothing is written anywhere, and nothing survives.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Io`] if the address space is exhausted.
    ///
    /// # Examples
    /// ```
    /// let db = llmdb::Db::in_memory()?;
    /// assert!(db.snapshot()?.main()?.is_empty());
    /// # Ok::<(), llmdb::Error>(())
    /// ```
    pub fn in_memory() -> Result<Self> {
        Ok(Self::of(Engine::in_memory()?))
    }

    /// Begins the one write transaction, waiting while another is open. A thread that holds one and begins
    /// another waits for itself, for ever.
    ///
    /// # Errors
    /// [`crate::ErrorKind::ReadOnly`], [`crate::ErrorKind::Poisoned`].
    pub fn begin_write(&self) -> Result<WriteTxn<'_>> {
        Ok(WriteTxn(self.0.begin_write()?))
    }

    /// As [`Db::begin_write`], but `None` if another write transaction is open.
    ///
    /// # Errors
    /// As [`Db::begin_write`].
    ///
    /// # Examples
    /// ```
    /// # let db = llmdb::Db::in_memory()?;
    /// let txn = db.begin_write()?;
    /// assert!(db.try_begin_write()?.is_none());
    /// # drop(txn);
    /// # Ok::<(), llmdb::Error>(())
    /// ```
    pub fn try_begin_write(&self) -> Result<Option<WriteTxn<'_>>> {
        Ok(self.0.try_begin_write()?.map(WriteTxn))
    }

    /// The newest durable state, as it stays for as long as the snapshot lives. Never waits for a writer, and
    /// never shows what a crash could still take (but for commits made with [`crate::Durability::Off`]).
    /// Cost: a few atomic operations.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Corruption`] if the stored root of the catalog is damaged.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot(self.0.snapshot()?))
    }

    /// The newest committed state, durable or not: after a crash, what it showed may not have happened.
    ///
    /// # Errors
    /// As [`Db::snapshot`].
    pub fn snapshot_latest(&self) -> Result<Snapshot> {
        Ok(Snapshot(self.0.snapshot_latest()?))
    }

    /// Makes every commit so far durable. Cost: one sync, shared with others; none if nothing is outstanding.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Io`], [`crate::ErrorKind::Poisoned`]: open the database again.
    ///
    /// # Examples
    /// ```
    /// use llmdb::Durability;
    /// # let db = llmdb::Db::in_memory()?;
    /// for number in 0_u32..100 {
    ///     let mut txn = db.begin_write()?;
    ///     txn.put(number.to_be_bytes(), "quick")?;
    ///     txn.commit_with(Durability::Off)?;
    /// }
    /// db.sync()?; // all hundred are safe from here on
    /// # Ok::<(), llmdb::Error>(())
    /// ```
    pub fn sync(&self) -> Result<()> {
        Ok(self.0.sync()?)
    }

    /// Brings the data file up to date now, so that recovery would have nothing to do. The database does this by
    /// itself as the log grows. Writers wait only while it begins.
    /// Cost: writes every page changed since the last checkpoint, and forces the file twice.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NoSpace`]: nothing happened, try again. [`crate::ErrorKind::Io`],
    /// [`crate::ErrorKind::Poisoned`]: open the database again; nothing acknowledged is lost.
    pub fn checkpoint(&self) -> Result<()> {
        Ok(self.0.checkpoint()?)
    }

    /// Numbers about the database now. Cost: reads the catalog of trees.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Corruption`] if the catalog is damaged.
    pub fn stats(&self) -> Result<Stats> {
        Ok(self.0.stats()?.into())
    }

    /// Reads every page of the newest committed state, from the media where it is there, and looks for damage:
    /// checksums, order and bounds of keys, counts, pages used twice or lost. Goes on behind what it finds.
    /// Readers and writers go on meanwhile. Cost: reads the whole database.
    ///
    /// # Errors
    /// None that the database knows of: damage, and pages that cannot be read, are part of the report.
    ///
    /// # Examples
    /// ```
    /// # let db = llmdb::Db::in_memory()?;
    /// assert!(db.check()?.is_sound());
    /// # Ok::<(), llmdb::Error>(())
    /// ```
    pub fn check(&self) -> Result<CheckReport> {
        self.check_with(&mut |_, _| true)
    }

    /// As [`Db::check`]; `progress` is told the number of pages read and of pages in all, and stops the check by
    /// answering `false`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Cancelled`].
    pub fn check_with(&self, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<CheckReport> {
        Ok(self.0.check(progress)?)
    }

    /// Writes the newest durable state to a new file at `to`, compact and in the order of its keys, while readers
    /// and writers go on. The file appears under its name only once it is whole and durable. It is a database
    /// like any other, with an identity of its own: to restore it, open it, or copy it to where it is wanted.
    ///
    /// `progress` is told the number of keys copied and of keys in all, and stops the copy by answering `false`.
    /// Cost: reads and verifies every page of the snapshot, and writes about as much as the live data.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Misuse`] if `to` exists; [`crate::ErrorKind::Cancelled`];
    /// [`crate::ErrorKind::Corruption`]; [`crate::ErrorKind::Io`]; [`crate::ErrorKind::NoSpace`]. In each case
    /// nothing is left at `to`.
    ///
    /// # Examples
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let (path, copy) = (folder.path().join("a.llmdb"), folder.path().join("copy.llmdb"));
    /// # let db = llmdb::Db::open(&path, llmdb::Options::new())?;
    /// let report = db.backup(&copy, &mut |done, all| {
    ///     println!("{done} of {all} keys");
    ///     true
    /// })?;
    /// println!("{} bytes", report.file_bytes);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backup(
        &self,
        to: impl AsRef<Path>,
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<BackupReport> {
        Ok(self.0.backup(to, progress)?)
    }

    /// Looks through every page, and makes again what cannot be read: from the older of the two checkpoints that the file
    /// holds, and the log. That works for pages that were written since the older checkpoint. Readers go on, and get errors
    /// for damaged pages until then; writers wait. The database does this by itself before it would give the older
    /// checkpoint up, if a damaged page was met; so this is for those who want to know now.
    ///
    /// Cost: reads every page; if something is damaged, replays the log in memory, and loads the damaged trees anew.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Corruption`] if the older checkpoint or the log cannot help: nothing has changed, and
    /// [`Db::salvage`] saves what can be read. [`crate::ErrorKind::NoSpace`]; [`crate::ErrorKind::Io`];
    /// [`crate::ErrorKind::Poisoned`]; [`crate::ErrorKind::ReadOnly`].
    ///
    /// # Examples
    /// ```
    /// # let db = llmdb::Db::in_memory()?;
    /// assert!(db.mend()?.is_empty());
    /// # Ok::<(), llmdb::Error>(())
    /// ```
    pub fn mend(&self) -> Result<MendReport> {
        Ok(self.0.mend()?)
    }

    /// Saves what can be read of a damaged database at `from` into a new one at `to`, and says what was lost. No
    /// page of `from` is written.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Missing`], [`crate::ErrorKind::Locked`], [`crate::ErrorKind::NotADatabase`];
    /// [`crate::ErrorKind::Misuse`] if `to` exists; [`crate::ErrorKind::Corruption`] if nothing can be saved;
    /// [`crate::ErrorKind::Io`] and [`crate::ErrorKind::NoSpace`] for the new file.
    pub fn salvage(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<SalvageReport> {
        Ok(Engine::salvage(from, to)?)
    }

    /// Times `write_count` durable writes in the folder of `path`, in a file of its own that is removed again: what
    /// every durable commit there has to wait for. Touches no database. Cost: as many syncs, one after the other.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Io`], [`crate::ErrorKind::NoSpace`]: the folder cannot be written.
    pub fn probe_disk(path: impl AsRef<Path>, write_count: u64) -> Result<DiskReport> {
        Ok(Engine::probe_disk(path, write_count)?)
    }

    fn of(engine: Engine) -> Self {
        Self(
            engine,
            #[cfg(feature = "catalog")]
            llmdb_catalog::Keeper::new(),
        )
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0
    }

    /// What recovery did when the database was opened.
    pub fn recovery(&self) -> &RecoveryReport {
        self.0.recovery()
    }

    /// The last commit, durable or not.
    pub fn last_commit(&self) -> Commit {
        self.0.last_commit()
    }

    /// Path of the data file; empty for a database in memory.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Closes the database: makes every commit durable, brings the data file up to date and removes the log, so
    /// that the data file alone is the database. Snapshots stay valid, and keep the database locked until the
    /// last of them is gone.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Io`], [`crate::ErrorKind::NoSpace`], [`crate::ErrorKind::Poisoned`]: the next opening
    /// recovers; nothing that was acknowledged is lost.
    pub fn close(self) -> Result<()> {
        Ok(self.0.close()?)
    }
}
