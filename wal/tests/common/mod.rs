//! What the tests of the log share: a disk, a folder, small sizes, and records that can be told apart.
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part of it, and fails by panicking")]

pub mod cached;

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use llmdb_base::{Lsn, StoreId};
use llmdb_vfs::{Create, MemoryVfs, Open, Vfs, read_exact_at, write_all_at};
use llmdb_wal::{Log, LogOptions, LogResult, Replay, TailPolicy};

pub const STORE: StoreId = StoreId::new(0x5107E);

/// Sizes that make a few kilobytes of records go through batches, windows and segments.
pub const SMALL: LogOptions = LogOptions {
    segment_bytes_max: 64 << 10,
    window_bytes: 16 << 10,
    batch_bytes_max: 8 << 10,
    in_flight_max: 2,
    spare_segments_max: 2,
};

/// A log on some disk.
#[derive(Clone, Debug)]
pub struct Place {
    pub vfs: Arc<dyn Vfs>,
    pub dir: PathBuf,
    pub options: LogOptions,
}

impl Place {
    pub fn in_memory(options: LogOptions) -> Self {
        Self::on(Arc::new(MemoryVfs::new(1)), Path::new("db-wal"), options)
    }

    pub fn on(vfs: Arc<dyn Vfs>, dir: &Path, options: LogOptions) -> Self {
        Self { vfs, dir: dir.to_owned(), options }
    }

    pub fn create(&self) -> Log {
        Log::create(Arc::clone(&self.vfs), &self.dir, STORE, Lsn::new(0), self.options).unwrap()
    }

    pub fn open(&self, from: Lsn, tail: TailPolicy) -> LogResult<Replay> {
        Replay::open(Arc::clone(&self.vfs), &self.dir, STORE, from, self.options, tail)
    }

    /// Opens strictly and reads everything.
    pub fn replay(&self, from: Lsn) -> (Vec<Vec<u8>>, Replay) {
        let mut replay = self.open(from, TailPolicy::Strict).unwrap();
        let records = read_all(&mut replay).unwrap();
        assert_eq!(records.len() as u64, replay.record_count());
        (records.into_iter().map(|(_, bytes)| bytes).collect(), replay)
    }

    pub fn names(&self) -> Vec<String> {
        self.vfs.list_dir(&self.dir).unwrap()
    }

    pub fn segments(&self) -> Vec<String> {
        self.names().into_iter().filter(|name| name.ends_with(".seg")).collect()
    }

    pub fn file(&self, name: &str) -> Vec<u8> {
        let how = Open { write: false, create: Create::Never, direct: false };
        let file = self.vfs.open(&self.dir.join(name), how).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        read_exact_at(&*file, &mut bytes, 0).unwrap();
        bytes
    }

    pub fn overwrite(&self, name: &str, offset: u64, bytes: &[u8]) {
        let how = Open { write: true, create: Create::IfMissing, direct: false };
        let file = self.vfs.open(&self.dir.join(name), how).unwrap();
        write_all_at(&*file, bytes, offset).unwrap();
    }
}

pub fn append(log: &Log, bytes: &[u8]) -> LogResult<Lsn> {
    let mut record = log.begin()?;
    record.append(bytes)?;
    record.finish()
}

pub fn commit(log: &Log, bytes: &[u8]) -> Lsn {
    let lsn = append(log, bytes).unwrap();
    log.sync_to(lsn).unwrap();
    assert!(log.durable() >= lsn);
    lsn
}

pub fn read_all(replay: &mut Replay) -> LogResult<Vec<(Lsn, Vec<u8>)>> {
    let mut records = Vec::new();
    while let Some(mut record) = replay.next_record()? {
        let mut bytes = Vec::new();
        record
            .read_to_end(&mut bytes)
            .map_err(|source| llmdb_wal::LogError::Io { what: "read".into(), source })?;
        assert_eq!(record.len(), bytes.len() as u64);
        assert_eq!(record.remaining(), 0);
        records.push((record.end(), bytes));
    }
    Ok(records)
}

/// A record of `len` bytes that differs from every other.
pub fn record(number: u64, len: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
