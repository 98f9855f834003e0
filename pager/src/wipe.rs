//! Zeros over what free pages still hold, and looking at the file as it is stored.

use llmdb_base::{Epoch, PAGE_SIZE, PageError, PageResult, Pgno, sync::lock};
use llmdb_vfs::{read_exact_at, write_all_at};

use crate::{
    pager::Pager,
    range::{PageRange, runs_of_ones},
};

/// Pages read, and if need be written, at once: 256 KiB.
const PIECE_PAGES: u64 = 64;

/// What [`Pager::wipe_free`] has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wiped {
    /// Pages that held something, and hold zeros now.
    pub pages: u64,
    /// Where to go on; `None` at the end of the file.
    pub next: Option<Pgno>,
}

impl Pager {
    /// Writes zeros over those free pages from `from` on that hold anything else in the file, looking at about
    /// `count_max` of them. Called under the writer gate, between transactions; durable after [`Pager::force`].
    ///
    /// A free page is named by no root that anybody may ask for, so nobody reads what is wiped; and whoever takes the
    /// page later writes all of it. Copies in private memory never reach the file: a checkpoint writes live pages only.
    ///
    /// # Errors
    /// An I/O error; some pages may have been wiped.
    ///
    /// # Panics
    /// If a transaction is under way, or the store was not opened for writing.
    pub fn wipe_free(self: &std::sync::Arc<Self>, from: Pgno, count_max: u64) -> PageResult<Wiped> {
        if self.store.file.is_none() {
            return Ok(Wiped::default());
        }
        // Beginning to write frees what nobody holds any more.
        drop(self.begin_write());
        self.check_not_cut()?;
        let mut wiped = Wiped::default();
        let mut looked_at = 0;
        let mut buffer = vec![0; crate::run::to_len(PIECE_PAGES * PAGE_SIZE as u64)];
        for run in runs_of_ones(from.get(), self.space.file_pages(), |index| self.space.free_word(index)) {
            let mut first = run.first();
            while first < run.end() {
                if looked_at >= count_max {
                    wiped.next = Some(Pgno::new(first));
                    return Ok(wiped);
                }
                let piece = PageRange::new(first, PIECE_PAGES.min(run.end() - first));
                wiped.pages += self.wipe_piece(piece, &mut buffer)?;
                looked_at += piece.count();
                first = piece.end();
            }
        }
        Ok(wiped)
    }

    /// Returns how many of the pages held something.
    fn wipe_piece(&self, piece: PageRange, buffer: &mut [u8]) -> PageResult<u64> {
        let offset = Pgno::new(piece.first()).offset();
        let bytes = &mut buffer[..crate::run::to_len(piece.count() * PAGE_SIZE as u64)];
        let io = |what: &str, source| PageError::io(format!("{what} the free pages at {offset}"), source);
        read_exact_at(self.store.file(), bytes, offset).map_err(|source| io("read", source))?;
        let held = bytes.chunks(PAGE_SIZE).filter(|page| page.iter().any(|byte| *byte != 0)).count() as u64;
        if held > 0 {
            bytes.fill(0);
            write_all_at(self.store.file(), bytes, offset)
                .map_err(|source| io("write zeros over", source))?;
        }
        Ok(held)
    }

    /// Forces what was written to the data file to the media.
    ///
    /// # Errors
    /// An I/O error: what reached the media is unknown, and the pager is poisoned.
    pub fn force(&self) -> PageResult<()> {
        let Some(file) = &self.store.file else { return Ok(()) };
        let forced =
            file.sync_data().map_err(|source| PageError::io("force the data file to the media", source));
        forced.inspect_err(|error| {
            self.poison.get_or_init(|| error.to_string());
        })
    }

    /// Pages that were freed up to `epoch` and cannot be wiped yet, since somebody may still read them.
    pub fn held_since(&self, epoch: Epoch) -> u64 {
        let retention = lock(&self.retention);
        retention
            .batches()
            .filter(|batch| batch.freed <= epoch)
            .map(crate::retention::Batch::page_count)
            .sum()
    }

    /// Reads bytes of the data file as they are stored, whatever pages they belong to; returns how many there were.
    ///
    /// # Errors
    /// An I/O error.
    pub fn read_stored(&self, offset: u64, buf: &mut [u8]) -> PageResult<usize> {
        let Some(file) = &self.store.file else { return Ok(0) };
        let mut got = 0;
        while got < buf.len() {
            match file.read_at(&mut buf[got..], offset + got as u64) {
                Ok(0) => break,
                Ok(count) => got += count,
                Err(source) => return Err(PageError::io(format!("read the data file at {offset}"), source)),
            }
        }
        Ok(got)
    }
}
