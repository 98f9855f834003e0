//! The opened store.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool, atomic::AtomicU64, atomic::Ordering},
};

use llmdb_base::{Timestamp, sync::Mutex};
use llmdb_pager::{Pager, Visible};
use llmdb_vfs::{FileLock, MemoryVfs, OsOptions, OsVfs, Vfs};
use llmdb_wal::Log;

use crate::{
    Background, Commit, Error, Options, RecoveryReport, Result, Snapshot, WriteTxn, background::Workers,
    calm::Calm, checkpoint::Turnstile, commit::Unpublished, feed::Pins, gate::Gate, keeping::Keeping,
    last_main::LastMain, long_readers::Watch, open, pace::Pace, share::Company,
};

/// How long a writer that does not want to wait gives another process to hand over what it does not use.
const TRY_TURN_US: u64 = 100_000;

/// An open store. Share it between threads behind an `Arc` or a reference.
///
/// Dropping it closes the store as [`Engine::close`] does, but has nobody to tell of a failure; what was
/// acknowledged is safe either way.
#[derive(Debug)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
    recovery: RecoveryReport,
}

/// What the handle, the snapshots and the background threads hold together. The lock on the store ends with the
/// last of them: pages that a snapshot can name must not be written by another opening.
#[derive(Debug)]
pub(crate) struct Shared {
    pub vfs: Arc<dyn Vfs>,
    pub path: PathBuf,
    pub pager: Arc<Pager>,
    /// `None` for a store in memory, which forgets everything anyway.
    pub log: Option<Log>,
    pub options: Options,
    pub gate: Gate,
    pub unpublished: Unpublished,
    pub last_main: LastMain,
    /// Held while a checkpoint is under way: there is one at a time.
    pub checkpointing: Turnstile,
    pub checkpoint_count: AtomicU64,
    /// Bytes of records that recovery replayed when the store was opened.
    pub replayed_bytes: u64,
    /// Of the bytes replayed and appended since, how many the newest checkpoint holds. LSNs would not do: they
    /// jump when a log is opened again.
    pub checkpointed_bytes: AtomicU64,
    /// When checkpoints are due.
    pub pace: Pace,
    /// What is known of how calm things are.
    pub calm: Calm,
    /// Held while the file is compacted.
    pub compacting: Mutex<()>,
    /// What is known of long readers.
    pub watch: Watch,
    pub closed: AtomicBool,
    /// Readers of the change feed in this process.
    pub pins: Pins,
    pub keeping: Keeping,
    /// Whether mending damaged pages was tried, and failed.
    pub mending_is_vain: AtomicBool,
    pub workers: Workers,
    /// Bytes of records that other processes have appended, and those that they say need no replay: see
    /// `set_log_bytes_since_checkpoint`. Counts modulo 2^64.
    pub foreign_bytes: AtomicU64,
    /// The other processes, if the store is shared.
    pub company: Option<Company>,
    pub _lock: Option<Box<dyn FileLock>>,
}

