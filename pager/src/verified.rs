//! Which pages need no look at their checksum any more.
//!
//! A page is verified when its bytes were found right in this run, or were made in this run. As long as this process
//! alone writes the file, that stays true for good, and one bit a page says so. If others write it too, a page may be
//! given other bytes behind our back: then the birth that was verified is kept, and a reference to another birth
//! finds the page unverified again. A reference and a page that agree in their birth mean the same bytes, since no
//! page is born twice in one epoch.

use std::sync::{
    OnceLock,
    atomic::{
        AtomicU32,
        Ordering::{AcqRel, Acquire, Release},
    },
};

use crate::{
    page_set::{CHUNK_COUNT, PageSet, chunk_len, place},
    range::PageRange,
};

/// Pages in a block of the table of births: 16 KiB of it.
const BLOCK_PAGES: u64 = 4096;
/// Marks an entry as filled in; tags of births have 24 bits.
const KNOWN: u32 = 1 << 31;

type Block = OnceLock<Box<[AtomicU32]>>;

/// The pages that were verified, with their births where that matters.
#[derive(Debug)]
pub(crate) enum Verified {
    /// Nobody else writes the file.
    Alone(PageSet),
    /// Others write it too.
    Among(Births),
}

/// Tag of the birth that was verified, for each page. Blocks are made when something in them is first verified.
#[derive(Debug, Default)]
pub(crate) struct Births {
    chunks: [OnceLock<Box<[Block]>>; CHUNK_COUNT],
}

impl Verified {
    pub fn new(shared: bool) -> Self {
        if shared { Self::Among(Births::default()) } else { Self::Alone(PageSet::default()) }
    }

    /// Whether page `pgno`, born with the tag `birth`, has been verified.
    #[inline]
    pub fn contains(&self, pgno: u64, birth: u32) -> bool {
        match self {
            Self::Alone(pages) => pages.contains(pgno),
            Self::Among(births) => births.get(pgno) == KNOWN | birth,
        }
    }

    /// Whether every page of the range has been verified with this birth.
    pub fn contains_all(&self, range: PageRange, birth: u32) -> bool {
        match self {
            Self::Alone(pages) => pages.contains_all(range),
            Self::Among(births) => range.pages().all(|pgno| births.get(pgno) == KNOWN | birth),
        }
    }

    pub fn insert(&self, pgno: u64, birth: u32) {
        match self {
            Self::Alone(pages) => {
                pages.insert(pgno);
            }
            Self::Among(births) => births.set(pgno, KNOWN | birth),
        }
    }

    pub fn insert_range(&self, range: PageRange, birth: u32) {
        match self {
            Self::Alone(pages) => pages.insert_range(range),
            Self::Among(births) => range.pages().for_each(|pgno| births.set(pgno, KNOWN | birth)),
        }
    }

    /// Takes a page out, whatever its birth; whether it was there.
    pub fn remove(&self, pgno: u64) -> bool {
        match self {
            Self::Alone(pages) => pages.remove(pgno),
            Self::Among(births) => births.clear(pgno),
        }
    }

    pub fn remove_range(&self, range: PageRange) {
        for (word, mask) in range.words() {
            self.remove_mask(word, mask);
        }
    }

    /// Takes the pages `64 * index` and following out whose bits are set; returns those that were there.
    pub fn remove_mask(&self, index: u64, mask: u64) -> u64 {
        match self {
            Self::Alone(pages) => pages.remove_mask(index, mask),
            Self::Among(births) => {
                let known = |bit: &u64| mask >> bit & 1 == 1 && births.clear(index * 64 + bit);
                (0..64).filter(known).fold(0, |removed, bit| removed | 1 << bit)
            }
        }
    }

    /// Makes room for the pages below `count`, so that adding them later takes no memory. Births take theirs as they
    /// come: they are 32 times as large.
    pub fn reserve(&self, count: u64) {
        if let Self::Alone(pages) = self {
            pages.reserve(count);
        }
    }
}

impl Births {
    /// The entry of a page; 0 if there is none.
    #[inline]
    fn get(&self, pgno: u64) -> u32 {
        let (chunk, slot) = place(pgno / BLOCK_PAGES);
        let block = self.chunks[chunk].get().and_then(|blocks| blocks[slot].get());
        // Acquire: whoever sees a page verified sees the bytes that were loaded for that.
        block.map_or(0, |block| block[index_in_block(pgno)].load(Acquire))
    }

    /// Forgets a page; whether it was known.
    fn clear(&self, pgno: u64) -> bool {
        let (chunk, slot) = place(pgno / BLOCK_PAGES);
        let block = self.chunks[chunk].get().and_then(|blocks| blocks[slot].get());
        block.is_some_and(|block| block[index_in_block(pgno)].swap(0, AcqRel) != 0)
    }

    fn set(&self, pgno: u64, entry: u32) {
        let (chunk, slot) = place(pgno / BLOCK_PAGES);
        let blocks = self.chunks[chunk].get_or_init(|| (0..chunk_len(chunk)).map(|_| Block::new()).collect());
        let block = blocks[slot].get_or_init(|| (0..BLOCK_PAGES).map(|_| AtomicU32::new(0)).collect());
        block[index_in_block(pgno)].store(entry, Release);
    }
}

#[inline]
fn index_in_block(pgno: u64) -> usize {
    (pgno % BLOCK_PAGES) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_a_page_is_verified_once_and_for_all() {
        let verified = Verified::new(false);
        verified.insert(7, 1);
        assert!(verified.contains(7, 1) && verified.contains(7, 2));
        assert!(!verified.contains(8, 1));
    }

    #[test]
    fn among_others_a_page_is_verified_for_one_birth() {
        let verified = Verified::new(true);
        assert!(!verified.contains(7, 0) && !verified.contains(1 << 30, 0));
        verified.insert(7, 0);
        assert!(verified.contains(7, 0));
        verified.insert(7, 5);
        assert!(verified.contains(7, 5) && !verified.contains(7, 0));
        let range = PageRange::new(4090, 20);
        verified.insert_range(range, 9);
        assert!(verified.contains_all(range, 9) && !verified.contains_all(range, 8));
        assert!(!verified.contains_all(PageRange::new(4089, 2), 9));
        verified.remove_range(PageRange::new(4095, 2));
        assert!(!verified.contains(4095, 9) && !verified.contains(4096, 9) && verified.contains(4097, 9));
        assert_eq!(verified.remove_mask(64, 0b111), 0b110);
        verified.insert(llmdb_base::Pgno::MAX.get(), 3);
        assert!(verified.contains(llmdb_base::Pgno::MAX.get(), 3));
    }
}
