//! Reading a log while it is written, or from an archive: whole records from a position on, as far as asked for.
//!
//! A replay decides where a log ends, and needs it at rest; a reader is told how far the log is durable, and never
//! looks at what lies behind.

use std::{
    io::{self, Read},
    path::PathBuf,
    sync::Arc,
};

use llmdb_base::{Lsn, StoreId};
use llmdb_vfs::Vfs;

use super::{
    parts::{self, Part},
    walk::{Batch, Position, Walk},
};
use crate::{
    LogError, LogResult,
    batch::BATCH_HEADER_LEN,
    fragment::{Fragment, Kind},
};

/// Records up to this length are handed out in memory.
const IN_MEMORY_BYTES_MAX: u64 = 256 << 10;

/// Where a log is kept.
#[derive(Clone, Debug, Default)]
pub struct LogFolders {
    /// Where segments are copied to before they are given up.
    pub archive: Option<PathBuf>,
    /// The log itself.
    pub log: Option<PathBuf>,
}

/// Reads the whole records of a log in use, of an archive, or of both as one, in the order of the log.
///
/// Memory: a window of 2 MiB, and one record of up to 256 KiB.
#[derive(Debug)]
pub struct LogReader {
    vfs: Arc<dyn Vfs>,
    folders: LogFolders,
    store: StoreId,
    /// Records that end here or before are not wanted.
    from: Lsn,
    parts: Vec<Part>,
    cursor: Option<Cursor>,
}

/// A whole record.
#[derive(Debug)]
pub struct LogRecord {
    end: Lsn,
    len: u64,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Bytes(Vec<u8>),
    /// Too long for memory: where it begins.
    Long(Spot),
}

/// In front of a fragment.
#[derive(Clone, Debug)]
struct Spot {
    part: Part,
    position: Position,
    at: usize,
}

impl LogReader {
    /// Reads from `from` on, the end of a record (or any position between two). Touches no file yet.
    pub fn new(vfs: Arc<dyn Vfs>, folders: LogFolders, store: StoreId, from: Lsn) -> Self {
        Self { vfs, folders, store, from, parts: Vec::new(), cursor: None }
    }

    /// Where the oldest record that is still there, and from which everything is there up to the newest, can
    /// begin. `None` if nothing is there.
    ///
    /// # Errors
    /// Corruption; I/O errors.
    pub fn oldest(&mut self) -> LogResult<Option<Lsn>> {
        self.survey()?;
        let mut oldest = None;
        for (index, part) in self.parts.iter().enumerate().rev() {
            let follows = self.parts.get(index + 1).is_none_or(|next| part.end == Some(next.from()));
            if !follows {
                break;
            }
            oldest = Some(part.from());
        }
        Ok(oldest)
    }

    /// Where the last part ends, if it is not one that is still written: how far an archive reaches.
    pub fn known_end(&self) -> Option<Lsn> {
        self.parts.last().and_then(|part| part.end)
    }

    /// The next whole record that ends at or before `until`, up to which the log must be durable. `None` if there
    /// is none yet.
    ///
    /// # Errors
    /// - [`LogError::Gap`] if the log was given up from there on, or has a hole.
    /// - [`LogError::Corruption`], [`LogError::Io`].
    pub fn next_record(&mut self, until: Lsn) -> LogResult<Option<LogRecord>> {
        if self.from >= until || !self.begin(until)? {
            return Ok(None);
        }
        loop {
            let Some((kind, start, end)) = self.next_fragment(until)? else { return Ok(None) };
            let record = match kind {
                Kind::Full => {
                    let cursor = self.cursor.as_ref().expect("it has just been read from");
                    Some(LogRecord::whole(end, cursor.bytes().to_vec()))
                }
                Kind::First => match self.look_ahead(&start, until)? {
                    Ahead::Whole(record) => Some(record),
                    Ahead::Abandoned => None,
                    Ahead::Unfinished => {
                        self.cursor = Some(Cursor::open(&*self.vfs, &start, until)?);
                        return Ok(None);
                    }
                },
                // What is left of a record that began before the part in which reading began.
                Kind::Last if end > self.from => return Err(self.gap()),
                Kind::Middle | Kind::Last => None,
            };
            if let Some(record) = record.filter(|record| record.end > self.from) {
                self.from = record.end;
                return Ok(Some(record));
            }
        }
    }

