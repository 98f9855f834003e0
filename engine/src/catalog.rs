//! The catalog: tree 0, which maps the names of trees to where they stand.
//!
//! The pager keeps 64 opaque bytes with every root. To the engine they are:
//!
//! ```text
//! offset size name
//!      0   24 catalog       tree record of the catalog (see docs/format/tree.md)
//!     24    4 next_tree_id  id of the next tree to be made; ids are not used twice
//!     28   36 reserved      zero
//! ```

use llmdb_base::{ReadPages, TreeId, WritePages, codec};
use llmdb_btree::{NewValue, TREE_LEN, Tree, Value};

use crate::{Error, Result};

/// Name of the tree that the calls without a tree name use.
pub const MAIN_TREE: &str = "main";

/// Longest name of a tree, in bytes of UTF-8.
pub const TREE_NAME_LEN_MAX: usize = 255;

/// Length of the opaque bytes of a root.
pub(crate) const ROOTS_LEN: usize = 64;

const NEXT_TREE_ID: usize = TREE_LEN;
const RESERVED: usize = NEXT_TREE_ID + 4;
const CATALOG_ID: TreeId = TreeId::new(0);
const FIRST_TREE_ID: u32 = 1;

/// The catalog of one root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Catalog {
    /// The tree of names.
    pub tree: Tree,
    next_tree_id: u32,
}

impl Catalog {
    /// The catalog of a store without trees.
    pub(crate) fn empty() -> Self {
        Self { tree: Tree::empty(CATALOG_ID), next_tree_id: FIRST_TREE_ID }
    }

    /// The same without its trees: ids go on from where they are.
    pub(crate) fn emptied(&self) -> Self {
        Self { tree: Tree::empty(CATALOG_ID), next_tree_id: self.next_tree_id }
    }

    /// From the opaque bytes of a root; all zero stands for the empty catalog of a new store.
    pub(crate) fn decode(roots: &[u8; ROOTS_LEN]) -> Result<Self> {
        if roots.iter().all(|byte| *byte == 0) {
            return Ok(Self::empty());
        }
        let damaged = |what: &str| Error::Unopenable(format!("the root of the catalog is damaged: {what}"));
        let record = roots.first_chunk::<TREE_LEN>().expect("64 bytes hold a tree record");
        let tree = Tree::decode(record).map_err(damaged)?;
        if tree.id != CATALOG_ID || roots[RESERVED..].iter().any(|byte| *byte != 0) {
            return Err(damaged("its id or its reserved bytes are not zero"));
        }
        Ok(Self { tree, next_tree_id: codec::get_u32(roots, NEXT_TREE_ID) })
    }

    /// The opaque bytes of a root.
    pub(crate) fn encode(&self) -> [u8; ROOTS_LEN] {
        let mut roots = [0; ROOTS_LEN];
        roots[..TREE_LEN].copy_from_slice(&self.tree.encode());
        codec::put_u32(&mut roots, NEXT_TREE_ID, self.next_tree_id);
        roots
    }

    /// The tree called `name`. Cost: one lookup in the catalog.
    pub(crate) fn find<P: ReadPages>(&self, pages: &P, name: &str) -> Result<Option<Tree>> {
        let Some(value) = self.tree.get(pages, name.as_bytes())? else { return Ok(None) };
        decode_entry(name, &value).map(Some)
    }

    /// Names and trees, in the order of the names.
    pub(crate) fn list<P: ReadPages>(&self, pages: &P) -> Result<Vec<(String, Tree)>> {
        let mut trees = Vec::new();
        let mut cursor = self.tree.cursor(pages);
        let mut entry = cursor.first()?;
        while let Some((name, value)) = entry {
            let name = decode_name(name)?;
            let tree = decode_entry(name, &value)?;
            trees.push((name.to_owned(), tree));
            entry = cursor.next()?;
        }
        Ok(trees)
    }

    /// Records where the tree called `name` stands now.
    pub(crate) fn set<P: WritePages>(&mut self, pages: &mut P, name: &str, tree: &Tree) -> Result<()> {
        self.next_tree_id = self.next_tree_id.max(tree.id.get().saturating_add(1));
        self.tree.insert(pages, name.as_bytes(), NewValue::Bytes(&tree.encode()))?;
        Ok(())
    }

    /// Forgets the tree called `name`.
    pub(crate) fn remove<P: WritePages>(&mut self, pages: &mut P, name: &str) -> Result<()> {
        self.tree.remove(pages, name.as_bytes())?;
        Ok(())
    }

    /// Whether no tree has had this id.
    pub(crate) fn is_new(&self, id: TreeId) -> bool {
        id.get() >= self.next_tree_id
    }

    /// An id that no tree has had.
    pub(crate) fn take_id(&mut self) -> Result<TreeId> {
        let id = TreeId::new(self.next_tree_id);
        self.next_tree_id = self.next_tree_id.checked_add(1).ok_or_else(|| {
            Error::Misuse("four billion trees have been made in this store: no id is left".into())
        })?;
        Ok(id)
    }
}

/// The name under which a tree is stored: one that could have been given to it, so that whoever is told it finds the tree.
fn decode_name(key: &[u8]) -> Result<&str> {
    let named = std::str::from_utf8(key).ok().filter(|name| check_name(name).is_ok());
    named.ok_or_else(|| {
        Error::Unopenable(format!("the catalog names a tree \"{}\", which is no name", key.escape_ascii()))
    })
}

/// The stored form of a catalog entry.
pub(crate) fn decode_entry(name: &str, value: &Value<'_>) -> Result<Tree> {
    let damaged =
        |what: &str| Error::Unopenable(format!("the catalog entry of tree {name:?} is damaged: {what}"));
    let Value::Inline(bytes) = value else { return Err(damaged("it is stored out of line")) };
    let record = <&[u8; TREE_LEN]>::try_from(*bytes).map_err(|_| damaged("it has another length"))?;
    Tree::decode(record).map_err(damaged)
}

/// Refuses names that are empty or too long.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::TreeName("it must not be empty".into()));
    }
    if name.len() > TREE_NAME_LEN_MAX {
        return Err(Error::TreeName(format!("{} bytes are more than {TREE_NAME_LEN_MAX}", name.len())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_come_back_and_damage_is_named() {
        let catalog = Catalog { tree: Tree::empty(CATALOG_ID), next_tree_id: 9 };
        let mut roots = catalog.encode();
        assert_eq!(Catalog::decode(&roots).unwrap(), catalog);
        roots[ROOTS_LEN - 1] = 1;
        assert!(Catalog::decode(&roots).is_err());
        assert_eq!(Catalog::decode(&[0; ROOTS_LEN]).unwrap(), Catalog::empty());
    }

    #[test]
    fn what_nobody_can_have_called_a_tree_is_damage() {
        assert_eq!(decode_name("tree é".as_bytes()).unwrap(), "tree é");
        for key in [&b""[..], b"\xFFtree", &[b'x'; 256]] {
            assert!(decode_name(key).unwrap_err().to_string().contains("no name"), "{key:?}");
        }
    }

    #[test]
    fn names_have_limits() {
        assert!(check_name("").is_err());
        assert!(check_name(&"x".repeat(256)).is_err());
        assert!(check_name(&"x".repeat(255)).is_ok());
    }
}
