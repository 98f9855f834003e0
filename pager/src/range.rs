//! Consecutive pages in one word: long lists of them are kept for as long as readers hold pages.

use std::fmt;

use llmdb_base::Pgno;

const COUNT_SHIFT: u32 = 40;
/// Pages in a huge page of the processor, 2 MiB: what lies in one is found with one entry of the page table.
pub(crate) const HUGE_PAGES: u64 = 512;

/// `count` consecutive pages from `first` on. 40 bits of page number, 24 bits of count: 64 GiB at most, and a value
/// is never longer than 4 GiB.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageRange(u64);

impl PageRange {
    /// Longest range that one word can name.
    pub const COUNT_MAX: u64 = (1 << (64 - COUNT_SHIFT)) - 1;

    pub fn new(first: u64, count: u64) -> Self {
        assert!(first <= Pgno::MAX.get() && 0 < count && count <= Self::COUNT_MAX, "a range fits its word");
        Self(first | count << COUNT_SHIFT)
    }

    pub fn one(pgno: Pgno) -> Self {
        Self::new(pgno.get(), 1)
    }

    /// The word that a range is.
    pub fn raw(self) -> u64 {
        self.0
    }

    /// The range that is this word; `None` if it is none, or reaches behind `end`.
    pub fn from_raw(raw: u64, end: u64) -> Option<Self> {
        let range = Self(raw);
        (range.count() > 0 && range.end() <= end).then_some(range)
    }

    pub fn first(self) -> u64 {
        self.0 & Pgno::MAX.get()
    }

    pub fn count(self) -> u64 {
        self.0 >> COUNT_SHIFT
    }

    /// First page behind the range.
    pub fn end(self) -> u64 {
        self.first() + self.count()
    }

    pub fn pages(self) -> impl Iterator<Item = u64> {
        self.first()..self.end()
    }

    /// The two ranges as one, if `next` follows on `self` and one word can name both.
    pub fn joined(self, next: Self) -> Option<Self> {
        let count = self.count() + next.count();
        (self.end() == next.first() && count <= Self::COUNT_MAX).then(|| Self::new(self.first(), count))
    }

    /// The bits of the range, word by word: word index and mask.
    pub fn words(self) -> impl Iterator<Item = (u64, u64)> {
        let (first, last) = (self.first(), self.end() - 1);
        (first / 64..=last / 64).map(move |word| {
            let low = if word == first / 64 { u64::MAX << (first % 64) } else { u64::MAX };
            let high = if word == last / 64 { u64::MAX >> (63 - last % 64) } else { u64::MAX };
            (word, low & high)
        })
    }
}

impl fmt::Debug for PageRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pg{}..{}", self.first(), self.end())
    }
}

/// The runs of ones among the bits `from..end` of the words that `word` returns, in ascending order.
pub(crate) fn runs_of_ones(
    from: u64,
    end: u64,
    word: impl Fn(u64) -> u64,
) -> impl Iterator<Item = PageRange> {
    let mut bit = from;
    std::iter::from_fn(move || {
        let first = next_bit(bit, end, &word)?;
        let limit = end.min(first + PageRange::COUNT_MAX);
        bit = next_bit(first, limit, |index| !word(index)).unwrap_or(limit);
        Some(PageRange::new(first, bit - first))
    })
}

/// The first one at `from` or behind it, before `end`.
fn next_bit(from: u64, end: u64, word: impl Fn(u64) -> u64) -> Option<u64> {
    let mut mask = u64::MAX << (from % 64);
    for index in from / 64..end.div_ceil(64) {
        let bits = word(index) & mask;
        if bits != 0 {
            return Some(index * 64 + u64::from(bits.trailing_zeros())).filter(|bit| *bit < end);
        }
        mask = u64::MAX;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_cover_exactly_the_range() {
        for (first, count) in [(0, 1), (0, 64), (63, 2), (5, 200), (64, 64), (127, 1)] {
            let bits: Vec<u64> = PageRange::new(first, count)
                .words()
                .flat_map(|(word, mask)| {
                    (0..64).filter(move |bit| mask >> bit & 1 == 1).map(move |bit| word * 64 + bit)
                })
                .collect();
            assert_eq!(bits, (first..first + count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn runs_are_maximal_and_stay_inside_their_bounds() {
        let words = [0xF000_0000_0000_0001_u64, 0x3, 0, u64::MAX];
        let word = |index: u64| words.get(usize::try_from(index).unwrap()).copied().unwrap_or(0);
        let runs: Vec<_> = runs_of_ones(0, 250, word).map(|run| (run.first(), run.count())).collect();
        assert_eq!(runs, [(0, 1), (60, 6), (192, 58)]);
        assert_eq!(runs_of_ones(61, 64, word).map(PageRange::count).collect::<Vec<_>>(), [3]);
        assert_eq!(runs_of_ones(1, 60, word).count(), 0);
    }

    #[test]
    fn ranges_join_only_end_to_end() {
        let range = PageRange::new(7, 3);
        assert_eq!(range.joined(PageRange::new(10, 1)), Some(PageRange::new(7, 4)));
        assert_eq!(range.joined(PageRange::new(11, 1)), None);
        assert_eq!(
            PageRange::new(0, PageRange::COUNT_MAX).joined(PageRange::new(PageRange::COUNT_MAX, 1)),
            None
        );
    }
}
