//! A tree inside a write transaction.

use std::{io::Read, ops::RangeBounds};

use llmdb_engine as engine;

use crate::{Result, Row};

/// A named tree, to be read and changed inside its transaction.
#[derive(Debug)]
pub struct TreeMut<'t, 'db>(pub(crate) engine::TreeMut<'t, 'db>);

impl TreeMut<'_, '_> {
    /// Number of keys. Cost: none.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of `key`, with the changes of this transaction.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Corruption`], [`crate::ErrorKind::Io`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<&[u8]>> {
        Ok(self.0.get(key)?)
    }

    /// Sets `key` to `value`. Returns whether the key was there before. Values of more than about half a page
    /// are stored in whole pages of their own.
    ///
    /// # Errors
    /// [`crate::ErrorKind::TooLong`]: nothing happened. [`crate::ErrorKind::NoSpace`],
    /// [`crate::ErrorKind::Corruption`], [`crate::ErrorKind::Io`]: abort.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.0.put(key, value)?)
    }

    /// Sets `key` to the `len` bytes that `source` gives, without holding them in memory: for values up to 4 GiB.
    ///
    /// # Errors
    /// As [`TreeMut::put`]; [`crate::ErrorKind::Io`] if the source fails or ends early: abort.
    ///
    /// # Examples
    /// ```
    /// use std::io::Read;
    /// # let db = llmdb::Db::in_memory()?;
    /// let mut txn = db.begin_write()?;
    /// let mut source = std::io::repeat(b'x').take(5 << 20);
    /// txn.tree("blobs")?.put_reader("five megabytes", 5 << 20, &mut source)?;
    /// txn.commit()?;
    /// # Ok::<(), llmdb::Error>(())
    /// ```
    pub fn put_reader(&mut self, key: impl AsRef<[u8]>, len: u64, source: &mut dyn Read) -> Result<bool> {
        Ok(self.0.put_reader(key, len, source)?)
    }

    /// Removes `key`. `false` if it was not there.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NoSpace`], [`crate::ErrorKind::Corruption`], [`crate::ErrorKind::Io`]: abort.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.0.delete(key)?)
    }

    /// Removes every key in `range` and returns how many there were.
    /// Cost: whole subtrees are cut off unread, but for leaves that point to long values.
    ///
    /// # Errors
    /// [`crate::ErrorKind::TooLong`] for a bound: nothing happened. Else as [`TreeMut::delete`].
    pub fn delete_range<K: AsRef<[u8]>>(&mut self, range: impl RangeBounds<K>) -> Result<u64> {
        Ok(self.0.delete_range(range)?)
    }

    /// Removes every key that begins with `prefix` and returns how many there were.
    ///
    /// # Errors
    /// As [`TreeMut::delete_range`].
    pub fn delete_prefix(&mut self, prefix: impl AsRef<[u8]>) -> Result<u64> {
        Ok(self.0.delete_prefix(prefix)?)
    }

    /// Removes every key and returns how many there were.
    ///
    /// # Errors
    /// As [`TreeMut::delete`].
    pub fn clear(&mut self) -> Result<u64> {
        Ok(self.0.clear()?)
    }

    /// Fills an empty tree from rows in strictly ascending order of their keys, and returns how many there were.
    /// Faster than [`TreeMut::put`] for large loads, and the pages come out full.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Misuse`] if the tree is not empty, or if the keys do not ascend: abort in that case.
    /// Else as [`TreeMut::put`].
    ///
    /// # Examples
    /// ```
    /// # let db = llmdb::Db::in_memory()?;
    /// let mut txn = db.begin_write()?;
    /// let rows = (0_u32..100_000).map(|number| (number.to_be_bytes(), number.to_string()));
    /// assert_eq!(txn.tree("numbers")?.bulk_load(rows)?, 100_000);
    /// txn.commit()?;
    /// # Ok::<(), llmdb::Error>(())
    /// ```
    pub fn bulk_load<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        rows: impl IntoIterator<Item = (K, V)>,
    ) -> Result<u64> {
        Ok(self.0.bulk_load(rows)?)
    }

    /// The rows whose keys lie in `range`, in order, from both ends, with the changes of this transaction.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Corruption`], [`crate::ErrorKind::Io`]; so do the steps of the iterator.
    pub fn range<'a, K: AsRef<[u8]> + 'a>(
        &'a self,
        range: impl RangeBounds<K> + 'a,
    ) -> Result<impl DoubleEndedIterator<Item = Result<Row<'a>>>> {
        Ok(self.0.range(range)?.map(|row| row.map_err(Into::into)))
    }

    /// All rows, in order, from both ends, with the changes of this transaction.
    ///
    /// # Errors
    /// As [`TreeMut::range`].
    pub fn iter(&self) -> Result<impl DoubleEndedIterator<Item = Result<Row<'_>>>> {
        Ok(self.0.iter()?.map(|row| row.map_err(Into::into)))
    }
}
