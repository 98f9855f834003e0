//! An open file of the crashable disk.

use std::{any::Any, fmt, io, path::Path, sync::Arc};

use crate::{
    AlignedBuf, BLOCK_SIZE, File,
    disk::{about, check_blocks},
};

use super::{
    CrashVfs,
    fault::{Failure, OpKind},
    image::index_of,
    inode::{self, Inode, Seq},
    names::Ino,
};

const BLOCK: u64 = BLOCK_SIZE as u64;

pub(super) struct CrashFile {
    disk: CrashVfs,
    ino: Ino,
    path: Arc<Path>,
    writable: bool,
}

impl CrashFile {
    /// Opens the file with this number, which must exist.
    pub(super) fn new(disk: &CrashVfs, ino: Ino, path: &Path, writable: bool) -> Self {
        disk.state().inode(ino).open_count += 1;
        Self { disk: disk.clone(), ino, path: path.into(), writable }
    }

    /// Whether this is an open file of `disk` that may be written.
    pub(super) fn belongs_to(&self, disk: &CrashVfs) -> bool {
        Arc::ptr_eq(&self.disk.shared, &disk.shared) && self.writable
    }

    #[cfg(target_os = "linux")]
    pub(super) fn disk(&self) -> &CrashVfs {
        &self.disk
    }

    pub(super) fn ino(&self) -> Ino {
        self.ino
    }

    pub(super) fn begin(&self, kind: OpKind, offset: u64, len: u64) -> Option<Failure> {
        self.disk.begin(kind, &self.path, offset, len)
    }

    fn inode<T>(&self, with: impl FnOnce(&mut Inode) -> T) -> T {
        with(self.disk.state().inode(self.ino))
    }

    fn check_writable(&self) -> io::Result<()> {
        let error = || io::Error::new(io::ErrorKind::PermissionDenied, "the file was opened for reading");
        if self.writable { Ok(()) } else { self.named(Err(error())) }
    }

    /// Puts bytes on their way to the media, past the page cache. They arrive with [`CrashFile::arrive`].
    ///
    /// # Errors
    /// `StorageFull`, with nothing written.
    pub(super) fn send(&self, bytes: &[u8], offset: u64) -> io::Result<Seq> {
        let mut state = self.disk.state();
        if self.named(state.room(self.ino, offset, bytes.len()))? < bytes.len() {
            return self.named(Err(io::ErrorKind::StorageFull.into()));
        }
        let seq = state.number();
        state.sent.insert(seq, self.disk.process);
        let route = if state.sync_lies { inode::Route::Cached } else { inode::Route::Direct };
        state.inode(self.ino).write(seq, offset, bytes, route);
        Ok(seq)
    }

    /// The bytes of a [`CrashFile::send`] arrive, or fail to.
    pub(super) fn arrive(
        &self,
        seq: Seq,
        offset: u64,
        len: usize,
        failure: Option<Failure>,
    ) -> io::Result<()> {
        let mut state = self.disk.state();
        // The writes of a process that was killed ended with it.
        if state.sent.remove(&seq).is_none() {
            return Err(killed());
        }
        if let Some(error) = self.error(failure) {
            let mut chooser = state.chooser.fork();
            state.inode(self.ino).fail_direct(seq, offset, len, &mut chooser);
            return Err(error);
        }
        state.deceive(self.ino, failure, seq, offset, len, inode::Route::Direct);
        if !state.sync_lies {
            state.inode(self.ino).force(seq, offset, len);
        }
        Ok(())
    }

    /// The bytes of a [`CrashFile::send`] arrive; whatever does not, in the ways that a kernel has of asking for
    /// patience, is sent again until it does.
    pub(super) fn arrive_patiently(
        &self,
        seq: Seq,
        offset: u64,
        bytes: &[u8],
        failure: Option<Failure>,
    ) -> io::Result<()> {
        let arrived = match failure {
            Some(Failure::Short) => bytes.len() / 2 / BLOCK_SIZE * BLOCK_SIZE,
            Some(Failure::Interrupted | Failure::Again) => 0,
            _ => return self.arrive(seq, offset, bytes.len(), failure),
        };
        if arrived > 0 {
            self.arrive(seq, offset, arrived, None)?;
        } else {
            self.disk.state().sent.remove(&seq);
        }
        let mut rest = AlignedBuf::new(bytes.len() - arrived);
        rest.copy_from_slice(&bytes[arrived..]);
        self.write_durable_at(&rest, offset + arrived as u64)
    }

    pub(super) fn error(&self, failure: Option<Failure>) -> Option<io::Error> {
        failure.and_then(|failure| failure.error_about(&self.path))
    }

    fn named<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(about(&self.path))
    }

    /// Lets a block of what was read be that of another place.
    fn mistake(&self, failure: Option<Failure>, buf: &mut [u8], offset: u64, from_media: bool) {
        if failure != Some(Failure::Misdirected) || buf.is_empty() {
            return;
        }
        let mut state = self.disk.state();
        let (first, last) = (offset / BLOCK, (offset + buf.len() as u64 - 1) / BLOCK);
        let wrong = state.chooser.between(first, last) * BLOCK;
        let block_count = state.inode(self.ino).len.div_ceil(BLOCK);
        let other = state.chooser.below(block_count) * BLOCK;
        let (start, end) = (wrong.max(offset), (wrong + BLOCK).min(offset + buf.len() as u64));
        let piece = &mut buf[index_of(start - offset)..index_of(end - offset)];
        piece.fill(0);
        let (inode, from) = (state.inode(self.ino), other + (start - wrong));
        if from_media {
            inode.read_media(piece, from)
        } else {
            inode.read(piece, from)
        };
    }
}

