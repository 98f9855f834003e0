//! Trees that others keep beside a collection, with its rows in their keys: an erasure takes the row from them, too.

use llmdb_base::{
    TxnId,
    key::Key,
    plant::{Bug, planted},
};

use crate::{
    Error, History, Result, RowKey, View, WriteTxn,
    catalog::{self, Info, META, Part},
};

/// A row of a tree, if it could be read.
type Entry<'t> = llmdb_engine::Result<(&'t [u8], &'t [u8])>;

const BESIDE: u8 = b'b';
const LEFT: u8 = b'l';
/// Stands behind a word, which has no such byte.
const WORD_END: u8 = 0;

/// Where the rows stand in the keys of a tree beside a collection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowsIn {
    /// A key is a row, as [`crate::RowKey::encode`] writes it.
    Keys,
    /// A key is some bytes without a 0, a byte 0, and a row.
    KeysBehindWords,
    /// A key is a row that has one more element in front of those of its key.
    KeysBehindElements,
}

impl RowsIn {
    const fn number(self) -> u8 {
        match self {
            Self::Keys => 0,
            Self::KeysBehindWords => 1,
            Self::KeysBehindElements => 2,
        }
    }

    /// Whether `key` stands for `row`.
    fn names(self, key: &[u8], row: &[u8]) -> bool {
        match self {
            Self::Keys => key == row,
            Self::KeysBehindWords => {
                let end = key.iter().position(|byte| *byte == WORD_END);
                end.is_some_and(|end| key.get(end + 1..) == Some(row))
            }
            Self::KeysBehindElements => RowKey::decode(key).is_some_and(|longer| {
                let key = Key::of(longer.key.elements().skip(1));
                RowKey::new(longer.partition, key).encode() == row
            }),
        }
    }

    fn from_number(stored: &[u8]) -> Result<Self> {
        match stored {
            [0] => Ok(Self::Keys),
            [1] => Ok(Self::KeysBehindWords),
            [2] => Ok(Self::KeysBehindElements),
            _ => Err(catalog::damaged("how a tree beside a collection holds rows".into())),
        }
    }
}

impl WriteTxn<'_> {
    /// Notes that `tree` is kept beside a collection by whoever calls: when a row is erased, its entries there go in the
    /// same commit. Noted again, it is the same.
    ///
    /// # Errors
    /// [`Error::NoCollection`]; [`Error::Engine`].
    pub fn keep_beside(&mut self, collection: &str, tree: &str, rows: RowsIn) -> Result<()> {
        let id = self.info_of(collection)?.id;
        self.note_beside(id, tree, rows)
    }

    /// The same for a plain collection, `plain`, whose keys are rows of `collection` behind one more element.
    ///
    /// # Errors
    /// As [`WriteTxn::keep_beside`]; [`Error::NotPlain`].
    pub fn keep_plain_beside(&mut self, collection: &str, plain: &str) -> Result<()> {
        let beside = self.info_of(plain)?;
        if beside.history != History::Plain {
            return Err(Error::NotPlain(plain.into()));
        }
        let id = self.info_of(collection)?.id;
        self.note_beside(id, &beside.tree(Part::Now), RowsIn::KeysBehindElements)
    }

    fn note_beside(&mut self, id: u32, tree: &str, rows: RowsIn) -> Result<()> {
        let mut meta = self.txn.tree(META)?;
        let (key, value) = (key(id, tree), [rows.number()]);
        // Whoever notes it with every transaction writes it once.
        if meta.get(&key)? != Some(&value[..]) {
            meta.put(key, value)?;
        }
        Ok(())
    }

    /// Forgets that a tree is kept beside a collection.
    ///
    /// # Errors
    /// As [`WriteTxn::keep_beside`].
    pub fn forget_beside(&mut self, collection: &str, tree: &str) -> Result<()> {
        let id = self.info_of(collection)?.id;
        self.txn.tree(META)?.delete(key(id, tree))?;
        Ok(())
    }

    /// The last step of a purge that removed something of a collection with trees beside it, which they have not followed:
    /// they may tell of rows what no version says any more. `None` if they have.
    ///
    /// # Errors
    /// As [`WriteTxn::keep_beside`].
    pub fn left_beside(&mut self, collection: &str) -> Result<Option<TxnId>> {
        let id = self.info_of(collection)?.id;
        let meta = self.txn.tree(META)?;
        let damaged = || catalog::damaged("what a purge left in trees beside a collection".into());
        let stored =
            meta.get(left_key(id))?.map(|bytes| bytes.try_into().map_err(|_| damaged())).transpose()?;
        Ok(stored.map(|raw| TxnId::new(u64::from_le_bytes(raw))))
    }

    /// Says that every tree beside a collection has followed its purges.
    ///
    /// # Errors
    /// As [`WriteTxn::keep_beside`].
    pub fn followed_beside(&mut self, collection: &str) -> Result<()> {
        let id = self.info_of(collection)?.id;
        self.txn.tree(META)?.delete(left_key(id))?;
        Ok(())
    }

    fn info_of(&mut self, collection: &str) -> Result<Info> {
        let meta = self.txn.tree(META)?;
        let info = meta.get(catalog::collection_key(collection))?;
        Info::decode(collection, info.ok_or_else(|| Error::NoCollection(collection.into()))?)
    }
}

