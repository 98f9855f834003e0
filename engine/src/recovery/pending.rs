//! Changes of a replay on their way into the trees: only the last one of each key, and in the order of the keys.
//!
//! Replayed one by one, records would touch the leaves in the order of the commits, which is any order: each leaf
//! would be waited for, and many be searched again and again. Gathered, superseded values are never stored; the keys of
//! a leaf come in a row; and leaves are fetched from the disk side by side, ahead of the changes.

use std::{
    cmp::Ordering,
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::mpsc::Receiver,
};

use llmdb_base::TreeId;
use llmdb_btree::{Finger, NewValue, Tree};
use llmdb_pager::PageTxn;

use crate::Result;

use super::{applier::Trees, scout::Scout};

/// Memory for changes that are gathered before they are applied.
const GATHER_BYTES_MAX: usize = 32 << 20;

/// Keys whose leaves are asked for together: enough to keep a disk busy.
pub(super) const AHEAD: usize = 1024;

/// Changes of single keys, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Pending {
    entries: Vec<Entry>,
    /// Keys and values, to which the entries point.
    bytes: Vec<u8>,
    /// The last of the first `indexed` entries for each hash of a tree and a key. Made as far as copies need it.
    index: HashMap<u64, usize>,
    indexed: usize,
}

/// What was done last to a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Latest<'p> {
    /// It got this value.
    Put(&'p [u8]),
    Deleted,
    /// Nothing that has been gathered: the tree knows.
    Unknown,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) tree: TreeId,
    is_delete: bool,
    /// The first bytes of the key, which decide most comparisons.
    head: u64,
    key_start: usize,
    value_start: usize,
    value_end: usize,
    /// The entry before with the same hash, if it has been indexed.
    previous: Option<usize>,
}

impl Pending {
    /// Whether there is so much that it should be applied.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() + self.entries.len() * size_of::<Entry>() >= GATHER_BYTES_MAX
    }

    /// `key` is removed.
    pub(super) fn delete(&mut self, tree: TreeId, key: &[u8]) {
        self.push(tree, key, 0, true);
    }

    /// `key` gets a value of `value_len` bytes; the caller writes them where the result points.
    pub(super) fn put(&mut self, tree: TreeId, key: &[u8], value_len: usize) -> &mut [u8] {
        self.push(tree, key, value_len, false)
    }

    fn push(&mut self, tree: TreeId, key: &[u8], value_len: usize, is_delete: bool) -> &mut [u8] {
        let key_start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let value_start = self.bytes.len();
        let value_end = value_start + value_len;
        self.bytes.resize(value_end, 0);
        let head = head(key);
        let entry = Entry { tree, is_delete, head, key_start, value_start, value_end, previous: None };
        self.entries.push(entry);
        &mut self.bytes[value_start..]
    }

    /// What was done last to a key. Cost: a look at the entries that came since the last call.
    pub(super) fn latest(&mut self, tree: TreeId, key: &[u8]) -> Latest<'_> {
        for at in self.indexed..self.entries.len() {
            let hash = hash(self.entries[at].tree, self.entries[at].key(&self.bytes));
            self.entries[at].previous = self.index.insert(hash, at);
        }
        self.indexed = self.entries.len();
        let mut next = self.index.get(&hash(tree, key)).copied();
        while let Some(at) = next {
            let entry = &self.entries[at];
            if entry.tree == tree && entry.key(&self.bytes) == key {
                return match entry.is_delete {
                    true => Latest::Deleted,
                    false => Latest::Put(&self.bytes[entry.value_start..entry.value_end]),
                };
            }
            next = entry.previous;
        }
        Latest::Unknown
    }

    /// Forgets everything: what was done since a savepoint that is gone back to.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.index.clear();
        self.indexed = 0;
    }

    /// Applies the last change of every key. `scout` may look ahead for the leaves.
    pub(super) fn apply(
        &mut self,
        pages: &mut PageTxn,
        trees: &mut Trees,
        scout: Option<&Scout>,
    ) -> Result<()> {
        let bytes = &self.bytes;
        // Stable, so that the changes of a key stay in their order.
        self.entries.sort_by(|one, other| one.compare(other, bytes));
        let entries = &self.entries;
        match scout {
            Some(scout) => {
                scout.ahead_of(entries, bytes, |found| apply_all(entries, bytes, pages, trees, found))
            }
            None => apply_all(entries, bytes, pages, trees, None),
        }?;
        self.clear();
        Ok(())
    }
}

