//! The log in use.

use std::{
    fmt, io,
    path::Path,
    sync::{Arc, OnceLock},
};

use llmdb_base::{
    Lsn, StoreId,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        lock,
    },
};
use llmdb_vfs::{BLOCK_SIZE, Vfs};

use crate::{
    LogError, LogOptions, LogResult, LogStats, RecordWriter,
    commit_queue::CommitQueue,
    flight::Flight,
    folder::{Files, Folder, Name, SpareFile},
    room::{Haste, Start},
    segment::{LSN_MAX, lsn_at},
    stats::Counters,
    tail::{Obstacle, Tail},
};

/// A log that takes records.
///
/// Any number of threads may call [`Log::sync_to`] at once; they share writes. Records are appended one at a
/// time.
///
/// Locks are taken in this order: `files`, `flight`, `tail`; that of the queue is taken last and alone.
/// `tail` is never held while the disk is at work.
#[derive(Debug)]
pub struct Log {
    pub(crate) folder: Folder,
    pub(crate) store: StoreId,
    pub(crate) options: LogOptions,
    pub(crate) start: Mutex<Start>,
    pub(crate) files: Mutex<Files>,
    pub(crate) flight: Mutex<Flight>,
    pub(crate) tail: Mutex<Tail>,
    pub(crate) queue: CommitQueue,
    pub(crate) staging: Mutex<Vec<u8>>,
    pub(crate) writer_open: AtomicBool,
    /// End of the last finished record.
    pub(crate) appended: AtomicU64,
    /// Length of the last finished record in bytes. A hint.
    pub(crate) last_record_bytes: AtomicU64,
    pub(crate) counters: Counters,
    pub(crate) told: OnceLock<Told>,
    /// Whether a new segment may overwrite a former one, see [`Log::recycle`].
    pub(crate) recycles: AtomicBool,
}

/// Whoever is told of every new segment. See [`Log::on_segment`].
pub(crate) struct Told(pub Box<dyn Fn(u64) -> io::Result<()> + Send + Sync>);

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}

impl Log {
    /// A log whose first record comes behind `start`, in the folder `dir`. Touches no file before the first
    /// append.
    ///
    /// For a folder that may hold a log already, use [`crate::Replay::open`] and [`crate::Replay::into_log`].
    ///
    /// # Errors
    /// [`LogError::Misuse`] if the folder holds segments, or if `start` lies beyond 2^59; [`LogError::Io`].
    pub fn create(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        store: StoreId,
        start: Lsn,
        options: LogOptions,
    ) -> LogResult<Self> {
        if start >= LSN_MAX {
            return Err(LogError::Misuse("a log cannot start beyond LSN 2^59"));
        }
        let folder = Folder::new(vfs, dir);
        if !folder.list()?.is_empty() {
            return Err(LogError::Misuse("the folder holds a log already: replay it first"));
        }
        let first_lsn = Lsn::new(start.get().next_multiple_of(BLOCK_SIZE as u64));
        Ok(Self::resume(
            folder,
            store,
            Start { first_lsn, previous_end: start },
            start,
            Files::default(),
            options,
        ))
    }

    /// A log that goes on behind what `files` holds. `end` is the end of the last record.
    pub(crate) fn resume(
        folder: Folder,
        store: StoreId,
        start: Start,
        end: Lsn,
        mut files: Files,
        options: LogOptions,
    ) -> Self {
        let options = options.normalized();
        files.next_bytes = options.segment_bytes(files.next_bytes);
        Self {
            folder,
            store,
            options,
            start: Mutex::new(start),
            files: Mutex::new(files),
            flight: Mutex::new(Flight::new(store, end, options.in_flight_max)),
            tail: Mutex::new(Tail::new(options.batch_bytes_max, options.in_flight_max)),
            queue: CommitQueue::new(end),
            staging: Mutex::default(),
            writer_open: AtomicBool::new(false),
            appended: AtomicU64::new(end.get()),
            last_record_bytes: AtomicU64::new(0),
            counters: Counters::default(),
            told: OnceLock::new(),
            recycles: AtomicBool::new(true),
        }
    }

    /// Has `told` called with the index of every segment that begins, when its header is durable and before anything in
    /// it is acknowledged: so that somebody else may know that it must be there. If `told` fails, so does the log,
    /// until it is opened again. The first call counts.
    pub fn on_segment(&self, told: impl Fn(u64) -> io::Result<()> + Send + Sync + 'static) {
        // Whoever comes second is not told, as documented.
        let _ = self.told.set(Told(Box::new(told)));
    }

    /// Whether new segments may take the files of former ones, which hold old bytes behind what is written: not while
    /// those are to be wiped.
    pub fn recycle(&self, recycles: bool) {
        self.recycles.store(recycles, Ordering::Release);
    }

