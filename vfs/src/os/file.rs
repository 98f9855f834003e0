//! An open file of the operating system.

use std::{
    any::Any,
    fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{DirectIo, direct::Direct, position};
use crate::{
    AlignedBuf, Create, File, Open,
    disk::{about, check_blocks},
};

#[derive(Debug)]
pub(super) struct OsFile {
    file: fs::File,
    /// For errors.
    path: Box<Path>,
    /// The same file past the page cache, where that was asked for and is possible.
    direct: Option<Direct>,
    /// Whether readers find this file in the page cache, through a map.
    is_mapped: AtomicBool,
    /// How long the maps of this file take it to be at least; 0 = ask again.
    length_for_maps: Arc<AtomicU64>,
}

impl OsFile {
    pub(super) fn open(path: &Path, how: Open, direct: DirectIo) -> io::Result<Self> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(how.write);
        options.create(how.create == Create::IfMissing).create_new(how.create == Create::New);
        let file = options.open(path).map_err(about(path))?;
        if file.metadata().map_err(about(path))?.is_dir() {
            return Err(about(path)(io::ErrorKind::IsADirectory.into()));
        }
        let wanted = how.direct && direct == DirectIo::Auto;
        let direct = if wanted { Direct::open(path, how.write) } else { None };
        let (is_mapped, length_for_maps) = Default::default();
        Ok(Self { file, path: path.into(), direct, is_mapped, length_for_maps })
    }

    /// The descriptor for writes past the page cache, if such writes work.
    #[cfg(target_os = "linux")]
    pub(super) fn direct(&self) -> Option<&fs::File> {
        self.direct.as_ref()?.usable()
    }

    /// An error of a call on this file, naming it.
    pub(super) fn named(&self, error: io::Error) -> io::Error {
        about(&self.path)(error)
    }

    /// Writes whole blocks and forces them to the media. Memory and offset are aligned to blocks.
    pub(super) fn write_durable(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_unnamed(bytes, offset).map_err(|error| self.named(error))
    }

    fn write_unnamed(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.is_mapped.load(Ordering::Relaxed) {
            // A write past the page cache throws out of it what it held there, and with it all of the large piece of
            // memory around that: up to 2 MiB of pages, which readers then fetch from the disk one by one.
            return position::write_all_durable_at(&self.file, bytes, offset);
        }
        if let Some(direct) = &self.direct
            && let Some(file) = direct.usable()
        {
            match position::write_all_at(file, bytes, offset) {
                Err(error) if Direct::is_refusal(&error) => direct.give_up(&error),
                written => return written,
            }
        }
        position::write_all_durable_at(&self.file, bytes, offset)
    }

    #[cfg(target_os = "linux")]
    pub(super) fn map_privately(&self, losses: crate::BusErrors) -> io::Result<crate::Mapping> {
        self.is_mapped.store(true, Ordering::Relaxed);
        crate::Mapping::private_file(self.file.try_clone()?.into(), Arc::clone(&self.length_for_maps), losses)
    }

    /// Takes space by writing zeros behind the end of the file, where the system cannot reserve it.
    fn allocate_by_writing(&self, offset: u64, len: u64) -> io::Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        let end = offset.checked_add(len).ok_or(io::ErrorKind::FileTooLarge)?;
        let mut start = self.file.metadata()?.len();
        while start < end {
            let count = usize::try_from(end - start).unwrap_or(usize::MAX).min(ZEROS.len());
            position::write_all_at(&self.file, &ZEROS[..count], start)?;
            start += count as u64;
        }
        Ok(())
    }
}

