//! The point in both times that is asked about.

use llmdb_base::plant::{Bug, planted};
use llmdb_temporal::{AsOf, At, BEGINNING, Timestamp, View};
use serde::Serialize;

use super::shown::{Learned, Moment};
use crate::Result;

/// What is asked: what held at a moment, by what was known at a moment. The default is now in both.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Point {
    /// When it held; `None` for now.
    pub valid: Option<Timestamp>,
    /// When it was known.
    pub known: AsOf,
}

impl Point {
    /// What held at `moment`, by what was known at `moment`.
    pub const fn both(moment: Timestamp) -> Self {
        Self { valid: Some(moment), known: AsOf::Time(moment) }
    }

    /// With every "now" replaced by what it is in `view`.
    pub(super) fn resolve(self, view: &View) -> Result<Resolved> {
        let newest = view.snapshot().timestamp();
        let known = match self.known {
            AsOf::Now => newest,
            as_of => view.resolve(as_of)?.min(newest),
        };
        let valid = self.valid.unwrap_or(view.now());
        let is_newest = known == newest || planted(Bug::RecallTheNewest);
        let system = if is_newest { AsOf::Now } else { AsOf::Time(known) };
        let at = At { valid: Some(valid), system };
        Ok(Resolved { at, valid, known, is_present: is_newest && valid >= newest })
    }
}

/// A point without "now".
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolved {
    pub at: At,
    pub valid: Timestamp,
    pub known: Timestamp,
    /// Whether it is what is known now of the present or the future.
    pub is_present: bool,
}

impl Resolved {
    pub fn shown(&self, view: &View) -> Result<ShownPoint> {
        let known = Learned::at(view, self.known)?;
        Ok(ShownPoint { valid: Moment(self.valid), known: (known.at.0 > BEGINNING).then_some(known) })
    }
}

/// The point in both times that was answered for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ShownPoint {
    /// What held then.
    pub valid: Moment,
    /// By what was known after this commit; `None` if nothing had been learned yet.
    pub known: Option<Learned>,
}
