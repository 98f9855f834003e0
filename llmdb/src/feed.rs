//! The change feed.

use std::{io, time::Duration};

use llmdb_engine as engine;

use crate::{Change, Commit, Consumer, Db, FeedFrom, Position, Result};

/// Committed transactions in the order of commits, each exactly once, and only when they are durable. See
/// [`Db::changes`].
#[derive(Debug)]
pub struct Changes(engine::Changes);

/// A transaction of the feed. See [`Changes::next_txn`].
#[derive(Debug)]
pub struct Transaction<'f>(engine::Transaction<'f>);

impl Db {
    /// The committed transactions from a place on. Reads the log beside writers, and makes nobody wait.
    ///
    /// While the reader lives, the log is kept from its position on, up to [`crate::Options::feed_log_bytes`]. To
    /// go on after the program ends, keep a [`Position`], and have the database keep the log for it:
    /// [`Db::create_consumer`].
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotKept`] if the log was given up from there on: take a snapshot, and go on from its
    /// position ([`crate::Snapshot::position`]). The same if the place lies behind the last commit.
    /// [`crate::ErrorKind::Misuse`] for a database in memory; [`crate::ErrorKind::Corruption`],
    /// [`crate::ErrorKind::Io`].
    ///
    /// # Examples
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.llmdb");
    /// use llmdb::{Change, Db, FeedFrom, Options};
    ///
    /// let db = Db::open(&path, Options::new())?;
    /// let mut changes = db.changes(FeedFrom::Now)?;
    /// let mut txn = db.begin_write()?;
    /// txn.put("greeting", "hello")?;
    /// txn.commit()?;
    ///
    /// let mut seen = Vec::new();
    /// while let Some(mut txn) = changes.next_txn()? {
    ///     while let Some(change) = txn.next_change()? {
    ///         if let Change::Put { tree, key, .. } = change {
    ///             seen.push(format!("{tree}: {}", key.escape_ascii()));
    ///             let value = txn.value()?;                              // or read it as a stream
    ///             assert_eq!(value, b"hello");
    ///         }
    ///     }
    /// }
    /// assert_eq!(seen, ["main: greeting"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn changes(&self, from: FeedFrom) -> Result<Changes> {
        Ok(Changes(self.0.changes(from)?))
    }

    /// The transactions behind the stored position of a consumer.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Misuse`] if there is no such consumer; the rest as [`Db::changes`].
    pub fn changes_for(&self, consumer: &str) -> Result<Changes> {
        Ok(Changes(self.0.changes_for(consumer)?))
    }

    /// Makes a consumer: a name with a position, stored in the database, for which the log is kept, also over a
    /// close. Durable on return.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Misuse`] if there is one of that name; those of [`Db::changes`] and of a commit.
    pub fn create_consumer(&self, name: &str, from: FeedFrom) -> Result<Position> {
        Ok(self.0.create_consumer(name, from)?)
    }

    /// Stores how far a consumer has come. Who crashes between using a transaction and this call sees the
    /// transaction again; who stores the position with what it makes of the changes sees each exactly once.
    /// Cost: a durable commit, so best called once for many transactions.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Misuse`] if there is no such consumer, or it was further on; those of a commit.
    pub fn advance_consumer(&self, name: &str, position: Position) -> Result<()> {
        Ok(self.0.advance_consumer(name, position)?)
    }

    /// Forgets a consumer. `false` if there is none of that name.
    ///
    /// # Errors
    /// Those of a commit.
    pub fn remove_consumer(&self, name: &str) -> Result<bool> {
        Ok(self.0.remove_consumer(name)?)
    }

    /// The consumers, by name.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Corruption`].
    pub fn consumers(&self) -> Result<Vec<Consumer>> {
        Ok(self.0.consumers()?)
    }
}

impl Changes {
    /// The next transaction; `None` if no other one is durable yet.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotKept`] if the log was given up meanwhile; [`crate::ErrorKind::Corruption`],
    /// [`crate::ErrorKind::Io`].
    pub fn next_txn(&mut self) -> Result<Option<Transaction<'_>>> {
        Ok(self.0.next_txn()?.map(Transaction))
    }

    /// Waits until there may be another transaction, but not longer than `timeout`. `false` if there is none.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.0.wait(timeout)
    }

    /// Behind the last transaction that was returned. `None` before the first one, if reading began at the oldest
    /// transaction or at a place in the log.
    pub fn position(&self) -> Option<Position> {
        self.0.position()
    }
}

impl Transaction<'_> {
    /// Id, time, and the place in the log behind it.
    pub fn commit(&self) -> Commit {
        self.0.commit()
    }

    /// The next operation, `None` behind the last. What was rolled back to a savepoint is not among them. What is
    /// left of the value of a put is skipped.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Corruption`], [`crate::ErrorKind::Io`].
    pub fn next_change(&mut self) -> Result<Option<Change<'_>>> {
        Ok(self.0.next_change()?)
    }

    /// The value of the put that was returned last, as far as it has not been read: in memory, so for values of which
    /// it is known that they fit. Others are read as a stream.
    ///
    /// # Errors
    /// As [`Transaction::next_change`].
    pub fn value(&mut self) -> Result<Vec<u8>> {
        let mut value = Vec::new();
        let mut piece = vec![0; 64 << 10];
        loop {
            match self.0.read_value(&mut piece)? {
                0 => return Ok(value),
                count => value.extend_from_slice(&piece[..count]),
            }
        }
    }
}

/// Reads the value of the put that was returned last.
impl io::Read for Transaction<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}
