//! Pages that count who touches them.

use std::{cell::RefCell, collections::HashSet, ops::Bound};

use llmdb_base::{ChildRef, PageBytes, PageResult, ReadPages, RunRef, TreeId, WritePages};
use llmdb_btree::{NewValue, Tree, Value, testing::VecPages};

use super::LOG_PUT_BYTES;

/// Pages in memory, and the bytes that a log would have taken for what was put there.
#[derive(Default)]
pub struct Pages {
    pub(super) store: VecPages,
    /// Bytes of puts in the log.
    pub log_bytes: u64,
}

impl Pages {
    pub(super) fn tree(number: u32) -> Tree {
        Tree::empty(TreeId::new(number))
    }

    pub(super) fn put(&mut self, tree: &mut Tree, key: &[u8], value: &[u8]) {
        self.log_bytes += LOG_PUT_BYTES + (key.len() + value.len()) as u64;
        tree.insert(&mut self.store, key, NewValue::Bytes(value)).expect("memory suffices");
    }

    pub(super) fn get(&self, tree: &Tree, key: &[u8]) -> Option<Vec<u8>> {
        tree.get(&self.store, key).expect("sound pages").map(|value| bytes(value).to_vec())
    }

    /// Pages in use, and those that only older roots see.
    pub fn page_count(&self) -> usize {
        self.store.page_count()
    }

    /// Begins an epoch: what is written from here on is counted by [`Pages::written_pages`].
    pub fn begin_interval(&mut self) {
        self.store.advance_epoch();
    }

    /// Pages written since the interval began.
    pub fn written_pages(&mut self) -> usize {
        let epoch = self.store.epoch();
        let live = self.store.live();
        let born = |pgno| self.store.raw(pgno).is_some_and(|page| llmdb_base::header::birth(page) == epoch);
        live.into_iter().filter(|pgno| born(*pgno)).count()
    }

    /// A count that stands at nothing.
    pub fn count(&self) -> Count<'_> {
        Count { pages: &self.store, touched: RefCell::default() }
    }
}

/// Reads pages and remembers which.
pub struct Count<'a> {
    pages: &'a VecPages,
    touched: RefCell<HashSet<u64>>,
}

impl Count<'_> {
    /// Number of different pages read so far.
    pub fn pages(&self) -> usize {
        self.touched.borrow().len()
    }

    /// The first row whose key is `from` or greater.
    pub(super) fn seek(&self, tree: &Tree, from: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut cursor = tree.cursor(self);
        let row = cursor.seek(from).expect("sound pages")?;
        Some((row.0.to_vec(), bytes(row.1).to_vec()))
    }

    /// The rows between two keys, the second left out.
    pub(super) fn range<'s>(
        &'s self,
        tree: &Tree,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> impl Iterator<Item = (&'s [u8], &'s [u8])> {
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = tree.range(self, Bound::Included(from), to).expect("sound pages");
        rows.map(|row| row.map(|(key, value)| (key, bytes(value))).expect("sound pages"))
    }

    pub(super) fn contains(&self, tree: &Tree, key: &[u8]) -> bool {
        tree.get(self, key).expect("sound pages").is_some()
    }

    pub(super) fn get(&self, tree: &Tree, key: &[u8]) -> Option<Vec<u8>> {
        tree.get(self, key).expect("sound pages").map(|value| bytes(value).to_vec())
    }
}

fn bytes(value: Value<'_>) -> &[u8] {
    match value {
        Value::Inline(bytes) => bytes,
        Value::Run(_) => &[],
    }
}

impl ReadPages for Count<'_> {
    fn page(&self, child: ChildRef) -> PageResult<&PageBytes> {
        self.touched.borrow_mut().insert(child.pgno().get());
        self.pages.page(child)
    }

    fn run(&self, run: &RunRef) -> PageResult<&[u8]> {
        self.pages.run(run)
    }

    fn run_part(&self, run: &RunRef, offset: u64, len: usize) -> PageResult<&[u8]> {
        self.pages.run_part(run, offset, len)
    }
}

/// The number at `offset` of a key or value, big-endian.
pub(super) fn number(bytes: &[u8], offset: usize) -> u64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_be_bytes(raw)
}
