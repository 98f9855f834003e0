//! Memory of this process in place of a map, with the same rules: stores shadow the file until they are discarded.

use std::{
    collections::HashSet,
    io,
    ptr::NonNull,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::regions::{Regions, cut};
use crate::{BLOCK_SIZE, File, disk::read_exact_at};

/// Regions must hold the longest value; memory is taken only as it is touched.
#[cfg(unix)]
pub(super) const REGION_BYTES_MAX: u64 = 8 << 30;
/// Memory is taken when the region is.
#[cfg(not(unix))]
pub(super) const REGION_BYTES_MAX: u64 = 64 << 20;
/// The least that is worth having where address space is limited.
pub(super) const REGION_BYTES_MIN: u64 = 64 << 20;

/// How much is read from the file at once.
const LOAD_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Heap {
    behind: Option<Behind>,
}

/// The file behind the memory.
#[derive(Debug)]
struct Behind {
    file: Arc<dyn File>,
    /// Numbers of the blocks that carry a store, and so do not show the file. The lock also keeps loads apart.
    stored: Mutex<HashSet<u64>>,
}

impl Heap {
    pub(super) fn new(file: Option<Arc<dyn File>>) -> Self {
        Self { behind: file.map(|file| Behind { file, stored: Mutex::new(HashSet::new()) }) }
    }

    /// Copies a range of the file into place, except into blocks that carry a store.
    ///
    /// Blocks that show the file already are compared, not written: somebody may be reading them.
    pub(super) fn load(&self, regions: &Regions, offset: u64, len: usize) -> io::Result<()> {
        let Some(behind) = &self.behind else { return Ok(()) };
        let stored = behind.stored();
        let mut read = vec![0; len.min(LOAD_BYTES)];
        for (start, len) in cut(offset, len, LOAD_BYTES as u64) {
            read_exact_at(&*behind.file, &mut read[..len], start)?;
            let mut bytes = &read[..len];
            for (start, len) in cut(start, len, BLOCK_SIZE as u64) {
                let (new, rest) = bytes.split_at(len);
                bytes = rest;
                if !stored.contains(&(start / BLOCK_SIZE as u64)) {
                    show(regions, start, new);
                }
            }
        }
        Ok(())
    }

    /// A store is about to be made: from now on the range does not show the file.
    #[inline]
    pub(super) fn note_store(&self, offset: u64, len: usize) {
        if let Some(behind) = &self.behind {
            behind.stored().extend(blocks(offset, len));
        }
    }

    /// The range shows the file again, once it is loaded.
    pub(super) fn forget_stores(&self, offset: u64, len: usize) {
        if let Some(behind) = &self.behind {
            let mut stored = behind.stored();
            for block in blocks(offset, len) {
                stored.remove(&block);
            }
        }
    }
}

impl Behind {
    fn stored(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a piece of a block show `new`. The caller holds the lock of the stores, and the block carries none.
fn show(regions: &Regions, offset: u64, new: &[u8]) {
    let start = regions.address(offset, new.len());
    // SAFETY: the piece is inside a region. The block carries no store, so no reference to change it is out, and
    // loads exclude each other by the lock.
    let old = unsafe { std::slice::from_raw_parts(start.as_ptr(), new.len()) };
    if old != new {
        // SAFETY: as above; and nobody reads the piece, because `bytes` forbids a load that meets other bytes
        // in the file while its reference lives.
        unsafe { std::ptr::copy_nonoverlapping(new.as_ptr(), start.as_ptr(), new.len()) };
    }
}

/// Numbers of the blocks that a range touches.
fn blocks(offset: u64, len: usize) -> impl Iterator<Item = u64> {
    cut(offset, len, BLOCK_SIZE as u64).map(|(start, _)| start / BLOCK_SIZE as u64)
}

/// Takes zeroed memory for one region.
#[cfg(unix)]
pub(super) fn map_region(_index: usize, region_bytes: u64) -> io::Result<NonNull<u8>> {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

    let len = usize::try_from(region_bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping where the kernel finds room touches no memory that is in use.
    let start = unsafe {
        mmap_anonymous(std::ptr::null_mut(), len, protection, lazily_committed(MapFlags::PRIVATE))
    }?;
    Ok(NonNull::new(start.cast()).expect("mmap never chooses address zero"))
}

#[cfg(target_os = "linux")]
fn lazily_committed(flags: rustix::mm::MapFlags) -> rustix::mm::MapFlags {
    flags | rustix::mm::MapFlags::NORESERVE
}

#[cfg(all(unix, not(target_os = "linux")))]
fn lazily_committed(flags: rustix::mm::MapFlags) -> rustix::mm::MapFlags {
    flags
}

/// Gives a region back.
///
/// # Safety
/// `start` comes from `map_region` with the same `region_bytes`, and no reference into it is left.
#[cfg(unix)]
pub(super) unsafe fn unmap_region(start: NonNull<u8>, region_bytes: u64) {
    let len = usize::try_from(region_bytes).expect("the region was mapped, so its length is a usize");
    // SAFETY: by contract.
    let unmapped = unsafe { rustix::mm::munmap(start.as_ptr().cast(), len) };
    debug_assert!(unmapped.is_ok(), "a whole mapping can always be unmapped: {unmapped:?}");
}

/// Takes zeroed memory for one region.
#[cfg(not(unix))]
pub(super) fn map_region(_index: usize, region_bytes: u64) -> io::Result<NonNull<u8>> {
    // SAFETY: a region has a size above zero, asserted in `layout`.
    let start = unsafe { std::alloc::alloc_zeroed(layout(region_bytes)) };
    NonNull::new(start).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

/// Gives a region back.
///
/// # Safety
/// `start` comes from `map_region` with the same `region_bytes`, and no reference into it is left.
#[cfg(not(unix))]
pub(super) unsafe fn unmap_region(start: NonNull<u8>, region_bytes: u64) {
    // SAFETY: by contract.
    unsafe { std::alloc::dealloc(start.as_ptr(), layout(region_bytes)) }
}

#[cfg(not(unix))]
fn layout(region_bytes: u64) -> std::alloc::Layout {
    let len = usize::try_from(region_bytes).expect("regions are smaller than the address space");
    assert!(len > 0, "regions hold something");
    std::alloc::Layout::from_size_align(len, BLOCK_SIZE).expect("regions are smaller than the address space")
}
