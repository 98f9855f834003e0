//! A tree inside a snapshot: gets, ranges, cursors, streamed values.

use std::{
    fmt,
    io::{self, Read},
    ops::RangeBounds,
};

use llmdb_engine as engine;

use crate::Result;

/// A row: key and value.
pub type Row<'s> = (&'s [u8], &'s [u8]);

/// A named tree as a snapshot shows it. Keys and values are slices of the database itself, valid for as long as
/// the snapshot lives; reading copies and allocates nothing. Keys are ordered byte by byte.
#[derive(Clone, Copy, Debug)]
pub struct Tree<'s>(pub(crate) engine::TreeRef<'s>);

impl<'s> Tree<'s> {
    /// Number of keys. Cost: none.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of `key`. Cost: one descent through a few pages. Pages, and those of a long value, are verified
    /// against their checksums when first read.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Corruption`] naming the page; [`crate::ErrorKind::Io`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<&'s [u8]>> {
        Ok(self.0.get(key)?)
    }

    /// Whether `key` is there. A long value is not read.
    ///
    /// # Errors
    /// As [`Tree::get`].
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.0.contains(key)?)
    }

    /// The value of `key`, to be read piece by piece: for values of which only a part is wanted, or too long to
    /// be touched at once.
    ///
    /// # Errors
    /// As [`Tree::get`].
    ///
    /// # Examples
    /// ```
    /// # let db = llmdb::Db::in_memory()?;
    /// # let mut txn = db.begin_write()?;
    /// # txn.put("video", vec![7; 1 << 20])?;
    /// # txn.commit()?;
    /// let snapshot = db.snapshot()?;
    /// if let Some(mut reader) = snapshot.main()?.get_reader("video")? {
    ///     println!("{} bytes", reader.len());
    ///     std::io::copy(&mut reader, &mut std::io::sink())?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_reader(&self, key: impl AsRef<[u8]>) -> Result<Option<ValueReader<'s>>> {
        Ok(self.0.get_reader(key)?.map(ValueReader))
    }

    /// The values of many keys, in the order of the keys given. Faster than one by one: while one lookup waits
    /// for memory, the others go on. Cost: allocates the list that it returns.
    ///
    /// # Errors
    /// As [`Tree::get`].
    pub fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<&'s [u8]>>> {
        Ok(self.0.multi_get(keys)?)
    }

    /// The rows whose keys lie in `range`, in order, from both ends.
    ///
    /// # Errors
    /// As [`Tree::get`]; so do the steps of the iterator.
    ///
    /// # Examples
    /// ```
    /// # let db = llmdb::Db::in_memory()?;
    /// # let mut txn = db.begin_write()?;
    /// # for month in ["2024-01", "2024-02", "2025-01"] { txn.put(month, "")?; }
    /// # txn.commit()?;
    /// let snapshot = db.snapshot()?;
    /// let tree = snapshot.main()?;
    /// assert_eq!(tree.range("2024".."2025")?.count(), 2);
    /// let newest = tree.range::<&str>(..)?.next_back().transpose()?;
    /// assert_eq!(newest.map(|(key, _)| key), Some(&b"2025-01"[..]));
    /// # Ok::<(), llmdb::Error>(())
    /// ```
    pub fn range<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Result<Range<'s>> {
        Ok(Range(self.0.range(range)?))
    }

    /// The rows whose keys begin with `prefix`, in order, from both ends.
    ///
    /// # Errors
    /// As [`Tree::range`].
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Range<'s>> {
        Ok(Range(self.0.prefix(prefix)?))
    }

    /// All rows, in order, from both ends.
    ///
    /// # Errors
    /// As [`Tree::range`].
    pub fn iter(&self) -> Result<Range<'s>> {
        Ok(Range(self.0.iter()?))
    }

    /// A cursor, not yet at any row.
    pub fn cursor(&self) -> Cursor<'s> {
        Cursor(self.0.cursor())
    }
}

/// A position in a tree that moves both ways. Copies and allocates nothing.
///
/// # Examples
/// ```
/// # let db = llmdb::Db::in_memory()?;
/// # let mut txn = db.begin_write()?;
/// # for key in ["a", "c", "e"] { txn.put(key, "")?; }
/// # txn.commit()?;
/// let snapshot = db.snapshot()?;
/// let mut cursor = snapshot.main()?.cursor();
/// assert_eq!(cursor.seek("b")?.map(|(key, _)| key), Some(&b"c"[..]));
/// assert_eq!(cursor.prev()?.map(|(key, _)| key), Some(&b"a"[..]));
/// assert_eq!(cursor.prev()?, None);
/// # Ok::<(), llmdb::Error>(())
/// ```
pub struct Cursor<'s>(engine::Cursor<'s>);

impl<'s> Cursor<'s> {
    /// Moves to the first row.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Corruption`], [`crate::ErrorKind::Io`]; so do the other moves.
    pub fn first(&mut self) -> Result<Option<Row<'s>>> {
        Ok(self.0.first()?)
    }

    /// Moves to the last row.
    ///
    /// # Errors
    /// As [`Cursor::first`].
    pub fn last(&mut self) -> Result<Option<Row<'s>>> {
        Ok(self.0.last()?)
    }

    /// Moves to the first row whose key is `key` or greater.
    ///
    /// # Errors
    /// As [`Cursor::first`].
    pub fn seek(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Row<'s>>> {
        Ok(self.0.seek(key)?)
    }

    /// Moves to the next row; from the start, to the first.
    ///
    /// # Errors
    /// As [`Cursor::first`].
    #[expect(clippy::should_implement_trait, reason = "a cursor moves both ways and is not an iterator")]
    pub fn next(&mut self) -> Result<Option<Row<'s>>> {
        Ok(self.0.next()?)
    }

    /// Moves to the row before; from the start, to the last.
    ///
    /// # Errors
    /// As [`Cursor::first`].
    pub fn prev(&mut self) -> Result<Option<Row<'s>>> {
        Ok(self.0.prev()?)
    }
}

/// Rows in the order of their keys, from both ends. Copies and allocates nothing per step.
pub struct Range<'s>(pub(crate) engine::Range<'s>);

impl<'s> Iterator for Range<'s> {
    type Item = Result<Row<'s>>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.map_err(Into::into))
    }
}

impl DoubleEndedIterator for Range<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        Some(self.0.next_back()?.map_err(Into::into))
    }
}

/// A value, read piece by piece through [`Read`]. What is read is verified against its checksums first.
pub struct ValueReader<'s>(engine::ValueReader<'s>);

impl ValueReader<'_> {
    /// Length of the whole value in bytes.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether the value is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Read for ValueReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").finish_non_exhaustive()
    }
}

impl fmt::Debug for Range<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Range").finish_non_exhaustive()
    }
}

impl fmt::Debug for ValueReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValueReader").finish_non_exhaustive()
    }
}
