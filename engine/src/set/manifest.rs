//! The manifest of one backup: what it holds, what it stands on, and the checksums of both.
//!
//! The text is JSON that a person can read, in exactly one spelling: a manifest counts only if writing it anew
//! gives the same bytes. So its own checksum, which stands in it, covers every byte.

use llmdb_base::{Epoch, Lsn, StoreId, Timestamp, TxnId};
use llmdb_pager::{ROOTS_LEN, RootRecord};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Version of the format that this program writes.
pub(super) const FORMAT_VERSION: u64 = 1;
const FORMAT: &str = "llmdb backup";

/// What a manifest says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Manifest {
    /// Random identity of the backup.
    pub backup: u128,
    pub store: StoreId,
    /// Place in the set: 0 for the full backup.
    pub number: u64,
    /// What it stands on; `None` for a full backup.
    pub base: Option<Base>,
    /// The state that it holds.
    pub root: RootRecord,
    /// Pages in the state of which the backup holds those that the base has not.
    pub pages: u64,
    /// When it was taken, microseconds since 1970.
    pub taken_us: i64,
    pub file: PagesFile,
}

/// The backup that another one stands on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Base {
    pub backup: u128,
    pub txid: TxnId,
    pub epoch: Epoch,
    /// Checksum of its manifest, so that the chain below cannot change unnoticed.
    pub checksum: String,
}

/// The file with the pages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PagesFile {
    pub bytes: u64,
    pub sha256: String,
}

impl Manifest {
    /// The text of the file.
    pub fn encode(&self) -> String {
        let mut value = self.to_json("");
        let checksum = hex(&Sha256::digest(text_of(&value)));
        value["checksum"] = Value::String(checksum);
        text_of(&value)
    }

    /// The checksum that the text of the file carries.
    pub fn checksum(&self) -> String {
        hex(&Sha256::digest(text_of(&self.to_json(""))))
    }

    fn to_json(&self, checksum: &str) -> Value {
        let RootRecord { epoch, txid, timestamp, lsn, page_count, roots } = self.root;
        let base = self.base.as_ref().map(|base| {
            json!({
                "backup": id(base.backup),
                "checksum": base.checksum,
                "epoch": base.epoch.get(),
                "txid": base.txid.get(),
            })
        });
        json!({
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "kind": if base.is_some() { "incremental" } else { "full" },
            "backup": id(self.backup),
            "store": self.store.to_string(),
            "number": self.number,
            "base": base,
            "epoch": epoch.get(),
            "txid": txid.get(),
            "committed_us": timestamp.get(),
            "lsn": lsn.get(),
            "page_count": page_count,
            "roots": hex(&roots),
            "pages": self.pages,
            "taken_us": self.taken_us,
            "file": { "bytes": self.file.bytes, "sha256": self.file.sha256 },
            "checksum": checksum,
        })
    }

    /// From the text of a file.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that begins with the name of the file.
    pub fn decode(text: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(text).map_err(|error| format!("is not JSON: {error}"))?;
        let object = value.as_object().ok_or("is not a JSON object")?;
        if object.get("format").and_then(Value::as_str) != Some(FORMAT) {
            return Err("is not the manifest of a backup".into());
        }
        match number(object, "version")? {
            FORMAT_VERSION => {}
            version => {
                return Err(format!("has version {version}; this program reads version {FORMAT_VERSION}"));
            }
        }
        let manifest = Self::from_json(object)?;
        if manifest.encode().as_bytes() == text {
            return Ok(manifest);
        }
        let (found, expected) = (string(object, "checksum")?, manifest.checksum());
        Err(match found == expected {
            true => "was changed: it does not have the spelling that it is written in".into(),
            false => format!("was changed: its checksum is {found}, and its content has {expected}"),
        })
    }

