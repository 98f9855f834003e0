//! Snapshots: an immutable root, held.

use std::sync::{Arc, OnceLock};

use llmdb_base::{Lsn, Timestamp, TxnId};
use llmdb_btree::Tree;
use llmdb_pager::{Note, ReadGuard, RestingGuard, Visible};

use crate::{MAIN_TREE, Range, Result, TreeRef, catalog::Catalog, engine::Shared};

/// The store as it was after one commit, for as long as this value lives. `Send + Sync`; any number may be held.
///
/// A snapshot held for long keeps the pages that it alone can see from being used again; it does not hold back
/// pages that it cannot see.
#[derive(Debug)]
pub struct Snapshot {
    guard: ReadGuard,
    catalog: Catalog,
    main: OnceLock<Option<Tree>>,
    // Also: the lock on the store must not end while a snapshot can name pages of it.
    shared: Arc<Shared>,
}

impl Snapshot {
    pub(crate) fn new(shared: &Arc<Shared>, visible: Visible) -> Result<Self> {
        Self::with_note(shared, visible, shared.note(None))
    }

    pub(crate) fn with_note(shared: &Arc<Shared>, visible: Visible, note: Note) -> Result<Self> {
        let guard = shared.pager.try_begin_read_as(visible, note)?;
        let catalog = Catalog::decode(&guard.root().roots)?;
        Ok(Self { guard, catalog, main: OnceLock::new(), shared: Arc::clone(shared) })
    }

    /// Id of the last transaction that the snapshot shows.
    pub fn txid(&self) -> TxnId {
        self.guard.root().txid
    }

    /// When that transaction was committed.
    pub fn timestamp(&self) -> Timestamp {
        self.guard.root().timestamp
    }

    /// Where its record ends in the log.
    pub fn lsn(&self) -> Lsn {
        self.guard.root().lsn
    }

    /// The tree called `name`, if there is one. Cost: one lookup in the catalog.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`], [`crate::Error::Io`].
    pub fn tree(&self, name: &str) -> Result<Option<TreeRef<'_>>> {
        let tree = self.catalog.find(&self.guard, name)?;
        self.check_intact()?;
        Ok(tree.map(|tree| TreeRef::new(&self.guard, tree)))
    }

    /// Names of the trees and the number of keys in each, in the order of the names.
    ///
    /// # Errors
    /// As [`Snapshot::tree`].
    pub fn trees(&self) -> Result<Vec<(String, u64)>> {
        let trees = self.catalog.list(&self.guard)?;
        self.check_intact()?;
        Ok(trees.into_iter().map(|(name, tree)| (name, tree.entries)).collect())
    }

    /// The tree [`MAIN_TREE`], which is empty until something is put there.
    ///
    /// # Errors
    /// As [`Snapshot::tree`].
    pub fn main(&self) -> Result<TreeRef<'_>> {
        let tree = match self.main.get() {
            Some(tree) => *tree,
            None => {
                let tree = self.find_main()?;
                *self.main.get_or_init(|| tree)
            }
        };
        let tree = tree.unwrap_or_else(|| Tree::empty(self.catalog.tree.id));
        Ok(TreeRef::new(&self.guard, tree))
    }

    fn find_main(&self) -> Result<Option<Tree>> {
        let (known, epoch) = (&self.shared.last_main, self.guard.root().epoch);
        if let Some(tree) = known.get(epoch, &self.catalog.tree) {
            return Ok(Some(tree));
        }
        let tree = self.catalog.find(&self.guard, MAIN_TREE)?;
        self.check_intact()?;
        if let Some(tree) = &tree {
            known.set(epoch, &self.catalog.tree, tree);
        }
        Ok(tree)
    }

    /// The value of a key of the tree [`MAIN_TREE`]. See [`TreeRef::get`].
    ///
    /// # Errors
    /// As [`TreeRef::get`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<&[u8]>> {
        self.main()?.get(key)
    }

    /// All rows of the tree [`MAIN_TREE`].
    ///
    /// # Errors
    /// As [`TreeRef::iter`].
    pub fn iter(&self) -> Result<Range<'_>> {
        self.main()?.iter()
    }

    /// Says whether everything that was read through this snapshot so far was there, slices that it gave out and that
    /// were looked at since included.
    ///
    /// Keys and values are slices of the file's own pages. Another program that cuts the file, or a device that fails,
    /// can take these away after they were given out; they read as zeros then. Who has copied what matters and asks
    /// here afterwards knows that it was right. (Reading itself asks: what it returns was there when it returned.)
    /// Cost: one load.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`] with a page that was lost. The snapshot answers nothing any more; a new one reads
    /// what is left.
    pub fn check_intact(&self) -> Result<()> {
        Ok(llmdb_base::ReadPages::check_intact(&self.guard)?)
    }

    /// Lets the lease of this snapshot be ended until it wakes up.
    pub(crate) fn rest(self) -> Resting {
        let Self { guard, catalog, main, shared } = self;
        Resting { guard: guard.rest(), catalog, main, shared }
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(crate) fn pages(&self) -> &ReadGuard {
        &self.guard
    }
}

/// A snapshot from which nothing is borrowed, and whose lease may be ended.
#[derive(Debug)]
pub(crate) struct Resting {
    guard: RestingGuard,
    catalog: Catalog,
    main: OnceLock<Option<Tree>>,
    shared: Arc<Shared>,
}

impl Resting {
    /// The snapshot again; `None` if its lease was ended.
    pub(crate) fn wake(self) -> Option<Snapshot> {
        let Self { guard, catalog, main, shared } = self;
        guard.wake().map(|guard| Snapshot { guard, catalog, main, shared })
    }
}
