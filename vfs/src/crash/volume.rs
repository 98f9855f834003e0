//! Names, locks, rings, clock and randomness of the crashable disk.

use std::{io, path::Path, path::PathBuf, sync::Arc};

use llmdb_base::Timestamp;

use crate::{
    Create, File, FileLock, LockError, LockKind, Mapping, Open, Ring, ShareError, SharedArea, Vfs,
    disk::about,
};

use super::{
    CrashVfs,
    fault::{Failure, OpKind},
    file::CrashFile,
    inode::{Inode, Seq},
    names::{Entry, Ino, Names, normal},
    ring::CrashRing,
    state::Held,
};

/// Where the virtual clock begins: 2030-01-01 UTC.
const START_US: i64 = 1_893_456_000_000_000;

/// How far the clock of a killed process is ahead: thirty years.
const AFTER_DEATH_US: u64 = 1 << 50;

/// Length of a region of a mapping where memory is taken only as it is touched: so long that the table of regions
/// is short, since every crash state takes a mapping of its own.
const REGION_BYTES: u64 = 64 << 30;

impl Vfs for CrashVfs {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.open_file(path, how.create, how.write)?))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change_names(OpKind::Remove, path, |names, seq, path| names.remove_file(seq, path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change_names(OpKind::Rename, to, |names, seq, to| names.rename(seq, &normal(from), to))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        if self.state().names.get(&normal(path)) == Some(Entry::Folder) {
            return Ok(());
        }
        self.change_names(OpKind::CreateDir, path, |names, seq, path| {
            if names.get(path).is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            names.create(seq, path, Entry::Folder)
        })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.change_names(OpKind::Remove, path, |names, seq, path| names.remove_folder(seq, path))
    }

    fn list_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.fail_look(OpKind::List, path)?;
        self.state().names.list(&normal(path)).map_err(about(path))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.fail_look(OpKind::List, path)?;
        Ok(self.state().names.get(&normal(path)).is_some())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let lies = self.state().sync_lies;
        self.change_names(
            OpKind::SyncDir,
            path,
            |names, _, path| if lies { Ok(()) } else { names.sync(path) },
        )
    }

    fn lock(&self, path: &Path, kind: LockKind, note: &str) -> Result<Box<dyn FileLock>, LockError> {
        let path = normal(path);
        let how = Open { write: true, create: Create::IfMissing, direct: false };
        self.open(&path, how).map_err(LockError::Io)?;
        let mut state = self.state();
        let held = state.locks.entry(path.clone()).or_default();
        if let Some(other) = held.iter().find(|other| LockKind::Exclusive == other.kind || kind != other.kind)
        {
            return Err(LockError::Held { note: other.note.to_string() });
        }
        let number = state.number();
        let holder = Held { number, kind, note: note.into(), process: self.process };
        state.locks.entry(path.clone()).or_default().push(holder);
        Ok(Box::new(CrashLock { disk: self.clone(), path, number }))
    }

    fn ring(&self, depth: usize) -> io::Result<Box<dyn Ring>> {
        self.fail_look(OpKind::Prepare, Path::new("ring"))?;
        Ok(Box::new(CrashRing::new(self, depth)))
    }

    #[cfg(target_os = "linux")]
    fn share(&self, path: &Path) -> Result<Arc<dyn SharedArea>, ShareError> {
        Ok(Arc::new(super::share::CrashArea::open(self, &normal(path))?))
    }

    #[cfg(not(target_os = "linux"))]
    fn share(&self, _path: &Path) -> Result<Arc<dyn SharedArea>, ShareError> {
        Err(ShareError::unsupported("it takes Linux"))
    }

    fn map(&self, file: Option<Arc<dyn File>>) -> io::Result<Mapping> {
        self.fail_look(OpKind::Prepare, Path::new("map"))?;
        #[cfg(target_os = "linux")]
        if self.state().areas.is_any_open()
            && let Some(file) = file.as_ref().and_then(|file| file.as_any().downcast_ref::<CrashFile>())
        {
            return file.disk().state().inode(file.ino()).map_mirrored();
        }
        if cfg!(unix) { Mapping::heap_of_regions(file, REGION_BYTES) } else { Mapping::heap(file) }
    }

    fn now(&self) -> Timestamp {
        Timestamp::new(START_US.saturating_add_unsigned(self.monotonic_us()))
    }

    fn monotonic_us(&self) -> u64 {
        let mut state = self.state();
        state.tick();
        // Whatever the dead wait for, their time is over: it must not take that of the living.
        if state.killed.contains(&self.process) { state.clock_us + AFTER_DEATH_US } else { state.clock_us }
    }

    fn random_u64(&self) -> u64 {
        self.state().chooser.next_u64()
    }
}

impl CrashVfs {
    pub(super) fn open_file(&self, path: &Path, create: Create, write: bool) -> io::Result<CrashFile> {
        let path = normal(path);
        let is_there = self.state().names.get(&path).is_some();
        let failure = if is_there || create == Create::Never {
            self.look(OpKind::Open)
        } else {
            self.begin(OpKind::Open, &path, 0, 0)
        };
        if let Some(error) = failure.and_then(|failure| failure.error_about(&path)) {
            return Err(error);
        }
        let ino = self.find(&path, create).map_err(about(&path))?;
        Ok(CrashFile::new(self, ino, &path, write))
    }

    /// Lets a call that only looks fail, if that is planned. That a process was killed keeps it from changing things,
    /// not from looking.
    fn fail_look(&self, kind: OpKind, path: &Path) -> io::Result<()> {
        let failure = self.look(kind).filter(|failure| *failure != Failure::Killed);
        failure.and_then(|failure| failure.error_about(path)).map_or(Ok(()), Err)
    }

    /// The number of the file at `path`, which is made if it may be.
    fn find(&self, path: &Path, create: Create) -> io::Result<Ino> {
        let mut state = self.state();
        match (state.names.get(path), create) {
            (Some(_), Create::New) => Err(io::ErrorKind::AlreadyExists.into()),
            (Some(_), _) | (None, Create::Never) => state.names.file(path),
            (None, Create::New | Create::IfMissing) => {
                let seq = state.number();
                state.names.create(seq, path, Entry::File(seq))?;
                state.inodes.insert(seq, Inode::default());
                Ok(seq)
            }
        }
    }

    fn change_names(
        &self,
        kind: OpKind,
        path: &Path,
        change: impl FnOnce(&mut Names, Seq, &Path) -> io::Result<()>,
    ) -> io::Result<()> {
        let path = normal(path);
        if let Some(error) = self.begin(kind, &path, 0, 0).and_then(|failure| failure.error_about(&path)) {
            return Err(error);
        }
        let mut state = self.state();
        let seq = state.number();
        change(&mut state.names, seq, &path).map_err(about(&path))?;
        state.sweep();
        Ok(())
    }
}

/// A held lock of a crashable disk.
#[derive(Debug)]
struct CrashLock {
    disk: CrashVfs,
    path: PathBuf,
    number: u64,
}

impl FileLock for CrashLock {}

impl Drop for CrashLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        let held = state.locks.get_mut(&self.path).into_iter();
        held.for_each(|held| held.retain(|holder| holder.number != self.number));
    }
}
