//! Values that fill pages of their own, while they are being written.

use llmdb_base::{
    Corruption, PAGE_SIZE, PageError, PageResult, RunRef, RunWriter, VALUE_LEN_MAX, checksum::crc32c,
};
use llmdb_vfs::write_all_at;

use super::PageTxn;
use crate::{
    range::PageRange,
    run::{RunLayout, seed, to_len},
    stats::Counters,
};

/// Values of this length are written to the file as they come, past private memory.
const DIRECT_BYTES_MIN: u64 = 256 << 10;

impl PageTxn {
    pub(super) fn begin_value(&mut self, len: u64) -> PageResult<RunWriter> {
        assert!((1..=VALUE_LEN_MAX).contains(&len), "values that fill pages have 1 to {VALUE_LEN_MAX} bytes");
        let pages = RunLayout::new(llmdb_base::Pgno::new(0), len).pages;
        let range = if pages == 1 {
            PageRange::one(self.take_page()?)
        } else {
            self.take(|writer, pager, reserve| {
                writer.allocator.run(&pager.space, &pager.store, pages, reserve)
            })?
        };
        let first = llmdb_base::Pgno::new(range.first());
        self.pager.space.raw.insert_range(range);
        self.open_runs.push(range);
        if self.is_direct(len) {
            // A stale private copy would shadow what is written to the file.
            let discarded = self.pager.store.view.discard(range);
            discarded.map_err(|source| PageError::io("discard private pages", source))?;
            self.pager.space.unmark_dirty(range);
            Counters::add(&self.pager.counters.spilled_pages, pages);
        } else {
            self.pager.space.mark_dirty(range);
        }
        let checksum = seed(self.pager.store.id, first, 0);
        Ok(RunWriter { first, len, written: 0, checksum, page_checksums: Vec::new() })
    }

    pub(super) fn append_to_value(&mut self, writer: &mut RunWriter, bytes: &[u8]) -> PageResult<()> {
        let layout = self.layout_of_open(writer);
        let end = writer.written + bytes.len() as u64;
        assert!(end <= writer.len, "no more is appended to a value than was announced");
        self.store(&layout, writer.written, bytes)?;
        if layout.is_long() {
            self.add_to_table(writer, &layout, bytes);
        } else {
            writer.checksum = crc32c(writer.checksum, bytes);
        }
        writer.written = end;
        Ok(())
    }

    pub(super) fn finish_value(&mut self, writer: &RunWriter) -> PageResult<RunRef> {
        let layout = self.layout_of_open(writer);
        assert!(writer.written == writer.len, "as much is appended to a value as was announced");
        let mut rest = Vec::new();
        let mut checksum = writer.checksum;
        if layout.is_long() {
            rest.resize(to_len(layout.table_start() - layout.len), 0);
            writer.page_checksums.iter().for_each(|checksum| rest.extend(checksum.to_le_bytes()));
            let table = &rest[rest.len() - to_len(layout.table_len())..];
            checksum = crc32c(seed(self.pager.store.id, writer.first, 0), table);
        }
        // What was in these pages before must not leak into the file.
        rest.resize(to_len(layout.pages * PAGE_SIZE as u64 - layout.len), 0);
        self.store(&layout, layout.len, &rest)?;
        self.close(&layout);
        Ok(RunRef { first: writer.first, len: writer.len, birth: self.current().epoch, checksum })
    }

    pub(super) fn free_value(&mut self, run: &RunRef) -> PageResult<()> {
        let (file_pages, region_pages) =
            (self.pager.space.file_pages(), self.pager.store.view.region_pages());
        let range = RunLayout::checked(run, file_pages, region_pages)?.range();
        self.check_live(range)?;
        self.check_birth(run.first, run.birth)?;
        let fresh = range.pages().filter(|pgno| self.writer().fresh.contains(*pgno)).count() as u64;
        if fresh != 0 && fresh != range.count() {
            return Err(Corruption::new(run.first, "named as a value that is new in parts only").into());
        }
        self.give(range, run.birth);
        Ok(())
    }

    pub(super) fn abandon_value(&mut self, writer: &RunWriter) {
        let layout = self.layout_of_open(writer);
        self.close(&layout);
        self.give(layout.range(), self.current().epoch);
    }

    fn is_direct(&self, len: u64) -> bool {
        len >= DIRECT_BYTES_MIN && self.pager.store.file.is_some()
    }

    /// The layout of a value that this transaction is writing.
    fn layout_of_open(&self, writer: &RunWriter) -> RunLayout {
        let layout = RunLayout::new(writer.first, writer.len);
        assert!(
            self.open_runs.contains(&layout.range()),
            "a value is written by the transaction that began it"
        );
        layout
    }

    fn close(&mut self, layout: &RunLayout) {
        let range = layout.range();
        self.open_runs.retain(|run| *run != range);
    }

    /// Stores bytes of a run at `offset` from its start.
    fn store(&self, layout: &RunLayout, offset: u64, bytes: &[u8]) -> PageResult<()> {
        let start = layout.first.offset() + offset;
        let store = &self.pager.store;
        if !self.is_direct(layout.len) {
            self.pager.space.mark_dirty(layout.range());
            store.view.bytes_mut(start, bytes.len()).copy_from_slice(bytes);
            return Ok(());
        }
        write_all_at(store.file(), bytes, start).map_err(|source| {
            PageError::io(format!("write {} bytes at {start} of the data file", bytes.len()), source)
        })?;
        if !store.view.shows_file() {
            store.view.bytes_mut(start, bytes.len()).copy_from_slice(bytes);
        }
        Ok(())
    }

    /// Adds the checksums of the pages that `bytes` end, and starts that of the next one.
    fn add_to_table(&self, writer: &mut RunWriter, layout: &RunLayout, mut bytes: &[u8]) {
        let mut written = writer.written;
        while !bytes.is_empty() {
            let index = written / PAGE_SIZE as u64;
            let left = layout.len_in_page(index) - to_len(written % PAGE_SIZE as u64);
            let (now, later) = bytes.split_at(bytes.len().min(left));
            writer.checksum = crc32c(writer.checksum, now);
            if now.len() == left {
                writer.page_checksums.push(writer.checksum);
                writer.checksum = seed(self.pager.store.id, layout.first, index + 1);
            }
            written += now.len() as u64;
            bytes = later;
        }
    }
}
