//! What a store holds, kept in the plainest way: the measure for everything a store answers.

use std::{collections::BTreeMap, sync::Arc};

use llmdb_vfs::crash::mix;

/// A change that a transaction makes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Stores a value under a key, in place of the one that was there.
    Put {
        /// Name of the tree; it comes into being with its first key.
        tree: &'static str,
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Arc<[u8]>,
    },
    /// Removes a key, if it is there.
    Delete {
        /// Name of the tree.
        tree: &'static str,
        /// The key.
        key: Vec<u8>,
    },
    /// Removes the keys from `from` on and before `to`.
    DeleteRange {
        /// Name of the tree.
        tree: &'static str,
        /// The first key that goes, if it is there.
        from: Vec<u8>,
        /// The first key that stays; not below `from`.
        to: Vec<u8>,
    },
    /// Removes a tree with all its keys. A tree without keys and no tree are the same here.
    DropTree {
        /// Name of the tree.
        tree: &'static str,
    },
    /// Marks a state to which the transaction may go back.
    Savepoint,
    /// Goes back to a savepoint, which stays; the savepoints after it are gone.
    RollbackTo {
        /// Which of the savepoints that stand, from 0.
        index: usize,
    },
}

impl Change {
    /// About how many bytes it takes in a log: its own and a header.
    pub(crate) fn log_bytes(&self) -> u64 {
        let bytes = match self {
            Self::Put { key, value, .. } => key.len() + value.len(),
            Self::Delete { key, .. } => key.len(),
            Self::DeleteRange { from, to, .. } => from.len() + to.len(),
            Self::DropTree { .. } | Self::Savepoint | Self::RollbackTo { .. } => 0,
        };
        // A header, and the name of a tree that may come into being.
        bytes as u64 + 96
    }
}

/// Keys and values of one tree.
pub type Entries = BTreeMap<Vec<u8>, Arc<[u8]>>;

/// Named trees of keys and values. Copies share what they have in common.
#[derive(Clone, Default, Debug)]
pub struct Contents {
    trees: BTreeMap<Arc<str>, Arc<Entries>>,
    digest: Digest,
}

/// Tells contents apart without holding them: equal contents have equal digests, and different ones have
/// different digests but for one in 2^64.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Digest {
    sum: u64,
    entry_count: u64,
}

impl Digest {
    /// Adds an entry. The order of entries does not matter.
    pub fn add(&mut self, tree: &str, key: &[u8], value: &[u8]) {
        self.sum = self.sum.wrapping_add(entry_hash(tree, key, value));
        self.entry_count += 1;
    }

    fn remove(&mut self, tree: &str, key: &[u8], value: &[u8]) {
        self.sum = self.sum.wrapping_sub(entry_hash(tree, key, value));
        self.entry_count -= 1;
    }
}

impl Contents {
    /// Their digest. Cost: nothing, it is kept up to date.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Makes the changes of one transaction.
    pub fn apply(&mut self, changes: &[Change]) {
        let mut savepoints: Vec<Self> = Vec::new();
        for change in changes {
            match change {
                Change::Put { tree, key, value } => self.put(tree, key.clone(), Arc::clone(value)),
                Change::Delete { tree, key } => self.delete(tree, key),
                Change::DeleteRange { tree, from, to } => self.delete_range(tree, from, to),
                Change::DropTree { tree } => self.drop_tree(tree),
                Change::Savepoint => savepoints.push(self.clone()),
                Change::RollbackTo { index } => {
                    savepoints.truncate(index + 1);
                    if let Some(savepoint) = savepoints.last() {
                        self.clone_from(savepoint);
                    }
                }
            }
        }
    }

    /// Stores a value under a key.
    pub fn put(&mut self, tree: &str, key: Vec<u8>, value: Arc<[u8]>) {
        self.digest.add(tree, &key, &value);
        if !self.trees.contains_key(tree) {
            self.trees.insert(tree.into(), Arc::default());
        }
        let entries =
            self.trees.get_mut(tree).map(Arc::make_mut).expect("the tree was made if it was missing");
        if let Some((key, old)) = entries.get_key_value(&key) {
            self.digest.remove(tree, key, old);
        }
        entries.insert(key, value);
    }

    /// Removes a key, if it is there.
    pub fn delete(&mut self, tree: &str, key: &[u8]) {
        let Some(entries) = self.trees.get_mut(tree) else { return };
        if let Some(old) = Arc::make_mut(entries).remove(key) {
            self.digest.remove(tree, key, &old);
        }
    }

