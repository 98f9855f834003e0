//! Where the tree [`MAIN_TREE`](crate::MAIN_TREE) stands, as the last snapshot that looked for it found it: the next one of
//! the same state need not ask the catalog.

use llmdb_base::{ChildRef, Epoch, SeqWords, TreeId, sync::Mutex};
use llmdb_btree::Tree;

/// One answer, which anybody reads without a lock and nobody waits to change.
#[derive(Debug)]
pub(crate) struct LastMain {
    /// Epoch and catalog of the state; root, entries, and id with height of the tree.
    known: SeqWords<5>,
    writing: Mutex<()>,
}

impl LastMain {
    /// Nothing is known: no state has that epoch.
    pub fn new() -> Self {
        Self { known: SeqWords::new([u64::MAX; 5]), writing: Mutex::new(()) }
    }

    /// The tree in the state of `epoch`, whose catalog is `catalog`, if that is the state which is known.
    #[inline]
    pub fn get(&self, epoch: Epoch, catalog: &Tree) -> Option<Tree> {
        let [of_epoch, of_catalog, root, entries, rest] = self.known.try_load()?;
        let is_known = of_epoch == epoch.get() && of_catalog == catalog.root.raw();
        let [height, ..] = (rest >> 32).to_le_bytes();
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is the id")]
        let id = TreeId::new(rest as u32);
        is_known.then(|| Tree { id, root: ChildRef::from_raw(root), height, entries })
    }

    /// Remembers what was found. Does nothing if somebody else is about to.
    pub fn set(&self, epoch: Epoch, catalog: &Tree, tree: &Tree) {
        let Ok(_one) = self.writing.try_lock() else { return };
        let rest = u64::from(tree.id.get()) | u64::from(tree.height) << 32;
        self.known.store([epoch.get(), catalog.root.raw(), tree.root.raw(), tree.entries, rest]);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use super::*;

    fn tree(id: u32, root: u64) -> Tree {
        Tree { id: TreeId::new(id), root: ChildRef::from_raw(root), height: 3, entries: root * 7 }
    }

    #[test]
    fn only_the_very_state_is_known() {
        let known = LastMain::new();
        let (catalog, main) = (tree(0, 5), tree(1, 9));
        for number in [0, u64::MAX] {
            assert_eq!(
                known.get(Epoch::new(number), &tree(0, number / 7)),
                None,
                "nothing is known at first"
            );
        }
        known.set(Epoch::new(4), &catalog, &main);
        assert_eq!(known.get(Epoch::new(4), &catalog), Some(main));
        assert_eq!(known.get(Epoch::new(5), &catalog), None);
        assert_eq!(known.get(Epoch::new(4), &tree(0, 6)), None);
    }

    #[test]
    fn answers_are_whole_while_others_are_noted() {
        let known = LastMain::new();
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for offset in [0, 1] {
                let (known, is_done) = (&known, &is_done);
                scope.spawn(move || {
                    for number in (2..40_000).map(|number| number * 2 + offset) {
                        known.set(Epoch::new(number), &tree(0, number), &tree(1, number));
                    }
                    is_done.store(true, Relaxed);
                });
            }
            while !is_done.load(Relaxed) {
                let number = known.known.first();
                if number == u64::MAX {
                    continue;
                }
                let found = known.get(Epoch::new(number), &tree(0, number));
                assert!(found.is_none_or(|found| found == tree(1, number)), "{found:?} for {number}");
            }
        });
    }
}
