//! Appending one record.

use llmdb_base::{
    Lsn,
    sync::{atomic::Ordering, lock},
};

use crate::{Log, LogError, LogResult, room::Haste};

/// Small pieces are collected here, so that they do not take the lock one by one.
const STAGED_BYTES_MAX: usize = 16 << 10;

/// A record that takes this part of a window, or more, makes zeros in front of the log not worth their writing.
const BULK_PART: u64 = 4;

/// A record being appended. It may be of any length: what is long is written while the rest is still coming.
///
/// Dropping it without [`RecordWriter::finish`] abandons the record: it leaves no trace for readers of the
/// log.
#[derive(Debug)]
pub struct RecordWriter<'log> {
    log: &'log Log,
    staged: Vec<u8>,
    len: u64,
    failed: bool,
}

impl<'log> RecordWriter<'log> {
    pub(crate) fn new(log: &'log Log) -> Self {
        let staged = std::mem::take(&mut *lock(&log.staging));
        Self { log, staged, len: 0, failed: false }
    }

    /// Appends `bytes` to the record. Cost: a copy; for every full batch the start of a write, and a wait
    /// only if as many writes as allowed are under way.
    ///
    /// # Errors
    /// - [`LogError::NoSpace`], [`LogError::Io`] from preparing a segment: the record is abandoned, the log
    ///   stays usable.
    /// - [`LogError::Poisoned`], [`LogError::Io`] from writing: the log is done for.
    /// - [`LogError::Misuse`] after an earlier error.
    pub fn append(&mut self, bytes: &[u8]) -> LogResult<()> {
        if self.failed {
            return Err(LogError::Misuse("an earlier part of this record could not be appended"));
        }
        self.log.check_usable()?;
        self.len += bytes.len() as u64;
        let is_large = bytes.len() > STAGED_BYTES_MAX / 2;
        // Also before large pieces, which go past the staged ones: bytes stay in their order.
        if is_large || self.staged.len() + bytes.len() > STAGED_BYTES_MAX {
            self.pass_on_staged()?;
        }
        if is_large {
            return self.pass_on(bytes);
        }
        self.staged.extend_from_slice(bytes);
        Ok(())
    }

    /// Bytes appended so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing has been appended so far.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Ends the record and returns its LSN, the position behind its last byte. Not durable before
    /// [`Log::sync_to`] of this LSN has returned.
    ///
    /// # Errors
    /// As [`RecordWriter::append`].
    pub fn finish(mut self) -> LogResult<Lsn> {
        if self.failed {
            return Err(LogError::Misuse("an earlier part of this record could not be appended"));
        }
        self.log.check_usable()?;
        self.pass_on_staged()?;
        let lsn = self.end_record()?;
        // Release: whoever reads this LSN and syncs to it finds the record in the tail.
        self.log.appended.store(lsn.get(), Ordering::Release);
        self.log.last_record_bytes.store(self.len, Ordering::Relaxed);
        self.log.counters.records.add(1);
        self.log.counters.appended_bytes.add(self.len);
        Ok(lsn)
    }

    fn pass_on_staged(&mut self) -> LogResult<()> {
        let staged = std::mem::take(&mut self.staged);
        let passed = self.pass_on(&staged);
        self.staged = staged;
        self.staged.clear();
        passed
    }

    fn pass_on(&mut self, mut bytes: &[u8]) -> LogResult<()> {
        while !bytes.is_empty() {
            let mut tail = lock(&self.log.tail);
            match tail.obstacle() {
                None => bytes = &bytes[tail.accept(bytes)..],
                Some(obstacle) => {
                    drop(tail);
                    self.log.overcome(obstacle, self.haste()).inspect_err(|_| self.failed = true)?;
                }
            }
        }
        Ok(())
    }

    fn end_record(&mut self) -> LogResult<Lsn> {
        loop {
            let mut tail = lock(&self.log.tail);
            if let Some(lsn) = tail.finish_record() {
                return Ok(lsn);
            }
            if let Some(obstacle) = tail.obstacle() {
                drop(tail);
                self.log.overcome(obstacle, self.haste()).inspect_err(|_| self.failed = true)?;
            }
        }
    }

    /// Who has written much will go on to: one record, or one long record after the other.
    fn haste(&self) -> Haste {
        let len = self.len.max(self.log.last_record_bytes.load(Ordering::Relaxed));
        if len >= self.log.options.window_bytes / BULK_PART { Haste::Bulk } else { Haste::None }
    }
}

impl Drop for RecordWriter<'_> {
    fn drop(&mut self) {
        // A finished record leaves nothing to abandon.
        lock(&self.log.tail).abandon_record();
        self.staged.clear();
        *lock(&self.log.staging) = std::mem::take(&mut self.staged);
        // Release: the next writer finds the tail without this record.
        self.log.writer_open.store(false, Ordering::Release);
    }
}
