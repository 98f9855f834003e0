//! What belongs to the one writer, and is handed from transaction to transaction.

use llmdb_base::Epoch;

use crate::{
    allocator::Allocator, map::MapPages, page_set::PageSet, range::PageRange, retention::Retention,
    space::Space,
};

/// The state of the writer between transactions.
#[derive(Debug)]
pub(crate) struct Writer {
    pub allocator: Allocator,
    /// The allocation map as the last checkpoint begun stored it.
    pub map: MapPages,
    /// Pages of `map`.
    pub map_pages: u64,
    /// Allocated by the transaction under way, since its last savepoint; these pages may be changed in place.
    pub fresh: PageSet,
    /// The state that the last checkpoint begun makes durable.
    pub checkpointed: Epoch,
    last_epoch: Epoch,
}

impl Writer {
    pub fn new(last_epoch: Epoch, map: MapPages) -> Self {
        Self {
            allocator: Allocator::default(),
            map_pages: map.page_count(),
            map,
            fresh: PageSet::default(),
            // Everything that there is comes from a checkpoint.
            checkpointed: last_epoch,
            last_epoch,
        }
    }

    /// An epoch that no page has been born in.
    pub fn next_epoch(&mut self) -> Epoch {
        self.last_epoch = self.last_epoch.next();
        self.last_epoch
    }

    /// The last epoch that was given away.
    pub fn last_epoch(&self) -> Epoch {
        self.last_epoch
    }

    /// Makes live pages free. Nothing but the transaction under way may ever have named them.
    pub fn release(&mut self, space: &Space, range: PageRange) {
        space.release(range);
        self.allocator.give(space, range);
    }

    /// Frees the held pages that the reuse rule allows to be used again. `retained` is in ascending order.
    pub fn reclaim(
        &mut self,
        space: &Space,
        retention: &mut Retention,
        published: Epoch,
        retained: &[Epoch],
    ) {
        retention.release(published, retained, &mut |range| {
            space.unhold(range);
            self.allocator.give(space, range);
        });
    }

    /// The allocation map is about to be stored in these pages.
    pub fn set_map(&mut self, map: MapPages) {
        self.map_pages = map.page_count();
        self.map = map;
    }
}

/// Where the writer is.
#[derive(Debug)]
pub(crate) enum WriterSlot {
    /// The store was opened for reading.
    ReadOnly,
    /// Another process has the turn, or none.
    Away,
    /// The allocation map is damaged; it must be rebuilt first. What is known of it: the pages of the older
    /// generation, which stay untouched.
    MapUnknown(Box<Unknown>),
    /// No transaction is under way.
    Idle(Box<Writer>),
    /// A transaction has it.
    Lent,
}

/// A writer without an allocation map.
#[derive(Debug)]
pub(crate) struct Unknown {
    pub last_epoch: Epoch,
    /// Pages of the older generation, with its epoch, if its map is intact.
    pub older: Option<(Epoch, Vec<PageRange>)>,
}
