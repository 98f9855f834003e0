//! Private memory over a file: the pages a reader sees, and the place where a writer prepares new ones.
//!
//! ```text
//!            +---- region 0 ----+---- region 1 ----+ ...      each `region_bytes` long (a power of two),
//!  memory    | private pages over the file          |          reserved when first needed, never moved
//!            +-------------------------------------+
//!  file      |####################......            |          `discard` drops private pages again
//!            +-------------------------------------+
//! ```
//!
//! A store never reaches the file: it makes a private copy of the page (copy-on-write of the operating system),
//! which shadows the file until `discard`. What must become durable is written with `File::write_at`; after
//! that, and only then, `discard` gives the private memory back and the same bytes show through from the file.
#![expect(unsafe_code, reason = "door 2: the mapping")]

#[cfg(target_os = "linux")]
pub(crate) mod bus_error;
mod heap;
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "nothing is lost there"))]
pub(crate) mod lost;
#[cfg(target_os = "linux")]
mod private;
mod regions;

use std::{fmt, io, ptr::NonNull, sync::Arc};

pub use self::lost::{LossCause, LostPage};
#[cfg(target_os = "linux")]
use self::private::many;
use self::{heap::Heap, regions::Regions};
use crate::{BLOCK_SIZE, File};

/// Bytes in a line of the processor's caches.
#[cfg(target_arch = "x86_64")]
const LINE_BYTES: usize = 64;
/// Lines that one call prefetches at most: a processor has some ten fetches under way.
#[cfg(target_arch = "x86_64")]
const LINES_MAX: usize = 8;

/// Memory that shows a file and takes stores that the file never sees.
///
/// There are two kinds, which differ only in where the bytes come from:
/// - a private map of the file by the operating system, where untouched pages cost no memory of their own;
/// - memory of this process, zeroed at first, into which [`Mapping::load`] copies from the file, if there is one.
///
/// Of a private map, whoever touches a page that is not in memory waits for that page alone: who reads much asks for it
/// ahead ([`Mapping::read_ahead`]).
///
/// Ranges are in bytes of the file. A range that is read or written as one must not cross a multiple of
/// [`Mapping::region_bytes`].
///
/// Invariants:
/// 1. A region that was once published in the table stays mapped, at the same address, until `Drop`.
/// 2. References handed out borrow the mapping, so none outlives its regions.
/// 3. Memory is written only through `bytes_mut`, by `load` (heap kind, and only blocks whose bytes differ from
///    those of the file and that carry no store), and by the kernel when a private page is discarded.
pub struct Mapping {
    regions: Regions,
    kind: Kind,
}

/// What becomes of a process that touches bytes of a map which the system cannot give: of a file that somebody else
/// has cut, or of a device that fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BusErrors {
    /// The bytes read as zeros, and reading says that they are lost. This takes a handler of SIGBUS, which is installed
    /// with the first map, stays, and passes on what does not concern maps of ours.
    #[default]
    Catch,
    /// What the program has arranged for SIGBUS; by default the process ends. For programs that own their signals.
    Leave,
}

#[derive(Debug)]
enum Kind {
    #[cfg(target_os = "linux")]
    Private(private::PrivateFile),
    Heap(Heap),
}

impl Mapping {
    /// Memory of this process: zeros, or what [`Mapping::load`] copies from `file`. `reserve` costs address space
    /// only; memory is taken page by page as it is touched.
    ///
    /// # Errors
    /// `OutOfMemory` if there is no address space for the first region.
    pub fn heap(file: Option<Arc<dyn File>>) -> io::Result<Self> {
        Self::heap_of_regions(file, heap::REGION_BYTES_MAX)
    }

    /// As [`Mapping::heap`], with regions of `region_bytes` (a power of two, at least one block).
    ///
    /// # Errors
    /// As [`Mapping::heap`].
    pub fn heap_of_regions(file: Option<Arc<dyn File>>, region_bytes: u64) -> io::Result<Self> {
        Self::with_first_region(Kind::Heap(Heap::new(file)), region_bytes, heap::REGION_BYTES_MIN)
    }

