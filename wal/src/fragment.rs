//! Fragments: how records, whole or in parts, lie in the body of a batch. See `docs/format/log.md`.

use llmdb_base::codec;

const LEN: usize = 0;
const KIND: usize = LEN + 4;
/// Bytes before the part of the record that a fragment carries.
pub(crate) const FRAGMENT_HEADER_LEN: usize = KIND + 1;

/// Which part of a record a fragment carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    Full = 1,
    First = 2,
    Middle = 3,
    Last = 4,
}

impl Kind {
    /// The kind of a fragment that begins a record or goes on with one, and ends it or does not.
    pub(crate) fn of(begins: bool, ends: bool) -> Self {
        match (begins, ends) {
            (true, true) => Self::Full,
            (true, false) => Self::First,
            (false, false) => Self::Middle,
            (false, true) => Self::Last,
        }
    }

    pub(crate) fn begins(self) -> bool {
        matches!(self, Self::Full | Self::First)
    }

    pub(crate) fn ends(self) -> bool {
        matches!(self, Self::Full | Self::Last)
    }

    fn decode(raw: u8) -> Option<Self> {
        [Self::Full, Self::First, Self::Middle, Self::Last].into_iter().find(|kind| *kind as u8 == raw)
    }
}

/// Writes the header of a fragment whose `len` bytes follow it.
pub(crate) fn encode_header(bytes: &mut [u8], kind: Kind, len: u32) {
    codec::put_u32(bytes, LEN, len);
    bytes[KIND] = kind as u8;
}

/// A fragment of a batch: where its bytes lie, counted from the start of the batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fragment {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

impl Fragment {
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// The fragment whose header is at `at` of `batch`, the used part of a batch. `None` if it does not fit.
    pub(crate) fn decode(batch: &[u8], at: usize) -> Option<Self> {
        let start = at.checked_add(FRAGMENT_HEADER_LEN).filter(|start| *start <= batch.len())?;
        let kind = Kind::decode(batch[at + KIND])?;
        let len = usize::try_from(codec::get_u32(batch, at + LEN)).ok()?;
        let end = start.checked_add(len).filter(|end| *end <= batch.len())?;
        Some(Self { kind, start, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_that_leaves_its_batch_is_refused() {
        let mut bytes = [0; 16];
        encode_header(&mut bytes, Kind::Middle, 11);
        assert_eq!(bytes[..5], [11, 0, 0, 0, 3]);
        assert_eq!(Fragment::decode(&bytes, 0), Some(Fragment { kind: Kind::Middle, start: 5, end: 16 }));
        encode_header(&mut bytes, Kind::Middle, 12);
        assert_eq!(Fragment::decode(&bytes, 0), None);
        encode_header(&mut bytes, Kind::Full, u32::MAX);
        assert_eq!(Fragment::decode(&bytes, 0), None);
        assert_eq!(Fragment::decode(&bytes, 12), None);
        assert_eq!(Fragment::decode(&bytes, usize::MAX), None);
    }
}
