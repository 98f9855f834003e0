//! Where the tree [`MAIN_TREE`](crate::MAIN_TREE) stands, as the last snapshot that looked for it found it: the next one of
//! the same state need not ask the catalog.

use llmdb_base::{
    ChildRef, Epoch, TreeId,
    sync::{
        Mutex,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
            fence,
        },
    },
};
use llmdb_btree::Tree;

const WORDS: usize = 5;

/// One answer, which anybody reads without a lock and nobody waits to change.
///
/// Invariant: `version` is odd while the words are being changed. Whoever saw the same even version before and after reading
/// the words has read words that belong together.
#[derive(Debug, Default)]
pub(crate) struct LastMain {
    version: AtomicU64,
    /// Epoch and catalog of the state; root, entries, and id with height of the tree.
    words: [AtomicU64; WORDS],
    writing: Mutex<()>,
}

impl LastMain {
    /// The tree in the state of `epoch`, whose catalog is `catalog`, if that is the state which is known.
    #[inline]
    pub fn get(&self, epoch: Epoch, catalog: &Tree) -> Option<Tree> {
        let before = self.version.load(Acquire);
        let [of_epoch, of_catalog, root, entries, rest] =
            std::array::from_fn(|index| self.words[index].load(Relaxed));
        // Orders the words before the second look at the version.
        fence(Acquire);
        let is_whole = before.is_multiple_of(2) && self.version.load(Relaxed) == before;
        // Nothing is known before the first change.
        let is_known = before != 0 && of_epoch == epoch.get() && of_catalog == catalog.root.raw();
        let [height, ..] = (rest >> 32).to_le_bytes();
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is the id")]
        let id = TreeId::new(rest as u32);
        (is_whole && is_known).then(|| Tree { id, root: ChildRef::from_raw(root), height, entries })
    }

    /// Remembers what was found. Does nothing if somebody else is about to.
    pub fn set(&self, epoch: Epoch, catalog: &Tree, tree: &Tree) {
        let Ok(_one) = self.writing.try_lock() else { return };
        let version = self.version.load(Relaxed);
        self.version.store(version.wrapping_add(1), Relaxed);
        // Orders the odd version before the words.
        fence(Release);
        let rest = u64::from(tree.id.get()) | u64::from(tree.height) << 32;
        let words = [epoch.get(), catalog.root.raw(), tree.root.raw(), tree.entries, rest];
        for (cell, word) in self.words.iter().zip(words) {
            cell.store(word, Release);
        }
        self.version.store(version.wrapping_add(2), Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(id: u32, root: u64) -> Tree {
        Tree { id: TreeId::new(id), root: ChildRef::from_raw(root), height: 3, entries: root * 7 }
    }

    #[test]
    fn only_the_very_state_is_known() {
        let known = LastMain::default();
        let (catalog, main) = (tree(0, 5), tree(1, 9));
        assert_eq!(known.get(Epoch::new(0), &tree(0, 0)), None, "nothing is known at first");
        known.set(Epoch::new(4), &catalog, &main);
        assert_eq!(known.get(Epoch::new(4), &catalog), Some(main));
        assert_eq!(known.get(Epoch::new(5), &catalog), None);
        assert_eq!(known.get(Epoch::new(4), &tree(0, 6)), None);
    }

    #[test]
    fn answers_are_whole_while_others_are_noted() {
        let known = LastMain::default();
        let is_done = std::sync::atomic::AtomicBool::new(false);
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
                let number = known.words[0].load(Relaxed);
                let found = known.get(Epoch::new(number), &tree(0, number));
                assert!(found.is_none_or(|found| found == tree(1, number)), "{found:?} for {number}");
            }
        });
    }
}
