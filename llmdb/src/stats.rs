//! Numbers about an open database.

use llmdb_engine as engine;

use crate::{Lsn, StoreId, Timestamp, TxnId};

/// Numbers about an open database at one moment. Sizes are in bytes unless the name says otherwise.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Random identity of the database, written in each of its files.
    pub store: StoreId,
    /// Last committed transaction.
    pub txid: TxnId,
    /// Last transaction that readers see.
    pub published_txid: TxnId,
    /// When the last transaction was committed.
    pub timestamp: Timestamp,
    /// End of the log.
    pub lsn: Lsn,
    /// Position up to which the log is durable.
    pub durable_lsn: Lsn,
    /// Position up to which the data file holds everything.
    pub checkpoint_lsn: Lsn,
    /// Log that recovery would have to replay now.
    pub replay_bytes: u64,
    /// Operations in it.
    pub replay_ops: u64,
    /// How long recovery would take on a cold disk, in microseconds, by estimate.
    pub replay_estimate_us: u64,
    /// What the estimate takes applying one operation for, in nanoseconds; measured since the database was opened.
    pub apply_ns: u64,
    /// How often a writer was slowed down for the sake of a quick recovery since the database was opened.
    pub throttled_count: u64,
    /// How often a writer had to wait for a checkpoint since then.
    pub stalled_count: u64,
    /// Checkpoints since the database was opened.
    pub checkpoint_count: u64,
    /// Number of trees.
    pub tree_count: u64,
    /// Number of keys in all trees.
    pub key_count: u64,
    /// Size of the data file.
    pub file_bytes: u64,
    /// Part of it that the newest state uses.
    pub live_bytes: u64,
    /// Part of it that was freed but can still be seen by a snapshot or is needed by recovery.
    pub held_bytes: u64,
    /// Part of `held_bytes` that no snapshot holds back: two checkpoints make it free.
    pub settling_bytes: u64,
    /// Part of it that can be used again without growing the file.
    pub free_bytes: u64,
    /// Changed pages that no checkpoint has written yet, in memory.
    pub dirty_bytes: u64,
    /// Live snapshots.
    pub snapshot_count: u64,
    /// Size of the log's files.
    pub log_bytes: u64,
    /// Bytes that transactions appended to the log since the database was opened.
    pub log_appended_bytes: u64,
    /// Bytes written to the log since then, with headers and padding.
    pub log_written_bytes: u64,
    /// Times that the log was forced to the media since then; commits at the same time share one.
    pub sync_count: u64,
    /// Oldest position from which the log is kept for a reader of the change feed; `None` if there is none.
    pub feed_lsn: Option<Lsn>,
    /// How far the log is archived, as far as this opening knows; `None` without an archive.
    pub archived_lsn: Option<Lsn>,
    /// Whether the last attempt to archive failed: look at the disk of the archive.
    pub archive_failed: bool,
    /// Attempts to archive that failed since the database was opened.
    pub archive_failures: u64,
    /// Gaps that the archive got since the database was opened: only a new backup helps.
    pub archive_gaps: u64,
    /// Size of a page.
    pub page_bytes: u64,
}

impl From<engine::Stats> for Stats {
    fn from(stats: engine::Stats) -> Self {
        let (pages, page_bytes) = (&stats.pages, stats.page_bytes);
        let log = stats.log.as_ref();
        Self {
            store: stats.store,
            txid: stats.txid,
            published_txid: stats.published_txid,
            timestamp: stats.timestamp,
            lsn: stats.lsn,
            durable_lsn: stats.durable_lsn,
            checkpoint_lsn: stats.checkpoint_lsn,
            replay_bytes: stats.replay_bytes,
            replay_ops: stats.replay_ops,
            replay_estimate_us: stats.replay_estimate_us,
            apply_ns: stats.apply_ns,
            throttled_count: stats.throttled_count,
            stalled_count: stats.stalled_count,
            checkpoint_count: stats.checkpoint_count,
            tree_count: stats.tree_count,
            key_count: stats.key_count,
            file_bytes: stats.file_bytes,
            live_bytes: pages.live_pages * page_bytes,
            held_bytes: pages.held_pages * page_bytes,
            settling_bytes: pages.settling_pages * page_bytes,
            free_bytes: pages.free_pages * page_bytes,
            dirty_bytes: pages.dirty_pages * page_bytes,
            snapshot_count: pages.readers,
            log_bytes: log.map_or(0, |log| log.live_bytes + log.spare_bytes),
            log_appended_bytes: log.map_or(0, |log| log.appended_bytes),
            log_written_bytes: log.map_or(0, |log| log.written_bytes),
            sync_count: log.map_or(0, |log| log.sync_count),
            feed_lsn: stats.feed_lsn,
            archived_lsn: stats.archived_lsn,
            archive_failed: stats.archive_failed,
            archive_failures: stats.archive_failures,
            archive_gaps: stats.archive_gaps,
            page_bytes,
        }
    }
}
