//! A private map of a file, by the operating system.
//!
//! Linux only: elsewhere `MADV_DONTNEED` need not drop private copies.

use std::{
    io,
    os::fd::OwnedFd,
    ptr::{self, NonNull},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

/// Address space is plentiful but not endless: a process that opens a thousand stores takes half of it at this
/// size. A value never crosses a region, and none is longer than 4 GiB.
pub(super) const REGION_BYTES_MAX: u64 = 64 << 30;
/// The least that is worth having where address space is limited.
pub(super) const REGION_BYTES_MIN: u64 = 1 << 30;

#[derive(Debug)]
pub(super) struct PrivateFile {
    file: OwnedFd,
    /// The file is at least this long. Whoever cuts the file lowers it.
    length: Arc<AtomicU64>,
}

impl PrivateFile {
    pub(super) fn new(file: OwnedFd, length: Arc<AtomicU64>) -> Self {
        Self { file, length }
    }

    /// Maps one region of the file, also beyond its end.
    pub(super) fn map_region(&self, index: usize, region_bytes: u64) -> io::Result<NonNull<u8>> {
        let len = usize::try_from(region_bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping where the kernel finds room touches no memory that is in use.
        let start = unsafe {
            mmap(ptr::null_mut(), len, protection, flags, &self.file, index as u64 * region_bytes)
        }?;
        Ok(NonNull::new(start.cast()).expect("mmap never chooses address zero"))
    }

    /// Checks that a range lies inside the file.
    pub(super) fn check_inside(&self, offset: u64, len: usize) -> io::Result<()> {
        let end = offset.checked_add(len as u64).ok_or(io::ErrorKind::InvalidInput)?;
        if end <= self.length.load(Ordering::Relaxed) {
            return Ok(());
        }
        let length = rustix::fs::fstat(&self.file)?.st_size.cast_unsigned();
        self.length.store(length, Ordering::Relaxed);
        if end <= length {
            return Ok(());
        }
        let what =
            format!("{len} bytes at {offset} lie beyond the end of the file, which is {length} bytes long");
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, what))
    }
}

/// Drops the private copies in a range of whole blocks inside a region.
pub(super) fn discard(start: NonNull<u8>, len: usize) -> io::Result<()> {
    // SAFETY: the range belongs to a region of ours. Its bytes do not change, since the file holds the same ones
    // (contract of `Mapping::discard`).
    unsafe { madvise(start.as_ptr().cast(), len, Advice::LinuxDontNeed) }?;
    Ok(())
}

/// Unmaps a region.
///
/// # Safety
/// `start` comes from `map_region` with the same `region_bytes`, and no reference into it is left.
pub(super) unsafe fn unmap_region(start: NonNull<u8>, region_bytes: u64) {
    let len = usize::try_from(region_bytes).expect("the region was mapped, so its length is a usize");
    // SAFETY: by contract.
    let unmapped = unsafe { munmap(start.as_ptr().cast(), len) };
    debug_assert!(unmapped.is_ok(), "a whole mapping can always be unmapped: {unmapped:?}");
}
