//! The one source of chance in a simulation: the same seed makes the same choices, on every machine.

/// A small pseudo-random generator (SplitMix64), not fit for cryptography.
///
/// Every decision of a simulated run is drawn from one, so that a seed is enough to see a run again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chooser {
    state: u64,
}

impl Chooser {
    /// A generator whose choices follow from `seed` alone.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }

    /// A number from `0..limit`; 0 if `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        // The upper half of the product is uniform up to a bias of limit / 2^64, which no simulation can notice.
        ((u128::from(self.next_u64()) * u128::from(limit)) >> 64) as u64
    }

    /// An index into something of `count` elements; 0 if there are none.
    pub fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).expect("a number below a usize is a usize")
    }

    /// A number from `low..=high`, which must not be empty.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `percent` of 100 cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// True every other time.
    pub fn coin(&mut self) -> bool {
        self.next_u64() >> 63 == 1
    }

    /// One of `options`, which must not be empty.
    pub fn pick<'a, T>(&mut self, options: &'a [T]) -> &'a T {
        &options[self.index(options.len())]
    }

    /// A generator of its own for a part of the run, so that the part does not shift what comes after it.
    pub fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }
}

/// Spreads the bits of `value` over the whole word; different values stay different.
pub const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_sequence_of_splitmix64() {
        let mut chooser = Chooser::new(1_234_567);
        assert_eq!(chooser.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(chooser.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn numbers_stay_in_their_range_and_reach_its_ends() {
        let mut chooser = Chooser::new(7);
        let drawn: Vec<u64> = (0..1000).map(|_| chooser.between(3, 6)).collect();
        for wanted in 3..=6 {
            assert!(drawn.contains(&wanted));
        }
        assert!(drawn.iter().all(|number| (3..=6).contains(number)));
        assert_eq!(chooser.below(0), 0);
    }
}
