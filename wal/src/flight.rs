//! Batches on their way to the media.
//!
//! Invariants:
//! 1. Batches are submitted in the order of their LSNs; they complete in any order.
//! 2. `durable` is the end of the last batch before which all have completed.
//! 3. After a submission or a completion with an error nothing more is submitted: the log is poisoned then.

use std::collections::VecDeque;

use llmdb_base::{Lsn, StoreId};
use llmdb_vfs::{AlignedBuf, Completion, Ring, RingKind};

use crate::{
    LogError, LogResult,
    batch::{BatchHeader, Place},
    stats::Counters,
    tail::{Fill, SealedBatch},
};

#[derive(Debug)]
pub(crate) struct Flight {
    ring: Option<Box<dyn Ring>>,
    depth: usize,
    under_way: VecDeque<UnderWay>,
    next_token: u64,
    /// Checksum that the next batch refers to.
    previous_checksum: u32,
    durable: Lsn,
    store: StoreId,
}

#[derive(Debug)]
struct UnderWay {
    token: u64,
    end: Lsn,
    fill: Fill,
    done: bool,
}

impl Flight {
    pub(crate) fn new(store: StoreId, durable: Lsn, depth: usize) -> Self {
        Self {
            ring: None,
            depth,
            under_way: VecDeque::new(),
            next_token: 0,
            previous_checksum: 0,
            durable,
            store,
        }
    }

    /// End of what is on the media without a hole before it.
    pub(crate) fn durable(&self) -> Lsn {
        self.durable
    }

    pub(crate) fn ring_kind(&self) -> Option<RingKind> {
        self.ring.as_ref().map(|ring| ring.kind())
    }

    pub(crate) fn has_ring(&self) -> bool {
        self.ring.is_some()
    }

    pub(crate) fn set_ring(&mut self, ring: Box<dyn Ring>) {
        self.ring = Some(ring);
    }

    pub(crate) fn has_room(&self) -> bool {
        self.under_way.len() < self.depth
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether a batch that somebody sealed for a commit is under way: then what comes next had better
    /// gather.
    pub(crate) fn carries_partial(&self) -> bool {
        self.under_way.iter().any(|batch| batch.fill == Fill::Partial && !batch.done)
    }

    /// Goes on in a new segment, whose header has this checksum. Nothing may be under way.
    pub(crate) fn begin_segment(&mut self, header_checksum: u32, first_lsn: Lsn) {
        debug_assert!(self.is_empty());
        self.previous_checksum = header_checksum;
        self.durable = self.durable.max(first_lsn);
    }

    /// End of what is on the media, and the checksum that the next batch refers to.
    pub(crate) fn position(&self) -> (Lsn, u32) {
        (self.durable, self.previous_checksum)
    }

    /// Goes on behind what another process has written. Nothing may be under way.
    pub(crate) fn go_on(&mut self, durable: Lsn, previous_checksum: u32) {
        debug_assert!(self.is_empty());
        self.durable = self.durable.max(durable);
        self.previous_checksum = previous_checksum;
    }

    /// Gives `batch` its header and starts writing it. There must be room.
    pub(crate) fn submit(&mut self, mut batch: SealedBatch, counters: &Counters) -> LogResult<()> {
        let place = Place { store: self.store, segment_index: batch.segment_index, lsn: batch.lsn };
        let header = BatchHeader {
            durable_lsn: self.durable,
            len: batch.len,
            used: batch.used,
            previous_checksum: self.previous_checksum,
            record_count: batch.record_count,
        };
        self.previous_checksum = header.seal(place, &mut batch.buffer[..batch.len]);
        let token = self.next_token;
        let ring = self.ring.as_mut().expect("the ring is made with the first segment");
        ring.submit(&batch.file, batch.buffer, batch.len, batch.offset, token).map_err(LogError::during(
            format_args!("write {} bytes of the log at {}", batch.len, batch.lsn),
        ))?;
        self.next_token += 1;
        counters.batches.add(1);
        counters.written_bytes.add(batch.len as u64);
        let end = batch.lsn.plus(batch.len as u64);
        self.under_way.push_back(UnderWay { token, end, fill: batch.fill, done: false });
        Ok(())
    }

    /// Lets the disk begin with what was submitted, before the caller turns to other work.
    pub(crate) fn kick(&mut self) {
        if let Some(ring) = &mut self.ring {
            ring.kick();
        }
    }

    /// Waits for a write and returns its buffer; `durable` may have grown. Something must be under way.
    pub(crate) fn wait(&mut self) -> LogResult<AlignedBuf> {
        let completion = self.ring.as_mut().and_then(|ring| ring.wait());
        let Some(Completion { token, buffer, result }) = completion else {
            return Err(LogError::Misuse("the ring lost a write of the log"));
        };
        let written = self.under_way.iter_mut().find(|batch| batch.token == token);
        let Some(written) = written else {
            return Err(LogError::Misuse("the ring completed a write that the log did not start"));
        };
        result.map_err(LogError::during(format_args!("write the log up to {}", written.end)))?;
        written.done = true;
        while self.under_way.front().is_some_and(|batch| batch.done) {
            let batch = self.under_way.pop_front().expect("there is a first one");
            self.durable = batch.end;
        }
        Ok(buffer)
    }
}
