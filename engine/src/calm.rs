//! Shortening the file by itself, when nobody writes.
//!
//! Writers that do not wait for the disk outrun the checkpoints, and processes that die leave pages that nobody may use for
//! a while: either way the file becomes longer than what lives in it. Checkpoints only bring that back while writing
//! goes on. So a thread looks once the store has been left alone, and compacts in steps; the next commit stops it.
//!
//! ```text
//!   commit, and the file is too long  -> look after a rest
//!   looked, and somebody has written  -> look again after another rest
//!   nobody has                        -> compact, until it is done or somebody writes
//!   nothing was gained                -> rest four times as long: a snapshot or a long value is in the way
//! ```

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{AcqRel, Relaxed, Release},
        },
    },
    time::Duration,
};

use crate::{CompactReport, Error, engine::Shared};

/// Pages that a file may have in vain, besides a tenth of what lives in it: 8 MiB.
const IDLE_PAGES_MIN: u64 = 2_048;
/// Longest rest before it is tried again.
const REST_US_MAX: u64 = 600_000_000;

/// What the thread saw when it looked last.
#[derive(Debug, Default)]
pub(crate) struct Calm {
    /// Last commit. 0 before the first look.
    txid: AtomicU64,
    /// How long to rest before the next look; 0 for as long as the options say.
    rest_us: AtomicU64,
    /// Whether the thread will look by itself: commits need not ask for it.
    will_look: AtomicBool,
}

impl Shared {
    /// Whether the file is longer than it should be at rest. Only the process whose turn it is to write can tell.
    fn is_too_long(&self) -> bool {
        let live_pages = self.pager.live_pages();
        let idle_pages = self.pager.file_pages().saturating_sub(self.pager.goal_pages());
        !self.is_away() && idle_pages > IDLE_PAGES_MIN.max(live_pages / 10)
    }

    /// Has the file shortened when things calm down, if there is something to be gained.
    pub(crate) fn shorten_when_calm(&self) {
        let may = self.options.compact_calm_us != u64::MAX && self.log.is_some();
        if may && self.is_too_long() && !self.calm.will_look.swap(true, AcqRel) {
            self.workers.request_room();
        }
    }

    /// What the thread does at each look. When to look again.
    pub(crate) fn look_for_room(self: &Arc<Self>) -> Option<Duration> {
        let next = self.shorten();
        self.calm.will_look.store(next.is_some(), Release);
        next
    }

    fn shorten(self: &Arc<Self>) -> Option<Duration> {
        let is_of_use = self.is_open() && self.check_poison().is_ok() && self.is_too_long();
        if !is_of_use {
            return None;
        }
        let txid = self.pager.tip().txid.get();
        if self.calm.txid.swap(txid, Relaxed) != txid {
            self.calm.rest_us.store(0, Relaxed);
            return Some(Duration::from_micros(self.options.compact_calm_us));
        }
        let is_calm = |shared: &Self| shared.is_open() && shared.pager.tip().txid.get() == txid;
        match self.compact(&mut |_, _| is_calm(self)) {
            Ok(report) => self.next_look(&report),
            // Closed, or another process came in between.
            Err(Error::ReadOnly(_) | Error::Busy { .. }) => None,
            Err(error) => {
                log::warn!("{} is not shortened: {error}", self.path.display());
                None
            }
        }
    }

    fn next_look(&self, report: &CompactReport) -> Option<Duration> {
        if !self.is_too_long() {
            log::info!("{}: {} bytes became {}", self.path.display(), report.bytes_before, report.file_bytes);
            return None;
        }
        let calm_us = self.options.compact_calm_us;
        let has_gained = report.stopped || report.file_bytes < report.bytes_before;
        let rest_us = match self.calm.rest_us.load(Relaxed) {
            _ if has_gained => calm_us,
            0 => calm_us.saturating_mul(4),
            last => last.saturating_mul(4),
        };
        let rest_us = rest_us.min(REST_US_MAX.max(calm_us));
        self.calm.rest_us.store(rest_us, Relaxed);
        Some(Duration::from_micros(rest_us))
    }
}
