//! Walking a tree page by page, without those parts that the caller knows already.

use llmdb_base::{ChildRef, PageBytes, PageError, PageResult, Pgno, ReadPages, RunRef, TreeId, codec};

use crate::{
    PageUse, Tree,
    node::{Node, fetch},
    value,
};

/// Leaves asked for together.
const AHEAD: usize = 64;

impl Tree {
    /// Calls `visit` for every node before it is entered, parents before children, and for every out-of-line value.
    /// A node is entered if `visit` answers `true`; the answer for a value means nothing.
    ///
    /// Cost: reads the nodes that are entered.
    ///
    /// # Errors
    /// Corruption that names the page; an I/O error; those of `visit`.
    pub fn walk<P: ReadPages, E: From<PageError>>(
        &self,
        pages: &P,
        visit: &mut dyn FnMut(PageUse) -> Result<bool, E>,
    ) -> Result<(), E> {
        if self.is_empty() {
            return Ok(());
        }
        let root = self.root_ref()?;
        self.walk_node(pages, root, self.height - 1, visit).map(drop)
    }

    fn walk_node<P: ReadPages, E: From<PageError>>(
        &self,
        pages: &P,
        child: ChildRef,
        level: u8,
        visit: &mut dyn FnMut(PageUse) -> Result<bool, E>,
    ) -> Result<bool, E> {
        if !visit(PageUse::Node { child, level })? {
            return Ok(false);
        }
        let node = fetch(pages, self.id, child, level)?;
        let mut was_entered = false;
        for index in 0..node.count() {
            if level > 0 {
                if level == 1 && was_entered && (index == 1 || index.is_multiple_of(AHEAD)) {
                    // Whoever entered one leaf will mostly enter the next ones.
                    let next = index..node.count().min((index / AHEAD + 1) * AHEAD);
                    let children = next.map(|index| node.child(index)).collect::<PageResult<Vec<_>>>()?;
                    pages.read_ahead_all(&children);
                }
                was_entered = self.walk_node(pages, node.child(index)?, level - 1, visit)?;
            } else if let Some(run) = node.run(index)? {
                visit(PageUse::Run(run))?;
            }
        }
        Ok(true)
    }
}

/// Replaces the checksum in every run reference of the leaf in `page` by what `checksum` answers. The checksum of the
/// page itself is left as it was.
///
/// # Errors
/// Corruption if `page` is no leaf of `tree`; those of `checksum`.
pub fn reseal_leaf<E: From<PageError>>(
    page: &mut PageBytes,
    tree: TreeId,
    pgno: Pgno,
    checksum: &mut dyn FnMut(&RunRef) -> Result<u32, E>,
) -> Result<(), E> {
    for (at, run) in stored_runs(page, tree, pgno)? {
        codec::put_u32(page, at + value::CHECKSUM, checksum(&run)?);
    }
    Ok(())
}

/// The run references in a leaf, each with its place in the page.
fn stored_runs(page: &PageBytes, tree: TreeId, pgno: Pgno) -> PageResult<Vec<(usize, RunRef)>> {
    let leaf = Node::new(page, tree, pgno, 0)?;
    let mut runs = Vec::new();
    for index in 0..leaf.count() {
        if let Some(run) = leaf.run(index)? {
            // A run reference fills the payload, and the payload ends the cell.
            runs.push((leaf.cell_range(index)?.end - value::RUN_REF_LEN, run));
        }
    }
    Ok(runs)
}
