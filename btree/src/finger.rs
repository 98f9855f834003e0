//! Finger search: an insert that belongs beside the one before finds its leaf without the way down (Brown and Tarjan,
//! "Design and Analysis of a Data Structure for Representing Sorted Lists", 1980).

use llmdb_base::{ChildRef, Epoch, PageResult, WritePages};

use crate::{
    Tree,
    node::Node,
    path::{Path, view},
    search::{self, Place},
};

/// The way to the leaf that the last insert of a transaction went to.
///
/// It leads somewhere until something but [`Tree::insert_near`] with this very finger changes the tree: whoever makes such a
/// change calls [`Finger::lift`]. A new epoch, another root and another number of entries are noticed here.
#[derive(Clone, Debug)]
pub struct Finger {
    path: Path,
    state: Option<State>,
}

/// What a tree looked like after an insert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct State {
    root: ChildRef,
    height: u8,
    entries: u64,
    epoch: Epoch,
}

impl State {
    fn of<P: WritePages>(tree: &Tree, pages: &P) -> Self {
        Self { root: tree.root, height: tree.height, entries: tree.entries, epoch: pages.epoch() }
    }
}

impl Default for Finger {
    fn default() -> Self {
        Self { path: Path::NOWHERE, state: None }
    }
}

impl Finger {
    /// Makes it lead nowhere. Cost: a store.
    #[inline]
    pub fn lift(&mut self) {
        self.state = None;
    }

    /// The way to `key` in `tree`, which must not be empty, all of it owned: the old one if that is still right, else down
    /// from the root. Lifts the finger: whoever keeps the way right puts it down again.
    pub(crate) fn reach<P: WritePages>(
        &mut self,
        tree: &mut Tree,
        pages: &mut P,
        key: &[u8],
    ) -> PageResult<&mut Path> {
        let was_here = self.state.take() == Some(State::of(tree, pages));
        if !was_here || !self.path.turn_to(pages, key)? {
            self.path.lead_to(tree, pages, key)?;
            self.path.own(tree, pages)?;
        }
        Ok(&mut self.path)
    }

    /// The way that was reached is as right for `tree` as it was, whatever was put into its leaf.
    pub(crate) fn put_down<P: WritePages>(&mut self, tree: &Tree, pages: &P) {
        self.state = Some(State::of(tree, pages));
    }
}

impl Path {
    /// Leads to `key`, if that belongs into the leaf at its end. The path is as the tree is.
    fn turn_to<P: WritePages>(&mut self, pages: &P, key: &[u8]) -> PageResult<bool> {
        let leaf = view(pages, self.leaf().child)?;
        let found = self.place_near(pages, &leaf, key)?;
        if let Some(place) = found {
            self.end_at(place, leaf.count());
        }
        Ok(found.is_some())
    }

    fn place_near<P: WritePages>(&self, pages: &P, leaf: &Node<'_>, key: &[u8]) -> PageResult<Option<Place>> {
        let Some(last) = leaf.count().checked_sub(1) else { return Ok(None) };
        if key > leaf.key(last)? {
            let is_inside = self.is_below_fence(pages, key)?;
            return Ok(is_inside.then_some(Place { index: leaf.count(), exact: false }));
        }
        if key < leaf.key(0)? { Ok(None) } else { search::find(leaf, key).map(Some) }
    }

    /// Whether `key` is below the separator behind the leaf. There is none on the right edge.
    fn is_below_fence<P: WritePages>(&self, pages: &P, key: &[u8]) -> PageResult<bool> {
        let mut above = (0..self.leaf_depth()).rev().map(|depth| self.step(depth));
        match above.find(|step| step.index() + 1 < step.count()) {
            Some(step) => Ok(key < view(pages, step.child)?.key(step.index() + 1)?),
            None => Ok(true),
        }
    }
}
