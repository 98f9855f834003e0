//! Rows of a collection, and ranges of them.

use std::{
    fmt,
    ops::{Bound, RangeBounds},
};

use llmdb_base::key::{Element, Key};

use crate::record::ROW_END;

/// Bytes of the partition in front of a key.
const PARTITION_LEN: usize = 4;

/// A row of a collection: partition and key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct RowKey {
    /// Which part of the collection; rows sort by it first. 0 if nothing is said.
    pub partition: u32,
    /// The key inside the partition.
    pub key: Key,
}

impl RowKey {
    /// The row `key` of `partition`.
    pub fn new(partition: u32, key: impl Into<Key>) -> Self {
        Self { partition, key: key.into() }
    }

    /// The row as bytes that sort as rows do; no row is the beginning of another one.
    pub fn encode(&self) -> Vec<u8> {
        [&self.partition.to_be_bytes()[..], self.key.as_bytes()].concat()
    }

    /// Reads what [`RowKey::encode`] wrote; `None` for other bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (partition, key) = bytes.split_first_chunk()?;
        Some(Self { partition: u32::from_be_bytes(*partition), key: Key::from_encoded(key).ok()? })
    }

    /// A row from bytes that [`RowKey::split`] found.
    pub(crate) fn from_split(bytes: &[u8]) -> Option<Self> {
        let (partition, key) = bytes.split_first_chunk()?;
        Some(Self { partition: u32::from_be_bytes(*partition), key: Key::from_checked(key) })
    }

    /// Splits stored bytes into those of a row and what stands behind them.
    pub(crate) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let len = Key::len_in(bytes.get(PARTITION_LEN..)?).ok()?;
        bytes.split_at_checked(PARTITION_LEN + len)
    }
}

impl From<Key> for RowKey {
    fn from(key: Key) -> Self {
        Self::new(0, key)
    }
}

impl From<&str> for RowKey {
    fn from(key: &str) -> Self {
        Self::new(0, key)
    }
}

impl From<i64> for RowKey {
    fn from(key: i64) -> Self {
        Self::new(0, key)
    }
}

impl From<&Self> for RowKey {
    fn from(row: &Self) -> Self {
        row.clone()
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.partition {
            0 => self.key.fmt(f),
            partition => write!(f, "{partition}/{}", self.key),
        }
    }
}

/// A range of rows: what a read is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rows {
    pub(crate) from: Vec<u8>,
    /// First bytes behind the range; `None` if it has no end.
    pub(crate) to: Option<Vec<u8>>,
}

impl Rows {
    /// The range as encoded rows: the first, and the first bytes behind it, if it has an end.
    pub fn bounds(&self) -> (&[u8], Option<&[u8]>) {
        (&self.from, self.to.as_deref())
    }

    /// Every row of the collection.
    pub const fn all() -> Self {
        Self { from: Vec::new(), to: None }
    }

    /// One row.
    pub fn one(row: &RowKey) -> Self {
        Self::between(row..=row)
    }

    /// The rows of one partition.
    pub fn partition(partition: u32) -> Self {
        Self::prefix(partition, [])
    }

    /// The rows of a partition whose keys have `elements` as their first elements.
    pub fn prefix<'a>(partition: u32, elements: impl IntoIterator<Item = Element<'a>>) -> Self {
        let prefix = Key::prefix_of(elements);
        let from = [&partition.to_be_bytes()[..], &prefix].concat();
        let to = match (prefix.is_empty(), partition.checked_add(1)) {
            (true, None) => None,
            (true, Some(next)) => Some(next.to_be_bytes().to_vec()),
            (false, _) => Some([&from, ROW_END].concat()),
        };
        Self { from, to }
    }

    /// The rows between two others.
    pub fn between<'a>(range: impl RangeBounds<&'a RowKey>) -> Self {
        let behind = |row: &RowKey| [&row.encode()[..], ROW_END].concat();
        let from = match range.start_bound() {
            Bound::Included(row) => row.encode(),
            Bound::Excluded(row) => behind(row),
            Bound::Unbounded => Vec::new(),
        };
        let to = match range.end_bound() {
            Bound::Included(row) => Some(behind(row)),
            Bound::Excluded(row) => Some(row.encode()),
            Bound::Unbounded => None,
        };
        Self { from, to }
    }
}
