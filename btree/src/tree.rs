//! A tree: where its root is, how high it is, how many entries it has.

use llmdb_base::{ChildRef, Corruption, PageError, PageResult, ReadPages, TreeId, codec};

use crate::{
    Entry, TreeResult, Value,
    node::{Node, fetch},
    search,
};

/// Most levels of a tree. Even when every branch has but two children, 2^31 leaves fit below.
pub const HEIGHT_MAX: usize = 32;

/// Bytes of a stored [`Tree`].
pub const TREE_LEN: usize = 24;
const ROOT: usize = 0;
const ENTRIES: usize = ROOT + 8;
const ID: usize = ENTRIES + 8;
const HEIGHT: usize = ID + 4;
const RESERVED: usize = HEIGHT + 1;
const _: () = assert!(RESERVED + 3 == TREE_LEN);

/// An ordered map from keys to values, in one state. Copying it is free: the pages are shared, and every change
/// through one copy leaves the pages of earlier epochs as they are.
///
/// After a failed change the tree may be half changed, in memory as well as in its pages: the caller aborts the
/// transaction, or rolls it back to a savepoint, and takes the tree as it was then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tree {
    /// Storage name, written in every page of the tree.
    pub id: TreeId,
    /// The root; [`ChildRef::NONE`] if the tree is empty.
    pub root: ChildRef,
    /// Levels: 0 if the tree is empty, 1 if the root is a leaf.
    pub height: u8,
    /// Number of entries, exactly.
    pub entries: u64,
}

impl Tree {
    /// A tree without entries and without pages.
    pub const fn empty(id: TreeId) -> Self {
        Self { id, root: ChildRef::NONE, height: 0, entries: 0 }
    }

    /// Whether the tree has no entries.
    pub const fn is_empty(&self) -> bool {
        self.height == 0
    }

    /// The stored form.
    pub fn encode(&self) -> [u8; TREE_LEN] {
        let mut bytes = [0; TREE_LEN];
        codec::put_u64(&mut bytes, ROOT, self.root.raw());
        codec::put_u64(&mut bytes, ENTRIES, self.entries);
        codec::put_u32(&mut bytes, ID, self.id.get());
        bytes[HEIGHT] = self.height;
        bytes
    }

    /// From the stored form.
    ///
    /// # Errors
    /// What is wrong with `bytes`: too high, reserved bytes in use, or root, height and entries disagree about
    /// whether the tree is empty.
    pub fn decode(bytes: &[u8; TREE_LEN]) -> Result<Self, &'static str> {
        let tree = Self {
            id: TreeId::new(codec::get_u32(bytes, ID)),
            root: ChildRef::from_raw(codec::get_u64(bytes, ROOT)),
            height: bytes[HEIGHT],
            entries: codec::get_u64(bytes, ENTRIES),
        };
        if usize::from(tree.height) > HEIGHT_MAX {
            return Err("a tree is too high");
        }
        if bytes[RESERVED..] != [0; TREE_LEN - RESERVED] {
            return Err("reserved bytes of a tree are in use");
        }
        let is_empty = tree.is_empty();
        if tree.root.is_none() != is_empty || (tree.entries == 0) != is_empty {
            return Err("root, height and entries of a tree disagree");
        }
        Ok(tree)
    }

    /// The root of a tree that is not empty, and not higher than a tree can be.
    #[inline]
    pub(crate) fn root_ref(&self) -> PageResult<ChildRef> {
        if self.height == 0 || usize::from(self.height) > HEIGHT_MAX {
            Err(self.wrong_height())
        } else {
            Ok(self.root)
        }
    }

    #[cold]
    fn wrong_height(&self) -> PageError {
        let what = format!("the root of a tree of {} levels", self.height);
        PageError::from(Corruption::new(self.root.pgno(), what)).in_tree(self.id)
    }

    /// The value of `key`. Cost: one page per level; no allocation.
    ///
    /// # Errors
    /// Corruption that names the page; an I/O error.
    #[inline]
    pub fn get<'p, P: ReadPages>(&self, pages: &'p P, key: &[u8]) -> TreeResult<Option<Value<'p>>> {
        if self.is_empty() {
            return Ok(None);
        }
        let leaf = self.leaf_of(pages, key)?;
        let place = search::find(&leaf, key)?;
        if !place.exact {
            return Ok(None);
        }
        Ok(Some(leaf.entry(place.index)?.1))
    }

    /// The first entry whose key is not below `key`. Cost: one page per level, and a second way down if the entry is in the
    /// leaf behind; no allocation.
    ///
    /// # Errors
    /// As [`Tree::get`].
    #[inline]
    pub fn first_from<'p, P: ReadPages>(&self, pages: &'p P, key: &[u8]) -> TreeResult<Option<Entry<'p>>> {
        if self.is_empty() {
            return Ok(None);
        }
        let mut child = self.root_ref()?;
        for level in (1..self.height).rev() {
            child = self.step_down(pages, child, level, key)?;
        }
        // A tree that is looked through like this is larger than the caches as a rule: all lines that the search begins
        // with are fetched at once, not one after the other.
        pages.prefetch(child);
        pages.prefetch_end(child);
        let leaf = fetch(pages, self.id, child, 0)?;
        let index = search::find(&leaf, key)?.index;
        if index < leaf.count() {
            return Ok(Some(leaf.entry(index)?));
        }
        self.cursor(pages).seek(key)
    }

    /// The leaf in whose range `key` falls. The tree must not be empty.
    #[inline]
    fn leaf_of<'p, P: ReadPages>(&self, pages: &'p P, key: &[u8]) -> PageResult<Node<'p>> {
        let mut child = self.root_ref()?;
        for level in (1..self.height).rev() {
            let branch = fetch(pages, self.id, child, level)?;
            child = branch.child(search::child_index(&branch, key)?)?;
        }
        fetch(pages, self.id, child, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use llmdb_base::{Epoch, Pgno};

    fn tree() -> Tree {
        let root = ChildRef::new(Pgno::new(0x0102), Epoch::new(0x03));
        Tree { id: TreeId::new(0x0405), root, height: 2, entries: 0x0607 }
    }

    #[test]
    fn record_matches_annotated_bytes() {
        let bytes = tree().encode();
        #[rustfmt::skip]
        assert_eq!(bytes, [
            0x02, 0x01, 0, 0, 0, 0x03, 0, 0, // root: page number, tag of the birth
            0x07, 0x06, 0, 0, 0, 0, 0, 0,    // entries
            0x05, 0x04, 0, 0,                // id
            2,                               // height
            0, 0, 0,                         // reserved
        ]);
        assert_eq!(Tree::decode(&bytes), Ok(tree()));
        let empty = Tree::empty(TreeId::new(9));
        assert_eq!(Tree::decode(&empty.encode()), Ok(empty));
    }

    #[test]
    fn unsound_records_are_refused() {
        for (offset, byte) in [(HEIGHT, 33), (HEIGHT, 0), (RESERVED, 1), (RESERVED + 2, 1)] {
            let mut bytes = tree().encode();
            bytes[offset] = byte;
            assert!(Tree::decode(&bytes).is_err(), "byte {offset} = {byte}");
        }
        assert!(Tree::decode(&Tree { entries: 0, ..tree() }.encode()).is_err());
        assert!(Tree::decode(&Tree { root: ChildRef::NONE, ..tree() }.encode()).is_err());
    }
}
