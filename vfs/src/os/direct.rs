//! A second descriptor of a file, for reads and writes past the page cache.

use std::{
    fs, io,
    path::Path,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use super::position;

/// A descriptor whose writes are on the media when they return. Memory, offsets and lengths must be aligned.
#[derive(Debug)]
pub(super) struct Direct {
    file: fs::File,
    /// The filesystem opened the file so, but refused to read or write it so.
    given_up: AtomicBool,
}

impl Direct {
    /// `None` if the filesystem, or the operating system, has no such thing.
    #[cfg(target_os = "linux")]
    pub(super) fn open(path: &Path, write: bool) -> Option<Self> {
        use std::os::unix::fs::OpenOptionsExt;

        let flags = libc::O_DIRECT | libc::O_DSYNC;
        match fs::OpenOptions::new().read(true).write(write).custom_flags(flags).open(path) {
            Ok(file) => Some(Self { file, given_up: AtomicBool::new(false) }),
            Err(error) => {
                say_why(&error);
                None
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn open(_path: &Path, _write: bool) -> Option<Self> {
        None
    }

    /// The descriptor, unless it turned out to be of no use.
    pub(super) fn usable(&self) -> Option<&fs::File> {
        (!self.given_up.load(Ordering::Relaxed)).then_some(&self.file)
    }

    /// From now on this file is read and written through the page cache.
    pub(super) fn give_up(&self, why: &io::Error) {
        self.given_up.store(true, Ordering::Relaxed);
        say_why(why);
    }

    /// Whether an error says "not in this way" and nothing about the media. What is asked for is always aligned, so
    /// `InvalidInput` can mean nothing else.
    pub(super) fn is_refusal(error: &io::Error) -> bool {
        matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
    }

    /// Reads exactly `buf.len()` bytes. A read that ends off the alignment has met the end of the file.
    pub(super) fn read_exact_at(file: &fs::File, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match position::read_at(file, buf, offset) {
                Ok(count) if count > 0 && (count == buf.len() || count.is_multiple_of(crate::BLOCK_SIZE)) => {
                    buf = &mut buf[count..];
                    offset += count as u64;
                }
                Ok(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn say_why(why: &io::Error) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        log::warn!("files cannot be written past the page cache here ({why}); writing through it")
    });
}
