//! The log of a generation: a header, then records one after the other, each a multiple of 4 KiB.
//!
//! ```text
//!   header    0 magic  4 checksum of the rest  8 where the log before this one ended  16 zeros up to 64
//!   record    0 magic  4 checksum of the rest  8 length  12 checksum of the record before
//!             16 transaction number  24 how far the log was durable  32 changes
//! ```

use std::{io, sync::Arc};

use llmdb_base::{
    checksum::crc32c,
    codec::{get_u32, get_u64, put_u32, put_u64},
};
use llmdb_vfs::{AlignedBuf, BLOCK_SIZE, Create, File, Vfs, read_exact_at, write_all_at};

use crate::{Change, Failure};

use super::{Bug, Toy, open_failure, open_file, path_of, wire};

const MAGIC: u32 = 0x4C4F_4721;
const HEADER_MAGIC: u32 = 0x4C4F_4748;
const HEADER: usize = 32;
/// Bytes of the header of the log; the rest of its block is zero.
const HEADER_LEN: usize = 64;
/// Whole blocks, so that one misdirected write damages one record.
const UNIT: usize = BLOCK_SIZE;

#[derive(Debug)]
pub(super) struct Log {
    file: Arc<dyn File>,
    generation: u64,
    end: usize,
    durable: usize,
    chain: u32,
    records: Vec<(u64, Vec<Change>)>,
}

/// A record found in the log.
struct Record<'a> {
    len: usize,
    checksum: u32,
    before: u32,
    txid: u64,
    durable: usize,
    changes: &'a [u8],
}

impl Log {
    fn new(file: Arc<dyn File>, generation: u64) -> Self {
        Self { file, generation, end: UNIT, durable: UNIT, chain: 0, records: Vec::new() }
    }

    /// Makes an empty log that follows one which ended at `before_end`. It is durable when this returns, its name
    /// is not.
    pub(super) fn create(vfs: &dyn Vfs, generation: u64, before_end: usize) -> io::Result<Self> {
        let path = path_of("log", generation);
        // One that a checkpoint left which did not come to its end.
        if vfs.exists(&path)? {
            vfs.remove_file(&path)?;
        }
        let log = Self::new(open_file(vfs, &path, Create::New)?, generation);
        let mut header = [0; HEADER_LEN];
        put_u32(&mut header, 0, HEADER_MAGIC);
        put_u64(&mut header, 8, before_end as u64);
        let checksum = log.checksum(0, &header[8..]);
        put_u32(&mut header, 4, checksum);
        log.file.allocate(0, BLOCK_SIZE as u64)?;
        write_all_at(&*log.file, &header, 0)?;
        log.file.sync_data()?;
        Ok(log)
    }

    /// Reads a log, up to its end. Also returns where the log before this one ended, if the header is whole.
    pub(super) fn open(toy: &Toy, vfs: &dyn Vfs, generation: u64) -> Result<(Self, Option<usize>), Failure> {
        let file =
            open_file(vfs, &path_of("log", generation), Create::Never).map_err(|e| open_failure(&e))?;
        let bytes = read_log(toy, &*file).map_err(|e| open_failure(&e))?;
        let mut log = Self::new(file, generation);
        let before_end = log.before_end(&bytes);
        log.scan(toy, &bytes);
        if log.is_damaged(&bytes) && !toy.has(Bug::HideDamage) {
            return Err(Failure::Corrupt(format!("log-{generation}: bad record at {}", log.end)));
        }
        if !toy.has(Bug::ForgetTail) {
            log.file.sync_data().map_err(|e| open_failure(&e))?;
        }
        log.durable = log.end;
        Ok((log, before_end))
    }

    fn before_end(&self, bytes: &[u8]) -> Option<usize> {
        let header = bytes.get(..HEADER_LEN)?;
        let is_valid =
            get_u32(header, 0) == HEADER_MAGIC && get_u32(header, 4) == self.checksum(0, &header[8..]);
        usize::try_from(get_u64(header, 8)).ok().filter(|_| is_valid)
    }

