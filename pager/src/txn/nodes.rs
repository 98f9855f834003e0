//! Pages with a header: nodes of trees, and pages of the stored allocation map.

use llmdb_base::{
    ChildRef, Corruption, Epoch, PageBytes, PageError, PageResult, Pgno, TreeId,
    header::{self, PageKind},
};

use super::PageTxn;
use crate::{range::PageRange, space::is_fixed};

impl PageTxn {
    pub(super) fn allocate_node(&mut self, kind: PageKind, level: u8, tree: TreeId) -> PageResult<ChildRef> {
        let child = self.new_node()?;
        header::init(self.pager.store.view.page_mut(child.pgno()), kind, level, tree, self.current().epoch);
        Ok(child)
    }

    pub(super) fn own_node(&mut self, child: ChildRef) -> PageResult<ChildRef> {
        if self.is_fresh_node(child) {
            return Ok(child);
        }
        self.check_freeable(child)?;
        let copy = self.new_node()?;
        let view = &self.pager.store.view;
        let (original, page) = (view.page(child.pgno()), view.page_mut(copy.pgno()));
        page.copy_from_slice(original);
        header::set_birth(page, self.current().epoch);
        let born = header::birth(original);
        self.give_node(child.pgno(), born);
        Ok(copy)
    }

    pub(super) fn fresh_node_mut(&mut self, child: ChildRef) -> PageResult<&mut PageBytes> {
        if !self.is_fresh_node(child) {
            let what = "named as a page of the transaction under way, which did not allocate it";
            return Err(Corruption::new(child.pgno(), what).into());
        }
        self.pager.space.mark_dirty(PageRange::one(child.pgno()));
        Ok(self.pager.store.view.page_mut(child.pgno()))
    }

    pub(super) fn free_node(&mut self, child: ChildRef) -> PageResult<()> {
        let born = self.check_freeable(child)?;
        self.give_node(child.pgno(), born);
        Ok(())
    }

    /// Gives a node back. One that the last checkpoint names is one that a replay will have to read.
    fn give_node(&mut self, pgno: Pgno, born: Epoch) {
        if born <= self.writer().checkpointed {
            self.current_mut().replaced += 1;
        }
        self.give(PageRange::one(pgno), born);
    }

    /// Gives back a page of the stored map, of which the caller knows that it is one.
    pub(crate) fn free_map_page(&mut self, pgno: Pgno, born: Epoch) -> PageResult<()> {
        self.check_live(PageRange::one(pgno))?;
        self.give(PageRange::one(pgno), born);
        Ok(())
    }

    /// A fresh page with bytes of the past in it.
    fn new_node(&mut self) -> PageResult<ChildRef> {
        let pgno = self.take_page()?;
        let space = &self.pager.space;
        space.raw.remove(pgno.get());
        space.mark_dirty(PageRange::one(pgno));
        Ok(ChildRef::new(pgno, self.current().epoch))
    }

    /// Whether `child` is a page with a header that the current level allocated. Exact: the set of fresh pages says
    /// so, not the bytes of the page.
    fn is_fresh_node(&self, child: ChildRef) -> bool {
        let pgno = child.pgno().get();
        child.tag() == self.current().epoch.tag()
            && self.writer().fresh.contains(pgno)
            && !self.pager.space.raw.contains(pgno)
    }

    /// Checks that `child` is a live node, born when it says; returns its birth.
    fn check_freeable(&self, child: ChildRef) -> PageResult<Epoch> {
        self.check_live(PageRange::one(child.pgno()))?;
        let page = self.pager.store.node(child, self.pager.space.file_pages())?;
        self.check_birth(child.pgno(), header::birth(page))
    }

    /// Checks that a birth lies in the past; pages of the present are fresh.
    pub(super) fn check_birth(&self, pgno: Pgno, born: Epoch) -> PageResult<Epoch> {
        let epoch = self.current().epoch;
        if born < epoch || self.writer().fresh.contains(pgno.get()) {
            return Ok(born);
        }
        Err(Corruption::new(pgno, format!("born in {born}, and it is {epoch} only now")).into())
    }

    /// Checks that pages are in use, and not by the pager itself.
    pub(super) fn check_live(&self, range: PageRange) -> PageResult<()> {
        let space = &self.pager.space;
        let free = |pgno: &u64| !space.live.contains(*pgno) || is_fixed(Pgno::new(*pgno));
        match range.pages().find(free) {
            None => Ok(()),
            Some(pgno) => Err(not_allocated(Pgno::new(pgno))),
        }
    }
}

#[cold]
fn not_allocated(pgno: Pgno) -> PageError {
    Corruption::new(pgno, "named by a damaged page: it is not allocated").into()
}
