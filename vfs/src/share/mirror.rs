//! The bytes of a simulated file, once more in a file of the kernel, so that maps of it show what others write.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{Arc, atomic::AtomicU64},
};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::{BusErrors, Mapping};

/// A file without a name that is kept equal to a simulated one. Maps of it behave as those of a real disk do: a
/// write shows through at once, except where a store shadows it.
#[derive(Debug)]
pub(crate) struct Mirror {
    file: File,
    length: Arc<AtomicU64>,
}

impl Mirror {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { file: memory_file("llmdb-mirror")?, length: Arc::default() })
    }

    pub(crate) fn write(&self, bytes: &[u8], offset: u64) {
        self.file.write_all_at(bytes, offset).expect("memory takes the same bytes a second time");
    }

    pub(crate) fn set_len(&self, len: u64) {
        self.file.set_len(len).expect("a file in memory has any length that a simulated file has");
        self.length.store(0, std::sync::atomic::Ordering::Relaxed);
    }

    pub(crate) fn map(&self) -> io::Result<Mapping> {
        Mapping::private_file(self.file.try_clone()?.into(), Arc::clone(&self.length), BusErrors::Catch)
    }
}

/// A file of the kernel's memory, which goes with its last user.
pub(super) fn memory_file(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?))
}
