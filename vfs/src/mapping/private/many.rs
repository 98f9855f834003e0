//! Advice about many ranges in one call.
//!
//! After each call that takes pages out of the page tables, the kernel interrupts every processor that runs a thread of this
//! process, so that it forgets them: thousands of calls for single pages disturb whoever reads meanwhile. One call for
//! many ranges does it once. (`process_madvise` for the calling process takes all advice since Linux 6.13.)

use std::{
    io,
    ptr::NonNull,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use rustix::{
    fd::AsRawFd,
    process::{PidfdFlags, getpid, pidfd_open},
};

/// Ranges in one call: few enough that threads which want to map or unmap memory wait for a millisecond at most.
const RANGES_MAX: usize = 256;

/// What the kernel is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::mapping) enum Advice {
    /// The private copies are not needed any more.
    Discard,
    /// The bytes will be read.
    MapAhead,
}

/// Whether the kernel does not know such a call, or does not allow it: it will not the next time either.
static IS_REFUSED: [AtomicBool; 2] = [const { AtomicBool::new(false) }; 2];

/// Behaves as if the kernel had refused, or had not. What tests beside this see is the same either way.
#[cfg(test)]
pub(in crate::mapping) fn refuse(is_refused: bool) {
    IS_REFUSED.iter().for_each(|refused| refused.store(is_refused, Relaxed));
}

/// Ranges of whole blocks in regions of ours: where they begin, and their lengths in bytes.
pub(in crate::mapping) type Ranges = [(NonNull<u8>, usize)];

/// Gives advice about `ranges`, in their order, and returns how many the kernel has dealt with.
///
/// # Safety
/// The ranges lie in regions that stay mapped during the call; for [`Advice::Discard`] the file holds what is in them.
pub(in crate::mapping) unsafe fn advise(ranges: &Ranges, advice: Advice) -> usize {
    let refused = &IS_REFUSED[advice as usize];
    // One range is as well told alone.
    if ranges.len() < 2 || refused.load(Relaxed) {
        return 0;
    }
    // Opened each time: after a fork another one would be the parent's.
    let Ok(this) = pidfd_open(getpid(), PidfdFlags::empty()) else { return 0 };
    let mut done = 0;
    for some in ranges.chunks(RANGES_MAX) {
        // SAFETY: by contract.
        let advised = unsafe { call(this.as_raw_fd(), some, advice) };
        let count = advised.as_ref().map_or(0, |bytes| whole_ranges(some, *bytes));
        if advised.is_err_and(|error| is_final(&error)) {
            refused.store(true, Relaxed);
        }
        done += count;
        if count < some.len() {
            break;
        }
    }
    done
}

/// Whether this says something of the call, and not of the ranges or of the moment.
fn is_final(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL | libc::EPERM))
}

/// How many of `ranges` end within their first `bytes` bytes.
fn whole_ranges(ranges: &Ranges, bytes: usize) -> usize {
    let ends = ranges.iter().scan(0, |end, (_, len)| {
        *end += len;
        Some(*end)
    });
    ends.take_while(|end| *end <= bytes).count()
}

/// One call; how many bytes of the ranges it has come through.
///
/// # Safety
/// As [`advise`].
unsafe fn call(this: i32, ranges: &Ranges, advice: Advice) -> io::Result<usize> {
    let vectors: Vec<libc::iovec> = ranges
        .iter()
        .map(|(start, len)| libc::iovec { iov_base: start.as_ptr().cast(), iov_len: *len })
        .collect();
    let advice = match advice {
        Advice::Discard => libc::MADV_DONTNEED,
        Advice::MapAhead => libc::MADV_POPULATE_READ,
    };
    // SAFETY: the kernel reads `vectors`, which live through the call, and takes the advice about memory of this process, as
    // `madvise` would: by contract that changes no byte of it.
    let bytes = unsafe {
        libc::syscall(libc::SYS_process_madvise, this, vectors.as_ptr(), vectors.len(), advice, 0_u32)
    };
    // A negative number says why none.
    usize::try_from(bytes).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_dealt_with_when_all_of_it_is() {
        let ranges = [(NonNull::dangling(), 10), (NonNull::dangling(), 5), (NonNull::dangling(), 20)];
        let whole = |bytes| whole_ranges(&ranges, bytes);
        assert_eq!([0, 9, 10, 14, 15, 34, 35].map(whole), [0, 0, 1, 1, 2, 2, 3]);
    }

    #[test]
    fn what_a_moment_refuses_may_be_asked_for_again() {
        let is_final = |code| is_final(&io::Error::from_raw_os_error(code));
        assert!([libc::ENOSYS, libc::EINVAL, libc::EPERM].into_iter().all(is_final));
        assert!(![libc::EFAULT, libc::EINTR, libc::ENOMEM, libc::EAGAIN].into_iter().any(is_final));
    }
}
