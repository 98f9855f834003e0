//! What each page of the file is used for at this moment.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use llmdb_base::Pgno;

use crate::{
    map::PIECE_PAGES,
    meta::FIXED_PAGES,
    page_set::PageSet,
    range::{PageRange, runs_of_ones},
};

/// The use of pages.
///
/// ```text
///              live   held   dirty            in the file   in private memory
///   free         -      -      (any)               -              maybe
///   new          x      -      x                   no             yes
///   written      x      -      -                   yes            no
///   freed        -      x      as it was          as it was      as it was
/// ```
///
/// Invariants:
/// 1. `live` and `held` have no page in common; pages in neither are free.
/// 2. Only the writer changes `live`, `held`, `dirty`, `raw` and `changed_pieces`; anybody may look. `private`
///    is also changed by a checkpoint, for pages that the writer cannot change meanwhile.
/// 3. A page that is live and dirty is private: its bytes are nowhere but in memory.
/// 4. `dirty_words` has the number of every word of `dirty` that is not zero.
/// 5. The counts are those of the sets; `dirty_pages` counts pages that are live and dirty.
#[derive(Debug, Default)]
pub(crate) struct Space {
    /// Reachable from the writer's newest root.
    pub live: PageSet,
    /// Freed, and not free yet.
    pub held: PageSet,
    dirty: PageSet,
    dirty_words: PageSet,
    /// Memory may differ from the file.
    private: PageSet,
    /// Belongs to a value: has no header, and no checksum of its own.
    pub raw: PageSet,
    /// Pieces of the allocation map that differ from what is in the file.
    pub changed_pieces: PageSet,
    file_pages: AtomicU64,
    live_pages: AtomicU64,
    held_pages: AtomicU64,
    dirty_pages: AtomicU64,
    private_pages: AtomicU64,
}

impl Space {
    /// A file of `file_pages` of which only the meta pages are used.
    pub fn new(file_pages: u64) -> Self {
        let space = Self { file_pages: AtomicU64::new(file_pages), ..Self::default() };
        FIXED_PAGES.into_iter().for_each(|pgno| space.take(PageRange::one(pgno)));
        space
    }

    /// Pages of the file. Every page below exists, in the file or, without one, in memory.
    #[inline]
    pub fn file_pages(&self) -> u64 {
        self.file_pages.load(Acquire)
    }

    pub fn set_file_pages(&self, file_pages: u64) {
        self.file_pages.store(file_pages, Release);
    }

    pub fn live_pages(&self) -> u64 {
        self.live_pages.load(Relaxed)
    }

    pub fn held_pages(&self) -> u64 {
        self.held_pages.load(Relaxed)
    }

    pub fn dirty_pages(&self) -> u64 {
        self.dirty_pages.load(Relaxed)
    }

    pub fn private_pages(&self) -> u64 {
        self.private_pages.load(Relaxed)
    }

    /// Pages that may be used. Saturating, since others may look while the writer counts.
    pub fn free_pages(&self) -> u64 {
        self.file_pages().saturating_sub(self.live_pages()).saturating_sub(self.held_pages())
    }

    /// Number of words that cover the file.
    pub fn word_count(&self) -> u64 {
        self.file_pages().div_ceil(64)
    }

    /// The free pages among 64.
    #[inline]
    pub fn free_word(&self, index: u64) -> u64 {
        let inside = match self.file_pages().saturating_sub(index * 64) {
            0 => 0,
            count @ 1..64 => (1 << count) - 1,
            _ => u64::MAX,
        };
        !(self.live.word(index) | self.held.word(index)) & inside
    }

    pub fn is_free(&self, pgno: u64) -> bool {
        self.free_word(pgno / 64) >> (pgno % 64) & 1 == 1
    }

    pub fn is_private(&self, pgno: u64) -> bool {
        self.private.contains(pgno)
    }

