//! Moving pages of a tree elsewhere without changing what it says: copy on write, with nothing written.

use llmdb_base::{ChildRef, PAGE_SIZE, PageResult, RunRef, WritePages};

use crate::{
    Tree, TreeResult,
    node::{Form, fetch},
    path::{edit, set_child, view},
    search,
    value::{copy_run, encode_run},
};

/// Which pages are to be moved.
pub trait Moves<P> {
    /// Whether the node `child` is to be moved.
    fn node(&mut self, child: ChildRef) -> bool;

    /// Whether runs are to be moved. If not, no leaf is read that stays where it is.
    fn has_runs(&self) -> bool;

    /// Whether `run` is to be moved. `pages` are to ask for a better place.
    fn run(&mut self, pages: &mut P, run: &RunRef) -> bool;
}

/// How much one call does at most, give or take the path to one leaf and what hangs on it.
#[derive(Clone, Copy, Debug)]
pub struct MoveLimits {
    /// Pages copied.
    pub pages: u64,
    /// Nodes looked at.
    pub looks: u64,
}

/// What [`Tree::relocate`] has done.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Moved {
    /// Pages copied: those that were to be moved, and the branches above them.
    pub pages: u64,
    /// Where to go on, if a limit ended the call.
    pub next: Option<Vec<u8>>,
}

impl Tree {
    /// Moves the pages that `moves` names to wherever `pages` allocates, from the key `from` on, until a limit is
    /// reached. Keys and values stay the same, and so do snapshots, which have their own pages.
    ///
    /// Cost: reads the branches on the way, and the leaves if runs are to be moved; copies what is moved and the
    /// branches above it.
    ///
    /// # Errors
    /// Corruption, I/O, no space for the copies: the tree may be half changed, see [`Tree`].
    pub fn relocate<P: WritePages>(
        &mut self,
        pages: &mut P,
        from: &[u8],
        limits: MoveLimits,
        moves: &mut dyn Moves<P>,
    ) -> TreeResult<Moved> {
        if self.is_empty() {
            return Ok(Moved::default());
        }
        pages.rest()?;
        let root = self.root_ref()?;
        let mut mover = Mover { tree: *self, moves, limits, pages: 0, looks: 0 };
        let (moved, next) = mover.visit(pages, root, self.height - 1, Some(from))?;
        self.root = moved;
        Ok(Moved { pages: mover.pages, next })
    }
}

struct Mover<'m, P> {
    tree: Tree,
    moves: &'m mut dyn Moves<P>,
    limits: MoveLimits,
    pages: u64,
    looks: u64,
}

/// Where a node is now, and where to go on if it is not done with.
type Visited = (ChildRef, Option<Vec<u8>>);

impl<P: WritePages> Mover<'_, P> {
    fn visit(
        &mut self,
        pages: &mut P,
        child: ChildRef,
        level: u8,
        from: Option<&[u8]>,
    ) -> PageResult<Visited> {
        self.looks += 1;
        let mut here = if self.moves.node(child) { self.own(pages, child)? } else { child };
        if level == 0 {
            if self.moves.has_runs() {
                here = self.move_runs(pages, here)?;
            }
            return Ok((here, None));
        }
        let branch = fetch(pages, self.tree.id, here, level)?;
        let (count, first) = (branch.count(), from.map_or(Ok(0), |key| search::child_index(&branch, key))?);
        for index in first..count {
            let below = fetch(pages, self.tree.id, here, level)?.child(index)?;
            let is_left_alone = level == 1 && !self.moves.has_runs() && !self.moves.node(below);
            if !is_left_alone {
                let (moved, next) = self.visit(pages, below, level - 1, from.filter(|_| index == first))?;
                if moved != below {
                    here = self.own(pages, here)?;
                    set_child(pages, here, index, moved)?;
                }
                if next.is_some() {
                    return Ok((here, next));
                }
            }
            if self.is_over() && index + 1 < count {
                let next = fetch(pages, self.tree.id, here, level)?.key(index + 1)?.to_vec();
                return Ok((here, Some(next)));
            }
        }
        Ok((here, None))
    }

    fn move_runs(&mut self, pages: &mut P, leaf: ChildRef) -> PageResult<ChildRef> {
        let mut here = leaf;
        for index in 0..fetch(pages, self.tree.id, leaf, 0)?.count() {
            let Some(run) = view(pages, here)?.run(index)? else { continue };
            if !self.moves.run(pages, &run) {
                continue;
            }
            let copy = copy_run(pages, &run, run.len, &[])?;
            here = self.own(pages, here)?;
            edit(pages, here)?.replace(index, &encode_run(&copy), Form::Run)?;
            pages.free_run(&run)?;
            self.pages += run.len.div_ceil(PAGE_SIZE as u64);
        }
        Ok(here)
    }

    fn own(&mut self, pages: &mut P, child: ChildRef) -> PageResult<ChildRef> {
        let owned = pages.own(child)?;
        self.pages += u64::from(owned != child);
        Ok(owned)
    }

    fn is_over(&self) -> bool {
        self.pages >= self.limits.pages || self.looks >= self.limits.looks
    }
}