/// Applies changes that are in order. `found` says, piece by piece, how many nodes somebody else has asked for; without
/// it they are asked for here.
fn apply_all(
    entries: &[Entry],
    bytes: &[u8],
    pages: &mut PageTxn,
    trees: &mut Trees,
    found: Option<&Receiver<u64>>,
) -> Result<()> {
    for of_tree in entries.chunk_by(|one, next| one.tree == next.tree) {
        let tree = trees.get(pages, of_tree[0].tree)?;
        let mut finger = Finger::default();
        let mut pieces = of_tree.chunks(AHEAD).peekable();
        let mut node_count = 0;
        if let Some(first) = pieces.peek().filter(|_| found.is_none()) {
            node_count = tree.read_ahead(pages, &keys(first, bytes))?;
        }
        while let Some(piece) = pieces.next() {
            if let Some(found) = found {
                // A scout that gave up has left the rest to the faults of the map.
                node_count = found.recv().unwrap_or(0);
            }
            // Each node is copied when it first changes.
            pages.expect_allocations(node_count);
            if let Some(next) = pieces.peek().filter(|_| found.is_none()) {
                // While these are applied, the next ones are on their way.
                node_count = tree.read_ahead(pages, &keys(next, bytes))?;
            }
            for of_key in piece.chunk_by(|one, next| one.compare(next, bytes) == Ordering::Equal) {
                of_key[of_key.len() - 1].apply(pages, tree, &mut finger, bytes)?;
            }
        }
    }
    Ok(())
}

/// The keys of a piece of the changes.
fn keys<'b>(piece: &[Entry], bytes: &'b [u8]) -> Vec<&'b [u8]> {
    piece.iter().map(|entry| entry.key(bytes)).collect()
}

impl Entry {
    pub(super) fn key<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.key_start..self.value_start]
    }

    /// By tree, and then by key.
    fn compare(&self, other: &Self, bytes: &[u8]) -> Ordering {
        let by_head = (self.tree, self.head).cmp(&(other.tree, other.head));
        by_head.then_with(|| self.key(bytes).cmp(other.key(bytes)))
    }

    fn apply(&self, pages: &mut PageTxn, tree: &mut Tree, finger: &mut Finger, bytes: &[u8]) -> Result<()> {
        let key = self.key(bytes);
        if self.is_delete {
            finger.lift();
            tree.remove(pages, key)?;
        } else {
            let value = NewValue::Bytes(&bytes[self.value_start..self.value_end]);
            tree.insert_near(pages, key, value, finger)?;
        }
        Ok(())
    }
}

fn hash(tree: TreeId, key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (tree.get(), key).hash(&mut hasher);
    hasher.finish()
}

/// The first eight bytes of `key`, as a number of the same order; short keys as if zeros followed, so that equal heads
/// decide nothing.
fn head(key: &[u8]) -> u64 {
    let mut head = [0; 8];
    let len = key.len().min(8);
    head[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_order_as_keys_do() {
        let keys: [&[u8]; 8] = [b"", b"\0", b"\0\0", b"a", b"a\0b", b"abcdefgh", b"abcdefgh\0", b"b"];
        for (one, next) in keys.iter().zip(&keys[1..]) {
            assert!(head(one) <= head(next), "{one:?} {next:?}");
        }
    }

    #[test]
    fn the_latest_change_of_a_key_is_found() {
        let mut pending = Pending::default();
        let (one, other) = (TreeId::new(1), TreeId::new(2));
        assert_eq!(pending.latest(one, b"k"), Latest::Unknown);
        pending.put(one, b"k", 1).copy_from_slice(b"a");
        pending.put(other, b"k", 1).copy_from_slice(b"b");
        assert_eq!(pending.latest(one, b"k"), Latest::Put(b"a"));
        pending.put(one, b"k", 2).copy_from_slice(b"cc");
        pending.delete(other, b"k");
        assert_eq!(pending.latest(one, b"k"), Latest::Put(b"cc"));
        assert_eq!(pending.latest(other, b"k"), Latest::Deleted);
        assert_eq!(pending.latest(other, b"kk"), Latest::Unknown);
        pending.clear();
        assert_eq!(pending.latest(one, b"k"), Latest::Unknown);
    }

    #[test]
    fn a_key_is_itself_whatever_its_head() {
        let mut pending = Pending::default();
        let tree = TreeId::new(1);
        pending.put(tree, b"abcdefgh1", 2).copy_from_slice(b"xy");
        pending.delete(tree, b"abcdefgh");
        pending.delete(tree, b"abcdefgh1");
        let compare =
            |one: usize, other: usize| pending.entries[one].compare(&pending.entries[other], &pending.bytes);
        assert_eq!((compare(0, 1), compare(0, 2)), (Ordering::Greater, Ordering::Equal));
        assert_eq!(pending.entries[2].key(&pending.bytes), b"abcdefgh1");
        pending.clear();
        assert!(pending.entries.is_empty() && !pending.is_full());
    }
}
