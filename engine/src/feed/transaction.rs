//! A transaction of the feed, and its operations.

use std::{io, ops::Bound};

use llmdb_base::TreeId;
use llmdb_wal::LogRecordReader;

use super::{names::Names, outline::Outline};
use crate::{
    Commit, Error, Result,
    record::{Op, OpReader},
};

/// What an operation changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Change<'a> {
    /// A key got a value, which [`Transaction::read_value`] reads.
    Put {
        /// Name of the tree.
        tree: &'a str,
        /// The key.
        key: &'a [u8],
        /// Length of the value in bytes.
        value_len: u64,
    },
    /// A key got the value that another one has at this point of the feed, with another end. The value itself is not in
    /// the log: who follows the feed has it, for it was told before, or was in the snapshot that the following began
    /// with.
    Copy {
        /// Name of the tree of the other key.
        from_tree: &'a str,
        /// The other key.
        from_key: &'a [u8],
        /// Name of the tree.
        tree: &'a str,
        /// The key.
        key: &'a [u8],
        /// How many bytes at the end of the value the copy does not have.
        cut: u64,
        /// What it has behind the value instead.
        tail: &'a [u8],
    },
    /// A key was removed.
    Delete {
        /// Name of the tree.
        tree: &'a str,
        /// The key.
        key: &'a [u8],
    },
    /// All keys between two bounds were removed.
    DeleteRange {
        /// Name of the tree.
        tree: &'a str,
        /// Lower bound.
        from: Bound<&'a [u8]>,
        /// Upper bound.
        to: Bound<&'a [u8]>,
    },
    /// A tree was made.
    CreateTree {
        /// Its name.
        tree: &'a str,
        /// Its id: another tree of the same name has another one.
        id: TreeId,
    },
    /// A tree was dropped, with everything in it.
    DropTree {
        /// Its name.
        tree: &'a str,
        /// Its id.
        id: TreeId,
    },
}

/// A committed transaction, whole: its operations in the order in which they were made.
#[derive(Debug)]
pub struct Transaction<'f> {
    commit: Commit,
    outline: Outline,
    names: &'f Names,
    ops: OpReader<LogRecordReader<'f>>,
    /// Operations read so far, those that do not count included.
    index: u64,
    /// Which range of those that count is next.
    range: usize,
    /// The key that the last copy went to.
    copied_to: Vec<u8>,
}

impl<'f> Transaction<'f> {
    pub(super) fn new(
        commit: Commit,
        outline: Outline,
        names: &'f Names,
        record: LogRecordReader<'f>,
    ) -> Self {
        Self { commit, outline, names, ops: OpReader::new(record), index: 0, range: 0, copied_to: Vec::new() }
    }

    /// Id, time, and the position in the log behind it.
    pub fn commit(&self) -> Commit {
        self.commit
    }

    /// The next operation, `None` behind the last. What is left of the value of a put is skipped.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::LogCorruption`], [`Error::BadRecord`].
    pub fn next_change(&mut self) -> Result<Option<Change<'_>>> {
        let Some(at) = self.next_index() else { return Ok(None) };
        while self.index < at {
            self.ops.next_op()?;
            self.index += 1;
        }
        self.index += 1;
        let (names, copied_to) = (self.names, &mut self.copied_to);
        let op = self.ops.next_op()?;
        op.map(|op| change(op, names, copied_to)).transpose()
    }

    /// Reads bytes of the value of the put that [`Transaction::next_change`] returned last; 0 at its end. Values of
    /// any length go through the caller's buffer.
    ///
    /// # Errors
    /// As [`Transaction::next_change`].
    pub fn read_value(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.ops.read_value(buf)
    }

    fn next_index(&mut self) -> Option<u64> {
        loop {
            let range = self.outline.visible.get(self.range)?;
            if self.index < range.end {
                return Some(self.index.max(range.start));
            }
            self.range += 1;
        }
    }
}

fn change<'a>(op: Op<'a>, names: &'a Names, copied_to: &'a mut Vec<u8>) -> Result<Change<'a>> {
    Ok(match op {
        Op::Copy { tree, key, args } => {
            *copied_to = args.to_key(key);
            Change::Copy {
                from_tree: names.get(tree),
                from_key: key,
                tree: names.get(args.to_tree()),
                key: copied_to,
                cut: args.cut(),
                tail: args.tail(),
            }
        }
        Op::Put { tree, key, value_len } => Change::Put { tree: names.get(tree), key, value_len },
        Op::Delete { tree, key } => Change::Delete { tree: names.get(tree), key },
        Op::DeleteRange { tree, from, to } => Change::DeleteRange { tree: names.get(tree), from, to },
        Op::CreateTree { tree, name } => Change::CreateTree { tree: name, id: tree },
        Op::DropTree { tree, name } => Change::DropTree { tree: name, id: tree },
        other => return Err(Error::BadRecord(format!("{other:?} stands where it cannot"))),
    })
}

/// For callers that take a value as a stream.
impl io::Read for Transaction<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_value(buf).map_err(|error| match error {
            Error::Io { source, .. } => source,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        })
    }
}
