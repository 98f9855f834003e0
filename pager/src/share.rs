//! Roots and readers of all processes that share a store.
//!
//! The published root and the slots of readers stand in an area that every process maps, and follow the same protocol
//! there as in the memory of one. Pages come through the file: what one process wrote, the maps of the others show.
//! Which process may write at a time is decided elsewhere; here it is known only whether this one may.

pub mod layout;
pub(crate) mod ring;
pub(crate) mod slots;
mod word;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use llmdb_base::{
    Corruption, Epoch, PageError, PageResult, Pgno,
    plant::{Bug, planted},
};
use llmdb_vfs::SharedArea;

use self::{
    ring::{Ring, Unreadable},
    slots::{Refused, Slots},
};
use crate::{
    readers::{Entry, Note},
    roots::{RootCell, RootRecord, WORD_COUNT},
};

type RootRing<'a> = Ring<'a, AtomicU64, WORD_COUNT, { layout::ROOT_WORDS }>;
type ReaderSlots<'a> = Slots<'a, AtomicU64, { layout::READER_WORDS }>;

const _: () = assert!(WORD_COUNT + 2 <= layout::ROOT_WORDS);

/// What this process has in common with the others that have the store open.
pub struct Commons {
    area: Arc<dyn SharedArea>,
    /// Names this process among all that ever registered; not 0, and below 2^62.
    session: u64,
    /// Where the threads of this process begin to look for a slot.
    first_slot: usize,
    holds_turn: AtomicBool,
}

impl Commons {
    /// `process` is the number of the slot of this process, `session` its name.
    pub fn new(area: Arc<dyn SharedArea>, process: usize, session: u64) -> Self {
        Self { area, session, first_slot: process * 16, holds_turn: AtomicBool::new(false) }
    }

    /// The area.
    pub fn area(&self) -> &Arc<dyn SharedArea> {
        &self.area
    }

    /// Whether this process may write. Changes only under the gate of writers.
    pub fn holds_turn(&self) -> bool {
        self.holds_turn.load(Ordering::Acquire)
    }

    /// Tells whether this process may write from now on.
    pub fn set_holds_turn(&self, holds: bool) {
        self.holds_turn.store(holds, Ordering::Release);
    }

    /// The root that readers of all processes find.
    ///
    /// # Errors
    /// Corruption of the area.
    pub fn published(&self) -> PageResult<RootRecord> {
        let loaded = self.ring().load().map_err(unreadable);
        self.check_whole()?;
        checked(RootRecord::from_words(loaded?.1))
    }

    /// Refuses if the area was cut while it was in use: what was read of it, and what it was told, means nothing then.
    ///
    /// # Errors
    /// Corruption of the area.
    pub fn check_whole(&self) -> PageResult<()> {
        if self.area.is_whole() {
            return Ok(());
        }
        let what = "the shared area was cut while it was in use: let every process close the store, and open it anew";
        Err(Corruption::new(Pgno::new(0), what).into())
    }

    /// Makes a root the one that readers find. Only the holder of the turn may.
    pub fn publish(&self, root: &RootRecord) {
        self.ring().publish(&root.to_words(), || self.area.step());
    }

    /// Tells who watches how many pages are live, are held, and there are.
    pub(crate) fn tell_figures(&self, figures: [u64; 3]) {
        for (word, figure) in self.area.words()[layout::FIGURES..].iter().zip(figures) {
            word.store(figure, Ordering::Relaxed);
        }
    }

    /// What the holder of the turn has told last.
    pub(crate) fn figures(&self) -> [u64; 3] {
        std::array::from_fn(|index| self.area.words()[layout::FIGURES + index].load(Ordering::Relaxed))
    }

    /// Frees the slots of readers whose session has ended. Only for the holder of the turn, while no process can
    /// register. How many there were.
    pub fn free_dead(&self, has_ended: impl Fn(u64) -> bool) -> usize {
        self.slots().free_dead(has_ended)
    }

    /// Whether a reader of this process is left.
    pub fn has_readers(&self) -> bool {
        self.slots().is_used_by(self.session)
    }

