//! A folder of files as a source: each file a row, in an order that is the same every time.

use std::{
    cmp::Ordering,
    fs::{self, FileType},
    path::{Path, PathBuf},
};

use super::{
    position::Position,
    source::{Content, Next, Place, Row, Source},
};
use crate::{failure::Failure, host};

/// Files up to this length are read at once; longer ones are streamed.
const READ_BYTES_MAX: u64 = 1 << 20;

/// The files below a folder.
pub struct Folder {
    entries: std::vec::IntoIter<Entry>,
    place: Place,
    total_bytes: u64,
}

/// Something below the folder.
pub struct Entry {
    /// Path below the folder, its parts joined by `/`.
    pub key: Vec<u8>,
    pub path: PathBuf,
    pub kind: Kind,
}

/// What stands there.
pub enum Kind {
    File { len: u64 },
    LeftOut(&'static str),
    Unreadable(String),
}

impl Folder {
    /// Lists what is below `root`, without names in `skip` and without the files in `own`.
    pub fn open(root: &Path, skip: &[String], own: Vec<PathBuf>, start: &Position) -> Result<Self, Failure> {
        let mut entries = list(root, skip, &own)?;
        let total_bytes = entries.iter().map(Entry::len).sum();
        if let Some(last) = &start.place.last {
            entries.retain(|entry| by_parts(&entry.key, last).is_gt());
        }
        Ok(Self { entries: entries.into_iter(), place: start.place.clone(), total_bytes })
    }
}

impl Entry {
    fn len(&self) -> u64 {
        if let Kind::File { len } = self.kind { len } else { 0 }
    }
}

impl Source for Folder {
    fn next(&mut self) -> Result<Next, Failure> {
        let Some(entry) = self.entries.next() else { return Ok(Next::End) };
        self.place.offset += entry.len();
        self.place.last = Some(entry.key.clone());
        Ok(entry.read())
    }

    fn place(&self) -> Place {
        self.place.clone()
    }

    fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    fn done_bytes(&self) -> u64 {
        self.place.offset
    }
}

impl Entry {
    /// The row that the entry becomes.
    pub fn read(self) -> Next {
        let Self { key, path, kind } = self;
        let value = match kind {
            Kind::LeftOut(why) => return Next::LeftOut(format!("{}: {why}", path.display())),
            Kind::Unreadable(why) => return Next::Bad(format!("{}: {why}", path.display())),
            Kind::File { len } if len > READ_BYTES_MAX => Content::File { path, len },
            Kind::File { .. } => match host::read(&path) {
                Ok(bytes) => Content::Bytes(bytes),
                Err(error) => return Next::Bad(format!("{}: {error}", path.display())),
            },
        };
        Next::Row(Row { tree: None, key, value })
    }
}

/// Everything below `root` that is not a folder, in the order of [`by_parts`].
pub fn list(root: &Path, skip: &[String], own: &[PathBuf]) -> Result<Vec<Entry>, Failure> {
    let names = fs::read_dir(root).map_err(|error| Failure::file(root, &error))?;
    let mut entries = Vec::new();
    let mut walk = Walk { root, skip, own, entries: &mut entries };
    walk.folder(names, &[]);
    entries.sort_by(|a, b| by_parts(&a.key, &b.key));
    Ok(entries)
}

/// The order of paths: part by part, so that a folder's files stay together.
fn by_parts(a: &[u8], b: &[u8]) -> Ordering {
    fn parts(key: &[u8]) -> impl Iterator<Item = &[u8]> {
        key.split(|byte| *byte == b'/')
    }
    parts(a).cmp(parts(b))
}

struct Walk<'a> {
    root: &'a Path,
    skip: &'a [String],
    own: &'a [PathBuf],
    entries: &'a mut Vec<Entry>,
}

impl Walk<'_> {
    fn folder(&mut self, names: fs::ReadDir, prefix: &[u8]) {
        for entry in names.flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            if self.skip.iter().any(|skip| name == skip.as_str()) || self.own.contains(&path) {
                continue;
            }
            let key = [prefix, name.as_encoded_bytes()].concat();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.subfolder(path, key),
                Ok(kind) => self.add(key, path, kind),
                Err(error) => self.push(key, path, Kind::Unreadable(error.to_string())),
            }
        }
    }

    fn subfolder(&mut self, path: PathBuf, mut key: Vec<u8>) {
        match fs::read_dir(&path) {
            Ok(names) => {
                key.push(b'/');
                self.folder(names, &key);
            }
            Err(error) => self.push(key, path, Kind::Unreadable(error.to_string())),
        }
    }

    fn add(&mut self, key: Vec<u8>, path: PathBuf, kind: FileType) {
        let kind = match (kind.is_file(), kind.is_symlink()) {
            (true, _) => file(&path),
            (_, true) => self.link(&path),
            _ => Kind::LeftOut("neither a file nor a folder"),
        };
        self.push(key, path, kind);
    }

    /// A link stands for the file it leads to, if that lies below the folder too.
    fn link(&self, path: &Path) -> Kind {
        match fs::canonicalize(path) {
            Ok(target) if !target.starts_with(self.root) => {
                Kind::LeftOut("a link that leads out of the folder")
            }
            Ok(target) if target.is_file() && !self.own.contains(&target) => file(&target),
            Ok(_) => Kind::LeftOut("a link to something that is not a file"),
            Err(_) => Kind::LeftOut("a link that leads nowhere"),
        }
    }

    fn push(&mut self, key: Vec<u8>, path: PathBuf, kind: Kind) {
        self.entries.push(Entry { key, path, kind });
    }
}

fn file(path: &Path) -> Kind {
    match fs::metadata(path) {
        Ok(metadata) => Kind::File { len: metadata.len() },
        Err(error) => Kind::Unreadable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_stay_together() {
        let mut keys: Vec<&[u8]> = vec![b"a.txt", b"a/b", b"a", b"a-b", b"a/a"];
        keys.sort_by(|a, b| by_parts(a, b));
        assert_eq!(keys, [&b"a"[..], b"a/a", b"a/b", b"a-b", b"a.txt"]);
    }
}
