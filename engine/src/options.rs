//! How a store is opened.

use std::path::PathBuf;

use llmdb_vfs::BusErrors;

/// How long a commit waits, and what a crash may take from it. Atomicity never depends on it: after a crash the
/// store holds a prefix of the commits, each whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// Durable when the commit returns. Commits from several threads share one sync. The default.
    #[default]
    Sync,
    /// Durable when the commit returns, which may wait up to `interval_us` for others to share the sync.
    /// For many writers that prefer throughput to latency.
    Group {
        /// Longest wait before the sync begins, in microseconds.
        interval_us: u64,
    },
    /// Returns at once with a [`crate::Ticket`] that can be awaited; the sync starts in the background.
    /// A crash loses what has not become durable. Readers see the commit once it is durable.
    Async,
    /// Returns at once and forces nothing; a later durable commit, a checkpoint or a clean close makes it
    /// durable. Readers see the commit at once.
    Off,
}

/// Who does the work that no caller waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Background {
    /// Threads of the engine, started when first needed. The default.
    #[default]
    Threads,
    /// Nobody: checkpoints run inside the commit that makes them due, and tickets are served when awaited. For
    /// simulation and for programs that allow no threads.
    Manual,
}

/// What to do with a log that is damaged in a place that had been durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogTail {
    /// Refuse to open: acknowledged commits are missing. The default. (A torn tail is not damage: it was never
    /// acknowledged, and is cut.)
    #[default]
    Strict,
    /// Open with what lies before the damage, losing what lies behind it.
    CutAtDamage,
}

/// Which checkpoint recovery starts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StartFrom {
    /// The newest whose meta page is valid. The default.
    #[default]
    Newest,
    /// The one before, with a longer replay: for when pages written by the newest are damaged.
    Older,
}

/// Who else may have the store open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sharing {
    /// Nobody, except that any number of openings that only read share it among themselves. The default: an embedded
    /// store mostly belongs to one program, and whoever finds it taken is told by whom. Nothing is paid for others.
    #[default]
    Exclusive,
    /// Other processes, to read and to write, on this machine or in containers that share the file. One writes at a
    /// time; the others see what it publishes. While no other process is there it costs next to nothing; with others,
    /// commits write their pages to the file at once. Needs Linux, a local filesystem, and the right to write in the
    /// folder also for those who only read; on a medium that nobody can write, they read without, and what was not
    /// closed is recovered in memory.
    Shared,
}

/// How long recovery may take after a crash, by an estimate: operations to apply, log to read, pages to read from a
/// cold disk. The estimate stands in [`crate::Stats::replay_estimate_us`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecoveryTime {
    /// Estimate at which a checkpoint begins, in microseconds. Default: 400 ms. Smaller: more writing.
    pub checkpoint_us: u64,
    /// Estimate from which on writers are slowed down, so that the checkpoint under way catches up. Default: 650 ms.
    pub throttle_us: u64,
    /// Estimate at which writers wait for a checkpoint. Default: 800 ms. [`u64::MAX`] in all three leaves recovery to
    /// the size of the log alone.
    pub stall_us: u64,
    /// What reading one page of a cold file takes, many being asked for at once. Default: 25 us, a disk in the
    /// network or a slow one of flash.
    pub read_us: u64,
}

impl Default for RecoveryTime {
    fn default() -> Self {
        Self { checkpoint_us: 400_000, throttle_us: 650_000, stall_us: 800_000, read_us: 25 }
    }
}

/// How much room overwriting may take. What a transaction frees can be used again after two checkpoints; this says
/// how much may wait for them, and so how far the file exceeds what lives in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Churn {
    /// Part of the live data that may wait, in percent, before a checkpoint begins. Default: 5. More saves writing,
    /// and lets the file grow by as much.
    pub percent: u32,
    /// What may wait in any case: in small stores room is cheaper than checkpoints. Default: 32 MiB. [`u64::MAX`]
    /// leaves room to the size of the log alone.
    pub bytes_min: u64,
}

impl Default for Churn {
    fn default() -> Self {
        Self { percent: 5, bytes_min: 32 << 20 }
    }
}

