//! A ring that writes and forces while submitting.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Once},
};

use super::file::OsFile;
use crate::{AlignedBuf, Completion, File, Ring, RingKind, disk::check_blocks, write_all_at};

#[derive(Debug)]
pub(super) struct PortableRing {
    depth: usize,
    done: VecDeque<Completion>,
}

impl PortableRing {
    pub(super) fn new(depth: usize) -> Self {
        Self { depth, done: VecDeque::with_capacity(depth) }
    }

    /// Tells the log, once in the life of the process, why this way of writing was taken.
    pub(super) fn say_why(why: &str) {
        static SAID: Once = Once::new();
        SAID.call_once(|| log::warn!("{why}; the log is written by pwrite and fdatasync"));
    }
}

impl Ring for PortableRing {
    fn submit(
        &mut self,
        file: &Arc<dyn File>,
        buffer: AlignedBuf,
        len: usize,
        offset: u64,
        token: u64,
    ) -> io::Result<()> {
        check_blocks(offset, len, buffer.len())?;
        check_room(self.in_flight(), self.depth)?;
        let result = write_durable(&**file, &buffer[..len], offset);
        self.done.push_back(Completion { token, buffer, result });
        Ok(())
    }

    fn wait(&mut self) -> Option<Completion> {
        self.done.pop_front()
    }

    fn in_flight(&self) -> usize {
        self.done.len()
    }

    fn kind(&self) -> RingKind {
        RingKind::Portable
    }
}

/// Writes whole blocks of a file, of this disk or another, and forces them to the media.
pub(super) fn write_durable(file: &dyn File, bytes: &[u8], offset: u64) -> io::Result<()> {
    if let Some(file) = file.as_any().downcast_ref::<OsFile>() {
        return file.write_durable(bytes, offset);
    }
    write_all_at(file, bytes, offset)?;
    file.sync_data()
}

/// Checks that a ring has room for another write.
pub(super) fn check_room(in_flight: usize, depth: usize) -> io::Result<()> {
    if in_flight < depth {
        return Ok(());
    }
    let what = format!("{in_flight} writes are under way already, and the ring has room for {depth}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}
