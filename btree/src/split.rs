//! Where a full node is cut in two, and the cutting.

use std::cmp::Ordering;

use llmdb_base::{ChildRef, PAGE_SIZE, PageBytes, PageResult, WritePages, header};

use crate::{
    edit::NodeMut,
    insert::NewCell,
    node::{CAPACITY, Node, SLOT_LEN, common_len},
    path::Edge,
    separator::{Separator, shortest},
};

/// Inserts in a row, each right behind the one before, after which a leaf takes them for an ascending run.
const ASCENT_MIN: usize = 3;

/// Records in the hint of a leaf that cell `index` was inserted.
///
/// The hint holds in its lower nine bits the index at which an ascending run would go on, and above them how many
/// inserts in a row went there.
pub(crate) fn note_insert(page: &mut PageBytes, index: usize) {
    let (expected, streak) = decode_ascent(header::ascent(page));
    let streak = if index == expected { (streak + 1).min(0x7F) } else { 0 };
    header::set_ascent(page, encode_ascent(index + 1, streak));
}

fn decode_ascent(ascent: u16) -> (usize, usize) {
    (usize::from(ascent & 0x1FF), usize::from(ascent >> 9))
}

#[expect(clippy::cast_possible_truncation, reason = "a page holds fewer than 512 cells")]
fn encode_ascent(expected: usize, streak: usize) -> u16 {
    expected as u16 & 0x1FF | (streak as u16) << 9
}

/// The cells of a full node with the new one among them: `count + 1` of them.
struct Combined<'a> {
    node: Node<'a>,
    new: &'a NewCell<'a>,
}

impl Combined<'_> {
    fn count(&self) -> usize {
        self.node.count() + 1
    }

    /// Bytes of cell `index` with its slot.
    fn len(&self, index: usize) -> PageResult<usize> {
        let old = |index| Ok(self.node.cell_range(index)?.len() + SLOT_LEN);
        match index.cmp(&self.new.index) {
            Ordering::Less => old(index),
            Ordering::Equal => Ok(self.new.len()),
            Ordering::Greater => old(index - 1),
        }
    }

    fn key(&self, index: usize) -> PageResult<&[u8]> {
        match index.cmp(&self.new.index) {
            Ordering::Less => self.node.key(index),
            Ordering::Equal => Ok(self.new.key),
            Ordering::Greater => self.node.key(index - 1),
        }
    }

    fn total(&self) -> usize {
        self.node.used() + self.new.len()
    }

    fn len_up_to(&self, cut: usize) -> PageResult<usize> {
        (0..cut).try_fold(0, |sum, index| Ok(sum + self.len(index)?))
    }

    fn fits(&self, cut: usize) -> PageResult<bool> {
        let left = self.len_up_to(cut)?;
        Ok(left <= CAPACITY && self.total().saturating_sub(left) <= CAPACITY)
    }

    /// How many cells stay in the left page.
    fn cut(&self, edge: Edge) -> PageResult<usize> {
        match self.ascending_cut(edge)? {
            Some(cut) if self.fits(cut)? => Ok(cut),
            _ => self.balanced_cut(),
        }
    }

    /// The cut for keys that come in order: the full page stays as it is, and the run goes on in the other one.
    fn ascending_cut(&self, edge: Edge) -> PageResult<Option<usize>> {
        let (last, is_branch) = (self.count() - 1, self.node.is_branch());
        // A branch with a single child could not mend that child later, so two go to the new page.
        let few = if is_branch { 2 } else { 1 };
        if edge.rightmost && self.new.index == last {
            return Ok(Some(self.count() - few));
        }
        if edge.leftmost && self.new.index == usize::from(is_branch) {
            return Ok(Some(few));
        }
        if is_branch || !self.is_ascending() {
            return Ok(None);
        }
        // Cells behind the run are left to themselves, if that is possible: the run then goes on at the end of its
        // page, and from there from full page to full page.
        let behind_new = self.new.index + 1;
        Ok(Some(if behind_new <= last && self.fits(behind_new)? {
            behind_new
        } else {
            self.new.index.max(1)
        }))
    }

    fn is_ascending(&self) -> bool {
        let (expected, streak) = decode_ascent(header::ascent(self.node.page()));
        expected == self.new.index && streak >= ASCENT_MIN.min(self.node.count().saturating_sub(1)).max(1)
    }

    /// The cut nearest to the middle; among those about as near, the one with the shortest separator.
    fn balanced_cut(&self) -> PageResult<usize> {
        let (total, mut left) = (self.total(), 0);
        let mut best = None;
        for cut in 1..self.count() {
            left += self.len(cut - 1)?;
            let right = total.saturating_sub(left);
            if left > CAPACITY || right > CAPACITY {
                continue;
            }
            let imbalance = left.abs_diff(right) / (CAPACITY / 8);
            let rank = (imbalance, self.separator_len(cut)?, left.abs_diff(right));
            if best.is_none_or(|(best_rank, _)| rank < best_rank) {
                best = Some((rank, cut));
            }
        }
        best.map(|(_, cut)| cut).ok_or_else(|| self.node.damaged("a full node cannot be cut in two"))
    }

    fn separator_len(&self, cut: usize) -> PageResult<usize> {
        let high = self.key(cut)?;
        Ok(if self.node.is_branch() { high.len() } else { common_len(self.key(cut - 1)?, high) + 1 })
    }

    /// The separator between the pages, if the first `cut` cells stay.
    fn separator(&self, cut: usize) -> PageResult<Separator> {
        let high = self.key(cut)?;
        let key = if self.node.is_branch() { high } else { shortest(self.key(cut - 1)?, high) };
        Separator::copy(key).ok_or_else(|| self.node.damaged("a key is longer than a cell"))
    }
}

