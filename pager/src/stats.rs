//! Figures for people who watch a store.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use llmdb_base::Epoch;

/// Figures of a pager. Taken without locks, so that they may be off by what happens meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct PagerStats {
    /// Pages of the file.
    pub file_pages: u64,
    /// Pages reachable from the newest committed root, and the meta pages.
    pub live_pages: u64,
    /// Freed pages that cannot be used yet, because a retained root names them.
    pub held_pages: u64,
    /// Pages that can be allocated before the file grows.
    pub free_pages: u64,
    /// Live pages whose bytes are in memory only.
    pub dirty_pages: u64,
    /// Pages with a private copy in memory: dirty ones, and free or held ones that were never written.
    pub private_pages: u64,
    /// Readers at this moment.
    pub readers: u64,
    /// Epoch of the root that the oldest reader holds.
    pub oldest_reader: Option<Epoch>,
    /// The oldest root, of a reader or a checkpoint, that kept pages from being used when the last write
    /// transaction began.
    pub oldest_holder: Option<Epoch>,
    /// How many pages that root held.
    pub oldest_holder_pages: u64,
    /// Held pages that no reader of their time kept when the last write transaction began: two checkpoints make them
    /// free.
    pub settling_pages: u64,
    /// Nodes that the newest checkpoint has and that were replaced since: what a replay would have to read.
    pub replaced_pages: u64,
    /// Pages allocated since the store was opened.
    pub allocated_pages: u64,
    /// Pages that checkpoints wrote since the store was opened.
    pub checkpoint_pages: u64,
    /// Pages written early, or directly as parts of long values, since the store was opened.
    pub spilled_pages: u64,
    /// Epochs given away since the last checkpoint, or since the store was opened: a crash loses no more of them.
    pub epochs: u64,
    /// Checkpoints finished since the store was opened.
    pub checkpoints: u64,
}

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub allocated_pages: AtomicU64,
    pub checkpoint_pages: AtomicU64,
    pub spilled_pages: AtomicU64,
    pub checkpoints: AtomicU64,
    pub oldest_holder: AtomicU64,
    pub oldest_holder_pages: AtomicU64,
    pub settling_pages: AtomicU64,
    /// Since the last checkpoint was begun.
    pub replaced_pages: AtomicU64,
    /// Before that, and not in a finished checkpoint.
    pub replaced_before: AtomicU64,
    /// Epochs given away since the last checkpoint was begun, or the store was opened.
    pub epochs: AtomicU64,
    /// Before that, and since the last finished checkpoint.
    pub epochs_before: AtomicU64,
}

impl Counters {
    pub fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Relaxed);
    }

    /// A checkpoint begins: what is replaced from now on is counted for the next one.
    pub fn begin_checkpoint(&self) {
        let replaced = self.replaced_pages.swap(0, Relaxed);
        self.replaced_before.fetch_add(replaced, Relaxed);
        let epochs = self.epochs.swap(0, Relaxed);
        self.epochs_before.fetch_add(epochs, Relaxed);
    }

    /// This process writes from now on, a replay would have to read `replaced` nodes, and since the last checkpoint
    /// `epochs` were given away.
    pub fn begin_turn(&self, replaced: u64, epochs: u64) {
        self.epochs_before.store(0, Relaxed);
        self.epochs.store(epochs, Relaxed);
        self.replaced_before.store(0, Relaxed);
        self.replaced_pages.store(replaced, Relaxed);
    }

    /// A checkpoint has been finished: a replay would begin with its state.
    pub fn finish_checkpoint(&self) {
        self.replaced_before.store(0, Relaxed);
        self.epochs_before.store(0, Relaxed);
        self.checkpoints.fetch_add(1, Relaxed);
    }

    /// Nodes that a replay would have to read.
    pub fn replaced(&self) -> u64 {
        self.replaced_before.load(Relaxed) + self.replaced_pages.load(Relaxed)
    }

    /// Epochs given away since the last checkpoint, or since the store was opened.
    pub fn epochs(&self) -> u64 {
        self.epochs_before.load(Relaxed) + self.epochs.load(Relaxed)
    }

    pub fn note_holder(&self, holder: Option<(Epoch, u64)>) {
        let (epoch, pages) = holder.map_or((0, 0), |(epoch, pages)| (epoch.get(), pages));
        self.oldest_holder.store(epoch, Relaxed);
        self.oldest_holder_pages.store(pages, Relaxed);
    }

    pub fn fill(&self, stats: &mut PagerStats) {
        stats.settling_pages = self.settling_pages.load(Relaxed);
        stats.replaced_pages = self.replaced();
        stats.epochs = self.epochs();
        stats.allocated_pages = self.allocated_pages.load(Relaxed);
        stats.checkpoint_pages = self.checkpoint_pages.load(Relaxed);
        stats.spilled_pages = self.spilled_pages.load(Relaxed);
        stats.checkpoints = self.checkpoints.load(Relaxed);
        let holder = self.oldest_holder.load(Relaxed);
        stats.oldest_holder = (holder != 0).then(|| Epoch::new(holder));
        stats.oldest_holder_pages = self.oldest_holder_pages.load(Relaxed);
    }
}