    /// A private map of `file`. `length` is how long the file is known to be; whoever cuts the file lowers it.
    ///
    /// # Errors
    /// `OutOfMemory` if there is no address space for the first region; whatever `mmap` says of such files.
    #[cfg(target_os = "linux")]
    pub(crate) fn private_file(
        file: std::os::fd::OwnedFd,
        length: Arc<std::sync::atomic::AtomicU64>,
        losses: BusErrors,
    ) -> io::Result<Self> {
        let kind = Kind::Private(private::PrivateFile::new(file, length, losses));
        Self::with_first_region(kind, private::REGION_BYTES_MAX, private::REGION_BYTES_MIN)
    }

    /// Maps the first region at once, and goes over to smaller regions where address space is limited: much smaller
    /// ones, so that the first does not take all there is.
    fn with_first_region(kind: Kind, mut region_bytes: u64, region_bytes_min: u64) -> io::Result<Self> {
        let first = loop {
            match kind.map_region(0, region_bytes) {
                Ok(first) => break first,
                Err(error)
                    if error.kind() == io::ErrorKind::OutOfMemory && region_bytes > region_bytes_min =>
                {
                    region_bytes = (region_bytes / 8).max(region_bytes_min);
                }
                Err(error) => return Err(error),
            }
        };
        Ok(Self { regions: Regions::new(region_bytes, first), kind })
    }

    /// Length of a region: a power of two. No range handed out may cross a multiple of it.
    pub fn region_bytes(&self) -> u64 {
        self.regions.region_bytes()
    }

    /// Makes at least the first `len` bytes addressable. Regions that exist stay where they are. Any thread may
    /// call this at any time. Cost: one load if nothing is to be done.
    ///
    /// # Errors
    /// `OutOfMemory` if there is no address space; what was reserved before stays so.
    pub fn reserve(&self, len: u64) -> io::Result<()> {
        self.regions.reserve(len, |index| self.kind.map_region(index, self.region_bytes()))
    }

    /// How many bytes are addressable: whole regions.
    pub fn reserved(&self) -> u64 {
        self.regions.reserved()
    }

    /// Makes the file's bytes of a reserved range visible, except where a store shadows them. Needed once before
    /// the first look at bytes that were in the file when it was opened, or that were written to it since by
    /// another way than `bytes_mut`, followed by [`Mapping::discard`].
    ///
    /// Private map: checks that the range lies inside the file, since there is no memory beyond its end; pages that
    /// were lost are asked for again. Heap: reads the range into place; without a file there is nothing to do.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before the range does; errors of reading or of asking for the length.
    pub fn load(&self, offset: u64, len: usize) -> io::Result<()> {
        match &self.kind {
            #[cfg(target_os = "linux")]
            Kind::Private(file) => {
                file.check_inside(offset, len)?;
                if file.has_lost(offset, len) { self.show_again(file, offset, len) } else { Ok(()) }
            }
            Kind::Heap(heap) => heap.load(&self.regions, offset, len),
        }
    }

    /// Maps the blocks anew that a range touches.
    #[cfg(target_os = "linux")]
    fn show_again(&self, file: &private::PrivateFile, offset: u64, len: usize) -> io::Result<()> {
        let first = offset - offset % BLOCK_SIZE as u64;
        let len =
            (len + usize::try_from(offset - first).expect("part of a block")).next_multiple_of(BLOCK_SIZE);
        self.regions
            .pieces(first, len)
            .try_for_each(|(start, len)| file.show_again(self.regions.address(start, len), start, len))
    }

    /// Whether pages of some map of this process were ever lost: the system could not give their bytes, and they read
    /// as zeros. If not, everything that was read before this call was there. Cost: one load.
    #[inline]
    pub fn may_have_lost(&self) -> bool {
        lost::anywhere()
    }

    /// A number that changes with every loss of a page of this mapping. 0: none was lost.
    pub fn losses(&self) -> u64 {
        match &self.kind {
            #[cfg(target_os = "linux")]
            Kind::Private(file) => file.losses(),
            Kind::Heap(_) => 0,
        }
    }

    /// The pages that were lost so far; `None` if they are too many to be told apart, which means that any may be
    /// among them.
    pub fn lost_pages(&self) -> Option<Vec<LostPage>> {
        match &self.kind {
            #[cfg(target_os = "linux")]
            Kind::Private(file) => file.lost_pages(),
            Kind::Heap(_) => Some(Vec::new()),
        }
    }

