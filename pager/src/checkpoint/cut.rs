//! Cutting off the free end of the file.

use std::sync::Arc;

use llmdb_base::{PageError, PageResult, Pgno};

use crate::{meta::FILE_PAGES_MIN, pager::Pager, range::PageRange};

impl Pager {
    /// Shortens the file to what is in use, unless a reader is left that might name pages behind the new end.
    ///
    /// # Errors
    /// An I/O error; the file is then as long as before, which harms nobody.
    pub(super) fn cut_free_end(self: &Arc<Self>) -> PageResult<()> {
        let mut txn = self.begin_write();
        let (old_end, end) = (self.space.file_pages(), self.space.used_end().max(FILE_PAGES_MIN));
        let tip = *txn.root();
        if end == old_end || self.published.epoch() != tip.epoch {
            return Ok(());
        }
        // The same state under a new name, with fewer pages. Who begins to read from now on names none of those that
        // go, and the scan sees who began before.
        self.space.set_file_pages(end);
        let root = txn.seal(tip.state());
        self.publish(&root);
        let mut readers = Vec::new();
        self.scan_readers(&mut readers);
        if readers.iter().any(|epoch| *epoch < root.epoch) {
            self.space.set_file_pages(old_end);
            return Ok(());
        }
        txn.writer_mut().allocator.forget_warm();
        self.discard_cut(end, old_end);
        let file = self.store.file();
        file.set_len(Pgno::new(end).offset()).map_err(|source| PageError::io("shorten the data file", source))
    }

    /// Memory behind the end of a file cannot even be looked at.
    fn discard_cut(&self, end: u64, old_end: u64) {
        let mut first = end;
        while first < old_end {
            let range = PageRange::new(first, PageRange::COUNT_MAX.min(old_end - first));
            // What stays private beyond the end is unreachable, and goes with the mapping.
            drop(self.store.view.discard(range));
            self.space.forget_private(range);
            first = range.end();
        }
    }
}
