//! Looking at every page, for those that nothing leads to any more.

use llmdb_base::{
    ChildRef, Epoch, PAGE_SIZE, PageBytes, Pgno, TreeId,
    header::{self, PageKind},
};
use llmdb_vfs::AlignedBuf;

use crate::{ReadGuard, store::check_node};

/// Pages that are read at once.
const CHUNK_PAGES: usize = 256;

impl ReadGuard {
    /// Calls `found` with tree, reference and birth of every leaf below the end of the state that is intact and was not
    /// born later than the state, whether or not the state has it. Values that look like leaves do not have the checksum
    /// of one. Pages that cannot be read are left out.
    ///
    /// Cost: reads the whole file.
    pub fn scan_leaves(&self, found: &mut dyn FnMut(TreeId, ChildRef, Epoch)) {
        let end = self.root().page_count;
        let mut single = AlignedBuf::new(PAGE_SIZE);
        let mut buffer = AlignedBuf::new(CHUNK_PAGES * PAGE_SIZE);
        for first in (0..end).step_by(CHUNK_PAGES) {
            let count = (CHUNK_PAGES as u64).min(end - first);
            let is_read = self.read_pages(first, count, &mut buffer);
            for (pgno, page) in (first..first + count).zip(buffer.chunks_exact(PAGE_SIZE)) {
                let page = if self.is_private(pgno) {
                    self.page_in_memory(pgno)
                } else if is_read {
                    page
                } else if self.read_pages(pgno, 1, &mut single) {
                    &single[..]
                } else {
                    continue;
                };
                if let Ok(page) = <&PageBytes>::try_from(page) {
                    self.look_at(pgno, page, found);
                }
            }
        }
    }

    fn look_at(&self, pgno: u64, page: &PageBytes, found: &mut dyn FnMut(TreeId, ChildRef, Epoch)) {
        let birth = header::birth(page);
        if header::kind(page) != Some(PageKind::Leaf) || birth > self.root().epoch {
            return;
        }
        let leaf = ChildRef::new(Pgno::new(pgno), birth);
        // What is in memory only has no checksum yet.
        if self.is_private(pgno) || check_node(self.pager().store.id, leaf, page).is_ok() {
            found(header::tree(page), leaf, birth);
        }
    }

    fn is_private(&self, pgno: u64) -> bool {
        self.pager().store.file.is_none() || self.pager().space.is_private(pgno)
    }

    fn page_in_memory(&self, pgno: u64) -> &[u8] {
        self.pager().store.view.page(Pgno::new(pgno))
    }

    fn read_pages(&self, first: u64, count: u64, buffer: &mut AlignedBuf) -> bool {
        let Some(file) = &self.pager().store.file else { return false };
        let len = usize::try_from(count).unwrap_or(0) * PAGE_SIZE;
        let offset = Pgno::new(first).offset();
        llmdb_vfs::read_exact_at(&**file, &mut buffer[..len], offset).is_ok()
    }
}
