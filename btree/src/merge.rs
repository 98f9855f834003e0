//! Underfull nodes: merged with a sibling if both fit one page, otherwise cells are moved over.

use llmdb_base::{ChildRef, PageBytes, PageResult, WritePages, header};

use crate::{
    Tree,
    node::{CAPACITY, Form, Node, SLOT_LEN},
    path::{Path, edit, own_child, view},
    separator::{Separator, shortest},
};

/// A node with fewer used bytes is underfull.
const USED_MIN: usize = CAPACITY / 3;

impl Tree {
    /// Mends underfull nodes along `path`, all of which is owned, from the leaf up, and lowers the tree if the root
    /// has but one child.
    pub(crate) fn mend<P: WritePages>(&mut self, pages: &mut P, path: &Path) -> PageResult<()> {
        for depth in (1..=path.leaf_depth()).rev() {
            if !is_underfull(&view(pages, path.step(depth).child)?) {
                return Ok(());
            }
            let parent = path.step(depth - 1);
            mend_child(pages, parent.child, parent.index())?;
        }
        self.lower(pages)
    }

    /// Removes a root without entries, and roots with a single child.
    pub(crate) fn lower<P: WritePages>(&mut self, pages: &mut P) -> PageResult<()> {
        while self.height > 0 {
            let node = view(pages, self.root)?;
            let old = self.root;
            match (node.count(), self.height) {
                (0, _) => (self.root, self.height) = (ChildRef::NONE, 0),
                (1, 2..) => (self.root, self.height) = (node.child(0)?, self.height - 1),
                _ => return Ok(()),
            }
            pages.free(old)?;
        }
        Ok(())
    }
}

pub(crate) fn is_underfull(node: &Node<'_>) -> bool {
    node.used() < USED_MIN || node.count() <= node.keys_from()
}

