//! A file whose bytes are a vector.

use std::{
    any::Any,
    io,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use crate::{AlignedBuf, File, disk::check_blocks};
#[cfg(target_os = "linux")]
use crate::{
    Mapping,
    share::{AreaImage, Mirror, SimulatedArea},
};

#[derive(Debug)]
pub(super) struct MemoryFile {
    contents: Arc<RwLock<Contents>>,
    writable: bool,
}

#[derive(Debug, Default)]
struct Contents {
    bytes: Vec<u8>,
    /// The same bytes for maps that show what others write, if there are any.
    #[cfg(target_os = "linux")]
    mirror: Option<Mirror>,
    /// What the openings of this file as an area share.
    #[cfg(target_os = "linux")]
    area: Option<Arc<SimulatedArea>>,
}

impl Default for MemoryFile {
    fn default() -> Self {
        Self { contents: Arc::default(), writable: true }
    }
}

impl MemoryFile {
    /// The same bytes, for somebody who may not change them.
    pub(super) fn read_only(&self) -> Self {
        Self { contents: Arc::clone(&self.contents), writable: false }
    }

    /// A map that shows at once what is written to the file.
    #[cfg(target_os = "linux")]
    pub(super) fn map_mirrored(&self) -> io::Result<Mapping> {
        let mut contents = self.contents.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(mirror) = &contents.mirror {
            return mirror.map();
        }
        let mirror = Mirror::new()?;
        mirror.write(&contents.bytes, 0);
        contents.mirror.insert(mirror).map()
    }

    /// What the openings of this file as an area share; made of the bytes of the file at first.
    #[cfg(target_os = "linux")]
    pub(super) fn area(&self) -> io::Result<Arc<SimulatedArea>> {
        let mut contents = self.contents.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(area) = &contents.area {
            return Ok(Arc::clone(area));
        }
        let area = Arc::new(SimulatedArea::new(&AreaImage::of_file(contents.bytes.clone()))?);
        contents.area = Some(Arc::clone(&area));
        Ok(area)
    }

    /// Whether openings of this file as an area share `area`.
    #[cfg(target_os = "linux")]
    pub(super) fn is_area(&self, area: &Arc<SimulatedArea>) -> bool {
        self.contents().area.as_ref().is_some_and(|ours| Arc::ptr_eq(ours, area))
    }

    fn contents(&self) -> RwLockReadGuard<'_, Contents> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn contents_mut(&self) -> io::Result<RwLockWriteGuard<'_, Contents>> {
        if !self.writable {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file was opened for reading"));
        }
        Ok(self.contents.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Contents {
    /// Takes a write over into the maps.
    fn show(&self, offset: u64, written: &[u8]) {
        #[cfg(target_os = "linux")]
        if let Some(mirror) = &self.mirror {
            mirror.write(written, offset);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (offset, written);
    }

    /// Takes the length over into the maps.
    fn show_len(&self) {
        #[cfg(target_os = "linux")]
        if let Some(mirror) = &self.mirror {
            mirror.set_len(self.bytes.len() as u64);
        }
    }
}

impl File for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = &self.contents().bytes;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let count = buf.len().min(bytes.len() - start);
        buf[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let mut contents = self.contents_mut()?;
        if !buf.is_empty() {
            let end = extend(&mut contents.bytes, offset, buf.len() as u64)?;
            contents.bytes[end - buf.len()..end].copy_from_slice(buf);
            contents.show(offset, buf);
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
        let mut contents = self.contents_mut()?;
        if len > 0 {
            extend(&mut contents.bytes, offset, len)?;
            contents.show_len();
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.contents().bytes.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut contents = self.contents_mut()?;
        extend(&mut contents.bytes, len, 0)?;
        contents.bytes.truncate(usize::try_from(len).expect("the vector was extended to this length"));
        contents.show_len();
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
