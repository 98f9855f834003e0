//! A store that hands page announcements on to the processor, as a mapping does.
#![expect(unsafe_code, reason = "a prefetch hint takes a raw pointer")]

use llmdb_base::{ChildRef, PAGE_SIZE, PageBytes, PageResult, ReadPages, RunRef};
use llmdb_btree::testing::VecPages;

/// Pages in memory, with prefetch.
pub struct Prefetching<'a> {
    /// The pages.
    pub pages: &'a VecPages,
    /// Which lines of 64 bytes of a page are fetched.
    pub lines: &'static [usize],
}

/// The lines with the header, the first keys, and the slots of a leaf.
pub const ENDS: &[usize] = &[0, 61, 62, 63];
/// Every second line; the processor fetches lines in pairs.
pub const ALL: &[usize] = &[
    0, 63, 62, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42, 44, 46, 48,
    50, 52, 54, 56, 58, 60,
];

impl ReadPages for Prefetching<'_> {
    #[inline]
    fn page(&self, child: ChildRef) -> PageResult<&PageBytes> {
        self.pages.page(child)
    }

    #[inline]
    fn ready_page(&self, child: ChildRef) -> Option<&PageBytes> {
        self.pages.ready_page(child)
    }

    fn run(&self, run: &RunRef) -> PageResult<&[u8]> {
        self.pages.run(run)
    }

    fn run_part(&self, run: &RunRef, offset: u64, len: usize) -> PageResult<&[u8]> {
        self.pages.run_part(run, offset, len)
    }

    #[inline]
    fn prefetch(&self, child: ChildRef) {
        if let Some(page) = self.pages.raw(child.pgno()) {
            for line in self.lines {
                hint(&page[line * 64 % PAGE_SIZE..]);
            }
        }
    }

    #[inline]
    fn prefetch_bytes(&self, bytes: &[u8]) {
        // No more than a value of a few hundred bytes: the lines behind those come by themselves.
        for line in bytes.chunks(64).take(self.lines.len().min(5)) {
            hint(line);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn hint(bytes: &[u8]) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint never faults, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().cast()) };
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn hint(bytes: &[u8]) {
    std::hint::black_box(bytes.first());
}
