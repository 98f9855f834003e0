//! Names of files and folders, and the changes of names that a crash may still undo.
//!
//! Each change that is not forced yet is kept or lost by itself, whatever happens to the others; but each is
//! atomic: after a rename the file has its old name or its new one, never both, never none.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use super::inode::Seq;

/// Number of a file of the disk, whatever its names are.
pub(super) type Ino = u64;

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    File(Ino),
    Folder,
}

/// A change of names that is not forced yet, and the number of the call that made it.
#[derive(Clone, Debug)]
struct Pending {
    seq: Seq,
    change: Change,
}

#[derive(Clone, Debug)]
enum Change {
    Set { path: Arc<Path>, entry: Entry },
    Clear { path: Arc<Path>, entry: Entry },
    Rename { to: Arc<Path>, ino: Ino },
}

type Tree = BTreeMap<Arc<Path>, Entry>;

/// The names as the process sees them, as the media surely holds them, and the changes between the two.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    current: Tree,
    durable: Tree,
    pending: Vec<Pending>,
}

impl Names {
    /// What `path` stands for.
    pub(super) fn get(&self, path: &Path) -> Option<Entry> {
        if is_root(path) { Some(Entry::Folder) } else { self.current.get(path).copied() }
    }

    /// The file at `path`.
    pub(super) fn file(&self, path: &Path) -> io::Result<Ino> {
        match self.get(path) {
            Some(Entry::File(ino)) => Ok(ino),
            Some(Entry::Folder) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Gives a file or folder a new name.
    pub(super) fn create(&mut self, seq: Seq, path: &Path, entry: Entry) -> io::Result<()> {
        self.folder_of(path)?;
        let path: Arc<Path> = path.into();
        self.change(seq, Change::Set { path, entry });
        Ok(())
    }

    /// Takes the name of a file away.
    pub(super) fn remove_file(&mut self, seq: Seq, path: &Path) -> io::Result<()> {
        let entry = Entry::File(self.file(path)?);
        self.change(seq, Change::Clear { path: path.into(), entry });
        Ok(())
    }

    /// Takes the name of an empty folder away.
    pub(super) fn remove_folder(&mut self, seq: Seq, path: &Path) -> io::Result<()> {
        match self.get(path) {
            None => return Err(io::ErrorKind::NotFound.into()),
            Some(Entry::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            Some(Entry::Folder) => {}
        }
        if self.current.keys().any(|name| name.parent() == Some(path)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.change(seq, Change::Clear { path: path.into(), entry: Entry::Folder });
        Ok(())
    }

    /// Gives the file at `from` the name `to`, and takes the name away from what had it.
    pub(super) fn rename(&mut self, seq: Seq, from: &Path, to: &Path) -> io::Result<()> {
        let ino = self.file(from)?;
        self.folder_of(to)?;
        if self.get(to) == Some(Entry::Folder) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.change(seq, Change::Rename { to: to.into(), ino });
        Ok(())
    }

    /// Names of the files in a folder, sorted.
    pub(super) fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        match self.get(folder) {
            None => return Err(io::ErrorKind::NotFound.into()),
            Some(Entry::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            Some(Entry::Folder) => {}
        }
        let files = self.current.iter().filter(|(_, entry)| matches!(entry, Entry::File(_)));
        let inside = files.filter(|(path, _)| path.parent() == Some(folder));
        Ok(inside.filter_map(|(path, _)| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    /// Forces the changes of names in a folder. A rename counts to the folder of its new name.
    pub(super) fn sync(&mut self, folder: &Path) -> io::Result<()> {
        if self.get(folder) != Some(Entry::Folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let durable = &mut self.durable;
        self.pending.retain(|pending| {
            let is_here = pending.change.path().parent() == Some(folder);
            if is_here {
                pending.change.apply(durable);
            }
            !is_here
        });
        Ok(())
    }

    /// The changes that a crash may keep or lose, by the numbers of their calls.
    pub(super) fn pending(&self) -> impl Iterator<Item = Seq> {
        self.pending.iter().map(|pending| pending.seq)
    }

    /// The names after a crash that keeps the changes for which `is_kept` says so.
    pub(super) fn after_crash(&self, mut is_kept: impl FnMut(usize) -> bool) -> Self {
        let mut tree = self.durable.clone();
        for (_, pending) in self.pending.iter().enumerate().filter(|(index, _)| is_kept(*index)) {
            pending.change.apply(&mut tree);
        }
        // What lost its folder is lost with it. Parents sort before their children, so one pass is enough.
        let mut kept = Tree::new();
        for (path, entry) in tree {
            let parent = path.parent().unwrap_or(Path::new(""));
            if is_root(parent) || kept.get(parent) == Some(&Entry::Folder) {
                kept.insert(path, entry);
            }
        }
        Self { current: kept.clone(), durable: kept, pending: Vec::new() }
    }

    /// Files that have a name, and those that had one or may have one again after a crash.
    pub(super) fn reachable(&self) -> BTreeSet<Ino> {
        let pending = self.pending.iter().filter_map(|pending| pending.change.ino());
        let named = self.durable.values().chain(self.current.values());
        named.filter_map(|entry| entry.ino()).chain(pending).collect()
    }

    /// Files that have a name, with their names.
    pub(super) fn files(&self) -> impl Iterator<Item = (&Arc<Path>, Ino)> {
        self.current.iter().filter_map(|(path, entry)| Some((path, entry.ino()?)))
    }

    fn folder_of(&self, path: &Path) -> io::Result<()> {
        match self.get(path.parent().unwrap_or(Path::new(""))) {
            Some(Entry::Folder) => Ok(()),
            Some(Entry::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn change(&mut self, seq: Seq, change: Change) {
        change.apply(&mut self.current);
        self.pending.push(Pending { seq, change });
    }
}

impl Change {
    /// The name that the change is about.
    fn path(&self) -> &Path {
        match self {
            Self::Set { path, .. } | Self::Clear { path, .. } | Self::Rename { to: path, .. } => path,
        }
    }

    fn ino(&self) -> Option<Ino> {
        match self {
            Self::Set { entry, .. } | Self::Clear { entry, .. } => entry.ino(),
            Self::Rename { ino, .. } => Some(*ino),
        }
    }

    /// Makes the change, as far as it still makes sense where changes before it were lost.
    fn apply(&self, tree: &mut Tree) {
        match self {
            Self::Set { path, entry } => {
                tree.insert(Arc::clone(path), *entry);
            }
            Self::Clear { path, entry } => {
                if tree.get(path) == Some(entry) {
                    tree.remove(path);
                }
            }
            Self::Rename { to, ino } => {
                // By number, not by the old name: a rename before this one may be lost, and the file then still
                // has an older name.
                tree.retain(|_, entry| *entry != Entry::File(*ino));
                tree.insert(Arc::clone(to), Entry::File(*ino));
            }
        }
    }
}

impl Entry {
    fn ino(&self) -> Option<Ino> {
        match self {
            Self::File(ino) => Some(*ino),
            Self::Folder => None,
        }
    }
}

/// The path without `.` and repeated separators; `..` is not a name here.
pub(super) fn normal(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// Whether a path is the folder that is always there.
fn is_root(path: &Path) -> bool {
    path.as_os_str().is_empty() || path == Path::new("/")
}
