//! Handing a log over to another process, which goes on in the same segment at the same position.

use std::sync::Arc;

use llmdb_base::{
    Lsn, StoreId,
    sync::{atomic::Ordering, lock},
};
use llmdb_vfs::{BLOCK_SIZE, Create, Vfs};

use crate::{
    Log, LogError, LogOptions, LogResult,
    folder::{Files, Folder, INDEX_MAX, LiveSegment, Name, SpareFile},
    room::Start,
    segment::{LSN_MAX, SEGMENT_HEADER_LEN},
    tail::{Fill, Segment},
};

/// Where a log at rest ends, and which files it has: all that another process needs to append to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogPosition {
    start: Start,
    appended: Lsn,
    durable: Lsn,
    previous_checksum: u32,
    segment: Option<Place>,
    next_index: u64,
    next_bytes: u64,
    folder_is_durable: bool,
    live: Vec<LiveSegment>,
    spares: Vec<SpareFile>,
}

/// The segment in use. Offsets count from the start of its file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    index: u64,
    first_lsn: Lsn,
    next: u64,
    reserved: u64,
    end: u64,
}

impl Log {
    /// The log of a store that another process writes: it takes nothing until [`Log::resume_at`] tells it where to go
    /// on. Touches no file.
    pub fn at_rest(
        vfs: Arc<dyn Vfs>,
        dir: &std::path::Path,
        store: StoreId,
        end: Lsn,
        options: LogOptions,
    ) -> Self {
        let start = Start { first_lsn: end, previous_end: end };
        Self::resume(Folder::new(vfs, dir), store, start, end, Files::default(), options)
    }

    /// Makes everything appended durable, and tells where the log ends. Nothing is appended, and nobody else uses the
    /// log, from here until [`Log::resume_at`].
    ///
    /// # Errors
    /// As [`Log::sync_to`]; [`LogError::Misuse`] if a record is open.
    pub fn hand_over(&self) -> LogResult<LogPosition> {
        if self.writer_open.load(Ordering::Acquire) {
            return Err(LogError::Misuse("a record is being appended"));
        }
        self.sync_to(self.appended())?;
        // What is left is without an end that anybody waits for; still the next batch must lie behind it.
        lock(&self.tail).seal(Fill::Partial);
        let mut flight = lock(&self.flight);
        self.submit_sealed(&mut flight)?;
        while !flight.is_empty() {
            self.reap(&mut flight)?;
            self.submit_sealed(&mut flight)?;
        }
        let (durable, previous_checksum) = flight.position();
        drop(flight);
        self.queue.advance(durable);
        let files = lock(&self.files);
        let tail = lock(&self.tail);
        let segment = tail.segment.as_ref().map(|segment| Place {
            index: segment.index,
            first_lsn: segment.first_lsn,
            next: segment.next,
            reserved: segment.reserved,
            end: segment.end,
        });
        Ok(LogPosition {
            start: *lock(&self.start),
            appended: self.appended(),
            durable,
            previous_checksum,
            segment,
            next_index: files.next_index,
            next_bytes: files.next_bytes,
            folder_is_durable: files.folder_is_durable,
            live: files.live.iter().copied().collect(),
            spares: files.spares.clone(),
        })
    }

    /// Goes on where another process, or this one, has handed the log over.
    ///
    /// # Errors
    /// [`LogError::Io`] if the segment or the ring cannot be opened: nothing has changed then. [`LogError::Poisoned`].
    pub fn resume_at(&self, position: &LogPosition) -> LogResult<()> {
        self.check_usable()?;
        let segment = position.segment.map(|place| self.open_segment(place)).transpose()?;
        let ring = if lock(&self.flight).has_ring() {
            None
        } else {
            let ring = self.folder.vfs.ring(self.options.in_flight_max);
            Some(ring.map_err(LogError::during("make a ring for the log"))?)
        };
        *lock(&self.start) = position.start;
        *lock(&self.files) = Files {
            live: position.live.iter().copied().collect(),
            spares: position.spares.clone(),
            next_index: position.next_index,
            next_bytes: self.options.segment_bytes(position.next_bytes),
            folder_is_durable: position.folder_is_durable,
        };
        let mut flight = lock(&self.flight);
        if let Some(ring) = ring {
            flight.set_ring(ring);
        }
        flight.go_on(position.durable, position.previous_checksum);
        lock(&self.tail).segment = segment;
        drop(flight);
        self.appended.store(position.appended.get(), Ordering::Release);
        self.queue.advance(position.durable);
        Ok(())
    }

