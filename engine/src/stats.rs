//! Numbers about an open store.

use std::sync::atomic::Ordering;

use llmdb_base::{Lsn, PAGE_SIZE, StoreId, Timestamp, TxnId};

use crate::{Engine, Result};

/// Numbers about an open store at one moment. Sizes are in bytes unless the name says otherwise.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Identity of the store.
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
    /// How long recovery would take on a cold disk, in microseconds, by estimate. Held below
    /// [`crate::RecoveryTime::stall_us`].
    pub replay_estimate_us: u64,
    /// What the estimate takes applying one operation for, in nanoseconds; measured in this run.
    pub apply_ns: u64,
    /// How often a writer was slowed down for the sake of recovery since the store was opened.
    pub throttled_count: u64,
    /// How often a writer had to wait for a checkpoint since then.
    pub stalled_count: u64,
    /// Checkpoints since the store was opened.
    pub checkpoint_count: u64,
    /// Number of trees.
    pub tree_count: u64,
    /// Number of keys in all trees.
    pub key_count: u64,
    /// Size of the data file.
    pub file_bytes: u64,
    /// Size of a page.
    pub page_bytes: u64,
    /// Oldest position from which the log is kept for a reader of the change feed; `None` if there is none.
    pub feed_lsn: Option<Lsn>,
    /// How far the log is archived, as far as this opening knows; `None` without an archive.
    pub archived_lsn: Option<Lsn>,
    /// Whether the last attempt to archive failed: look at the disk of the archive.
    pub archive_failed: bool,
    /// Attempts to archive that failed since the store was opened.
    pub archive_failures: u64,
    /// Gaps that the archive got since the store was opened: only a new backup helps.
    pub archive_gaps: u64,
    /// What the pager counts.
    pub pages: llmdb_pager::PagerStats,
    /// What the log counts; `None` for a store in memory.
    pub log: Option<llmdb_wal::LogStats>,
}

impl Engine {
    /// Numbers about the store now. Cost: reads the catalog.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`] if the catalog is damaged.
    pub fn stats(&self) -> Result<Stats> {
        let shared = &self.shared;
        let trees = self.snapshot_latest()?.trees()?;
        let (tip, pages) = (shared.pager.tip(), shared.pager.stats());
        let archived = shared.keeping.archived_lsn.load(Ordering::Acquire);
        let consumers = self.consumers()?.into_iter().map(|consumer| consumer.position.lsn).min();
        Ok(Stats {
            store: shared.pager.store_id(),
            txid: tip.txid,
            published_txid: shared.pager.published().txid,
            timestamp: tip.timestamp,
            lsn: tip.lsn,
            durable_lsn: shared.durable_lsn().min(tip.lsn),
            checkpoint_lsn: shared.pager.durable().lsn,
            replay_bytes: shared.log_bytes_since_checkpoint(),
            replay_ops: shared.pace.ops(),
            replay_estimate_us: shared.replay_us(),
            apply_ns: shared.pace.op_ns(),
            throttled_count: shared.pace.throttled.load(Ordering::Relaxed),
            stalled_count: shared.pace.stalled.load(Ordering::Relaxed),
            checkpoint_count: shared.checkpoint_count.load(Ordering::Relaxed),
            tree_count: trees.len() as u64,
            key_count: trees.iter().fold(0, |sum, (_, keys)| sum.saturating_add(*keys)),
            file_bytes: pages.file_pages * PAGE_SIZE as u64,
            page_bytes: PAGE_SIZE as u64,
            feed_lsn: consumers.into_iter().chain(shared.pins.oldest()).min(),
            archived_lsn: shared.options.archive.as_ref().map(|_| Lsn::new(archived)),
            archive_failed: shared.keeping.archive_failed(),
            archive_failures: shared.keeping.archive_failures.load(Ordering::Relaxed),
            archive_gaps: shared.keeping.archive_gaps.load(Ordering::Relaxed),
            pages,
            log: shared.log.as_ref().map(llmdb_wal::Log::stats),
        })
    }
}
