//! Committed states, and the two of them that threads pass to each other: the published one and the tip.

use std::array;

use llmdb_base::{
    Epoch, Lsn, Timestamp, TxnId,
    codec::get_u64,
    sync::{
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
            fence,
        },
        thread,
    },
};

use crate::readers::{Note, ReaderTable, SlotId};

/// Bytes of tree roots in a state.
pub const ROOTS_LEN: usize = 64;

/// What a commit says about the state it makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RootState {
    /// Last transaction in the state.
    pub txid: TxnId,
    /// Commit time of that transaction.
    pub timestamp: Timestamp,
    /// End of the record of that transaction in the log.
    pub lsn: Lsn,
    /// Where the trees begin; opaque here.
    pub roots: [u8; ROOTS_LEN],
}

/// A committed state, named by its epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RootRecord {
    /// Epoch of the last change. A checkpoint counts as a change, though it changes no tree.
    pub epoch: Epoch,
    /// Last transaction in the state.
    pub txid: TxnId,
    /// Commit time of that transaction.
    pub timestamp: Timestamp,
    /// End of the record of that transaction in the log.
    pub lsn: Lsn,
    /// Every page of the state has a number below this one.
    pub page_count: u64,
    /// Where the trees begin; opaque here.
    pub roots: [u8; ROOTS_LEN],
}

impl RootRecord {
    pub(crate) fn new(epoch: Epoch, page_count: u64, state: RootState) -> Self {
        let RootState { txid, timestamp, lsn, roots } = state;
        Self { epoch, txid, timestamp, lsn, page_count, roots }
    }

    /// The part that the committer chose.
    pub fn state(&self) -> RootState {
        let Self { txid, timestamp, lsn, roots, .. } = *self;
        RootState { txid, timestamp, lsn, roots }
    }

    pub(crate) fn to_words(self) -> [u64; WORD_COUNT] {
        array::from_fn(|index| match index {
            0 => self.epoch.get(),
            1 => self.txid.get(),
            2 => self.timestamp.get().cast_unsigned(),
            3 => self.lsn.get(),
            4 => self.page_count,
            _ => get_u64(&self.roots, (index - FIXED_WORDS) * 8),
        })
    }

    pub(crate) fn from_words(words: [u64; WORD_COUNT]) -> Self {
        let mut roots = [0; ROOTS_LEN];
        for (bytes, word) in roots.chunks_exact_mut(8).zip(&words[FIXED_WORDS..]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self {
            epoch: Epoch::new(words[0]),
            txid: TxnId::new(words[1]),
            timestamp: Timestamp::new(words[2].cast_signed()),
            lsn: Lsn::new(words[3]),
            page_count: words[4],
            roots,
        }
    }
}

const FIXED_WORDS: usize = 5;
pub(crate) const WORD_COUNT: usize = FIXED_WORDS + ROOTS_LEN / 8;

/// A few words, of which the first is an epoch, that one thread changes while others read them without a lock.
///
/// Invariants:
/// 1. `version` is odd while the words are being changed. Whoever saw the same even version before and after
///    reading the words has read words that belong together.
/// 2. Word 0, the epoch, never goes down.
#[derive(Debug)]
pub(crate) struct EpochCell<const N: usize> {
    version: AtomicU64,
    words: [AtomicU64; N],
}

impl<const N: usize> EpochCell<N> {
    pub fn new(words: [u64; N]) -> Self {
        Self { version: AtomicU64::new(0), words: words.map(AtomicU64::new) }
    }

    /// The current words. Waits while they are being changed, which takes a few stores.
    pub fn load(&self) -> [u64; N] {
        loop {
            let before = self.version.load(Acquire);
            let words = array::from_fn(|index| self.words[index].load(Relaxed));
            // Orders the words before the second look at the version (1).
            fence(Acquire);
            if before.is_multiple_of(2) && self.version.load(Relaxed) == before {
                return words;
            }
            thread::yield_now();
        }
    }

    /// The current epoch, or the one being stored.
    pub fn epoch(&self) -> Epoch {
        Epoch::new(self.words[0].load(Acquire))
    }

    /// Replaces the words. Callers exclude each other.
    pub fn store(&self, words: [u64; N]) {
        let version = self.version.load(Relaxed);
        self.version.store(version + 1, Relaxed);
        // Orders the odd version before the words (1).
        fence(Release);
        for (cell, word) in self.words.iter().zip(words) {
            // Release: whoever sees the epoch sees what was done before.
            cell.store(word, Release);
        }
        self.version.store(version + 2, Release);
    }
}

/// The committed state that readers find.
#[derive(Debug)]
pub(crate) struct RootCell(EpochCell<WORD_COUNT>);

impl RootCell {
    pub fn new(root: &RootRecord) -> Self {
        Self(EpochCell::new(root.to_words()))
    }

    pub fn load(&self) -> RootRecord {
        RootRecord::from_words(self.0.load())
    }

    pub fn epoch(&self) -> Epoch {
        self.0.epoch()
    }

    /// Replaces the state by a later one. Callers exclude each other.
    pub fn store(&self, root: &RootRecord) {
        debug_assert!(root.epoch >= self.epoch(), "epochs go up (2)");
        self.0.store(root.to_words());
    }

    /// Holds the state in `readers` for as long as the slot is not left.
    pub fn enter(&self, readers: &ReaderTable, note: Note) -> (SlotId, RootRecord) {
        let (slot, words) = readers.enter(&self.0, note);
        (slot, RootRecord::from_words(words))
    }
}

#[cfg(not(loom))]
#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: u64) -> RootRecord {
        RootRecord {
            epoch: Epoch::new(epoch),
            txid: TxnId::new(epoch),
            timestamp: Timestamp::new(-1),
            lsn: Lsn::new(epoch * 3),
            page_count: 99,
            roots: [u8::try_from(epoch % 251).expect("below 251"); ROOTS_LEN],
        }
    }

    #[test]
    fn a_record_survives_its_words() {
        let root = record(0x0102_0304_0506_0708);
        assert_eq!(RootRecord::from_words(root.to_words()), root);
        let cell = RootCell::new(&root);
        assert_eq!(cell.load(), root);
        assert_eq!(cell.epoch(), root.epoch);
    }

    #[test]
    fn readers_never_see_halves_of_two_records() {
        let cell = RootCell::new(&record(0));
        std::thread::scope(|scope| {
            scope.spawn(|| (1..20_000).for_each(|epoch| cell.store(&record(epoch))));
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut last = 0;
                    while last < 19_999 {
                        let root = cell.load();
                        assert_eq!(root, record(root.epoch.get()));
                        assert!(root.epoch.get() >= last);
                        last = root.epoch.get();
                    }
                });
            }
        });
    }
}
