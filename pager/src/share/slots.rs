//! Slots of readers in the area: who reads which state, seen by all processes. The protocol is that of `readers`; what
//! comes on top is the end of a process, which leaves its slots as they are.
//!
//! ```text
//!   state of a slot    0            free
//!                      CLAIMED | s  taken by session s, which has not said yet what it reads: it holds nothing
//!                      epoch        a root is held, by the session in the second word
//!                      RESTING | e  the same, by a reader that has borrowed nothing: its lease may be ended, by going
//!                                   back to CLAIMED
//! ```
//!
//! Behind state and session come the transaction of the root, when the reader began, and its name: for people.
//!
//! Invariants:
//! 1. Only the session that claimed a slot stores to it, until it is free again; or, if that session has ended, the
//!    holder of the turn, who frees it.
//! 2. `end` lies behind every slot that holds a root, for whoever looks behind a fence that comes after the reader's.

use llmdb_base::{
    Epoch,
    sync::atomic::{
        Ordering::{Acquire, Relaxed, Release, SeqCst},
        fence,
    },
};

use super::{
    ring::{Ring, Unreadable},
    word::Word,
};
use crate::readers::{Entry, Note};

const FREE: u64 = 0;
const CLAIMED: u64 = 1 << 63;
/// Added to the epoch of a reader that rests.
const RESTING: u64 = 1 << 62;
/// Epochs are below this; what is not was never stored by us.
const EPOCH_END: u64 = 1 << 60;
/// Words behind state and session: transaction, beginning, and then the name.
const TXID: usize = 2;
const SINCE: usize = 3;
const NAME: usize = 4;
/// In the word of the beginning: the lease of the reader may be ended while it rests.
const MAY_END: u64 = 1 << 62;

/// The epoch of the root that a slot in this state holds.
fn held(state: u64) -> Option<Epoch> {
    let epoch = state & !RESTING;
    (1..EPOCH_END).contains(&epoch).then(|| Epoch::new(epoch))
}

/// Why a reader could not begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// Every slot is taken.
    Full,
    /// See [`Unreadable`].
    Unreadable,
}

impl From<Unreadable> for Refused {
    fn from(_: Unreadable) -> Self {
        Self::Unreadable
    }
}

/// The slots, `S` words each.
#[derive(Debug)]
pub(crate) struct Slots<'a, W, const S: usize> {
    pub end: &'a W,
    pub words: &'a [W],
}

