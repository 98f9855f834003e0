//! Removing all entries between two bounds: whole subtrees are cut off, only the pages on the two edges change.

use std::ops::{Bound, Range};

use llmdb_base::{ChildRef, PageResult, WritePages};

use crate::{
    Tree, TreeResult,
    merge::mend_child,
    node::{Node, fetch},
    path::{Path, edit, own_child, view},
    range::{is_backward, lower_index, upper_index},
    remove::{free_runs, free_subtree},
    search,
};

/// Bounds of the entries to remove.
#[derive(Clone, Copy)]
struct Bounds<'a> {
    from: Bound<&'a [u8]>,
    to: Bound<&'a [u8]>,
}

impl Bounds<'_> {
    fn is_everything(&self) -> bool {
        matches!((self.from, self.to), (Bound::Unbounded, Bound::Unbounded))
    }
}

impl Tree {
    /// Removes the entries between `from` and `to`, and frees their runs; returns how many that were.
    ///
    /// Cost: copies and changes the pages on the two edges of the range; reads the nodes in between, to count their
    /// entries and to find their runs, and frees them.
    ///
    /// # Errors
    /// Corruption, I/O, no space for the copies: the tree may be half changed, see [`Tree`].
    pub fn remove_range<P: WritePages>(
        &mut self,
        pages: &mut P,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> TreeResult<u64> {
        let bounds = Bounds { from, to };
        let before = self.entries;
        if self.is_empty() || is_backward(from, to) || self.range(pages, from, to)?.next().is_none() {
            return Ok(0);
        }
        if bounds.is_everything() {
            self.clear(pages)?;
            return Ok(before);
        }
        pages.rest()?;
        let root = self.root_ref()?;
        self.root = pages.own(root)?;
        let removed = self.cut(pages, self.root, self.height - 1, bounds)?;
        self.forget(removed)?;
        self.lower(pages)?;
        self.mend_edge(pages, from)?;
        self.mend_edge(pages, to)?;
        Ok(removed)
    }

    /// Removes what lies inside `bounds` below the node `child`, which has been owned; returns how many entries that
    /// were. The node may be underfull or even without cells afterwards.
    fn cut<P: WritePages>(
        &self,
        pages: &mut P,
        child: ChildRef,
        level: u8,
        bounds: Bounds<'_>,
    ) -> PageResult<u64> {
        let node = fetch(pages, self.id, child, level)?;
        if level > 0 {
            let edges = (edge_child(&node, bounds.from, 0)?, edge_child(&node, bounds.to, node.count() - 1)?);
            return self.cut_children(pages, child, level, edges, bounds);
        }
        let range = lower_index(&node, bounds.from)?..upper_index(&node, bounds.to)?;
        free_runs(pages, child, range.clone())?;
        edit(pages, child)?.remove(range.clone())?;
        Ok(range.len() as u64)
    }

    /// Removes what lies inside `bounds` below a branch; `edges` are the first and the last child concerned.
    fn cut_children<P: WritePages>(
        &self,
        pages: &mut P,
        branch: ChildRef,
        level: u8,
        edges: (usize, usize),
        bounds: Bounds<'_>,
    ) -> PageResult<u64> {
        if edges.0 >= edges.1 {
            let removed = self.cut_child(pages, branch, level, edges.0, bounds)?;
            mend_child(pages, branch, edges.0)?;
            return Ok(removed);
        }
        // A child on an edge is cut too where there is no bound: else this would branch out at every level.
        let (left, right) =
            (Bounds { to: Bound::Unbounded, ..bounds }, Bounds { from: Bound::Unbounded, ..bounds });
        let whole =
            edges.0 + usize::from(!left.is_everything())..edges.1 + usize::from(right.is_everything());
        let mut removed = self.free_children(pages, branch, level, whole.clone())?;
        // The right edge first: what happens there does not change the index of the left one.
        if !right.is_everything() {
            removed += self.cut_child(pages, branch, level, whole.start, right)?;
        }
        if !left.is_everything() {
            removed += self.cut_child(pages, branch, level, edges.0, left)?;
        }
        for index in [whole.start, edges.0] {
            if index < view(pages, branch)?.count() {
                mend_child(pages, branch, index)?;
            }
        }
        Ok(removed)
    }

    /// Frees the subtrees below the children in `range` of a branch, and removes these from it.
    fn free_children<P: WritePages>(
        &self,
        pages: &mut P,
        branch: ChildRef,
        level: u8,
        range: Range<usize>,
    ) -> PageResult<u64> {
        let mut removed = 0;
        for index in range.clone() {
            let child = fetch(pages, self.id, branch, level)?.child(index)?;
            removed += free_subtree(self, pages, child, level - 1)?;
        }
        edit(pages, branch)?.remove_children(range)?;
        Ok(removed)
    }

    /// Removes what lies inside `bounds` below child `index` of a branch, which may be everything: mending then removes
    /// the child.
    fn cut_child<P: WritePages>(
        &self,
        pages: &mut P,
        branch: ChildRef,
        level: u8,
        index: usize,
        bounds: Bounds<'_>,
    ) -> PageResult<u64> {
        let child = own_child(pages, branch, index)?;
        self.cut(pages, child, level - 1, bounds)
    }

    /// Mends underfull nodes on the way to `bound`: while the edges were cut, their new neighbours were not known
    /// everywhere.
    fn mend_edge<P: WritePages>(&mut self, pages: &mut P, bound: Bound<&[u8]>) -> PageResult<()> {
        let (Bound::Included(key) | Bound::Excluded(key)) = bound else {
            return Ok(());
        };
        for _ in 0..2 {
            if self.is_empty() {
                break;
            }
            let mut path = Path::descend(self, pages, key)?;
            path.own(self, pages)?;
            for depth in (1..=path.leaf_depth()).rev() {
                let parent = path.step(depth - 1);
                mend_child(pages, parent.child, parent.index())?;
            }
            self.lower(pages)?;
        }
        Ok(())
    }
}

/// Index of the child of `branch` in which `bound` falls; `unbounded` if there is no bound.
fn edge_child(branch: &Node<'_>, bound: Bound<&[u8]>, unbounded: usize) -> PageResult<usize> {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => search::child_index(branch, key),
        Bound::Unbounded => Ok(unbounded),
    }
}
