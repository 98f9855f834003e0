//! A small disk in memory: for stores that need not outlive the process, and for tests.
//!
//! Nothing is ever lost and nothing ever fails, so that what a test sees depends on its calls alone: the clock
//! advances by one step per look, and the random numbers follow from a seed. A disk that crashes is another
//! matter; see the crashable one.

mod clock;
mod file;
mod locks;
#[cfg(target_os = "linux")]
mod share;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicBool, Ordering};

use llmdb_base::Timestamp;

use self::{clock::Clock, file::MemoryFile, locks::Locks};
use crate::{
    AlignedBuf, Completion, Create, File, FileLock, LockError, LockKind, Mapping, Open, Ring, RingKind,
    ShareError, SharedArea, Vfs, disk::check_blocks,
};

/// Files in memory, gone with the last value that refers to them. Clones show the same files.
#[derive(Clone, Debug)]
pub struct MemoryVfs {
    tree: Arc<Mutex<Tree>>,
    locks: Arc<Locks>,
    clock: Arc<Clock>,
    /// Whether an area was ever opened here: from then on maps show what others write.
    #[cfg(target_os = "linux")]
    is_shared: Arc<AtomicBool>,
}

/// Names of files and folders. The root and the current folder exist without being here.
#[derive(Debug, Default)]
struct Tree {
    files: BTreeMap<PathBuf, Arc<MemoryFile>>,
    folders: BTreeSet<PathBuf>,
}

impl MemoryVfs {
    /// An empty disk, whose random numbers follow from `seed`.
    pub fn new(seed: u64) -> Self {
        let clock = Arc::new(Clock::new(seed));
        Self {
            tree: Arc::default(),
            locks: Arc::default(),
            clock,
            #[cfg(target_os = "linux")]
            is_shared: Arc::default(),
        }
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryVfs {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Vfs for MemoryVfs {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let file = self.tree().open(path, how.create)?;
        if how.write { Ok(file) } else { Ok(Arc::new(file.read_only())) }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.tree().files.remove(path).map(drop).ok_or_else(|| not_found(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.tree().rename(from, to)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.tree().create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.tree().remove_dir(path)
    }

    fn list_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        let tree = self.tree();
        tree.check_folder(path)?;
        let inside = tree.files.keys().filter(|file| file.parent() == Some(path));
        Ok(inside.filter_map(|file| Some(file.file_name()?.to_str()?.to_owned())).collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let tree = self.tree();
        Ok(tree.files.contains_key(path) || tree.is_folder(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.tree().check_folder(path)
    }

    fn lock(&self, path: &Path, kind: LockKind, note: &str) -> Result<Box<dyn FileLock>, LockError> {
        self.tree().open(path, Create::IfMissing).map_err(LockError::Io)?;
        Locks::take(&self.locks, path, kind, note)
    }

    fn ring(&self, depth: usize) -> io::Result<Box<dyn Ring>> {
        Ok(Box::new(MemoryRing { depth, done: VecDeque::new() }))
    }

    #[cfg(target_os = "linux")]
    fn share(&self, path: &Path) -> Result<Arc<dyn SharedArea>, ShareError> {
        let file = self.tree().open(path, Create::IfMissing)?;
        self.is_shared.store(true, Ordering::Relaxed);
        Ok(Arc::new(share::MemoryArea::open(self, path, &file)?))
    }

    #[cfg(not(target_os = "linux"))]
    fn share(&self, _path: &Path) -> Result<Arc<dyn SharedArea>, ShareError> {
        Err(ShareError::unsupported("it takes Linux"))
    }

    fn map(&self, file: Option<Arc<dyn File>>) -> io::Result<Mapping> {
        #[cfg(target_os = "linux")]
        if self.is_shared.load(Ordering::Relaxed)
            && let Some(file) = file.as_ref().and_then(|file| file.as_any().downcast_ref::<MemoryFile>())
        {
            return file.map_mirrored();
        }
        Mapping::heap(file)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic_us(&self) -> u64 {
        self.clock.monotonic_us()
    }

    fn random_u64(&self) -> u64 {
        self.clock.random_u64()
    }
}

impl Tree {
    fn open(&mut self, path: &Path, create: Create) -> io::Result<Arc<MemoryFile>> {
        if self.is_folder(path) {
            return Err(wrong(io::ErrorKind::IsADirectory, path));
        }
        match (self.files.get(path), create) {
            (Some(_), Create::New) => Err(wrong(io::ErrorKind::AlreadyExists, path)),
            (Some(file), _) => Ok(Arc::clone(file)),
            (None, Create::Never) => Err(not_found(path)),
            (None, _) => {
                self.check_parent(path)?;
                let file = Arc::<MemoryFile>::default();
                self.files.insert(path.to_owned(), Arc::clone(&file));
                Ok(file)
            }
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if !self.files.contains_key(from) {
            return Err(not_found(from));
        }
        self.check_parent(to)?;
        if self.is_folder(to) {
            return Err(wrong(io::ErrorKind::IsADirectory, to));
        }
        if let Some(file) = self.files.remove(from) {
            self.files.insert(to.to_owned(), file);
        }
        Ok(())
    }

    fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        if self.files.contains_key(path) {
            return Err(wrong(io::ErrorKind::AlreadyExists, path));
        }
        if !self.is_folder(path) {
            self.check_parent(path)?;
            self.folders.insert(path.to_owned());
        }
        Ok(())
    }

    fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        self.check_folder(path)?;
        let mut names = self.files.keys().chain(&self.folders);
        if names.any(|name| name.parent() == Some(path)) {
            return Err(wrong(io::ErrorKind::DirectoryNotEmpty, path));
        }
        self.folders.remove(path);
        Ok(())
    }

    fn check_parent(&self, path: &Path) -> io::Result<()> {
        path.parent().map_or(Ok(()), |parent| self.check_folder(parent))
    }

    fn check_folder(&self, path: &Path) -> io::Result<()> {
        if self.is_folder(path) { Ok(()) } else { Err(not_found(path)) }
    }

    fn is_folder(&self, path: &Path) -> bool {
        let always_there = path.parent().is_none() || path == Path::new(".");
        always_there || self.folders.contains(path)
    }
}

fn not_found(path: &Path) -> io::Error {
    wrong(io::ErrorKind::NotFound, path)
}

fn wrong(kind: io::ErrorKind, path: &Path) -> io::Error {
    io::Error::new(kind, format!("{}: {kind}", path.display()))
}

/// A ring whose writes are complete as soon as they are submitted.
#[derive(Debug)]
struct MemoryRing {
    depth: usize,
    done: VecDeque<Completion>,
}

impl Ring for MemoryRing {
    fn submit(
        &mut self,
        file: &Arc<dyn File>,
        buffer: AlignedBuf,
        len: usize,
        offset: u64,
        token: u64,
    ) -> io::Result<()> {
        check_blocks(offset, len, buffer.len())?;
        if self.done.len() >= self.depth {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "more writes than the ring has room for",
            ));
        }
        let result = crate::write_all_at(&**file, &buffer[..len], offset);
        self.done.push_back(Completion { token, buffer, result });
        Ok(())
    }

    fn wait(&mut self) -> Option<Completion> {
        self.done.pop_front()
    }

    fn in_flight(&self) -> usize {
        self.done.len()
    }

    fn kind(&self) -> RingKind {
        RingKind::Simulated
    }
}
