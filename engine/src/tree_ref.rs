//! A tree inside a snapshot: gets, ranges, cursors, streamed values.

use std::{
    io::{self, Read},
    ops::{Bound, RangeBounds},
};

use llmdb_base::{ReadPages, TreeId};
use llmdb_btree::{Tree, Value};
use llmdb_pager::ReadGuard;

use crate::{Error, Result};

/// A named tree as a snapshot shows it. Keys and values are slices of the store itself, valid for as long as the
/// snapshot; reading copies and allocates nothing.
#[derive(Debug)]
pub struct TreeRef<'s, P = ReadGuard> {
    pages: &'s P,
    tree: Tree,
}

// Not derived: a reference to pages can be copied whether or not the pages can.
impl<P> Clone for TreeRef<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for TreeRef<'_, P> {}

impl<'s, P: ReadPages> TreeRef<'s, P> {
    pub(crate) fn new(pages: &'s P, tree: Tree) -> Self {
        Self { pages, tree }
    }

    /// Number of keys. Cost: none.
    pub fn len(&self) -> u64 {
        self.tree.entries
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of `key`. Cost: one descent; the pages of a long value are verified when first touched.
    ///
    /// # Errors
    /// [`Error::Corruption`] naming the page and the tree; [`Error::Io`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<&'s [u8]>> {
        let value = self.tree.get(self.pages, key.as_ref())?;
        let value = value.map(|value| bytes(self.pages, self.tree.id, &value)).transpose()?;
        intact(self.pages, self.tree.id, value)
    }

    /// Whether `key` is there. A long value is not read.
    ///
    /// # Errors
    /// As [`TreeRef::get`].
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        let is_there = self.tree.get(self.pages, key.as_ref())?.is_some();
        intact(self.pages, self.tree.id, is_there)
    }

    /// The value of `key` to be read piece by piece, without verifying or touching the rest of it.
    ///
    /// # Errors
    /// As [`TreeRef::get`].
    pub fn get_reader(&self, key: impl AsRef<[u8]>) -> Result<Option<ValueReader<'s, P>>> {
        let value = self.tree.get(self.pages, key.as_ref())?;
        let reader =
            value.map(|value| ValueReader { pages: self.pages, tree: self.tree.id, value, offset: 0 });
        intact(self.pages, self.tree.id, reader)
    }

    /// The values of many keys, in their order. Faster than one by one: the descents are interleaved, so that
    /// one waits for memory while the others go on.
    ///
    /// # Errors
    /// As [`TreeRef::get`].
    pub fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<&'s [u8]>>> {
        let mut found = vec![None; keys.len()];
        self.tree.multi_get(self.pages, keys, &mut found)?;
        let values = found
            .into_iter()
            .map(|value| value.map(|value| bytes(self.pages, self.tree.id, &value)).transpose());
        let values = values.collect::<Result<_>>()?;
        intact(self.pages, self.tree.id, values)
    }

    /// The rows in `range`, in order, from both ends.
    ///
    /// # Errors
    /// As [`TreeRef::get`]; also from the iterator.
    pub fn range<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Result<Range<'s, P>> {
        let (from, to) = borrow_bounds(&range);
        range_over(self.pages, &self.tree, from, to)
    }

    /// All rows, in order, from both ends.
    ///
    /// # Errors
    /// As [`TreeRef::range`].
    pub fn iter(&self) -> Result<Range<'s, P>> {
        self.range::<&[u8]>(..)
    }

    /// The rows whose keys begin with `prefix`, in order, from both ends.
    ///
    /// # Errors
    /// As [`TreeRef::range`].
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Range<'s, P>> {
        let prefix = prefix.as_ref();
        let end = prefix_end(prefix);
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        range_over(self.pages, &self.tree, Bound::Included(prefix), to)
    }

    /// The first row whose key is `key` or greater. Less work than a cursor, for whoever does not go on from there.
    ///
    /// # Errors
    /// As [`TreeRef::get`].
    pub fn first_from(&self, key: impl AsRef<[u8]>) -> Result<Option<Row<'s>>> {
        let entry = self.tree.first_from(self.pages, key.as_ref())?;
        row(self.pages, self.tree.id, entry)
    }

    /// A cursor, not yet at any row.
    pub fn cursor(&self) -> Cursor<'s, P> {
        cursor_over(self.pages, &self.tree)
    }
}

