//! The second pass: the records, one after the other, through a window of memory.

use std::io::{self, BufRead, Read};

use llmdb_base::Lsn;

use super::{
    scan::Step,
    survey::{Access, open},
    tracker::{Begin, LongRecord},
    walk::{Batch, Position, Walk},
};
use crate::{
    LogError, LogResult,
    batch::BATCH_HEADER_LEN,
    folder::{Folder, Name},
    fragment::{Fragment, Kind},
};

/// Reads what the validating pass found whole. Every batch is verified again, since memory holds few of them.
#[derive(Debug)]
pub(super) struct Stream {
    folder: Folder,
    steps: Vec<Step>,
    long_records: Vec<LongRecord>,
    next_long: usize,
    from: Lsn,
    /// End of the last record.
    end: Lsn,
    /// End of the record that was handed out last.
    reached: Lsn,
    begin: Option<Begin>,
    step: usize,
    walk: Option<Walk>,
    batch: Option<Batch>,
    /// Where the next fragment begins in the batch.
    at: usize,
    /// The bytes of the fragment being read, as far as they have not been consumed.
    part: std::ops::Range<usize>,
}

impl Stream {
    pub(super) fn new(
        folder: Folder,
        steps: Vec<Step>,
        long_records: Vec<LongRecord>,
        from: Lsn,
        end: Lsn,
        begin: Option<Begin>,
    ) -> Self {
        Self {
            folder,
            steps,
            long_records,
            next_long: 0,
            from,
            end,
            reached: from,
            begin,
            step: begin.map_or(0, |begin| begin.step),
            walk: None,
            batch: None,
            at: BATCH_HEADER_LEN,
            part: 0..0,
        }
    }

    /// The next whole record; what is left of the one before is skipped, and so are abandoned records.
    pub(super) fn next_record(&mut self) -> LogResult<Option<RecordReader<'_>>> {
        while self.reached < self.end {
            let part = self.next_part()?;
            let found = match part.kind {
                Kind::Full if part.end > self.from => Some((part.end, self.part.len() as u64)),
                Kind::First => self.long_record(part.start),
                Kind::Full | Kind::Middle | Kind::Last => None,
            };
            if let Some((end, len)) = found {
                self.reached = end;
                return Ok(Some(RecordReader { stream: self, end, len, remaining: len }));
            }
        }
        Ok(None)
    }

    /// End and length of the record whose first fragment is at `start`, unless it was abandoned.
    fn long_record(&mut self, start: Lsn) -> Option<(Lsn, u64)> {
        let record = self.long_records.get(self.next_long).filter(|record| record.start == start)?;
        self.next_long += 1;
        Some((record.end, record.len))
    }

    /// Goes on to the next fragment; its bytes are in `part` then.
    fn next_part(&mut self) -> LogResult<Part> {
        loop {
            if let (Some(walk), Some(batch)) = (&self.walk, self.batch)
                && let Some(fragment) = Fragment::decode(walk.bytes(), self.at)
            {
                let start = batch.lsn.plus(self.at as u64);
                self.at = fragment.end;
                self.part = fragment.start..fragment.end;
                return Ok(Part { kind: fragment.kind, start, end: batch.lsn.plus(fragment.end as u64) });
            }
            self.next_batch()?;
        }
    }

    fn next_batch(&mut self) -> LogResult<()> {
        let Some(step) = self.steps.get_mut(self.step) else {
            return Err(LogError::corruption(
                0,
                0,
                "the log ends before its last record, which was whole before",
            ));
        };
        let walk = match &mut self.walk {
            Some(walk) => walk,
            none => none.insert(Self::open_walk(&self.folder, step, self.begin.take())?),
        };
        self.batch = None;
        self.part = 0..0;
        if walk.end() >= step.until {
            self.walk = None;
            self.step += 1;
            return Ok(());
        }
        self.batch = walk.advance()?;
        self.at = BATCH_HEADER_LEN;
        if self.batch.is_some() {
            return Ok(());
        }
        let index = step.segment.header.index;
        Err(LogError::corruption(index, walk.end_offset(), "a batch is damaged that was whole before"))
    }

    fn open_walk(folder: &Folder, step: &mut Step, begin: Option<Begin>) -> LogResult<Walk> {
        let segment = &step.segment;
        let mut media = open(folder, Name::Segment(segment.header.index), Access::Read)?;
        media.keep(std::mem::take(&mut step.kept));
        let position = begin.map_or(Position::first(segment.header_checksum), |begin| begin.position);
        Ok(Walk::new(media, segment.header, position))
    }

    fn part_bytes(&self) -> &[u8] {
        self.walk.as_ref().and_then(|walk| walk.bytes().get(self.part.clone())).unwrap_or_default()
    }
}

/// A fragment, by positions in the log.
struct Part {
    kind: Kind,
    start: Lsn,
    end: Lsn,
}

/// A record, read as a stream: of a long one only a part is in memory. [`BufRead::fill_buf`] lends bytes
/// without a copy. What is not read is skipped.
///
/// Errors are those of reading a file; `InvalidData` if bytes are damaged that were whole when the log was
/// opened.
#[derive(Debug)]
pub struct RecordReader<'replay> {
    stream: &'replay mut Stream,
    end: Lsn,
    len: u64,
    remaining: u64,
}

impl RecordReader<'_> {
    /// LSN of the record: the position behind its last byte.
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// Length of the whole record in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the record has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that have not been read yet.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }
}

impl BufRead for RecordReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.stream.part.is_empty() && self.remaining > 0 {
            let part = self.stream.next_part()?;
            if part.kind.begins() {
                let what = "a record ends early that was whole before";
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
        }
        let bytes = self.stream.part_bytes();
        let rest = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        Ok(&bytes[..bytes.len().min(rest)])
    }

    fn consume(&mut self, count: usize) {
        let count = count.min(self.stream.part.len());
        self.stream.part.start += count;
        self.remaining = self.remaining.saturating_sub(count as u64);
    }
}

impl Read for RecordReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(buf.len());
        buf[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}
