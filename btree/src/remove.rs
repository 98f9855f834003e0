//! Removing single entries, and everything.

use llmdb_base::{ChildRef, Corruption, PageError, PageResult, WritePages};

use crate::{
    Tree, TreeResult,
    node::fetch,
    path::{Path, edit, view},
    value,
};

impl Tree {
    /// Removes `key` and its value; returns whether it was there. If it was not, nothing is copied or changed.
    ///
    /// # Errors
    /// Corruption, I/O, no space for the copies: the tree may be half changed, see [`Tree`].
    pub fn remove<P: WritePages>(&mut self, pages: &mut P, key: &[u8]) -> TreeResult<bool> {
        if self.is_empty() {
            return Ok(false);
        }
        pages.rest()?;
        let mut path = Path::descend(self, pages, key)?;
        if !path.is_exact() {
            return Ok(false);
        }
        path.own(self, pages)?;
        let leaf = path.leaf();
        let run = view(pages, leaf.child)?.run(leaf.index())?;
        edit(pages, leaf.child)?.remove(leaf.index()..leaf.index() + 1)?;
        value::free_run(pages, run)?;
        self.forget(1)?;
        self.mend(pages, &path)?;
        Ok(true)
    }

    /// Removes every entry; frees every page and run. Cost: reads every page.
    ///
    /// # Errors
    /// Corruption, I/O: the tree may be half freed, see [`Tree`].
    pub fn clear<P: WritePages>(&mut self, pages: &mut P) -> TreeResult<()> {
        if !self.is_empty() {
            let root = self.root_ref()?;
            free_subtree(self, pages, root, self.height - 1)?;
            *self = Self::empty(self.id);
        }
        Ok(())
    }

    /// Counts `removed` entries out.
    pub(crate) fn forget(&mut self, removed: u64) -> PageResult<()> {
        match self.entries.checked_sub(removed) {
            Some(entries) => {
                self.entries = entries;
                Ok(())
            }
            None => Err(self.miscounted()),
        }
    }

    #[cold]
    fn miscounted(&self) -> PageError {
        PageError::from(Corruption::new(self.root.pgno(), "the tree has more entries than it counts"))
            .in_tree(self.id)
    }
}

/// Frees the node `child` at `level`, all nodes below it and all their runs; returns how many entries that were.
/// Ends on damaged trees too: a page that is reached twice cannot be freed twice.
pub(crate) fn free_subtree<P: WritePages>(
    tree: &Tree,
    pages: &mut P,
    child: ChildRef,
    level: u8,
) -> PageResult<u64> {
    let count = fetch(pages, tree.id, child, level)?.count();
    let mut entries = 0;
    if level > 0 {
        for index in 0..count {
            let below = fetch(pages, tree.id, child, level)?.child(index)?;
            entries += free_subtree(tree, pages, below, level - 1)?;
        }
    } else {
        free_runs(pages, child, 0..count)?;
        entries = count as u64;
    }
    pages.free(child)?;
    Ok(entries)
}

/// Frees the runs of the entries in `range` of a leaf.
pub(crate) fn free_runs<P: WritePages>(
    pages: &mut P,
    leaf: ChildRef,
    range: std::ops::Range<usize>,
) -> PageResult<()> {
    for index in range {
        let run = view(pages, leaf)?.run(index)?;
        value::free_run(pages, run)?;
    }
    Ok(())
}