    fn open_segment(&self, place: Place) -> LogResult<Segment> {
        let Place { index, first_lsn, next, reserved, end } = place;
        let known = lock(&self.tail).segment.as_ref().and_then(|segment| {
            (segment.index == index && segment.first_lsn == first_lsn).then(|| Arc::clone(&segment.file))
        });
        let file = match known {
            Some(file) => file,
            None => self.folder.open(Name::Segment(index), Create::Never, true)?,
        };
        // Of what more there may be of space, nobody was told: to ask for it again costs little.
        Ok(Segment { file, index, first_lsn, next, reserved, allocated: reserved, end })
    }
}

impl LogPosition {
    /// End of the last record.
    pub fn end(&self) -> Lsn {
        self.appended
    }

    /// The position as bytes, for [`LogPosition::decode`].
    pub fn encode(&self) -> Vec<u8> {
        let place =
            self.segment.unwrap_or(Place { index: 0, first_lsn: Lsn::new(0), next: 0, reserved: 0, end: 0 });
        let mut words = vec![
            self.start.first_lsn.get(),
            self.start.previous_end.get(),
            self.appended.get(),
            self.durable.get(),
            self.previous_checksum.into(),
            self.next_index,
            self.next_bytes,
            self.folder_is_durable.into(),
            self.segment.is_some().into(),
            place.index,
            place.first_lsn.get(),
            place.next,
            place.reserved,
            place.end,
            self.live.len() as u64,
        ];
        for segment in &self.live {
            words.extend([segment.index, segment.end.map_or(u64::MAX, Lsn::get), segment.file_bytes]);
        }
        for spare in &self.spares {
            words.extend([spare.index, spare.file_bytes]);
        }
        words.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    /// The position that was encoded; `None` if these bytes are none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut words = words.iter().copied().map(u64::from_le_bytes);
        let mut next = || words.next();
        let mut lsn = || next().filter(|lsn| *lsn < LSN_MAX.get()).map(Lsn::new);
        let start = Start { first_lsn: lsn()?, previous_end: lsn()? };
        let (appended, durable) = (lsn()?, lsn()?);
        let previous_checksum = u32::try_from(next()?).ok()?;
        let (next_index, next_bytes) = (next().filter(|index| *index <= INDEX_MAX)?, next()?);
        let (folder_is_durable, has_segment) = (next()? == 1, next()? == 1);
        let place = Place {
            index: next()?,
            first_lsn: Lsn::new(next()?),
            next: next()?,
            reserved: next()?,
            end: next()?,
        };
        let live_count = next()?;
        let mut live = Vec::new();
        for _ in 0..live_count {
            let (index, end, file_bytes) = (next()?, next()?, next()?);
            live.push(LiveSegment { index, end: (end != u64::MAX).then(|| Lsn::new(end)), file_bytes });
        }
        let mut spares = Vec::new();
        while let Some(index) = next() {
            spares.push(SpareFile { index, file_bytes: next()? });
        }
        let segment = has_segment.then_some(place);
        let plausible = rest.is_empty() && segment.is_none_or(Place::is_plausible);
        plausible.then_some(Self {
            start,
            appended,
            durable,
            previous_checksum,
            segment,
            next_index,
            next_bytes,
            folder_is_durable,
            live,
            spares,
        })
    }
}

impl Place {
    fn is_plausible(self) -> bool {
        let offsets = [self.next, self.reserved, self.end];
        offsets.is_sorted()
            && self.next >= SEGMENT_HEADER_LEN
            && offsets.into_iter().all(|offset| offset.is_multiple_of(BLOCK_SIZE as u64))
            && self.first_lsn < LSN_MAX
            && self.index <= INDEX_MAX
    }
}
