//! How the log makes room for what is being appended: sealing full batches, reserving space, beginning
//! segments.
//!
//! Only the one open record writer comes here, and it holds no lock of the tail while it waits for the disk:
//! others go on committing what is complete.

use std::{io, sync::Arc};

use llmdb_base::{Lsn, sync::lock};
use llmdb_vfs::{AlignedBuf, BLOCK_SIZE, Create, File};

use crate::{
    Log, LogError, LogResult,
    flight::Flight,
    folder::{Files, LiveSegment, Name},
    segment::{SEGMENT_HEADER_LEN, SegmentHeader, lsn_at},
    tail::{Fill, Obstacle, Segment},
};

/// Whether what is being appended will soon fill the space it gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Haste {
    /// Short records: space is filled with zeros first, so that many small writes find it allocated.
    None,
    /// Long ones: they overwrite their space at once, so zeros would only double the writing.
    Bulk,
}

/// The file of a segment that is about to begin.
struct Prepared {
    file: Arc<dyn File>,
    reserved: u64,
    allocated: u64,
    recycled: bool,
}

/// A piece of a segment that batches are to be placed in.
#[derive(Clone, Copy)]
struct Window {
    from: u64,
    to: u64,
    /// Up to here the file has space.
    allocated: u64,
    /// Up to here it may grow.
    end: u64,
}

impl Log {
    /// Removes what stands in the way of the open writer.
    ///
    /// # Errors
    /// [`LogError::NoSpace`] and errors from opening files leave the log usable; all others poison it.
    pub(crate) fn overcome(&self, obstacle: Obstacle, haste: Haste) -> LogResult<()> {
        self.check_usable()?;
        match obstacle {
            Obstacle::Segment => self.begin_segment(haste),
            Obstacle::Space => self.reserve_space(haste),
            Obstacle::Batch => {
                lock(&self.tail).seal(Fill::Full);
                self.submit_without_waiting()
            }
            Obstacle::Buffer => self.wait_for_buffer(),
        }
    }

