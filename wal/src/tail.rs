//! The end of the log in memory: the batch that records are appended to, and sealed batches that wait for
//! their write.
//!
//! Invariants:
//! 1. Batches lie behind one another without holes: the open one begins at `segment.next`, and sealing moves
//!    `next` to its end.
//! 2. Nothing is accepted that lies beyond `segment.reserved`: whatever is in a batch has its place on the
//!    disk.
//! 3. At most one record is being appended; an open fragment has its header in the batch already.
//! 4. No more than `buffers_max` buffers exist, open, sealed, under way or free.
//!
//! Everything here is done in memory and in short steps, since committers and the writer share it under a
//! lock.

use std::{collections::VecDeque, sync::Arc};

use llmdb_base::Lsn;
use llmdb_vfs::{AlignedBuf, BLOCK_SIZE, File};

use crate::{
    batch::BATCH_HEADER_LEN,
    fragment::{FRAGMENT_HEADER_LEN, Kind, encode_header},
    segment::lsn_at,
};

/// So many batches of a record are short: a part of the longest.
const SHORT_BATCHES: u32 = 4;
const SHORT_PART: usize = 4;

/// Bytes copied under one hold of the lock.
const COPY_BYTES_MAX: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Tail {
    pub segment: Option<Segment>,
    open: Option<OpenBatch>,
    sealed: VecDeque<SealedBatch>,
    free: Vec<AlignedBuf>,
    buffer_count: usize,
    buffers_max: usize,
    batch_bytes_max: usize,
    /// Whether a part of the record being appended is in a batch.
    record_begun: bool,
    /// Batches sealed since then.
    record_batches: u32,
}

/// The segment that batches are placed in. Offsets count from the start of its file.
#[derive(Debug)]
pub(crate) struct Segment {
    pub file: Arc<dyn File>,
    pub index: u64,
    pub first_lsn: Lsn,
    /// Where the next batch begins.
    pub next: u64,
    /// Up to here batches may be placed: the file has space, and zeros in it if they help.
    pub reserved: u64,
    /// Up to here the file has space.
    pub allocated: u64,
    /// Up to here it may grow.
    pub end: u64,
}

#[derive(Debug)]
struct OpenBatch {
    buffer: AlignedBuf,
    used: usize,
    fragment: Option<OpenFragment>,
    record_count: u32,
}

#[derive(Clone, Copy, Debug)]
struct OpenFragment {
    at: usize,
    begins: bool,
}

/// A batch that will not change any more but for its header.
#[derive(Debug)]
pub(crate) struct SealedBatch {
    pub buffer: AlignedBuf,
    pub used: usize,
    pub len: usize,
    pub record_count: u32,
    pub file: Arc<dyn File>,
    pub segment_index: u64,
    pub offset: u64,
    pub lsn: Lsn,
    pub fill: Fill,
}

/// Why a batch was sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fill {
    /// There was no more room in it: others may be under way beside it.
    Full,
    /// Somebody commits.
    Partial,
}

/// Why a byte cannot be accepted right now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Obstacle {
    /// There is no segment yet, or it is full and all its batches are sealed.
    Segment,
    /// The next bytes of the segment have no space yet.
    Space,
    /// The open batch is full.
    Batch,
    /// Every buffer is in use.
    Buffer,
}

impl Tail {
    pub(crate) fn new(batch_bytes_max: usize, in_flight_max: usize) -> Self {
        Self {
            segment: None,
            open: None,
            sealed: VecDeque::new(),
            free: Vec::new(),
            buffer_count: 0,
            buffers_max: in_flight_max + 2,
            batch_bytes_max,
            record_begun: false,
            record_batches: 0,
        }
    }

    /// What stands against accepting the next byte, or the end of a record. `None`: there is an open batch
    /// with room.
    pub(crate) fn obstacle(&mut self) -> Option<Obstacle> {
        let Some(segment) = self.segment.as_ref().filter(|segment| segment.next < segment.end) else {
            return Some(Obstacle::Segment);
        };
        let reserved = segment.reserved - segment.next;
        let can_grow = segment.reserved < segment.end;
        let Some(open) = &self.open else {
            return if reserved == 0 { Some(Obstacle::Space) } else { self.open_batch() };
        };
        let needed = if open.fragment.is_some() { 1 } else { FRAGMENT_HEADER_LEN + 1 };
        if open.used + needed <= self.limit() {
            None
        } else if can_grow && self.limit() < self.batch_limit() {
            Some(Obstacle::Space)
        } else {
            Some(Obstacle::Batch)
        }
    }

    fn open_batch(&mut self) -> Option<Obstacle> {
        let Some(buffer) = self.free.pop().or_else(|| self.new_buffer()) else {
            return Some(Obstacle::Buffer);
        };
        self.open = Some(OpenBatch { buffer, used: BATCH_HEADER_LEN, fragment: None, record_count: 0 });
        None
    }

    fn new_buffer(&mut self) -> Option<AlignedBuf> {
        (self.buffer_count < self.buffers_max).then(|| {
            self.buffer_count += 1;
            AlignedBuf::new(self.batch_bytes_max)
        })
    }