    /// The bytes of a record that this reader has returned.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn open<'r>(&self, record: &'r LogRecord) -> LogResult<LogRecordReader<'r>> {
        Ok(LogRecordReader {
            remaining: record.len,
            source: match &record.body {
                Body::Bytes(bytes) => Source::Bytes(bytes),
                Body::Long(spot) => {
                    let reader = Self::new(self.vfs.clone(), self.folders.clone(), self.store, self.from);
                    let cursor = Some(Cursor::open(&*self.vfs, spot, record.end)?);
                    Source::Long(Box::new(Self { parts: self.parts.clone(), cursor, ..reader }), record.end)
                }
            },
        })
    }

    /// Finds the place to begin at. `false` if there is no log yet.
    fn begin(&mut self, until: Lsn) -> LogResult<bool> {
        if self.cursor.is_some() {
            return Ok(true);
        }
        self.survey()?;
        let Some(index) = self.parts.iter().rposition(|part| part.from() <= self.from) else {
            return if self.parts.is_empty() && self.from >= until { Ok(false) } else { Err(self.gap()) };
        };
        if self.parts[index].end.is_some_and(|end| end < self.from) {
            return Err(self.gap());
        }
        self.cursor = Some(Cursor::at_beginning(&*self.vfs, &self.parts[index])?);
        Ok(true)
    }

    /// Looks at what there is: the archive first, then what the log has beyond it.
    fn survey(&mut self) -> LogResult<()> {
        let mut parts = match &self.folders.archive {
            Some(dir) => parts::archived(&*self.vfs, dir, self.store)?,
            None => Vec::new(),
        };
        if let Some(dir) = &self.folders.log {
            let live = parts::live(&*self.vfs, dir, self.store)?;
            let archived_to = parts.last().and_then(|part| part.end);
            // A segment that is archived already counts once.
            let is_new = |part: &Part| part.end.is_none() || archived_to.is_none_or(|to| part.end > Some(to));
            parts.extend(live.into_iter().filter(is_new));
        }
        self.parts = parts;
        Ok(())
    }

    fn gap(&self) -> LogError {
        LogError::Gap {
            wanted: self.from,
            oldest: self.parts.iter().map(Part::from).find(|at| *at > self.from),
        }
    }

    /// Goes on to the next fragment; says what it is, where it begins and where it ends.
    fn next_fragment(&mut self, until: Lsn) -> LogResult<Option<(Kind, Spot, Lsn)>> {
        loop {
            let cursor = self.cursor.as_mut().expect("reading has begun");
            if let Some(found) = cursor.next_fragment() {
                return Ok(Some(found));
            }
            if cursor.next_batch(until)? {
                continue;
            }
            let reached = cursor.walk.end();
            if reached >= until {
                return Ok(None);
            }
            if cursor.part.end.is_some_and(|end| end > reached) {
                return Err(self.damage_or_gap());
            }
            if !self.next_part(reached)? {
                return Ok(None);
            }
        }
    }

    /// Goes on in the file behind the one that has been read to its end. `false` if that is not there yet.
    fn next_part(&mut self, reached: Lsn) -> LogResult<bool> {
        let mut found = self.part_behind(reached);
        if found.is_none() {
            self.survey()?;
            found = self.part_behind(reached);
        }
        if let Some(part) = found {
            self.cursor = Some(match Cursor::at_beginning(&*self.vfs, &part) {
                // Given up since it was seen.
                Err(LogError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    self.survey()?;
                    let oldest = self.parts.iter().map(Part::from).find(|at| *at > reached);
                    return Err(LogError::Gap { wanted: reached, oldest });
                }
                opened => opened?,
            });
            return Ok(true);
        }
        let is_archive_end = self.folders.log.is_none() && self.known_end() == Some(reached);
        if is_archive_end { Ok(false) } else { Err(self.damage_or_gap()) }
    }

    fn part_behind(&self, reached: Lsn) -> Option<Part> {
        let place =
            |part: &Part| (part.header.first_lsn, part.end.unwrap_or(Lsn::new(u64::MAX)), part.header.index);
        // Parts without a byte begin and end at the same place: what was read last must not come again.
        let current = self.cursor.as_ref().map(|cursor| place(&cursor.part));
        self.parts.iter().find(|part| part.from() == reached && Some(place(part)) > current).cloned()
    }

    /// Why the chain of batches ends too early: the file was given up meanwhile, or is damaged.
    fn damage_or_gap(&mut self) -> LogError {
        let Some(cursor) = &self.cursor else { return self.gap() };
        let (part, reached, offset) = (cursor.part.clone(), cursor.walk.end(), cursor.walk.end_offset());
        if let Err(error) = self.survey() {
            return error;
        }
        let is_there = self.parts.iter().any(|known| known.path == part.path && known.header == part.header);
        let goes_on = self.parts.iter().any(|known| known.from() > reached);
        match (is_there, part.end.is_none_or(|end| end > reached)) {
            (true, true) => {
                LogError::corruption(part.header.index, offset, format!("no whole batch at {reached}"))
            }
            (true, false) if goes_on => {
                let oldest = self.parts.iter().map(Part::from).find(|at| *at > reached);
                LogError::Gap { wanted: reached, oldest }
            }
            _ => self.gap(),
        }
    }

    /// Follows the record whose first fragment is at `start`.
    fn look_ahead(&mut self, start: &Spot, until: Lsn) -> LogResult<Ahead> {
        let first = self.cursor.as_ref().expect("reading has begun").bytes();
        let (mut len, mut bytes) = (first.len() as u64, Some(first.to_vec()));
        loop {
            let Some((kind, spot, end)) = self.next_fragment(until)? else { return Ok(Ahead::Unfinished) };
            if kind.begins() {
                // Its writer gave it up; what is here now comes next.
                self.cursor = Some(Cursor::open(&*self.vfs, &spot, until)?);
                return Ok(Ahead::Abandoned);
            }
            let part = self.cursor.as_ref().expect("reading has begun").bytes();
            len += part.len() as u64;
            bytes = bytes.filter(|_| len <= IN_MEMORY_BYTES_MAX);
            if let Some(bytes) = &mut bytes {
                bytes.extend_from_slice(part);
            }
            if kind.ends() {
                let body = bytes.map_or_else(|| Body::Long(start.clone()), Body::Bytes);
                return Ok(Ahead::Whole(LogRecord { end, len, body }));
            }
        }
    }
}

