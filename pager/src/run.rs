//! Values that fill pages of their own. The layout is described in `docs/format/file.md`.
//!
//! ```text
//!   up to 16 pages   | value ...........................|zero|      RunRef.checksum covers the value
//!   longer           | value ..............|table .......|zero|      RunRef.checksum covers the table,
//!                      page 0 | page 1 | ...                          the table holds a checksum per page
//! ```

use llmdb_base::{
    Corruption, PAGE_SIZE, PageResult, Pgno, RunRef, StoreId, VALUE_LEN_MAX,
    checksum::{crc32c, page_seed},
    codec::get_u32,
};

use crate::{
    range::PageRange,
    store::{Store, outside},
};

/// Longest run with a single checksum over the whole value.
const SHORT_PAGES_MAX: u64 = 16;

/// Where the parts of a run lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RunLayout {
    pub first: Pgno,
    pub len: u64,
    /// Pages that hold bytes of the value.
    pub value_pages: u64,
    /// Pages in all.
    pub pages: u64,
}

impl RunLayout {
    /// Layout of a value of `len` bytes, 1 to [`VALUE_LEN_MAX`].
    pub fn new(first: Pgno, len: u64) -> Self {
        let value_pages = len.div_ceil(PAGE_SIZE as u64);
        let mut layout = Self { first, len, value_pages, pages: value_pages };
        if layout.is_long() {
            layout.pages = (layout.table_start() + layout.table_len()).div_ceil(PAGE_SIZE as u64);
        }
        layout
    }

    /// Layout of a stored run, if it lies below `page_count` and inside a region.
    pub fn checked(run: &RunRef, page_count: u64, region_pages: u64) -> PageResult<Self> {
        if run.len == 0 || run.len > VALUE_LEN_MAX {
            return Err(Corruption::new(run.first, format!("named as a value of {} bytes", run.len)).into());
        }
        let layout = Self::new(run.first, run.len);
        let last = run.first.get().saturating_add(layout.pages - 1);
        if last >= page_count {
            return Err(outside(Pgno::new(last), page_count));
        }
        if run.first.get() / region_pages != last / region_pages {
            return Err(Corruption::new(run.first, "named as a value that crosses a region").into());
        }
        Ok(layout)
    }

    pub fn range(&self) -> PageRange {
        PageRange::new(self.first.get(), self.pages)
    }

    /// Whether the run has a table of checksums.
    pub fn is_long(&self) -> bool {
        self.value_pages > SHORT_PAGES_MAX
    }

    /// Where the table starts, in bytes from the start of the run.
    pub fn table_start(&self) -> u64 {
        self.len.next_multiple_of(4)
    }

    pub fn table_len(&self) -> u64 {
        self.value_pages * 4
    }

    /// Bytes of the value in its page `index`.
    pub fn len_in_page(&self, index: u64) -> usize {
        to_len((self.len - index * PAGE_SIZE as u64).min(PAGE_SIZE as u64))
    }
}

/// Seed of the checksum of page `index` of a run; page 0 also seeds the one that the reference carries.
pub(crate) fn seed(store: StoreId, first: Pgno, index: u64) -> u32 {
    page_seed(store, first.plus(index))
}

/// A length in memory. Values are at most 4 GiB long, and lie in an address space that holds them.
pub(crate) fn to_len(len: u64) -> usize {
    usize::try_from(len).expect("a value lies in the address space")
}

impl Store {
    /// `len` bytes of the value in `run` from `offset` on, verified.
    pub fn run_part(&self, run: &RunRef, offset: u64, len: usize, page_count: u64) -> PageResult<&[u8]> {
        let layout = RunLayout::checked(run, page_count, self.view.region_pages())?;
        let end = offset.checked_add(len as u64).filter(|end| *end <= run.len);
        let end = end.expect("the caller asks for bytes of the value");
        if layout.is_long() {
            let pages = offset / PAGE_SIZE as u64..end.div_ceil(PAGE_SIZE as u64);
            self.verify_long(run, &layout, pages)?;
        } else {
            self.verify_short(run, &layout)?;
        }
        Ok(self.view.bytes(run.first.offset() + offset, len))
    }

    fn verify_short(&self, run: &RunRef, layout: &RunLayout) -> PageResult<()> {
        let range = layout.range();
        let birth = run.birth.tag();
        if self.verified.contains_all(range, birth) {
            return Ok(());
        }
        self.load(range, birth, || {
            let value = self.view.bytes(run.first.offset(), to_len(run.len));
            compare(run.first, run.checksum, crc32c(seed(self.id, run.first, 0), value))?;
            self.verified.insert_range(range, birth);
            Ok(())
        })
    }

