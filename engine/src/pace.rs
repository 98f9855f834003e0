//! When a checkpoint is due, and when writers have to wait for one: before a replay of the log would take too long,
//! and before pages that only the last checkpoints need take too large a part of the file.
//!
//! Decides by counting. Time enters as costs per operation and per page, of which one is measured: what it takes to
//! apply an operation.

use std::{
    sync::{
        PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use llmdb_base::{
    PAGE_SIZE,
    sync::{Condvar, Mutex, lock},
};

use crate::options::{Churn, RecoveryTime};

/// Cost of applying an operation until it has been measured: dear, so that the error is on the safe side.
const OP_NS: u64 = 4_000;
/// What is believed of a measurement.
const OP_NS_RANGE: std::ops::RangeInclusive<u64> = 300..=50_000;
/// Decoding an operation again, which the measurement does not include.
const DECODE_NS: u64 = 200;
/// Reading 1 KiB of log, with its checksum, and copying it.
const LOG_KIB_US: u64 = 2;
/// Opening files and meta pages.
const FILES_US: u64 = 10_000;
/// Live pages for which a page of the allocation map is read, in each of two generations; one after the other.
const MAP_PAGES: u64 = 32_288;
const MAP_PAGE_US: u64 = 100;
/// Reading a page among its neighbours: a replay that needs many of a file reads all of it ahead.
const SCAN_PAGE_US: u64 = 8;
/// Operations measured before the measurement counts.
const SAMPLES_MIN: u64 = 16;
/// Operations that the average looks back over, at most.
const SAMPLES_MAX: u64 = 1_024;
/// A checkpoint for the sake of space alone waits until the one before lies this many times its duration back.
const REST_FACTOR: u64 = 4;
/// Longest wait of a throttled writer, just before it would have to stop.
const THROTTLE_US_MAX: u64 = 2_000;

/// What a replay would have to do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Backlog {
    pub ops: u64,
    pub log_bytes: u64,
    /// Nodes to be read that a cold cache does not have.
    pub nodes: u64,
    pub live_pages: u64,
    /// Log before and behind those bytes that is read all the same: what is left of the first and the last segment.
    pub idle_log_bytes: u64,
}

impl Backlog {
    /// How long it would take.
    pub fn replay_us(&self, op_ns: u64, read_us: u64) -> u64 {
        let apply = self.ops.saturating_mul(op_ns + DECODE_NS) / 1_000;
        let log = self.log_bytes / 1_024 * LOG_KIB_US;
        let opening = if self.log_bytes > 0 { self.opening_us() } else { 0 };
        let reads = (self.nodes.saturating_mul(read_us)).min(self.live_pages.saturating_mul(SCAN_PAGE_US));
        apply.saturating_add(log).saturating_add(reads).saturating_add(opening)
    }

    /// What opening takes before anything is replayed.
    fn opening_us(&self) -> u64 {
        let map = (1 + self.live_pages / MAP_PAGES) * 2 * MAP_PAGE_US;
        FILES_US + map + self.idle_log_bytes / 1_024 * LOG_KIB_US
    }
}

/// What a writer has to do before it begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Toll {
    Nothing,
    /// Wait this long, unless a checkpoint ends before.
    Wait(Duration),
    /// Wait for a checkpoint.
    Stop,
}

/// What a writer has to do if a replay would take `replay_us`.
pub(crate) fn toll(replay_us: u64, limits: &RecoveryTime) -> Toll {
    if replay_us >= limits.stall_us {
        return Toll::Stop;
    }
    let Some(over) = replay_us.checked_sub(limits.throttle_us) else { return Toll::Nothing };
    let span = (limits.stall_us - limits.throttle_us).max(1);
    Toll::Wait(Duration::from_micros(1 + over.saturating_mul(THROTTLE_US_MAX) / span))
}

/// Held pages that make a checkpoint due, of a store with so many live ones.
pub(crate) fn settling_max(live_pages: u64, churn: &Churn) -> u64 {
    let share = live_pages.saturating_mul(churn.percent.into()) / 100;
    share.max(churn.bytes_min / PAGE_SIZE as u64).max(1)
}

/// What has happened since the last checkpoints.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Operations since the last checkpoint was begun.
    ops: AtomicU64,
    /// Operations before that, not in a finished checkpoint.
    ops_before: AtomicU64,
    average: Mutex<Average>,
    /// Nanoseconds per operation; 0 before the first measurement.
    op_ns: AtomicU64,
    /// Moment before which no checkpoint is made for the sake of space alone.
    rest_until_us: AtomicU64,
    /// Signalled when a checkpoint has been finished.
    finished: Condvar,
    waiting: Mutex<()>,
    pub throttled: AtomicU64,
    pub stalled: AtomicU64,
}

#[derive(Debug, Default)]
struct Average {
    ns: u64,
    samples: u64,
}

impl Pace {
    /// A transaction of `ops` operations has been logged, or replayed.
    pub fn count_ops(&self, ops: u64) {
        self.ops.fetch_add(ops, Relaxed);
    }

    /// Counts on from `ops`: another process has written.
    pub fn restart(&self, ops: u64) {
        self.ops_before.store(0, Relaxed);
        self.ops.store(ops, Relaxed);
    }

    /// Operations that a replay would have to apply.
    pub fn ops(&self) -> u64 {
        self.ops_before.load(Relaxed) + self.ops.load(Relaxed)
    }

