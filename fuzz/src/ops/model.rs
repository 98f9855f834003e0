//! What the store should hold: every commit, and which of them were acknowledged.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use llmdb_engine::Snapshot;

use crate::disk::noise;

/// A value: what it follows from, and its length.
pub type Stored = (u64, usize);
/// The rows of every tree.
pub type Trees = BTreeMap<&'static str, BTreeMap<Vec<u8>, Stored>>;

/// Name of one of a few trees.
pub fn tree_name(number: u8) -> &'static str {
    ["main", "second", "third"][usize::from(number % 3)]
}

/// A key: mostly short, some of them so long that few fit a page.
pub fn key(number: u16) -> Vec<u8> {
    let number = number % 1_000;
    let mut key = number.to_be_bytes().to_vec();
    match number % 8 {
        0 => key.extend([b'k'; 600]),
        1 => key.extend([b'k'; 30]),
        _ => {}
    }
    key
}

/// The bytes of a value.
pub fn value((seed, len): Stored) -> Vec<u8> {
    noise(seed, len)
}

/// All commits, oldest first.
pub struct History {
    commits: Vec<(u64, Trees)>,
    acknowledged: Arc<AtomicU64>,
}

impl Default for History {
    fn default() -> Self {
        Self { commits: vec![(0, Trees::new())], acknowledged: Arc::default() }
    }
}

impl History {
    /// The newest state.
    pub fn newest(&self) -> &Trees {
        &self.commits.last().expect("never empty").1
    }

    pub fn newest_txid(&self) -> u64 {
        self.commits.last().expect("never empty").0
    }

    /// The state that commit `txid` made.
    pub fn at(&self, txid: u64) -> Option<&Trees> {
        self.commits.iter().rev().find(|commit| commit.0 == txid).map(|commit| &commit.1)
    }

    /// A commit is on its way.
    pub fn push(&mut self, txid: u64, trees: Trees) {
        assert!(txid > self.newest_txid(), "transaction ids ascend");
        self.commits.push((txid, trees));
    }

    /// The newest commit changed nothing, and was none.
    pub fn pop_unchanged(&mut self) {
        let (_, trees) = self.commits.pop().expect("never empty");
        assert_eq!(trees, *self.newest());
    }

    /// The newest commit was refused, and nothing was changed.
    pub fn retract(&mut self) {
        self.commits.pop().expect("never empty");
        assert!(!self.commits.is_empty(), "the empty store was no commit");
    }

    /// Everything up to `txid` was acknowledged.
    pub fn acknowledge(&mut self, txid: u64) {
        self.acknowledged.fetch_max(txid, Ordering::AcqRel);
    }

    pub fn acknowledge_all(&mut self) {
        self.acknowledge(self.newest_txid());
    }

    /// The newest acknowledged commit, for those who cannot ask.
    pub fn acknowledged_cell(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.acknowledged)
    }

    /// A new opening found `txid` to be the newest commit: what came later is gone.
    pub fn found(&mut self, txid: u64) {
        let acknowledged = self.acknowledged.load(Ordering::Acquire);
        assert!(txid >= acknowledged, "tx{txid} is left, tx{acknowledged} was acknowledged");
        self.commits.retain(|commit| commit.0 <= txid);
        assert_eq!(self.newest_txid(), txid, "what is left is a commit");
        self.acknowledge_all();
    }
}

/// A snapshot shows exactly `trees`.
pub fn compare(snapshot: &Snapshot, trees: &Trees) {
    let found = snapshot.trees().expect("nothing is damaged");
    let expected: Vec<_> = trees.iter().map(|(name, rows)| ((*name).to_owned(), rows.len() as u64)).collect();
    assert_eq!(found, expected, "trees of tx{}", snapshot.txid());
    for (name, rows) in trees {
        let tree = snapshot.tree(name).expect("nothing is damaged").expect("just listed");
        let mut expected = rows.iter();
        for row in tree.iter().expect("nothing is damaged") {
            let (key, bytes) = row.expect("nothing is damaged");
            let (expected_key, stored) = expected.next().expect("a row too many");
            assert!(key == expected_key, "another key in {name}: {key:?}");
            assert!(bytes == value(*stored), "another value in {name}: {key:?}");
        }
        assert!(expected.next().is_none(), "rows of {name} are missing");
    }
}
