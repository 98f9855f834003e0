//! Committed states, and the two of them that threads pass to each other: the published one and the tip.

use std::array;

use llmdb_base::{Epoch, Lsn, SeqWords, Timestamp, TxnId, codec::get_u64};

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

/// The committed state that readers find. Word 0, the epoch, never goes down.
#[derive(Debug)]
pub(crate) struct RootCell(SeqWords<WORD_COUNT>);

impl RootCell {
    pub fn new(root: &RootRecord) -> Self {
        Self(SeqWords::new(root.to_words()))
    }

    pub fn load(&self) -> RootRecord {
        RootRecord::from_words(self.0.load())
    }

    /// The current epoch, or the one being stored.
    pub fn epoch(&self) -> Epoch {
        Epoch::new(self.0.first())
    }

    /// Replaces the state by a later one. Callers exclude each other.
    pub fn store(&self, root: &RootRecord) {
        debug_assert!(root.epoch >= self.epoch(), "epochs go up");
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
}
