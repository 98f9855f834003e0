//! The transaction as trees see it.

use llmdb_base::{
    ChildRef, Epoch, PageBytes, PageResult, ReadPages, RunRef, RunWriter, TreeId, WritePages,
    header::PageKind,
};

use super::PageTxn;
use crate::store::announcements;

impl ReadPages for PageTxn {
    #[inline]
    fn page(&self, child: ChildRef) -> PageResult<&PageBytes> {
        self.pager.store.node(child, self.pager.space.file_pages())
    }

    #[inline]
    fn ready_page(&self, child: ChildRef) -> Option<&PageBytes> {
        self.pager.store.ready_node(child, self.pager.space.file_pages())
    }

    fn run(&self, run: &RunRef) -> PageResult<&[u8]> {
        self.pager.store.run(run, self.pager.space.file_pages())
    }

    fn run_part(&self, run: &RunRef, offset: u64, len: usize) -> PageResult<&[u8]> {
        self.pager.store.run_part(run, offset, len, self.pager.space.file_pages())
    }

    #[inline]
    fn check_intact(&self) -> PageResult<()> {
        self.pager.check_intact(self.losses)
    }

    announcements!();
}

impl WritePages for PageTxn {
    fn epoch(&self) -> Epoch {
        self.current().epoch
    }

    fn rest(&mut self) -> PageResult<()> {
        self.spill_if_due()
    }

    fn allocate(&mut self, kind: PageKind, level: u8, tree: TreeId) -> PageResult<ChildRef> {
        self.allocate_node(kind, level, tree)
    }

    fn own(&mut self, child: ChildRef) -> PageResult<ChildRef> {
        self.own_node(child)
    }

    fn page_mut(&mut self, child: ChildRef) -> PageResult<&mut PageBytes> {
        self.fresh_node_mut(child)
    }

    fn free(&mut self, child: ChildRef) -> PageResult<()> {
        self.free_node(child)
    }

    fn begin_run(&mut self, len: u64) -> PageResult<RunWriter> {
        self.begin_value(len)
    }

    fn append_run(&mut self, writer: &mut RunWriter, bytes: &[u8]) -> PageResult<()> {
        self.append_to_value(writer, bytes)
    }

    fn finish_run(&mut self, writer: RunWriter) -> PageResult<RunRef> {
        self.finish_value(&writer)
    }

    fn free_run(&mut self, run: &RunRef) -> PageResult<()> {
        self.free_value(run)
    }

    fn abandon_run(&mut self, writer: RunWriter) -> PageResult<()> {
        self.abandon_value(&writer);
        Ok(())
    }
}