/// Inserts `new` into the full node `left` by moving some of its cells to `right`, an empty page of the same level.
/// Returns the separator between the two.
pub(crate) fn split<P: WritePages>(
    pages: &mut P,
    left: ChildRef,
    right: ChildRef,
    new: &NewCell<'_>,
    edge: Edge,
) -> PageResult<Separator> {
    let old: [u8; PAGE_SIZE] = *pages.page_mut(left)?;
    let node = Node::open(&old, left.pgno())?;
    let combined = Combined { node, new };
    let cut = combined.cut(edge)?;
    let separator = combined.separator(cut)?;
    // In a branch the separator moves up: the first child of the right page has none.
    let first_key = node.is_branch().then_some(&[][..]);
    let old_cut = if new.index < cut { cut - 1 } else { cut };

    let mut right_node = NodeMut::new(pages.page_mut(right)?, right.pgno())?;
    if new.index == cut {
        right_node.append_cell(first_key.unwrap_or(new.key), new.payload, new.form)?;
        right_node.append(&node, old_cut..node.count(), None)?;
    } else {
        right_node.append(&node, old_cut..node.count(), first_key)?;
    }
    right_node.reset_heads()?;
    if new.index > cut {
        right_node.insert(new.index - cut, new.key, new.payload, new.form)?;
    }
    let mut left_node = NodeMut::new(pages.page_mut(left)?, left.pgno())?;
    left_node.remove(old_cut..node.count())?;
    if new.index < cut {
        left_node.insert(new.index, new.key, new.payload, new.form)?;
    }
    if !node.is_branch() {
        carry_ascent(pages, (left, right), new.index, cut, header::ascent(&old))?;
    }
    Ok(separator)
}

/// Lets the page that got the new cell go on with the hint of the page that was cut.
fn carry_ascent<P: WritePages>(
    pages: &mut P,
    (left, right): (ChildRef, ChildRef),
    index: usize,
    cut: usize,
    ascent: u16,
) -> PageResult<()> {
    let (expected, streak) = decode_ascent(ascent);
    let streak = if index == expected { (streak + 1).min(0x7F) } else { 0 };
    let (target, other, index) = if index < cut { (left, right, index) } else { (right, left, index - cut) };
    header::set_ascent(pages.page_mut(target)?, encode_ascent(index + 1, streak));
    header::set_ascent(pages.page_mut(other)?, 0);
    Ok(())
}
