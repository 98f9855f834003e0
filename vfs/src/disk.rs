//! The traits that the real disk, the in-memory disk and the crashable disk implement.

use std::{fmt, io, path::Path, sync::Arc};

use llmdb_base::Timestamp;

use crate::{AlignedBuf, BLOCK_SIZE, Mapping, ShareError, SharedArea};

/// A place where files live, with the clock and the randomness that go with it.
pub trait Vfs: Send + Sync + fmt::Debug {
    /// Opens or creates a file.
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>>;

    /// Removes a file. Durable after [`Vfs::sync_dir`] of its folder.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Renames a file, replacing what had the name. Durable after [`Vfs::sync_dir`] of its folder.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Creates a folder; one that exists already is fine.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty folder.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Names of the files in a folder, without the folders in it, sorted. `NotFound` if there is no such folder.
    fn list_dir(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Whether a file or folder of this name exists.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Makes creations, renames and removals in a folder survive a crash.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Takes a lock on `path` without waiting, creating the file if it is missing. `note` is left in the file
    /// for whoever finds it locked. The lock ends with the returned value or with the process.
    ///
    /// # Errors
    /// [`LockError::Held`] with the note of the holder; [`LockError::Io`].
    fn lock(&self, path: &Path, kind: LockKind, note: &str) -> Result<Box<dyn FileLock>, LockError>;

    /// Opens the area at `path` that processes share, making it if it is missing. Each call is an opening of its
    /// own. On simulated disks, maps made after the first call behave between openings as they do between processes.
    ///
    /// # Errors
    /// [`ShareError::Unsupported`] where locks or maps do not work, or not for everybody who may open the file;
    /// [`ShareError::ReadOnlyMedium`]; [`ShareError::Io`].
    fn share(&self, path: &Path) -> Result<Arc<dyn SharedArea>, ShareError> {
        Err(ShareError::unsupported(format!("{}: this kind of disk has no shared memory", path.display())))
    }

    /// Gives the file `to` the rights that `from` has, whatever the process would give to new files; its owner too, for
    /// those who may. Where files have no rights nothing happens.
    ///
    /// # Errors
    /// Those of the system: mostly that the file belongs to somebody else.
    fn copy_rights(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _ = (from, to);
        Ok(())
    }

    /// A ring on which up to `depth` writes are under way at once.
    fn ring(&self, depth: usize) -> io::Result<Box<dyn Ring>>;

    /// Memory that shows `file`, or zeros if there is none. See [`Mapping`].
    fn map(&self, file: Option<Arc<dyn File>>) -> io::Result<Mapping>;

    /// Wall clock.
    fn now(&self) -> Timestamp;

    /// A clock that never goes back, in microseconds since some fixed moment.
    fn monotonic_us(&self) -> u64;

    /// As [`Vfs::now`], give or take some milliseconds, where that is cheaper: for noting when something began.
    fn coarse_now(&self) -> Timestamp {
        self.now()
    }

    /// A random number, fit for identifying a store (not for cryptography).
    fn random_u64(&self) -> u64;
}

/// How to open a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Open {
    /// Whether the file may be written.
    pub write: bool,
    /// Whether the file may, or must, be made.
    pub create: Create,
    /// Also prepare for writes and reads that bypass the page cache, where the system offers them.
    pub direct: bool,
}

/// Whether opening a file makes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Create {
    /// The file must exist.
    Never,
    /// The file is made if it is missing.
    IfMissing,
    /// The file must not exist.
    New,
}

/// An open file. Offsets and lengths are in bytes.
pub trait File: Send + Sync + fmt::Debug {
    /// Reads up to `buf.len()` bytes at `offset`; 0 at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes some bytes of `buf` at `offset`, as the system likes. Durable after [`File::sync_data`].
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `buf` and forces it to the media before returning, bypassing the page cache where the file
    /// was opened so and is not mapped. Forces nothing that was written before. `offset` and the length must be multiples of
    /// [`crate::BLOCK_SIZE`].
    fn write_durable_at(&self, buf: &AlignedBuf, offset: u64) -> io::Result<()>;

    /// Reads exactly `buf.len()` bytes from the media, not from what an earlier failed write left in the page
    /// cache, where the file was opened so. Same alignment; `UnexpectedEof` if the file ends before.
    fn read_media_at(&self, buf: &mut AlignedBuf, offset: u64) -> io::Result<()>;

    /// Forces everything written to the media, and the length of the file if it grew.
    fn sync_data(&self) -> io::Result<()>;

