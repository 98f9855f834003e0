//! How much of what was written the disk is given at a time.
//!
//! Written pages lie in the page cache. Left there until the sync, they all go to the disk at once, and a commit that
//! comes meanwhile waits behind them; so they are sent ahead. A checkpoint, for which nobody waits, also waits for the disk
//! itself, and the log finds a short queue (as `bytes_per_sync` with `strict_bytes_per_sync` in RocksDB).

use std::collections::VecDeque;

use llmdb_base::{PAGE_SIZE, PageError, PageResult};
use llmdb_vfs::File;

use crate::range::HUGE_PAGES;

/// Bytes sent to the disk as one: what the page cache keeps in one piece goes as a whole.
const SPAN_BYTES: u64 = HUGE_PAGES * PAGE_SIZE as u64;
/// Spans on their way at a time.
const SPANS_MAX: usize = 2;

/// Sends what is written to the disk while more is being written.
#[derive(Debug)]
pub(crate) struct Pace {
    waits: bool,
    open: Option<Span>,
    under_way: VecDeque<Span>,
}

/// A part of the file, with gaps that were not written.
#[derive(Clone, Copy, Debug)]
struct Span {
    offset: u64,
    end: u64,
    written_bytes: u64,
}

impl Pace {
    /// As fast as it can be written: somebody waits for it.
    pub fn hasty() -> Self {
        Self::new(false)
    }

    /// Not faster than the disk takes it.
    pub fn steady() -> Self {
        Self::new(true)
    }

    fn new(waits: bool) -> Self {
        Self { waits, open: None, under_way: VecDeque::new() }
    }

    /// `len` bytes have been written at `offset`, behind all those before.
    ///
    /// # Errors
    /// An I/O error of what was sent before.
    pub fn note(&mut self, file: &dyn File, offset: u64, len: u64) -> PageResult<()> {
        let open = self.open.get_or_insert(Span { offset, end: offset, written_bytes: 0 });
        open.end = offset + len;
        open.written_bytes += len;
        match self.open.take_if(|open| open.written_bytes >= SPAN_BYTES) {
            Some(full) => self.send(file, full),
            None => Ok(()),
        }
    }

    fn send(&mut self, file: &dyn File, span: Span) -> PageResult<()> {
        file.start_writeback(span.offset, span.end - span.offset);
        if !self.waits {
            return Ok(());
        }
        self.under_way.push_back(span);
        if self.under_way.len() <= SPANS_MAX {
            return Ok(());
        }
        let Some(Span { offset, end, .. }) = self.under_way.pop_front() else { return Ok(()) };
        file.await_writeback(offset, end - offset).map_err(|source| {
            PageError::io(format!("write back {} bytes at {offset} of the data file", end - offset), source)
        })
    }
}
