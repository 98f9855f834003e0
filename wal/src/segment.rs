//! The header of a segment file. See `docs/format/log.md`.

use std::fmt;

use llmdb_base::{Lsn, StoreId, checksum, codec};
use llmdb_vfs::{AlignedBuf, BLOCK_SIZE};

const MAGIC: usize = 0;
const VERSION: usize = MAGIC + 8;
const CHECKSUM: usize = VERSION + 4;
const STORE: usize = CHECKSUM + 4;
const SEGMENT_INDEX: usize = STORE + 16;
const FIRST_LSN: usize = SEGMENT_INDEX + 8;
const PREVIOUS_END: usize = FIRST_LSN + 8;
const RESERVED: usize = PREVIOUS_END + 8;

/// Bytes of a segment before its first batch.
pub(crate) const SEGMENT_HEADER_LEN: u64 = BLOCK_SIZE as u64;

const MAGIC_BYTES: [u8; 8] = *b"LLMDBLOG";
/// 2: records may hold copies, which older programs do not know. Nothing else is different.
const FORMAT_VERSION: u32 = 2;
/// The oldest that is read.
const FORMAT_VERSION_MIN: u32 = 1;

/// A log begins below this. The data file takes positions up to twice as far, so that what a log is asked to hold fits.
pub(crate) const LSN_MAX: Lsn = Lsn::new(1 << 59);

/// What the header of a segment says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentHeader {
    pub store: StoreId,
    pub index: u64,
    pub first_lsn: Lsn,
    pub previous_end: Lsn,
}

/// Why a header cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum HeaderFault {
    /// Not written yet, left over from a former use of the file, or damaged.
    Invalid(String),
    /// Whole, but of another store.
    Foreign(StoreId),
    /// Written by a newer version of this program.
    Newer(u32),
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(what) => write!(f, "no valid segment header: {what}"),
            Self::Foreign(store) => write!(f, "the segment belongs to another store, {store}"),
            Self::Newer(version) => {
                write!(f, "the segment has format version {version}; this program reads {FORMAT_VERSION}")
            }
        }
    }
}

impl SegmentHeader {
    /// The header as it is written, and its checksum, which the first batch refers to.
    pub(crate) fn encode(&self) -> (AlignedBuf, u32) {
        let mut unit = AlignedBuf::new(BLOCK_SIZE);
        unit[MAGIC..VERSION].copy_from_slice(&MAGIC_BYTES);
        codec::put_u32(&mut unit, VERSION, FORMAT_VERSION);
        codec::put_u128(&mut unit, STORE, self.store.get());
        codec::put_u64(&mut unit, SEGMENT_INDEX, self.index);
        codec::put_u64(&mut unit, FIRST_LSN, self.first_lsn.get());
        codec::put_u64(&mut unit, PREVIOUS_END, self.previous_end.get());
        let checksum = checksum::crc32c(0, &unit);
        codec::put_u32(&mut unit, CHECKSUM, checksum);
        (unit, checksum)
    }

    /// The index that the first unit of a file claims; whether it is true is seen by decoding it for that index.
    pub(crate) fn claimed_index(unit: &[u8]) -> u64 {
        if unit.len() < BLOCK_SIZE { 0 } else { codec::get_u64(unit, SEGMENT_INDEX) }
    }