fn key(id: u32, tree: &str) -> Vec<u8> {
    [&[BESIDE][..], &id.to_be_bytes(), tree.as_bytes()].concat()
}

fn left_key(id: u32) -> Vec<u8> {
    [&[LEFT][..], &id.to_be_bytes()].concat()
}

/// Notes that `txn` purged a collection, if there are trees beside it.
pub(crate) fn note_purge(txn: &mut llmdb_engine::WriteTxn<'_>, id: u32) -> Result<()> {
    let txid = txn.txid().get().to_le_bytes();
    let mut meta = txn.tree(META)?;
    if !trees(meta.range(key(id, "")..)?, id)?.is_empty() {
        meta.put(left_key(id), txid)?;
    }
    Ok(())
}

/// Removes a row from the trees beside a collection. Returns trees and keys.
///
/// Cost: the whole tree where the row stands behind something.
pub(crate) fn remove_row(
    txn: &mut llmdb_engine::WriteTxn<'_>,
    id: u32,
    row: &[u8],
) -> Result<Vec<(String, Vec<u8>)>> {
    let meta = txn.tree(META)?;
    let kept = trees(meta.range(key(id, "")..)?, id)?;
    let mut places = Vec::new();
    for (name, rows) in kept {
        if planted(Bug::LeaveBeside) {
            break;
        }
        let Some(mut tree) = txn.open_tree(&name)? else { continue };
        let keys = match rows {
            RowsIn::Keys => keys_of(tree.range(row..=row)?, rows, row)?,
            _ => keys_of(tree.iter()?, rows, row)?,
        };
        for key in keys {
            tree.delete(&key)?;
            places.push((name.clone(), key));
        }
    }
    Ok(places)
}

/// How many entries the trees beside a collection have of a row. Cost as that of [`remove_row`].
pub(crate) fn count(view: &View, id: u32, row: &[u8]) -> Result<u64> {
    let Some(meta) = view.meta()? else { return Ok(0) };
    let mut count = 0;
    for (name, rows) in trees(meta.range(key(id, "")..)?, id)? {
        let Some(tree) = view.snapshot().tree(&name)? else { continue };
        let keys = match rows {
            RowsIn::Keys => keys_of(tree.range(row..=row)?, rows, row)?,
            _ => keys_of(tree.iter()?, rows, row)?,
        };
        count += keys.len() as u64;
    }
    Ok(count)
}

/// Keys among `entries` that stand for a row.
fn keys_of<'t>(entries: impl Iterator<Item = Entry<'t>>, rows: RowsIn, row: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut keys = Vec::new();
    for entry in entries {
        let (key, _) = entry?;
        if rows.names(key, row) {
            keys.push(key.to_vec());
        }
    }
    Ok(keys)
}

/// The trees beside a collection, from the entries of `_time` that begin with theirs.
fn trees<'t>(entries: impl Iterator<Item = Entry<'t>>, id: u32) -> Result<Vec<(String, RowsIn)>> {
    let prefix = key(id, "");
    let mut trees = Vec::new();
    for entry in entries {
        let (key, value) = entry?;
        let Some(name) = key.strip_prefix(&prefix[..]) else { break };
        let name = std::str::from_utf8(name).map_err(|_| catalog::damaged("the name of a tree".into()))?;
        trees.push((name.to_owned(), RowsIn::from_number(value)?));
    }
    Ok(trees)
}

#[cfg(test)]
mod tests {
    use llmdb_base::key::Element;

    use super::*;

    #[test]
    fn keys_stand_for_the_row_that_they_end_with() {
        let key = |elements: &[&str]| Key::of(elements.iter().copied().map(Element::from));
        let row = |partition, elements: &[&str]| RowKey::new(partition, key(elements)).encode();
        let ada = row(0, &["ada", "city"]);
        let words = [&b"london\0"[..], &ada].concat();
        for (rows, names, others) in [
            (RowsIn::Keys, ada.clone(), words.clone()),
            (RowsIn::KeysBehindWords, words, [&b"london\0\0"[..], &ada].concat()),
            (RowsIn::KeysBehindElements, row(0, &["home", "ada", "city"]), row(1, &["home", "ada", "city"])),
            (RowsIn::KeysBehindElements, row(0, &["", "ada", "city"]), ada.clone()),
        ] {
            assert!(rows.names(&names, &ada), "{rows:?}");
            assert!(!rows.names(&others, &ada), "{rows:?}");
            assert_eq!(RowsIn::from_number(&[rows.number()]).unwrap(), rows);
        }
        assert!(!RowsIn::KeysBehindElements.names(b"no key", &ada));
    }
}