impl File for OsFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        position::read_at(&self.file, buf, offset).map_err(|error| self.named(error))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        position::write_at(&self.file, buf, offset).map_err(|error| self.named(error))
    }

    fn write_durable_at(&self, buf: &AlignedBuf, offset: u64) -> io::Result<()> {
        check_blocks(offset, buf.len(), buf.len())?;
        self.write_durable(buf, offset)
    }

    fn read_media_at(&self, buf: &mut AlignedBuf, offset: u64) -> io::Result<()> {
        check_blocks(offset, buf.len(), buf.len())?;
        if let Some(direct) = &self.direct
            && let Some(file) = direct.usable()
        {
            match Direct::read_exact_at(file, buf, offset) {
                Err(error) if Direct::is_refusal(&error) => direct.give_up(&error),
                read => return read.map_err(|error| self.named(error)),
            }
        }
        crate::read_exact_at(self, buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data().map_err(|error| self.named(error))
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        #[cfg(target_os = "linux")]
        super::writeback::start(&self.file, offset, len);
        #[cfg(not(target_os = "linux"))]
        let _ = (offset, len);
    }

    #[cfg(target_os = "linux")]
    fn await_writeback(&self, offset: u64, len: u64) -> io::Result<()> {
        super::writeback::wait(&self.file, offset, len).map_err(|error| self.named(error))
    }

    #[cfg(target_os = "linux")]
    fn is_cached(&self, offset: u64) -> bool {
        use rustix::io::{Errno, ReadWriteFlags, preadv2};
        let mut byte = [0];
        let found =
            preadv2(&self.file, &mut [io::IoSliceMut::new(&mut byte)], offset, ReadWriteFlags::NOWAIT);
        // Where the system does not tell, or cannot read, asking for it would not help either.
        found != Err(Errno::AGAIN)
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        let reserved = match reserve(&self.file, offset, len) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => self.allocate_by_writing(offset, len),
            reserved => reserved,
        };
        reserved.map_err(|error| self.named(error))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata().map_err(|error| self.named(error))?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let cut = self.file.set_len(len);
        self.length_for_maps.store(0, Ordering::Relaxed);
        cut.map_err(|error| self.named(error))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Asks the filesystem to reserve space, which also extends the file.
#[cfg(target_os = "linux")]
fn reserve(file: &fs::File, offset: u64, len: u64) -> io::Result<()> {
    use rustix::{fs::FallocateFlags, io::Errno};

    loop {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), offset, len) {
            Err(Errno::INTR) => {}
            Err(Errno::NOSYS) => return Err(io::ErrorKind::Unsupported.into()),
            reserved => return Ok(reserved?),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_file: &fs::File, _offset: u64, _len: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(folder: &tempfile::TempDir) -> OsFile {
        let how = Open { write: true, create: Create::New, direct: true };
        OsFile::open(&folder.path().join("data"), how, DirectIo::Auto).unwrap()
    }

    #[test]
    fn a_refused_direct_write_goes_through_the_page_cache_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = create(&folder);
        if file.direct.is_none() {
            println!("skipped: no direct files here");
            return;
        }
        // Off the alignment, which is what a filesystem refuses.
        file.write_durable(&[1; 100], 10).unwrap();
        if file.direct.as_ref().and_then(Direct::usable).is_some() {
            println!("skipped: the filesystem takes direct writes off the alignment");
            return;
        }
        file.write_durable(&[2; 100], 10).unwrap();
        let mut bytes = [0; 110];
        crate::read_exact_at(&file, &mut bytes, 0).unwrap();
        assert_eq!(bytes[10..], [2; 100]);

        file.set_len(crate::BLOCK_SIZE as u64).unwrap();
        let mut block = AlignedBuf::new(crate::BLOCK_SIZE);
        file.read_media_at(&mut block, 0).unwrap();
        assert_eq!(block[10..110], [2; 100]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_durable_write_leaves_readers_of_the_map_what_lies_around_it() {
        const LEN: usize = 2 << 20;
        let folder = tempfile::tempdir().unwrap();
        let file = create(&folder);
        // At once, so that the page cache may keep it in one piece.
        position::write_all_at(&file.file, &vec![1; LEN], 0).unwrap();
        file.sync_data().unwrap();
        let _map = file.map_privately(crate::BusErrors::Leave).unwrap();
        let mut block = AlignedBuf::new(crate::BLOCK_SIZE);
        block.fill(2);
        file.write_durable_at(&block, 0).unwrap();
        let is_cached = |offset: &usize| file.is_cached(*offset as u64);
        assert_eq!((0..LEN).step_by(crate::BLOCK_SIZE).filter(is_cached).count(), LEN / crate::BLOCK_SIZE);
        let mut media = AlignedBuf::new(2 * crate::BLOCK_SIZE);
        file.read_media_at(&mut media, 0).unwrap();
        assert!(media[..crate::BLOCK_SIZE].iter().all(|byte| *byte == 2));
        assert!(media[crate::BLOCK_SIZE..].iter().all(|byte| *byte == 1));
    }

    #[test]
    fn the_end_of_the_file_is_no_refusal() {
        let folder = tempfile::tempdir().unwrap();
        let file = create(&folder);
        position::write_all_at(&file.file, &[1; crate::BLOCK_SIZE + 100], 0).unwrap();
        let mut two = AlignedBuf::new(2 * crate::BLOCK_SIZE);
        assert_eq!(file.read_media_at(&mut two, 0).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(file.direct.as_ref().is_none_or(|direct| direct.usable().is_some()));
    }

    #[test]
    fn space_taken_by_writing_leaves_bytes_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = create(&folder);
        position::write_all_at(&file.file, &[1; 100], 0).unwrap();
        file.allocate_by_writing(0, 200_000).unwrap();
        file.allocate_by_writing(50, 10).unwrap();
        assert_eq!(file.len().unwrap(), 200_000);
        let mut bytes = vec![9; 200_000];
        crate::read_exact_at(&file, &mut bytes, 0).unwrap();
        assert_eq!(bytes[..100], [1; 100]);
        assert!(bytes[100..].iter().all(|byte| *byte == 0));
    }
}
