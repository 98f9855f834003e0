//! Walking through the entries in key order, both ways.

mod ahead;

use ahead::Ahead;
use llmdb_base::{ChildRef, PageResult, ReadPages};

use crate::{
    HEIGHT_MAX, Tree, TreeResult, Value,
    node::{Node, fetch, ready_leaf},
    path::Step,
    search,
};

/// An entry: key and value.
pub type Entry<'p> = (&'p [u8], Value<'p>);

/// Where a cursor stands.
#[derive(Clone, Copy)]
enum Stand<'p> {
    BeforeFirst,
    At(Node<'p>),
    BehindLast,
}

/// A place in a tree that can be moved. It never allocates: the way down from the root is kept in a fixed array.
///
/// On damaged pages it may skip entries or give wrong ones, but it ends: from leaf to leaf keys must ascend, so no
/// leaf is entered twice on a way through the tree. After an error the cursor stands before the first entry.
pub struct Cursor<'p, P> {
    pages: &'p P,
    tree: Tree,
    /// The branches on the way down, and through which child the way goes.
    steps: [Step; HEIGHT_MAX],
    stand: Stand<'p>,
    /// Index of the entry in the leaf.
    index: usize,
    ahead: Ahead,
    /// The leaf that comes next, if it is at hand, once a walk is under way.
    next: Option<Node<'p>>,
}

/// The two ways to walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Forward,
    Back,
}

impl Tree {
    /// A cursor before the first entry.
    pub fn cursor<'p, P: ReadPages>(&self, pages: &'p P) -> Cursor<'p, P> {
        Cursor {
            pages,
            tree: *self,
            steps: [Step::NONE; HEIGHT_MAX],
            stand: Stand::BeforeFirst,
            index: 0,
            ahead: Ahead::NONE,
            next: None,
        }
    }
}

