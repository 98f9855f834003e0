//! A growable set of page numbers, one bit each, that any thread may look at without a lock.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use crate::range::PageRange;

/// Words of the first chunk: 32,768 pages, 128 MiB of file.
const FIRST_WORDS_LOG2: u32 = 9;
/// Chunk 0 and chunk 1 are equally long, every later one is twice as long as the one before; 26 of them reach
/// to the largest page number.
pub(crate) const CHUNK_COUNT: usize = 26;

/// A set of small numbers: of pages, or of groups of pages. Chunks never move once they exist, so that looking up
/// takes two loads, and growing disturbs nobody.
///
/// Words are read with acquire and changed with release, so that whoever sees a bit sees what was done before it
/// was set.
#[derive(Debug, Default)]
pub(crate) struct PageSet {
    chunks: [OnceLock<Box<[AtomicU64]>>; CHUNK_COUNT],
}

impl PageSet {
    /// Makes room for the numbers below `count`, so that adding them later takes no memory.
    pub fn reserve(&self, count: u64) {
        if let Some(last) = count.checked_sub(1) {
            for chunk in 0..=place(last / 64).0 {
                self.chunk(chunk);
            }
        }
    }

    #[inline]
    pub fn contains(&self, number: u64) -> bool {
        self.word(number / 64) >> (number % 64) & 1 == 1
    }

    /// Adds a number; whether it was missing. Cost: one load if it was there.
    #[inline]
    pub fn insert(&self, number: u64) -> bool {
        !self.contains(number) && self.insert_mask(number / 64, 1 << (number % 64)) != 0
    }

    /// Takes a number out; whether it was there. Cost: one load if it was not.
    #[inline]
    pub fn remove(&self, number: u64) -> bool {
        self.contains(number) && self.remove_mask(number / 64, 1 << (number % 64)) != 0
    }

    pub fn insert_range(&self, range: PageRange) {
        for (word, mask) in range.words() {
            self.insert_mask(word, mask);
        }
    }

    pub fn remove_range(&self, range: PageRange) {
        for (word, mask) in range.words() {
            self.remove_mask(word, mask);
        }
    }

    /// Whether every page of the range is in the set.
    pub fn contains_all(&self, range: PageRange) -> bool {
        range.words().all(|(word, mask)| self.word(word) & mask == mask)
    }

    /// The bits of numbers `64 * index` and following.
    #[inline]
    pub fn word(&self, index: u64) -> u64 {
        let (chunk, slot) = place(index);
        self.chunks[chunk].get().map_or(0, |words| words[slot].load(Ordering::Acquire))
    }

    /// Sets bits of a word; returns those that were not set before.
    #[inline]
    pub fn insert_mask(&self, index: u64, mask: u64) -> u64 {
        let (chunk, slot) = place(index);
        mask & !self.chunk(chunk)[slot].fetch_or(mask, Ordering::AcqRel)
    }

    /// Clears bits of a word; returns those that were set before.
    #[inline]
    pub fn remove_mask(&self, index: u64, mask: u64) -> u64 {
        let (chunk, slot) = place(index);
        self.chunks[chunk].get().map_or(0, |words| mask & words[slot].fetch_and(!mask, Ordering::AcqRel))
    }

    fn chunk(&self, chunk: usize) -> &[AtomicU64] {
        self.chunks[chunk].get_or_init(|| (0..chunk_len(chunk)).map(|_| AtomicU64::new(0)).collect())
    }
}

/// Words of a chunk.
pub(crate) fn chunk_len(chunk: usize) -> usize {
    1 << (FIRST_WORDS_LOG2 as usize + chunk.saturating_sub(1))
}

/// Chunk and index in it of a word.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "indexes of words in memory")]
pub(crate) fn place(index: u64) -> (usize, usize) {
    let log2 = (index | 1 << (FIRST_WORDS_LOG2 - 1)).ilog2();
    let chunk = log2 - (FIRST_WORDS_LOG2 - 1);
    let start = if chunk == 0 { 0 } else { 1 << log2 };
    (chunk as usize, (index - start) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_follow_on_one_another() {
        assert_eq!(place(0), (0, 0));
        assert_eq!(place(511), (0, 511));
        assert_eq!(place(512), (1, 0));
        assert_eq!(place(1023), (1, 511));
        assert_eq!(place(1024), (2, 0));
        assert_eq!(place(llmdb_base::Pgno::MAX.get() / 64).0, CHUNK_COUNT - 1);
    }

    #[test]
    fn holds_what_was_added() {
        let set = PageSet::default();
        assert!(!set.contains(1 << 30), "a number nobody made room for is simply missing");
        assert!(!set.remove(1 << 30));
        for number in [0, 63, 64, 32_767, 32_768, 100_000] {
            assert!(set.insert(number));
            assert!(!set.insert(number));
            assert!(set.contains(number));
        }
        set.insert_range(PageRange::new(32_700, 200));
        assert!(set.contains_all(PageRange::new(32_700, 200)));
        set.remove_range(PageRange::new(32_701, 198));
        assert!(set.contains(32_700) && set.contains(32_899) && !set.contains(32_767));
        assert!(set.remove(0));
        assert!(!set.contains(0));
    }
}
