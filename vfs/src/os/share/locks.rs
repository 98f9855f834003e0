//! Locks on single bytes that belong to an open file and end with it, in whatever way its process ends.
#![expect(unsafe_code, reason = "door 3: calls of the kernel without a safe wrapper")]

use std::{fs::File, io, os::fd::AsRawFd};

use crate::share::ShareError;

/// Where the lockable bytes begin: beyond any contents.
const FIRST: i64 = 1 << 40;
/// The byte that [`probe`] uses: no caller reaches it.
const PROBE: u64 = 1 << 41;

/// Takes a lock without waiting; true if it is held now.
pub(super) fn try_lock(file: &File, byte: u64) -> io::Result<bool> {
    match call(file, libc::F_OFD_SETLK, &mut range(libc::F_WRLCK, byte, 1)?) {
        Err(error) if is_conflict(&error) => Ok(false),
        taken => taken.map(|()| true),
    }
}

pub(super) fn unlock(file: &File, byte: u64) -> io::Result<()> {
    call(file, libc::F_OFD_SETLK, &mut range(libc::F_UNLCK, byte, 1)?)
}

/// Releases whatever is held through this opening.
pub(super) fn unlock_all(file: &File) -> io::Result<()> {
    // A length of zero reaches to the end of all files.
    call(file, libc::F_OFD_SETLK, &mut range(libc::F_UNLCK, 0, 0)?)
}

/// Whether another opening holds the lock.
pub(super) fn is_locked_elsewhere(file: &File, byte: u64) -> io::Result<bool> {
    let mut found = range(libc::F_WRLCK, byte, 1)?;
    call(file, libc::F_OFD_GETLK, &mut found)?;
    Ok(i32::from(found.l_type) != libc::F_UNLCK)
}

/// Tries whether locks keep anybody out here: some filesystems grant every one.
pub(super) fn probe(file: &File, open: impl FnOnce() -> io::Result<File>) -> Result<(), ShareError> {
    let refused = |error| ShareError::unsupported(format!("locks on parts of a file are refused: {error}"));
    let taken = try_lock(file, PROBE).map_err(refused)?;
    // If it is somebody else's at this moment, locks do keep others out.
    let works = !taken || is_locked_elsewhere(&open()?, PROBE).map_err(refused)?;
    unlock(file, PROBE).map_err(refused)?;
    if works {
        return Ok(());
    }
    Err(ShareError::unsupported("a lock that one opening of a file holds is not seen by another"))
}

fn range(kind: i32, byte: u64, len: i64) -> io::Result<libc::flock> {
    let start = i64::try_from(byte).ok().and_then(|byte| byte.checked_add(FIRST));
    Ok(libc::flock {
        l_type: i16::try_from(kind).map_err(|_| io::ErrorKind::InvalidInput)?,
        l_whence: i16::try_from(libc::SEEK_SET).map_err(|_| io::ErrorKind::InvalidInput)?,
        l_start: start.ok_or(io::ErrorKind::InvalidInput)?,
        l_len: len,
        // The kernel asks for it: these locks belong to no process.
        l_pid: 0,
    })
}

fn call(file: &File, command: i32, range: &mut libc::flock) -> io::Result<()> {
    loop {
        // SAFETY: the descriptor is open as long as `file` is borrowed; these commands read and write one `flock`,
        // which is borrowed for the call.
        let result = unsafe { libc::fcntl(file.as_raw_fd(), command, std::ptr::from_mut(range)) };
        if result != -1 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn is_conflict(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES))
}
