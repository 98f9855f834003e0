//! Asking the page cache to begin with its writing.
#![expect(unsafe_code, reason = "door 3: calls of the kernel without a safe wrapper")]

use std::{fs::File, os::fd::AsRawFd};

/// Starts the writing back of dirty pages in a range, without waiting for it. A hint: errors mean nothing, since
/// the sync that follows reports what it meets.
pub(super) fn start(file: &File, offset: u64, len: u64) {
    sync_file_range(file, offset, len, libc::SYNC_FILE_RANGE_WRITE);
}

/// Waits for the writing back of pages in a range that has begun. A hint, too.
pub(super) fn wait(file: &File, offset: u64, len: u64) {
    sync_file_range(file, offset, len, libc::SYNC_FILE_RANGE_WAIT_BEFORE);
}

fn sync_file_range(file: &File, offset: u64, len: u64, flags: libc::c_uint) {
    let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) else { return };
    // SAFETY: the descriptor is open as long as `file` is borrowed; the call takes no pointer.
    unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, flags) };
}
