//! A tree inside a write transaction.

use std::{
    io::Read,
    ops::{Bound, RangeBounds},
};

use llmdb_base::{VALUE_LEN_MAX, WritePages};
use llmdb_btree::{KEY_LEN_MAX, NewValue};

use crate::{
    Cursor, Error, Range, Result, WriteTxn,
    record::Op,
    tree_ref::{borrow_bounds, cursor_over, prefix_end, range_over},
};

/// Bytes moved at a time when a value is streamed in.
const STREAM_CHUNK_BYTES: usize = 256 << 10;

/// A named tree, to be read and changed inside its transaction.
#[derive(Debug)]
pub struct TreeMut<'t, 'db> {
    txn: &'t mut WriteTxn<'db>,
    index: usize,
}

impl<'t, 'db> TreeMut<'t, 'db> {
    pub(crate) fn new(txn: &'t mut WriteTxn<'db>, index: usize) -> Self {
        Self { txn, index }
    }

    /// Number of keys.
    pub fn len(&self) -> u64 {
        self.txn.view(self.index).1.entries
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of `key`, with the changes of this transaction.
    ///
    /// # Errors
    /// [`Error::Corruption`], [`Error::Io`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<&[u8]>> {
        self.txn.read(self.index, key.as_ref())
    }

    /// Sets `key` to `value`. Returns whether the key was there before. Values of more than about half a page
    /// are stored out of line, in whole pages.
    ///
    /// # Errors
    /// [`Error::KeyTooLong`], [`Error::ValueTooLong`]: nothing happened. [`Error::NoSpace`],
    /// [`Error::Corruption`], [`Error::Io`]: abort.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool> {
        let (key, value, index) = (key.as_ref(), value.as_ref(), self.index);
        check_lens(key, value.len() as u64)?;
        let id = self.id();
        self.txn.change(|txn| {
            txn.log(&Op::Put { tree: id, key, value_len: value.len() as u64 }, value)?;
            txn.insert(index, key, NewValue::Bytes(value))
        })
    }

    /// Sets `key` to the `len` bytes that `source` gives, without holding them in memory. For values up to 4 GiB.
    ///
    /// # Errors
    /// As [`TreeMut::put`]; [`Error::Source`] if the source fails or ends early: abort.
    pub fn put_reader(&mut self, key: impl AsRef<[u8]>, len: u64, source: &mut dyn Read) -> Result<bool> {
        let (key, index) = (key.as_ref(), self.index);
        check_lens(key, len)?;
        if len <= STREAM_CHUNK_BYTES as u64 {
            let mut value = vec![0; usize::try_from(len).expect("at most 256 KiB")];
            source.read_exact(&mut value).map_err(Error::Source)?;
            return self.put(key, value);
        }
        let id = self.id();
        self.txn.change(|txn| {
            txn.log(&Op::Put { tree: id, key, value_len: len }, &[])?;
            let mut writer = txn.parts(index).0.begin_run(len)?;
            let mut chunk = vec![0; STREAM_CHUNK_BYTES];
            while writer.written < len {
                let want = chunk.len().min(usize::try_from(len - writer.written).unwrap_or(usize::MAX));
                source.read_exact(&mut chunk[..want]).map_err(Error::Source)?;
                txn.log_value(&chunk[..want])?;
                txn.parts(index).0.append_run(&mut writer, &chunk[..want])?;
            }
            let (pages, tree) = txn.parts(index);
            let run = pages.finish_run(writer)?;
            Ok(tree.insert(pages, key, NewValue::Run(run))?)
        })
    }

    /// Removes `key`. `false` if it was not there.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Corruption`], [`Error::Io`]: abort.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        let (key, index, id) = (key.as_ref(), self.index, self.id());
        if key.len() > KEY_LEN_MAX {
            return Ok(false);
        }
        self.txn.remove(|txn| {
            txn.log(&Op::Delete { tree: id, key }, &[])?;
            let (pages, tree) = txn.parts(index);
            Ok(tree.remove(pages, key)?)
        })
    }

    /// Removes every key in `range` and returns how many there were.
    /// Cost: whole subtrees are cut off unread, but for leaves that point to long values.
    ///
    /// # Errors
    /// [`Error::KeyTooLong`] for a bound: nothing happened. Else as [`TreeMut::delete`].
    pub fn delete_range<K: AsRef<[u8]>>(&mut self, range: impl RangeBounds<K>) -> Result<u64> {
        let (from, to) = borrow_bounds(&range);
        for bound in [from, to] {
            if let Bound::Included(key) | Bound::Excluded(key) = bound {
                check_lens(key, 0)?;
            }
        }
        self.delete_between(from, to)
    }

    /// Removes every key that begins with `prefix` and returns how many there were.
    ///
    /// # Errors
    /// As [`TreeMut::delete_range`].
    pub fn delete_prefix(&mut self, prefix: impl AsRef<[u8]>) -> Result<u64> {
        let prefix = prefix.as_ref();
        check_lens(prefix, 0)?;
        let end = prefix_end(prefix);
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.delete_between(Bound::Included(prefix), to)
    }

    /// Removes every key and returns how many there were.
    ///
    /// # Errors
    /// As [`TreeMut::delete`].
    pub fn clear(&mut self) -> Result<u64> {
        self.delete_between(Bound::Unbounded, Bound::Unbounded)
    }

    fn delete_between(&mut self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Result<u64> {
        let (index, id) = (self.index, self.id());
        self.txn.remove(|txn| {
            txn.log(&Op::DeleteRange { tree: id, from, to }, &[])?;
            let (pages, tree) = txn.parts(index);
            Ok(tree.remove_range(pages, from, to)?)
        })
    }

    /// Fills an empty tree from rows in ascending order of their keys, with full pages. Returns the number of
    /// rows. Faster than [`TreeMut::put`] for large loads, and the result is smaller.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the tree is not empty; [`Error::NotAscending`], [`Error::KeyTooLong`] and the errors
    /// of [`TreeMut::put`]: abort.
    pub fn bulk_load<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        rows: impl IntoIterator<Item = (K, V)>,
    ) -> Result<u64> {
        if !self.is_empty() {
            return Err(Error::Misuse("only an empty tree can be bulk loaded".into()));
        }
        let (index, id) = (self.index, self.id());
        self.txn.change(|txn| {
            let mut loader = llmdb_btree::Tree::loader(id);
            for (key, value) in rows {
                let (key, value) = (key.as_ref(), value.as_ref());
                check_lens(key, value.len() as u64)?;
                txn.log(&Op::Put { tree: id, key, value_len: value.len() as u64 }, value)?;
                loader.push(txn.parts(index).0, key, NewValue::Bytes(value))?;
            }
            let (pages, tree) = txn.parts(index);
            *tree = loader.finish(pages)?;
            Ok(tree.entries)
        })
    }

    /// The rows in `range`, in order, from both ends.
    ///
    /// # Errors
    /// [`Error::Corruption`], [`Error::Io`]; also from the iterator.
    pub fn range<K: AsRef<[u8]>>(
        &self,
        range: impl RangeBounds<K>,
    ) -> Result<Range<'_, impl llmdb_base::ReadPages>> {
        let (from, to) = borrow_bounds(&range);
        let (pages, tree) = self.txn.view(self.index);
        range_over(pages, tree, from, to)
    }

    /// All rows, in order, from both ends.
    ///
    /// # Errors
    /// As [`TreeMut::range`].
    pub fn iter(&self) -> Result<Range<'_, impl llmdb_base::ReadPages>> {
        self.range::<&[u8]>(..)
    }

    /// A cursor, not yet at any row, that sees the changes of this transaction.
    pub fn cursor(&self) -> Cursor<'_, impl llmdb_base::ReadPages> {
        let (pages, tree) = self.txn.view(self.index);
        cursor_over(pages, tree)
    }

    fn id(&self) -> llmdb_base::TreeId {
        self.txn.view(self.index).1.id
    }
}

fn check_lens(key: &[u8], value_len: u64) -> Result<()> {
    if key.len() > KEY_LEN_MAX {
        return Err(Error::KeyTooLong { len: key.len() });
    }
    if value_len > VALUE_LEN_MAX {
        return Err(Error::ValueTooLong { len: value_len });
    }
    Ok(())
}
