//! Iterating over the entries between two bounds, from both ends.

use std::ops::Bound;

use llmdb_base::{PageResult, ReadPages};

use crate::{
    Cursor, Tree, TreeResult,
    cursor::{Entry, Way},
    node::Node,
    search,
};

/// Iterator over the entries between two bounds, see [`Tree::range`]. After an error it ends.
pub struct Range<'p, P> {
    front: End<'p, P>,
    back: End<'p, P>,
    /// Whether both ends are in one leaf.
    same_leaf: bool,
    done: bool,
}

/// One end of a range: everything before `index` of `leaf` (for the front), or from it on (for the back), is out.
struct End<'p, P> {
    cursor: Cursor<'p, P>,
    leaf: Option<Node<'p>>,
    index: usize,
}

impl Tree {
    /// The entries between `from` and `to`, from both ends. Bounds that contradict each other give no entries.
    ///
    /// Cost: two walks down the tree; then no allocation, and a page per leaf.
    ///
    /// # Errors
    /// Corruption that names the page; an I/O error.
    pub fn range<'p, P: ReadPages>(
        &self,
        pages: &'p P,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> TreeResult<Range<'p, P>> {
        let mut range = Range {
            front: End::new(self.cursor(pages)),
            back: End::new(self.cursor(pages)),
            same_leaf: false,
            done: true,
        };
        if !self.is_empty() && !is_backward(from, to) {
            range.front.descend_to_lower(from)?;
            range.back.descend_to_upper(to)?;
            range.done = false;
            range.compare_leaves();
            if !range.same_leaf {
                range.front.cursor.prefetch_neighbour(Way::Forward)?;
            }
        }
        Ok(range)
    }

    /// The entries whose keys begin with `prefix`.
    ///
    /// # Errors
    /// As [`Tree::range`].
    pub fn prefix<'p, P: ReadPages>(&self, pages: &'p P, prefix: &[u8]) -> TreeResult<Range<'p, P>> {
        let mut buffer = [0; crate::KEY_LEN_MAX];
        let Some(copy) = buffer.get_mut(..prefix.len()) else {
            // No key is that long.
            return self.range(pages, Bound::Excluded(&[]), Bound::Excluded(&[]));
        };
        copy.copy_from_slice(prefix);
        self.range(pages, Bound::Included(prefix), prefix_end(copy))
    }
}

/// Turns `prefix` into the upper bound of the keys that begin with it.
pub fn prefix_end(prefix: &mut [u8]) -> Bound<&[u8]> {
    match prefix.iter().rposition(|byte| *byte < 0xFF) {
        Some(last) => {
            prefix[last] += 1;
            Bound::Excluded(&prefix[..=last])
        }
        None => Bound::Unbounded,
    }
}

/// Whether no key can lie between the bounds because they are the wrong way round.
pub(crate) fn is_backward(from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    match (from, to) {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
            from >= to
        }
        _ => false,
    }
}

/// Index of the first entry of `leaf` inside the lower bound `from`.
pub(crate) fn lower_index(leaf: &Node<'_>, from: Bound<&[u8]>) -> PageResult<usize> {
    match from {
        Bound::Unbounded => Ok(0),
        Bound::Included(key) => Ok(search::find(leaf, key)?.index),
        Bound::Excluded(key) => search::find(leaf, key).map(|place| place.index + usize::from(place.exact)),
    }
}

/// Index behind the last entry of `leaf` inside the upper bound `to`.
pub(crate) fn upper_index(leaf: &Node<'_>, to: Bound<&[u8]>) -> PageResult<usize> {
    match to {
        Bound::Unbounded => Ok(leaf.count()),
        Bound::Included(key) => lower_index(leaf, Bound::Excluded(key)),
        Bound::Excluded(key) => lower_index(leaf, Bound::Included(key)),
    }
}

impl<'p, P: ReadPages> End<'p, P> {
    fn new(cursor: Cursor<'p, P>) -> Self {
        Self { cursor, leaf: None, index: 0 }
    }

    fn descend_to_lower(&mut self, from: Bound<&[u8]>) -> PageResult<()> {
        self.descend(from, Way::Forward)?;
        if let Some(leaf) = &self.leaf {
            self.index = lower_index(leaf, from)?;
        }
        Ok(())
    }

