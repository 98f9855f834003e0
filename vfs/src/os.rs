//! The real disk: files, maps, rings, locks and clocks of the operating system.
//!
//! Linux gets everything. Elsewhere the traits are kept by plainer means: heap memory instead of private maps,
//! `pwrite` and `fdatasync` instead of direct writes and io_uring.
#![expect(clippy::disallowed_methods, reason = "this is the place where files and clocks enter")]

mod direct;
mod file;
mod lock;
mod portable_ring;
mod position;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod share;
#[cfg(target_os = "linux")]
mod uring;
#[cfg(target_os = "linux")]
mod writeback;

use std::{
    fs,
    hash::{BuildHasher, Hasher, RandomState},
    io,
    path::Path,
    sync::{Arc, OnceLock},
    time::{Instant, SystemTime},
};

use llmdb_base::Timestamp;

use self::{file::OsFile, portable_ring::PortableRing};
use crate::{
    BusErrors, File, FileLock, LockError, LockKind, Mapping, Open, Ring, ShareError, SharedArea, Vfs,
    disk::about,
};

/// The files of this machine. Errors name the path they are about.
#[derive(Clone, Debug, Default)]
pub struct OsVfs {
    options: OsOptions,
}

/// Which means of the operating system are used. The guarantees are the same whatever is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OsOptions {
    /// How rings do their writes.
    pub ring: RingChoice,
    /// Whether files are opened for writes past the page cache.
    pub direct: DirectIo,
    /// What becomes of a process under whose map a file is cut.
    pub bus_errors: BusErrors,
}

/// How the rings of an [`OsVfs`] do their writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RingChoice {
    /// Through io_uring where it works, else as [`RingChoice::Portable`], with one warning in the log.
    #[default]
    Auto,
    /// Through io_uring; [`Vfs::ring`] fails where it does not work.
    IoUring,
    /// By `pwrite` and `fdatasync`, for systems where io_uring is not wanted.
    Portable,
}

/// Whether durable writes go past the page cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DirectIo {
    /// Where the filesystem allows it, and the caller asked for it in [`Open::direct`].
    #[default]
    Auto,
    /// Never: through the page cache, then forced.
    Off,
}

impl OsVfs {
    /// The files of this machine, by the best means there are.
    pub fn new() -> Self {
        Self::default()
    }

    /// The files of this machine, by chosen means.
    pub fn with_options(options: OsOptions) -> Self {
        Self { options }
    }

    /// What was chosen.
    pub fn options(&self) -> OsOptions {
        self.options
    }
}

impl Vfs for OsVfs {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(OsFile::open(path, how, self.options.direct)?))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path).map_err(about(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to).map_err(about(from))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            made => made.map_err(about(path)),
        }
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path).map_err(about(path))
    }

    fn list_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        names_of_files(or_current(path)).map_err(about(path))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        or_current(path).try_exists().map_err(about(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        sync_folder(or_current(path)).map_err(about(path))
    }

    fn lock(&self, path: &Path, kind: LockKind, note: &str) -> Result<Box<dyn FileLock>, LockError> {
        lock::take(path, kind, note)
    }

    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    fn share(&self, path: &Path) -> Result<Arc<dyn SharedArea>, ShareError> {
        Ok(Arc::new(share::OsArea::open(path, self.options.bus_errors)?))
    }

    #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
    fn share(&self, _path: &Path) -> Result<Arc<dyn SharedArea>, ShareError> {
        Err(ShareError::unsupported("it takes Linux on a machine of 64 bits"))
    }

    #[cfg(unix)]
    fn copy_rights(&self, from: &Path, to: &Path) -> io::Result<()> {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
        let (wanted, found) =
            (fs::metadata(from).map_err(about(from))?, fs::metadata(to).map_err(about(to))?);
        if (wanted.uid(), wanted.gid()) != (found.uid(), found.gid()) {
            // Only for those who may give files away. The others share by the rights of the group, or of all.
            let _ = chown(to, Some(wanted.uid()), Some(wanted.gid()));
        }
        let mode = |metadata: &fs::Metadata| metadata.mode() & 0o777;
        if mode(&wanted) == mode(&found) {
            return Ok(());
        }
        fs::set_permissions(to, fs::Permissions::from_mode(mode(&wanted))).map_err(about(to))
    }

    fn ring(&self, depth: usize) -> io::Result<Box<dyn Ring>> {
        match self.options.ring {
            RingChoice::Portable => Ok(Box::new(PortableRing::new(depth))),
            RingChoice::IoUring => io_uring_ring(depth),
            RingChoice::Auto => Ok(io_uring_ring(depth).unwrap_or_else(|error| {
                PortableRing::say_why(&format!("io_uring is not to be had ({error})"));
                Box::new(PortableRing::new(depth))
            })),
        }
    }

    fn map(&self, file: Option<Arc<dyn File>>) -> io::Result<Mapping> {
        #[cfg(target_os = "linux")]
        // Private copies are made by the page of the machine: larger ones would shadow blocks beside the one stored.
        if rustix::param::page_size() == crate::BLOCK_SIZE
            && let Some(file) = file.as_ref().and_then(|file| file.as_any().downcast_ref::<OsFile>())
        {
            return file.map_privately(self.options.bus_errors);
        }
        Mapping::heap(file)
    }

    fn now(&self) -> Timestamp {
        // Before 1970 and after the year 290000, the clock of the machine is wrong; it may be wrong here as well.
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::new(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
    }

    fn monotonic_us(&self) -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        let elapsed = START.get_or_init(Instant::now).elapsed();
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }

    #[cfg(target_os = "linux")]
    fn coarse_now(&self) -> Timestamp {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        Timestamp::new(time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000))
    }

    fn random_u64(&self) -> u64 {
        // The keys of the standard hasher come from the operating system, once per thread, and differ from hasher
        // to hasher. The process id keeps a forked child apart.
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        hasher.finish()
    }
}

#[cfg(target_os = "linux")]
fn io_uring_ring(depth: usize) -> io::Result<Box<dyn Ring>> {
    Ok(Box::new(uring::UringRing::new(depth)?))
}

#[cfg(not(target_os = "linux"))]
fn io_uring_ring(_depth: usize) -> io::Result<Box<dyn Ring>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux has it"))
}

fn names_of_files(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A name that is not Unicode is not one of ours.
        if !entry.file_type()?.is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Elsewhere folders cannot be forced, and the filesystems in use there order such changes themselves.
#[cfg(not(unix))]
fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::metadata(folder).map(drop)
}

/// The folder of a path without one is the current folder.
fn or_current(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}
