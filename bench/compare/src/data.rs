//! The rows that every engine gets: 24-byte keys, incompressible values, orders to write and read them in.
//!
//! All of it follows from the row's index alone, so that any process can make it again and verify what it reads.

/// Bytes of a key.
pub const KEY_LEN: usize = 24;
/// Bytes of a key and nothing else.
pub type Key = [u8; KEY_LEN];

/// Source of values. Large enough that neighbouring rows rarely share bytes, small enough to stay in the caches,
/// so that making a value costs the measured engine little.
const POOL_BYTES: usize = 8 << 20;

/// The key of a row: its index big-endian, so that keys sort like indexes, then 16 bytes that look random.
#[inline]
pub fn key(index: u64) -> Key {
    let mut key = [0; KEY_LEN];
    key[..8].copy_from_slice(&index.to_be_bytes());
    key[8..16].copy_from_slice(&mix(index).to_le_bytes());
    key[16..].copy_from_slice(&mix(index ^ 0x5bd1_e995_9e37_79b9).to_le_bytes());
    key
}

/// The row that a key belongs to; `None` for bytes that are no key of ours.
pub fn index_of(bytes: &[u8]) -> Option<u64> {
    let index = u64::from_be_bytes(*bytes.first_chunk::<8>()?);
    (bytes == key(index)).then_some(index)
}

/// Values of one size.
pub struct Dataset {
    pool: Vec<u8>,
    value_bytes: usize,
}

impl Dataset {
    /// Values of `value_bytes` each.
    pub fn new(value_bytes: usize) -> Dataset {
        let mut random = Random::new(0x6c6c_6d64_6221);
        let pool =
            (0..(POOL_BYTES + value_bytes) / 8 + 1).flat_map(|_| random.next().to_le_bytes()).collect();
        Dataset { pool, value_bytes }
    }

    /// The value that a row holds in a version. Overwriting a row means writing its next version.
    #[inline]
    pub fn value(&self, index: u64, version: u32) -> &[u8] {
        let at = (mix(index ^ (u64::from(version) << 40)) % (POOL_BYTES as u64 / 8)) as usize * 8;
        &self.pool[at..at + self.value_bytes]
    }

    /// Key and value bytes of one row.
    pub fn row_bytes(&self) -> u64 {
        (KEY_LEN + self.value_bytes) as u64
    }
}

/// A random order of `0..count` that needs no memory: a four-round Feistel network over the next power of four,
/// walked until it lands inside.
#[derive(Clone, Copy)]
pub struct Shuffle {
    count: u64,
    half_bits: u32,
    seed: u64,
}

impl Shuffle {
    /// An order of `0..count` that depends on `seed`.
    pub fn new(count: u64, seed: u64) -> Shuffle {
        let bits = u64::BITS - count.max(2).saturating_sub(1).leading_zeros();
        Shuffle { count, half_bits: bits.div_ceil(2), seed }
    }

    /// What stands at `position`, which must be below the count.
    #[inline]
    pub fn at(&self, position: u64) -> u64 {
        debug_assert!(position < self.count);
        let mut at = position;
        loop {
            at = self.permute(at);
            if at < self.count {
                return at;
            }
        }
    }

    fn permute(&self, at: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (at >> self.half_bits, at & mask);
        for round in 0..4 {
            (left, right) = (right, left ^ (mix(right ^ self.seed.wrapping_add(round << 56)) & mask));
        }
        left << self.half_bits | right
    }
}

/// A small fast random source (splitmix64).
pub struct Random(u64);

impl Random {
    /// A source that depends on `seed` alone.
    pub fn new(seed: u64) -> Random {
        Random(mix(seed))
    }

    /// The next 64 bits.
    #[inline]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

#[inline]
fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_like_indexes_and_name_their_row() {
        assert!(key(255) < key(256));
        assert_eq!(index_of(&key(77)), Some(77));
        let mut foreign = key(77);
        foreign[20] ^= 1;
        assert_eq!(index_of(&foreign), None);
        assert_eq!(index_of(b"short"), None);
    }

    #[test]
    fn a_shuffle_meets_every_row_once() {
        for count in [1, 2, 3, 100, 4096, 5000] {
            let shuffle = Shuffle::new(count, 7);
            let mut seen: Vec<u64> = (0..count).map(|position| shuffle.at(position)).collect();
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..count), "{count}");
        }
    }

    #[test]
    fn versions_differ() {
        let dataset = Dataset::new(256);
        assert_eq!(dataset.value(5, 0).len(), 256);
        assert_ne!(dataset.value(5, 0), dataset.value(5, 1));
    }
}