/// What is done about snapshots that are held for long. They keep pages from being used again that they alone can
/// see, and the file may grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LongReaders {
    /// Nothing.
    Wait,
    /// The log of the program is told, once for each. The default, after a minute.
    Warn {
        /// Age at which a snapshot is long, in microseconds.
        after_us: u64,
    },
    /// The lease of a [`crate::LeasedSnapshot`] is ended; of other snapshots the log of the program is told.
    End {
        /// Age at which a snapshot is long, in microseconds; [`u64::MAX`] for never.
        after_us: u64,
        /// Bytes that it may hold back, alone or together with other leases, whatever its age; [`u64::MAX`] for any
        /// number.
        held_bytes_max: u64,
    },
}

impl Default for LongReaders {
    fn default() -> Self {
        Self::Warn { after_us: 60_000_000 }
    }
}

/// How to open a store. Start from `Options::default()`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Make the store if there is none. Default: yes.
    pub create: bool,
    /// Open without the right to write. Default: no.
    pub read_only: bool,
    /// Durability of commits that do not name their own. Default: [`Durability::Sync`].
    pub durability: Durability,
    /// Log bytes after which a checkpoint begins. Smaller: faster recovery, more writing. Default: 64 MiB.
    pub checkpoint_log_bytes: u64,
    /// Log bytes since the last checkpoint at which writers wait for the running one. Default: 256 MiB.
    pub stall_log_bytes: u64,
    /// Memory for pages that no checkpoint has written yet; beyond it, they are written early. Default: 256 MiB.
    pub dirty_bytes_max: u64,
    /// Largest size of one file of the log. Recovery reads the first and the last that it needs as a whole. Default: 16
    /// MiB.
    pub segment_bytes_max: u64,
    /// Piece of the log that is prepared ahead of the writing. Default: 1 MiB.
    pub log_window_bytes: u64,
    /// See [`LogTail`].
    pub log_tail: LogTail,
    /// See [`StartFrom`].
    pub start_from: StartFrom,
    /// Folder to which the log is copied before it is given up, so that a backup can be brought forward to any
    /// commit. Every opening for writing must name it, or there is a gap. Default: none.
    pub archive: Option<PathBuf>,
    /// How much log is kept that the archive does not take, because its disk is full or gone. Beyond it, the store
    /// goes on and the archive gets a gap, which is counted and logged. Default: 1 GiB.
    pub archive_backlog_bytes: u64,
    /// How much log is kept for readers of the change feed at most. One that falls further behind gets
    /// [`crate::Error::FeedGap`]. Default: 1 GiB.
    pub feed_log_bytes: u64,
    /// How long log is kept for them at most, in microseconds; it is looked at when a checkpoint is made. Default: 7
    /// days.
    pub feed_log_us: u64,
    /// See [`Background`].
    pub background: Background,
    /// What becomes of the process if another program cuts the data file, or its device fails, under the map. See
    /// [`BusErrors`]. Used where the engine opens the real disk itself.
    pub bus_errors: BusErrors,
    /// See [`Sharing`].
    pub sharing: Sharing,
    /// How long to wait for other processes, in microseconds: for the turn to write, and when opening and closing.
    /// Default: 10 s. Only with [`Sharing::Shared`].
    pub lock_timeout_us: u64,
    /// See [`RecoveryTime`].
    pub recovery: RecoveryTime,
    /// See [`Churn`].
    pub churn: Churn,
    /// See [`LongReaders`].
    pub long_readers: LongReaders,
    /// A file that is longer than it has to be by a tenth, and by 8 MiB, is compacted in the background once nobody has
    /// written for so long, in microseconds; the next commit stops it. [`u64::MAX`] for never. Default: 5 s. Only with
    /// [`Background::Threads`].
    pub compact_calm_us: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: true,
            read_only: false,
            durability: Durability::Sync,
            checkpoint_log_bytes: 64 << 20,
            stall_log_bytes: 256 << 20,
            dirty_bytes_max: 256 << 20,
            segment_bytes_max: 16 << 20,
            log_window_bytes: 1 << 20,
            log_tail: LogTail::Strict,
            start_from: StartFrom::Newest,
            archive: None,
            archive_backlog_bytes: 1 << 30,
            feed_log_bytes: 1 << 30,
            feed_log_us: 7 * 24 * 3_600 * 1_000_000,
            background: Background::Threads,
            bus_errors: BusErrors::Catch,
            sharing: Sharing::Exclusive,
            lock_timeout_us: 10_000_000,
            recovery: RecoveryTime::default(),
            churn: Churn::default(),
            long_readers: LongReaders::default(),
            compact_calm_us: 5_000_000,
        }
    }
}