    /// Where its last record ends.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    fn scan(&mut self, toy: &Toy, bytes: &[u8]) {
        while let Some(record) = self.record_at(toy, bytes, self.end) {
            if record.before != self.chain && !toy.has(Bug::IgnoreChain) {
                break;
            }
            let (changes, is_whole) = wire::decode_changes(record.changes);
            if !is_whole && !toy.has(Bug::AcceptTornTail) {
                break;
            }
            self.records.push((record.txid, changes));
            self.end += record.len.next_multiple_of(UNIT);
            self.chain = record.checksum;
        }
    }

    /// Whether the bad record at the end cannot be torn, since a later one says that it was durable.
    fn is_damaged(&self, bytes: &[u8]) -> bool {
        let correct = Toy::default();
        let mut later = (self.end + UNIT..bytes.len()).step_by(UNIT);
        later.any(|at| self.record_at(&correct, bytes, at).is_some_and(|record| record.durable > self.end))
    }

    fn record_at<'a>(&self, toy: &Toy, bytes: &'a [u8], at: usize) -> Option<Record<'a>> {
        let bytes = bytes.get(at..)?;
        if bytes.len() < HEADER || get_u32(bytes, 0) != MAGIC {
            return None;
        }
        let len = usize::try_from(get_u32(bytes, 8)).ok()?;
        let bytes = bytes.get(..len).filter(|bytes| bytes.len() >= HEADER)?;
        let checksum = get_u32(bytes, 4);
        let is_trusted = toy.has(Bug::SkipChecksum) || toy.has(Bug::AcceptTornTail);
        if checksum != self.checksum(at, &bytes[8..]) && !is_trusted {
            return None;
        }
        let durable = usize::try_from(get_u64(bytes, 24)).ok()?;
        let (before, txid) = (get_u32(bytes, 12), get_u64(bytes, 16));
        Some(Record { len, checksum, before, txid, durable, changes: &bytes[HEADER..] })
    }

    fn checksum(&self, at: usize, bytes: &[u8]) -> u32 {
        let place = [self.generation.to_le_bytes(), (at as u64).to_le_bytes()];
        crc32c(crc32c(0, place.as_flattened()), bytes)
    }

    /// The records that recovery found, with their transaction numbers.
    pub(super) fn take_records(&mut self) -> Vec<(u64, Vec<Change>)> {
        std::mem::take(&mut self.records)
    }

    /// Takes space for a record. Returns whether there is any; if not, the log is as it was.
    pub(super) fn make_room(&mut self, changes: &[u8]) -> io::Result<bool> {
        let end = (self.end + HEADER + changes.len() + UNIT).next_multiple_of(BLOCK_SIZE) as u64;
        if self.file.len()? >= end {
            return Ok(true);
        }
        match self.file.allocate(0, end) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(false),
            result => result.map(|()| true),
        }
    }

    pub(super) fn append(&mut self, txid: u64, changes: &[u8]) -> io::Result<()> {
        let len = HEADER + changes.len();
        let mut record = vec![0; len.next_multiple_of(UNIT)];
        put_u32(&mut record, 0, MAGIC);
        put_u32(&mut record, 8, u32::try_from(len).expect("a transaction of the toy is small"));
        put_u32(&mut record, 12, self.chain);
        put_u64(&mut record, 16, txid);
        put_u64(&mut record, 24, self.durable as u64);
        record[HEADER..len].copy_from_slice(changes);
        let checksum = self.checksum(self.end, &record[8..len]);
        put_u32(&mut record, 4, checksum);
        write_all_at(&*self.file, &record, self.end as u64)?;
        self.end += record.len();
        self.chain = checksum;
        Ok(())
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.durable = self.end;
        Ok(())
    }
}

/// The bytes of a log as the media has them: what an earlier process failed to force is not among them.
fn read_log(toy: &Toy, file: &dyn File) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    if toy.has(Bug::ReadCachedLog) {
        let mut bytes = vec![0; len];
        read_exact_at(file, &mut bytes, 0)?;
        return Ok(bytes);
    }
    let whole = len / BLOCK_SIZE * BLOCK_SIZE;
    if whole == 0 {
        return Ok(Vec::new());
    }
    let mut bytes = AlignedBuf::new(whole);
    file.read_media_at(&mut bytes, 0)?;
    Ok(bytes.to_vec())
}