    fn descend_to_upper(&mut self, to: Bound<&[u8]>) -> PageResult<()> {
        self.descend(to, Way::Back)?;
        if let Some(leaf) = &self.leaf {
            self.index = upper_index(leaf, to)?;
        }
        Ok(())
    }

    fn descend(&mut self, bound: Bound<&[u8]>, unbounded: Way) -> PageResult<()> {
        self.leaf = match bound {
            Bound::Included(key) | Bound::Excluded(key) => {
                self.cursor.descend(|branch| search::child_index(branch, key))?
            }
            Bound::Unbounded => self.cursor.descend_to_edge(unbounded)?,
        };
        Ok(())
    }

    /// Goes to the neighbouring leaf, if there is one.
    fn hop(&mut self, way: Way) -> PageResult<bool> {
        let Some(leaf) = self.leaf else {
            return Ok(false);
        };
        self.leaf = self.cursor.hop(leaf, way)?;
        self.index = match (way, &self.leaf) {
            (Way::Back, Some(leaf)) => leaf.count(),
            _ => 0,
        };
        Ok(self.leaf.is_some())
    }
}

impl<'p, P: ReadPages> Range<'p, P> {
    fn compare_leaves(&mut self) {
        self.same_leaf = match (&self.front.leaf, &self.back.leaf) {
            (Some(front), Some(back)) => std::ptr::eq(front.page(), back.page()),
            _ => false,
        };
    }

    #[inline]
    fn step_forward(&mut self) -> PageResult<Option<Entry<'p>>> {
        while let Some(leaf) = &self.front.leaf {
            let end = if self.same_leaf { self.back.index } else { leaf.count() };
            if self.front.index < end {
                self.front.cursor.prefetch_cell(self.front.index);
                self.front.index += 1;
                return leaf.entry(self.front.index - 1).map(Some);
            }
            if !self.advance(Way::Forward)? {
                break;
            }
        }
        Ok(None)
    }

    #[inline]
    fn step_back(&mut self) -> PageResult<Option<Entry<'p>>> {
        while let Some(leaf) = &self.back.leaf {
            let end = if self.same_leaf { self.front.index } else { 0 };
            if self.back.index > end {
                self.back.index -= 1;
                self.back.cursor.prefetch_cell(self.back.index);
                return leaf.entry(self.back.index).map(Some);
            }
            if !self.advance(Way::Back)? {
                break;
            }
        }
        Ok(None)
    }

    /// The next entry, if it is in the leaf that the front is in and its value stands beside the key: most are, and it
    /// takes few steps to hand them out. `None` says nothing: [`Range::next`] knows.
    #[inline]
    pub fn next_inline(&mut self) -> Option<(&'p [u8], &'p [u8])> {
        let leaf = self.front.leaf.as_ref()?;
        let index = self.front.index;
        // Behind the last entry of the leaf there is no cell either.
        if self.done || self.same_leaf && index >= self.back.index {
            return None;
        }
        let entry = leaf.inline_entry(index)?;
        self.front.cursor.prefetch_cell(index);
        self.front.index = index + 1;
        Some(entry)
    }

    /// Moves one end to its next leaf; false if the ends meet or the tree ends.
    #[cold]
    fn advance(&mut self, way: Way) -> PageResult<bool> {
        if self.same_leaf {
            return Ok(false);
        }
        let end = if way == Way::Forward { &mut self.front } else { &mut self.back };
        let moved = end.hop(way)?;
        self.compare_leaves();
        Ok(moved)
    }

    #[inline]
    fn finish(&mut self, step: PageResult<Option<Entry<'p>>>) -> Option<TreeResult<Entry<'p>>> {
        self.done = !matches!(step, Ok(Some(_)));
        step.map_err(Into::into).transpose()
    }
}

impl<'p, P: ReadPages> Iterator for Range<'p, P> {
    type Item = TreeResult<Entry<'p>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let step = self.step_forward();
        self.finish(step)
    }
}

impl<P: ReadPages> DoubleEndedIterator for Range<'_, P> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let step = self.step_back();
        self.finish(step)
    }
}

impl<P: ReadPages> std::iter::FusedIterator for Range<'_, P> {}
