//! Asking the page cache to begin with its writing.
#![expect(unsafe_code, reason = "door 3: calls of the kernel without a safe wrapper")]

use std::{fs::File, io, os::fd::AsRawFd};

/// Starts the writing back of dirty pages in a range, without waiting for it. A hint: errors mean nothing, since
/// the sync that follows reports what it meets.
pub(super) fn start(file: &File, offset: u64, len: u64) {
    let _ = sync_file_range(file, offset, len, libc::SYNC_FILE_RANGE_WRITE);
}

/// Waits for the writing back of pages in a range that has begun.
///
/// # Errors
/// Pages of the file could not be written. The system tells that once for each open file, so that a sync that follows
/// may know nothing of it.
pub(super) fn wait(file: &File, offset: u64, len: u64) -> io::Result<()> {
    match sync_file_range(file, offset, len, libc::SYNC_FILE_RANGE_WAIT_BEFORE) {
        // There is no such call for this file, or here: then there is no waiting.
        Err(error) if is_refusal(&error) => Ok(()),
        waited => waited,
    }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::ESPIPE | libc::EPERM))
}

fn sync_file_range(file: &File, offset: u64, len: u64, flags: libc::c_uint) -> io::Result<()> {
    let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) else { return Ok(()) };
    loop {
        // SAFETY: the descriptor is open as long as `file` is borrowed; the call takes no pointer.
        if unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, flags) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
