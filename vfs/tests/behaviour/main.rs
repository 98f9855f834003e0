//! What every disk does alike. Each test runs on all disks of the table below, through the traits alone.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod errors;
mod files;
mod folders;
mod locks;
mod maps;
mod rings;
#[cfg(target_os = "linux")]
mod share;
mod time;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use llmdb_vfs::{
    AlignedBuf, BLOCK_SIZE, Create, DirectIo, File, MemoryVfs, Open, OsOptions, OsVfs, RingChoice, Vfs,
    crash::CrashVfs, read_exact_at,
};

/// A disk with an empty folder on it.
struct Disk {
    name: &'static str,
    vfs: Arc<dyn Vfs>,
    folder: PathBuf,
    /// Removes the folder of a real disk.
    _folder: Option<tempfile::TempDir>,
}

/// Runs `test` on every disk, and says which one it was on when it fails.
fn on_every_disk(test: impl Fn(&Disk)) {
    let plain = OsOptions { ring: RingChoice::Portable, direct: DirectIo::Off, ..OsOptions::default() };
    let mixed = OsOptions { ring: RingChoice::Auto, direct: DirectIo::Off, ..OsOptions::default() };
    let disks = [
        Disk::real("best means", OsOptions::default()),
        Disk::real("plain means", plain),
        Disk::real("ring without direct files", mixed),
        Disk::memory(),
    ];
    for disk in &disks {
        println!("on {}", disk.name);
        test(disk);
    }
}

impl Disk {
    fn real(name: &'static str, options: OsOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vfs = Arc::new(OsVfs::with_options(options));
        Self { name, vfs, folder: folder.path().to_owned(), _folder: Some(folder) }
    }

    fn memory() -> Self {
        let vfs = MemoryVfs::new(1);
        vfs.create_dir(Path::new("/store")).unwrap();
        Self { name: "memory", vfs: Arc::new(vfs), folder: "/store".into(), _folder: None }
    }

    /// Not in the table of disks: what it does to writes is its own. What processes share is the same everywhere.
    fn crashable() -> Self {
        let vfs = CrashVfs::new(1);
        vfs.create_dir(Path::new("/store")).unwrap();
        Self { name: "crashable", vfs: Arc::new(vfs), folder: "/store".into(), _folder: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn is_real(&self) -> bool {
        self._folder.is_some()
    }

    /// A new file, ready for direct writes.
    fn create(&self, name: &str) -> Arc<dyn File> {
        self.vfs.open(&self.path(name), NEW).unwrap()
    }
}

const NEW: Open = Open { write: true, create: Create::New, direct: true };
const READ: Open = Open { write: false, create: Create::Never, direct: true };
const WRITE: Open = Open { write: true, create: Create::Never, direct: true };

/// A buffer of `blocks` blocks, each byte of which is `fill`.
fn filled(blocks: usize, fill: u8) -> AlignedBuf {
    let mut buffer = AlignedBuf::new(blocks * BLOCK_SIZE);
    buffer.fill(fill);
    buffer
}

/// Offset of a block.
fn at(block: u64) -> u64 {
    block * BLOCK_SIZE as u64
}

/// All bytes of a file.
fn contents(file: &dyn File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    read_exact_at(file, &mut bytes, 0).unwrap();
    bytes
}
