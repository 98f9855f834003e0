//! A store on a medium that cannot be written: the log is replayed into memory, and the files stay as they are.
//!
//! Nobody else can write there either, so that no lock is needed, and none can be had.

use std::{
    any::Any,
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use llmdb_base::{
    Lsn,
    sync::{Mutex, lock},
};
use llmdb_pager::{Access, Pager, Pick};
use llmdb_vfs::{AlignedBuf, BLOCK_SIZE, File, Vfs, read_exact_at};
use llmdb_wal::Log;

use crate::{
    Options, RecoveryReport, Result,
    engine::Shared,
    open::{self, Places},
    recovery,
};

/// Opens a store for reading, and recovers it in memory if it was not closed.
///
/// # Errors
/// Those of opening a store for reading.
pub(crate) fn open(vfs: Arc<dyn Vfs>, places: &Places, options: Options) -> Result<(Shared, RecoveryReport)> {
    let file = open::open_data(&*vfs, &places.data, false)?;
    let pager_options = open::pager_options(&Options { dirty_bytes_max: u64::MAX, ..options.clone() });
    let pager = Pager::open(&*vfs, Arc::clone(&file), pager_options, Access::ReadOnly, Pick::Newest)
        .map_err(|error| open::open_error(error, &places.data))?;
    let replay = open::open_replay(&vfs, &places.log, &pager, &options)?;
    let is_behind = replay.end() > pager.durable().lsn;
    drop(replay);
    let mut report = RecoveryReport::default();
    let pager = if is_behind {
        drop(pager);
        let overlay = Arc::new(Overlay::new(file)?);
        let pager = Pager::open(&*vfs, overlay, pager_options, Access::Scratch, Pick::Newest)
            .map_err(|error| open::open_error(error, &places.data))?;
        let writable = Options { read_only: false, ..options.clone() };
        report = recovery::replay(&vfs, &places.log, &pager, &writable)?.1;
        pager
    } else {
        pager
    };
    let end: Lsn = pager.tip().lsn;
    let log = Log::at_rest(Arc::clone(&vfs), &places.log, pager.store_id(), end, open::log_options(&options));
    let shared =
        open::shared(vfs, places.data.clone(), pager, Some(log), options, None, report.replayed_bytes);
    Ok((shared, report))
}

/// A file and what was written over it, in memory. No disk knows it, so that its map is memory too.
#[derive(Debug)]
struct Overlay {
    file: Arc<dyn File>,
    file_len: u64,
    len: AtomicU64,
    blocks: Mutex<BTreeMap<u64, Box<[u8; BLOCK_SIZE]>>>,
}

impl Overlay {
    fn new(file: Arc<dyn File>) -> Result<Self> {
        let len = file.len();
        let len = len.map_err(|error| crate::Error::io("ask for the length of the data file", error))?;
        Ok(Self { file, file_len: len, len: AtomicU64::new(len), blocks: Mutex::default() })
    }

    /// A block as it is in the file; zeros behind its end.
    fn block_of_file(&self, block: u64) -> io::Result<Box<[u8; BLOCK_SIZE]>> {
        let mut bytes = Box::new([0; BLOCK_SIZE]);
        let start = block * BLOCK_SIZE as u64;
        let len = self.file_len.saturating_sub(start).min(BLOCK_SIZE as u64);
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        read_exact_at(&*self.file, &mut bytes[..len], start)?;
        Ok(bytes)
    }
}

/// Where `offset` lies: block, and offset in it.
fn place(offset: u64) -> (u64, usize) {
    let within = usize::try_from(offset % BLOCK_SIZE as u64).unwrap_or(0);
    (offset / BLOCK_SIZE as u64, within)
}

impl File for Overlay {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.len.load(Ordering::Acquire).saturating_sub(offset);
        let (block, within) = place(offset);
        let count = buf.len().min(BLOCK_SIZE - within).min(usize::try_from(left).unwrap_or(usize::MAX));
        match lock(&self.blocks).get(&block) {
            Some(bytes) => buf[..count].copy_from_slice(&bytes[within..within + count]),
            None => buf[..count].copy_from_slice(&self.block_of_file(block)?[within..within + count]),
        }
        Ok(count)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let (block, within) = place(offset);
        let count = buf.len().min(BLOCK_SIZE - within);
        let mut blocks = lock(&self.blocks);
        let bytes = match blocks.entry(block) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => new.insert(self.block_of_file(block)?),
        };
        bytes[within..within + count].copy_from_slice(&buf[..count]);
        self.len.fetch_max(offset + count as u64, Ordering::AcqRel);
        Ok(count)
    }

    fn write_durable_at(&self, _buf: &AlignedBuf, _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn read_media_at(&self, buf: &mut AlignedBuf, offset: u64) -> io::Result<()> {
        read_exact_at(self, buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn start_writeback(&self, _offset: u64, _len: u64) {}

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.len.fetch_max(offset.saturating_add(len), Ordering::AcqRel);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.len.load(Ordering::Acquire))
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