    /// Holds the published root.
    pub(crate) fn enter(&self, note: &Note) -> PageResult<(usize, RootRecord)> {
        let slots = self.slots();
        let slot = self.claim()?;
        let held = slots.hold_current(slot, &self.ring()).map_err(unreadable);
        let held = held.and_then(|words| checked(RootRecord::from_words(words)));
        let held = self.check_whole().and(held);
        match held {
            Ok(root) => {
                slots.set_note(slot, root.txid.get(), note);
                Ok((slot, root))
            }
            Err(error) => {
                slots.leave(slot);
                Err(error)
            }
        }
    }

    /// Holds the root in `tip` if it is not older than the published one, else the published one.
    pub(crate) fn enter_tip(&self, tip: &RootCell, note: &Note) -> PageResult<(usize, RootRecord)> {
        let slots = self.slots();
        let slot = self.claim()?;
        let root = tip.load();
        slots.announce(slot, root.epoch.get());
        // A tip that was overtaken in this process may have been overtaken by what is published.
        match self.ring().load() {
            Ok((_, words)) if words[0] <= root.epoch.get() && self.area.is_whole() => {
                slots.set_note(slot, root.txid.get(), note);
                return Ok((slot, root));
            }
            _ => slots.leave(slot),
        }
        self.enter(note)
    }

    /// See [`crate::readers::ReaderTable::rest`].
    pub(crate) fn rest(&self, slot: usize, epoch: Epoch) {
        self.slots().rest(slot, epoch);
    }

    /// See [`crate::readers::ReaderTable::wake`].
    pub(crate) fn wake(&self, slot: usize, epoch: Epoch) -> bool {
        self.slots().wake(slot, epoch)
    }

    /// See [`crate::readers::ReaderTable::end`].
    pub(crate) fn end_lease(&self, slot: usize, epoch: Epoch) -> bool {
        self.slots().end_lease(slot, epoch)
    }

    /// Everybody who holds a root, and whether that is this process.
    pub(crate) fn list(&self) -> Vec<(usize, Entry, bool)> {
        let entries = self.slots().list().into_iter();
        entries.map(|(slot, entry, session)| (slot, entry, session == self.session)).collect()
    }

    pub(crate) fn leave(&self, slot: usize) {
        self.slots().leave(slot);
    }

    pub(crate) fn scan(&self, held: &mut Vec<Epoch>) {
        if planted(Bug::IgnoreForeignReaders) {
            let ours = self.list().into_iter().filter(|(_, _, is_ours)| *is_ours);
            held.extend(ours.map(|(_, entry, _)| entry.epoch));
            return;
        }
        self.slots().scan(held);
    }

    fn claim(&self) -> PageResult<usize> {
        let start = self.first_slot + thread_number();
        self.slots().claim(self.session, start).map_err(|refused| match refused {
            Refused::Full => PageError::io(
                "begin to read",
                std::io::Error::other(format!(
                    "all {} slots for readers are taken: let go of snapshots",
                    self.slots().words.len() / layout::READER_WORDS
                )),
            ),
            Refused::Unreadable => unreadable(Unreadable),
        })
    }

    fn ring(&self) -> RootRing<'_> {
        let words = self.area.words();
        let places = &words[layout::RING..][..layout::RING_LEN * layout::ROOT_WORDS];
        Ring { published: &words[layout::PUBLISHED], places }
    }

    fn slots(&self) -> ReaderSlots<'_> {
        let words = self.area.words();
        Slots { end: &words[layout::READERS_END], words: &words[layout::READERS..] }
    }
}

/// Bounds of a root that stood in the area with the right checksum: it may have been made by hand.
fn checked(root: RootRecord) -> PageResult<RootRecord> {
    let counts = [root.epoch.get(), root.txid.get(), root.lsn.get()];
    if counts.into_iter().any(|count| count >= 1 << 60) || root.page_count > Pgno::MAX.get() {
        return Err(unreadable(Unreadable));
    }
    Ok(root)
}

fn unreadable(_: Unreadable) -> PageError {
    let what = "the published root in the shared area is damaged: let every process close the store, and open it anew";
    Corruption::new(Pgno::new(0), what).into()
}

/// A small number for each thread of this process, so that they look for a slot in different places.
fn thread_number() -> usize {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = COUNT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}

impl fmt::Debug for Commons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Commons(session {}, holds the turn: {})", self.session, self.holds_turn())
    }
}
