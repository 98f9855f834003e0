//! The memory of the words: a shared map of a file that is long enough.
#![expect(unsafe_code, reason = "door 5: words shared between processes")]

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd},
    ptr::{self, NonNull},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64},
    },
};

use rustix::{
    mm::{MapFlags, ProtFlags, mmap, munmap},
    thread::futex,
};

use super::{AREA_BYTES, AREA_WORDS};
use crate::mapping::{
    bus_error,
    lost::{self, LostPages, Watch},
};

/// Length of the map as a number of bytes in memory.
const MAP_BYTES: usize = AREA_WORDS * size_of::<AtomicU64>();
const _: () = assert!(MAP_BYTES as u64 == AREA_BYTES);

/// Words over the first bytes of a file. Every process that maps the file shares them.
pub(crate) struct Words {
    start: NonNull<AtomicU64>,
    /// If the loss of words is to be an error: what was lost, and the entry in the table of the handler.
    watched: Option<(Arc<LostPages>, Watch)>,
}

// SAFETY: the map belongs to this value alone until it is dropped, and is used through atomics only.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Words {
    /// Maps a file, which must be [`AREA_BYTES`] long: touching words beyond its end would end the process.
    ///
    /// # Errors
    /// Whatever `mmap` says of such files.
    pub(crate) fn map(file: impl AsFd) -> io::Result<Self> {
        // SAFETY: a new mapping where the kernel finds room touches no memory that is in use.
        let start = unsafe { Self::map_at(ptr::null_mut(), MapFlags::SHARED, file.as_fd()) }?;
        Ok(Self { start, watched: None })
    }

    /// As [`Words::map`], for a file that somebody may cut: words that are gone read as zeros then, for this process
    /// alone, and [`Words::is_whole`] says so.
    pub(crate) fn map_watched(file: impl AsFd) -> io::Result<Self> {
        bus_error::install();
        let mut words = Self::map(file)?;
        let lost = Arc::new(LostPages::new());
        match lost::watch(words.start.as_ptr().expose_provenance(), AREA_BYTES, 0, &lost) {
            Some(watch) => words.watched = Some((lost, watch)),
            None => {
                log::warn!("too many maps: a shared area that is cut while it is open will end the process")
            }
        }
        Ok(words)
    }

    /// Whether every word that was looked at so far was there.
    #[inline]
    pub(crate) fn is_whole(&self) -> bool {
        let none_lost = |(lost, _): &(Arc<LostPages>, Watch)| lost.version() == 0;
        !lost::anywhere() || self.watched.as_ref().is_none_or(none_lost)
    }

    /// Maps the words of `file`.
    ///
    /// # Safety
    /// With `MapFlags::FIXED`, `address` is the start of a map of this length that belongs to the caller.
    unsafe fn map_at(
        address: *mut AtomicU64,
        flags: MapFlags,
        file: BorrowedFd<'_>,
    ) -> io::Result<NonNull<AtomicU64>> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: by contract, or where the kernel finds room.
        let start = unsafe { mmap(address.cast(), MAP_BYTES, protection, flags, file, 0) }?;
        Ok(NonNull::new(start.cast()).expect("mmap never chooses address zero"))
    }

    /// The words.
    #[inline]
    pub(crate) fn get(&self) -> &[AtomicU64] {
        // SAFETY: the map holds `AREA_WORDS` words, aligned since maps begin at pages, initialised since files are,
        // and stays until `self` is dropped. Atomics may be changed by anybody at any time.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), AREA_WORDS) }
    }

    /// Takes the words away from the others: what is stored through this value from now on, they do not see. For a
    /// simulated process that was killed while its code goes on.
    pub(crate) fn sever(&self, file: impl AsFd) -> io::Result<()> {
        let flags = MapFlags::PRIVATE | MapFlags::FIXED;
        // SAFETY: the range is our own map, which is replaced at once by one of the same length over the same file,
        // so that references into it stay good.
        unsafe { Self::map_at(self.start.as_ptr(), flags, file.as_fd()) }.map(drop)
    }

    /// Waits as [`super::SharedArea::wait`] does.
    pub(crate) fn wait(&self, word: usize, expected: u64, timeout_us: u64) {
        let timeout = futex::Timespec {
            tv_sec: i64::try_from(timeout_us / 1_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(timeout_us % 1_000_000 * 1000).expect("less than a second"),
        };
        #[expect(clippy::cast_possible_truncation, reason = "the kernel compares the lower half")]
        let expected = expected as u32;
        // Another value, a signal and the end of the time are all reasons to return.
        let _ = futex::wait(self.lower_half(word), futex::Flags::empty(), expected, Some(&timeout));
    }

    /// Wakes as [`super::SharedArea::wake`] does.
    pub(crate) fn wake(&self, word: usize) {
        const ALL: u32 = i32::MAX as u32;
        if let Err(error) = futex::wake(self.lower_half(word), futex::Flags::empty(), ALL) {
            log::warn!("those who wait for another process will notice only later: {error}");
        }
    }

    /// The half of a word that the kernel compares. Nothing is loaded or stored through it.
    fn lower_half(&self, word: usize) -> &AtomicU32 {
        let halves: *mut AtomicU32 = self.get()[word].as_ptr().cast();
        let lower = halves.wrapping_add(usize::from(cfg!(target_endian = "big")));
        // SAFETY: half of a word of the map is aligned, initialised, and lives as long as `self`. Only the kernel
        // looks at it, with atomic operations.
        unsafe { &*lower }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // Out of the table before the map is gone.
        self.watched = None;
        // SAFETY: mapped with this length; `&mut self` shows that no reference into it is left.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), MAP_BYTES) };
        debug_assert!(unmapped.is_ok(), "a whole mapping can always be unmapped: {unmapped:?}");
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Words({AREA_WORDS})")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::SeqCst;

    use super::*;

    fn file() -> std::fs::File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(AREA_BYTES).unwrap();
        file
    }

    #[test]
    fn two_maps_show_the_same_words_until_one_is_severed() {
        let file = file();
        let (ours, theirs) = (Words::map(&file).unwrap(), Words::map(&file).unwrap());
        let last = AREA_WORDS - 1;
        let kept = &ours.get()[last];
        kept.store(7, SeqCst);
        assert_eq!(theirs.get()[last].load(SeqCst), 7);
        assert_eq!(ours.get().len(), AREA_WORDS);

        ours.sever(&file).unwrap();
        assert_eq!(kept.load(SeqCst), 7, "what was there is still there");
        kept.store(8, SeqCst);
        assert_eq!((kept.load(SeqCst), theirs.get()[last].load(SeqCst)), (8, 7));
    }

    #[test]
    fn only_the_lower_half_is_compared_and_a_wake_ends_a_wait() {
        let file = file();
        let (ours, theirs) = (Words::map(&file).unwrap(), Words::map(&file).unwrap());
        let word = &ours.get()[9];
        word.store(1 << 32 | 5, SeqCst);
        // Would not return for an hour.
        ours.wait(9, 4, 3_600_000_000);
        ours.wait(9, 5, 1);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                while word.load(SeqCst) == 1 << 32 | 5 {
                    ours.wait(9, 5, 3_600_000_000);
                }
            });
            theirs.get()[9].store(6, SeqCst);
            // The other thread may not wait yet, and then need not.
            theirs.wake(9);
            waiting.join().unwrap();
        });
    }
}
