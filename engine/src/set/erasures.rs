//! The list of what was erased, as it goes with backups and archives: who restores a state from before must erase it
//! again. The bytes are described in `docs/format/backup.md`.
//!
//! It names no content: what was erased is told by hashes, which whoever knows what a row is can compare.

use std::path::Path;

use llmdb_base::{Timestamp, TxnId};
use llmdb_vfs::{Create, Open, OsVfs, Vfs, read_exact_at};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    manifest::{hex, number, parse_hex, signed, string, text_of},
    take::write_text,
};
use crate::{Engine, Error, Result, open::open_file};

const FILE: &str = "erasures.json";
const FORMAT: &str = "llmdb erasures";
const FORMAT_VERSION: u64 = 1;
/// A list that is longer than this is none.
const BYTES_MAX: u64 = 1 << 30;

/// One row that was erased.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ErasureNote {
    /// The commit that erased it.
    pub txid: TxnId,
    /// When that was.
    pub timestamp: Timestamp,
    /// Number of its collection.
    pub collection: u32,
    /// Name of its collection.
    pub name: String,
    /// What is hashed before the number of the collection and the row.
    pub salt: [u8; 16],
    /// SHA-256 of the three.
    pub key_hash: [u8; 32],
}

impl Engine {
    /// Adds notes to the list in the folder of a backup set or of an archive. Durable on return.
    ///
    /// # Errors
    /// [`Error::BrokenBackup`] if there is a list that is damaged; [`Error::Io`], [`Error::NoSpace`].
    pub fn note_erasures(folder: impl AsRef<Path>, notes: &[ErasureNote]) -> Result<()> {
        Self::note_erasures_on(&OsVfs::new(), folder.as_ref(), notes)
    }

    /// As [`Engine::note_erasures`], on a disk of the caller's.
    ///
    /// # Errors
    /// As [`Engine::note_erasures`].
    pub fn note_erasures_on(vfs: &dyn Vfs, folder: &Path, notes: &[ErasureNote]) -> Result<()> {
        let mut all = Self::noted_erasures_on(vfs, folder)?;
        let known = all.len();
        all.extend(notes.iter().cloned());
        all.sort_unstable();
        all.dedup();
        if all.len() == known {
            return Ok(());
        }
        let (path, draft) = (folder.join(FILE), folder.join(format!("{FILE}-new")));
        write_text(vfs, &draft, &encode(&all))?;
        let name = || {
            vfs.rename(&draft, &path)?;
            vfs.sync_dir(folder)
        };
        name().map_err(|error| Error::io("name the list of erasures", error))
    }

    /// The list in the folder of a backup set or of an archive; empty if there is none.
    ///
    /// # Errors
    /// As [`Engine::note_erasures`].
    pub fn noted_erasures(folder: impl AsRef<Path>) -> Result<Vec<ErasureNote>> {
        Self::noted_erasures_on(&OsVfs::new(), folder.as_ref())
    }

    /// As [`Engine::noted_erasures`], on a disk of the caller's.
    ///
    /// # Errors
    /// As [`Engine::note_erasures`].
    pub fn noted_erasures_on(vfs: &dyn Vfs, folder: &Path) -> Result<Vec<ErasureNote>> {
        let path = folder.join(FILE);
        if !vfs.exists(&path).map_err(|error| Error::io("look for the list of erasures", error))? {
            return Ok(Vec::new());
        }
        let broken = |what: String| Error::BrokenBackup(format!("{} {what}", path.display()));
        let file = open_file(vfs, &path, Open { write: false, create: Create::Never, direct: false })?;
        let read = || {
            let len = file.len()?;
            let mut text = vec![0; usize::try_from(len.min(BYTES_MAX + 1)).unwrap_or(usize::MAX)];
            read_exact_at(&*file, &mut text, 0)?;
            Ok((text, len))
        };
        let (text, len) = read().map_err(|error| Error::io("read the list of erasures", error))?;
        if len > BYTES_MAX {
            return Err(broken(format!("has {len} bytes, more than a list of erasures can have")));
        }
        decode(&text).map_err(broken)
    }

    /// Adds notes to the list of the store's archive, if it has one.
    ///
    /// # Errors
    /// As [`Engine::note_erasures`].
    pub fn note_erasures_in_archive(&self, notes: &[ErasureNote]) -> Result<()> {
        match &self.shared.options.archive {
            Some(folder) => Self::note_erasures_on(&*self.shared.vfs, folder, notes),
            None => Ok(()),
        }
    }
}

fn encode(notes: &[ErasureNote]) -> String {
    let mut value = to_json(notes);
    let checksum = hex(&Sha256::digest(text_of(&value)));
    value["checksum"] = Value::String(checksum);
    text_of(&value)
}

fn to_json(notes: &[ErasureNote]) -> Value {
    let note = |note: &ErasureNote| {
        json!({
            "txid": note.txid.get(),
            "committed_us": note.timestamp.get(),
            "collection": note.collection,
            "name": note.name,
            "salt": hex(&note.salt),
            "key_hash": hex(&note.key_hash),
        })
    };
    let notes: Vec<Value> = notes.iter().map(note).collect();
    json!({ "format": FORMAT, "version": FORMAT_VERSION, "erasures": notes, "checksum": "" })
}

/// What is wrong is the end of a sentence that begins with the name of the file.
fn decode(text: &[u8]) -> std::result::Result<Vec<ErasureNote>, String> {
    let value: Value = serde_json::from_slice(text).map_err(|error| format!("is not JSON: {error}"))?;
    let object = value.as_object().ok_or("is not a JSON object")?;
    if object.get("format").and_then(Value::as_str) != Some(FORMAT) {
        return Err("is not a list of erasures".into());
    }
    match number(object, "version")? {
        FORMAT_VERSION => {}
        version => return Err(format!("has version {version}; this program reads version {FORMAT_VERSION}")),
    }
    let list = object.get("erasures").and_then(Value::as_array).ok_or("lacks \"erasures\"")?;
    let notes: Vec<ErasureNote> = list.iter().map(note_of).collect::<std::result::Result<_, String>>()?;
    match encode(&notes).as_bytes() == text {
        true => Ok(notes),
        false => Err("was changed: its checksum is not that of its content".into()),
    }
}

fn note_of(value: &Value) -> std::result::Result<ErasureNote, String> {
    let object: &Map<String, Value> = value.as_object().ok_or("has an erasure that is not an object")?;
    let bytes =
        |name: &str| parse_hex(&string(object, name)?).ok_or(format!("has a {name} that is not hexadecimal"));
    let wrong = |name: &str| format!("has a {name} of another length");
    Ok(ErasureNote {
        txid: TxnId::new(number(object, "txid")?),
        timestamp: Timestamp::new(signed(object, "committed_us")?),
        collection: u32::try_from(number(object, "collection")?).map_err(|_| wrong("collection"))?,
        name: string(object, "name")?,
        salt: bytes("salt")?.try_into().map_err(|_| wrong("salt"))?,
        key_hash: bytes("key_hash")?.try_into().map_err(|_| wrong("key_hash"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_back_and_changed_ones_do_not() {
        let note = |txid| ErasureNote {
            txid: TxnId::new(txid),
            timestamp: Timestamp::new(-7),
            collection: 3,
            name: "people".into(),
            salt: [1; 16],
            key_hash: [0xAB; 32],
        };
        let text = encode(&[note(5), note(9)]);
        assert_eq!(decode(text.as_bytes()).unwrap(), [note(5), note(9)]);
        for index in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[index] ^= 1;
            assert!(decode(&changed).is_err(), "byte {index}");
        }
    }
}
