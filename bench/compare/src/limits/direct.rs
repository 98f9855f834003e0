//! A preallocated file that is written past the page cache.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::data::Random;
use crate::engine::Outcome;

/// Alignment of memory, offsets and lengths for direct writes.
pub const ALIGN: usize = 4096;

/// Whether a write returns before the data is durable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// It does.
    Later,
    /// It returns when the data is durable (O_DSYNC).
    Each,
}

/// Makes a file of `len` bytes, all of them written once, so that overwriting it changes no metadata.
///
/// # Errors
/// The disk is full or fails.
pub fn preallocate(path: &Path, len: u64) -> Outcome<()> {
    let file = open(path, Sync::Later)?;
    let buffer = Aligned::random(1 << 20);
    for at in (0..len).step_by(1 << 20) {
        file.write_all_at(buffer.bytes(), at)?;
    }
    Ok(file.sync_all()?)
}

/// Opens or creates a file for direct writes. File systems without O_DIRECT (tmpfs) get buffered ones.
///
/// # Errors
/// The file cannot be opened.
pub fn open(path: &Path, sync: Sync) -> Outcome<File> {
    let synced = if sync == Sync::Each { OFlags::DSYNC } else { OFlags::empty() };
    let open = |flags: OFlags| {
        let flags = i32::try_from(flags.bits()).unwrap_or(0);
        OpenOptions::new().write(true).create(true).truncate(false).custom_flags(flags).open(path)
    };
    Ok(open(synced | OFlags::DIRECT).or_else(|_| open(synced))?)
}

/// Bytes at an address that direct writes accept.
pub struct Aligned {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// Random bytes: a device must not profit from zeros.
    pub fn random(len: usize) -> Aligned {
        let mut random = Random::new(len as u64);
        let mut bytes = vec![0; len + ALIGN];
        bytes.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&random.next().to_le_bytes()));
        let start = bytes.as_ptr().align_offset(ALIGN);
        Aligned { bytes, start, len }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }

    /// The bytes, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}