/// A position in a tree that moves both ways. Copies and allocates nothing.
pub struct Cursor<'s, P: ReadPages = ReadGuard> {
    pages: &'s P,
    tree: TreeId,
    inner: llmdb_btree::Cursor<'s, P>,
}

/// A row: key and value.
pub type Row<'s> = (&'s [u8], &'s [u8]);

impl<'s, P: ReadPages> Cursor<'s, P> {
    /// Moves to the first row.
    ///
    /// # Errors
    /// [`Error::Corruption`], [`Error::Io`]; so do the others.
    pub fn first(&mut self) -> Result<Option<Row<'s>>> {
        let entry = self.inner.first()?;
        row(self.pages, self.tree, entry)
    }

    /// Moves to the last row.
    ///
    /// # Errors
    /// As [`Cursor::first`].
    pub fn last(&mut self) -> Result<Option<Row<'s>>> {
        let entry = self.inner.seek_last()?;
        row(self.pages, self.tree, entry)
    }

    /// Moves to the first row whose key is `key` or greater.
    ///
    /// # Errors
    /// As [`Cursor::first`].
    pub fn seek(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Row<'s>>> {
        let entry = self.inner.seek(key.as_ref())?;
        row(self.pages, self.tree, entry)
    }

    /// Moves to the next row; from the start, to the first.
    ///
    /// # Errors
    /// As [`Cursor::first`].
    #[expect(clippy::should_implement_trait, reason = "a cursor moves both ways and is not an iterator")]
    pub fn next(&mut self) -> Result<Option<Row<'s>>> {
        let entry = self.inner.next()?;
        row(self.pages, self.tree, entry)
    }

    /// Moves to the row before; from behind the last row, to the last one. `None` before the first row, where a new
    /// cursor stands.
    ///
    /// # Errors
    /// As [`Cursor::first`].
    pub fn prev(&mut self) -> Result<Option<Row<'s>>> {
        let entry = self.inner.prev()?;
        row(self.pages, self.tree, entry)
    }
}

/// Rows in the order of their keys, from both ends. Copies and allocates nothing per step.
pub struct Range<'s, P: ReadPages = ReadGuard> {
    pages: &'s P,
    tree: TreeId,
    inner: llmdb_btree::Range<'s, P>,
    ended: bool,
}

impl<'s, P: ReadPages> Range<'s, P> {
    /// The next row, wherever it is.
    #[inline(never)]
    fn step_forward(&mut self) -> Option<Result<Row<'s>>> {
        let entry = self.inner.next();
        self.step(entry)
    }

    fn step(&mut self, entry: Option<Entry<'s>>) -> Option<Result<Row<'s>>> {
        match entry {
            Some(entry) => Some(resolve(self.pages, self.tree, entry)),
            None if self.ended => None,
            None => {
                self.ended = true;
                intact(self.pages, self.tree, ()).err().map(Err)
            }
        }
    }
}

impl<'s, P: ReadPages> Iterator for Range<'s, P> {
    type Item = Result<Row<'s>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.inner.next_inline() {
            Some(row) => Some(intact(self.pages, self.tree, row)),
            None => self.step_forward(),
        }
    }
}

impl<P: ReadPages> DoubleEndedIterator for Range<'_, P> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let entry = self.inner.next_back();
        self.step(entry)
    }
}

