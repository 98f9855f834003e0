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
//!
//! A reader that has nothing borrowed may rest. While it rests its root is held as before, but its lease may be
//! ended: whoever does that, and the reader that wants to go on, exchange the same word, and one of them wins.
//!
//! ```text
//!    FREE --claim--> CLAIMED --enter--> epoch --rest--> RESTING + epoch --end--> ENDED
//!      ^                                  |  ^---wake-------'  |                   |
//!      '--------------leave---------------'--------------------'-------------------'
//! ```

use std::sync::OnceLock;

use llmdb_base::{
    Epoch, SeqWords,
    sync::atomic::{
        AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
        fence,
    },
};

/// Slots of the first block; every later block is twice as long as the one before.
const FIRST_BLOCK_LEN: usize = if cfg!(loom) { 2 } else { 64 };
const BLOCK_COUNT: usize = 24;

const FREE: u64 = u64::MAX;
/// Taken by a reader that has not said yet what it reads. It holds nothing.
const CLAIMED: u64 = u64::MAX - 1;
/// Of a reader whose lease was ended. It holds nothing.
const ENDED: u64 = u64::MAX - 2;
/// Added to the epoch of a reader that rests. Epochs are far smaller.
const RESTING: u64 = 1 << 62;

/// The epoch of the root that a slot with this word holds.
fn held(word: u64) -> Option<Epoch> {
    (word < ENDED).then(|| Epoch::new(word & !RESTING))
}

/// Words of the name of a reader.
const NAME_WORDS: usize = 4;
/// Bytes of the name of a reader; what is longer is cut.
pub const READER_NAME_LEN: usize = NAME_WORDS * 8;

/// Who reads. Opaque here; shown to those who ask who holds pages back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Note {
    /// When it began.
    pub since: i64,
    /// Its name, filled up with zeros.
    pub name: [u8; READER_NAME_LEN],
}

/// A reader, as another thread sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub epoch: Epoch,
    pub txid: u64,
    pub note: Note,
    pub may_end: bool,
    pub is_resting: bool,
}

/// One reader. A cache line of its own, so that readers on different processors do not disturb each other. The words
/// behind the first are set before it, and say nothing while it does not hold an epoch.
#[derive(Debug)]
#[repr(align(64))]
struct Slot {
    word: AtomicU64,
    /// Second word of the cell that was entered: the transaction.
    txid: AtomicU64,
    since: AtomicU64,
    /// 1 if the lease may be ended while the reader rests.
    may_end: AtomicU64,
    name: [AtomicU64; NAME_WORDS],
}