    /// Starts writing what is sealed, unless a committer is at it: it will find this as well.
    fn submit_without_waiting(&self) -> LogResult<()> {
        match self.flight.try_lock() {
            Ok(mut flight) => {
                self.submit_sealed(&mut flight)?;
                flight.kick();
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    fn wait_for_buffer(&self) -> LogResult<()> {
        let mut flight = lock(&self.flight);
        self.submit_sealed(&mut flight)?;
        if !flight.is_empty() {
            self.reap(&mut flight)?;
        }
        let durable = flight.durable();
        drop(flight);
        self.queue.advance(durable);
        Ok(())
    }

    /// Gets space for one more window of the segment in use.
    fn reserve_space(&self, haste: Haste) -> LogResult<()> {
        let (file, window) = {
            let tail = lock(&self.tail);
            let Segment { file, reserved: from, allocated, end, .. } =
                tail.segment.as_ref().expect("space is reserved in a segment");
            let to = (from + self.options.window_bytes).min(*end);
            (Arc::clone(file), Window { from: *from, to, allocated: *allocated, end: *end })
        };
        let allocated = match self.reserve(&*file, window, haste) {
            // On a full disk the room of spare segments is of more use than they are.
            Err(LogError::NoSpace { .. }) if self.remove_spares()? => self.reserve(&*file, window, haste)?,
            reserved => reserved?,
        };
        {
            let mut tail = lock(&self.tail);
            let segment = tail.segment.as_mut().expect("segments do not go away");
            (segment.reserved, segment.allocated) = (window.to, allocated);
        }
        if let Some(segment) = lock(&self.files).live.back_mut() {
            segment.file_bytes = allocated;
        }
        Ok(())
    }

    /// Removes the segments that are kept for later use; whether there were any.
    fn remove_spares(&self) -> LogResult<bool> {
        let spares = std::mem::take(&mut lock(&self.files).spares);
        for spare in &spares {
            self.folder.remove(Name::Spare(spare.index))?;
        }
        if !spares.is_empty() {
            // Their room may be given back only once it is durable that they are gone.
            self.folder.sync().map_err(|error| self.poison(error))?;
        }
        Ok(!spares.is_empty())
    }

    /// Makes `window` ready for batches. Returns up to where the file has space.
    fn reserve(&self, file: &dyn File, window: Window, haste: Haste) -> LogResult<u64> {
        let allocated = if window.to <= window.allocated {
            window.allocated
        } else {
            self.allocate(file, window, haste)?
        };
        if haste == Haste::None {
            let len = window.to - window.from;
            let zeros = AlignedBuf::new(usize::try_from(len).expect("a window is at most 64 MiB long"));
            file.write_durable_at(&zeros, window.from)
                .map_err(|error| self.poison_unless_full(space_error("write zeros ahead", len, error)))?;
            self.counters.zeroed_bytes.add(len);
        }
        Ok(allocated)
    }

    /// Gives the file space for `window`. A long record gets all that is left of the segment if the disk has it: the
    /// system lets no space be reserved in a file before the writes that are under way in it have ended.
    fn allocate(&self, file: &dyn File, window: Window, haste: Haste) -> LogResult<u64> {
        let Window { to, allocated, end, .. } = window;
        let up_to = |to: u64| {
            let len = to - allocated;
            let reserved = file.allocate(allocated, len);
            reserved.map_err(|error| space_error("reserve space for the log", len, error)).map(|()| to)
        };
        if haste == Haste::None || end <= to {
            return up_to(to);
        }
        match up_to(end) {
            Err(LogError::NoSpace { .. }) => {
                // What it got of it is not for the log alone.
                file.set_len(allocated).map_err(LogError::during("give back space of a log segment"))?;
                up_to(to)
            }
            reserved => reserved,
        }
    }

    /// Goes on in a new segment, once all of the old one is on the media. Its file is made while the last batches of
    /// the old one are on their way; only its header has to wait for them.
    fn begin_segment(&self, haste: Haste) -> LogResult<()> {
        self.begin_writing()?;
        let mut files = lock(&self.files);
        let index = files.next_index;
        files.next_index += 1;
        let prepared = self.prepare_segment(&mut files, index, haste)?;
        let made = self.drain().and_then(|()| self.give_header(&*prepared.file, index));
        let (first_lsn, previous_end, checksum) = match made {
            Ok(made) => made,
            Err(error) => {
                self.forget_segment(index)?;
                return Err(error);
            }
        };
        if let Some(told) = self.told.get() {
            (told.0)(index)
                .map_err(|error| self.poison(LogError::io("note that a log segment began", error)))?;
        }
        let end = files.next_bytes.max(prepared.reserved.min(self.options.segment_bytes_max));
        files.next_bytes = (files.next_bytes * 2).min(self.options.segment_bytes_max);
        if let Some(old) = files.live.back_mut().filter(|old| old.end.is_none()) {
            old.end = Some(previous_end);
        }
        files.live.push_back(LiveSegment { index, end: None, file_bytes: prepared.allocated });
        self.counters.segments.add(1);
        self.counters.recycled.add(u64::from(prepared.recycled));
        lock(&self.flight).begin_segment(checksum, first_lsn);
        let Prepared { file, reserved, allocated, .. } = prepared;
        let reserved = reserved.min(end);
        lock(&self.tail).segment =
            Some(Segment { file, index, first_lsn, next: SEGMENT_HEADER_LEN, reserved, allocated, end });
        Ok(())
    }

    /// Starts writing what is sealed. Makes the ring if there is none yet.
    fn begin_writing(&self) -> LogResult<()> {
        let mut flight = lock(&self.flight);
        if !flight.has_ring() {
            let ring = self.folder.vfs.ring(self.options.in_flight_max);
            flight.set_ring(ring.map_err(LogError::during("make a ring for the log"))?);
        }
        self.submit_sealed(&mut flight)?;
        flight.kick();
        Ok(())
    }

    /// Makes the file of segment `index` the segment that the log goes on in: all before it is on the media. Returns
    /// where it begins, where the one before ended, and the checksum of its header.
    fn give_header(&self, file: &dyn File, index: u64) -> LogResult<(Lsn, Lsn, u32)> {
        let (first_lsn, previous_end) = match &lock(&self.tail).segment {
            Some(full) => (lsn_at(full.first_lsn, full.next), lsn_at(full.first_lsn, full.next)),
            None => {
                let start = lock(&self.start);
                (start.first_lsn, start.previous_end)
            }
        };
        let header = SegmentHeader { store: self.store, index, first_lsn, previous_end };
        Ok((first_lsn, previous_end, self.write_header(file, &header)?))
    }

    /// Removes the file of a segment that did not come to be, if the log lives on.
    fn forget_segment(&self, index: u64) -> LogResult<()> {
        if self.queue.failure().is_none() { self.folder.remove(Name::Segment(index)) } else { Ok(()) }
    }

    /// Waits until every sealed batch is on the media. The ring is there.
    pub(crate) fn drain(&self) -> LogResult<()> {
        let mut flight = lock(&self.flight);
        self.submit_sealed(&mut flight)?;
        while !flight.is_empty() {
            self.reap(&mut flight)?;
            self.submit_sealed(&mut flight)?;
        }
        let durable = flight.durable();
        drop(flight);
        self.queue.advance(durable);
        Ok(())
    }

    /// A file with a durable name and some space. On a clean error it is gone again.
    fn prepare_segment(&self, files: &mut Files, index: u64, haste: Haste) -> LogResult<Prepared> {
        let name = Name::Segment(index);
        if !files.folder_is_durable {
            self.folder.create()?;
            self.folder.sync_parent().map_err(|error| self.poison(error))?;
            files.folder_is_durable = true;
        }
        let recycles = self.recycles.load(std::sync::atomic::Ordering::Acquire);
        let prepared = match if recycles { files.spares.pop() } else { None } {
            Some(spare) => {
                self.folder.rename(Name::Spare(spare.index), name)?;
                self.prepare_file(name, Create::Never, files.next_bytes, haste)
            }
            None => self.prepare_file(name, Create::New, files.next_bytes, haste),
        };
        if prepared.is_err() {
            self.forget_segment(index)?;
        }
        prepared
    }

    /// Opens or makes the file, which may come to have `end` bytes.
    fn prepare_file(&self, name: Name, create: Create, end: u64, haste: Haste) -> LogResult<Prepared> {
        let file = self.folder.open(name, create, true)?;
        let unit = BLOCK_SIZE as u64;
        let len = file.len().map_err(LogError::during("ask for the length of a log segment"))?;
        let mut reserved = len - len % unit;
        let mut allocated = reserved;
        if reserved <= SEGMENT_HEADER_LEN {
            reserved = SEGMENT_HEADER_LEN + self.options.window_bytes;
            allocated = self.reserve(&*file, Window { from: 0, to: reserved, allocated: 0, end }, haste)?;
        }
        file.sync_data().map_err(|error| self.poison(LogError::io("sync a new log segment", error)))?;
        self.folder.sync().map_err(|error| self.poison(error))?;
        Ok(Prepared { file, reserved, allocated, recycled: create == Create::Never })
    }

    fn write_header(&self, file: &dyn File, header: &SegmentHeader) -> LogResult<u32> {
        let (unit, checksum) = header.encode();
        file.write_durable_at(&unit, 0).map_err(|error| {
            self.poison_unless_full(space_error(
                "write the header of a log segment",
                SEGMENT_HEADER_LEN,
                error,
            ))
        })?;
        Ok(checksum)
    }

    /// Starts as many writes as there is room for.
    pub(crate) fn submit_sealed(&self, flight: &mut Flight) -> LogResult<()> {
        while flight.has_room() {
            let Some(batch) = lock(&self.tail).take_sealed() else { return Ok(()) };
            flight.submit(batch, &self.counters).map_err(|error| self.poison(error))?;
        }
        Ok(())
    }

    /// Waits for one write. Something must be under way.
    pub(crate) fn reap(&self, flight: &mut Flight) -> LogResult<()> {
        let buffer = flight.wait().map_err(|error| self.poison(error))?;
        lock(&self.tail).put_back(buffer);
        Ok(())
    }

    /// Makes `error` the end of this log, if it is not just a lack of space found before anything was
    /// accepted.
    fn poison_unless_full(&self, error: LogError) -> LogError {
        match error {
            LogError::NoSpace { .. } => error,
            other => self.poison(other),
        }
    }

    /// Ends the life of this log: `error` goes to the caller and, as a reason, to everybody else.
    pub(crate) fn poison(&self, error: LogError) -> LogError {
        self.queue.fail(error.to_string().into());
        error
    }
}

fn space_error(what: &str, needed_bytes: u64, error: io::Error) -> LogError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            LogError::NoSpace { needed_bytes }
        }
        _ => LogError::io(what, error),
    }
}

/// Where a log begins that has no segment yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Start {
    /// LSN of the first batch.
    pub first_lsn: Lsn,
    /// Where the log before it ended.
    pub previous_end: Lsn,
}