/// A value, read piece by piece.
#[derive(Debug)]
pub struct ValueReader<'s, P = ReadGuard> {
    pages: &'s P,
    tree: TreeId,
    value: Value<'s>,
    offset: u64,
}

impl<P> ValueReader<'_, P> {
    /// Length of the whole value in bytes.
    pub fn len(&self) -> u64 {
        self.value.len()
    }

    /// Whether the value is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<P: ReadPages> Read for ValueReader<'_, P> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len() - self.offset).unwrap_or(usize::MAX);
        let want = left.min(buf.len());
        let piece = match &self.value {
            Value::Inline(bytes) => {
                let start = usize::try_from(self.offset).expect("inline values are shorter than a page");
                &bytes[start..start + want]
            }
            Value::Run(_) if want == 0 => &[],
            Value::Run(run) => {
                let part = self.pages.run_part(run, self.offset, want);
                part.map_err(|error| io::Error::other(Error::from(error.in_tree(self.tree))))?
            }
        };
        buf[..piece.len()].copy_from_slice(piece);
        intact(self.pages, self.tree, ()).map_err(io::Error::other)?;
        self.offset += piece.len() as u64;
        Ok(piece.len())
    }
}

/// An answer from pages, if they were all there while it was found.
#[inline]
pub(crate) fn intact<P: ReadPages, T>(pages: &P, tree: TreeId, answer: T) -> Result<T> {
    match pages.check_intact() {
        Ok(()) => Ok(answer),
        Err(error) => Err(error.in_tree(tree).into()),
    }
}

/// The bytes of a value of `tree`, wherever they are.
pub(crate) fn bytes<'s, P: ReadPages>(pages: &'s P, tree: TreeId, value: &Value<'s>) -> Result<&'s [u8]> {
    match value {
        Value::Inline(bytes) => Ok(bytes),
        Value::Run(run) => Ok(pages.run(run).map_err(|error| error.in_tree(tree))?),
    }
}

fn row<'s, P: ReadPages>(
    pages: &'s P,
    tree: TreeId,
    entry: Option<(&'s [u8], Value<'s>)>,
) -> Result<Option<Row<'s>>> {
    let row = entry.map(|(key, value)| Ok::<_, Error>((key, bytes(pages, tree, &value)?))).transpose()?;
    intact(pages, tree, row)
}

/// A row as the tree gives it.
type Entry<'s> = std::result::Result<(&'s [u8], Value<'s>), llmdb_btree::TreeError>;

fn resolve<'s, P: ReadPages>(pages: &'s P, tree: TreeId, entry: Entry<'s>) -> Result<Row<'s>> {
    let (key, value) = entry.map_err(Error::from)?;
    let row = (key, bytes(pages, tree, &value)?);
    intact(pages, tree, row)
}

pub(crate) fn range_over<'s, P: ReadPages>(
    pages: &'s P,
    tree: &Tree,
    from: Bound<&[u8]>,
    to: Bound<&[u8]>,
) -> Result<Range<'s, P>> {
    Ok(Range { pages, tree: tree.id, inner: tree.range(pages, from, to)?, ended: false })
}

pub(crate) fn cursor_over<'s, P: ReadPages>(pages: &'s P, tree: &Tree) -> Cursor<'s, P> {
    Cursor { pages, tree: tree.id, inner: tree.cursor(pages) }
}

pub(crate) fn borrow_bounds<'a, K: AsRef<[u8]> + 'a>(
    range: &'a impl RangeBounds<K>,
) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    (range.start_bound().map(AsRef::as_ref), range.end_bound().map(AsRef::as_ref))
}

/// The first key behind all keys that begin with `prefix`; `None` if there is none.
pub(crate) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xFF)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::prefix_end;

    #[test]
    fn prefix_end_carries() {
        assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(prefix_end(b"a\xFF\xFF"), Some(b"b".to_vec()));
        assert_eq!(prefix_end(b"\xFF"), None);
        assert_eq!(prefix_end(b""), None);
    }
}
