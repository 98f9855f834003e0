//! Writes under way on the crashable disk: they complete, and become durable, in an order drawn by chance.

use std::{fmt, io, sync::Arc};

use crate::{AlignedBuf, Completion, File, Ring, RingKind, disk::check_blocks};

use super::{
    CrashVfs,
    fault::{Failure, OpKind},
    file::CrashFile,
    inode::Seq,
};

pub(super) struct CrashRing {
    disk: CrashVfs,
    depth: usize,
    in_flight: Vec<Sent>,
}

/// A write under way.
struct Sent {
    file: Arc<dyn File>,
    seq: Seq,
    offset: u64,
    len: usize,
    token: u64,
    buffer: AlignedBuf,
}

impl Sent {
    fn file(&self) -> &CrashFile {
        crash_file(&self.file).expect("submit accepts only files of this disk")
    }
}

fn crash_file(file: &Arc<dyn File>) -> Option<&CrashFile> {
    file.as_any().downcast_ref()
}

impl CrashRing {
    pub(super) fn new(disk: &CrashVfs, depth: usize) -> Self {
        Self { disk: disk.clone(), depth, in_flight: Vec::new() }
    }

    fn overlaps(&self, file: &CrashFile, offset: u64, len: usize) -> bool {
        self.in_flight.iter().any(|sent| {
            sent.file().ino() == file.ino()
                && offset < sent.offset + sent.len as u64
                && sent.offset < offset + len as u64
        })
    }
}

impl Ring for CrashRing {
    fn submit(
        &mut self,
        file: &Arc<dyn File>,
        buffer: AlignedBuf,
        len: usize,
        offset: u64,
        token: u64,
    ) -> io::Result<()> {
        check_blocks(offset, len, buffer.len())?;
        let Some(target) = crash_file(file).filter(|file| file.belongs_to(&self.disk)) else {
            return Err(misuse("not a writable file of this disk"));
        };
        if self.in_flight.len() >= self.depth {
            return Err(misuse("more writes than the ring has room for"));
        }
        // The order in which the two arrive is not known, so no program can want this.
        if self.overlaps(target, offset, len) {
            return Err(misuse("the write overlaps one that is under way"));
        }
        let failure = target.begin(OpKind::Submit, offset, len as u64);
        // The kernel may ask to be asked again; it is.
        let failure = failure.filter(|failure| !matches!(failure, Failure::Interrupted | Failure::Again));
        if let Some(error) = target.error(failure) {
            return Err(error);
        }
        let seq = target.send(&buffer[..len], offset)?;
        self.in_flight.push(Sent { file: Arc::clone(file), seq, offset, len, token, buffer });
        Ok(())
    }

    fn wait(&mut self) -> Option<Completion> {
        if self.in_flight.is_empty() {
            return None;
        }
        let index = self.disk.state().chooser.index(self.in_flight.len());
        let sent = self.in_flight.swap_remove(index);
        let failure = sent.file().begin(OpKind::Completion, sent.offset, sent.len as u64);
        let bytes = &sent.buffer[..sent.len];
        let result = sent.file().arrive_patiently(sent.seq, sent.offset, bytes, failure);
        Some(Completion { token: sent.token, buffer: sent.buffer, result })
    }

    fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    fn kind(&self) -> RingKind {
        RingKind::Simulated
    }
}

impl Drop for CrashRing {
    fn drop(&mut self) {
        // Nobody hears what becomes of them: some of their sectors arrive.
        for sent in std::mem::take(&mut self.in_flight) {
            drop(sent.file().arrive(sent.seq, sent.offset, sent.len, Some(Failure::Io)));
        }
    }
}

fn misuse(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

impl fmt::Debug for CrashRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CrashRing({} of {} under way)", self.in_flight.len(), self.depth)
    }
}