    /// Free pages become live.
    pub fn take(&self, range: PageRange) {
        for (word, mask) in range.words() {
            let taken = self.live.insert_mask(word, mask);
            debug_assert_eq!(taken, mask, "only pages that are not live are taken");
            add(&self.live_pages, taken);
            add(&self.dirty_pages, taken & self.dirty.word(word));
        }
        self.note_change(range);
    }

    /// Those pages of the range that are live become free.
    pub fn release(&self, range: PageRange) {
        for (word, mask) in range.words() {
            let released = self.live.remove_mask(word, mask);
            subtract(&self.live_pages, released);
            subtract(&self.dirty_pages, released & self.dirty.word(word));
        }
        self.note_change(range);
    }

    /// Live pages become held.
    pub fn hold(&self, range: PageRange) {
        range.words().for_each(|(word, mask)| add(&self.held_pages, self.held.insert_mask(word, mask)));
        self.release(range);
    }

    /// Free pages become held: the stored map calls them free, but the older generation uses them.
    pub fn hold_free(&self, range: PageRange) {
        range.words().for_each(|(word, mask)| add(&self.held_pages, self.held.insert_mask(word, mask)));
    }

    /// Held pages become live again.
    pub fn restore(&self, range: PageRange) {
        self.unhold(range);
        self.take(range);
    }

    /// Held pages become free.
    pub fn unhold(&self, range: PageRange) {
        range.words().for_each(|(word, mask)| subtract(&self.held_pages, self.held.remove_mask(word, mask)));
    }

    /// Live pages are about to be stored to (3).
    pub fn mark_dirty(&self, range: PageRange) {
        for (word, mask) in range.words() {
            if self.dirty.word(word) & mask != mask {
                add(&self.dirty_pages, self.dirty.insert_mask(word, mask) & self.live.word(word));
                self.dirty_words.insert(word);
            }
            if self.private.word(word) & mask != mask {
                add(&self.private_pages, self.private.insert_mask(word, mask));
            }
        }
    }

    /// Pages are about to be written to the file at once, past private memory.
    pub fn unmark_dirty(&self, range: PageRange) {
        for (word, mask) in range.words() {
            subtract(&self.dirty_pages, self.dirty.remove_mask(word, mask) & self.live.word(word));
        }
        self.forget_private(range);
    }

    /// The private copies of the range are gone.
    pub fn forget_private(&self, range: PageRange) {
        range
            .words()
            .for_each(|(word, mask)| subtract(&self.private_pages, self.private.remove_mask(word, mask)));
    }

    /// The live dirty pages, in ascending order. They count as clean from now on. Held ones stay dirty: should the
    /// transaction that freed them be undone, their bytes are still nowhere but in memory.
    pub fn take_dirty(&self) -> Vec<PageRange> {
        let words = runs_of_ones(0, self.word_count(), |index| self.dirty_words.word(index));
        let words: Vec<u64> = words.flat_map(PageRange::pages).collect();
        let mut ranges: Vec<PageRange> = Vec::new();
        for word in words {
            let bits = self.dirty.word(word) & self.live.word(word);
            for run in runs_of_ones(word * 64, word * 64 + 64, |_| bits) {
                match ranges.last_mut().and_then(|last| Some((last.joined(run)?, last))) {
                    Some((joined, last)) => *last = joined,
                    None => ranges.push(run),
                }
            }
            self.dirty.remove_mask(word, !self.held.word(word));
            if self.dirty.word(word) == 0 {
                self.dirty_words.remove(word);
            }
        }
        self.dirty_pages.store(0, Relaxed);
        ranges
    }

    /// The dirty pages that are live or held, in ascending order: every page that anybody may read and that the file
    /// does not have. All pages count as clean from now on.
    pub fn take_unwritten(&self) -> Vec<PageRange> {
        let words = runs_of_ones(0, self.word_count(), |index| self.dirty_words.word(index));
        let words: Vec<u64> = words.flat_map(PageRange::pages).collect();
        let mut ranges = Vec::new();
        for word in words {
            let bits = self.dirty.remove_mask(word, u64::MAX);
            let needed = bits & (self.live.word(word) | self.held.word(word));
            ranges.extend(runs_of_ones(word * 64, word * 64 + 64, |_| needed));
            self.dirty_words.remove(word);
        }
        self.dirty_pages.store(0, Relaxed);
        ranges
    }

