//! Time and randomness that depend on nothing but the calls made.

use std::sync::atomic::{AtomicU64, Ordering};

use llmdb_base::Timestamp;

/// How far every look at the clock moves it.
const STEP_US: u64 = 1_000;
/// 2020-01-01 UTC.
const START_US: i64 = 1_577_836_800_000_000;

#[derive(Debug)]
pub(super) struct Clock {
    elapsed_us: AtomicU64,
    random_state: AtomicU64,
}

impl Clock {
    pub(super) fn new(seed: u64) -> Self {
        Self { elapsed_us: AtomicU64::new(0), random_state: AtomicU64::new(seed) }
    }

    pub(super) fn monotonic_us(&self) -> u64 {
        self.elapsed_us.fetch_add(STEP_US, Ordering::Relaxed) + STEP_US
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::new(START_US.saturating_add_unsigned(self.monotonic_us()))
    }

    /// SplitMix64: the state counts in odd steps, and the output is the state, mixed.
    pub(super) fn random_u64(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut mixed = self.random_state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
