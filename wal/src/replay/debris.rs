//! What lies behind the end of a chain of batches: a torn tail, or the proof of damage.

use llmdb_base::{Lsn, StoreId};
use llmdb_vfs::BLOCK_SIZE;

use super::media::Media;
use crate::{
    LogResult,
    batch::{self, BatchHeader, Place},
    segment::SEGMENT_HEADER_LEN,
};

/// Headers of batches found behind the end of a chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Debris {
    /// The largest LSN that one of them says was on the media before it.
    pub durable: Lsn,
    /// Where the last of them ends.
    pub end: Lsn,
    /// LSN that the first byte behind the segment header would have, going by the last of them. `None` if
    /// there are none.
    pub first_lsn: Option<Lsn>,
}

/// Looks at every unit of the segment from `offset` on. Only headers are looked at, each in constant time, so
/// the cost is one read of the file whatever it holds.
pub(super) fn search(media: &mut Media, store: StoreId, mut offset: u64) -> LogResult<Debris> {
    let segment_index = media.segment_index();
    let mut debris = Debris::default();
    while let Some(unit) = media.bytes(offset, BLOCK_SIZE)? {
        let distance = offset - SEGMENT_HEADER_LEN;
        // A header that counts from before the start of the log was never written by us.
        let lsn = batch::claimed_lsn(unit, segment_index).filter(|lsn| lsn.get() >= distance);
        if let Some(lsn) = lsn
            && let Some(header) = BatchHeader::decode(Place { store, segment_index, lsn }, unit)
        {
            debris.durable = debris.durable.max(header.durable_lsn);
            debris.end = debris.end.max(lsn.plus(header.used as u64));
            debris.first_lsn = Some(Lsn::new(lsn.get() - distance));
        }
        offset += BLOCK_SIZE as u64;
    }
    Ok(debris)
}
