//! What a run did, in numbers.

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Report {
    /// Seeds run to their end.
    pub seed_count: u64,
    /// Moments examined.
    pub point_count: u64,
    /// Crash states recovered and compared, of all kinds.
    pub state_count: u64,
    /// Of these: moments of which all states were recovered.
    pub exhaustive_count: u64,
    /// Of these: recoveries of a recovery that was cut short.
    pub nested_count: u64,
    /// Of these: with a destroyed root.
    pub destroyed_count: u64,
    /// Of these: with a flipped bit, a block in the wrong place, or a write that was lost.
    pub damaged_count: u64,
    /// Of these: where the store reported damage.
    pub reported_count: u64,
    /// Of these: gone on with, and cut off again.
    pub continued_count: u64,
    /// Of these: after a kill, the page cache being there.
    pub killed_count: u64,
    /// Calls that failed as planned.
    pub failed_count: u64,
}

impl Report {
    /// Adds what another run did.
    pub fn add(&mut self, other: &Self) {
        for ((_, count), (_, more)) in self.counts_mut().into_iter().zip(other.counts()) {
            *count += more;
        }
    }

    /// Every figure with its name.
    pub fn counts(&self) -> [(&'static str, u64); 11] {
        let mut copy = *self;
        copy.counts_mut().map(|(name, count)| (name, *count))
    }

    /// The figure of this name.
    pub(crate) fn count_mut(&mut self, name: &str) -> Option<&mut u64> {
        self.counts_mut().into_iter().find(|(known, _)| *known == name).map(|(_, count)| count)
    }

    fn counts_mut(&mut self) -> [(&'static str, &mut u64); 11] {
        [
            ("seeds", &mut self.seed_count),
            ("points", &mut self.point_count),
            ("crash_states", &mut self.state_count),
            ("exhaustive_points", &mut self.exhaustive_count),
            ("nested", &mut self.nested_count),
            ("roots_destroyed", &mut self.destroyed_count),
            ("damaged", &mut self.damaged_count),
            ("damage_reported", &mut self.reported_count),
            ("continued", &mut self.continued_count),
            ("killed", &mut self.killed_count),
            ("calls_failed", &mut self.failed_count),
        ]
    }
}