impl<'p, P: ReadPages> Cursor<'p, P> {
    /// Moves to the first entry whose key is not below `key`, and returns it; behind the last entry if there is none.
    ///
    /// # Errors
    /// Corruption that names the page; an I/O error.
    pub fn seek(&mut self, key: &[u8]) -> TreeResult<Option<Entry<'p>>> {
        self.guarded(|cursor| {
            let Some(leaf) = cursor.descend(|branch| search::child_index(branch, key))? else {
                return Ok(None);
            };
            cursor.index = search::find(&leaf, key)?.index;
            if cursor.index < leaf.count() {
                leaf.entry(cursor.index).map(Some)
            } else {
                cursor.step_forward(leaf)
            }
        })
    }

    /// Moves to the first entry and returns it.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    pub fn first(&mut self) -> TreeResult<Option<Entry<'p>>> {
        self.guarded(|cursor| match cursor.descend_to_edge(Way::Forward)? {
            Some(leaf) => leaf.entry(0).map(Some),
            None => Ok(None),
        })
    }

    /// Moves to the last entry and returns it.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    pub fn seek_last(&mut self) -> TreeResult<Option<Entry<'p>>> {
        self.guarded(|cursor| match cursor.descend_to_edge(Way::Back)? {
            Some(leaf) => leaf.entry(cursor.index).map(Some),
            None => Ok(None),
        })
    }

    /// Moves to the next entry and returns it; behind the last one if there is none.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    #[inline]
    #[expect(
        clippy::should_implement_trait,
        reason = "a cursor goes both ways and starts anew; Range is the iterator"
    )]
    pub fn next(&mut self) -> TreeResult<Option<Entry<'p>>> {
        match self.stand {
            Stand::At(leaf) if self.index + 1 < leaf.count() => {
                self.index += 1;
                Ok(Some(leaf.entry(self.index)?))
            }
            Stand::At(leaf) => self.guarded(|cursor| cursor.step_forward(leaf)),
            Stand::BeforeFirst => self.first(),
            Stand::BehindLast => Ok(None),
        }
    }

    /// Moves to the entry before and returns it; before the first one if there is none.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    #[inline]
    pub fn prev(&mut self) -> TreeResult<Option<Entry<'p>>> {
        match self.stand {
            Stand::At(leaf) if self.index > 0 => {
                self.index -= 1;
                Ok(Some(leaf.entry(self.index)?))
            }
            Stand::At(leaf) => self.guarded(|cursor| cursor.step_back(leaf)),
            Stand::BehindLast => self.seek_last(),
            Stand::BeforeFirst => Ok(None),
        }
    }

    /// The entry under the cursor.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    pub fn current(&self) -> TreeResult<Option<Entry<'p>>> {
        match self.stand {
            Stand::At(leaf) => Ok(Some(leaf.entry(self.index)?)),
            _ => Ok(None),
        }
    }

    /// Runs `walk`; after an error the cursor stands before the first entry.
    fn guarded(
        &mut self,
        walk: impl FnOnce(&mut Self) -> PageResult<Option<Entry<'p>>>,
    ) -> TreeResult<Option<Entry<'p>>> {
        walk(self).map_err(|error| {
            self.stand = Stand::BeforeFirst;
            error.into()
        })
    }

    fn step_forward(&mut self, leaf: Node<'p>) -> PageResult<Option<Entry<'p>>> {
        match self.hop(leaf, Way::Forward)? {
            Some(next) => next.entry(0).map(Some),
            None => {
                self.stand = Stand::BehindLast;
                Ok(None)
            }
        }
    }

    fn step_back(&mut self, leaf: Node<'p>) -> PageResult<Option<Entry<'p>>> {
        match self.hop(leaf, Way::Back)? {
            Some(before) => before.entry(self.index).map(Some),
            None => {
                self.stand = Stand::BeforeFirst;
                Ok(None)
            }
        }
    }

    /// Walks down from the root through the children that `choose` names. `None` if the tree is empty.
    pub(crate) fn descend(
        &mut self,
        choose: impl Fn(&Node<'p>) -> PageResult<usize>,
    ) -> PageResult<Option<Node<'p>>> {
        self.ahead = Ahead::NONE;
        self.next = None;
        if self.tree.is_empty() {
            self.stand = Stand::BehindLast;
            return Ok(None);
        }
        let root = self.tree.root_ref()?;
        self.descend_below(0, root, choose).map(Some)
    }

    /// Walks down from the node `child` at `depth`, and stands at the first entry of the leaf.
    fn descend_below(
        &mut self,
        depth: usize,
        mut child: ChildRef,
        choose: impl Fn(&Node<'p>) -> PageResult<usize>,
    ) -> PageResult<Node<'p>> {
        for depth in depth..usize::from(self.tree.height) - 1 {
            let branch = fetch(self.pages, self.tree.id, child, self.level(depth))?;
            let index = choose(&branch)?;
            self.steps[depth] = Step::new(child, index, branch.count());
            child = branch.child(index)?;
        }
        let leaf = fetch(self.pages, self.tree.id, child, 0)?;
        (self.stand, self.index) = (Stand::At(leaf), 0);
        Ok(leaf)
    }

    /// Walks down to the first or last entry.
    pub(crate) fn descend_to_edge(&mut self, way: Way) -> PageResult<Option<Node<'p>>> {
        let leaf = self.descend(|branch| Ok(edge_index(branch, way)))?;
        if let Some(leaf) = leaf {
            self.index = edge_index(&leaf, way);
        }
        Ok(leaf)
    }

    /// Goes from `leaf`, where the cursor is, to the neighbour, and stands at the near edge of it. Stays and returns
    /// `None` if there is no neighbour.
    pub(crate) fn hop(&mut self, leaf: Node<'p>, way: Way) -> PageResult<Option<Node<'p>>> {
        let branches = usize::from(self.tree.height) - 1;
        for depth in (0..branches).rev() {
            let Some(index) = neighbour_index(self.steps[depth], way) else {
                continue;
            };
            let branch = fetch(self.pages, self.tree.id, self.steps[depth].child, self.level(depth))?;
            self.steps[depth] = Step::new(self.steps[depth].child, index, branch.count());
            let child = branch.child(index)?;
            let neighbour = self.descend_below(depth + 1, child, |branch| Ok(edge_index(branch, way)))?;
            self.index = edge_index(&neighbour, way);
            self.prefetch_neighbour(way)?;
            self.ask_ahead(way)?;
            match way {
                Way::Forward => check_order(&leaf, &neighbour)?,
                Way::Back => check_order(&neighbour, &leaf)?,
            }
            return Ok(Some(neighbour));
        }
        Ok(None)
    }

    /// Announces the leaves behind the current one, as far as they have the same parent: the slots of the one
    /// behind the next; those of the next one are there by now, and its cells are announced one by one.
    pub(crate) fn prefetch_neighbour(&mut self, way: Way) -> PageResult<()> {
        self.next = None;
        let Some(depth) = usize::from(self.tree.height).checked_sub(2) else {
            return Ok(());
        };
        let step = self.steps[depth];
        let Some(next) = neighbour_index(step, way) else { return Ok(()) };
        let branch = fetch(self.pages, self.tree.id, step.child, self.level(depth))?;
        let child = branch.child(next)?;
        if let Some(behind) = neighbour_index(Step::new(step.child, next, branch.count()), way) {
            let behind = branch.child(behind)?;
            self.pages.prefetch(behind);
            self.pages.prefetch_end(behind);
        }
        if self.ahead.is_new() {
            self.pages.prefetch(child);
            self.pages.prefetch_end(child);
        } else {
            // Never read for this: the walk may end before it.
            self.next = ready_leaf(self.pages, self.tree.id, child);
        }
        Ok(())
    }

    /// Announces cell `index` of the next leaf, while cell `index` of this one is being looked at: all of it, for the
    /// processor does not look ahead across the end of a page by itself.
    #[inline]
    pub(crate) fn prefetch_cell(&self, index: usize) {
        if let Some(next) = &self.next
            && let Some((_, cell)) = next.cell_bytes(index)
        {
            self.pages.prefetch_bytes(cell);
        }
    }

    /// Level of the branch at `depth`.
    #[expect(clippy::cast_possible_truncation, reason = "a depth is less than the height")]
    fn level(&self, depth: usize) -> u8 {
        self.tree.height - 1 - depth as u8
    }
}

fn edge_index(node: &Node<'_>, way: Way) -> usize {
    match way {
        Way::Forward => 0,
        Way::Back => node.count() - 1,
    }
}

fn neighbour_index(step: Step, way: Way) -> Option<usize> {
    match way {
        Way::Forward => (step.index() + 1 < step.count()).then_some(step.index() + 1),
        Way::Back => step.index().checked_sub(1),
    }
}

/// The first key of `right` is above the first and the last one of `left`. Comparing with the first is what ends a
/// walk through a damaged tree: first keys that ascend strictly never come again.
fn check_order(left: &Node<'_>, right: &Node<'_>) -> PageResult<()> {
    let first = right.key(0)?;
    if first > left.key(left.count() - 1)? && first > left.key(0)? {
        return Ok(());
    }
    Err(right.damaged(&format!("keys do not ascend from {} to here", left.pgno())))
}