    /// The header in the first unit of the file of segment `index`, and its checksum.
    pub(crate) fn decode(unit: &[u8], store: StoreId, index: u64) -> Result<(Self, u32), HeaderFault> {
        let invalid = |what: &str| Err(HeaderFault::Invalid(what.to_owned()));
        if unit.len() < BLOCK_SIZE || unit[MAGIC..VERSION] != MAGIC_BYTES {
            return invalid("it does not begin with the letters LLMDBLOG");
        }
        let version = codec::get_u32(unit, VERSION);
        let checksum = codec::get_u32(unit, CHECKSUM);
        let mut expected = checksum::crc32c(0, &unit[..CHECKSUM]);
        expected = checksum::crc32c(expected, &[0; 4]);
        expected = checksum::crc32c(expected, &unit[STORE..BLOCK_SIZE]);
        if checksum != expected {
            return invalid(&format!("checksum {checksum:08x}, expected {expected:08x}"));
        }
        if version > FORMAT_VERSION {
            return Err(HeaderFault::Newer(version));
        }
        let header = Self {
            store: StoreId::new(codec::get_u128(unit, STORE)),
            index: codec::get_u64(unit, SEGMENT_INDEX),
            first_lsn: Lsn::new(codec::get_u64(unit, FIRST_LSN)),
            previous_end: Lsn::new(codec::get_u64(unit, PREVIOUS_END)),
        };
        if header.store != store {
            return Err(HeaderFault::Foreign(header.store));
        }
        if header.index != index {
            return invalid(&format!("it is the header of segment {:016x}", header.index));
        }
        let reserved_is_zero = unit[RESERVED..BLOCK_SIZE].iter().all(|byte| *byte == 0);
        if version < FORMAT_VERSION_MIN || !header.is_plausible() || !reserved_is_zero {
            return invalid("its fields contradict each other");
        }
        Ok((header, checksum))
    }

    fn is_plausible(&self) -> bool {
        self.first_lsn.get().is_multiple_of(BLOCK_SIZE as u64)
            && self.previous_end <= self.first_lsn
            && self.first_lsn < LSN_MAX
    }

    /// LSN of the byte at `offset` of the file; `offset` lies behind the header.
    pub(crate) fn lsn_at(&self, offset: u64) -> Lsn {
        lsn_at(self.first_lsn, offset)
    }
}

/// LSN of the byte at `offset` of a segment that begins at `first_lsn`.
pub(crate) fn lsn_at(first_lsn: Lsn, offset: u64) -> Lsn {
    debug_assert!(offset >= SEGMENT_HEADER_LEN);
    first_lsn.plus(offset - SEGMENT_HEADER_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader = SegmentHeader {
        store: StoreId::new(0x0F0E_0D0C_0B0A_0908_0706_0504_0302_0100),
        index: 7,
        first_lsn: Lsn::new(0x2000),
        previous_end: Lsn::new(0x1FF0),
    };

    #[test]
    fn header_matches_annotated_bytes() {
        let (unit, checksum) = HEADER.encode();
        #[rustfmt::skip]
        let expected = [
            b'L', b'L', b'M', b'D', b'B', b'L', b'O', b'G', // magic
            2, 0, 0, 0,                                     // version
        ];
        assert_eq!(unit[..12], expected);
        assert_eq!(unit[12..16], checksum.to_le_bytes());
        assert_eq!(unit[16..32], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(unit[32..40], [7, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(unit[40..48], [0, 0x20, 0, 0, 0, 0, 0, 0]);
        assert_eq!(unit[48..56], [0xF0, 0x1F, 0, 0, 0, 0, 0, 0]);
        assert!(unit[56..].iter().all(|byte| *byte == 0));
        assert_eq!(SegmentHeader::decode(&unit, HEADER.store, 7), Ok((HEADER, checksum)));
    }

    #[test]
    fn faults_are_told_apart() {
        let (unit, _) = HEADER.encode();
        let foreign = SegmentHeader::decode(&unit, StoreId::new(1), 7);
        assert_eq!(foreign, Err(HeaderFault::Foreign(HEADER.store)));
        let recycled = SegmentHeader::decode(&unit, HEADER.store, 8);
        assert!(
            matches!(recycled, Err(HeaderFault::Invalid(what)) if what.contains("of segment 0000000000000007"))
        );
        assert!(matches!(SegmentHeader::decode(&[], HEADER.store, 7), Err(HeaderFault::Invalid(_))));
        let mut newer = unit.to_vec();
        codec::put_u32(&mut newer, VERSION, FORMAT_VERSION + 1);
        codec::put_u32(&mut newer, CHECKSUM, 0);
        let checksum = checksum::crc32c(0, &newer);
        codec::put_u32(&mut newer, CHECKSUM, checksum);
        assert_eq!(
            SegmentHeader::decode(&newer, HEADER.store, 7),
            Err(HeaderFault::Newer(FORMAT_VERSION + 1))
        );
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (mut unit, _) = HEADER.encode();
        for bit in 0..unit.len() * 8 {
            unit[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&unit, HEADER.store, 7).is_err(), "bit {bit}");
            unit[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
