//! A file whose bytes are a vector.

use std::{
    any::Any,
    io,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use crate::{AlignedBuf, File, disk::check_blocks};

#[derive(Debug)]
pub(super) struct MemoryFile {
    bytes: Arc<RwLock<Vec<u8>>>,
    writable: bool,
}

impl Default for MemoryFile {
    fn default() -> Self {
        Self { bytes: Arc::default(), writable: true }
    }
}

impl MemoryFile {
    /// The same bytes, for somebody who may not change them.
    pub(super) fn read_only(&self) -> Self {
        Self { bytes: Arc::clone(&self.bytes), writable: false }
    }

    fn bytes(&self) -> RwLockReadGuard<'_, Vec<u8>> {
        self.bytes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes_mut(&self) -> io::Result<RwLockWriteGuard<'_, Vec<u8>>> {
        if !self.writable {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file was opened for reading"));
        }
        Ok(self.bytes.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl File for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.bytes();
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let count = buf.len().min(bytes.len() - start);
        buf[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let mut bytes = self.bytes_mut()?;
        if !buf.is_empty() {
            let end = extend(&mut bytes, offset, buf.len() as u64)?;
            bytes[end - buf.len()..end].copy_from_slice(buf);
        }
        Ok(buf.len())
    }

    fn write_durable_at(&self, buf: &AlignedBuf, offset: u64) -> io::Result<()> {
        check_blocks(offset, buf.len(), buf.len())?;
        self.write_at(buf, offset).map(drop)
    }

    fn read_media_at(&self, buf: &mut AlignedBuf, offset: u64) -> io::Result<()> {
        check_blocks(offset, buf.len(), buf.len())?;
        crate::read_exact_at(self, buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn start_writeback(&self, _offset: u64, _len: u64) {}

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut bytes = self.bytes_mut()?;
        if len == 0 { Ok(()) } else { extend(&mut bytes, offset, len).map(drop) }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut bytes = self.bytes_mut()?;
        extend(&mut bytes, len, 0)?;
        bytes.truncate(usize::try_from(len).expect("the vector was extended to this length"));
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Makes the vector reach to the end of a range, which is returned.
fn extend(bytes: &mut Vec<u8>, offset: u64, len: u64) -> io::Result<usize> {
    let end = offset.checked_add(len).and_then(|end| usize::try_from(end).ok());
    let end = end.ok_or(io::ErrorKind::FileTooLarge)?;
    if let Some(missing) = end.checked_sub(bytes.len()) {
        bytes.try_reserve(missing).map_err(|_| io::ErrorKind::StorageFull)?;
        bytes.resize(end, 0);
    }
    Ok(end)
}
