//! Many lookups at once: the ways down go side by side, so that the memory fetches of one hide behind those of the
//! others.

use llmdb_base::{ChildRef, PageResult, ReadPages};

use crate::{
    Tree, TreeResult, Value,
    node::{Node, fetch},
    search::{self, Guess},
};

/// Ways down at a time: enough to keep the memory busy, few enough for their first cache lines to stay.
const GROUP: usize = 16;

impl Tree {
    /// Looks up each of `keys`, and puts its value, or `None`, in the same place of `out`. Looks up as many as the
    /// shorter of the two holds. Keys may come in any order and more than once. No allocation.
    ///
    /// # Errors
    /// Corruption that names the page; an I/O error. `out` is then filled in part.
    pub fn multi_get<'p, P: ReadPages>(
        &self,
        pages: &'p P,
        keys: &[&[u8]],
        out: &mut [Option<Value<'p>>],
    ) -> TreeResult<()> {
        for (keys, out) in keys.chunks(GROUP).zip(out.chunks_mut(GROUP)) {
            out.fill(None);
            if !self.is_empty() {
                self.get_group(pages, keys, out)?;
            }
        }
        Ok(())
    }

    /// Looks up at most [`GROUP`] keys, level by level.
    fn get_group<'p, P: ReadPages>(
        &self,
        pages: &'p P,
        keys: &[&[u8]],
        out: &mut [Option<Value<'p>>],
    ) -> PageResult<()> {
        let mut children = [self.root_ref()?; GROUP];
        for level in (1..self.height).rev() {
            for (child, key) in children.iter_mut().zip(keys) {
                *child = self.step_down(pages, *child, level, key)?;
                pages.prefetch(*child);
                pages.prefetch_end(*child);
            }
        }
        // What the slots say first, for all keys, so that the cells are fetched side by side too.
        let mut guesses = [None; GROUP];
        for ((child, key), guess) in children.iter().zip(keys).zip(&mut guesses) {
            *guess = Some(self.guess_in_leaf(pages, *child, key)?);
        }
        for ((guess, key), out) in guesses.iter().flatten().zip(keys).zip(out) {
            let place = guess.1.settle(&guess.0, key)?;
            *out = if place.exact { Some(guess.0.entry(place.index)?.1) } else { None };
        }
        Ok(())
    }

    #[inline]
    fn guess_in_leaf<'p, P: ReadPages>(
        &self,
        pages: &'p P,
        child: ChildRef,
        key: &[u8],
    ) -> PageResult<(Node<'p>, Guess)> {
        let leaf = fetch(pages, self.id, child, 0)?;
        let guess = search::guess(&leaf, 0, key)?;
        if let Guess::Tied { index, .. } = guess {
            let cell = leaf.cell_range(index)?;
            pages.prefetch_bytes(leaf.page().get(cell).unwrap_or_default());
        }
        Ok((leaf, guess))
    }

    /// The child of the branch `child` through which the way to `key` goes on.
    #[inline]
    pub(crate) fn step_down<P: ReadPages>(
        &self,
        pages: &P,
        child: ChildRef,
        level: u8,
        key: &[u8],
    ) -> PageResult<ChildRef> {
        let branch = fetch(pages, self.id, child, level)?;
        branch.child(search::child_index(&branch, key)?)
    }
}
