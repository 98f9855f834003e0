//! The write transaction.

use llmdb_engine as engine;

use crate::{Commit, Durability, Result, Ticket, TreeMut, TxnId};

/// A write transaction: sees its own changes, shows nothing to others until it is committed, and leaves no trace
/// if it is dropped or aborted, or if the process dies first. One is open at a time.
///
/// When a changing call fails for another reason than its arguments, the transaction can only be aborted
/// ([`crate::ErrorKind::TxnFailed`] from then on): half an operation is never committed.
///
/// # Examples
/// ```
/// # let db = llmdb::Db::in_memory()?;
/// let mut txn = db.begin_write()?;
/// txn.put("balance/ada", "90")?;
/// txn.put("balance/bob", "110")?;
/// txn.commit()?;
///
/// let mut txn = db.begin_write()?;
/// txn.delete("balance/bob")?;
/// txn.abort(); // as if it had never been
/// assert!(db.snapshot()?.main()?.contains("balance/bob")?);
/// # Ok::<(), llmdb::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a transaction that is dropped changes nothing"]
pub struct WriteTxn<'db>(pub(crate) engine::WriteTxn<'db>);

/// A place in a write transaction to go back to, see [`WriteTxn::savepoint`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Savepoint(engine::Savepoint);

impl<'db> WriteTxn<'db> {
    /// Id that the transaction will have once it is committed.
    pub fn txid(&self) -> TxnId {
        self.0.txid()
    }

    /// The tree called `name`, made if it does not exist.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Misuse`] if the name is empty or longer than [`crate::TREE_NAME_LEN_MAX`] bytes;
    /// [`crate::ErrorKind::Corruption`]; [`crate::ErrorKind::NoSpace`].
    pub fn tree(&mut self, name: &str) -> Result<TreeMut<'_, 'db>> {
        Ok(TreeMut(self.0.tree(name)?))
    }

    /// The tree called `name`, if it exists.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Corruption`].
    pub fn open_tree(&mut self, name: &str) -> Result<Option<TreeMut<'_, 'db>>> {
        Ok(self.0.open_tree(name)?.map(TreeMut))
    }

    /// Drops the tree called `name` with everything in it. `false` if there is none.
    /// Cost: reads the branches of the tree, and the leaves that point to long values.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Corruption`]; [`crate::ErrorKind::NoSpace`].
    pub fn drop_tree(&mut self, name: &str) -> Result<bool> {
        Ok(self.0.drop_tree(name)?)
    }

    /// Names of the trees, in order, with the changes of this transaction.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Corruption`].
    pub fn tree_names(&self) -> Result<Vec<String>> {
        Ok(self.0.tree_names()?)
    }

    /// Sets a key of the tree [`crate::MAIN_TREE`]. Returns whether it was there before. See [`TreeMut::put`].
    ///
    /// # Errors
    /// As [`TreeMut::put`].
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.0.put(key, value)?)
    }

    /// The value of a key of the tree [`crate::MAIN_TREE`], with the changes of this transaction.
    ///
    /// # Errors
    /// As [`TreeMut::get`].
    pub fn get(&mut self, key: impl AsRef<[u8]>) -> Result<Option<&[u8]>> {
        Ok(self.0.get(key)?)
    }

    /// Removes a key of the tree [`crate::MAIN_TREE`]. `false` if it was not there.
    ///
    /// # Errors
    /// As [`TreeMut::delete`].
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.0.delete(key)?)
    }

    /// Remembers the state of the transaction, to go back to with [`WriteTxn::rollback_to`]. Savepoints nest, and
    /// end with the transaction. Cost: pages changed from here on are copied once more.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NoSpace`]; [`crate::ErrorKind::TxnFailed`].
    ///
    /// # Examples
    /// ```
    /// # let db = llmdb::Db::in_memory()?;
    /// let mut txn = db.begin_write()?;
    /// txn.put("kept", "")?;
    /// let here = txn.savepoint()?;
    /// txn.put("regretted", "")?;
    /// txn.rollback_to(here)?;
    /// txn.commit()?;
    /// assert_eq!(db.snapshot()?.main()?.len(), 1);
    /// # Ok::<(), llmdb::Error>(())
    /// ```
    pub fn savepoint(&mut self) -> Result<Savepoint> {
        Ok(Savepoint(self.0.savepoint()?))
    }

    /// Undoes every change since `savepoint` and forgets the savepoints made after it; `savepoint` itself can be
    /// gone back to again.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Misuse`] if the savepoint is not one of this transaction, or was forgotten: nothing
    /// happened.
    pub fn rollback_to(&mut self, savepoint: Savepoint) -> Result<()> {
        Ok(self.0.rollback_to(savepoint.0)?)
    }

    /// Commits with the durability that the database was opened with, see [`crate::Options::durability`].
    ///
    /// # Errors
    /// As [`WriteTxn::commit_with`].
    pub fn commit(self) -> Result<Commit> {
        Ok(self.0.commit()?)
    }

    /// Makes every change of the transaction visible, atomically. What a crash may take afterwards is what
    /// [`Durability`] says. A transaction without changes commits nothing and returns the last commit.
    /// Cost: one append to the log; the sync is shared with commits of other threads.
    ///
    /// # Errors
    /// - [`crate::ErrorKind::NoSpace`], [`crate::ErrorKind::TxnFailed`]: nothing was changed.
    /// - [`crate::ErrorKind::Io`], [`crate::ErrorKind::Poisoned`]: the changes may or may not be there after the
    ///   next opening, which is needed before anything can be written again.
    pub fn commit_with(self, durability: Durability) -> Result<Commit> {
        Ok(self.0.commit_with(durability)?)
    }

    /// Commits with [`Durability::Async`] and returns a ticket that tells when the commit is durable.
    ///
    /// # Errors
    /// As [`WriteTxn::commit_with`].
    ///
    /// # Examples
    /// ```
    /// # let db = llmdb::Db::in_memory()?;
    /// let mut txn = db.begin_write()?;
    /// txn.put("order/1", "paid")?;
    /// let ticket = txn.commit_async()?;
    /// // ... do something else ...
    /// ticket.wait()?; // from here on, it is safe to tell the customer
    /// # Ok::<(), llmdb::Error>(())
    /// ```
    pub fn commit_async(self) -> Result<Ticket> {
        Ok(Ticket(self.0.commit_async()?))
    }

    /// Undoes every change. Dropping the transaction does the same.
    pub fn abort(self) {
        self.0.abort();
    }
}
