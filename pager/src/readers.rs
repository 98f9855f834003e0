//! Who reads which state: a table of slots that readers fill without locks and the writer looks through before it
//! uses freed pages again.
//!
//! ```text
//!   reader                                  writer
//!   slot := epoch of the current root       ... publishes a root of epoch F
//!   fence ------------------------------    fence
//!   is that root still current?             looks through the slots
//!     yes: the root is held                   no slot in [born, freed): the page is used again
//!     no:  again
//! ```
//!
//! The two fences are ordered one way or the other. If the reader's comes first, the writer sees the slot. If the
//! writer's comes first, the reader sees that its root is no longer current and tries a later one.

use std::sync::OnceLock;

use llmdb_base::{
    Epoch,
    sync::atomic::{
        AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
        fence,
    },
};

use crate::roots::EpochCell;

/// Slots of the first block; every later block is twice as long as the one before.
const FIRST_BLOCK_LEN: usize = if cfg!(loom) { 2 } else { 64 };
const BLOCK_COUNT: usize = 24;

const FREE: u64 = u64::MAX;
/// Taken by a reader that has not said yet what it reads. It holds nothing.
const CLAIMED: u64 = u64::MAX - 1;

/// One reader. A cache line of its own, so that readers on different processors do not disturb each other.
#[derive(Debug)]
#[repr(align(64))]
struct Slot(AtomicU64);

/// Where a reader stands in the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotId {
    block: usize,
    index: usize,
}

/// The table. It grows and never shrinks.
#[derive(Debug)]
pub(crate) struct ReaderTable {
    blocks: [OnceLock<Box<[Slot]>>; BLOCK_COUNT],
}

impl ReaderTable {
    pub fn new() -> Self {
        let table = Self { blocks: [const { OnceLock::new() }; BLOCK_COUNT] };
        table.block(0);
        table
    }

    /// Holds the current root of `cell`: none of its pages is used again until [`ReaderTable::leave`]. Allocates
    /// only when there are more readers at once than ever before.
    pub fn enter<const N: usize>(&self, cell: &EpochCell<N>) -> (SlotId, [u64; N]) {
        let id = self.claim();
        let slot = self.slot(id);
        loop {
            let words = cell.load();
            // Release: whoever sees this epoch also sees that the reader before in this slot is done.
            slot.0.store(words[0], Release);
            fence(SeqCst);
            if cell.epoch().get() == words[0] {
                return (id, words);
            }
        }
    }

    /// Lets go of the root held in a slot.
    pub fn leave(&self, id: SlotId) {
        // Release: the reader's last look at its pages comes before the writer's first store to them.
        self.slot(id).0.store(FREE, Release);
    }

    /// Adds the epochs of all roots that readers hold to `held`. For a page that was freed in an epoch that was
    /// published before the call, what this misses is harmless: see the module.
    pub fn scan(&self, held: &mut Vec<Epoch>) {
        fence(SeqCst);
        for block in self.blocks.iter().map_while(OnceLock::get) {
            let epochs = block.iter().map(|slot| slot.0.load(Acquire));
            held.extend(epochs.filter(|epoch| *epoch < CLAIMED).map(Epoch::new));
        }
    }

    fn claim(&self) -> SlotId {
        for block in 0..BLOCK_COUNT {
            let slots = self.block(block);
            let start = start::index() % slots.len();
            for index in (start..slots.len()).chain(0..start) {
                let slot = &slots[index].0;
                if slot.load(Relaxed) == FREE && slot.compare_exchange(FREE, CLAIMED, AcqRel, Relaxed).is_ok()
                {
                    start::remember(index);
                    return SlotId { block, index };
                }
            }
        }
        unreachable!("memory ends before a thousand million readers do")
    }

    fn block(&self, block: usize) -> &[Slot] {
        self.blocks[block]
            .get_or_init(|| (0..FIRST_BLOCK_LEN << block).map(|_| Slot(AtomicU64::new(FREE))).collect())
    }

    fn slot(&self, id: SlotId) -> &Slot {
        &self.block(id.block)[id.index]
    }
}

/// Where a thread begins to look for a free slot: where it found the last one.
#[cfg(not(loom))]
mod start {
    use std::{
        cell::Cell,
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
    };

    static THREAD_COUNT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static START: Cell<Option<usize>> = const { Cell::new(None) };
    }

    pub(super) fn index() -> usize {
        START.get().unwrap_or_else(|| THREAD_COUNT.fetch_add(1, Relaxed))
    }

    pub(super) fn remember(index: usize) {
        START.set(Some(index));
    }
}

/// Under loom every run of a model must go the same way.
#[cfg(loom)]
mod start {
    pub(super) fn index() -> usize {
        0
    }

    pub(super) fn remember(_index: usize) {}
}

#[cfg(not(loom))]
#[cfg(test)]
mod tests {
    use super::*;

    fn held(table: &ReaderTable) -> Vec<u64> {
        let mut held = Vec::new();
        table.scan(&mut held);
        held.sort_unstable();
        held.into_iter().map(Epoch::get).collect()
    }

    #[test]
    fn readers_hold_the_root_they_found() {
        let (table, cell) = (ReaderTable::new(), EpochCell::new([3, 4]));
        let (first, found) = table.enter(&cell);
        assert_eq!(found, [3, 4]);
        cell.store([8, 9]);
        let (second, _) = table.enter(&cell);
        assert_eq!(held(&table), [3, 8]);
        table.leave(first);
        assert_eq!(held(&table), [8]);
        table.leave(second);
        assert_eq!(held(&table), []);
    }

    #[test]
    fn the_table_grows_with_its_readers() {
        let (table, cell) = (ReaderTable::new(), EpochCell::new([3, 4]));
        let ids: Vec<_> = (0..1000).map(|_| table.enter(&cell).0).collect();
        assert_eq!(held(&table).len(), 1000);
        ids.into_iter().for_each(|id| table.leave(id));
        assert_eq!(held(&table), []);
    }
}
