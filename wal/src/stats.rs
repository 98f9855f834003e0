//! Counters of a log.

use llmdb_base::sync::atomic::{AtomicU64, Ordering};
use llmdb_vfs::RingKind;

/// What a log has done since it was opened. Counters are read one by one, so they may be a moment apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogStats {
    /// Records finished.
    pub record_count: u64,
    /// Bytes of records accepted, also of those that were abandoned.
    pub appended_bytes: u64,
    /// Batches handed to the disk; each is one durable write.
    pub batch_count: u64,
    /// Bytes of these batches, with headers and padding.
    pub written_bytes: u64,
    /// Bytes of zeros written ahead.
    pub zeroed_bytes: u64,
    /// Calls of `sync_to`, also those that found their LSN durable already.
    pub commit_count: u64,
    /// Rounds of group commit: times that one committer wrote for all that were waiting.
    pub sync_count: u64,
    /// Segments begun.
    pub segment_count: u64,
    /// Of these, segments that reused a spare file.
    pub recycled_count: u64,
    /// Segment files now, without spares.
    pub live_segment_count: u64,
    /// Length of these files in bytes.
    pub live_bytes: u64,
    /// Spare files now.
    pub spare_count: u64,
    /// Length of the spare files in bytes.
    pub spare_bytes: u64,
    /// How writes are done; `None` before the first.
    pub ring: Option<RingKind>,
}

/// The counters that change on the way.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub records: Counter,
    pub appended_bytes: Counter,
    pub batches: Counter,
    pub written_bytes: Counter,
    pub zeroed_bytes: Counter,
    pub commits: Counter,
    pub syncs: Counter,
    pub segments: Counter,
    pub recycled: Counter,
}

/// A number that only grows. Relaxed: nothing is concluded from it.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