/// Mends child `index` of the branch `parent`, which has been owned, if it is underfull. The parent may be so
/// afterwards, or even without children.
pub(crate) fn mend_child<P: WritePages>(pages: &mut P, parent: ChildRef, index: usize) -> PageResult<()> {
    let branch = view(pages, parent)?;
    let (child, count) = (branch.child(index)?, branch.count());
    let node = view(pages, child)?;
    if node.count() == 0 {
        pages.free(child)?;
        return edit(pages, parent)?.remove_children(index..index + 1);
    }
    if !is_underfull(&node) {
        return Ok(());
    }
    let (on_left, on_right) = (index.checked_sub(1), (index + 1 < count).then_some(index));
    for left in [on_left, on_right].into_iter().flatten() {
        if fit_one_page(pages, parent, left)? {
            return merge(pages, parent, left);
        }
    }
    for left in [on_left, on_right].into_iter().flatten() {
        if rebalance(pages, parent, left)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Two neighbours, copied out of their pages, and the separator between them.
struct Pair {
    left: PageBytes,
    right: PageBytes,
    refs: (ChildRef, ChildRef),
    separator: Separator,
}

impl Pair {
    /// Children `index` and `index + 1` of `parent`.
    fn read<P: WritePages>(pages: &P, parent: ChildRef, index: usize) -> PageResult<Self> {
        let branch = view(pages, parent)?;
        let refs = (branch.child(index)?, branch.child(index + 1)?);
        let separator = Separator::copy(branch.key(index + 1)?)
            .ok_or_else(|| branch.damaged("a separator is longer than a cell"))?;
        Ok(Self { left: *pages.page(refs.0)?, right: *pages.page(refs.1)?, refs, separator })
    }

    fn nodes(&self) -> PageResult<(Node<'_>, Node<'_>)> {
        let nodes =
            (Node::open(&self.left, self.refs.0.pgno())?, Node::open(&self.right, self.refs.1.pgno())?);
        if header::level(&self.left) != header::level(&self.right) {
            return Err(nodes.1.damaged("neighbours are on different levels"));
        }
        Ok(nodes)
    }

    /// What the first cell of the right node is called when it moves into the left one: the separator, in branches. A
    /// left branch may have lost all its children to a range that was cut out: then the cell is the first.
    fn joint_key(&self, node: &Node<'_>) -> Option<&[u8]> {
        let key = if header::count(&self.left) == 0 { &[] } else { &*self.separator };
        node.is_branch().then_some(key)
    }
}

/// Whether children `index` and `index + 1` of `parent` fit one page.
fn fit_one_page<P: WritePages>(pages: &P, parent: ChildRef, index: usize) -> PageResult<bool> {
    let branch = view(pages, parent)?;
    let (left, right) = (view(pages, branch.child(index)?)?, view(pages, branch.child(index + 1)?)?);
    let joint_len = if right.is_branch() { branch.key(index + 1)?.len() } else { 0 };
    Ok(left.used() + right.used() + joint_len <= CAPACITY)
}

/// Moves all cells of child `index + 1` into child `index`.
fn merge<P: WritePages>(pages: &mut P, parent: ChildRef, index: usize) -> PageResult<()> {
    let pair = Pair::read(pages, parent, index)?;
    let (_, right) = pair.nodes()?;
    let owned = own_child(pages, parent, index)?;
    let mut target = edit(pages, owned)?;
    target.append(&right, 0..right.count(), pair.joint_key(&right))?;
    target.reset_heads()?;
    pages.free(pair.refs.1)?;
    edit(pages, parent)?.remove_children(index + 1..index + 2)
}

/// Distributes the cells of children `index` and `index + 1` evenly. Does nothing and returns false if the new
/// separator does not fit the parent: an underfull child wastes some space, a parent without room would have to
/// be split.
fn rebalance<P: WritePages>(pages: &mut P, parent: ChildRef, index: usize) -> PageResult<bool> {
    let pair = Pair::read(pages, parent, index)?;
    let (left, right) = pair.nodes()?;
    let Some(cut) = even_cut(&pair)? else {
        return Ok(false);
    };
    let separator = separator_at(&pair, cut)?;
    let mut branch = edit(pages, parent)?;
    if branch.free() + pair.separator.len() < separator.len() {
        return Ok(false);
    }
    branch.remove(index + 1..index + 2)?;
    branch.insert(index + 1, &separator, &pair.refs.1.raw().to_le_bytes(), Form::Inline)?;
    let refs = (own_child(pages, parent, index)?, own_child(pages, parent, index + 1)?);

    let moved = cut.saturating_sub(left.count());
    let mut target = edit(pages, refs.0)?;
    target.clear();
    target.append(&left, 0..cut.min(left.count()), None)?;
    target.append(&right, 0..moved, pair.joint_key(&right))?;
    target.reset_heads()?;
    let mut target = edit(pages, refs.1)?;
    target.clear();
    let no_key = left.is_branch().then_some(&[][..]);
    if cut < left.count() {
        target.append(&left, cut..left.count(), no_key)?;
        target.append(&right, 0..right.count(), pair.joint_key(&right))?;
    } else {
        target.append(&right, moved..right.count(), no_key)?;
    }
    target.reset_heads()?;
    Ok(true)
}

/// Bytes of cell `index` of both nodes together, with its slot.
fn cell_len(pair: &Pair, index: usize) -> PageResult<usize> {
    let (left, right) = pair.nodes()?;
    match index.checked_sub(left.count()) {
        None => Ok(left.cell_range(index)?.len() + SLOT_LEN),
        Some(0) => Ok(right.cell_range(0)?.len() + pair.joint_key(&right).map_or(0, <[u8]>::len) + SLOT_LEN),
        Some(index) => Ok(right.cell_range(index)?.len() + SLOT_LEN),
    }
}

/// How many cells of both nodes together the left one gets; `None` if there is no way.
fn even_cut(pair: &Pair) -> PageResult<Option<usize>> {
    let (left, right) = pair.nodes()?;
    let count = left.count() + right.count();
    let mut total = 0;
    for index in 0..count {
        total += cell_len(pair, index)?;
    }
    let cells_min = 1 + left.keys_from();
    let (mut left_len, mut best) = (0, None);
    for cut in 1..count {
        left_len += cell_len(pair, cut - 1)?;
        let imbalance = left_len.abs_diff(total - left_len);
        let is_possible =
            cut >= cells_min && count - cut >= cells_min && left_len.max(total - left_len) <= CAPACITY;
        if is_possible && best.is_none_or(|(least, _)| imbalance < least) {
            best = Some((imbalance, cut));
        }
    }
    Ok(best.map(|(_, cut)| cut).filter(|cut| *cut != left.count()))
}

/// The separator if the left node gets `cut` cells.
fn separator_at(pair: &Pair, cut: usize) -> PageResult<Separator> {
    let (left, right) = pair.nodes()?;
    let key = |index: usize| match index.checked_sub(left.count()) {
        None => left.key(index),
        Some(index) => right.key(index),
    };
    let high = key(cut)?;
    let key = if left.is_branch() { high } else { shortest(key(cut - 1)?, high) };
    Separator::copy(key).ok_or_else(|| left.damaged("a key is longer than a cell"))
}