    /// Asks for the writing back of a range to begin. A hint: no guarantee, no error.
    fn start_writeback(&self, offset: u64, len: u64);

    /// Waits until the writing back of a range that was begun has ended, so that the disk is not given more at a time
    /// than it can do beside other work. Nothing is durable by it. An error is one of writing pages, and the only word of
    /// it: [`File::sync_data`] may not tell it again.
    fn await_writeback(&self, offset: u64, len: u64) -> io::Result<()> {
        let _ = (offset, len);
        Ok(())
    }

    /// Reserves space for a range, which reads as zeros until written; the file grows to hold it. `StorageFull`
    /// if there is none; the file may have grown by a part of it then.
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Whether the byte at `offset` could be read without waiting for the media. A hint.
    fn is_cached(&self, offset: u64) -> bool {
        let _ = offset;
        true
    }

    /// Length of the file.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file, or extends it with zeros that take no space.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// The implementation, for the ring and the mapping of the same disk.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// Writes under way. Buffers go in by value and come back with their completion, so that nobody can touch bytes
/// that the kernel is reading.
pub trait Ring: Send + fmt::Debug {
    /// Takes over the writing of the first `len` bytes of `buffer` at `offset`; durable once it completes without
    /// error. `offset` and `len` must be multiples of [`crate::BLOCK_SIZE`]. At most `depth` writes may be under
    /// way. Writes that are under way together complete, and become durable, in any order.
    ///
    /// A write that is alone in the ring may be held back until [`Ring::wait`], [`Ring::kick`] or the next
    /// submission, so that a write that is waited for at once costs one call of the system.
    ///
    /// # Errors
    /// The write was not started, and its buffer is lost.
    fn submit(
        &mut self,
        file: &Arc<dyn File>,
        buffer: AlignedBuf,
        len: usize,
        offset: u64,
        token: u64,
    ) -> io::Result<()>;

    /// Lets writes begin that were held back. Whoever has other work to do before it waits calls this.
    fn kick(&mut self) {}

    /// Waits until a write has completed. `None` if none is under way.
    fn wait(&mut self) -> Option<Completion>;

    /// Number of writes under way.
    fn in_flight(&self) -> usize;

    /// How the writes are done.
    fn kind(&self) -> RingKind;
}

/// How a ring does its writes; the guarantees are the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RingKind {
    /// Through io_uring, past the page cache, forced by the write itself.
    IoUring,
    /// By `pwrite` and `fdatasync`, one after the other, while submitting.
    Portable,
    /// In memory.
    Simulated,
}

/// A finished write.
#[derive(Debug)]
pub struct Completion {
    /// The number given at submission.
    pub token: u64,
    /// The buffer, to be used again.
    pub buffer: AlignedBuf,
    /// Whether all bytes are on the media.
    pub result: io::Result<()>,
}

/// What a lock keeps out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockKind {
    /// Everybody else.
    Exclusive,
    /// Those who want it exclusively.
    Shared,
}

/// A held lock; dropping it releases it.
pub trait FileLock: Send + Sync + fmt::Debug {}

/// Why a lock could not be had.
#[derive(Debug)]
pub enum LockError {
    /// Somebody holds it, and left this note.
    Held {
        /// The note of the holder; empty if it left none.
        note: String,
    },
    /// The lock file could not be made, or locks do not work there.
    Io(io::Error),
}

/// Reads exactly `buf.len()` bytes, going on after short and interrupted reads.
///
/// # Errors
/// `UnexpectedEof` if the file ends before; any error of [`File::read_at`] but `Interrupted`.
pub fn read_exact_at(file: &dyn File, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match file.read_at(buf, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                buf = &mut buf[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of `buf`, going on after short and interrupted writes.
///
/// # Errors
/// `WriteZero` if the system takes no more; any error of [`File::write_at`] but `Interrupted`.
pub fn write_all_at(file: &dyn File, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match file.write_at(buf, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                buf = &buf[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Adds the path to an error, which keeps its kind: every disk names the file that a call was about.
pub(crate) fn about(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Checks what writes past the page cache ask of the caller: a range of whole blocks, inside the buffer.
pub(crate) fn check_blocks(offset: u64, len: usize, buffer_len: usize) -> io::Result<()> {
    let whole = offset.is_multiple_of(BLOCK_SIZE as u64) && len.is_multiple_of(BLOCK_SIZE);
    if whole && len > 0 && len <= buffer_len {
        return Ok(());
    }
    let what = format!("{len} bytes at {offset} of a buffer of {buffer_len} are not a range of whole blocks");
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}