    /// The bytes of a range. Cost: one load and an addition.
    ///
    /// # Safety
    /// - The range is reserved, and crosses no multiple of [`Mapping::region_bytes`].
    /// - With a file: the range lies inside it (`load` said so, or the caller extended it), and stays inside it
    ///   while the reference lives.
    /// - While the reference lives, nobody holds a reference from `bytes_mut` into the range, or discards a store
    ///   in it unless the file holds the same bytes; and no `load` meets other bytes in the file.
    #[inline]
    pub unsafe fn bytes(&self, offset: u64, len: usize) -> &[u8] {
        let start = self.regions.address(offset, len);
        // SAFETY: the range is inside one region, which stays mapped as long as `self` lives (1, 2); it is
        // readable, since it is inside the file or has none, and nobody stores to it, both by contract.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), len) }
    }

    /// The bytes of a range, to be changed. What is stored here stays in memory.
    ///
    /// # Safety
    /// As [`Mapping::bytes`], and nobody else holds a reference into the range.
    #[inline]
    #[expect(
        clippy::mut_from_ref,
        reason = "a writer and many readers share the mapping; the caller keeps ranges apart"
    )]
    pub unsafe fn bytes_mut(&self, offset: u64, len: usize) -> &mut [u8] {
        match &self.kind {
            #[cfg(target_os = "linux")]
            Kind::Private(_) => {}
            Kind::Heap(heap) => heap.note_store(offset, len),
        }
        let start = self.regions.address(offset, len);
        // SAFETY: as in `bytes`, and the caller vouches that this is the only reference into the range.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), len) }
    }

    /// Gives back the private copies in a range, whose bytes the file holds already. `offset` and `len` must be
    /// multiples of [`BLOCK_SIZE`]. Safe beside readers of the range: they see the same bytes before and after.
    ///
    /// Heap: the memory stays as it is, and the next `load` of the range takes the bytes of the file.
    ///
    /// # Errors
    /// Whatever `madvise` says; the private copies stay.
    pub fn discard(&self, offset: u64, len: usize) -> io::Result<()> {
        assert!(
            offset.is_multiple_of(BLOCK_SIZE as u64) && len.is_multiple_of(BLOCK_SIZE),
            "whole blocks are discarded, not {len} bytes at {offset}"
        );
        match &self.kind {
            #[cfg(target_os = "linux")]
            // Memory that lies in the place of lost pages would not show the file afterwards.
            Kind::Private(file) if file.has_lost(offset, len) => self.show_again(file, offset, len),
            #[cfg(target_os = "linux")]
            Kind::Private(_) => self
                .regions
                .pieces(offset, len)
                .try_for_each(|(start, len)| private::discard(self.regions.address(start, len), len)),
            Kind::Heap(heap) => {
                heap.forget_stores(offset, len);
                Ok(())
            }
        }
    }

    /// As [`Mapping::discard`], for many ranges, given as offset and length: readers in other threads are interrupted once for
    /// some hundreds of them, and not for each (Linux 6.13 and later).
    ///
    /// # Errors
    /// As [`Mapping::discard`]; some of the private copies may be gone.
    pub fn discard_all(&self, ranges: &[(u64, usize)]) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Kind::Private(file) = &self.kind
            && file.losses() == 0
        {
            let pieces = self.addresses(ranges);
            // SAFETY: in regions of ours; the file holds what is in them (contract of `discard`).
            let done = unsafe { many::advise(&pieces, many::Advice::Discard) };
            return pieces[done..].iter().try_for_each(|(start, len)| private::discard(*start, *len));
        }
        ranges.iter().try_for_each(|(offset, len)| self.discard(*offset, *len))
    }

    /// Makes ranges of the file, given as offset and length, readable without a fault of the processor's page tables. Whoever
    /// faults on a page waits while the kernel hands what lies around it to the disk: what was discarded a moment ago is
    /// better mapped again by whoever discarded it. A hint. Cost: a system call for some hundreds of ranges (Linux 6.13 and
    /// later), and a read of what is not in the page cache.
    pub fn map_ahead(&self, ranges: &[(u64, usize)]) {
        #[cfg(target_os = "linux")]
        if self.is_private_file() {
            let pieces = self.addresses(ranges);
            // SAFETY: in regions of ours.
            let done = unsafe { many::advise(&pieces, many::Advice::MapAhead) };
            pieces[done..].iter().for_each(|(start, len)| private::map_ahead(*start, *len));
        }
        #[cfg(not(target_os = "linux"))]
        let _ = ranges;
    }

    /// Where reserved ranges lie, cut where regions end.
    #[cfg(target_os = "linux")]
    fn addresses(&self, ranges: &[(u64, usize)]) -> Vec<(NonNull<u8>, usize)> {
        let pieces = ranges.iter().flat_map(|(offset, len)| self.regions.pieces(*offset, *len));
        pieces.map(|(offset, len)| (self.regions.address(offset, len), len)).collect()
    }

    /// Tells the processor that the bytes at `offset` are wanted soon: the line that holds them and the next one.
    /// A hint; anything is allowed, also offsets that are not reserved.
    #[inline]
    pub fn prefetch(&self, offset: u64) {
        #[cfg(target_arch = "x86_64")]
        if let Some(line) = self.regions.hint(offset) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: the instruction never faults and changes nothing, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
            // SAFETY: as above.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(64).cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = offset;
    }

    /// Tells the processor that `bytes` are wanted soon: all lines that hold them, eight at most. A hint.
    #[inline]
    pub fn prefetch_bytes(&self, bytes: &[u8]) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let lines = (bytes.as_ptr().addr() % LINE_BYTES + bytes.len()).div_ceil(LINE_BYTES);
            for line in 0..lines.min(LINES_MAX) {
                // SAFETY: the instruction never faults and changes nothing, whatever the address.
                unsafe {
                    _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(line * LINE_BYTES).cast());
                }
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = bytes;
    }

    /// Asks for bytes of the file to be fetched from the disk while the caller goes on, so that many fetches are under
    /// way at once. A hint: a range that is not reserved, or crosses regions, is passed over. Cost: a system call.
    pub fn read_ahead(&self, offset: u64, len: usize) {
        #[cfg(target_os = "linux")]
        if let Some(start) = self.hint_of_private(offset, len) {
            private::read_ahead(start, len);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (offset, len);
    }

    /// Says that the file has grown by a range of which the disk holds nothing yet, so that the page cache may keep it in
    /// large pages: whoever reads it finds it with fewer misses of the processor's page tables. A hint, as
    /// [`Mapping::read_ahead`]. Not taken where the file is long beside memory: what has been dropped from there comes
    /// back a large page at a time.
    pub fn expect_growth(&self, offset: u64, len: usize) {
        #[cfg(target_os = "linux")]
        if private::is_short(offset + len as u64)
            && let Some(start) = self.hint_of_private(offset, len)
        {
            private::expect_large_pages(start, len);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (offset, len);
    }

    /// Where a range of a private map begins, if it is reserved and in one region.
    #[cfg(target_os = "linux")]
    fn hint_of_private(&self, offset: u64, len: usize) -> Option<*mut u8> {
        let is_whole = (offset & (self.region_bytes() - 1)) + len as u64 <= self.region_bytes();
        self.regions.hint(offset).filter(|_| is_whole && self.is_private_file())
    }

    /// Whether this is a private map of a file by the operating system.
    pub fn is_private_file(&self) -> bool {
        !matches!(self.kind, Kind::Heap(_))
    }
}

impl Kind {
    fn map_region(&self, index: usize, region_bytes: u64) -> io::Result<NonNull<u8>> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Private(file) => file.map_region(index, region_bytes),
            Self::Heap(_) => heap::map_region(index, region_bytes),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let region_bytes = self.region_bytes();
        #[cfg(target_os = "linux")]
        if let Kind::Private(file) = &mut self.kind {
            file.stop_watching();
        }
        for start in self.regions.take() {
            match &self.kind {
                #[cfg(target_os = "linux")]
                // SAFETY: mapped by `map_region` with this length; `&mut self` shows that no reference is left (2).
                Kind::Private(_) => unsafe { private::unmap_region(start, region_bytes) },
                // SAFETY: as above.
                Kind::Heap(_) => unsafe { heap::unmap_region(start, region_bytes) },
            }
        }
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_private_file() { "private file" } else { "heap" };
        write!(f, "Mapping({kind}, {} bytes reserved)", self.reserved())
    }
}

#[cfg(test)]
mod tests;