/// What came of a record that began.
enum Ahead {
    Whole(LogRecord),
    Abandoned,
    Unfinished,
}

impl LogRecord {
    fn whole(end: Lsn, bytes: Vec<u8>) -> Self {
        Self { end, len: bytes.len() as u64, body: Body::Bytes(bytes) }
    }

    /// LSN of the record: the position behind its last byte.
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the record has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The bytes of a [`LogRecord`], as a stream.
#[derive(Debug)]
pub struct LogRecordReader<'r> {
    remaining: u64,
    source: Source<'r>,
}

#[derive(Debug)]
enum Source<'r> {
    Bytes(&'r [u8]),
    Long(Box<LogReader>, Lsn),
}

impl Read for LogRecordReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.source {
            Source::Bytes(bytes) => bytes.read(buf)?,
            Source::Long(reader, end) => {
                let want = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buf.len());
                if want == 0 { 0 } else { reader.read_through(&mut buf[..want], *end)? }
            }
        };
        self.remaining = self.remaining.saturating_sub(count as u64);
        Ok(count)
    }
}

impl LogReader {
    /// Bytes of the fragment at hand, or of the next ones, of a record that ends at `until`.
    fn read_through(&mut self, buf: &mut [u8], until: Lsn) -> io::Result<usize> {
        loop {
            let cursor = self.cursor.as_mut().expect("it was opened at the beginning of the record");
            let bytes = cursor.bytes();
            let count = bytes.len().min(buf.len());
            if count > 0 {
                buf[..count].copy_from_slice(&bytes[..count]);
                cursor.fragment.start += count;
                return Ok(count);
            }
            if self.next_fragment(until)?.is_none() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// A place in a part.
#[derive(Debug)]
struct Cursor {
    part: Part,
    walk: Walk,
    batch: Option<Batch>,
    /// Where the next fragment begins in the batch.
    at: usize,
    /// Bytes of the fragment at hand that have not been read.
    fragment: std::ops::Range<usize>,
}

impl Cursor {
    fn at_beginning(vfs: &dyn Vfs, part: &Part) -> LogResult<Self> {
        let position = Position::first(part.header_checksum);
        Self::open_at(vfs, part, position)
    }

    fn open_at(vfs: &dyn Vfs, part: &Part, position: Position) -> LogResult<Self> {
        let walk = Walk::new(part.open(vfs)?, part.header, position);
        Ok(Self { part: part.clone(), walk, batch: None, at: BATCH_HEADER_LEN, fragment: 0..0 })
    }

    /// In front of the fragment at `spot`, which lies before `until`.
    fn open(vfs: &dyn Vfs, spot: &Spot, until: Lsn) -> LogResult<Self> {
        let mut cursor = Self::open_at(vfs, &spot.part, spot.position)?;
        cursor.walk.read_ahead_to(spot.part.offset_of(until))?;
        cursor.batch = cursor.walk.advance()?;
        if cursor.batch.is_none() {
            let (index, offset) = (spot.part.header.index, spot.position.offset);
            return Err(LogError::corruption(index, offset, "a batch is gone that was whole before"));
        }
        cursor.at = spot.at;
        Ok(cursor)
    }

    /// Bytes of the fragment at hand.
    fn bytes(&self) -> &[u8] {
        self.walk.bytes().get(self.fragment.clone()).unwrap_or_default()
    }

    fn next_fragment(&mut self) -> Option<(Kind, Spot, Lsn)> {
        let batch = self.batch?;
        let fragment = Fragment::decode(self.walk.bytes(), self.at)?;
        let spot = Spot { part: self.part.clone(), position: batch.at, at: self.at };
        self.at = fragment.end;
        self.fragment = fragment.start..fragment.end;
        Some((fragment.kind, spot, batch.lsn.plus(fragment.end as u64)))
    }

    /// Goes on to the next batch, if it begins before `until` and before the end of the part.
    fn next_batch(&mut self, until: Lsn) -> LogResult<bool> {
        let until = self.part.end.map_or(until, |end| until.min(end));
        if self.walk.end() >= until {
            return Ok(false);
        }
        self.walk.read_ahead_to(self.part.offset_of(until))?;
        let batch = self.walk.advance()?;
        if batch.is_some() {
            (self.batch, self.at, self.fragment) = (batch, BATCH_HEADER_LEN, 0..0);
        }
        Ok(batch.is_some())
    }
}

/// Walks along every batch of `part`, which must have an end, and compares.
///
/// # Errors
/// Corruption if a batch is not whole, or the chain does not end where it should.
pub(crate) fn verify_part(vfs: &dyn Vfs, part: &Part) -> LogResult<()> {
    let mut cursor = Cursor::at_beginning(vfs, part)?;
    let end = part.end.unwrap_or(part.header.first_lsn);
    while cursor.next_batch(end)? {}
    let reached = cursor.walk.end();
    if reached >= end {
        return Ok(());
    }
    let what = format!("no whole batch at {reached}, but it must reach to {end}");
    Err(LogError::corruption(part.header.index, cursor.walk.end_offset(), what))
}
