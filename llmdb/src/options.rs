//! How a database is opened.

use std::time::Duration;

use llmdb_engine::{
    Background, BusErrors, Churn, Durability, LogTail, LongReaders, Options as EngineOptions, RecoveryTime,
    Sharing, StartFrom,
};

/// How to open a database: start from [`Options::new`], which suits most programs, and change what must differ.
///
/// # Examples
/// ```
/// use llmdb::{Durability, Options};
///
/// let options = Options::new().create(false).durability(Durability::Group { interval_us: 500 });
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until a database is opened with them"]
pub struct Options(pub(crate) EngineOptions);

impl Options {
    /// The defaults: made if missing, writable, each commit durable, checkpoints in the background.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the database is made if there is none. Default: yes. Say no where a mistyped path should be an
    /// error rather than an empty database.
    pub fn create(mut self, create: bool) -> Self {
        self.0.create = create;
        self
    }

    /// Whether the database is opened for reading only. Default: no. Several processes can read at once. A
    /// database that was not closed must be opened once for writing first, which recovers it; on a medium that cannot
    /// be written, [`Sharing::Shared`] recovers it in memory.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.0.read_only = read_only;
        self
    }

    /// What a crash may take from commits that do not say it themselves. Default: [`Durability::Sync`], nothing.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.0.durability = durability;
        self
    }

    /// Bytes of log after which a checkpoint brings the data file up to date. Default: 64 MiB. Smaller values
    /// make recovery faster and write more.
    pub fn checkpoint_log_bytes(mut self, bytes: u64) -> Self {
        self.0.checkpoint_log_bytes = bytes;
        self.0.stall_log_bytes = self.0.stall_log_bytes.max(bytes.saturating_mul(2));
        self
    }

    /// How long recovery may take after a crash, by estimate: when checkpoints begin, and when writers are slowed
    /// down for them. Default: 400 ms, 650 ms, 800 ms. See [`RecoveryTime`].
    pub fn recovery_time(mut self, time: RecoveryTime) -> Self {
        self.0.recovery = time;
        self
    }

    /// How much room overwriting may take until checkpoints give it back. Default: 5 % of the live data, or 32 MiB.
    /// See [`Churn`].
    pub fn churn(mut self, churn: Churn) -> Self {
        self.0.churn = churn;
        self
    }

    /// How long nobody must have written before a file that is longer than it has to be is compacted in the background,
    /// as by [`crate::Db::compact`]; the next commit stops it. `None` for never. Default: 5 s. Needs background threads.
    pub fn compact_when_calm(mut self, after: Option<Duration>) -> Self {
        let us = after.map(|after| u64::try_from(after.as_micros()).unwrap_or(u64::MAX));
        self.0.compact_calm_us = us.unwrap_or(u64::MAX);
        self
    }

    /// What is done about snapshots that are held for long. Default: the log of the program is told after a minute.
    /// See [`LongReaders`].
    pub fn long_readers(mut self, policy: LongReaders) -> Self {
        self.0.long_readers = policy;
        self
    }

    /// Memory for changed pages that no checkpoint has written yet; beyond it they are written early. Default:
    /// 256 MiB. Programs with little memory lower it, at the cost of pages that are written twice.
    pub fn dirty_bytes_max(mut self, bytes: u64) -> Self {
        self.0.dirty_bytes_max = bytes;
        self
    }

    /// Whether the database may run threads of its own, for checkpoints and asynchronous commits. Default: yes.
    /// Without them, checkpoints run inside the commit that makes them due.
    pub fn background_threads(mut self, allowed: bool) -> Self {
        self.0.background = if allowed { Background::Threads } else { Background::Manual };
        self
    }

    /// What becomes of the program if another one cuts the data file while it is open, or its device fails. Default:
    /// reads fail with [`crate::ErrorKind::Corruption`], which takes a handler of SIGBUS. Programs that own their signals say
    /// [`BusErrors::Leave`], and end by that signal.
    pub fn bus_errors(mut self, bus_errors: BusErrors) -> Self {
        self.0.bus_errors = bus_errors;
        self
    }

    /// Who else may have the database open. Default: [`Sharing::Exclusive`], nobody. With [`Sharing::Shared`], any
    /// number of processes open it to read and to write; all of them have to say so.
    pub fn sharing(mut self, sharing: Sharing) -> Self {
        self.0.sharing = sharing;
        self
    }

    /// How long to wait for other processes that share the database: for the turn to write, and when opening and
    /// closing. Default: 10 s. Then an error of kind [`crate::ErrorKind::Locked`] says who was waited for.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.0.lock_timeout_us = u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX);
        self
    }

    /// What to do with a log that is damaged where it had been durable. Default: refuse to open, because
    /// acknowledged commits are missing.
    pub fn log_tail(mut self, tail: LogTail) -> Self {
        self.0.log_tail = tail;
        self
    }

    /// Which checkpoint recovery starts from. Default: the newest; the older one helps when pages of the newest
    /// are damaged.
    pub fn start_from(mut self, start: StartFrom) -> Self {
        self.0.start_from = start;
        self
    }

    /// Folder to which the log is copied before it is given up, so that a backup can be brought forward to any commit:
    /// see [`crate::Db::restore`]. Every program that opens the database for writing must name the same one, or the
    /// archive gets a gap. Default: none.
    pub fn archive(mut self, folder: impl Into<std::path::PathBuf>) -> Self {
        self.0.archive = Some(folder.into());
        self
    }

    /// How much log is kept while the archive refuses, because its disk is full or gone. Beyond it the database goes
    /// on, and the archive gets a gap, which [`crate::Stats`] counts. Default: 1 GiB.
    pub fn archive_backlog_bytes(mut self, bytes: u64) -> Self {
        self.0.archive_backlog_bytes = bytes;
        self
    }

    /// How much log is kept at most for readers of the change feed. One that falls further behind gets
    /// [`crate::ErrorKind::NotKept`]. Default: 1 GiB.
    pub fn feed_log_bytes(mut self, bytes: u64) -> Self {
        self.0.feed_log_bytes = bytes;
        self
    }

    /// How long log is kept at most for readers of the change feed. Default: 7 days.
    pub fn feed_log_time(mut self, time: std::time::Duration) -> Self {
        self.0.feed_log_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self
    }
}
