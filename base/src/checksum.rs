//! CRC32C (Castagnoli, RFC 3720 B.4), seeded so that the right bytes in the wrong place do not pass.

use crate::{Lsn, Pgno, StoreId};

/// CRC32C of `bytes`, continuing from `seed` (0 to begin). Cost: about 0.25 us for 4 KiB in cache.
#[inline]
pub fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(seed, bytes)
}

/// Seed for bytes that live at page `pgno` of the data file of `store`: bytes that were written to another
/// page, or belong to another store, fail their check.
pub fn page_seed(store: StoreId, pgno: Pgno) -> u32 {
    crc32c(crc32c(0, &store.get().to_le_bytes()), &pgno.get().to_le_bytes())
}

/// Seed for bytes at `lsn` of log segment `segment_index` of `store`: what a recycled segment held before
/// never passes for a record of the log.
pub fn log_seed(store: StoreId, segment_index: u64, lsn: Lsn) -> u32 {
    let seed = crc32c(crc32c(0, &store.get().to_le_bytes()), &segment_index.to_le_bytes());
    crc32c(seed, &lsn.get().to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_check_value() {
        assert_eq!(crc32c(0, b"123456789"), 0xE306_9283);
    }

    #[test]
    fn seeds_differ_by_place() {
        let store = StoreId::new(7);
        assert_ne!(page_seed(store, Pgno::new(1)), page_seed(store, Pgno::new(2)));
        assert_ne!(log_seed(store, 1, Lsn::new(0)), log_seed(store, 2, Lsn::new(0)));
    }
}