    /// Verifies some pages of a long run. The table is verified with the last page of the run, which it ends in.
    fn verify_long(&self, run: &RunRef, layout: &RunLayout, pages: std::ops::Range<u64>) -> PageResult<()> {
        let last = layout.range().end() - 1;
        let birth = run.birth.tag();
        let missing = |index: &u64| !self.verified.contains(run.first.get() + index, birth);
        if self.verified.contains(last, birth) && !pages.clone().any(|index| missing(&index)) {
            return Ok(());
        }
        if !self.verified.contains(last, birth) {
            self.verify_table(run, layout)?;
        }
        for index in pages.filter(missing) {
            self.load(PageRange::one(run.first.plus(index)), birth, || {
                self.verify_page_of_run(layout, index)?;
                self.verified.insert(run.first.get() + index, birth);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn verify_table(&self, run: &RunRef, layout: &RunLayout) -> PageResult<()> {
        let first_page = layout.table_start() / PAGE_SIZE as u64;
        let range = PageRange::new(run.first.get() + first_page, layout.pages - first_page);
        self.load(range, run.birth.tag(), || {
            compare(run.first, run.checksum, crc32c(seed(self.id, run.first, 0), self.table(layout)))?;
            // The table may begin in the last page of the value, which then comes with it.
            if first_page < layout.value_pages {
                self.verify_page_of_run(layout, first_page)?;
            }
            self.verified.insert_range(range, run.birth.tag());
            Ok(())
        })
    }

    fn verify_page_of_run(&self, layout: &RunLayout, index: u64) -> PageResult<()> {
        let pgno = layout.first.plus(index);
        let expected = get_u32(self.table(layout), to_len(index * 4));
        let bytes = self.view.bytes(pgno.offset(), layout.len_in_page(index));
        compare(pgno, expected, crc32c(seed(self.id, layout.first, index), bytes))
    }

    fn table(&self, layout: &RunLayout) -> &[u8] {
        self.view.bytes(layout.first.offset() + layout.table_start(), to_len(layout.table_len()))
    }
}

fn compare(pgno: Pgno, expected: u32, found: u32) -> PageResult<()> {
    if found == expected {
        return Ok(());
    }
    Err(Corruption::new(pgno, format!("value with checksum {found:08x}, expected {expected:08x}")).into())
}

/// Pages that a run of `len` bytes takes, its table of checksums included.
pub fn run_page_count(len: u64) -> u64 {
    if len == 0 { 0 } else { RunLayout::new(Pgno::new(0), len.min(VALUE_LEN_MAX)).pages }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_runs_are_values_and_nothing_else() {
        let layout = |len| RunLayout::new(Pgno::new(20), len);
        assert_eq!(layout(1).pages, 1);
        assert_eq!(layout(4096).pages, 1);
        assert_eq!(layout(4097).pages, 2);
        assert_eq!(layout(16 * 4096).pages, 16);
        assert!(!layout(16 * 4096).is_long());
    }

    #[test]
    fn long_runs_carry_their_table() {
        let layout = RunLayout::new(Pgno::new(20), 16 * 4096 + 1);
        assert!(layout.is_long());
        assert_eq!((layout.value_pages, layout.pages), (17, 17));
        assert_eq!((layout.table_start(), layout.table_len()), (16 * 4096 + 4, 68));
        assert_eq!((layout.len_in_page(0), layout.len_in_page(16)), (4096, 1));
        let full = RunLayout::new(Pgno::new(20), 17 * 4096);
        assert_eq!((full.value_pages, full.pages), (17, 18));
        let longest = RunLayout::new(Pgno::new(20), VALUE_LEN_MAX);
        assert_eq!(longest.pages, (1 << 20) + (1 << 10));
        assert!(longest.pages <= PageRange::COUNT_MAX);
    }

    #[test]
    fn references_out_of_bounds_are_damage() {
        let run =
            |first, len| RunRef { first: Pgno::new(first), len, birth: Default::default(), checksum: 0 };
        assert!(RunLayout::checked(&run(20, 4096), 21, 64).is_ok());
        for (first, len) in [(20, 0), (20, 4097), (u64::MAX, 9), (63, 4097), (20, u64::MAX), (1 << 41, 1)] {
            let page_count = if first == 63 { 100 } else { 21 };
            assert!(RunLayout::checked(&run(first, len), page_count, 64).is_err(), "{first} {len}");
        }
    }
}
