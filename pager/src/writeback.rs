//! Private pages on their way to the file.

mod pace;

use llmdb_base::{Corruption, Epoch, PageBytes, PageError, PageResult, Pgno, header};
use llmdb_vfs::write_all_at;

pub(crate) use pace::Pace;

use crate::{
    pager::Pager,
    range::{HUGE_PAGES, PageRange},
    stats::Counters,
    store::node_checksum,
};

/// Pages written at once: the system keeps in one piece of memory what it gets in one piece.
const WRITE_PAGES_MAX: u64 = HUGE_PAGES;

/// Ranges that are taken out of the map and put in again as one.
const REPLACED_MAX: usize = 128;

/// What is written at once of `range`, from page `first` on: up to where the next huge page begins.
fn piece_of(range: PageRange, first: u64) -> PageRange {
    let end = (first + 1).next_multiple_of(WRITE_PAGES_MAX).min(range.end());
    PageRange::new(first, end - first)
}

impl Pager {
    /// Writes pages as they are in memory, in ascending order, with the checksums that the ones in memory lack.
    /// `written` hears how many have been written so far.
    ///
    /// # Errors
    /// An I/O error; some pages may have been written.
    pub(crate) fn write_back(
        &self,
        ranges: &[PageRange],
        mut pace: Pace,
        written: &mut dyn FnMut(u64),
    ) -> PageResult<()> {
        if !ranges.is_empty() {
            // To write behind the end of a file that was cut would fill the gap with zeros.
            self.check_not_cut()?;
        }
        let mut buffer = Vec::new();
        let mut count = 0;
        let floor = self.durable().epoch;
        for range in ranges {
            let mut first = range.first();
            while first < range.end() {
                let piece = piece_of(*range, first);
                buffer.clear();
                piece
                    .pages()
                    .try_for_each(|pgno| self.copy_with_checksum(Pgno::new(pgno), floor, &mut buffer))?;
                self.write_piece(piece, &buffer)?;
                pace.note(self.store.file(), Pgno::new(piece.first()).offset(), buffer.len() as u64)?;
                first = piece.end();
                count += piece.count();
                written(count);
            }
        }
        Ok(())
    }

    fn write_piece(&self, piece: PageRange, bytes: &[u8]) -> PageResult<()> {
        let offset = Pgno::new(piece.first()).offset();
        write_all_at(self.store.file(), bytes, offset).map_err(|source| {
            PageError::io(format!("write {} bytes at {offset} of the data file", bytes.len()), source)
        })
    }

    /// Appends a page that was made since the durable epoch `floor`.
    fn copy_with_checksum(&self, pgno: Pgno, floor: Epoch, buffer: &mut Vec<u8>) -> PageResult<()> {
        let start = buffer.len();
        buffer.extend_from_slice(self.store.view.page(pgno));
        if self.space.raw.contains(pgno.get()) {
            return Ok(());
        }
        let copy: &mut PageBytes = (&mut buffer[start..]).try_into().expect("a page was appended");
        // Cutting a file takes private copies with it, and what is found then is something else.
        if header::kind(copy).is_none() || header::birth(copy) <= floor {
            let what = "not what was made in memory: the data file was changed by somebody else";
            return Err(Corruption::new(pgno, what).into());
        }
        header::set_checksum(copy, node_checksum(self.store.id, pgno, copy));
        Ok(())
    }

    /// Gives the private copies of pages back whose bytes are in the file. What the system refuses to take back
    /// stays private: it shadows the file with the same bytes.
    pub(crate) fn discard_written(&self, ranges: &[PageRange]) {
        if self.store.view.discard_all(ranges).is_ok() {
            ranges.iter().for_each(|range| self.space.forget_private(*range));
            return;
        }
        for range in ranges {
            if self.store.view.discard(*range).is_ok() {
                self.space.forget_private(*range);
            }
        }
    }

    /// As [`Pager::discard_written`], for pages that readers are looking at: they find them in the map as before. A fault of
    /// theirs would wait for the next checkpoint, while it hands pages beside these to the disk.
    pub(crate) fn replace_written(&self, ranges: &[PageRange]) {
        // Some at a time, so that few of them are out of the map at any time.
        for some in ranges.chunks(REPLACED_MAX) {
            self.discard_written(some);
            self.store.view.map_ahead(some);
        }
    }

    /// Writes all dirty pages early. No durable root names them, so it does not matter when they reach the disk.
    ///
    /// # Errors
    /// An I/O error. The pages stay dirty.
    pub(crate) fn spill(&self) -> PageResult<()> {
        if self.store.file.is_none() {
            return Ok(());
        }
        let ranges = self.space.take_dirty();
        let written =
            self.write_back(&ranges, Pace::hasty(), &mut |_| ()).and_then(|()| self.check_not_cut());
        if let Err(error) = written {
            ranges.into_iter().for_each(|range| self.space.mark_dirty(range));
            return Err(error);
        }
        Counters::add(&self.counters.spilled_pages, ranges.iter().map(|range| range.count()).sum());
        self.discard_written(&ranges);
        Ok(())
    }

    /// Writes every page that the file does not have and that anybody may read, and gives all private memory back: from
    /// then on the file shows every committed state, and what other processes write to it shows through here. Called
    /// under the writer gate, between transactions, while no checkpoint is under way.
    ///
    /// # Errors
    /// An I/O error: some pages are still in private memory only.
    pub fn write_out(&self) -> PageResult<()> {
        if self.store.file.is_none() {
            return Ok(());
        }
        let ranges = self.space.take_unwritten();
        if let Err(error) = self.write_back(&ranges, Pace::hasty(), &mut |_| ()) {
            ranges.into_iter().for_each(|range| self.space.mark_dirty(range));
            return Err(error);
        }
        Counters::add(&self.counters.spilled_pages, ranges.iter().map(|range| range.count()).sum());
        self.forget_private()
    }

    /// Gives all private memory back. What is not in the file is gone: nobody may read it.
    ///
    /// # Errors
    /// An I/O error of the map.
    pub fn forget_private(&self) -> PageResult<()> {
        for range in self.space.all_private() {
            let discarded = self.store.view.discard(range);
            discarded.map_err(|source| PageError::io("discard private pages", source))?;
            self.space.forget_private(range);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_where_huge_pages_begin() {
        let range = PageRange::new(500, 1_000);
        let pieces = [PageRange::new(500, 12), PageRange::new(512, 512), PageRange::new(1_024, 476)];
        let mut first = range.first();
        for piece in pieces {
            assert_eq!(piece_of(range, first), piece);
            first = piece.end();
        }
        assert_eq!(first, range.end());
    }
}
