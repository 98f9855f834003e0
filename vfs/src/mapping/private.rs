//! A private map of a file, by the operating system.
//!
//! Linux only: elsewhere `MADV_DONTNEED` need not drop private copies.
//!
//! Where pages were lost (`bus_error.rs`), memory lies in the place of the file; it goes when the place is
//! discarded or loaded, by mapping the file there anew.

pub(super) mod many;

use std::{
    io,
    os::fd::OwnedFd,
    ptr::{self, NonNull},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

use super::{
    BusErrors, bus_error,
    lost::{self, LostPage, LostPages, Watch},
};
use crate::BLOCK_SIZE;

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
    losses: BusErrors,
    lost: Arc<LostPages>,
    /// One for each region, if the losses are caught.
    watches: Mutex<Vec<Watch>>,
}

impl PrivateFile {
    pub(super) fn new(file: OwnedFd, length: Arc<AtomicU64>, losses: BusErrors) -> Self {
        if losses == BusErrors::Catch {
            bus_error::install();
        }
        Self { file, length, losses, lost: Arc::new(LostPages::new()), watches: Mutex::default() }
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
        let start = NonNull::new(start.cast()).expect("mmap never chooses address zero");
        expect_single_pages(start, len);
        if self.losses == BusErrors::Catch {
            self.watch(start, index as u64 * region_bytes, region_bytes);
        }
        Ok(start)
    }

    fn watch(&self, start: NonNull<u8>, offset: u64, len: u64) {
        match lost::watch(start.as_ptr().expose_provenance(), len, offset, &self.lost) {
            Some(watch) => self.watches.lock().unwrap_or_else(PoisonError::into_inner).push(watch),
            None => log::warn!("too many maps: a file that is cut while it is open will end the process"),
        }
    }

    /// Before the regions are unmapped.
    pub(super) fn stop_watching(&mut self) {
        self.watches.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn losses(&self) -> u64 {
        self.lost.version()
    }

    pub(super) fn lost_pages(&self) -> Option<Vec<LostPage>> {
        self.lost.list()
    }

    /// Whether something of this range, or too much to tell, was lost.
    pub(super) fn has_lost(&self, offset: u64, len: usize) -> bool {
        let touches =
            |page: &LostPage| page.offset < offset + len as u64 && offset < page.offset + BLOCK_SIZE as u64;
        self.losses() > 0 && self.lost.list().is_none_or(|pages| pages.iter().any(touches))
    }

    /// Shows the file in a range where something was lost, without the private copies, and without the memory that
    /// was put there. `start` is the address of `offset`, in a region of ours; whole blocks.
    pub(super) fn show_again(&self, start: NonNull<u8>, offset: u64, len: usize) -> io::Result<()> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: the range lies in a region of ours, and stays mapped. Its bytes do not change under a reference:
        // whoever discards has given the file the same ones, and of what is loaded nobody has a reference.
        unsafe { mmap(start.as_ptr().cast(), len, protection, flags, &self.file, offset) }?;
        Ok(())
    }

    /// Checks that a range lies inside the file.
    pub(super) fn check_inside(&self, offset: u64, len: usize) -> io::Result<()> {
        let end = offset.checked_add(len as u64).ok_or(io::ErrorKind::InvalidInput)?;
        // What is known of the length of a file that somebody has cut is not worth much.
        if end <= self.length.load(Ordering::Relaxed) && self.losses() == 0 {
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

/// Has the kernel begin to read a range of the file, beginning with a whole block, into the page cache.
pub(super) fn read_ahead(start: *mut u8, len: usize) {
    // SAFETY: the range belongs to a region of ours, and this advice changes no byte of it.
    let advised = unsafe { madvise(start.cast(), len, Advice::WillNeed) };
    // Whoever reads the range finds out what is wrong with it; memory being short is no error here.
    let _ = advised;
}

/// Has the kernel put a range of the file into the page tables, from the page cache if it is there.
pub(super) fn map_ahead(start: NonNull<u8>, len: usize) {
    // SAFETY: the range belongs to a region of ours, and this advice reads it and changes no byte of it.
    let advised = unsafe { madvise(start.as_ptr().cast(), len, Advice::LinuxPopulateRead) };
    // Kernels before 5.14 do not know it, and what cannot be read is found out by whoever reads it.
    let _ = advised;
}

/// Tells the kernel that whoever touches a page of a region wants this page alone. By itself it would read what lies
/// around it, up to some megabytes, and the first one waits for all of that; who wants more asks for it ahead.
fn expect_single_pages(start: NonNull<u8>, len: usize) {
    // SAFETY: the range is a region of ours, and this advice changes no byte of it.
    let advised = unsafe { madvise(start.as_ptr().cast(), len, Advice::Random) };
    // A hint that is not taken costs time only.
    let _ = advised;
}

/// Part of the memory of the machine that a file in large pages may take.
const LARGE_PART: u64 = 4;

/// Whether memory holds a file of `len` bytes several times.
pub(super) fn is_short(len: u64) -> bool {
    let memory = rustix::system::sysinfo();
    len <= memory.totalram.saturating_mul(memory.mem_unit.into()) / LARGE_PART
}

/// Allows the kernel to take large pages for a range of the file that is not in memory. It does so for the whole page
/// when the first byte is touched, and reads it from the disk if there is anything to be read.
pub(super) fn expect_large_pages(start: *mut u8, len: usize) {
    // SAFETY: the range belongs to a region of ours, and this advice changes no byte of it.
    let advised = unsafe { madvise(start.cast(), len, Advice::LinuxHugepage) };
    // A kernel without large pages of files refuses: it costs time only.
    let _ = advised;
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
