//! Inserting and replacing.

use llmdb_base::{ChildRef, PageResult, WritePages, header::PageKind};

use crate::{
    HEIGHT_MAX, KEY_LEN_MAX, Tree, TreeError, TreeResult,
    node::{Form, SLOT_LEN},
    path::{Path, edit, view},
    separator::Separator,
    split,
    value::{self, NewValue, Payload},
};

/// A cell on its way into a node.
#[derive(Clone, Copy)]
pub(crate) struct NewCell<'a> {
    pub(crate) index: usize,
    pub(crate) key: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) form: Form,
}

impl NewCell<'_> {
    /// Bytes of the cell with its slot.
    pub(crate) fn len(&self) -> usize {
        self.key.len() + self.payload.len() + SLOT_LEN
    }
}

impl Tree {
    /// Stores `value` under `key`; returns whether the key was there before. The run of a replaced value is freed.
    ///
    /// Cost: pages of earlier epochs on the way to the key are copied once; a page that is full is split, keys in
    /// ascending order leaving full pages behind.
    ///
    /// # Errors
    /// - [`TreeError::KeyTooLong`], [`TreeError::ValueTooLong`]: nothing was changed.
    /// - [`TreeError::Page`], [`TreeError::TooHigh`]: the tree may be half changed, see [`Tree`].
    pub fn insert<P: WritePages>(
        &mut self,
        pages: &mut P,
        key: &[u8],
        value: NewValue<'_>,
    ) -> TreeResult<bool> {
        if key.len() > KEY_LEN_MAX {
            return Err(TreeError::KeyTooLong { len: key.len() });
        }
        pages.rest()?;
        let payload = Payload::prepare(pages, key.len(), value)?;
        if self.is_empty() {
            self.plant(pages, key, &payload)?;
            return Ok(false);
        }
        let mut path = Path::descend(self, pages, key)?;
        path.own(self, pages)?;
        let leaf = path.leaf();
        let new = NewCell { index: leaf.index(), key, payload: payload.bytes(), form: payload.form() };
        if path.is_exact() {
            self.replace(pages, &path, &new)?;
            return Ok(true);
        }
        self.put(pages, &path, &new)?;
        self.entries = self.entries.saturating_add(1);
        Ok(false)
    }

    /// Makes an empty tree a leaf with one entry.
    fn plant<P: WritePages>(&mut self, pages: &mut P, key: &[u8], payload: &Payload<'_>) -> PageResult<()> {
        let root = pages.allocate(PageKind::Leaf, 0, self.id)?;
        edit(pages, root)?.insert(0, key, payload.bytes(), payload.form())?;
        split::note_insert(pages.page_mut(root)?, 0);
        *self = Self { root, height: 1, entries: 1, ..*self };
        Ok(())
    }

    /// Replaces the payload at the end of `path`.
    fn replace<P: WritePages>(&mut self, pages: &mut P, path: &Path, new: &NewCell<'_>) -> TreeResult<()> {
        let leaf = path.leaf().child;
        let old_run = view(pages, leaf)?.run(new.index)?;
        let mut node = edit(pages, leaf)?;
        if node.fits_replaced(new.index, new.payload.len())? {
            node.replace(new.index, new.payload, new.form)?;
            self.mend(pages, path)?;
        } else {
            node.remove(new.index..new.index + 1)?;
            self.put(pages, path, new)?;
        }
        Ok(value::free_run(pages, old_run)?)
    }

    /// Inserts `new` into the leaf of `path`, all of which is owned, splitting nodes upwards as needed.
    fn put<P: WritePages>(&mut self, pages: &mut P, path: &Path, new: &NewCell<'_>) -> TreeResult<()> {
        let leaf = path.leaf().child;
        if edit(pages, leaf)?.free() >= new.len() {
            edit(pages, leaf)?.insert(new.index, new.key, new.payload, new.form)?;
            split::note_insert(pages.page_mut(leaf)?, new.index);
            return Ok(());
        }
        let depth = path.leaf_depth();
        let (separator, right) = self.split_at(pages, path, depth, new)?;
        self.put_child(pages, path, depth, separator, right)
    }

    /// Makes `right` the sibling behind the node at `depth` of `path`, splitting the branches above as needed.
    fn put_child<P: WritePages>(
        &mut self,
        pages: &mut P,
        path: &Path,
        depth: usize,
        mut separator: Separator,
        mut right: ChildRef,
    ) -> TreeResult<()> {
        for depth in (0..depth).rev() {
            let step = path.step(depth);
            let payload = right.raw().to_le_bytes();
            let new =
                NewCell { index: step.index() + 1, key: &separator, payload: &payload, form: Form::Inline };
            let mut parent = edit(pages, step.child)?;
            if parent.free() >= new.len() {
                return Ok(parent.insert(new.index, new.key, new.payload, new.form)?);
            }
            (separator, right) = self.split_at(pages, path, depth, &new)?;
        }
        self.raise(pages, &separator, right)
    }

    /// Splits the node at `depth` of `path` around `new`.
    fn split_at<P: WritePages>(
        &self,
        pages: &mut P,
        path: &Path,
        depth: usize,
        new: &NewCell<'_>,
    ) -> TreeResult<(Separator, ChildRef)> {
        let (left, level) = (path.step(depth).child, path.level(depth));
        let kind = if level == 0 { PageKind::Leaf } else { PageKind::Branch };
        let right = pages.allocate(kind, level, self.id)?;
        Ok((split::split(pages, left, right, new, path.edge(depth))?, right))
    }

    /// Puts a new root above the old one and `right`.
    fn raise<P: WritePages>(&mut self, pages: &mut P, separator: &[u8], right: ChildRef) -> TreeResult<()> {
        if usize::from(self.height) >= HEIGHT_MAX {
            return Err(TreeError::TooHigh);
        }
        let root = pages.allocate(PageKind::Branch, self.height, self.id)?;
        let mut node = edit(pages, root)?;
        node.insert(0, &[], &self.root.raw().to_le_bytes(), Form::Inline)?;
        node.insert(1, separator, &right.raw().to_le_bytes(), Form::Inline)?;
        (self.root, self.height) = (root, self.height + 1);
        Ok(())
    }
}
