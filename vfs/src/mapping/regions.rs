//! Where the regions of a mapping lie in memory.

use std::{
    io,
    ptr::{self, NonNull},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicPtr, AtomicU64, Ordering},
    },
};

/// No mapping is longer than what 47 bits of address space could hold.
const MAPPING_BYTES_MAX: u64 = 128 << 40;
/// Bound of the table, for small regions.
const REGION_COUNT_MAX: u64 = 1 << 17;

/// The table of regions: written under a lock, read without one.
#[derive(Debug)]
pub(super) struct Regions {
    shift: u32,
    /// Null, or the start of the region with this index. Set once, in ascending order.
    table: Box<[AtomicPtr<u8>]>,
    reserved: AtomicU64,
    growing: Mutex<()>,
}

impl Regions {
    /// A table that holds the first region.
    pub(super) fn new(region_bytes: u64, first: NonNull<u8>) -> Self {
        assert!(region_bytes.is_power_of_two(), "regions are found by a shift");
        let count = (MAPPING_BYTES_MAX / region_bytes).clamp(1, REGION_COUNT_MAX);
        let table: Box<[_]> = (0..count).map(|_| AtomicPtr::new(ptr::null_mut())).collect();
        table[0].store(first.as_ptr(), Ordering::Release);
        Self {
            shift: region_bytes.ilog2(),
            table,
            reserved: AtomicU64::new(region_bytes),
            growing: Mutex::new(()),
        }
    }

    pub(super) fn region_bytes(&self) -> u64 {
        1 << self.shift
    }

    pub(super) fn reserved(&self) -> u64 {
        self.reserved.load(Ordering::Acquire)
    }

    /// Adds regions, made by `map_region`, until `len` bytes are addressable.
    pub(super) fn reserve(
        &self,
        len: u64,
        map_region: impl Fn(usize) -> io::Result<NonNull<u8>>,
    ) -> io::Result<()> {
        if len <= self.reserved() {
            return Ok(());
        }
        if self.slot(len - 1).is_none() {
            let what = format!("a mapping of {len} bytes is longer than address space goes");
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, what));
        }
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        while self.reserved() < len {
            let reserved = self.reserved();
            let (index, slot) = self.slot(reserved).expect("the table reaches to the end, checked above");
            slot.store(map_region(index)?.as_ptr(), Ordering::Release);
            self.reserved.store(reserved + self.region_bytes(), Ordering::Release);
        }
        Ok(())
    }

    /// Address of a reserved range that lies inside one region.
    #[inline]
    pub(super) fn address(&self, offset: u64, len: usize) -> NonNull<u8> {
        debug_assert!(
            (offset & (self.region_bytes() - 1)) + len as u64 <= self.region_bytes(),
            "{len} bytes at {offset} cross the end of a region"
        );
        let start = self.hint(offset).and_then(NonNull::new);
        start.expect("whoever asks for a range has reserved it")
    }

    /// Address of `offset` if it is reserved.
    #[inline]
    pub(super) fn hint(&self, offset: u64) -> Option<*mut u8> {
        let (_, slot) = self.slot(offset)?;
        let region = slot.load(Ordering::Acquire);
        if region.is_null() {
            return None;
        }
        Some(region.wrapping_add(self.offset_in_region(offset)))
    }

    /// Cuts a range where regions end.
    #[cfg(target_os = "linux")]
    pub(super) fn pieces(&self, offset: u64, len: usize) -> impl Iterator<Item = (u64, usize)> {
        cut(offset, len, self.region_bytes())
    }

    /// Takes the regions out of the table.
    pub(super) fn take(&mut self) -> impl Iterator<Item = NonNull<u8>> {
        self.table
            .iter_mut()
            .filter_map(|slot| NonNull::new(std::mem::replace(slot.get_mut(), ptr::null_mut())))
    }

    #[inline]
    fn slot(&self, offset: u64) -> Option<(usize, &AtomicPtr<u8>)> {
        let index = usize::try_from(offset >> self.shift).ok()?;
        Some((index, self.table.get(index)?))
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a region lies in memory, so its length is a usize")]
    fn offset_in_region(&self, offset: u64) -> usize {
        (offset & (self.region_bytes() - 1)) as usize
    }
}

/// Cuts a range at the multiples of `unit`.
pub(super) fn cut(mut offset: u64, mut len: usize, unit: u64) -> impl Iterator<Item = (u64, usize)> {
    std::iter::from_fn(move || {
        if len == 0 {
            return None;
        }
        let room = usize::try_from(unit - offset % unit).unwrap_or(usize::MAX);
        let piece = (offset, len.min(room));
        offset += piece.1 as u64;
        len -= piece.1;
        Some(piece)
    })
}
