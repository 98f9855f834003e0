//! Following the chain of batches of one segment.

use llmdb_base::Lsn;
use llmdb_vfs::BLOCK_SIZE;

use super::media::{Kept, Media};
use crate::{
    LogResult,
    batch::{self, BatchHeader, Place},
    segment::{SEGMENT_HEADER_LEN, SegmentHeader},
};

/// Where a walk can begin: in front of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Position {
    pub offset: u64,
    /// Checksum that the batch refers to.
    pub previous_checksum: u32,
}

impl Position {
    /// In front of the first batch of a segment whose header has this checksum.
    pub(super) fn first(header_checksum: u32) -> Self {
        Self { offset: SEGMENT_HEADER_LEN, previous_checksum: header_checksum }
    }
}

/// A walk along the whole batches of a segment, each verified before it is seen.
#[derive(Debug)]
pub(super) struct Walk {
    media: Media,
    header: SegmentHeader,
    current: Option<Batch>,
    next: Position,
}

/// A batch that has been verified.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    pub at: Position,
    pub lsn: Lsn,
    pub used: usize,
}

impl Walk {
    pub(super) fn new(media: Media, header: SegmentHeader, from: Position) -> Self {
        Self { media, header, current: None, next: from }
    }

    /// Lets batches that begin before `offset` be read whole, and nothing behind them.
    pub(super) fn read_ahead_to(&mut self, offset: u64) -> LogResult<()> {
        self.media.read_ahead_to(offset)
    }

    /// Goes on to the next batch. `None` where the chain ends.
    pub(super) fn advance(&mut self) -> LogResult<Option<Batch>> {
        let at = self.next;
        let place = self.place(at.offset);
        let Some(unit) = self.media.bytes(at.offset, BLOCK_SIZE)? else { return Ok(None) };
        let Some(header) = BatchHeader::decode(place, unit) else { return Ok(None) };
        if header.previous_checksum != at.previous_checksum {
            return Ok(None);
        }
        let Some(bytes) = self.media.bytes(at.offset, header.len)? else { return Ok(None) };
        if !header.verify_body(place, bytes) {
            return Ok(None);
        }
        self.next = Position {
            offset: at.offset + header.len as u64,
            previous_checksum: batch::stored_header_checksum(bytes),
        };
        self.current = Some(Batch { at, lsn: place.lsn, used: header.used });
        Ok(self.current)
    }

    /// Header and fragments of the batch that [`Walk::advance`] returned last; nothing before the first.
    pub(super) fn bytes(&self) -> &[u8] {
        self.current.map_or(&[], |batch| self.media.seen(batch.at.offset, batch.used))
    }

    /// End of the last batch, or where the first one would begin.
    pub(super) fn end(&self) -> Lsn {
        self.header.lsn_at(self.next.offset)
    }

    pub(super) fn end_offset(&self) -> u64 {
        self.next.offset
    }

    /// What was kept of the segment for another pass.
    pub(super) fn take_kept(&mut self) -> Kept {
        self.media.take_kept()
    }

    pub(super) fn into_media(self) -> Media {
        self.media
    }

    fn place(&self, offset: u64) -> Place {
        Place { store: self.header.store, segment_index: self.header.index, lsn: self.header.lsn_at(offset) }
    }
}
