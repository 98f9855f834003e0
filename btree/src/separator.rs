//! Keys that stand between two children of a branch.

use std::ops::Deref;

use crate::node::{CELL_LEN_MAX, common_len};

/// A separator, copied out of the page it came from, which is about to change.
pub(crate) struct Separator {
    bytes: [u8; CELL_LEN_MAX],
    len: usize,
}

impl Separator {
    /// A copy of `key`; `None` if it is longer than any cell.
    pub(crate) fn copy(key: &[u8]) -> Option<Self> {
        let mut bytes = [0; CELL_LEN_MAX];
        bytes.get_mut(..key.len())?.copy_from_slice(key);
        Some(Self { bytes, len: key.len() })
    }
}

impl Deref for Separator {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The shortest key that is above `low` and not above `high`, where `low < high`: `high` up to the first byte in
/// which they differ.
pub(crate) fn shortest<'a>(low: &[u8], high: &'a [u8]) -> &'a [u8] {
    high.get(..=common_len(low, high)).unwrap_or(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortest_separates() {
        let cases: [(&[u8], &[u8], &[u8]); 5] = [
            (b"", b"abc", b"a"),
            (b"ab", b"abc", b"abc"),
            (b"abc", b"abd", b"abd"),
            (b"a", b"zz", b"z"),
            (b"a\0", b"b", b"b"),
        ];
        for (low, high, expected) in cases {
            assert_eq!(shortest(low, high), expected);
            assert!(low < expected && expected <= high);
        }
    }
}
