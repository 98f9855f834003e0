//! Giving back what nothing refers to any more.

use llmdb_base::{Epoch, PageResult, Pgno};

use super::PageTxn;
use crate::{
    meta::FIXED_PAGES,
    open::check_ranges,
    page_set::PageSet,
    range::{PageRange, runs_of_ones},
};

impl PageTxn {
    /// Gives back every page that was in use before this transaction and is not among `used`: ranges of first page and
    /// count, in any order, found by walking every tree as this transaction leaves it. For trees that were replaced
    /// because parts of them could not be read any more. Meta pages and the allocation map stay. Returns how many
    /// pages were given back.
    ///
    /// # Errors
    /// Corruption if a range lies outside the file, or two overlap; nothing was given back then.
    pub fn free_all_but(&mut self, used: impl IntoIterator<Item = (Pgno, u64)>) -> PageResult<u64> {
        let (space, fresh) = (&self.pager.space, &self.writer().fresh);
        let file_pages = space.file_pages();
        let keep = PageSet::default();
        check_ranges(used, file_pages)?.into_iter().for_each(|range| keep.insert_range(range));
        let own = self.map().levels.iter().flatten().flatten().map(|page| page.pgno);
        FIXED_PAGES.into_iter().chain(own).for_each(|pgno| keep.insert_range(PageRange::one(pgno)));
        let unused = |index| space.live.word(index) & !keep.word(index) & !fresh.word(index);
        let unused: Vec<PageRange> = runs_of_ones(0, file_pages, unused).collect();
        let count = unused.iter().map(|range| range.count()).sum();
        // Born nobody knows when: any retained root may see them.
        unused.into_iter().for_each(|range| self.give(range, Epoch::new(0)));
        Ok(count)
    }
}
