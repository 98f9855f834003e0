//! Memory aligned for writes that bypass the page cache.
#![expect(unsafe_code, reason = "door 1: aligned buffers")]

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    fmt,
    ops::{Deref, DerefMut},
    ptr::NonNull,
};

/// Alignment and granularity of direct writes, in bytes.
pub const BLOCK_SIZE: usize = 4096;

/// Zeroed bytes on the heap, aligned to [`BLOCK_SIZE`]; the length is a multiple of it.
pub struct AlignedBuf {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the buffer owns its memory alone, like a `Box<[u8]>`.
unsafe impl Send for AlignedBuf {}
// SAFETY: shared references only read.
unsafe impl Sync for AlignedBuf {}

impl AlignedBuf {
    /// `len` zero bytes. `len` must be a positive multiple of [`BLOCK_SIZE`].
    pub fn new(len: usize) -> Self {
        let layout = Self::layout(len);
        // SAFETY: the layout has a size above zero, asserted in `layout`.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Self { start, len }
    }

    fn layout(len: usize) -> Layout {
        assert!(
            len > 0 && len.is_multiple_of(BLOCK_SIZE),
            "direct buffers are whole blocks, not {len} bytes"
        );
        Layout::from_size_align(len, BLOCK_SIZE).expect("a buffer is smaller than the address space")
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `start` points to `len` initialised bytes that this value owns.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with the same layout, and freed only here.
        unsafe { dealloc(self.start.as_ptr(), Self::layout(self.len)) }
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBuf({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_zeroed_and_their_own() {
        let mut buffers: Vec<AlignedBuf> =
            (1..=8).map(|blocks| AlignedBuf::new(blocks * BLOCK_SIZE)).collect();
        for (buffer, fill) in buffers.iter_mut().zip(1..) {
            assert!(buffer.as_ptr().addr().is_multiple_of(BLOCK_SIZE));
            assert_eq!(buffer.len(), usize::from(fill) * BLOCK_SIZE);
            assert!(buffer.iter().all(|byte| *byte == 0));
            buffer.fill(fill);
        }
        for (buffer, fill) in buffers.iter().zip(1..) {
            assert!(buffer.iter().all(|byte| *byte == fill));
        }
    }

    #[test]
    fn buffers_of_broken_blocks_are_refused() {
        for len in [0, 1, BLOCK_SIZE - 1, BLOCK_SIZE + 1] {
            assert!(std::panic::catch_unwind(|| AlignedBuf::new(len)).is_err(), "{len} bytes");
        }
    }
}
