//! Building a tree from entries in ascending order: every page is written once and left full.

use llmdb_base::{ChildRef, Epoch, PageResult, TreeId, WritePages, header::PageKind};

use crate::{
    HEIGHT_MAX, KEY_LEN_MAX, Tree, TreeError, TreeResult,
    merge::mend_child,
    node::{CHILD_LEN, Form, SLOT_LEN},
    path::{Path, edit, set_child, view},
    separator::{Separator, shortest},
    value::{NewValue, Payload},
};

/// Builds a tree from entries that come in ascending order, see [`Tree::loader`].
pub struct Loader {
    /// The tree so far. Its root is not up to date until [`Loader::finish`].
    tree: Tree,
    /// The last node of each level, leaves first.
    open: [ChildRef; HEIGHT_MAX],
    /// Epoch in which the open nodes can be changed in place.
    epoch: Epoch,
}

impl Tree {
    /// Begins a bulk load of the new tree `id`. A load that is not finished leaves pages behind that nobody refers
    /// to: abort the transaction.
    pub const fn loader(id: TreeId) -> Loader {
        Loader { tree: Self::empty(id), open: [ChildRef::NONE; HEIGHT_MAX], epoch: Epoch::new(0) }
    }
}

impl Loader {
    /// Appends an entry.
    ///
    /// # Errors
    /// - [`TreeError::NotAscending`]: `key` is not above the last one. The load can go on without it.
    /// - [`TreeError::KeyTooLong`], [`TreeError::ValueTooLong`]: likewise.
    /// - Others: the transaction must be aborted.
    pub fn push<P: WritePages>(&mut self, pages: &mut P, key: &[u8], value: NewValue<'_>) -> TreeResult<()> {
        if key.len() > KEY_LEN_MAX {
            return Err(TreeError::KeyTooLong { len: key.len() });
        }
        if !self.is_behind_last(pages, key)? {
            return Err(TreeError::NotAscending);
        }
        pages.rest()?;
        let payload = Payload::prepare(pages, key.len(), value)?;
        self.reopen(pages)?;
        if self.tree.is_empty() {
            self.begin_level(pages, 0)?;
        }
        if edit(pages, self.open[0])?.free() < cell_len(key, payload.bytes()) {
            self.begin_leaf(pages, key)?;
        }
        self.append(pages, 0, key, payload.bytes(), payload.form())?;
        self.tree.entries += 1;
        Ok(())
    }

    /// Ends the load.
    ///
    /// # Errors
    /// No space, I/O: the transaction must be aborted.
    pub fn finish<P: WritePages>(mut self, pages: &mut P) -> TreeResult<Tree> {
        if self.tree.is_empty() {
            return Ok(self.tree);
        }
        self.tree.root = self.open[usize::from(self.tree.height) - 1];
        self.mend_right_edge(pages)?;
        Ok(self.tree)
    }

    fn is_behind_last<P: WritePages>(&self, pages: &P, key: &[u8]) -> PageResult<bool> {
        if self.tree.is_empty() {
            return Ok(true);
        }
        let leaf = view(pages, self.open[0])?;
        Ok(leaf.key(leaf.count().saturating_sub(1))? < key)
    }

    /// Makes the open nodes pages of the current epoch, if that has advanced.
    fn reopen<P: WritePages>(&mut self, pages: &mut P) -> PageResult<()> {
        if self.epoch == pages.epoch() {
            return Ok(());
        }
        for level in (0..usize::from(self.tree.height)).rev() {
            let owned = pages.own(self.open[level])?;
            if owned != self.open[level] && level + 1 < usize::from(self.tree.height) {
                let parent = self.open[level + 1];
                let last = view(pages, parent)?.count().saturating_sub(1);
                set_child(pages, parent, last, owned)?;
            }
            self.open[level] = owned;
        }
        self.epoch = pages.epoch();
        Ok(())
    }

