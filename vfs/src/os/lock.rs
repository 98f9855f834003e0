//! Advisory locks on files, with a note for whoever finds them held.

use std::{
    fs::{self, TryLockError},
    io,
    path::Path,
};

use super::position;
use crate::disk::about;
use crate::{FileLock, LockError, LockKind};

/// Longest note that is read back, in bytes.
const NOTE_BYTES_MAX: usize = 1024;

/// A locked file. The file stays when the lock ends, since removing it would let two holders lock two files of one
/// name.
#[derive(Debug)]
struct OsLock {
    file: fs::File,
}

impl FileLock for OsLock {}

impl Drop for OsLock {
    /// Closing alone would not do: a process that is being started by another thread has a copy of the descriptor
    /// until it runs its own program, and the lock would last as long.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            log::debug!("a lock ends when its file is closed, since it could not be released: {error}");
        }
    }
}

pub(super) fn take(path: &Path, kind: LockKind, note: &str) -> Result<Box<dyn FileLock>, LockError> {
    let (file, writable) = open(path, kind).map_err(about(path)).map_err(LockError::Io)?;
    let taken = match kind {
        LockKind::Exclusive => file.try_lock(),
        LockKind::Shared => file.try_lock_shared(),
    };
    match taken {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(LockError::Held { note: read_note(&file) }),
        Err(TryLockError::Error(error)) => return Err(LockError::Io(about(path)(error))),
    }
    if writable && let Err(error) = write_note(&file, note) {
        // The lock holds without it; only the message of the next one to ask is poorer.
        log::warn!("{}: the note of the lock could not be written: {error}", path.display());
    }
    Ok(Box::new(OsLock { file }))
}

/// Opens the lock file, making it if it is missing. A shared lock can do with reading, as on a medium that cannot
/// be written.
fn open(path: &Path, kind: LockKind) -> io::Result<(fs::File, bool)> {
    let opened = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    match opened {
        Err(error) if kind == LockKind::Shared && forbids_writing(&error) => {
            Ok((fs::File::open(path)?, false))
        }
        opened => Ok((opened?, true)),
    }
}

fn forbids_writing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn write_note(file: &fs::File, note: &str) -> io::Result<()> {
    file.set_len(0)?;
    position::write_all_at(file, note.as_bytes(), 0)
}

/// What the holder wrote; empty if that cannot be read.
fn read_note(file: &fs::File) -> String {
    let mut note = vec![0; NOTE_BYTES_MAX];
    let count = position::read_at(file, &mut note, 0).unwrap_or(0);
    String::from_utf8_lossy(&note[..count]).into_owned()
}
