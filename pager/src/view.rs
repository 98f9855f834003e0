//! The bytes of pages as references: where the protocol of the pager becomes memory safety.
//!
//! Why a reference to a page is never in the way of a store to it:
//! 1. A page is stored to only while it is *fresh*: allocated by the write transaction under way, since its last
//!    savepoint. `PageTxn` lends the page out for as long as it is itself borrowed, so it cannot store twice at
//!    once, or read what it stores to.
//! 2. A fresh page was free before. A free page is named by no retained root (the reuse rule, `retention`), and
//!    whoever reads holds a retained root (`readers`) or is the write transaction itself, which reads only what
//!    it allocated or what its root names.
//! 3. Once its transaction has ended, or has set a savepoint, a page is not stored to until it was free again.
//! 4. Private copies are discarded only for pages whose bytes the file holds already, all but the checksum, which
//!    nobody reads in a page that counts as verified; or for pages that are free, or belong to the allocation map,
//!    of which no reference is given.
//! 5. Every range asked for lies below `Space::file_pages`, and no longer range than a page crosses a region. The
//!    file is never cut while a reader may name a page behind its new end.
//!
//! Where processes share the store, another one writes pages to the file, and they show through here. By the same rule it
//! writes only pages that are free: its scan finds the readers of every process (`share`). A process that does not have
//! the turn to write has no private copies (`write_out`), so that nothing shadows what the others wrote.
//!
//! What this rests on, and cannot check: the bytes in the file. A page whose checksum, birth tag and kind are right
//! although it names pages that the allocation map calls free was made by hand. `check` finds such files.
#![expect(unsafe_code, reason = "door 4: the page view")]

use std::io;

use llmdb_base::{PAGE_SIZE, PageBytes, Pgno};
use llmdb_vfs::{LostPage, Mapping};

use crate::range::PageRange;

/// The mapping, seen as pages.
#[derive(Debug)]
pub(crate) struct View {
    mapping: Mapping,
}

impl View {
    pub fn new(mapping: Mapping) -> Self {
        Self { mapping }
    }

    /// A page that the caller may name: see the module.
    #[inline]
    pub fn page(&self, pgno: Pgno) -> &PageBytes {
        self.bytes(pgno.offset(), PAGE_SIZE).try_into().expect("a page is a page long")
    }

    /// Bytes of pages that the caller may name.
    #[inline]
    pub fn bytes(&self, offset: u64, len: usize) -> &[u8] {
        // SAFETY: reserved and inside the file, because the caller stays below `file_pages` (5), which grows only
        // after the mapping and the file have; nobody stores to the range or discards other bytes (1 to 4).
        unsafe { self.mapping.bytes(offset, len) }
    }

    /// A fresh page of the caller's own transaction.
    #[inline]
    pub fn page_mut(&self, pgno: Pgno) -> &mut PageBytes {
        self.bytes_mut(pgno.offset(), PAGE_SIZE).try_into().expect("a page is a page long")
    }

    /// Bytes of fresh pages of the caller's own transaction.
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "the writer shares the view with readers of other pages")]
    pub fn bytes_mut(&self, offset: u64, len: usize) -> &mut [u8] {
        // SAFETY: reserved and inside the file (5); the pages are fresh, so nobody else has a reference (1, 2).
        unsafe { self.mapping.bytes_mut(offset, len) }
    }

    /// Makes bytes of the file visible that nobody has looked at yet.
    pub fn load(&self, offset: u64, len: usize) -> io::Result<()> {
        self.mapping.load(offset, len)
    }

    /// Gives private memory back (4).
    ///
    /// # Errors
    /// The private copies stay, and go on to shadow the file.
    pub fn discard(&self, range: PageRange) -> io::Result<()> {
        let len = usize::try_from(range.count() * PAGE_SIZE as u64).expect("a range lies in memory");
        self.mapping.discard(Pgno::new(range.first()).offset(), len)
    }

    /// Gives private memory back (4).
    ///
    /// # Errors
    /// Some of the private copies may be gone; the others go on to shadow the file.
    pub fn discard_all(&self, ranges: &[PageRange]) -> io::Result<()> {
        self.mapping.discard_all(&in_bytes(ranges))
    }

    /// Makes pages readable without a fault. A hint.
    pub fn map_ahead(&self, ranges: &[PageRange]) {
        self.mapping.map_ahead(&in_bytes(ranges));
    }

    /// Makes the pages below `page_count` addressable.
    pub fn reserve(&self, page_count: u64) -> io::Result<()> {
        self.mapping.reserve(page_count * PAGE_SIZE as u64)
    }

    /// Pages in a region; a value lies inside one.
    pub fn region_pages(&self) -> u64 {
        self.mapping.region_bytes() / PAGE_SIZE as u64
    }

    /// Whether untouched pages show the file by themselves. Otherwise they must be loaded before the first look.
    pub fn shows_file(&self) -> bool {
        self.mapping.is_private_file()
    }

    /// Whether pages of any map were ever lost, see `lost`.
    #[inline]
    pub fn may_have_lost(&self) -> bool {
        self.mapping.may_have_lost()
    }

    /// Changes with every page that is lost.
    pub fn losses(&self) -> u64 {
        self.mapping.losses()
    }

    /// The pages lost so far; `None` if they are too many to be told apart.
    pub fn lost_pages(&self) -> Option<Vec<LostPage>> {
        self.mapping.lost_pages()
    }

    #[inline]
    pub fn prefetch(&self, pgno: Pgno) {
        self.mapping.prefetch(pgno.offset());
    }

    /// The last four lines of a page.
    #[inline]
    pub fn prefetch_end(&self, pgno: Pgno) {
        let end = pgno.offset() + PAGE_SIZE as u64;
        self.mapping.prefetch(end - 256);
        self.mapping.prefetch(end - 128);
    }

    #[inline]
    pub fn prefetch_bytes(&self, bytes: &[u8]) {
        self.mapping.prefetch_bytes(bytes);
    }

    /// Says that the file has grown by `count` pages from `first` on, that nobody has written yet.
    pub fn expect_growth(&self, first: u64, count: u64) {
        let len = usize::try_from(count * PAGE_SIZE as u64).expect("what is reserved lies in memory");
        self.mapping.expect_growth(Pgno::new(first).offset(), len);
    }

    /// Asks for pages to be fetched from the disk.
    pub fn read_ahead(&self, range: PageRange) {
        let len = usize::try_from(range.count() * PAGE_SIZE as u64).expect("a range lies in memory");
        self.mapping.read_ahead(Pgno::new(range.first()).offset(), len);
    }
}

/// Offsets and lengths.
fn in_bytes(ranges: &[PageRange]) -> Vec<(u64, usize)> {
    let len = |count: u64| usize::try_from(count * PAGE_SIZE as u64).expect("a range lies in memory");
    ranges.iter().map(|range| (Pgno::new(range.first()).offset(), len(range.count()))).collect()
}