    fn from_json(object: &Map<String, Value>) -> Result<Self, String> {
        let base = match object.get("base") {
            Some(Value::Object(base)) => Some(Base {
                backup: parse_id(base, "backup")?,
                txid: TxnId::new(number(base, "txid")?),
                epoch: Epoch::new(number(base, "epoch")?),
                checksum: string(base, "checksum")?,
            }),
            Some(Value::Null) => None,
            _ => return Err("lacks a usable \"base\"".into()),
        };
        let Some(Value::Object(file)) = object.get("file") else {
            return Err("lacks a usable \"file\"".into());
        };
        Ok(Self {
            backup: parse_id(object, "backup")?,
            store: StoreId::new(parse_id(object, "store")?),
            number: number(object, "number")?,
            base,
            root: RootRecord {
                epoch: Epoch::new(number(object, "epoch")?),
                txid: TxnId::new(number(object, "txid")?),
                timestamp: Timestamp::new(signed(object, "committed_us")?),
                lsn: Lsn::new(number(object, "lsn")?),
                page_count: number(object, "page_count")?,
                roots: parse_roots(&string(object, "roots")?)?,
            },
            pages: number(object, "pages")?,
            taken_us: signed(object, "taken_us")?,
            file: PagesFile { bytes: number(file, "bytes")?, sha256: string(file, "sha256")? },
        })
    }
}

pub(super) fn text_of(value: &Value) -> String {
    // Objects are kept in the order of their keys: there is one spelling.
    format!("{value:#}\n")
}

pub(super) fn id(raw: u128) -> String {
    format!("{raw:032x}")
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that pairs of hexadecimal digits stand for; `None` if they do not.
pub(super) fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks_exact(2).map(byte).collect()
}

fn parse_roots(text: &str) -> Result<[u8; ROOTS_LEN], String> {
    let roots = parse_hex(text).and_then(|bytes| bytes.try_into().ok());
    roots.ok_or_else(|| "lacks usable \"roots\"".into())
}

pub(super) fn string(object: &Map<String, Value>, name: &str) -> Result<String, String> {
    let text = object.get(name).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| format!("lacks a usable {name:?}"))
}

pub(super) fn number(object: &Map<String, Value>, name: &str) -> Result<u64, String> {
    object.get(name).and_then(Value::as_u64).ok_or_else(|| format!("lacks a usable {name:?}"))
}

pub(super) fn signed(object: &Map<String, Value>, name: &str) -> Result<i64, String> {
    object.get(name).and_then(Value::as_i64).ok_or_else(|| format!("lacks a usable {name:?}"))
}

fn parse_id(object: &Map<String, Value>, name: &str) -> Result<u128, String> {
    u128::from_str_radix(&string(object, name)?, 16).map_err(|_| format!("lacks a usable {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            backup: 7,
            store: StoreId::new(0xABC),
            number: 1,
            base: Some(Base {
                backup: 6,
                txid: TxnId::new(3),
                epoch: Epoch::new(4),
                checksum: "00ff".into(),
            }),
            root: RootRecord {
                epoch: Epoch::new(9),
                txid: TxnId::new(8),
                timestamp: Timestamp::new(-5),
                lsn: Lsn::new(4096),
                page_count: 20,
                roots: [0xA5; ROOTS_LEN],
            },
            pages: 2,
            taken_us: 12,
            file: PagesFile { bytes: 8288, sha256: "cafe".into() },
        }
    }

    #[test]
    fn a_manifest_comes_back() {
        let text = manifest().encode();
        assert_eq!(Manifest::decode(text.as_bytes()), Ok(manifest()));
        assert!(text.contains("\"kind\": \"incremental\""));
        assert!(text.contains(&manifest().checksum()));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let text = manifest().encode().into_bytes();
        for index in 0..text.len() {
            for change in [1, 0x20, 0x80] {
                let mut changed = text.clone();
                changed[index] ^= change;
                assert!(Manifest::decode(&changed).is_err(), "byte {index}");
            }
            assert!(Manifest::decode(&text[..index]).is_err(), "cut at {index}");
        }
        let longer = [text.as_slice(), b"\n"].concat();
        assert!(Manifest::decode(&longer).unwrap_err().contains("spelling"));
    }
}
