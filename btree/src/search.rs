//! Search inside a node: over the heads first, which lie side by side in the slots, then over the keys of those
//! few cells whose heads tie.

use std::cmp::Ordering;

use llmdb_base::{PageResult, header};

use crate::node::{Node, SLOT_LEN, Slot, head};

/// Where a key is, or would be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Index of the first cell whose key is not below the key that was looked for.
    pub(crate) index: usize,
    /// Whether that cell has the very key.
    pub(crate) exact: bool,
}

impl Place {
    const fn before(index: usize) -> Self {
        Self { index, exact: false }
    }
}

/// Looks for `key` in a leaf.
#[inline]
pub(crate) fn find(leaf: &Node<'_>, key: &[u8]) -> PageResult<Place> {
    locate(leaf, 0, key)
}

/// Index of the child of a branch in whose range `key` falls.
#[inline]
pub(crate) fn child_index(branch: &Node<'_>, key: &[u8]) -> PageResult<usize> {
    let place = locate(branch, 1, key)?;
    Ok(if place.exact { place.index } else { place.index.saturating_sub(1) })
}

/// Looks for `key` among the cells from `first` on. Cost: one probe of a head per halving, without a branch that
/// depends on the data, and as a rule one comparison of keys.
#[inline]
pub(crate) fn locate(node: &Node<'_>, first: usize, key: &[u8]) -> PageResult<Place> {
    let slots = node.slots_from(first);
    if slots.is_empty() {
        return Ok(Place::before(first));
    }
    let prefix = node.shared_prefix(first)?;
    if !key.starts_with(prefix) {
        return Ok(Place::before(if key < prefix { first } else { first + slots.len() }));
    }
    let wanted = head(key, prefix.len());
    let below = slots.len() - slots.partition_point(|slot| stored_head(slot) >= wanted);
    settle_ties(node, first, key, wanted, below)
}

#[inline]
fn stored_head(slot: &[u8; SLOT_LEN]) -> u32 {
    Slot::decode(*slot).head()
}

/// `below` cells from `first` on have a lower head; decides among those whose head is `wanted` too.
#[inline]
fn settle_ties(node: &Node<'_>, first: usize, key: &[u8], wanted: u32, below: usize) -> PageResult<Place> {
    let index = first + below;
    if index == node.count() || node.slot(index)?.head() != wanted {
        return Ok(Place::before(index));
    }
    match node.key(index)?.cmp(key) {
        Ordering::Equal => Ok(Place { index, exact: true }),
        Ordering::Greater => Ok(Place::before(index)),
        Ordering::Less => {
            let slots = node.slots_from(index);
            let ties = slots.len() - slots.partition_point(|slot| stored_head(slot) > wanted);
            halve(node, index + 1, index + ties, key)
        }
    }
}

/// Looks for `key` among the cells `low..high` by their keys alone.
fn halve(node: &Node<'_>, mut low: usize, mut high: usize, key: &[u8]) -> PageResult<Place> {
    while low < high {
        let middle = low.midpoint(high);
        match node.key(middle)?.cmp(key) {
            Ordering::Less => low = middle + 1,
            Ordering::Equal => return Ok(Place { index: middle, exact: true }),
            Ordering::Greater => high = middle,
        }
    }
    Ok(Place::before(low))
}

/// The plain version of [`locate`], without heads: what the tuned one must agree with.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn locate_plain(node: &Node<'_>, first: usize, key: &[u8]) -> PageResult<Place> {
    halve(node, first, node.count(), key)
}

/// Length of the prefix that the keys of a node share, from its first and last key.
pub(crate) fn shared_len(node: &Node<'_>) -> PageResult<usize> {
    let first = node.keys_from();
    if node.count() <= first {
        return Ok(0);
    }
    Ok(crate::node::common_len(node.key(first)?, node.key(node.count() - 1)?))
}

/// Whether the stored prefix length is the one that the keys share.
pub(crate) fn skip_len_is_exact(node: &Node<'_>) -> PageResult<bool> {
    Ok(shared_len(node)? == header::skip_len(node.page()))
}
