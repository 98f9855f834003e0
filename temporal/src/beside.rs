//! Trees that others keep beside a collection, with its rows in their keys: an erasure takes the row from them, too.

use crate::{
    Error, Result, WriteTxn,
    catalog::{self, Info, META},
};

const BESIDE: u8 = b'b';
/// Stands behind a word, which has no such byte.
const WORD_END: u8 = 0;

/// Where the rows stand in the keys of a tree beside a collection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowsIn {
    /// A key is a row, as [`crate::RowKey::encode`] writes it.
    Keys,
    /// A key is some bytes without a 0, a byte 0, and a row.
    KeysBehindWords,
}

impl RowsIn {
    const fn number(self) -> u8 {
        match self {
            Self::Keys => 0,
            Self::KeysBehindWords => 1,
        }
    }

    fn from_number(stored: &[u8]) -> Result<Self> {
        match stored {
            [0] => Ok(Self::Keys),
            [1] => Ok(Self::KeysBehindWords),
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
        let id = self.id_of(collection)?;
        self.txn.tree(META)?.put(key(id, tree), [rows.number()])?;
        Ok(())
    }

    /// Forgets that a tree is kept beside a collection.
    ///
    /// # Errors
    /// As [`WriteTxn::keep_beside`].
    pub fn forget_beside(&mut self, collection: &str, tree: &str) -> Result<()> {
        let id = self.id_of(collection)?;
        self.txn.tree(META)?.delete(key(id, tree))?;
        Ok(())
    }

    fn id_of(&mut self, collection: &str) -> Result<u32> {
        let meta = self.txn.tree(META)?;
        let info = meta.get(catalog::collection_key(collection))?;
        let info = info.ok_or_else(|| Error::NoCollection(collection.into()))?;
        Ok(Info::decode(collection, info)?.id)
    }
}

fn key(id: u32, tree: &str) -> Vec<u8> {
    [&[BESIDE][..], &id.to_be_bytes(), tree.as_bytes()].concat()
}

/// Removes a row from the trees beside a collection. Returns trees and keys.
///
/// Cost: the whole tree where the row stands behind words.
pub(crate) fn remove_row(
    txn: &mut llmdb_engine::WriteTxn<'_>,
    id: u32,
    row: &[u8],
) -> Result<Vec<(String, Vec<u8>)>> {
    let mut places = Vec::new();
    for (name, rows) in trees(txn, id)? {
        let Some(mut tree) = txn.open_tree(&name)? else { continue };
        let keys = match rows {
            RowsIn::Keys if tree.get(row)?.is_some() => vec![row.to_vec()],
            RowsIn::Keys => Vec::new(),
            RowsIn::KeysBehindWords => {
                let mut keys = Vec::new();
                for entry in tree.iter()? {
                    let (key, _) = entry?;
                    let end = key.iter().position(|byte| *byte == WORD_END);
                    if end.is_some_and(|end| key.get(end + 1..) == Some(row)) {
                        keys.push(key.to_vec());
                    }
                }
                keys
            }
        };
        for key in keys {
            tree.delete(&key)?;
            places.push((name.clone(), key));
        }
    }
    Ok(places)
}

fn trees(txn: &mut llmdb_engine::WriteTxn<'_>, id: u32) -> Result<Vec<(String, RowsIn)>> {
    let prefix = key(id, "");
    let meta = txn.tree(META)?;
    let mut trees = Vec::new();
    for entry in meta.range(prefix.clone()..)? {
        let (key, value) = entry?;
        let Some(name) = key.strip_prefix(&prefix[..]) else { break };
        let name = std::str::from_utf8(name).map_err(|_| catalog::damaged("the name of a tree".into()))?;
        trees.push((name.to_owned(), RowsIn::from_number(value)?));
    }
    Ok(trees)
}
