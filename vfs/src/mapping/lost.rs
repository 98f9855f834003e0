//! Pages whose bytes the system could not give, as the handler of SIGBUS notes them.
//!
//! Everything that the handler touches is an atomic that stays where it is: no lock, no allocation.
//!
//! Invariants:
//! 1. A region is in the table from before anybody can look into it until before it is unmapped.
//! 2. A page is noted before zeros appear in its place. So whoever has read such zeros, and then looks here behind an
//!    acquire fence, finds a version that he has not seen before.

use std::{
    array, ptr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicPtr, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release, SeqCst},
            fence,
        },
    },
};

use crate::BLOCK_SIZE;

/// Regions that are watched at once. More are mapped, but not watched.
const REGIONS_MAX: usize = 4096;
/// Lost pages of one mapping that are told apart.
const KEPT: usize = 512;

/// A page that was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LostPage {
    /// Where it lies in the file.
    pub offset: u64,
    /// Why.
    pub cause: LossCause,
}

/// Why a page was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LossCause {
    /// The device could not read it, or the file ends before it. A copy that a store had made is not lost by the
    /// first.
    Unreadable,
    /// The memory that held it failed; what had been stored there is gone.
    MemoryFailed,
}

/// The pages that one mapping has lost.
#[derive(Debug)]
pub(crate) struct LostPages {
    version: AtomicU64,
    len: AtomicUsize,
    /// Offset of a page, bit 0 set; bit 1 if memory failed. 0: being written.
    kept: [AtomicU64; KEPT],
}

const PRESENT: u64 = 1;
const MEMORY_FAILED: u64 = 2;

/// Losses in all mappings of the process, so that a healthy one costs its readers a single load.
static ANYWHERE: AtomicU64 = AtomicU64::new(0);

/// Whether any page of any mapping was ever lost. What was read before this call was not lost if the answer is no.
#[inline]
pub(crate) fn anywhere() -> bool {
    // Orders the bytes that were read before the look (2).
    fence(Acquire);
    ANYWHERE.load(Relaxed) != 0
}

impl LostPages {
    pub(crate) fn new() -> Self {
        Self {
            version: AtomicU64::new(0),
            len: AtomicUsize::new(0),
            kept: array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Changes with every loss.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(SeqCst)
    }

    /// The pages lost so far; `None` if they are too many to be told apart.
    pub(super) fn list(&self) -> Option<Vec<LostPage>> {
        let len = self.len.load(Acquire);
        (len <= KEPT).then(|| self.kept[..len].iter().map(await_entry).collect())
    }

    /// Notes a loss. Called by the handler.
    fn note(&self, offset: u64, cause: LossCause) {
        let failed = if cause == LossCause::MemoryFailed { MEMORY_FAILED } else { 0 };
        let entry = offset | PRESENT | failed;
        let known = self.len.load(Acquire).min(KEPT);
        if !self.kept[..known].iter().any(|kept| kept.load(Acquire) == entry) {
            let index = self.len.fetch_add(1, SeqCst);
            if let Some(kept) = self.kept.get(index) {
                kept.store(entry, Release);
            } else {
                // Not so often that it could overflow.
                self.len.store(KEPT + 1, SeqCst);
            }
        }
        self.version.fetch_add(1, SeqCst);
        ANYWHERE.fetch_add(1, SeqCst);
    }

    /// Notes that nothing is left.
    fn note_all(&self) {
        self.len.store(KEPT + 1, SeqCst);
        self.version.fetch_add(1, SeqCst);
        ANYWHERE.fetch_add(1, SeqCst);
    }
}

/// An entry, once the handler on another thread, which is between two instructions, has written it.
fn await_entry(kept: &AtomicU64) -> LostPage {
    loop {
        match kept.load(Acquire) {
            0 => std::thread::yield_now(),
            entry => {
                let failed = entry & MEMORY_FAILED != 0;
                let cause = if failed { LossCause::MemoryFailed } else { LossCause::Unreadable };
                return LostPage { offset: entry & !(PRESENT | MEMORY_FAILED), cause };
            }
        }
    }
}

/// A watched region.
struct Slot {
    /// Start of the region, which is a multiple of its pages, and the logarithm of its length; 0: nothing.
    span: AtomicUsize,
    /// Where the region lies in the file.
    offset: AtomicU64,
    /// Of the mapping. Lives for as long as `span` is set.
    lost: AtomicPtr<LostPages>,
}

static SLOTS: [Slot; REGIONS_MAX] = [const {
    Slot { span: AtomicUsize::new(0), offset: AtomicU64::new(0), lost: AtomicPtr::new(ptr::null_mut()) }
}; REGIONS_MAX];
/// Slots that were ever used.
static USED: AtomicUsize = AtomicUsize::new(0);
/// Held while the table changes.
static CHANGING: Mutex<()> = Mutex::new(());

/// Keeps a region in the table. Dropped before the region is unmapped.
#[derive(Debug)]
pub(crate) struct Watch {
    index: usize,
    _lost: Arc<LostPages>,
}

/// Puts a region into the table: `len` bytes, a power of two, at address `start`, which show the file from `offset` on.
/// `None` if the table is full.
pub(crate) fn watch(start: usize, len: u64, offset: u64, lost: &Arc<LostPages>) -> Option<Watch> {
    debug_assert!(len.is_power_of_two() && start.is_multiple_of(BLOCK_SIZE));
    let _changing = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    let index = SLOTS.iter().position(|slot| slot.span.load(Relaxed) == 0)?;
    let slot = &SLOTS[index];
    slot.offset.store(offset, Relaxed);
    slot.lost.store(Arc::as_ptr(lost).cast_mut(), Relaxed);
    slot.span.store(start | len.ilog2() as usize, Release);
    USED.fetch_max(index + 1, SeqCst);
    Some(Watch { index, _lost: Arc::clone(lost) })
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _changing = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
        SLOTS[self.index].span.store(0, SeqCst);
    }
}

