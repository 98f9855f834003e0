//! A consumer of the change feed that builds a copy of the store from what it is told.

use std::{io::Read, ops::Bound};

use llmdb_engine::{CONSUMERS_TREE, Change, Changes, Engine, FeedFrom, Position, Result};

use super::{Trees, state};

/// The copy, and how far it has come.
#[derive(Clone, Debug, Default)]
pub struct Follower {
    pub trees: Trees,
    pub position: Option<Position>,
    /// Transactions seen.
    pub count: u64,
}

impl Follower {
    /// Applies everything that is there. Panics if a change makes no sense for what came before.
    pub fn drain(&mut self, changes: &mut Changes) -> Result<()> {
        while let Some(mut txn) = changes.next_txn()? {
            let commit = txn.commit();
            assert!(
                self.position.is_none_or(|position| position.txid < commit.txid),
                "{} again",
                commit.txid
            );
            while let Some(change) = txn.next_change()? {
                let put = apply(&mut self.trees, &change);
                if let Some((tree, key)) = put {
                    let mut value = Vec::new();
                    txn.read_to_end(&mut value).unwrap();
                    self.trees.get_mut(&tree).expect("a tree is made before it is used").insert(key, value);
                }
            }
            self.count += 1;
            self.position = Some(commit.into());
        }
        self.position = changes.position().or(self.position);
        Ok(())
    }

    /// Goes on where it was.
    pub fn follow(&mut self, engine: &Engine) -> Result<()> {
        let from = self.position.map_or(FeedFrom::Oldest, FeedFrom::After);
        self.drain(&mut engine.changes(from)?)
    }

    /// Asserts that the copy is the store.
    pub fn assert_equals(&self, engine: &Engine, story: &str) {
        assert!(self.trees == visible(state(engine)), "{story}: not what the store holds");
    }
}

/// Without the tree that the feed does not show.
pub fn visible(mut trees: Trees) -> Trees {
    trees.remove(CONSUMERS_TREE);
    trees
}

/// Applies a change; of a put, says where the value goes.
fn apply(trees: &mut Trees, change: &Change<'_>) -> Option<(String, Vec<u8>)> {
    match *change {
        Change::Put { tree, key, .. } => return Some((tree.to_owned(), key.to_vec())),
        Change::Copy { from_tree, from_key, tree, key, cut, tail } => {
            let value = trees.get(from_tree).expect("it exists").get(from_key).expect("it exists");
            let kept = value.len() - usize::try_from(cut).unwrap();
            let value = [&value[..kept], tail].concat();
            trees.get_mut(tree).expect("it exists").insert(key.to_vec(), value);
        }
        Change::Delete { tree, key } => {
            trees.get_mut(tree).expect("it exists").remove(key);
        }
        Change::DeleteRange { tree, from, to } => {
            let below = |key: &[u8]| match from {
                Bound::Included(from) => key < from,
                Bound::Excluded(from) => key <= from,
                Bound::Unbounded => false,
            };
            let above = |key: &[u8]| match to {
                Bound::Included(to) => key > to,
                Bound::Excluded(to) => key >= to,
                Bound::Unbounded => false,
            };
            trees.get_mut(tree).expect("it exists").retain(|key, _| below(key) || above(key));
        }
        Change::CreateTree { tree, .. } => {
            assert!(trees.insert(tree.to_owned(), Default::default()).is_none(), "{tree} exists");
        }
        Change::DropTree { tree, .. } => {
            assert!(trees.remove(tree).is_some(), "{tree} does not exist");
        }
        other => panic!("{other:?} is not known here"),
    }
    None
}
