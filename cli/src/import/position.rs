//! What an import remembers in the database, in the same transaction as the rows.

use std::{
    fs::Metadata,
    io::Read,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use llmdb::Db;
use serde_json::{Value, json};

use super::{Format, ImportArgs, source::Place};
use crate::{
    failure::Failure,
    host,
    text::{from_hex, to_hex},
};

/// The tree that remembers imports: "tree name" NUL "path of the source" -> JSON.
pub const IMPORT_TREE: &str = "_import";

/// Bytes at the beginning of a file that tell whether it is still the same.
const FINGERPRINT_BYTES: u64 = 64 << 10;

/// How far an import has come.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Position {
    pub place: Place,
    /// Rows stored so far.
    pub rows: u64,
    /// Lines and files left out so far.
    pub bad: u64,
    pub done: bool,
}

impl Position {
    /// As it is stored, together with what identifies the source.
    pub fn encode(&self, identity: &Value) -> Vec<u8> {
        let last = self.place.last.as_ref().map(|last| to_hex(last));
        json!({
            "source": identity,
            "offset": self.place.offset,
            "line": self.place.line,
            "record": self.place.record,
            "last": last,
            "rows": self.rows,
            "bad": self.bad,
            "done": self.done,
        })
        .to_string()
        .into_bytes()
    }

    fn decode(value: &Value) -> Option<Self> {
        let number = |name: &str| value.get(name)?.as_u64();
        let last = match value.get("last")? {
            Value::Null => None,
            last => Some(from_hex(last.as_str()?)?),
        };
        let place =
            Place { offset: number("offset")?, line: number("line")?, record: number("record")?, last };
        Some(Self { place, rows: number("rows")?, bad: number("bad")?, done: value.get("done")?.as_bool()? })
    }
}

/// The key under which an import is remembered.
pub fn record_key(tree: &str, path: &Path) -> Vec<u8> {
    [tree.as_bytes(), &[0], path.as_os_str().as_encoded_bytes()].concat()
}

/// What identifies the source, and where its import stands.
pub fn load(db: &Db, key: &[u8]) -> Result<Option<(Value, Position)>, Failure> {
    let snapshot = db.snapshot()?;
    let Some(tree) = snapshot.tree(IMPORT_TREE)? else { return Ok(None) };
    let Some(bytes) = tree.get(key)? else { return Ok(None) };
    let value = serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    // A record that somebody else wrote there is nothing to go on from.
    Ok(Position::decode(&value).map(|position| (value.get("source").cloned().unwrap_or_default(), position)))
}

/// What must be the same for an import to be resumed: the source, and how it is read.
pub fn identity(path: &Path, args: &ImportArgs, format: Format) -> Result<Value, Failure> {
    let mut identity = json!({
        "path": path.display().to_string(),
        "format": format!("{format:?}"),
        "key": args.key,
        "key_separator": args.key_separator,
        "header": !args.no_header,
        "skip": args.skip,
    });
    if format != Format::Files && path.as_os_str() != "-" {
        identity["file"] = fingerprint(path).map_err(|error| Failure::file(path, &error))?;
    }
    Ok(identity)
}

fn fingerprint(path: &Path) -> std::io::Result<Value> {
    let mut file = host::open(path)?;
    let metadata = file.metadata()?;
    let mut beginning = Vec::new();
    file.by_ref().take(FINGERPRINT_BYTES).read_to_end(&mut beginning)?;
    Ok(json!({ "bytes": metadata.len(), "modified_us": modified_us(&metadata), "hash": fnv1a(&beginning) }))
}

fn modified_us(metadata: &Metadata) -> Option<u64> {
    let since = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_micros()).ok()
}

/// FNV-1a, 64 bits: tells files apart that were changed by accident, which is all that is asked of it.
fn fnv1a(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// The files of a database, which an import of the folder they lie in must leave out.
pub fn files_of(db: &Path) -> Vec<PathBuf> {
    let Ok(path) = host::absolute(db) else { return Vec::new() };
    let beside = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    ["", "-wal", "-lock", "-share"].map(beside).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_come_back() {
        let place = Place { offset: 7, line: 3, record: 2, last: Some(b"a\xFF".to_vec()) };
        let position = Position { place, rows: 2, bad: 1, done: false };
        let value: Value = serde_json::from_slice(&position.encode(&json!({ "path": "x" }))).unwrap();
        assert_eq!(Position::decode(&value), Some(position));
        assert_eq!(Position::decode(&json!({ "rows": 1 })), None);
    }

    #[test]
    fn fnv1a_is_the_published_function() {
        assert_eq!(fnv1a(b""), "cbf29ce484222325");
        assert_eq!(fnv1a(b"foobar"), "85944171f73967e8");
    }
}
