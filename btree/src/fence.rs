//! Which keys may stand below which child.

use crate::node::Node;

/// The keys a subtree may have: from `low` on (`None`: from the first), below `high` (`None`: to the last).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fence<'p> {
    pub(crate) low: Option<&'p [u8]>,
    pub(crate) high: Option<&'p [u8]>,
}

impl<'p> Fence<'p> {
    pub(crate) const ALL: Self = Self { low: None, high: None };

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        self.low.is_none_or(|low| low <= key) && self.high.is_none_or(|high| key < high)
    }

    /// Whether `separator` cuts this range in two that are not empty.
    fn is_cut_by(&self, separator: &[u8]) -> bool {
        !separator.is_empty()
            && self.low.is_none_or(|low| low < separator)
            && self.high.is_none_or(|high| separator < high)
    }

    /// Calls `each` with the index of every child of `branch` and what keys it may have; with `None` for a child
    /// whose separator makes no sense.
    ///
    /// The ranges given out are disjoint parts of `self`, so whoever walks down by them visits each child at most
    /// once for each of its separators, however damaged the tree is.
    pub(crate) fn divide(self, branch: &Node<'p>, mut each: impl FnMut(usize, Option<Fence<'p>>)) {
        let (mut open, mut rest) = (0, self);
        for index in 1..branch.count() {
            match branch.key(index) {
                Ok(separator) if rest.is_cut_by(separator) => {
                    each(open, Some(Fence { high: Some(separator), ..rest }));
                    (open, rest.low) = (index, Some(separator));
                }
                _ => each(index, None),
            }
        }
        each(open, Some(rest));
    }
}