    /// Removes the keys from `from` on and before `to`.
    pub fn delete_range(&mut self, tree: &str, from: &[u8], to: &[u8]) {
        let Some(entries) = self.trees.get(tree) else { return };
        let range =
            entries.range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Excluded(to)));
        let gone: Vec<Vec<u8>> = range.map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.delete(tree, &key);
        }
    }

    /// Removes a tree.
    pub fn drop_tree(&mut self, tree: &str) {
        for (key, value) in self.trees.remove(tree).iter().flat_map(|entries| entries.iter()) {
            self.digest.remove(tree, key, value);
        }
    }

    /// All entries: trees by name, keys in order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &[u8], &[u8])> {
        let trees = self.trees.iter();
        trees.flat_map(|(tree, entries)| entries.iter().map(move |(key, value)| (&**tree, &**key, &**value)))
    }

    /// Describes where these contents and `others` first differ; `None` if they are equal.
    pub fn difference(&self, others: &Self) -> Option<String> {
        let (mut ours, mut theirs) = (self.entries(), others.entries());
        loop {
            return match (ours.next(), theirs.next()) {
                (None, None) => None,
                (ours, theirs) if ours == theirs => continue,
                (ours, theirs) => Some(format!("{} where {} was expected", show(ours), show(theirs))),
            };
        }
    }
}

fn show(entry: Option<(&str, &[u8], &[u8])>) -> String {
    let Some((tree, key, value)) = entry else { return "the end".to_owned() };
    let start = &value[..value.len().min(8)];
    format!("{tree}[{}] = {} bytes {}..", key.escape_ascii(), value.len(), start.escape_ascii())
}

fn entry_hash(tree: &str, key: &[u8], value: &[u8]) -> u64 {
    bytes_hash(bytes_hash(bytes_hash(0, tree.as_bytes()), key), value)
}

/// Spreads `bytes` and their number over a word.
fn bytes_hash(seed: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let (words, rest) = bytes.as_chunks::<8>();
    let hash =
        words.iter().fold(mix(seed ^ bytes.len() as u64), |hash, word| step(hash, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(step(hash, u64::from_le_bytes(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str) -> Change {
        Change::Put { tree: "t", key: key.into(), value: value.as_bytes().into() }
    }

    fn shown(contents: &Contents) -> Vec<(&str, &[u8], &[u8])> {
        contents.entries().collect()
    }

    #[test]
    fn changes_do_what_they_say() {
        let mut contents = Contents::default();
        contents.apply(&[put("a", "1"), put("b", "2"), put("c", "3"), put("d", "4"), put("a", "5")]);
        contents.apply(&[Change::DeleteRange { tree: "t", from: "b".into(), to: "d".into() }]);
        assert_eq!(shown(&contents), [("t", &b"a"[..], &b"5"[..]), ("t", b"d", b"4")]);
        contents.apply(&[
            Change::Savepoint,
            put("e", "6"),
            Change::Savepoint,
            Change::DropTree { tree: "t" },
        ]);
        assert_eq!(contents.digest(), Digest::default());
        contents.apply(&[
            put("x", "1"),
            Change::Savepoint,
            put("y", "2"),
            Change::Savepoint,
            put("z", "3"),
            Change::RollbackTo { index: 1 },
            Change::RollbackTo { index: 0 },
            put("w", "4"),
        ]);
        assert_eq!(shown(&contents), [("t", &b"w"[..], &b"4"[..]), ("t", b"x", b"1")]);
    }

    #[test]
    fn digests_follow_the_entries() {
        let mut left = Contents::default();
        left.apply(&[
            put("a", "1"),
            put("b", "2"),
            put("a", "3"),
            Change::Delete { tree: "t", key: "b".into() },
        ]);
        let mut right = Contents::default();
        right.apply(&[put("a", "3")]);
        assert_eq!(left.digest(), right.digest());
        assert_eq!(left.difference(&right), None);
        right.apply(&[put("a", "1")]);
        assert_ne!(left.digest(), right.digest());
        assert!(left.difference(&right).is_some_and(|text| text.contains("t[a]")));
        let mut moved = Digest::default();
        moved.add("t", b"a3", b"");
        assert_ne!(moved, left.digest(), "key and value are kept apart");
    }
}
