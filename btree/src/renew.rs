//! Separators that say no more than they must: one is made of a key that may be gone since.

use std::ops::Bound;

use llmdb_base::WritePages;

use crate::{
    Tree, TreeResult,
    node::Form,
    path::{Path, edit, view},
    separator::shortest,
};

impl Tree {
    /// Makes the separator between the entries on both sides of `key` the shortest one between those two; returns
    /// whether it was another one.
    ///
    /// A separator is the beginning of a key that stood right behind it. When that key is removed it stays, and tells
    /// of it. Between two neighbours stands at most one; so after a range of entries was removed, one call for any key
    /// of the range makes sure that no separator is left that only a removed key explains: every other one that
    /// a removed key begins with, a key that is there begins with, too.
    ///
    /// Cost: three walks down; copies the way to the separator if it changes.
    ///
    /// # Errors
    /// Corruption, I/O, no space for the copies: the tree may be half changed, see [`Tree`].
    pub fn renew_separator<P: WritePages>(&mut self, pages: &mut P, key: &[u8]) -> TreeResult<bool> {
        if self.is_empty() || self.height < 2 {
            return Ok(false);
        }
        let high = self.range(pages, Bound::Included(key), Bound::Unbounded)?.next().transpose()?;
        let Some(high) = high.map(|(high, _)| high.to_vec()) else { return Ok(false) };
        let low = self.range(pages, Bound::Unbounded, Bound::Excluded(&high))?.next_back().transpose()?;
        let Some(low) = low.map(|(low, _)| low.to_vec()) else { return Ok(false) };
        let wanted = shortest(&low, &high);
        let mut path = Path::descend(self, pages, &high)?;
        if path.leaf().index() > 0 {
            return Ok(false);
        }
        // The last branch at which the ways to the two part.
        let Some(depth) = (0..path.leaf_depth()).rev().find(|depth| path.step(*depth).index() > 0) else {
            return Ok(false);
        };
        let index = path.step(depth).index();
        if view(pages, path.step(depth).child)?.key(index)? == wanted {
            return Ok(false);
        }
        pages.rest()?;
        path.own(self, pages)?;
        let branch = path.step(depth).child;
        let child = view(pages, branch)?.child(index)?;
        let mut node = edit(pages, branch)?;
        // It fits: no key between the two is shorter.
        node.remove(index..index + 1)?;
        node.insert(index, wanted, &child.raw().to_le_bytes(), Form::Inline)?;
        Ok(true)
    }
}