    /// `ops` operations were applied in `us`.
    pub fn note_applied(&self, ops: u64, us: u64) {
        let ns = (us.saturating_mul(1_000) / ops.max(1)).min(*OP_NS_RANGE.end());
        let mut average = lock(&self.average);
        let weight = ops.min(SAMPLES_MAX);
        let before = average.samples.min(SAMPLES_MAX);
        average.ns = (average.ns * before + ns * weight) / (before + weight).max(1);
        average.samples = before + weight;
        if average.samples >= SAMPLES_MIN {
            self.op_ns.store(average.ns.clamp(*OP_NS_RANGE.start(), *OP_NS_RANGE.end()), Relaxed);
        }
    }

    /// Nanoseconds that applying an operation takes, as far as is known.
    pub fn op_ns(&self) -> u64 {
        match self.op_ns.load(Relaxed) {
            0 => OP_NS,
            measured => measured,
        }
    }

    /// A checkpoint begins. Called under the writer gate.
    pub fn begin_checkpoint(&self) {
        let ops = self.ops.swap(0, Relaxed);
        self.ops_before.fetch_add(ops, Relaxed);
    }

    /// A checkpoint that took `us` has been finished at `now_us`.
    pub fn finish_checkpoint(&self, us: u64, now_us: u64) {
        self.ops_before.store(0, Relaxed);
        self.rest_until_us.store(now_us.saturating_add(us.saturating_mul(REST_FACTOR)), Relaxed);
        self.wake();
    }

    /// How long checkpoints for the sake of space alone have to wait yet.
    pub fn rest_us(&self, now_us: u64) -> u64 {
        self.rest_until_us.load(Relaxed).saturating_sub(now_us)
    }

    /// Waits until a checkpoint is finished, `at_most` so long.
    pub fn wait(&self, at_most: Duration) {
        self.throttled.fetch_add(1, Relaxed);
        let waiting = lock(&self.waiting);
        // Whether it was the time or a checkpoint that ended it: the writer goes on.
        drop(self.finished.wait_timeout(waiting, at_most).unwrap_or_else(PoisonError::into_inner));
    }

    fn wake(&self) {
        drop(lock(&self.waiting));
        self.finished.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RecoveryTime =
        RecoveryTime { checkpoint_us: 400_000, throttle_us: 700_000, stall_us: 900_000, read_us: 100 };

    #[test]
    fn a_replay_costs_operations_log_and_cold_pages() {
        let backlog = Backlog {
            ops: 100_000,
            log_bytes: 10 << 20,
            nodes: 1_000,
            live_pages: 1 << 20,
            idle_log_bytes: 2 << 20,
        };
        let opening = 10_000 + 33 * 200 + 4_096;
        assert_eq!(backlog.replay_us(1_800, 100), 200_000 + 20_480 + 100_000 + opening);
        // Of a small file, no more is read than there is.
        let small = Backlog { live_pages: 2_000, nodes: 50_000, ..backlog };
        assert_eq!(small.replay_us(1_800, 100), 200_000 + 20_480 + 16_000 + 10_000 + 200 + 4_096);
        let most = u64::MAX;
        let huge = Backlog { ops: most, log_bytes: most, nodes: most, live_pages: most, idle_log_bytes: 0 };
        assert!(huge.replay_us(50_000, 100) > u64::MAX / 2_000);
        assert_eq!(Backlog::default().replay_us(4_000, 100), 0);
    }

    #[test]
    fn writers_are_slowed_down_before_they_are_stopped() {
        assert_eq!(toll(699_999, &LIMITS), Toll::Nothing);
        assert_eq!(toll(700_000, &LIMITS), Toll::Wait(Duration::from_micros(1)));
        assert_eq!(toll(800_000, &LIMITS), Toll::Wait(Duration::from_micros(1_001)));
        assert_eq!(toll(899_999, &LIMITS), Toll::Wait(Duration::from_micros(2_000)));
        assert_eq!(toll(900_000, &LIMITS), Toll::Stop);
        // Limits that make no sense stop nobody for ever, and divide by nothing.
        let upside_down = RecoveryTime { throttle_us: 900_000, stall_us: 900_000, ..LIMITS };
        assert_eq!(toll(899_999, &upside_down), Toll::Nothing);
    }

    #[test]
    fn what_churn_may_hold_grows_with_the_store() {
        let churn = Churn { percent: 5, bytes_min: 32 << 20 };
        assert_eq!(settling_max(0, &churn), 8_192);
        assert_eq!(settling_max(1 << 20, &churn), 52_428);
        assert_eq!(settling_max(0, &Churn { percent: 0, bytes_min: 0 }), 1);
    }

    #[test]
    fn a_checkpoint_takes_the_operations_before_it_and_no_others() {
        let pace = Pace::default();
        pace.count_ops(10);
        pace.begin_checkpoint();
        pace.count_ops(3);
        assert_eq!(pace.ops(), 13, "a replay would begin before it");
        // It fails, and the next one succeeds.
        pace.begin_checkpoint();
        pace.count_ops(2);
        pace.finish_checkpoint(1_000, 50_000);
        assert_eq!(pace.ops(), 2);
        assert_eq!((pace.rest_us(50_000), pace.rest_us(54_000)), (4_000, 0));
    }

    #[test]
    fn costs_are_believed_after_some_measurements_and_within_bounds() {
        let pace = Pace::default();
        pace.note_applied(1, 7);
        assert_eq!(pace.op_ns(), OP_NS);
        (0..100).for_each(|_| pace.note_applied(1, 2));
        assert!((1_900..2_200).contains(&pace.op_ns()), "{}", pace.op_ns());
        (0..100).for_each(|_| pace.note_applied(1_000, 0));
        assert_eq!(pace.op_ns(), *OP_NS_RANGE.start());
        pace.note_applied(1_000_000, u64::MAX);
        assert!(pace.op_ns() <= *OP_NS_RANGE.end());
    }
}