    /// Takes back the buffer of a batch that has been written.
    pub(crate) fn put_back(&mut self, buffer: AlignedBuf) {
        self.free.push(buffer);
    }

    /// Length that the open batch may reach.
    fn limit(&self) -> usize {
        let segment = self.segment.as_ref().expect("an open batch lies in a segment");
        let reserved = usize::try_from(segment.reserved - segment.next).unwrap_or(usize::MAX);
        reserved.min(self.batch_limit())
    }

    /// Length that a batch may reach. The first ones of a long record are short, so that the disk is at work early: of
    /// a record of a few batches a commit would else wait for nearly all. The later ones cost the disk less by the byte.
    fn batch_limit(&self) -> usize {
        if self.record_begun && self.record_batches < SHORT_BATCHES {
            (self.batch_bytes_max / SHORT_PART).next_multiple_of(BLOCK_SIZE)
        } else {
            self.batch_bytes_max
        }
    }

    /// Copies the first bytes of `bytes`, as many as there is room for, and not too many at a time. Only when
    /// there is no obstacle.
    pub(crate) fn accept(&mut self, bytes: &[u8]) -> usize {
        let limit = self.limit();
        self.begin_fragment();
        let open = self.open.as_mut().expect("there is an open batch where there is no obstacle");
        let count = bytes.len().min(limit - open.used).min(COPY_BYTES_MAX);
        open.buffer[open.used..open.used + count].copy_from_slice(&bytes[..count]);
        open.used += count;
        count
    }

    fn begin_fragment(&mut self) {
        let open = self.open.as_mut().expect("there is an open batch where there is no obstacle");
        if open.fragment.is_none() {
            open.fragment = Some(OpenFragment { at: open.used, begins: !self.record_begun });
            open.used += FRAGMENT_HEADER_LEN;
            self.record_begun = true;
        }
    }

    /// Ends the record in the open batch, and returns its LSN. `None` if there is an obstacle: an open
    /// fragment always suffices, without one there must be room for its header.
    pub(crate) fn finish_record(&mut self) -> Option<Lsn> {
        let has_fragment = self.open.as_ref().is_some_and(|open| open.fragment.is_some());
        if !has_fragment && self.obstacle().is_some() {
            return None;
        }
        self.begin_fragment();
        let segment = self.segment.as_ref()?;
        let open = self.open.as_mut()?;
        open.close_fragment(Ends::Yes);
        (self.record_begun, self.record_batches) = (false, 0);
        Some(lsn_at(segment.first_lsn, segment.next).plus(open.used as u64))
    }

    /// Forgets the record being appended. What is sealed of it stays, without an end.
    pub(crate) fn abandon_record(&mut self) {
        (self.record_begun, self.record_batches) = (false, 0);
        if let Some(open) = &mut self.open
            && let Some(fragment) = open.fragment.take()
        {
            open.used = fragment.at;
        }
    }

    /// Whether the open batch holds the end of a record that somebody may wait for.
    pub(crate) fn has_unsealed_record(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.record_count > 0)
    }

    /// Whether anything is in memory that has not been handed to the disk.
    pub(crate) fn is_busy(&self) -> bool {
        self.record_begun
            || !self.sealed.is_empty()
            || self.open.as_ref().is_some_and(|open| open.used > BATCH_HEADER_LEN)
    }

    /// Gives the open batch back if nothing is in it.
    pub(crate) fn drop_empty_batch(&mut self) {
        if let Some(open) = self.open.take_if(|open| open.used == BATCH_HEADER_LEN) {
            self.free.push(open.buffer);
        }
    }

    /// Seals the open batch, if there is anything in it.
    pub(crate) fn seal(&mut self, fill: Fill) {
        let Some(mut open) = self.open.take() else { return };
        if open.used == BATCH_HEADER_LEN {
            self.free.push(open.buffer);
            return;
        }
        open.close_fragment(Ends::No);
        self.record_batches += u32::from(self.record_begun);
        let segment = self.segment.as_mut().expect("an open batch lies in a segment");
        let len = open.used.next_multiple_of(BLOCK_SIZE);
        open.buffer[open.used..len].fill(0);
        self.sealed.push_back(SealedBatch {
            buffer: open.buffer,
            used: open.used,
            len,
            record_count: open.record_count,
            file: Arc::clone(&segment.file),
            segment_index: segment.index,
            offset: segment.next,
            lsn: lsn_at(segment.first_lsn, segment.next),
            fill,
        });
        segment.next += len as u64;
    }

    /// The oldest sealed batch that nobody has taken yet.
    pub(crate) fn take_sealed(&mut self) -> Option<SealedBatch> {
        self.sealed.pop_front()
    }
}

/// Whether a fragment is the end of its record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Yes,
    No,
}

impl OpenBatch {
    fn close_fragment(&mut self, ends: Ends) {
        let Some(fragment) = self.fragment.take() else { return };
        let ends = ends == Ends::Yes;
        let len = self.used - fragment.at - FRAGMENT_HEADER_LEN;
        let len = u32::try_from(len).expect("a batch is at most 8 MiB long");
        encode_header(&mut self.buffer[fragment.at..], Kind::of(fragment.begins, ends), len);
        self.record_count += u32::from(ends);
    }
}
