//! A thread that goes ahead of a replay and has the leaves fetched from the disk that it will change.
//!
//! It goes down the trees of the state from which the replay began: pages of a checkpoint, which nobody changes. What the
//! replay has made meanwhile is in memory anyway. So the disk works while changes are applied, and the waits for
//! branches, level by level, are nobody's but the scout's.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use llmdb_btree::Tree;
use llmdb_pager::{Pager, ReadGuard, Visible};

use crate::{Result, catalog::Catalog};

use super::pending::{AHEAD, Entry};

/// Pieces of changes for which a scout may have gone ahead: what it fetches must not be gone when it is needed.
const LEAD: usize = 16;

/// Where a replay began, to look ahead from.
#[derive(Debug)]
pub(super) struct Scout {
    guard: ReadGuard,
    trees: Vec<Tree>,
}

impl Scout {
    /// A scout that begins from the published state of `pager`.
    ///
    /// # Errors
    /// Those of beginning to read, and of reading the catalog.
    pub(super) fn new(pager: &Arc<Pager>) -> Result<Self> {
        let guard = pager.try_begin_read(Visible::Published)?;
        let catalog = Catalog::decode(&guard.root().roots)?;
        let trees = catalog.list(&guard)?.into_iter().map(|(_, tree)| tree).collect();
        Ok(Self { guard, trees })
    }

    /// Runs `work` while a thread goes ahead of it over `entries`, which are in order: for every piece of [`AHEAD`]
    /// entries of a tree it says how many nodes it has asked for. Without a thread to be had, `work` has to do without.
    pub(super) fn ahead_of<T>(
        &self,
        entries: &[Entry],
        bytes: &[u8],
        work: impl FnOnce(Option<&Receiver<u64>>) -> T,
    ) -> T {
        let (found, finds) = sync_channel(LEAD);
        thread::scope(|scope| {
            let thread = thread::Builder::new().name("llmdb-scout".into());
            match thread.spawn_scoped(scope, move || self.go(entries, bytes, &found)) {
                Ok(_) => {
                    let done = work(Some(&finds));
                    // Whatever became of the work: nobody waits for the scout to be listened to.
                    drop(finds);
                    done
                }
                Err(error) => {
                    log::warn!("no thread that reads ahead: {error}");
                    work(None)
                }
            }
        })
    }

    /// Asks for the leaves of `entries`, piece by piece. Damage stops it: whoever applies the changes will meet it too,
    /// and say so.
    fn go(&self, entries: &[Entry], bytes: &[u8], found: &SyncSender<u64>) {
        for of_tree in entries.chunk_by(|one, next| one.tree == next.tree) {
            let tree = self.trees.iter().find(|tree| tree.id == of_tree[0].tree);
            for piece in of_tree.chunks(AHEAD) {
                let keys: Vec<&[u8]> = piece.iter().map(|entry| entry.key(bytes)).collect();
                // A tree that was made since has no node to be fetched.
                let nodes = tree.map_or(Ok(0), |tree| tree.read_ahead(&self.guard, &keys));
                if nodes.is_ok_and(|count| found.send(count).is_ok()) {
                    continue;
                }
                return;
            }
        }
    }
}
