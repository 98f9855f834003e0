//! The header of a batch, which is what one write brings to the disk. See `docs/format/log.md`.

use llmdb_base::{Lsn, StoreId, checksum, codec};
use llmdb_vfs::BLOCK_SIZE;

use crate::fragment::{FRAGMENT_HEADER_LEN, Fragment};

const HEADER_CHECKSUM: usize = 0;
const MAGIC: usize = HEADER_CHECKSUM + 4;
const SEGMENT_INDEX: usize = MAGIC + 4;
const LSN: usize = SEGMENT_INDEX + 8;
const DURABLE_LSN: usize = LSN + 8;
const LEN: usize = DURABLE_LSN + 8;
const USED: usize = LEN + 4;
const BODY_CHECKSUM: usize = USED + 4;
const PREVIOUS_CHECKSUM: usize = BODY_CHECKSUM + 4;
const RECORD_COUNT: usize = PREVIOUS_CHECKSUM + 4;
const RESERVED: usize = RECORD_COUNT + 4;
/// Bytes of a batch before its first fragment.
pub(crate) const BATCH_HEADER_LEN: usize = RESERVED + 12;
/// No batch is longer: what a reader must be ready to hold.
pub(crate) const BATCH_LEN_MAX: usize = 8 << 20;

/// No batch lies behind this: an LSN that was read can be added to without overflow.
const LSN_LIMIT: Lsn = Lsn::new(1 << 63);

const MAGIC_BYTES: [u8; 4] = *b"LBAT";

const _: () = assert!(BATCH_HEADER_LEN == 64);

/// Place of a batch: what its checksums are seeded with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub store: StoreId,
    pub segment_index: u64,
    pub lsn: Lsn,
}

impl Place {
    fn seed(self) -> u32 {
        checksum::log_seed(self.store, self.segment_index, self.lsn)
    }
}

/// What the header of a batch says, apart from its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BatchHeader {
    pub durable_lsn: Lsn,
    pub len: usize,
    pub used: usize,
    pub previous_checksum: u32,
    pub record_count: u32,
}

impl BatchHeader {
    /// Ends the batch in `bytes` (its whole length, fragments and zero padding in place) with header and
    /// checksums. Returns the header's checksum, which the next batch refers to.
    pub(crate) fn seal(&self, place: Place, bytes: &mut [u8]) -> u32 {
        debug_assert!(bytes.len() == self.len && self.used.next_multiple_of(BLOCK_SIZE) == self.len);
        let narrow = |len: usize| u32::try_from(len).expect("a batch is at most 8 MiB long");
        let seed = place.seed();
        bytes[..BATCH_HEADER_LEN].fill(0);
        bytes[MAGIC..MAGIC + 4].copy_from_slice(&MAGIC_BYTES);
        codec::put_u64(bytes, SEGMENT_INDEX, place.segment_index);
        codec::put_u64(bytes, LSN, place.lsn.get());
        codec::put_u64(bytes, DURABLE_LSN, self.durable_lsn.get());
        codec::put_u32(bytes, LEN, narrow(self.len));
        codec::put_u32(bytes, USED, narrow(self.used));
        codec::put_u32(bytes, BODY_CHECKSUM, checksum::crc32c(seed, &bytes[BATCH_HEADER_LEN..]));
        codec::put_u32(bytes, PREVIOUS_CHECKSUM, self.previous_checksum);
        codec::put_u32(bytes, RECORD_COUNT, self.record_count);
        let header_checksum = checksum::crc32c(seed, &bytes[MAGIC..BATCH_HEADER_LEN]);
        codec::put_u32(bytes, HEADER_CHECKSUM, header_checksum);
        header_checksum
    }

    /// The header at the start of `unit`, if the checksum says that it was written to `place`. Its body may
    /// be torn all the same.
    pub(crate) fn decode(place: Place, unit: &[u8]) -> Option<Self> {
        let unit = unit.get(..BATCH_HEADER_LEN)?;
        if unit[MAGIC..MAGIC + 4] != MAGIC_BYTES
            || codec::get_u64(unit, SEGMENT_INDEX) != place.segment_index
            || codec::get_u64(unit, LSN) != place.lsn.get()
            || unit[RESERVED..].iter().any(|byte| *byte != 0)
            || codec::get_u32(unit, HEADER_CHECKSUM) != checksum::crc32c(place.seed(), &unit[MAGIC..])
        {
            return None;
        }
        let header = Self {
            durable_lsn: Lsn::new(codec::get_u64(unit, DURABLE_LSN)),
            len: usize::try_from(codec::get_u32(unit, LEN)).ok()?,
            used: usize::try_from(codec::get_u32(unit, USED)).ok()?,
            previous_checksum: codec::get_u32(unit, PREVIOUS_CHECKSUM),
            record_count: codec::get_u32(unit, RECORD_COUNT),
        };
        header.is_plausible(place).then_some(header)
    }

