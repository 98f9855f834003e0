//! Slots of readers in the area: who reads which state, seen by all processes. The protocol is that of `readers`; what
//! comes on top is the end of a process, which leaves its slots as they are.
//!
//! ```text
//!   state of a slot    0            free
//!                      CLAIMED | s  taken by session s, which has not said yet what it reads: it holds nothing
//!                      epoch        a root is held, by the session in the second word
//! ```
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

const FREE: u64 = 0;
const CLAIMED: u64 = 1 << 63;
/// Epochs are below this; what is not was never stored by us.
const EPOCH_END: u64 = 1 << 62;

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

    /// Adds the epochs of all roots that readers hold to `held`, as `ReaderTable::scan` does.
    pub fn scan(&self, held: &mut Vec<Epoch>) {
        fence(SeqCst);
        let states = self.words.chunks_exact(S).take(self.end()).map(|slot| slot[0].load(Acquire));
        held.extend(states.filter(|state| (1..EPOCH_END).contains(state)).map(Epoch::new));
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