impl Slot {
    fn new() -> Self {
        Self {
            word: AtomicU64::new(FREE),
            txid: AtomicU64::new(0),
            since: AtomicU64::new(0),
            may_end: AtomicU64::new(0),
            name: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    fn set_note(&self, note: &Note) {
        self.since.store(note.since.cast_unsigned(), Relaxed);
        self.may_end.store(0, Relaxed);
        let (words, _) = note.name.as_chunks::<8>();
        for (cell, word) in self.name.iter().zip(words) {
            cell.store(u64::from_le_bytes(*word), Relaxed);
        }
    }

    fn note(&self) -> Note {
        let mut name = [0; READER_NAME_LEN];
        for (bytes, word) in name.chunks_exact_mut(8).zip(&self.name) {
            bytes.copy_from_slice(&word.load(Relaxed).to_le_bytes());
        }
        Note { since: self.since.load(Relaxed).cast_signed(), name }
    }
}

/// Where a reader stands in the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
    pub fn enter<const N: usize>(&self, cell: &SeqWords<N>, note: Note) -> (SlotId, [u64; N]) {
        let id = self.claim();
        let slot = self.slot(id);
        slot.set_note(&note);
        loop {
            let words = cell.load();
            slot.txid.store(words[1], Relaxed);
            // Release: whoever sees this epoch also sees that the reader before in this slot is done.
            slot.word.store(words[0], Release);
            fence(SeqCst);
            if cell.first() == words[0] {
                return (id, words);
            }
        }
    }

    /// Lets go of the root held in a slot.
    pub fn leave(&self, id: SlotId) {
        // Release: the reader's last look at its pages comes before the writer's first store to them.
        self.slot(id).word.store(FREE, Release);
    }

    /// The reader in a slot has borrowed nothing: until it wakes up, its lease may be ended.
    pub fn rest(&self, id: SlotId, epoch: Epoch) {
        let slot = self.slot(id);
        slot.may_end.store(1, Relaxed);
        // Release: its looks at pages come before the writer's stores to them, should it be ended.
        slot.word.store(epoch.get() | RESTING, Release);
    }

    /// The reader in a slot goes on. `false` if its lease was ended: then it must not look at a page again.
    pub fn wake(&self, id: SlotId, epoch: Epoch) -> bool {
        let resting = epoch.get() | RESTING;
        self.slot(id).word.compare_exchange(resting, epoch.get(), AcqRel, Acquire).is_ok()
    }

    /// Ends the lease of the reader in a slot, if it rests on the root of `epoch`. Its pages are free with the next
    /// scan.
    pub fn end(&self, id: SlotId, epoch: Epoch) -> bool {
        let resting = epoch.get() | RESTING;
        // Acquire: the looks of the reader at its pages come before whatever the caller does next.
        self.slot(id).word.compare_exchange(resting, ENDED, AcqRel, Relaxed).is_ok()
    }

    /// Everybody who holds a root. For people: whoever comes or goes meanwhile may be missing or there.
    pub fn list(&self) -> Vec<(SlotId, Entry)> {
        fence(SeqCst);
        let mut entries = Vec::new();
        for (block, slots) in self.blocks.iter().map_while(OnceLock::get).enumerate() {
            for (index, slot) in slots.iter().enumerate() {
                let word = slot.word.load(Acquire);
                let (txid, note, may_end) =
                    (slot.txid.load(Relaxed), slot.note(), slot.may_end.load(Relaxed));
                fence(Acquire);
                // The words belong together if the first has not changed, or to a reader of the same root.
                if let Some(epoch) = held(word).filter(|_| slot.word.load(Relaxed) == word) {
                    let (may_end, is_resting) = (may_end == 1, word & RESTING != 0);
                    let entry = Entry { epoch, txid, note, may_end, is_resting };
                    entries.push((SlotId { block, index }, entry));
                }
            }
        }
        entries
    }

    /// Adds the epochs of all roots that readers hold to `epochs`. For a page that was freed in an epoch that was
    /// published before the call, what this misses is harmless: see the module.
    pub fn scan(&self, epochs: &mut Vec<Epoch>) {
        fence(SeqCst);
        for block in self.blocks.iter().map_while(OnceLock::get) {
            epochs.extend(block.iter().filter_map(|slot| held(slot.word.load(Acquire))));
        }
    }

    fn claim(&self) -> SlotId {
        for block in 0..BLOCK_COUNT {
            let slots = self.block(block);
            let start = start::index() % slots.len();
            for index in (start..slots.len()).chain(0..start) {
                let slot = &slots[index].word;
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
        self.blocks[block].get_or_init(|| (0..FIRST_BLOCK_LEN << block).map(|_| Slot::new()).collect())
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
        let (table, cell) = (ReaderTable::new(), SeqWords::new([3, 4]));
        let (first, found) = table.enter(&cell, Note::default());
        assert_eq!(found, [3, 4]);
        cell.store([8, 9]);
        let (second, _) = table.enter(&cell, Note::default());
        assert_eq!(held(&table), [3, 8]);
        table.leave(first);
        assert_eq!(held(&table), [8]);
        table.leave(second);
        assert_eq!(held(&table), []);
    }

    #[test]
    fn a_lease_ends_only_while_its_reader_rests() {
        let (table, cell) = (ReaderTable::new(), SeqWords::new([3, 4]));
        let (slot, _) = table.enter(&cell, Note::default());
        let epoch = Epoch::new(3);
        assert!(!table.end(slot, epoch), "it reads");
        table.rest(slot, epoch);
        assert_eq!(held(&table), [3], "it rests, and holds its root");
        assert!(table.wake(slot, epoch));
        assert!(!table.end(slot, epoch), "it reads again");
        table.rest(slot, epoch);
        assert!(!table.end(slot, Epoch::new(4)), "somebody else was meant");
        assert!(table.end(slot, epoch));
        assert_eq!(held(&table), []);
        assert!(!table.wake(slot, epoch) && !table.wake(slot, epoch), "too late");
        assert_eq!(table.list(), []);
        table.leave(slot);
        let (again, _) = table.enter(&cell, Note::default());
        assert_eq!((again, held(&table)), (slot, vec![3]));
    }

    #[test]
    fn readers_are_listed_with_what_they_say_of_themselves() {
        let (table, cell) = (ReaderTable::new(), SeqWords::new([3, 40]));
        let mut note = Note { since: -5, ..Note::default() };
        note.name[..6].copy_from_slice(b"report");
        let (slot, _) = table.enter(&cell, note);
        let entry = Entry { epoch: Epoch::new(3), txid: 40, note, may_end: false, is_resting: false };
        assert_eq!(table.list(), [(slot, entry)]);
        table.rest(slot, Epoch::new(3));
        assert_eq!(table.list(), [(slot, Entry { may_end: true, is_resting: true, ..entry })]);
        table.leave(slot);
        assert_eq!(table.list(), []);
    }

    #[test]
    fn the_table_grows_with_its_readers() {
        let (table, cell) = (ReaderTable::new(), SeqWords::new([3, 4]));
        let ids: Vec<_> = (0..1000).map(|_| table.enter(&cell, Note::default()).0).collect();
        assert_eq!(held(&table).len(), 1000);
        ids.into_iter().for_each(|id| table.leave(id));
        assert_eq!(held(&table), []);
    }
}