    fn is_plausible(&self, place: Place) -> bool {
        (BATCH_HEADER_LEN..=BATCH_LEN_MAX).contains(&self.used)
            && self.len == self.used.next_multiple_of(BLOCK_SIZE)
            && self.durable_lsn <= place.lsn
            && place.lsn <= LSN_LIMIT
    }

    /// Whether the body of `bytes`, the whole batch, is what its header says.
    pub(crate) fn verify_body(&self, place: Place, bytes: &[u8]) -> bool {
        bytes.len() == self.len
            && checksum::crc32c(place.seed(), &bytes[BATCH_HEADER_LEN..])
                == codec::get_u32(bytes, BODY_CHECKSUM)
            && bytes[self.used..].iter().all(|byte| *byte == 0)
            && self.fragments_fill(bytes)
    }

    /// Whether fragments lie from the header to `used` without holes, with parts of longer records only at
    /// both ends, and as many records end as the header says.
    fn fragments_fill(&self, bytes: &[u8]) -> bool {
        let batch = &bytes[..self.used];
        let (mut at, mut ended) = (BATCH_HEADER_LEN, 0);
        while at < self.used {
            let Some(fragment) = Fragment::decode(batch, at) else { return false };
            let first = at == BATCH_HEADER_LEN;
            let last = fragment.end == self.used;
            if !(fragment.kind.begins() || first) || !(fragment.kind.ends() || last) {
                return false;
            }
            ended += u32::from(fragment.kind.ends());
            at = fragment.end;
        }
        ended == self.record_count
    }
}

/// The checksum that the next batch refers to, of a batch whose header decoded.
pub(crate) fn stored_header_checksum(unit: &[u8]) -> u32 {
    codec::get_u32(unit, HEADER_CHECKSUM)
}

/// The LSN that a batch claims to have: to be believed only once [`BatchHeader::decode`] agrees. `None` if
/// these bytes do not look like a batch of the segment at all.
pub(crate) fn claimed_lsn(unit: &[u8], segment_index: u64) -> Option<Lsn> {
    let unit = unit.get(..BATCH_HEADER_LEN)?;
    let looks_right =
        unit[MAGIC..MAGIC + 4] == MAGIC_BYTES && codec::get_u64(unit, SEGMENT_INDEX) == segment_index;
    looks_right.then(|| Lsn::new(codec::get_u64(unit, LSN)))
}

const _: () = assert!(BATCH_HEADER_LEN + FRAGMENT_HEADER_LEN < BLOCK_SIZE);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fragment::{Kind, encode_header};

    fn place() -> Place {
        Place { store: StoreId::new(9), segment_index: 3, lsn: Lsn::new(8192) }
    }

    fn sealed() -> (BatchHeader, Vec<u8>) {
        let mut bytes = vec![0; 4096];
        encode_header(&mut bytes[64..], Kind::Last, 3);
        bytes[69..72].copy_from_slice(b"end");
        encode_header(&mut bytes[72..], Kind::Full, 0);
        encode_header(&mut bytes[77..], Kind::First, 1);
        let header = BatchHeader {
            durable_lsn: Lsn::new(4096),
            len: 4096,
            used: 83,
            previous_checksum: 77,
            record_count: 2,
        };
        header.seal(place(), &mut bytes);
        (header, bytes)
    }

    #[test]
    fn a_batch_passes_only_in_its_place() {
        let (header, bytes) = sealed();
        assert_eq!(BatchHeader::decode(place(), &bytes), Some(header));
        assert!(header.verify_body(place(), &bytes));
        for elsewhere in [
            Place { store: StoreId::new(8), ..place() },
            Place { segment_index: 4, ..place() },
            Place { lsn: Lsn::new(12288), ..place() },
        ] {
            assert_eq!(BatchHeader::decode(elsewhere, &bytes), None);
            assert!(!header.verify_body(elsewhere, &bytes));
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (_, mut bytes) = sealed();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let passes = BatchHeader::decode(place(), &bytes)
                .is_some_and(|header| header.verify_body(place(), &bytes));
            assert!(!passes, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn parts_of_records_only_at_the_ends() {
        for (kinds, allowed) in [
            (vec![Kind::Full, Kind::Full], true),
            (vec![Kind::Middle], true),
            (vec![Kind::Last, Kind::First], true),
            (vec![Kind::First, Kind::Full], false),
            (vec![Kind::Full, Kind::Last], false),
            (vec![Kind::Middle, Kind::Full], false),
        ] {
            let mut bytes = vec![0; 4096];
            for (index, kind) in kinds.iter().enumerate() {
                encode_header(&mut bytes[64 + 5 * index..], *kind, 0);
            }
            let header = BatchHeader {
                durable_lsn: Lsn::new(0),
                len: 4096,
                used: 64 + 5 * kinds.len(),
                previous_checksum: 0,
                record_count: u32::try_from(kinds.iter().filter(|kind| kind.ends()).count()).unwrap(),
            };
            header.seal(place(), &mut bytes);
            assert_eq!(header.verify_body(place(), &bytes), allowed, "{kinds:?}");
        }
    }
}
