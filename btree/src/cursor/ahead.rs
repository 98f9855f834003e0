//! Asking for the leaves that a walk will come to, so that they are on their way from the disk while others are read.
//!
//! A walk asks for as many leaves as it has come through, up to a limit, and anew when half of them are used up: those
//! under its own branch, then those under the next one, which was asked for itself when the walk came to the one before it.

use std::ops::Range;

use llmdb_base::{ChildRef, PageResult, ReadPages};

use super::{Cursor, Way, neighbour_index};
use crate::node::{Node, fetch};

/// How far a walk has asked. Children are counted in the direction of the walk.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    /// From leaf to leaf, since the way down.
    hops: usize,
    way: Way,
    /// Parent of the leaves that the walk is among.
    parent: ChildRef,
    /// The last one of them asked for.
    edge: usize,
    /// The branch behind the parent, and how many of its leaves were asked for.
    next: ChildRef,
    beyond: usize,
    /// Whether there is no more to ask for until the walk comes to another parent.
    is_done: bool,
}

impl Ahead {
    pub(super) const NONE: Self = Self {
        hops: 0,
        way: Way::Forward,
        parent: ChildRef::NONE,
        edge: 0,
        next: ChildRef::NONE,
        beyond: 0,
        is_done: false,
    };
    /// A walk of fewer leaves is short, and asks for none.
    const HOPS_MIN: usize = 8;
    /// Leaves asked for at most: half of them are on their way while the others are read.
    const LEAVES_MAX: usize = 256;

    /// Whether the walk has not come from one leaf to another yet.
    pub(super) fn is_new(&self) -> bool {
        self.hops == 0
    }

    /// Leaves behind child `here` that were asked for.
    fn asked(&self, here: usize) -> usize {
        self.edge.saturating_sub(here) + self.beyond
    }
}

impl<P: ReadPages> Cursor<'_, P> {
    /// Counts a hop, and asks for the leaves that come next: more of them the longer the walk has been.
    pub(super) fn ask_ahead(&mut self, way: Way) -> PageResult<()> {
        self.ahead.hops += 1;
        let Some(depth) = usize::from(self.tree.height).checked_sub(2) else { return Ok(()) };
        if self.ahead.hops < Ahead::HOPS_MIN {
            return Ok(());
        }
        let step = self.steps[depth];
        let here = place(step.index(), step.count(), way);
        if (self.ahead.parent, self.ahead.way) != (step.child, way) {
            self.enter(depth, here, way)?;
        }
        let far = self.ahead.hops.min(Ahead::LEAVES_MAX);
        if self.ahead.is_done || self.ahead.asked(here) * 2 > far {
            return Ok(());
        }
        let end = step.count().min(here + 1 + far);
        let first = self.ahead.edge.max(here) + 1;
        if first < end {
            let branch = fetch(self.pages, self.tree.id, step.child, self.level(depth))?;
            self.ask_for(&branch, first..end, way)?;
            self.ahead.edge = end - 1;
        }
        if end == step.count() {
            self.ask_beyond(depth, here + 1 + far - end, way);
        }
        Ok(())
    }

    /// Takes note of the parent that the walk has come to, and asks for the branch behind it.
    fn enter(&mut self, depth: usize, here: usize, way: Way) -> PageResult<()> {
        let step = self.steps[depth];
        let was_next = (self.ahead.next, self.ahead.way) == (step.child, way);
        let asked = if was_next { self.ahead.beyond } else { 0 };
        let next = self.branch_behind(depth, way)?;
        if next != ChildRef::NONE {
            self.pages.read_ahead(next);
        }
        let edge = here.max(asked.saturating_sub(1));
        let hops = self.ahead.hops;
        self.ahead = Ahead { hops, way, parent: step.child, edge, next, ..Ahead::NONE };
        Ok(())
    }

    /// The branch behind the one at `depth`, under the same parent.
    fn branch_behind(&self, depth: usize, way: Way) -> PageResult<ChildRef> {
        let Some(up) = depth.checked_sub(1) else { return Ok(ChildRef::NONE) };
        let step = self.steps[up];
        let Some(index) = neighbour_index(step, way) else { return Ok(ChildRef::NONE) };
        fetch(self.pages, self.tree.id, step.child, self.level(up))?.child(index)
    }

    /// Asks for the first `count` leaves under the next branch. What is wrong with it is told when the walk comes there.
    fn ask_beyond(&mut self, depth: usize, count: usize, way: Way) {
        let Ahead { next, beyond, .. } = self.ahead;
        self.ahead.is_done = true;
        if next == ChildRef::NONE {
            return;
        }
        let Ok(branch) = fetch(self.pages, self.tree.id, next, self.level(depth)) else { return };
        let end = count.clamp(beyond, branch.count().max(beyond));
        if self.ask_for(&branch, beyond..end, way).is_ok() {
            self.ahead.beyond = end;
            self.ahead.is_done = end == branch.count();
        }
    }

    fn ask_for(&self, branch: &Node<'_>, places: Range<usize>, way: Way) -> PageResult<()> {
        let mut children = [ChildRef::NONE; Ahead::LEAVES_MAX];
        let count = places.len().min(children.len());
        for (slot, index) in children.iter_mut().zip(places) {
            *slot = branch.child(place(index, branch.count(), way))?;
        }
        self.pages.read_ahead_all(&children[..count]);
        Ok(())
    }
}

/// The number of child `index` of `count`, counted in the direction of the walk; and the other way round.
fn place(index: usize, count: usize, way: Way) -> usize {
    match way {
        Way::Forward => index,
        Way::Back => (count - 1).saturating_sub(index),
    }
}