    /// All pages in private memory, whatever they are used for.
    pub fn all_private(&self) -> Vec<PageRange> {
        runs_of_ones(0, self.file_pages(), |index| self.private.word(index)).collect()
    }

    /// Begins anew: a file of `file_pages` of which only the meta pages are used. No page may be private.
    pub fn empty(&self, file_pages: u64) {
        debug_assert_eq!(self.private_pages(), 0);
        let words = self.word_count().max(file_pages.div_ceil(64));
        for word in 0..words {
            for set in [&self.live, &self.held, &self.dirty] {
                set.remove_mask(word, u64::MAX);
            }
        }
        for word in 0..words.div_ceil(64) {
            self.dirty_words.remove_mask(word, u64::MAX);
        }
        for count in [&self.live_pages, &self.held_pages, &self.dirty_pages] {
            count.store(0, Relaxed);
        }
        self.forget_changes();
        self.set_file_pages(file_pages);
        FIXED_PAGES.into_iter().for_each(|pgno| self.take(PageRange::one(pgno)));
    }

    /// Private pages that are free: memory that only the next allocation has a use for. At most `count_max`.
    pub fn idle_private(&self, count_max: u64) -> Vec<PageRange> {
        let idle = |index| self.private.word(index) & self.free_word(index);
        let mut left = count_max;
        runs_of_ones(0, self.file_pages(), idle)
            .take_while(|range| {
                let go_on = left > 0;
                left = left.saturating_sub(range.count());
                go_on
            })
            .collect()
    }

    /// The free ones among the pages of a range.
    pub fn free_part(&self, range: PageRange) -> Vec<PageRange> {
        runs_of_ones(range.first(), range.end(), |index| self.free_word(index)).collect()
    }

    /// Makes all live pages free.
    pub fn clear_live(&self) {
        let live: Vec<_> = runs_of_ones(0, self.file_pages(), |index| self.live.word(index)).collect();
        live.into_iter().for_each(|range| self.release(range));
    }

    /// What is live now is what the stored map says.
    pub fn forget_changes(&self) {
        let piece_count = self.file_pages().div_ceil(PIECE_PAGES);
        for index in 0..piece_count.div_ceil(64) {
            self.changed_pieces.remove_mask(index, u64::MAX);
        }
    }

    /// First page behind the last one that is live or held.
    pub fn used_end(&self) -> u64 {
        self.end_of(|index| self.live.word(index) | self.held.word(index))
    }

    /// First page behind the last live one.
    pub fn live_end(&self) -> u64 {
        self.end_of(|index| self.live.word(index))
    }

    fn end_of(&self, word: impl Fn(u64) -> u64) -> u64 {
        let last = (0..self.word_count()).rev().find(|index| word(*index) != 0);
        last.map_or(0, |index| index * 64 + 64 - u64::from(word(index).leading_zeros()))
    }

    fn note_change(&self, range: PageRange) {
        for piece in range.first() / PIECE_PAGES..=(range.end() - 1) / PIECE_PAGES {
            self.changed_pieces.insert(piece);
        }
    }
}

/// Whether a page is one of those that hold meta data, at places that never change.
pub(crate) fn is_fixed(pgno: Pgno) -> bool {
    FIXED_PAGES.contains(&pgno)
}

fn add(count: &AtomicU64, bits: u64) {
    if bits != 0 {
        count.fetch_add(bits.count_ones().into(), Relaxed);
    }
}

fn subtract(count: &AtomicU64, bits: u64) {
    if bits != 0 {
        count.fetch_sub(bits.count_ones().into(), Relaxed);
    }
}
