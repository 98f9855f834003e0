//! Areas that several openings of one disk in memory share.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
};

use super::{MemoryVfs, file::MemoryFile};
use crate::{
    SharedArea,
    share::{SimulatedArea, SimulatedHandle},
};

/// One opening of an area. It waits in real time, as threads do that stand for processes.
#[derive(Debug)]
pub(super) struct MemoryArea {
    disk: MemoryVfs,
    path: PathBuf,
    area: Arc<SimulatedArea>,
    handle: SimulatedHandle,
}

impl MemoryArea {
    pub(super) fn open(disk: &MemoryVfs, path: &Path, file: &MemoryFile) -> io::Result<Self> {
        let area = file.area()?;
        let handle = SimulatedHandle::open(Arc::clone(&area))?;
        Ok(Self { disk: disk.clone(), path: path.to_owned(), area, handle })
    }
}

impl SharedArea for MemoryArea {
    fn words(&self) -> &[AtomicU64] {
        self.handle.words().get()
    }

    fn try_lock(&self, byte: u64) -> io::Result<bool> {
        Ok(self.handle.try_lock(byte))
    }

    fn unlock(&self, byte: u64) -> io::Result<()> {
        self.handle.unlock(byte);
        Ok(())
    }

    fn is_locked_elsewhere(&self, byte: u64) -> io::Result<bool> {
        Ok(self.handle.is_locked_elsewhere(byte))
    }

    fn wait(&self, word: usize, expected: u64, timeout_us: u64) {
        self.handle.words().wait(word, expected, timeout_us);
    }

    fn wake(&self, word: usize) {
        self.handle.words().wake(word);
    }

    fn read_tail(&self) -> io::Result<Vec<u8>> {
        Ok(self.handle.read_tail())
    }

    fn write_tail(&self, bytes: &[u8]) -> io::Result<()> {
        self.handle.write_tail(bytes, bytes.len());
        Ok(())
    }

    fn is_current(&self) -> io::Result<bool> {
        let file = self.disk.tree().files.get(&self.path).cloned();
        Ok(file.is_some_and(|file| file.is_area(&self.area)))
    }
}
