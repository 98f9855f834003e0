//! An open file of the crashable disk.

use std::{any::Any, fmt, io, path::Path, sync::Arc};

use crate::{AlignedBuf, File, disk::check_blocks};

use super::{
    CrashVfs,
    fault::{Failure, OpKind},
    inode::{self, Inode, Seq},
    names::Ino,
};

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
        if self.writable { Ok(()) } else { Err(error()) }
    }

    /// Puts bytes on their way to the media, past the page cache. They arrive with [`CrashFile::arrive`].
    ///
    /// # Errors
    /// `StorageFull`, with nothing written.
    pub(super) fn send(&self, bytes: &[u8], offset: u64) -> io::Result<Seq> {
        let mut state = self.disk.state();
        if state.room(self.ino, offset, bytes.len())? < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
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
        if let Some(error) = failure.and_then(Failure::error) {
            let mut chooser = state.chooser.fork();
            state.inode(self.ino).fail_direct(seq, offset, len, &mut chooser);
            return Err(error);
        }
        if !state.sync_lies {
            state.inode(self.ino).force(seq, offset, len);
        }
        Ok(())
    }
}

impl File for CrashFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let len = short(buf.len(), self.disk.look(OpKind::Read))?;
        Ok(self.inode(|inode| inode.read(&mut buf[..len], offset)))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.check_writable()?;
        self.disk.check_alive()?;
        let failure = self.begin(OpKind::Write, offset, buf.len() as u64);
        let mut state = self.disk.state();
        let mut len = state.room(self.ino, offset, buf.len())?;
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
        result
    }

    fn write_durable_at(&self, buf: &AlignedBuf, offset: u64) -> io::Result<()> {
        self.check_writable()?;
        check_blocks(offset, buf.len(), buf.len())?;
        if let Some(error) =
            self.begin(OpKind::WriteDurable, offset, buf.len() as u64).and_then(Failure::error)
        {
            return Err(error);
        }
        let seq = self.send(buf, offset)?;
        let failure = self.begin(OpKind::Arrival, offset, buf.len() as u64);
        self.arrive(seq, offset, buf.len(), failure)
    }

    fn read_media_at(&self, buf: &mut AlignedBuf, offset: u64) -> io::Result<()> {
        check_blocks(offset, buf.len(), buf.len())?;
        if let Some(error) = self.disk.look(OpKind::Read).and_then(Failure::error) {
            return Err(error);
        }
        let count = self.inode(|inode| inode.read_media(buf, offset));
        if count < buf.len() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn sync_data(&self) -> io::Result<()> {
        let failure = self.begin(OpKind::Sync, 0, 0);
        let mut state = self.disk.state();
        if let Some(error) = failure.and_then(Failure::error) {
            if !matches!(failure, Some(Failure::Interrupted | Failure::Killed)) {
                let mut chooser = state.chooser.fork();
                state.inode(self.ino).fail_sync(&mut chooser);
            }
            return Err(error);
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
        if let Some(error) = self.begin(OpKind::Allocate, offset, len).and_then(Failure::error) {
            return Err(error);
        }
        let mut state = self.disk.state();
        let wanted = super::image::index_of(len);
        if state.room(self.ino, offset, wanted)? < wanted {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let seq = state.number();
        state.inode(self.ino).allocate(seq, offset, len);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.inode(|inode| inode.len))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        if let Some(error) = self.begin(OpKind::SetLen, 0, len).and_then(Failure::error) {
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
        None => Ok(len),
        Some(Failure::Short) => Ok(len.div_ceil(2)),
        Some(failure) => Err(failure.error().unwrap_or_else(|| io::ErrorKind::Other.into())),
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
