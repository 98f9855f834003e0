//! The folder of the log: names of files, which segments it holds, and what happens to those no longer
//! needed.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use llmdb_base::Lsn;
use llmdb_vfs::{BLOCK_SIZE, Create, File, Open, Vfs};

use crate::{LogError, LogResult};

/// Larger numbers are no names of ours: there is always a next index.
pub(crate) const INDEX_MAX: u64 = u64::MAX >> 1;

/// Name of a file of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Name {
    /// The segment of this index.
    Segment(u64),
    /// A file that was this segment once.
    Spare(u64),
}

impl Name {
    /// The name that `text` is; `None` if it is none of ours.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let (digits, extension) = text.split_once('.')?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() != 16 || !digits.bytes().all(is_hex) {
            return None;
        }
        let index = u64::from_str_radix(digits, 16).ok().filter(|index| *index <= INDEX_MAX)?;
        match extension {
            "seg" => Some(Self::Segment(index)),
            "spare" => Some(Self::Spare(index)),
            _ => None,
        }
    }

    fn encode(self) -> String {
        match self {
            Self::Segment(index) => format!("{index:016x}.seg"),
            Self::Spare(index) => format!("{index:016x}.spare"),
        }
    }
}

/// Where the log lives.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    pub vfs: Arc<dyn Vfs>,
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, path: &Path) -> Self {
        Self { vfs, path: path.to_owned() }
    }

    pub(crate) fn path_of(&self, name: Name) -> PathBuf {
        self.path.join(name.encode())
    }

    /// Names of our files, in no particular order; none if there is no folder.
    pub(crate) fn list(&self) -> LogResult<Vec<Name>> {
        match self.vfs.list_dir(&self.path) {
            Ok(names) => Ok(names.iter().filter_map(|name| Name::decode(name)).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Self::error("list the log", error)),
        }
    }

    pub(crate) fn open(&self, name: Name, create: Create, write: bool) -> LogResult<Arc<dyn File>> {
        let path = self.path_of(name);
        self.vfs
            .open(&path, Open { write, create, direct: true })
            .map_err(|error| Self::refusal("open a file of the log", error))
    }

    pub(crate) fn rename(&self, from: Name, to: Name) -> LogResult<()> {
        let (from, to) = (self.path_of(from), self.path_of(to));
        self.vfs.rename(&from, &to).map_err(|error| Self::refusal("rename a file of the log", error))
    }

    /// Removes a file; one that is gone already is fine.
    pub(crate) fn remove(&self, name: Name) -> LogResult<()> {
        let path = self.path_of(name);
        match self.vfs.remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Self::error("remove a file of the log", error))
            }
            _ => Ok(()),
        }
    }

    /// Makes names survive a crash.
    pub(crate) fn sync(&self) -> LogResult<()> {
        self.vfs.sync_dir(&self.path).map_err(|error| Self::error("sync a folder of the log", error))
    }

    /// Makes the folder; its own name is durable after [`Folder::sync_parent`].
    pub(crate) fn create(&self) -> LogResult<()> {
        self.vfs.create_dir(&self.path).map_err(|error| Self::refusal("create the folder of the log", error))
    }

    pub(crate) fn sync_parent(&self) -> LogResult<()> {
        let parent = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        self.vfs.sync_dir(parent).map_err(|error| Self::error("sync a folder of the log", error))
    }

    /// Removes every file of the log, and the folder unless somebody else keeps files in it.
    pub(crate) fn remove_all(&self) -> LogResult<()> {
        if !self.vfs.exists(&self.path).map_err(|error| Self::error("look for the log", error))? {
            return Ok(());
        }
        for name in self.list()? {
            self.remove(name)?;
        }
        self.sync()?;
        match self.vfs.remove_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            Err(error) => Err(Self::error("remove the folder of the log", error)),
            Ok(()) => self.sync_parent(),
        }
    }

    /// As [`Folder::error`], for calls that change nothing if there is no space for a name.
    fn refusal(what: &str, error: io::Error) -> LogError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                LogError::NoSpace { needed_bytes: BLOCK_SIZE as u64 }
            }
            _ => Self::error(what, error),
        }
    }

    /// A failed call. Every disk names the path in the error itself.
    fn error(what: &str, error: io::Error) -> LogError {
        LogError::io(what, error)
    }
}

/// What the folder holds, as far as the log in use is concerned.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// Segments from the oldest to the one in use.
    pub live: VecDeque<LiveSegment>,
    pub spares: Vec<SpareFile>,
    /// Index of the next segment: above every name in the folder.
    pub next_index: u64,
    /// Length that the next segment may reach.
    pub next_bytes: u64,
    /// Whether the folder exists and its name is durable.
    pub folder_is_durable: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LiveSegment {
    pub index: u64,
    /// Where it ends; `None` while it is in use.
    pub end: Option<Lsn>,
    pub file_bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SpareFile {
    pub index: u64,
    pub file_bytes: u64,
}

impl Files {
    /// The oldest segment, if it ends at or before `before`.
    pub(crate) fn oldest_ending_by(&self, before: Lsn) -> Option<LiveSegment> {
        self.live.front().filter(|segment| segment.end.is_some_and(|end| end <= before)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_are_ours() {
        for name in [Name::Segment(0), Name::Segment(INDEX_MAX), Name::Spare(0xABC)] {
            assert_eq!(Name::decode(&name.encode()), Some(name));
        }
        assert_eq!(Name::Segment(31).encode(), "000000000000001f.seg");
        for foreign in [
            "",
            "readme.txt",
            "1f.seg",
            "000000000000001F.seg",
            "+00000000000001f.seg",
            "ffffffffffffffff.seg",
        ] {
            assert_eq!(Name::decode(foreign), None, "{foreign}");
        }
    }
}