    /// Begins a segment, though there may be room in the old one: its header says where the log before it ended. Durable on
    /// return. For a log that was cut at damage, which it leaves behind for good.
    ///
    /// # Errors
    /// [`LogError::Misuse`] if a record is open; [`LogError::NoSpace`], and nothing has changed; [`LogError::Io`],
    /// [`LogError::Poisoned`].
    pub fn begin_anew(&self) -> LogResult<()> {
        if self.writer_open.load(Ordering::Acquire) {
            return Err(LogError::Misuse("a record is being appended"));
        }
        self.overcome(Obstacle::Segment, Haste::None)
    }

    /// Begins a record.
    ///
    /// # Errors
    /// [`LogError::Misuse`] if another record is open; [`LogError::Poisoned`].
    pub fn begin(&self) -> LogResult<RecordWriter<'_>> {
        self.check_usable()?;
        if self.writer_open.swap(true, Ordering::Acquire) {
            return Err(LogError::Misuse("another record is being appended"));
        }
        Ok(RecordWriter::new(self))
    }

    /// Everything before this position is on the media.
    pub fn durable(&self) -> Lsn {
        self.queue.durable()
    }

    /// End of the last finished record.
    pub fn appended(&self) -> Lsn {
        Lsn::new(self.appended.load(Ordering::Acquire))
    }

    /// Bytes of records appended since this log was opened. LSNs also count headers and padding, and jump when a log is
    /// opened again.
    pub fn appended_bytes(&self) -> u64 {
        self.counters.appended_bytes.get()
    }

    /// Behind everything that is in a segment: no batch reaches beyond this position. A replay from here finds
    /// nothing, whichever segments are left. Meant for a log at rest, with everything synced.
    pub fn end(&self) -> Lsn {
        let is_empty = lock(&self.files).live.is_empty();
        match &lock(&self.tail).segment {
            Some(segment) => lsn_at(segment.first_lsn, segment.next),
            None if is_empty => self.appended(),
            None => self.appended().max(lock(&self.start).first_lsn),
        }
    }

    /// Why the log accepts nothing any more, if so.
    pub fn poisoned(&self) -> Option<String> {
        self.queue.failure().map(|reason| reason.to_string())
    }

    /// Gives up the segments that end at or before `before`: some are kept for later use, the others are
    /// removed.
    ///
    /// The caller must not need anything before `before` again, after whatever crash; `before` is the end of
    /// a record. The newest segment stays in any case.
    ///
    /// # Errors
    /// [`LogError::Io`] if a file could not be renamed or removed; it is tried again next time.
    /// [`LogError::Poisoned`].
    pub fn retire(&self, before: Lsn) -> LogResult<()> {
        self.check_usable()?;
        let mut files = lock(&self.files);
        let mut changed = false;
        // The newest one stays, in use or not: somebody may have noted that it must be there.
        while files.live.len() > 1
            && let Some(segment) = files.oldest_ending_by(before)
        {
            let (index, file_bytes) = (segment.index, segment.file_bytes);
            if files.spares.len() < self.options.spare_segments_max {
                self.folder.rename(Name::Segment(index), Name::Spare(index))?;
                files.spares.push(SpareFile { index, file_bytes });
            } else {
                self.folder.remove(Name::Segment(index))?;
            }
            files.live.pop_front();
            changed = true;
        }
        if changed { self.folder.sync().map_err(|error| self.poison(error)) } else { Ok(()) }
    }

    /// Removes the log, segments, spares and folder: for a clean close, when the data file holds everything. Files
    /// that are not the log's stay, and the folder with them. The log accepts nothing afterwards.
    ///
    /// # Errors
    /// [`LogError::Io`] if something could not be removed: what is left is harmless, since it ends before any
    /// position that a later log will ask for. [`LogError::Poisoned`].
    pub fn remove(&self) -> LogResult<()> {
        self.check_usable()?;
        let mut flight = lock(&self.flight);
        while !flight.is_empty() {
            self.reap(&mut flight)?;
        }
        drop(flight);
        self.queue.fail("it was removed when the store was closed".into());
        self.folder.remove_all()
    }

    /// Counters since this log was opened, and what the folder holds.
    pub fn stats(&self) -> LogStats {
        let counters = &self.counters;
        let files = lock(&self.files);
        LogStats {
            record_count: counters.records.get(),
            appended_bytes: counters.appended_bytes.get(),
            batch_count: counters.batches.get(),
            written_bytes: counters.written_bytes.get(),
            zeroed_bytes: counters.zeroed_bytes.get(),
            commit_count: counters.commits.get(),
            sync_count: counters.syncs.get(),
            segment_count: counters.segments.get(),
            recycled_count: counters.recycled.get(),
            live_segment_count: files.live.len() as u64,
            live_bytes: files.live.iter().map(|segment| segment.file_bytes).sum(),
            spare_count: files.spares.len() as u64,
            spare_bytes: files.spares.iter().map(|spare| spare.file_bytes).sum(),
            ring: lock(&self.flight).ring_kind(),
        }
    }

    pub(crate) fn check_usable(&self) -> LogResult<()> {
        match self.queue.failure() {
            Some(reason) => Err(LogError::Poisoned(reason.to_string())),
            None => Ok(()),
        }
    }
}
