//! The write transaction.

use std::sync::Arc;

use llmdb_base::{ReadPages, Timestamp, TxnId};
use llmdb_btree::{Finger, MoveLimits, Moved, Moves, NewValue, Tree};
use llmdb_pager::{PageTxn, Reserve, RootState};
use llmdb_wal::RecordWriter;

use crate::{
    Background, Commit, Durability, Error, MAIN_TREE, Result, Ticket, TreeMut,
    catalog::{Catalog, check_name},
    engine::Shared,
    gate::Permit,
    record::{self, Op},
    tree_ref,
};

/// A write transaction: sees its own changes, shows nothing to others until it is committed, and leaves no trace
/// if it is dropped or aborted, or if the process dies first. One is open at a time.
///
/// An error of a changing call other than one about its arguments leaves the transaction fit only for aborting
/// ([`Error::TxnFailed`] from then on): half an operation is never committed.
#[derive(Debug)]
pub struct WriteTxn<'db> {
    pub(crate) shared: &'db Arc<Shared>,
    pages: PageTxn,
    record: Option<RecordWriter<'db>>,
    catalog: Catalog,
    trees: Vec<OpenTree>,
    savepoints: Vec<SavedState>,
    txid: TxnId,
    /// Fixed when it is first asked for, at the commit at the latest.
    timestamp: Option<Timestamp>,
    /// Operations logged.
    ops: u64,
    changed: bool,
    failed: bool,
    // Behind everything else, so that the pages are given back before the next writer comes in.
    permit: Permit<'db>,
    // Last: other processes come in when this one is done.
    way: GiveWay<'db>,
}

/// What an aborted transaction does for other processes.
#[derive(Debug)]
struct GiveWay<'db> {
    shared: &'db Shared,
    is_due: bool,
}