impl<W: Word, const S: usize> Slots<'_, W, S> {
    /// Takes a slot, looking from `start` on.
    pub fn claim(&self, session: u64, start: usize) -> Result<usize, Refused> {
        let count = self.words.len() / S;
        let start = start % count;
        for index in (start..count).chain(0..start) {
            let state = &self.words[index * S];
            if state.load(Relaxed) == FREE && state.replace(FREE, CLAIMED | session) {
                self.words[index * S + 1].store(session, Relaxed);
                if self.end.load(Relaxed) <= index as u64 {
                    self.end.raise(index as u64 + 1);
                }
                return Ok(index);
            }
        }
        Err(Refused::Full)
    }

    /// Holds the current root of `ring` in a claimed slot.
    pub fn hold_current<const N: usize, const R: usize>(
        &self,
        slot: usize,
        ring: &Ring<'_, W, N, R>,
    ) -> Result<[u64; N], Unreadable> {
        loop {
            let (number, words) = ring.load()?;
            self.announce(slot, words[0]);
            if ring.current() == number {
                return Ok(words);
            }
        }
    }

    /// Says what the reader of a claimed slot is about to read. It holds it if the root is still current, or not
    /// published yet, after that.
    pub fn announce(&self, slot: usize, epoch: u64) {
        // Release: whoever sees this epoch also sees that the reader before in this slot is done.
        self.words[slot * S].store(epoch, Release);
        fence(SeqCst);
    }

    /// Gives a slot back.
    pub fn leave(&self, slot: usize) {
        // Release: the reader's last look at its pages comes before the writer's first store to them.
        self.words[slot * S].store(FREE, Release);
    }

    /// Adds the epochs of all roots that readers hold to `epochs`, as `ReaderTable::scan` does.
    pub fn scan(&self, epochs: &mut Vec<Epoch>) {
        fence(SeqCst);
        let states = self.words.chunks_exact(S).take(self.end()).map(|slot| slot[0].load(Acquire));
        epochs.extend(states.filter_map(held));
    }

    /// Says who reads in a claimed slot.
    pub fn set_note(&self, slot: usize, txid: u64, note: &Note) {
        let words = &self.words[slot * S..][..S];
        words[TXID].store(txid, Relaxed);
        words[SINCE].store(note.since.cast_unsigned() & !MAY_END, Relaxed);
        let (name, _) = note.name.as_chunks::<8>();
        for (cell, word) in words[NAME..].iter().zip(name) {
            cell.store(u64::from_le_bytes(*word), Relaxed);
        }
    }

    /// The reader in a slot has borrowed nothing: until it wakes up, its lease may be ended.
    pub fn rest(&self, slot: usize, epoch: Epoch) {
        let since = &self.words[slot * S + SINCE];
        since.store(since.load(Relaxed) | MAY_END, Relaxed);
        // Release: its looks at pages come before the writer's stores to them, should it be ended.
        self.words[slot * S].store(epoch.get() | RESTING, Release);
    }

    /// The reader in a slot goes on. `false` if its lease was ended.
    pub fn wake(&self, slot: usize, epoch: Epoch) -> bool {
        self.words[slot * S].replace(epoch.get() | RESTING, epoch.get())
    }

    /// Ends the lease of the reader in a slot, if it rests on the root of `epoch`. The slot stays taken.
    pub fn end_lease(&self, slot: usize, epoch: Epoch) -> bool {
        let Some(words) = self.words.get(slot * S..(slot + 1) * S) else { return false };
        let session = words[1].load(Relaxed) & !(CLAIMED | RESTING);
        words[0].replace(epoch.get() | RESTING, CLAIMED | session)
    }

    /// Everybody who holds a root, as `ReaderTable::list` has it, with the session.
    pub fn list(&self) -> Vec<(usize, Entry, u64)> {
        fence(SeqCst);
        let slots = self.words.chunks_exact(S).take(self.end()).enumerate();
        let entries = slots.filter_map(|(index, slot)| {
            let state = slot[0].load(Acquire);
            let epoch = held(state)?;
            let since = slot[SINCE].load(Relaxed);
            let mut note = Note { since: (since & !MAY_END).cast_signed(), ..Note::default() };
            for (bytes, word) in note.name.chunks_exact_mut(8).zip(&slot[NAME..]) {
                bytes.copy_from_slice(&word.load(Relaxed).to_le_bytes());
            }
            let (txid, may_end) = (slot[TXID].load(Relaxed), since & MAY_END != 0);
            let entry = Entry { epoch, txid, note, may_end, is_resting: state & RESTING != 0 };
            Some((index, entry, slot[1].load(Relaxed)))
        });
        entries.collect()
    }

    /// Frees the slots of sessions that have ended. Only the holder of the turn calls this, and no session begins
    /// meanwhile. How many slots there were.
    pub fn free_dead(&self, has_ended: impl Fn(u64) -> bool) -> usize {
        let mut freed = 0;
        for slot in self.words.chunks_exact(S).take(self.end()) {
            let state = slot[0].load(Acquire);
            let session = match state {
                FREE => continue,
                state if state & CLAIMED != 0 => state & !CLAIMED,
                _ => slot[1].load(Relaxed),
            };
            if has_ended(session) && slot[0].replace(state, FREE) {
                freed += 1;
            }
        }
        freed
    }

    /// Whether a session has a slot.
    pub fn is_used_by(&self, session: u64) -> bool {
        let mut slots = self.words.chunks_exact(S).take(self.end());
        slots.any(|slot| match slot[0].load(Acquire) {
            FREE => false,
            state if state & CLAIMED != 0 => state & !CLAIMED == session,
            _ => slot[1].load(Relaxed) == session,
        })
    }

    fn end(&self) -> usize {
        usize::try_from(self.end.load(Acquire)).unwrap_or(usize::MAX)
    }
}

#[cfg(not(loom))]
#[cfg(test)]
mod tests {
    use std::{array, sync::atomic::AtomicU64};

    use super::*;

    fn words<const N: usize>() -> [AtomicU64; N] {
        array::from_fn(|_| AtomicU64::new(0))
    }

    fn held(slots: &Slots<'_, AtomicU64, 2>) -> Vec<u64> {
        let mut held = Vec::new();
        slots.scan(&mut held);
        held.into_iter().map(Epoch::get).collect()
    }

    #[test]
    fn slots_hold_roots_and_fill_up() {
        let (end, words) = (AtomicU64::new(0), words::<6>());
        let slots = Slots::<_, 2> { end: &end, words: &words };
        assert_eq!(slots.claim(1, 2), Ok(2));
        slots.announce(2, 40);
        assert_eq!(slots.claim(1, 2), Ok(0));
        assert_eq!(held(&slots), [40], "a claimed slot holds nothing");
        slots.announce(0, 41);
        assert_eq!(slots.claim(2, 7), Ok(1));
        assert_eq!(slots.claim(2, 0), Err(Refused::Full));
        slots.leave(2);
        assert_eq!(held(&slots), [41]);
        assert!(slots.is_used_by(1) && slots.is_used_by(2));
    }

    #[test]
    fn what_the_dead_leave_is_freed() {
        let (end, words) = (AtomicU64::new(0), words::<8>());
        let slots = Slots::<_, 2> { end: &end, words: &words };
        for (slot, session) in [(0, 1), (1, 2), (2, 1), (3, 2)] {
            assert_eq!(slots.claim(session, slot), Ok(slot));
        }
        slots.announce(0, 10);
        slots.announce(1, 11);
        assert_eq!(slots.free_dead(|session| session == 1), 2);
        assert_eq!(held(&slots), [11]);
        assert!(!slots.is_used_by(1) && slots.is_used_by(2));
    }
}
