//! Snapshots: one commit, held still.

use llmdb_engine as engine;

use crate::{Lsn, Position, Range, Result, Timestamp, Tree, TxnId};

/// The database as it was after one commit, for as long as this value lives. `Send + Sync`; any number may be
/// held, and none of them waits for, or holds up, a writer.
///
/// A snapshot held for long keeps the pages that it alone can see from being used again, so the file may grow.
///
/// # Examples
/// ```
/// # let db = llmdb::Db::in_memory()?;
/// # let mut txn = db.begin_write()?;
/// # txn.put("answer", "41")?;
/// # txn.commit()?;
/// let before = db.snapshot()?;
/// let mut txn = db.begin_write()?;
/// txn.put("answer", "42")?;
/// txn.commit()?;
/// assert_eq!(before.get("answer")?, Some(&b"41"[..]));
/// assert_eq!(db.snapshot()?.get("answer")?, Some(&b"42"[..]));
/// # Ok::<(), llmdb::Error>(())
/// ```
#[derive(Debug)]
pub struct Snapshot(pub(crate) engine::Snapshot);

impl Snapshot {
    /// Id of the last transaction that the snapshot shows.
    pub fn txid(&self) -> TxnId {
        self.0.txid()
    }

    /// When that transaction was committed.
    pub fn timestamp(&self) -> Timestamp {
        self.0.timestamp()
    }

    /// Where its record ends in the log.
    pub fn lsn(&self) -> Lsn {
        self.0.lsn()
    }

    /// Where the change feed goes on behind what the snapshot shows. See [`crate::Db::changes`].
    pub fn position(&self) -> Position {
        Position { txid: self.txid(), lsn: self.lsn() }
    }

    /// The tree called `name`, if there is one. Cost: one lookup in the catalog; keep the result.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Corruption`], [`crate::ErrorKind::Io`].
    pub fn tree(&self, name: &str) -> Result<Option<Tree<'_>>> {
        Ok(self.0.tree(name)?.map(Tree))
    }

    /// Names of the trees and the number of keys in each, in the order of the names.
    ///
    /// # Errors
    /// As [`Snapshot::tree`].
    pub fn trees(&self) -> Result<Vec<(String, u64)>> {
        Ok(self.0.trees()?)
    }

    /// The tree [`crate::MAIN_TREE`], which is empty until something is put there.
    ///
    /// # Errors
    /// As [`Snapshot::tree`].
    pub fn main(&self) -> Result<Tree<'_>> {
        Ok(Tree(self.0.main()?))
    }

    /// The value of a key of the tree [`crate::MAIN_TREE`]. See [`Tree::get`].
    ///
    /// # Errors
    /// As [`Tree::get`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<&[u8]>> {
        Ok(self.0.get(key)?)
    }

    /// All rows of the tree [`crate::MAIN_TREE`], in the order of their keys.
    ///
    /// # Errors
    /// As [`Tree::iter`].
    pub fn iter(&self) -> Result<Range<'_>> {
        Ok(Range(self.0.iter()?))
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
    /// [`crate::ErrorKind::Corruption`] with a page that was lost. The snapshot answers nothing any more; a new one
    /// reads what is left.
    pub fn check_intact(&self) -> Result<()> {
        Ok(self.0.check_intact()?)
    }
}

/// A snapshot that may be ended when it has been held for too long, see [`crate::LongReaders::End`]: for readers that
/// come back again and again, such as a report that is written for an hour.
///
/// What it shows can be looked at only inside [`LeasedSnapshot::read`], so that nothing is borrowed from it in between.
/// Between two calls its lease may be ended; the next call says so, and no call ever sees anything but the state of
/// its one commit.
///
/// # Examples
/// ```
/// # let db = llmdb::Db::in_memory()?;
/// # let mut txn = db.begin_write()?;
/// # txn.put("answer", "42")?;
/// # txn.commit()?;
/// let mut report = db.leased_snapshot("monthly report")?;
/// let answer = report.read(|snapshot| snapshot.get("answer").map(|value| value.map(<[u8]>::to_vec)))??;
/// assert_eq!(answer.as_deref(), Some(&b"42"[..]));
/// # Ok::<(), llmdb::Error>(())
/// ```
#[derive(Debug)]
pub struct LeasedSnapshot(pub(crate) engine::LeasedSnapshot);

impl LeasedSnapshot {
    /// Id of the last transaction that it shows.
    pub fn txid(&self) -> TxnId {
        self.0.txid()
    }

    /// When that transaction was committed.
    pub fn timestamp(&self) -> Timestamp {
        self.0.timestamp()
    }

    /// Reads. Nothing that is borrowed from the snapshot can leave `read`; copy what is needed. The lease is not ended
    /// while `read` runs, so it should not run for long.
    ///
    /// # Errors
    /// [`crate::ErrorKind::SnapshotTooOld`] if the lease was ended; `read` is not called then. What `read` returns is
    /// passed on as it is.
    pub fn read<R>(&mut self, read: impl FnOnce(&Snapshot) -> R) -> Result<R> {
        let snapshot = Snapshot(self.0.wake()?);
        let result = read(&snapshot);
        self.0.rest(snapshot.0);
        Ok(result)
    }
}