impl Drop for GiveWay<'_> {
    fn drop(&mut self) {
        if self.is_due {
            self.shared.hand_over_by_hand();
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct OpenTree {
    name: String,
    tree: Tree,
    /// Where the catalog says that the tree stands.
    stored: Tree,
    /// Where the last insert went.
    finger: Finger,
}

impl OpenTree {
    fn new(name: &str, tree: Tree) -> Self {
        Self { name: name.to_owned(), tree, stored: tree, finger: Finger::default() }
    }
}

#[derive(Debug)]
struct SavedState {
    pages: llmdb_pager::Savepoint,
    catalog: Catalog,
    trees: Vec<OpenTree>,
}

/// A place in a write transaction to go back to, see [`WriteTxn::savepoint`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Savepoint {
    index: u32,
    txid: TxnId,
}

/// One put in so many is measured.
const SAMPLED: u64 = 64;

impl<'db> WriteTxn<'db> {
    pub(crate) fn begin(shared: &'db Arc<Shared>, permit: Permit<'db>) -> Result<Self> {
        // Somebody may have failed or closed the store while this one waited.
        shared.check_writable()?;
        let root = shared.pager.tip();
        Ok(Self {
            shared,
            catalog: Catalog::decode(&root.roots)?,
            pages: shared.pager.begin_write(),
            record: None,
            trees: Vec::new(),
            savepoints: Vec::new(),
            txid: root.txid.next(),
            timestamp: None,
            ops: 0,
            changed: false,
            failed: false,
            permit,
            way: GiveWay { shared, is_due: true },
        })
    }

    /// Id that the transaction will have once it is committed.
    pub fn txid(&self) -> TxnId {
        self.txid
    }

    /// When the transaction will have been committed: above the timestamps of all commits before, whatever the clock
    /// says. Asking for it fixes it, so that what is written may depend on it; whoever does not ask gets the time of the
    /// commit itself.
    pub fn timestamp(&mut self) -> Timestamp {
        let (shared, fixed) = (self.shared, self.timestamp);
        *self.timestamp.insert(fixed.unwrap_or_else(|| shared.next_timestamp(shared.pager.tip().timestamp)))
    }

    /// The tree called `name`, made if it does not exist.
    ///
    /// # Errors
    /// [`Error::TreeName`]; [`Error::Corruption`]; [`Error::NoSpace`].
    pub fn tree(&mut self, name: &str) -> Result<TreeMut<'_, 'db>> {
        let index = self.tree_index(name)?;
        Ok(TreeMut::new(self, index))
    }

    /// Where the tree called `name` is, made if it does not exist.
    pub(crate) fn tree_index(&mut self, name: &str) -> Result<usize> {
        match self.find(name)? {
            Some(index) => Ok(index),
            None => self.create_tree(name),
        }
    }

    /// The tree called `name`, if it exists.
    ///
    /// # Errors
    /// [`Error::Corruption`].
    pub fn open_tree(&mut self, name: &str) -> Result<Option<TreeMut<'_, 'db>>> {
        let index = self.find(name)?;
        Ok(index.map(|index| TreeMut::new(self, index)))
    }

    /// Drops the tree called `name` with everything in it. `false` if there is none.
    /// Cost: reads the branches of the tree and the leaves that point to long values.
    ///
    /// # Errors
    /// [`Error::Corruption`]; [`Error::NoSpace`].
    pub fn drop_tree(&mut self, name: &str) -> Result<bool> {
        let Some(index) = self.find(name)? else { return Ok(false) };
        let tree = self.trees[index].tree.id;
        self.remove(|txn| {
            txn.log(&Op::DropTree { tree, name }, &[])?;
            let (pages, tree) = txn.parts(index);
            tree.clear(pages)?;
            txn.trees.swap_remove(index);
            txn.catalog.remove(&mut txn.pages, name)
        })?;
        Ok(true)
    }

    /// Names of the trees, in order.
    ///
    /// # Errors
    /// [`Error::Corruption`].
    pub fn tree_names(&self) -> Result<Vec<String>> {
        Ok(self.catalog.list(&self.pages)?.into_iter().map(|(name, _)| name).collect())
    }

    /// Sets a key of the tree [`MAIN_TREE`]. See [`TreeMut::put`].
    ///
    /// # Errors
    /// As [`TreeMut::put`].
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool> {
        self.tree(MAIN_TREE)?.put(key, value)
    }

    /// The value of a key of the tree [`MAIN_TREE`].
    ///
    /// # Errors
    /// As [`TreeMut::get`].
    pub fn get(&mut self, key: impl AsRef<[u8]>) -> Result<Option<&[u8]>> {
        match self.find(MAIN_TREE)? {
            Some(index) => self.read(index, key.as_ref()),
            None => Ok(None),
        }
    }

    /// Removes a key of the tree [`MAIN_TREE`]. `false` if it was not there.
    ///
    /// # Errors
    /// As [`TreeMut::delete`].
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        match self.open_tree(MAIN_TREE)? {
            Some(mut tree) => tree.delete(key),
            None => Ok(false),
        }
    }

    /// Remembers the state of the transaction. Savepoints nest; they end with the transaction.
    /// Cost: pages changed from here on are copied once more.
    ///
    /// # Errors
    /// [`Error::NoSpace`]; [`Error::TxnFailed`].
    pub fn savepoint(&mut self) -> Result<Savepoint> {
        let index = u32::try_from(self.savepoints.len())
            .map_err(|_| Error::Misuse("more than four billion savepoints in one transaction".into()))?;
        self.change(|txn| {
            txn.log(&Op::Savepoint(index), &[])?;
            let (catalog, trees) = (txn.catalog, txn.trees.clone());
            txn.savepoints.push(SavedState { pages: txn.pages.savepoint(), catalog, trees });
            Ok(())
        })?;
        Ok(Savepoint { index, txid: self.txid })
    }

    /// Undoes every change since `savepoint`, and forgets the savepoints made after it; `savepoint` itself can
    /// be gone back to again.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the savepoint is not one of this transaction, or was forgotten.
    pub fn rollback_to(&mut self, savepoint: Savepoint) -> Result<()> {
        let index = savepoint.index as usize;
        if savepoint.txid != self.txid || index >= self.savepoints.len() {
            return Err(Error::Misuse(
                "the savepoint does not belong to this transaction, or was forgotten".into(),
            ));
        }
        self.change(|txn| {
            txn.log(&Op::Rollback(savepoint.index), &[])?;
            txn.savepoints.truncate(index + 1);
            let state = &txn.savepoints[index];
            txn.pages.rollback_to(&state.pages);
            (txn.catalog, txn.trees) = (state.catalog, state.trees.clone());
            Ok(())
        })
    }

    /// Commits with the durability that the store was opened with.
    ///
    /// # Errors
    /// As [`WriteTxn::commit_with`].
    pub fn commit(self) -> Result<Commit> {
        let durability = self.shared.options.durability;
        self.commit_with(durability)
    }

    /// Makes every change of the transaction visible, atomically. What a crash may take afterwards is what
    /// [`Durability`] says. A transaction without changes commits nothing and returns the last commit.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::TxnFailed`]: nothing was changed. [`Error::Io`], [`Error::Poisoned`]: the
    /// log could not be written; the changes may or may not be there after the next opening, which is needed
    /// before anything can be written again.
    pub fn commit_with(self, durability: Durability) -> Result<Commit> {
        let shared = self.shared;
        let commit = self.append(durability)?;
        shared.settle(&commit, durability)?;
        Ok(commit)
    }

    /// Commits with [`Durability::Async`] and returns a ticket that can be awaited.
    ///
    /// # Errors
    /// As [`WriteTxn::commit_with`].
    pub fn commit_async(self) -> Result<Ticket> {
        let shared = self.shared;
        let commit = self.commit_with(Durability::Async)?;
        Ok(Ticket::new(shared, commit))
    }

    /// Undoes every change. Dropping the transaction does the same.
    pub fn abort(self) {}

    /// Ends the transaction with its record complete in the log's buffer and its root at the tip.
    fn append(mut self, durability: Durability) -> Result<Commit> {
        if self.failed {
            return Err(Error::TxnFailed);
        }
        if !self.changed {
            return Ok(Commit::of(&self.shared.pager.tip()));
        }
        self.store_trees()?;
        // Nothing must be made of pages that were lost while they were copied.
        self.pages.check_intact()?;
        let before = self.shared.pager.tip();
        let timestamp = self.timestamp();
        self.log(&Op::Commit(timestamp), &[])?;
        if self.shared.writes_before_publishing() {
            self.pages.write_early()?;
        }
        let lsn = match self.record.take() {
            Some(record) => record.finish()?,
            None => before.lsn,
        };
        let state = RootState { txid: self.txid, timestamp, lsn, roots: self.catalog.encode() };
        let root = self.pages.commit(state);
        self.shared.unpublished.push(&root, durability);
        self.shared.pace.count_ops(self.ops);
        drop(self.permit);
        // Whoever settles the commit sees to it.
        self.way.is_due = false;
        Ok(Commit::of(&root))
    }

    /// Moves pages of the tree called `name`, or of the catalog, see [`Tree::relocate`]. Not an operation: the log has
    /// nothing to say about where pages are.
    pub(crate) fn relocate(
        &mut self,
        name: Option<&str>,
        from: &[u8],
        limits: MoveLimits,
        moves: &mut dyn Moves<PageTxn>,
    ) -> Result<Moved> {
        // It gives back what it takes, and makes room in the end.
        self.pages.set_reserve(Reserve::Shared);
        let Some(name) = name else {
            return Ok(self.catalog.tree.relocate(&mut self.pages, from, limits, moves)?);
        };
        let Some(index) = self.find(name)? else { return Ok(Moved::default()) };
        let (pages, tree) = self.parts(index);
        Ok(tree.relocate(pages, from, limits, moves)?)
    }

    /// Makes the separator near `key` in the tree called `name` say no more than it must, see
    /// [`Tree::renew_separator`]. Not an operation: a replay makes separators of its own.
    pub(crate) fn renew_separator(&mut self, name: &str, key: &[u8]) -> Result<bool> {
        self.pages.set_reserve(Reserve::Shared);
        let Some(index) = self.find(name)? else { return Ok(false) };
        let (pages, tree) = self.parts(index);
        Ok(tree.renew_separator(pages, key)?)
    }

    /// Commits a record that says nothing, for the sake of its place in the log.
    pub(crate) fn commit_nothing(mut self) -> Result<Commit> {
        self.changed = true;
        // The record begins with the first operation; the commit is one.
        self.commit_with(Durability::Sync)
    }

    /// Makes what [`WriteTxn::relocate`] did the tip: the last commit, in other pages.
    pub(crate) fn commit_moved(mut self) -> Result<()> {
        debug_assert!(!self.changed, "only pages were moved");
        self.store_trees()?;
        let shared = self.shared;
        // Nothing must be made of pages that were lost while they were copied.
        self.pages.check_intact()?;
        if shared.writes_before_publishing() {
            self.pages.write_early()?;
        }
        let state = RootState { roots: self.catalog.encode(), ..shared.pager.tip().state() };
        let root = self.pages.commit(state);
        shared.unpublished.push(&root, Durability::Sync);
        drop(self.permit);
        shared.publish_ready();
        shared.checkpoint_if_due();
        Ok(())
    }

    fn store_trees(&mut self) -> Result<()> {
        // A page or two: the end of a transaction that makes space must not fail for want of them.
        self.pages.set_reserve(Reserve::Shared);
        for open in self.trees.iter().filter(|open| open.tree != open.stored) {
            self.catalog.set(&mut self.pages, &open.name, &open.tree)?;
        }
        Ok(())
    }

    pub(crate) fn find(&mut self, name: &str) -> Result<Option<usize>> {
        if let Some(index) = self.trees.iter().position(|open| open.name == name) {
            return Ok(Some(index));
        }
        let found = self.catalog.find(&self.pages, name)?;
        self.pages.check_intact()?;
        let Some(tree) = found else { return Ok(None) };
        self.trees.push(OpenTree::new(name, tree));
        Ok(Some(self.trees.len() - 1))
    }

    fn create_tree(&mut self, name: &str) -> Result<usize> {
        check_name(name)?;
        self.change(|txn| {
            let tree = Tree::empty(txn.catalog.take_id()?);
            txn.log(&Op::CreateTree { tree: tree.id, name }, &[])?;
            txn.catalog.set(&mut txn.pages, name, &tree)?;
            txn.trees.push(OpenTree::new(name, tree));
            Ok(txn.trees.len() - 1)
        })
    }

    /// Runs a change; if it fails half-way, the transaction can only be aborted.
    pub(crate) fn change<T>(&mut self, change: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.failed {
            return Err(Error::TxnFailed);
        }
        self.changed = true;
        let result = change(self);
        self.failed = result.is_err();
        result
    }

    /// The same for a change that makes space, which must succeed on a full disk.
    pub(crate) fn remove<T>(&mut self, change: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.pages.set_reserve(Reserve::Shared);
        let result = self.change(change);
        self.pages.set_reserve(Reserve::Kept);
        result
    }

    /// Appends an operation to the transaction's record, beginning it if this is the first.
    pub(crate) fn log(&mut self, op: &Op<'_>, value: &[u8]) -> Result<()> {
        let Some(log) = &self.shared.log else { return Ok(()) };
        let record = match &mut self.record {
            Some(record) => record,
            none => {
                let record = none.insert(log.begin()?);
                let (header, _, _) = record::encode(&Op::Begin(self.txid));
                record.append(&header)?;
                record
            }
        };
        self.ops += 1;
        let (header, key, end) = record::encode(op);
        record.append(&header)?;
        for bytes in [key, end, value] {
            if !bytes.is_empty() {
                record.append(bytes)?;
            }
        }
        Ok(())
    }

    /// Does a put that has just been logged. One in [`SAMPLED`] is measured: a replay takes as long.
    pub(crate) fn insert(&mut self, index: usize, key: &[u8], value: NewValue<'_>) -> Result<bool> {
        let is_sample = self.ops % SAMPLED == 1 && self.shared.options.background == Background::Threads;
        let began_us = is_sample.then(|| self.shared.vfs.monotonic_us());
        let OpenTree { tree, finger, .. } = &mut self.trees[index];
        let was_there = tree.insert_near(&mut self.pages, key, value, finger)?;
        if let Some(began_us) = began_us {
            let us = self.shared.vfs.monotonic_us().saturating_sub(began_us);
            self.shared.pace.note_applied(1, us);
        }
        Ok(was_there)
    }

    /// Appends a piece of the value of the put logged last.
    pub(crate) fn log_value(&mut self, bytes: &[u8]) -> Result<()> {
        self.record.as_mut().map_or(Ok(()), |record| Ok(record.append(bytes)?))
    }

    pub(crate) fn read(&self, index: usize, key: &[u8]) -> Result<Option<&[u8]>> {
        let tree = &self.trees[index].tree;
        let value = tree.get(&self.pages, key)?;
        let value = value.map(|value| tree_ref::bytes(&self.pages, tree.id, &value)).transpose()?;
        tree_ref::intact(&self.pages, tree.id, value)
    }

    /// The pages and the tree at `index`, to do with them whatever it is.
    pub(crate) fn parts(&mut self, index: usize) -> (&mut PageTxn, &mut Tree) {
        let OpenTree { tree, finger, .. } = &mut self.trees[index];
        finger.lift();
        (&mut self.pages, tree)
    }

    /// The pages and the tree at `index`, for reading.
    pub(crate) fn view(&self, index: usize) -> (&impl ReadPages, &Tree) {
        (&self.pages, &self.trees[index].tree)
    }
}
