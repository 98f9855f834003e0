//! A checkpoint takes its time beside commits.
//!
//! A disk with a cache of its own takes pages faster than it can keep them, and whoever forces something next waits for all
//! of them: a commit that met a checkpoint of 35 MiB at the wrong moment took 200 ms where the others took 10. So a checkpoint
//! in the background is spread over half of the log that may come before the next one is due, as in PostgreSQL
//! (`checkpoint_completion_target`): each commit then forces a small part of it. While nothing is committed, or when
//! somebody waits for it, it runs as fast as it can; so it does where processes share the store, whose turns are to be short.

use std::time::Duration;

use llmdb_pager::Progress;

use crate::{engine::Shared, pace::Toll};

/// Of the log that comes between two checkpoints, the part that one may take: 1 / 2.
const PART: u64 = 2;
/// Without a commit for so long, nobody is held up.
const IDLE_US: u64 = 50_000;
/// How long to wait before looking again how far the log has come.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// The plan of one checkpoint.
#[derive(Debug)]
pub(super) struct Spread<'s> {
    shared: &'s Shared,
    /// Bytes logged when it began.
    began_bytes: u64,
    /// Bytes that may be logged until it should have ended; 0 if it is not to be spread.
    span_bytes: u64,
    /// What had been logged at the last look, and since when.
    last_seen: (u64, u64),
    /// Time spent waiting for others.
    waited_us: u64,
}

impl<'s> Spread<'s> {
    /// The plan for a checkpoint that begins when `began_bytes` have been logged, `interval_bytes` after the one before.
    pub fn new(shared: &'s Shared, began_bytes: u64, interval_bytes: u64) -> Self {
        let span_bytes = if shared.company.is_none() { interval_bytes / PART } else { 0 };
        let last_seen = (began_bytes, shared.vfs.monotonic_us());
        Self { shared, began_bytes, span_bytes, last_seen, waited_us: 0 }
    }

    /// Waits while more has been written than the plan asks for.
    pub fn keep(&mut self, progress: Progress) {
        // What is left at the end is to force it.
        let is_written = progress.written_pages >= progress.total_pages;
        while !is_written && self.is_ahead(progress) && !self.is_urgent() && !self.is_idle() {
            let began_us = self.shared.vfs.monotonic_us();
            self.shared.checkpointing.pause(LOOK_AGAIN);
            self.waited_us += self.shared.vfs.monotonic_us().saturating_sub(began_us);
        }
    }

    /// How long the checkpoint has waited in all.
    pub fn waited_us(&self) -> u64 {
        self.waited_us
    }

    fn is_ahead(&self, progress: Progress) -> bool {
        let logged = self.shared.log_bytes().wrapping_sub(self.began_bytes);
        is_ahead(progress, logged, self.span_bytes)
    }

    /// Whether somebody waits for this checkpoint to end.
    fn is_urgent(&self) -> bool {
        self.shared.checkpointing.is_awaited()
            || !self.shared.is_open()
            || self.shared.toll() != Toll::Nothing
    }

    /// Whether nothing has been committed for a while.
    fn is_idle(&mut self) -> bool {
        let (logged, now_us) = (self.shared.log_bytes(), self.shared.vfs.monotonic_us());
        if self.last_seen.0 != logged {
            self.last_seen = (logged, now_us);
        }
        now_us.saturating_sub(self.last_seen.1) >= IDLE_US
    }
}

/// Whether a checkpoint has written a larger part of its pages than has been logged of `span_bytes` since it began.
fn is_ahead(progress: Progress, logged: u64, span_bytes: u64) -> bool {
    let Progress { written_pages, total_pages } = progress;
    u128::from(written_pages) * u128::from(span_bytes) > u128::from(total_pages) * u128::from(logged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_written_as_the_log_grows() {
        let at = |written_pages| Progress { written_pages, total_pages: 1_000 };
        assert!(is_ahead(at(1), 0, 64 << 20), "nothing was logged");
        assert!(!is_ahead(at(500), 32 << 20, 64 << 20) && is_ahead(at(501), 32 << 20, 64 << 20));
        assert!(!is_ahead(at(1_000), 64 << 20, 64 << 20), "the time is up");
        assert!(!is_ahead(at(1_000), 0, 0), "there is no plan");
        assert!(!is_ahead(Progress { written_pages: 0, total_pages: 0 }, 0, u64::MAX));
    }
}
