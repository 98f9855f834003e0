//! The way from the root to a leaf, and making it writable.

use llmdb_base::{ChildRef, PageResult, ReadPages, WritePages, header};

use crate::{
    HEIGHT_MAX, Tree,
    edit::NodeMut,
    node::{Node, fetch},
    search::{self, Place},
};

/// One node of a way down, and the cell through which the way goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) child: ChildRef,
    pub(crate) index: u16,
    pub(crate) count: u16,
}

impl Step {
    pub(crate) const NONE: Self = Self { child: ChildRef::NONE, index: 0, count: 0 };

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a page holds fewer than 512 cells")]
    pub(crate) fn new(child: ChildRef, index: usize, count: usize) -> Self {
        Self { child, index: index as u16, count: count as u16 }
    }

    #[inline]
    pub(crate) fn index(&self) -> usize {
        usize::from(self.index)
    }

    #[inline]
    pub(crate) fn count(&self) -> usize {
        usize::from(self.count)
    }
}

/// Whether a node lies on the left or right edge of its tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    pub(crate) leftmost: bool,
    pub(crate) rightmost: bool,
}

/// The way to where a key is or would be. Step 0 is the root, the last one the leaf.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    steps: [Step; HEIGHT_MAX],
    height: usize,
    exact: bool,
    /// Whether the leaf was born in the current epoch; its ancestors then were too, for whoever writes a page
    /// writes its number and birth into the parent.
    is_owned: bool,
}

impl Path {
    /// A way that leads nowhere.
    pub(crate) const NOWHERE: Self =
        Self { steps: [Step::NONE; HEIGHT_MAX], height: 0, exact: false, is_owned: false };

    /// Walks down to `key`. The tree must not be empty.
    pub(crate) fn descend<P: WritePages>(tree: &Tree, pages: &P, key: &[u8]) -> PageResult<Self> {
        let mut path = Self::NOWHERE;
        path.lead_to(tree, pages, key)?;
        Ok(path)
    }

    /// As [`Path::descend`], over a way that is of no use any more.
    pub(crate) fn lead_to<P: WritePages>(&mut self, tree: &Tree, pages: &P, key: &[u8]) -> PageResult<()> {
        (self.height, self.exact, self.is_owned) = (usize::from(tree.height), false, false);
        let mut child = tree.root_ref()?;
        for (depth, level) in (0..tree.height).rev().enumerate() {
            let node = fetch(pages, tree.id, child, level)?;
            let place = self.place_in(&node, level, key)?;
            self.steps[depth] = Step::new(child, place.index, node.count());
            if level > 0 {
                child = node.child(place.index)?;
            } else {
                self.exact = place.exact;
                self.is_owned = header::birth(node.page()) == pages.epoch();
            }
        }
        Ok(())
    }

    fn place_in(&self, node: &Node<'_>, level: u8, key: &[u8]) -> PageResult<Place> {
        match level {
            0 => search::find(node, key),
            _ => Ok(Place { index: search::child_index(node, key)?, exact: false }),
        }
    }

    /// Ends at another place of the same leaf, which has `count` cells.
    pub(crate) fn end_at(&mut self, place: Place, count: usize) {
        let depth = self.leaf_depth();
        self.steps[depth] = Step::new(self.steps[depth].child, place.index, count);
        self.exact = place.exact;
    }

    /// Whether the leaf has the very key.
    pub(crate) fn is_exact(&self) -> bool {
        self.exact
    }

    /// Number of the last step, that of the leaf.
    pub(crate) fn leaf_depth(&self) -> usize {
        self.height - 1
    }

    pub(crate) fn step(&self, depth: usize) -> Step {
        self.steps[depth]
    }

    pub(crate) fn leaf(&self) -> Step {
        self.steps[self.leaf_depth()]
    }

    /// Level of the node at `depth`.
    #[expect(clippy::cast_possible_truncation, reason = "heights fit a byte")]
    pub(crate) fn level(&self, depth: usize) -> u8 {
        (self.leaf_depth() - depth) as u8
    }

    /// On which edges of the tree the node at `depth` lies.
    pub(crate) fn edge(&self, depth: usize) -> Edge {
        let above = &self.steps[..depth];
        Edge {
            leftmost: above.iter().all(|step| step.index == 0),
            rightmost: above.iter().all(|step| step.index + 1 == step.count),
        }
    }

    /// Makes every page of the path one of the current epoch, from the root down, so that it can be changed.
    pub(crate) fn own<P: WritePages>(&mut self, tree: &mut Tree, pages: &mut P) -> PageResult<()> {
        if self.is_owned {
            return Ok(());
        }
        for depth in 0..self.height {
            let old = self.steps[depth].child;
            let owned = pages.own(old)?;
            if owned == old {
                continue;
            }
            self.steps[depth].child = owned;
            match depth.checked_sub(1) {
                None => tree.root = owned,
                Some(above) => set_child(pages, self.steps[above].child, self.steps[above].index(), owned)?,
            }
        }
        self.is_owned = true;
        Ok(())
    }
}

/// Names `child` as child `index` of the branch `parent`, which has been owned.
pub(crate) fn set_child<P: WritePages>(
    pages: &mut P,
    parent: ChildRef,
    index: usize,
    child: ChildRef,
) -> PageResult<()> {
    edit(pages, parent)?.set_child(index, child)
}

/// Makes child `index` of the branch `parent`, which has been owned, a page of the current epoch.
pub(crate) fn own_child<P: WritePages>(
    pages: &mut P,
    parent: ChildRef,
    index: usize,
) -> PageResult<ChildRef> {
    let old = view(pages, parent)?.child(index)?;
    let owned = pages.own(old)?;
    if owned != old {
        set_child(pages, parent, index, owned)?;
    }
    Ok(owned)
}

/// The node `child`, which has been owned, ready to be changed.
pub(crate) fn edit<P: WritePages>(pages: &mut P, child: ChildRef) -> PageResult<NodeMut<'_>> {
    NodeMut::new(pages.page_mut(child)?, child.pgno())
}

/// The node `child`, which was fetched before.
pub(crate) fn view<P: ReadPages>(pages: &P, child: ChildRef) -> PageResult<Node<'_>> {
    Node::open(pages.page(child)?, child.pgno())
}
