//! Rows with random keys, the same in every run.

/// A small generator of numbers (splitmix64).
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % end.max(1) as u64).unwrap_or(0)
    }

    /// A random key of 24 bytes.
    pub fn key(&mut self) -> [u8; 24] {
        let mut key = [0; 24];
        for chunk in key.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.number().to_be_bytes());
        }
        key
    }
}

/// `count` random keys in ascending order.
pub fn sorted_keys(count: usize, seed: u64) -> Vec<[u8; 24]> {
    let mut random = Random(seed);
    let mut keys: Vec<[u8; 24]> = (0..count).map(|_| random.key()).collect();
    keys.sort_unstable();
    keys
}

/// The shortest key that is above `low` and not above `high`.
pub fn separator<'a>(low: &[u8], high: &'a [u8]) -> &'a [u8] {
    let common = low.iter().zip(high).take_while(|(a, b)| a == b).count();
    &high[..=common]
}

/// Sum of the words of `bytes`: reads all of them.
#[inline]
pub fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(0_u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    rest.iter().fold(sum, |sum, byte| sum.wrapping_add(u64::from(*byte)))
}
