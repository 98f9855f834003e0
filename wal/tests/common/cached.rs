//! A crashable disk without direct writes: everything goes through the page cache, and rings write and force
//! while submitting, as the portable way of the real disk does.

use std::{any::Any, collections::VecDeque, io, path::Path, sync::Arc};

use llmdb_base::Timestamp;
use llmdb_vfs::{
    AlignedBuf, Completion, File, FileLock, LockError, LockKind, Mapping, Open, Ring, RingKind, Vfs,
    crash::CrashVfs, read_exact_at, write_all_at,
};

#[derive(Debug)]
pub struct Cached(pub CrashVfs);

impl Vfs for Cached {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let file = self.0.open(path, Open { direct: false, ..how })?;
        Ok(Arc::new(CachedFile(file)))
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.0.remove_dir(path)
    }
    fn list_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.0.list_dir(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.0.exists(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }
    fn lock(&self, path: &Path, kind: LockKind, note: &str) -> Result<Box<dyn FileLock>, LockError> {
        self.0.lock(path, kind, note)
    }
    fn ring(&self, _depth: usize) -> io::Result<Box<dyn Ring>> {
        Ok(Box::new(CachedRing::default()))
    }
    fn map(&self, file: Option<Arc<dyn File>>) -> io::Result<Mapping> {
        self.0.map(file)
    }
    fn now(&self) -> Timestamp {
        self.0.now()
    }
    fn monotonic_us(&self) -> u64 {
        self.0.monotonic_us()
    }
    fn random_u64(&self) -> u64 {
        self.0.random_u64()
    }
}

#[derive(Debug)]
struct CachedFile(Arc<dyn File>);

impl File for CachedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(buf, offset)
    }
    fn write_durable_at(&self, buf: &AlignedBuf, offset: u64) -> io::Result<()> {
        write_all_at(&*self.0, buf, offset)?;
        self.0.sync_data()
    }
    fn read_media_at(&self, buf: &mut AlignedBuf, offset: u64) -> io::Result<()> {
        read_exact_at(&*self.0, buf, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn start_writeback(&self, offset: u64, len: u64) {
        self.0.start_writeback(offset, len);
    }
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.0.allocate(offset, len)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug, Default)]
struct CachedRing {
    done: VecDeque<Completion>,
}

impl Ring for CachedRing {
    fn submit(
        &mut self,
        file: &Arc<dyn File>,
        buffer: AlignedBuf,
        len: usize,
        offset: u64,
        token: u64,
    ) -> io::Result<()> {
        let result = write_all_at(&**file, &buffer[..len], offset).and_then(|()| file.sync_data());
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