impl File for CrashFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let failure = self.disk.look(OpKind::Read);
        let len = self.named(short(buf.len(), failure))?;
        let count = self.inode(|inode| inode.read(&mut buf[..len], offset));
        self.mistake(failure, &mut buf[..count], offset, false);
        Ok(count)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.check_writable()?;
        self.disk.check_alive()?;
        let failure = self.begin(OpKind::Write, offset, buf.len() as u64);
        let mut state = self.disk.state();
        let mut len = self.named(state.room(self.ino, offset, buf.len()))?;
        let result = match short(len, failure) {
            Ok(shorter) => {
                len = shorter;
                Ok(len)
            }
            Err(error) => {
                // A device error and death may come after some of the bytes; other errors come before any of them.
                let in_part = matches!(failure, Some(Failure::Io | Failure::Killed));
                len = if in_part { state.chooser.index(len + 1) } else { 0 };
                Err(error)
            }
        };
        let seq = state.number();
        state.inode(self.ino).write(seq, offset, &buf[..len], inode::Route::Cached);
        state.deceive(self.ino, failure, seq, offset, len, inode::Route::Cached);
        self.named(result)
    }

    fn write_durable_at(&self, buf: &AlignedBuf, offset: u64) -> io::Result<()> {
        self.check_writable()?;
        check_blocks(offset, buf.len(), buf.len())?;
        let failure = self.begin(OpKind::WriteDurable, offset, buf.len() as u64);
        if matches!(failure, Some(Failure::Interrupted)) {
            return self.write_durable_at(buf, offset);
        }
        if let Some(error) = self.error(failure) {
            return Err(error);
        }
        let seq = self.send(buf, offset)?;
        let failure = self.begin(OpKind::Arrival, offset, buf.len() as u64);
        self.arrive_patiently(seq, offset, buf, failure)
    }

    fn read_media_at(&self, buf: &mut AlignedBuf, offset: u64) -> io::Result<()> {
        check_blocks(offset, buf.len(), buf.len())?;
        let failure = self.disk.look(OpKind::Read);
        if failure == Some(Failure::Interrupted) {
            return self.read_media_at(buf, offset);
        }
        if let Some(error) = self.error(failure) {
            return Err(error);
        }
        let count = self.inode(|inode| inode.read_media(buf, offset));
        self.mistake(failure, &mut buf[..count], offset, true);
        if count < buf.len() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn sync_data(&self) -> io::Result<()> {
        let failure = self.begin(OpKind::Sync, 0, 0);
        let mut state = self.disk.state();
        if let Some(error) = self.error(failure) {
            if !matches!(failure, Some(Failure::Interrupted | Failure::Again | Failure::Killed)) {
                let mut chooser = state.chooser.fork();
                state.inode(self.ino).fail_sync(&mut chooser);
            }
            return Err(error);
        }
        if failure == Some(Failure::Lost) {
            let mut chooser = state.chooser.fork();
            state.inode(self.ino).fail_sync(&mut chooser);
            return Ok(());
        }
        if !state.sync_lies {
            state.inode(self.ino).sync();
        }
        Ok(())
    }

    fn start_writeback(&self, _offset: u64, _len: u64) {
        // What a crash may leave is the same: any sector may have been written back at any time.
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.check_writable()?;
        if let Some(error) = self.error(self.begin(OpKind::Allocate, offset, len)) {
            return Err(error);
        }
        let mut state = self.disk.state();
        let wanted = index_of(len);
        if self.named(state.room(self.ino, offset, wanted))? < wanted {
            return self.named(Err(io::ErrorKind::StorageFull.into()));
        }
        let seq = state.number();
        state.inode(self.ino).allocate(seq, offset, len);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let failure = self.disk.look(OpKind::Len).filter(|failure| *failure != Failure::Killed);
        if let Some(error) = self.error(failure) {
            return Err(error);
        }
        Ok(self.inode(|inode| inode.len))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        if let Some(error) = self.error(self.begin(OpKind::SetLen, 0, len)) {
            return Err(error);
        }
        let mut state = self.disk.state();
        let seq = state.number();
        state.inode(self.ino).set_len(seq, len);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What a killed process would be told, if it could still listen.
pub(super) fn killed() -> io::Error {
    Failure::Killed.error().unwrap_or_else(|| io::ErrorKind::Other.into())
}

/// How many of `len` bytes a read or write handles.
fn short(len: usize, failure: Option<Failure>) -> io::Result<usize> {
    match failure {
        Some(Failure::Short) => Ok(len.div_ceil(2)),
        failure => failure.and_then(Failure::error).map_or(Ok(len), Err),
    }
}

impl Drop for CrashFile {
    fn drop(&mut self) {
        self.inode(|inode| inode.open_count -= 1);
    }
}

impl fmt::Debug for CrashFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CrashFile({})", self.path.display())
    }
}
