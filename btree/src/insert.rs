//! Inserting and replacing.

use llmdb_base::{ChildRef, PageResult, WritePages, header::PageKind};

use crate::{
    Finger, HEIGHT_MAX, KEY_LEN_MAX, Tree, TreeError, TreeResult,
    merge::is_underfull,
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

/// Where a cell has come to lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fitted {
    /// In the leaf that the way led to, which is where it was.
    InPlace,
    /// Perhaps in another one: leaves were split or merged.
    Elsewhere,
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
        let payload = prepare(pages, key, value)?;
        if self.is_empty() {
            return Ok(self.plant(pages, key, &payload)?);
        }
        let mut path = Path::descend(self, pages, key)?;
        path.own(self, pages)?;
        self.place(pages, &path, key, &payload)?;
        Ok(path.is_exact())
    }

    /// As [`Tree::insert`]. If the key belongs into the leaf that the last insert with this finger went to, the way down is
    /// saved: keys that come in order cost about two thirds.
    ///
    /// # Errors
    /// As [`Tree::insert`].
    pub fn insert_near<P: WritePages>(
        &mut self,
        pages: &mut P,
        key: &[u8],
        value: NewValue<'_>,
        finger: &mut Finger,
    ) -> TreeResult<bool> {
        let payload = prepare(pages, key, value)?;
        if self.is_empty() {
            return Ok(self.plant(pages, key, &payload)?);
        }
        let path = finger.reach(self, pages, key)?;
        let was_there = path.is_exact();
        if self.place(pages, path, key, &payload)? == Fitted::InPlace {
            finger.put_down(self, pages);
        }
        Ok(was_there)
    }

    /// Puts a cell where `path` leads, all of which is owned.
    fn place<P: WritePages>(
        &mut self,
        pages: &mut P,
        path: &Path,
        key: &[u8],
        payload: &Payload<'_>,
    ) -> TreeResult<Fitted> {
        let index = path.leaf().index();
        let new = NewCell { index, key, payload: payload.bytes(), form: payload.form() };
        if path.is_exact() {
            return self.replace(pages, path, &new);
        }
        let fitted = self.put(pages, path, &new)?;
        self.entries = self.entries.saturating_add(1);
        Ok(fitted)
    }

    /// Makes an empty tree a leaf with one entry, which was not there before.
    fn plant<P: WritePages>(&mut self, pages: &mut P, key: &[u8], payload: &Payload<'_>) -> PageResult<bool> {
        let root = pages.allocate(PageKind::Leaf, 0, self.id)?;
        edit(pages, root)?.insert(0, key, payload.bytes(), payload.form())?;
        split::note_insert(pages.page_mut(root)?, 0);
        *self = Self { root, height: 1, entries: 1, ..*self };
        Ok(false)
    }

    /// Replaces the payload at the end of `path`.
    fn replace<P: WritePages>(
        &mut self,
        pages: &mut P,
        path: &Path,
        new: &NewCell<'_>,
    ) -> TreeResult<Fitted> {
        let leaf = path.leaf().child;
        let old_run = view(pages, leaf)?.run(new.index)?;
        let mut node = edit(pages, leaf)?;
        let fitted = if node.fits_replaced(new.index, new.payload.len())? {
            node.replace(new.index, new.payload, new.form)?;
            if is_underfull(&node.view()?) {
                self.mend(pages, path)?;
                Fitted::Elsewhere
            } else {
                Fitted::InPlace
            }
        } else {
            node.remove(new.index..new.index + 1)?;
            self.put(pages, path, new)?
        };
        value::free_run(pages, old_run)?;
        Ok(fitted)
    }

    /// Inserts `new` into the leaf of `path`, all of which is owned, splitting nodes upwards as needed.
    fn put<P: WritePages>(&mut self, pages: &mut P, path: &Path, new: &NewCell<'_>) -> TreeResult<Fitted> {
        let mut leaf = edit(pages, path.leaf().child)?;
        if leaf.free() >= new.len() {
            leaf.insert(new.index, new.key, new.payload, new.form)?;
            split::note_insert(leaf.page_mut(), new.index);
            return Ok(Fitted::InPlace);
        }
        let depth = path.leaf_depth();
        let (separator, right) = self.split_at(pages, path, depth, new)?;
        self.put_child(pages, path, depth, separator, right)?;
        Ok(Fitted::Elsewhere)
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

/// Refuses a key that is too long, and makes of a value what a leaf can hold.
fn prepare<'v, P: WritePages>(pages: &mut P, key: &[u8], value: NewValue<'v>) -> TreeResult<Payload<'v>> {
    if key.len() > KEY_LEN_MAX {
        return Err(TreeError::KeyTooLong { len: key.len() });
    }
    pages.rest()?;
    Payload::prepare(pages, key.len(), value)
}