impl Engine {
    /// Opens the store at `path` on the real disk, making it if [`Options::create`] says so, and recovers it if
    /// it was not closed.
    ///
    /// Cost: a few reads after a clean close; after a crash the replay of the log's tail, which checkpoints keep
    /// short.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Locked`], [`Error::NotADatabase`], [`Error::NewerVersion`],
    /// [`Error::Unopenable`], [`Error::LogCorruption`], [`Error::Io`], [`Error::NoSpace`].
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        let disk = OsOptions { bus_errors: options.bus_errors, ..OsOptions::default() };
        Self::open_on(Arc::new(OsVfs::with_options(disk)), path, options)
    }

    /// As [`Engine::open`], on a disk of the caller's.
    pub fn open_on(vfs: Arc<dyn Vfs>, path: impl AsRef<Path>, options: Options) -> Result<Self> {
        let (shared, recovery) = open::open(vfs, path.as_ref(), options)?;
        let engine = Self { shared: Arc::new(shared), recovery };
        engine.shared.workers.attach(&engine.shared);
        if !engine.shared.is_away() {
            engine.shared.tell_durable();
            engine.shared.serve_in_background();
        }
        Ok(engine)
    }

    /// A store in memory, for tests and caches: nothing is written anywhere, and nothing survives.
    ///
    /// # Errors
    /// [`Error::Io`] if the address space is exhausted.
    pub fn in_memory() -> Result<Self> {
        let options = Options { background: Background::Manual, ..Options::default() };
        let shared = open::in_memory(Arc::new(MemoryVfs::default()), options)?;
        Ok(Self { shared: Arc::new(shared), recovery: RecoveryReport::default() })
    }

    /// Begins the one write transaction, waiting until no other is open and, if the log has run far ahead of
    /// the checkpoints, until a checkpoint has caught up.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Poisoned`].
    pub fn begin_write(&self) -> Result<WriteTxn<'_>> {
        self.shared.check_writable()?;
        self.shared.wait_for_checkpoint();
        let permit = self.shared.gate.enter();
        self.shared.take_turn(self.shared.options.lock_timeout_us)?;
        WriteTxn::begin(&self.shared, permit)
    }

    /// As [`Engine::begin_write`], but `None` if another write transaction is open.
    ///
    /// # Errors
    /// As [`Engine::begin_write`].
    pub fn try_begin_write(&self) -> Result<Option<WriteTxn<'_>>> {
        self.shared.check_writable()?;
        let Some(permit) = self.shared.gate.try_enter() else { return Ok(None) };
        match self.shared.take_turn(TRY_TURN_US) {
            Err(Error::Busy { .. }) => Ok(None),
            taken => taken.and_then(|()| WriteTxn::begin(&self.shared, permit)).map(Some),
        }
    }

    /// The newest durable state, as it stays for as long as the snapshot lives. Never waits.
    /// Cost: a few atomic operations.
    ///
    /// # Errors
    /// [`Error::Unopenable`] if the stored root of the catalog is damaged.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::new(&self.shared, Visible::Published)
    }

    /// The newest committed state, durable or not: after a crash, what it showed may not have happened.
    ///
    /// # Errors
    /// As [`Engine::snapshot`].
    pub fn snapshot_latest(&self) -> Result<Snapshot> {
        Snapshot::new(&self.shared, Visible::Tip)
    }

    /// Makes every commit so far durable. Cost: one sync, shared with others; none if nothing is outstanding.
    ///
    /// # Errors
    /// [`Error::Poisoned`] or [`Error::Io`] if the log cannot be forced.
    pub fn sync(&self) -> Result<()> {
        if self.shared.is_away() && !self.shared.options.read_only {
            // What others committed without asking for durability becomes durable when they hand over.
            let _permit = self.shared.gate.enter();
            self.shared.take_turn(self.shared.options.lock_timeout_us)?;
        }
        self.shared.sync_to(self.shared.pager.tip().lsn)
    }

    /// What recovery did when the store was opened.
    pub fn recovery(&self) -> &RecoveryReport {
        &self.recovery
    }

    /// The last commit, durable or not.
    pub fn last_commit(&self) -> Commit {
        let tip = self.shared.pager.tip();
        Commit { txid: tip.txid, timestamp: tip.timestamp, lsn: tip.lsn }
    }

    /// What the clock of the store's disk says. It may step back; timestamps of commits do not.
    pub fn now(&self) -> Timestamp {
        self.shared.vfs.now()
    }

    /// Identity of the store.
    pub fn store_id(&self) -> llmdb_base::StoreId {
        self.shared.pager.store_id()
    }

    /// Path of the data file; empty for a store in memory.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Closes the store: makes every commit durable, brings the data file up to date and removes the log, so
    /// that the data file alone is the store. Snapshots stay valid, and keep the store locked.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NoSpace`], [`Error::Poisoned`]: the next opening recovers; nothing that was
    /// acknowledged is lost.
    pub fn close(self) -> Result<()> {
        self.shared.close()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Err(error) = self.shared.close() {
            log::warn!("closing {}: {error}; the next opening will recover", self.shared.path.display());
        }
    }
}

impl Shared {
    /// Refuses if nothing can be written any more.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.options.read_only {
            return Err(Error::ReadOnly("it was opened for reading only"));
        }
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::ReadOnly("it was closed"));
        }
        self.check_poison()
    }

    pub(crate) fn check_poison(&self) -> Result<()> {
        let poison =
            self.log.as_ref().and_then(Log::poisoned).or_else(|| self.pager.poisoned().map(str::to_owned));
        poison.map_or(Ok(()), |why| Err(Error::Poisoned(why)))
    }

    fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.workers.stop();
        if self.company.is_some() {
            return self.close_shared();
        }
        if self.options.read_only {
            return Ok(());
        }
        let _one = self.checkpointing.enter();
        self.check_poison()?;
        self.close_cleanly()
    }
}
