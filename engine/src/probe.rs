//! How long the disk below a store takes to make something durable: the figure that bounds every commit.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use llmdb_vfs::{AlignedBuf, BLOCK_SIZE, Create, File, Open, OsVfs, Ring, RingKind, Vfs, write_all_at};

use crate::{Engine, Error, Result, open::random_id};

/// What a disk does with the writes of a log. Times are in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct DiskReport {
    /// Durable writes of 4 KiB that were timed, one after the other, over space that was written before.
    pub write_count: u64,
    /// The middle one.
    pub median_us: u64,
    /// 99 of 100 took no longer.
    pub p99_us: u64,
    /// The slowest.
    pub max_us: u64,
    /// Whether they went through io_uring; otherwise by `pwrite` and `fdatasync`, with the same guarantees.
    pub io_uring: bool,
}

/// Length of the file that is written over and over: the writes do not all hit one block.
const PROBE_BLOCKS: usize = 64;

impl Engine {
    /// Times `write_count` durable writes in the folder of `path`, in a file of its own that is removed again.
    /// Touches no store. Cost: as many syncs, one after the other.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NoSpace`]: the folder cannot be written.
    pub fn probe_disk(path: impl AsRef<Path>, write_count: u64) -> Result<DiskReport> {
        probe(&(Arc::new(OsVfs::new()) as Arc<dyn Vfs>), path.as_ref(), write_count)
    }
}

/// A file that is removed when dropped.
struct Scratch<'a> {
    vfs: &'a Arc<dyn Vfs>,
    path: PathBuf,
    file: Arc<dyn File>,
}

impl<'a> Scratch<'a> {
    fn create(vfs: &'a Arc<dyn Vfs>, beside: &Path) -> Result<Self> {
        let mut name = beside.as_os_str().to_owned();
        name.push(format!("-probe-{}", random_id(&**vfs)));
        let path = PathBuf::from(name);
        let file = vfs
            .open(&path, Open { write: true, create: Create::New, direct: true })
            .map_err(|error| Error::io("make a file to measure the disk with", error))?;
        Ok(Self { vfs, path, file })
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.vfs.remove_file(&self.path) {
            log::warn!("{} is of no use and can be removed: {error}", self.path.display());
        }
    }
}

fn probe(vfs: &Arc<dyn Vfs>, path: &Path, write_count: u64) -> Result<DiskReport> {
    let scratch = Scratch::create(vfs, path)?;
    // Space that was never written would be timed together with the filesystem's note about it.
    let zeros = vec![0; BLOCK_SIZE * PROBE_BLOCKS];
    let prepare = || {
        write_all_at(&*scratch.file, &zeros, 0)?;
        scratch.file.sync_data()
    };
    prepare().map_err(|error| Error::io("prepare a file to measure the disk with", error))?;
    let mut ring = vfs.ring(1).map_err(|error| Error::io("set up writes", error))?;
    let mut times = Vec::new();
    let mut buffer = AlignedBuf::new(BLOCK_SIZE);
    for round in 0..write_count.max(1) {
        buffer.fill(round.to_le_bytes()[0]);
        let begun = vfs.monotonic_us();
        let offset = round % PROBE_BLOCKS as u64 * BLOCK_SIZE as u64;
        buffer = write_once(&mut *ring, &scratch.file, buffer, offset)?;
        times.push(vfs.monotonic_us().saturating_sub(begun));
    }
    Ok(report(times, ring.kind()))
}

fn write_once(
    ring: &mut dyn Ring,
    file: &Arc<dyn File>,
    buffer: AlignedBuf,
    offset: u64,
) -> Result<AlignedBuf> {
    let failed = |error| Error::io("write durably to measure the disk", error);
    ring.submit(file, buffer, BLOCK_SIZE, offset, 0).map_err(failed)?;
    let Some(done) = ring.wait() else { return Err(failed(std::io::ErrorKind::UnexpectedEof.into())) };
    done.result.map_err(failed)?;
    Ok(done.buffer)
}

fn report(mut times: Vec<u64>, kind: RingKind) -> DiskReport {
    times.sort_unstable();
    let at = |hundredths: usize| times[(times.len() * hundredths / 100).min(times.len() - 1)];
    DiskReport {
        write_count: times.len() as u64,
        median_us: at(50),
        p99_us: at(99),
        max_us: at(100),
        io_uring: kind == RingKind::IoUring,
    }
}

#[cfg(test)]
mod tests {
    use llmdb_vfs::MemoryVfs;

    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let times: Vec<_> = (1..=200).rev().collect();
        let found = report(times, RingKind::IoUring);
        assert_eq!((found.median_us, found.p99_us, found.max_us), (101, 199, 200));
        assert_eq!((found.write_count, found.io_uring), (200, true));
        assert_eq!(report(vec![7], RingKind::Portable).p99_us, 7);
    }

    #[test]
    fn a_probe_leaves_nothing_behind() {
        let vfs: Arc<dyn Vfs> = Arc::new(MemoryVfs::default());
        let found = probe(&vfs, Path::new("store"), 10).unwrap();
        assert_eq!(found.write_count, 10);
        assert_eq!(vfs.list_dir(Path::new(".")).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_that_says_what_was_tried() {
        let vfs: Arc<dyn Vfs> = Arc::new(MemoryVfs::default());
        let error = probe(&vfs, Path::new("nowhere/store"), 1).unwrap_err();
        assert!(error.to_string().contains("measure the disk"), "{error}");
    }
}