/// A region in which something was lost, as the handler finds it.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub start: usize,
    pub len: usize,
    offset: u64,
    /// Valid while the region is mapped.
    pub lost: *const LostPages,
}

/// The region that holds `address`. Called by the handler.
pub(super) fn find(address: usize) -> Option<Found> {
    SLOTS[..USED.load(Acquire).min(REGIONS_MAX)].iter().find_map(|slot| {
        let span = slot.span.load(Acquire);
        let shift = u32::try_from(span % BLOCK_SIZE).ok()?;
        let (start, len) = (span - span % BLOCK_SIZE, 1_usize.checked_shl(shift)?);
        let inside = span != 0 && address.checked_sub(start)? < len;
        let (offset, lost) = (slot.offset.load(Relaxed), slot.lost.load(Relaxed));
        inside.then_some(Found { start, len, offset, lost })
    })
}

impl Found {
    /// Notes the loss of the page at `address`.
    pub fn note(&self, lost: &LostPages, address: usize, cause: LossCause) {
        let in_region = (address - self.start) & !(BLOCK_SIZE - 1);
        lost.note(self.offset + in_region as u64, cause);
    }

    /// Notes the loss of the region.
    pub fn note_all(&self, lost: &LostPages) {
        lost.note_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(offset: u64) -> LostPage {
        LostPage { offset, cause: LossCause::Unreadable }
    }

    #[test]
    fn losses_are_told_apart_until_they_are_too_many() {
        let lost = LostPages::new();
        assert_eq!((lost.version(), lost.list()), (0, Some(vec![])));
        for offset in [4096, 8192, 4096] {
            lost.note(offset, LossCause::Unreadable);
        }
        lost.note(8192, LossCause::MemoryFailed);
        let failed = LostPage { offset: 8192, cause: LossCause::MemoryFailed };
        assert_eq!((lost.version(), lost.list()), (4, Some(vec![page(4096), page(8192), failed])));
        (0..KEPT as u64).for_each(|index| lost.note(index << 12, LossCause::Unreadable));
        assert_eq!(lost.list(), None);
        assert!(anywhere());
    }

    #[test]
    fn regions_are_found_by_their_addresses() {
        // Addresses that nothing is mapped at.
        let (lost, base) = (Arc::new(LostPages::new()), 0x10_0000_0000_usize);
        let first = watch(base, 1 << 20, 0, &lost).unwrap();
        let second = watch(base + (1 << 20), 1 << 20, 1 << 20, &lost).unwrap();
        assert!(find(base - 1).is_none() && find(base + (2 << 20)).is_none());
        let found = find(base + (1 << 20) + 5000).unwrap();
        assert_eq!((found.start, found.len), (base + (1 << 20), 1 << 20));
        found.note(&lost, base + (1 << 20) + 5000, LossCause::Unreadable);
        assert_eq!(lost.list(), Some(vec![page((1 << 20) + 4096)]));
        drop(first);
        assert!(find(base).is_none() && find(base + (1 << 20)).is_some());
        drop(second);
        assert!(find(base + (1 << 20)).is_none());
    }
}
