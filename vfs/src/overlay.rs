//! A disk over another one, which stays as it is: what is written is seen by whoever wrote it, and gone with the file.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use llmdb_base::Timestamp;

use crate::{
    AlignedBuf, BLOCK_SIZE, Create, File, FileLock, LockError, LockKind, Mapping, Open, Ring, Vfs,
    disk::{check_blocks, read_exact_at},
};

/// Shows the files of another disk, and keeps what is written to them in memory. Names cannot be made, changed or
/// removed, and what is forced goes nowhere. Maps are memory too, as much as is touched.
///
/// For trying out what a change would bring: a replay, say.
#[derive(Clone, Debug)]
pub struct OverlayVfs {
    below: Arc<dyn Vfs>,
}

impl OverlayVfs {
    /// Over `below`, on which nothing will be changed.
    pub fn new(below: Arc<dyn Vfs>) -> Self {
        Self { below }
    }
}

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "nothing is changed on the disk below")
}

impl Vfs for OverlayVfs {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        if how.create == Create::New {
            return Err(refused());
        }
        let below = self.below.open(path, Open { write: false, create: Create::Never, ..how })?;
        let len = below.len()?;
        Ok(Arc::new(OverlayFile {
            below,
            above: Mutex::new(Above { len, shown: len, blocks: BTreeMap::new() }),
        }))
    }

    fn remove_file(&self, _path: &Path) -> io::Result<()> {
        Err(refused())
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(refused())
    }

    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        Err(refused())
    }

    fn remove_dir(&self, _path: &Path) -> io::Result<()> {
        Err(refused())
    }

    fn list_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.below.list_dir(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.below.exists(path)
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path, kind: LockKind, note: &str) -> Result<Box<dyn FileLock>, LockError> {
        self.below.lock(path, kind, note)
    }

    fn ring(&self, _depth: usize) -> io::Result<Box<dyn Ring>> {
        Err(refused())
    }

    fn map(&self, file: Option<Arc<dyn File>>) -> io::Result<Mapping> {
        Mapping::heap(file)
    }

    fn now(&self) -> Timestamp {
        self.below.now()
    }

    fn monotonic_us(&self) -> u64 {
        self.below.monotonic_us()
    }

    fn random_u64(&self) -> u64 {
        self.below.random_u64()
    }
}

struct OverlayFile {
    below: Arc<dyn File>,
    above: Mutex<Above>,
}

/// What was changed.
struct Above {
    len: u64,
    /// Up to here the file below shows through.
    shown: u64,
    /// Whole blocks that were written to, by number.
    blocks: BTreeMap<u64, Box<[u8; BLOCK_SIZE]>>,
}

impl OverlayFile {
    fn above(&self) -> MutexGuard<'_, Above> {
        self.above.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of a block that was not written to.
    fn read_below(&self, above: &Above, number: u64) -> io::Result<Box<[u8; BLOCK_SIZE]>> {
        let mut block = Box::new([0; BLOCK_SIZE]);
        let start = number * BLOCK_SIZE as u64;
        let len = above.shown.saturating_sub(start).min(BLOCK_SIZE as u64);
        let len = usize::try_from(len).expect("at most a block");
        read_exact_at(&*self.below, &mut block[..len], start)?;
        Ok(block)
    }
}

/// The block that `offset` lies in, and where in it.
fn place(offset: u64) -> (u64, usize) {
    let at = usize::try_from(offset % BLOCK_SIZE as u64).expect("inside a block");
    (offset / BLOCK_SIZE as u64, at)
}

impl File for OverlayFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let above = self.above();
        let left = usize::try_from(above.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let (number, at) = place(offset);
        let count = buf.len().min(left).min(BLOCK_SIZE - at);
        match above.blocks.get(&number) {
            Some(block) => buf[..count].copy_from_slice(&block[at..at + count]),
            None => buf[..count].copy_from_slice(&self.read_below(&above, number)?[at..at + count]),
        }
        Ok(count)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let mut above = self.above();
        let (number, at) = place(offset);
        let count = buf.len().min(BLOCK_SIZE - at);
        let mut block = match above.blocks.remove(&number) {
            Some(block) => block,
            None => self.read_below(&above, number)?,
        };
        block[at..at + count].copy_from_slice(&buf[..count]);
        above.blocks.insert(number, block);
        above.len = above.len.max(offset + count as u64);
        Ok(count)
    }

    fn write_durable_at(&self, buf: &AlignedBuf, offset: u64) -> io::Result<()> {
        check_blocks(offset, buf.len(), buf.len())?;
        crate::write_all_at(self, buf, offset)
    }

    fn read_media_at(&self, buf: &mut AlignedBuf, offset: u64) -> io::Result<()> {
        check_blocks(offset, buf.len(), buf.len())?;
        let (first, count) = (offset / BLOCK_SIZE as u64, buf.len() as u64 / BLOCK_SIZE as u64);
        let untouched = {
            let above = self.above();
            above.blocks.range(first..first + count).next().is_none()
                && offset + buf.len() as u64 <= above.shown
        };
        if untouched { self.below.read_media_at(buf, offset) } else { read_exact_at(self, buf, offset) }
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn start_writeback(&self, _offset: u64, _len: u64) {}

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        let end = offset.checked_add(len).ok_or(io::ErrorKind::FileTooLarge)?;
        let mut above = self.above();
        above.len = above.len.max(end);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.above().len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut above = self.above();
        if len < above.len {
            let (last, at) = place(len);
            above.shown = above.shown.min(len);
            above.blocks.retain(|number, _| *number <= last);
            if let Some(block) = above.blocks.get_mut(&last) {
                block[at..].fill(0);
            }
        }
        above.len = len;
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl fmt::Debug for OverlayFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OverlayFile({:?}, {} blocks of its own)", self.below, self.above().blocks.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryVfs, write_all_at};

    const READ: Open = Open { write: true, create: Create::IfMissing, direct: false };

    fn contents(file: &dyn File) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        read_exact_at(file, &mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_seen_and_changes_nothing() {
        let below: Arc<dyn Vfs> = Arc::new(MemoryVfs::new(1));
        let file = below.open(Path::new("data"), READ).unwrap();
        let original: Vec<u8> = (0..20_000_u32).map(|at| (at % 251) as u8).collect();
        write_all_at(&*file, &original, 0).unwrap();

        let vfs = OverlayVfs::new(Arc::clone(&below));
        let above = vfs.open(Path::new("data"), READ).unwrap();
        let mut expected = original.clone();
        assert_eq!(contents(&*above), expected);
        let write = |expected: &mut Vec<u8>, at: usize, bytes: &[u8]| {
            write_all_at(&*above, bytes, at as u64).unwrap();
            expected.resize(expected.len().max(at + bytes.len()), 0);
            expected[at..at + bytes.len()].copy_from_slice(bytes);
        };
        write(&mut expected, 4000, &[9; 5000]);
        write(&mut expected, 19_990, &[8; 100]);
        write(&mut expected, 30_000, &[7; 10]);
        assert_eq!(contents(&*above), expected);
        above.set_len(9_000).unwrap();
        above.allocate(9_000, 7_000).unwrap();
        expected.truncate(9_000);
        expected.resize(16_000, 0);
        assert_eq!(contents(&*above), expected, "what was cut off does not come back");
        let mut block = AlignedBuf::new(BLOCK_SIZE);
        above.read_media_at(&mut block, 0).unwrap();
        assert_eq!(block[..], expected[..BLOCK_SIZE]);
        assert_eq!(contents(&*file), original);
        assert!(vfs.remove_file(Path::new("data")).is_err() && vfs.ring(1).is_err());
    }
}