    /// Opens a first node at `level`, one above those there are.
    #[expect(clippy::cast_possible_truncation, reason = "levels fit a byte")]
    fn begin_level<P: WritePages>(&mut self, pages: &mut P, level: usize) -> TreeResult<()> {
        if level >= HEIGHT_MAX {
            return Err(TreeError::TooHigh);
        }
        self.open[level] = pages.allocate(kind_at(level), level as u8, self.tree.id)?;
        self.tree.height = level as u8 + 1;
        Ok(())
    }

    /// Closes the open leaf and opens one whose first key will be `key`.
    fn begin_leaf<P: WritePages>(&mut self, pages: &mut P, key: &[u8]) -> TreeResult<()> {
        let leaf = view(pages, self.open[0])?;
        let separator = shortest(leaf.key(leaf.count().saturating_sub(1))?, key);
        let separator =
            Separator::copy(separator).ok_or_else(|| leaf.damaged("a key is longer than a cell"))?;
        let mut child = pages.allocate(PageKind::Leaf, 0, self.tree.id)?;
        for level in 1.. {
            if level == usize::from(self.tree.height) {
                self.begin_level(pages, level)?;
                self.append_child(pages, level, &[], self.open[level - 1])?;
            }
            let is_full = !self.has_room(pages, level, &separator)?;
            if !is_full {
                self.append_child(pages, level, &separator, child)?;
            }
            self.open[level - 1] = child;
            if !is_full {
                break;
            }
            child = self.begin_branch(pages, level, child)?;
        }
        Ok(())
    }

    /// A branch at `level` whose first child is `child`.
    #[expect(clippy::cast_possible_truncation, reason = "levels fit a byte")]
    fn begin_branch<P: WritePages>(
        &self,
        pages: &mut P,
        level: usize,
        child: ChildRef,
    ) -> PageResult<ChildRef> {
        let branch = pages.allocate(PageKind::Branch, level as u8, self.tree.id)?;
        edit(pages, branch)?.insert(0, &[], &child.raw().to_le_bytes(), Form::Inline)?;
        Ok(branch)
    }

    fn has_room<P: WritePages>(&self, pages: &mut P, level: usize, separator: &[u8]) -> PageResult<bool> {
        Ok(edit(pages, self.open[level])?.free() >= cell_len(separator, &[0; CHILD_LEN]))
    }

    fn append_child<P: WritePages>(
        &self,
        pages: &mut P,
        level: usize,
        separator: &[u8],
        child: ChildRef,
    ) -> PageResult<()> {
        self.append(pages, level, separator, &child.raw().to_le_bytes(), Form::Inline)
    }

    /// Appends a cell to the open node at `level`.
    fn append<P: WritePages>(
        &self,
        pages: &mut P,
        level: usize,
        key: &[u8],
        payload: &[u8],
        form: Form,
    ) -> PageResult<()> {
        let mut node = edit(pages, self.open[level])?;
        node.insert(node.count(), key, payload, form)
    }

    /// Gives the last branch of a level, which may have but a single child, some of its neighbour's.
    fn mend_right_edge<P: WritePages>(&mut self, pages: &mut P) -> TreeResult<()> {
        let leaf = view(pages, self.open[0])?;
        let last = Separator::copy(leaf.key(leaf.count().saturating_sub(1))?)
            .ok_or_else(|| leaf.damaged("a key is longer than a cell"))?;
        let mut path = Path::descend(&self.tree, pages, &last)?;
        path.own(&mut self.tree, pages)?;
        for depth in (1..path.leaf_depth()).rev() {
            let parent = path.step(depth - 1);
            mend_child(pages, parent.child, parent.index())?;
        }
        Ok(self.tree.lower(pages)?)
    }
}

fn cell_len(key: &[u8], payload: &[u8]) -> usize {
    key.len() + payload.len() + SLOT_LEN
}

fn kind_at(level: usize) -> PageKind {
    if level == 0 { PageKind::Leaf } else { PageKind::Branch }
}
