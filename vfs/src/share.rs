//! Words that several processes share, with locks that end with their holder, and a way to wait for each other.
//!
//! ```text
//!   file   | words: AREA_WORDS * 8 bytes, mapped by every process | tail: as long as it was written last |
//!   locks  ................................................................. beyond: byte 2^40 and on
//! ```
//!
//! A lock belongs to the opening, not to the process: who opens an area twice has two areas, which exclude each
//! other as two processes do. Whatever is written here may be written by any program that may write the file, so
//! nothing in it is to be believed unchecked. After a crash of the machine the words and the tail hold anything.

#[cfg(target_os = "linux")]
mod mirror;
#[cfg(target_os = "linux")]
mod simulated;
#[cfg(target_os = "linux")]
mod words;

use std::{error::Error, fmt, io, sync::atomic::AtomicU64};

#[cfg(target_os = "linux")]
pub(crate) use self::{
    mirror::Mirror,
    simulated::{AreaImage, SimulatedArea, SimulatedHandle, is_as_expected},
    words::Words,
};

/// Number of words of an area: 1 MiB.
pub const AREA_WORDS: usize = 1 << 17;
/// Length of the words in bytes; the tail begins here.
#[cfg(target_os = "linux")]
pub(crate) const AREA_BYTES: u64 = AREA_WORDS as u64 * 8;

/// A file that several processes use to agree with each other. Dropping it releases its locks, as the end of its
/// process does, however it ends.
///
/// Threads of one process share one area; what they hold, they hold together.
pub trait SharedArea: Send + Sync + fmt::Debug {
    /// The words, [`AREA_WORDS`] of them: zero where nobody has stored since the file was made. Stores are seen by
    /// all processes, in the order that their atomics promise.
    fn words(&self) -> &[AtomicU64];

    /// Takes the lock of number `byte` (below 2^40) for this opening, without waiting. True if it is ours now, also
    /// if it was before.
    ///
    /// # Errors
    /// The system has no more locks (ENOLCK), or refuses them here.
    fn try_lock(&self, byte: u64) -> io::Result<bool>;

    /// Gives up a lock; fine if it is not held.
    ///
    /// # Errors
    /// As [`SharedArea::try_lock`]; the lock is held until this area is dropped.
    fn unlock(&self, byte: u64) -> io::Result<()>;

    /// Whether another opening holds the lock. Our own does not count.
    ///
    /// # Errors
    /// As [`SharedArea::try_lock`].
    fn is_locked_elsewhere(&self, byte: u64) -> io::Result<bool>;

    /// Waits until the word was woken, at most `timeout_us`; returns at once if the lower 32 bits of the word are
    /// not those of `expected`. It may return for no reason.
    fn wait(&self, word: usize, expected: u64, timeout_us: u64);

    /// Wakes everybody who waits for the word, in all processes. Store first.
    fn wake(&self, word: usize);

    /// What was last written as the tail; empty if nothing was. A process that died while it wrote leaves a mixture.
    ///
    /// # Errors
    /// Those of reading a file.
    fn read_tail(&self) -> io::Result<Vec<u8>>;

    /// Replaces the tail. Only one process at a time may.
    ///
    /// # Errors
    /// Those of writing a file; the tail is a mixture then.
    fn write_tail(&self, bytes: &[u8]) -> io::Result<()>;

    /// Whether the path still leads to this file. False once somebody has removed or replaced it: those who open the
    /// path from then on share nothing with us.
    ///
    /// # Errors
    /// Those of asking for the state of a file.
    fn is_current(&self) -> io::Result<bool>;

    /// Whether every word that was looked at so far was there. A file that somebody cuts loses its words: zeros are read in
    /// their place, and what is stored there nobody else sees. Ask after looking.
    #[inline]
    fn is_whole(&self) -> bool {
        true
    }

    /// A moment between two stores at which a process may die. Nothing happens on a real disk; a simulated one may
    /// end the process here, so that a protocol of several stores is tried with each of them being the last.
    #[inline]
    fn step(&self) {}
}

/// Why processes cannot share a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum ShareError {
    /// Locks or shared maps do not work here, or cannot be relied upon.
    Unsupported {
        /// Why, for the person who has to choose another place.
        reason: String,
    },
    /// The medium cannot be written, and so there is nobody to agree with.
    ReadOnlyMedium,
    /// The file could not be made or opened.
    Io(io::Error),
}

impl ShareError {
    pub(crate) fn unsupported(reason: impl Into<String>) -> Self {
        Self::Unsupported { reason: reason.into() }
    }
}

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported { reason } => write!(f, "processes cannot share a file here: {reason}"),
            Self::ReadOnlyMedium => f.write_str("the medium cannot be written"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl Error for ShareError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for ShareError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::ReadOnlyFilesystem { Self::ReadOnlyMedium } else { Self::Io(error) }
    }
}
