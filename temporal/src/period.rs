//! Moments and periods of either time.

use std::fmt;

use llmdb_base::Timestamp;

/// The moment behind all others: a period that ends here has no end.
pub const FOREVER: Timestamp = Timestamp::new(i64::MAX);
/// The moment before all others.
pub const BEGINNING: Timestamp = Timestamp::new(i64::MIN);

/// A half-open period: `from` is in it, `to` is not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Period {
    /// First moment.
    pub from: Timestamp,
    /// First moment behind it; [`FOREVER`] if it has no end.
    pub to: Timestamp,
}

impl Period {
    /// All of time.
    pub const ALWAYS: Self = Self { from: BEGINNING, to: FOREVER };

    /// From `from` up to, but without, `to`.
    pub const fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { from, to }
    }

    /// From `from` on.
    pub const fn since(from: Timestamp) -> Self {
        Self { from, to: FOREVER }
    }

    /// Whether no moment is in it.
    pub fn is_empty(&self) -> bool {
        self.from >= self.to
    }

    /// Whether `moment` is in it.
    pub fn contains(&self, moment: Timestamp) -> bool {
        self.from <= moment && moment < self.to
    }

    /// What both have in common, which may be nothing.
    pub fn common(&self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }

    /// Whether a moment is in both.
    pub fn overlaps(&self, other: Self) -> bool {
        !self.common(other).is_empty()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.to) {
            (BEGINNING, FOREVER) => f.write_str("always"),
            (BEGINNING, to) => write!(f, "until {to}"),
            (from, FOREVER) => write!(f, "since {from}"),
            (from, to) => write!(f, "{from} to {to}"),
        }
    }
}
