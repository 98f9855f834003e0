//! Shared areas on the real disk: a mapped file and locks on bytes far beyond its end.

mod filesystem;
mod locks;

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::AtomicU64,
};

use rustix::{fs::FallocateFlags, io::Errno};

use super::{about, position};
use crate::{
    BusErrors,
    share::{AREA_BYTES, ShareError, SharedArea, Words},
};

/// An open lock file.
#[derive(Debug)]
pub(super) struct OsArea {
    words: Words,
    file: fs::File,
    path: PathBuf,
}

impl OsArea {
    pub(super) fn open(path: &Path, bus_errors: BusErrors) -> Result<Self, ShareError> {
        let open = || fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = open().map_err(about(path))?;
        filesystem::check(&file)?;
        locks::probe(&file, || open().map_err(about(path)))?;
        take_space(&file).map_err(about(path))?;
        let words = match bus_errors {
            BusErrors::Catch => Words::map_watched(&file),
            BusErrors::Leave => Words::map(&file),
        };
        let words = words.map_err(|error| {
            ShareError::unsupported(format!("{}: the file cannot be mapped: {error}", path.display()))
        })?;
        Ok(Self { words, file, path: path.to_owned() })
    }
}

/// Makes the file long enough, with space behind every word: a store that found none would end the process. Zeros
/// where nothing was; what others have stored stays.
fn take_space(file: &fs::File) -> io::Result<()> {
    loop {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, AREA_BYTES) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            // Filesystems that cannot promise space take it when a word is stored.
            Err(Errno::NOSYS | Errno::OPNOTSUPP) => {
                return if file.metadata()?.len() < AREA_BYTES { file.set_len(AREA_BYTES) } else { Ok(()) };
            }
            Err(error) => return Err(error.into()),
        }
    }
}

impl SharedArea for OsArea {
    #[inline]
    fn words(&self) -> &[AtomicU64] {
        self.words.get()
    }

    #[inline]
    fn is_whole(&self) -> bool {
        self.words.is_whole()
    }

    fn try_lock(&self, byte: u64) -> io::Result<bool> {
        locks::try_lock(&self.file, byte).map_err(about(&self.path))
    }

    fn unlock(&self, byte: u64) -> io::Result<()> {
        locks::unlock(&self.file, byte).map_err(about(&self.path))
    }

    fn is_locked_elsewhere(&self, byte: u64) -> io::Result<bool> {
        locks::is_locked_elsewhere(&self.file, byte).map_err(about(&self.path))
    }

    fn wait(&self, word: usize, expected: u64, timeout_us: u64) {
        self.words.wait(word, expected, timeout_us);
    }

    fn wake(&self, word: usize) {
        self.words.wake(word);
    }

    fn read_tail(&self) -> io::Result<Vec<u8>> {
        let len = self.file.metadata()?.len().saturating_sub(AREA_BYTES);
        let mut tail = vec![0; usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?];
        let mut count = 0;
        while count < tail.len() {
            match position::read_at(&self.file, &mut tail[count..], AREA_BYTES + count as u64) {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(about(&self.path)(error)),
            }
        }
        tail.truncate(count);
        Ok(tail)
    }

    fn write_tail(&self, bytes: &[u8]) -> io::Result<()> {
        // The words lie before the cut, so that nobody loses one.
        self.file.set_len(AREA_BYTES + bytes.len() as u64).map_err(about(&self.path))?;
        position::write_all_at(&self.file, bytes, AREA_BYTES).map_err(about(&self.path))
    }

    fn is_current(&self) -> io::Result<bool> {
        let ours = self.file.metadata().map_err(about(&self.path))?;
        match fs::metadata(&self.path) {
            Ok(named) => Ok((named.dev(), named.ino()) == (ours.dev(), ours.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(about(&self.path)(error)),
        }
    }
}

impl Drop for OsArea {
    /// Closing alone would not do: a process that is being started by another thread has a copy of the descriptor
    /// until it runs its own program, and the locks would last as long.
    fn drop(&mut self) {
        if let Err(error) = locks::unlock_all(&self.file) {
            log::debug!("locks end when their file is closed, since they could not be released: {error}");
        }
    }
}
