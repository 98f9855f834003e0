//! Group commit: who writes for whom, and who is woken when.
//!
//! Committers that need an LSN durable meet here. The first one leads: it writes everything appended so far,
//! for all. Those that come meanwhile wait. When the leader's write is on the media it appoints one waiter
//! whose LSN is not yet durable as the next leader and wakes that one first, so that the next write is under
//! way while the others, each woken by its own parker, come back to life.
//!
//! Invariants:
//! 1. `leading` says that exactly one thread holds a [`Leadership`], or has been appointed and not woken yet.
//! 2. Whoever waits has an LSN above `durable`, and somebody leads.
//! 3. `durable` only grows, and only leaders and those who reaped a completed write raise it.
//! 4. Once `failure` is set nobody waits and nobody is told that anything is durable.
//!
//! Knows LSNs and threads only, so that loom can run every schedule of it.

use std::collections::VecDeque;

use llmdb_base::{
    Lsn,
    plant::{Bug, planted},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
        lock,
        thread::{self, Thread},
    },
};

/// Why nothing can become durable any more.
pub(crate) type Failure = std::sync::Arc<str>;

#[derive(Debug)]
pub(crate) struct CommitQueue {
    /// Written under the lock, read without it.
    durable: AtomicU64,
    /// Whether there is a failure, to be seen without the lock.
    failed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    leading: bool,
    failure: Option<Failure>,
    waiters: VecDeque<Arc<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    lsn: Lsn,
    thread: Thread,
    verdict: AtomicU8,
}

/// Verdicts over a waiter. It stays parked while there is none.
const NONE: u8 = 0;
const DURABLE: u8 = 1;
const LEAD: u8 = 2;
const FAILED: u8 = 3;

/// What a committer that joined the queue has to do.
#[derive(Debug)]
pub(crate) enum Turn<'queue> {
    /// Nothing: its LSN is durable.
    Durable,
    /// To write everything appended so far, then step down.
    Lead(Leadership<'queue>),
    /// To give up.
    Failed(Failure),
}

impl CommitQueue {
    /// A queue where everything before `durable` is on the media already.
    pub(crate) fn new(durable: Lsn) -> Self {
        let state = State { leading: false, failure: None, waiters: VecDeque::new() };
        Self {
            durable: AtomicU64::new(durable.get()),
            failed: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    pub(crate) fn durable(&self) -> Lsn {
        Lsn::new(self.durable.load(Ordering::Acquire))
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        if self.failed.load(Ordering::Acquire) { lock(&self.state).failure.clone() } else { None }
    }

    /// Waits until `lsn` is durable, or until it is the caller's turn to make it so.
    pub(crate) fn join(&self, lsn: Lsn) -> Turn<'_> {
        let mut state = lock(&self.state);
        if let Some(failure) = &state.failure {
            return Turn::Failed(failure.clone());
        }
        if self.durable() >= lsn {
            return Turn::Durable;
        }
        if !state.leading {
            state.leading = true;
            return Turn::Lead(Leadership { queue: self, active: true });
        }
        let waiter = Arc::new(Waiter { lsn, thread: thread::current(), verdict: AtomicU8::new(NONE) });
        state.waiters.push_back(Arc::clone(&waiter));
        drop(state);
        self.wait(&waiter)
    }

    fn wait(&self, waiter: &Waiter) -> Turn<'_> {
        loop {
            // Acquire: what the thread that decided did before must be seen by the one that goes on.
            match waiter.verdict.load(Ordering::Acquire) {
                NONE => thread::park(),
                DURABLE => return Turn::Durable,
                LEAD => return Turn::Lead(Leadership { queue: self, active: true }),
                _ => return Turn::Failed(self.failure().expect("verdicts of failure follow a failure")),
            }
        }
    }

    /// Records that everything before `durable` is on the media, and wakes those who waited for it. For those
    /// who reaped a completed write without leading, and for leaders in the middle of their work.
    pub(crate) fn advance(&self, durable: Lsn) {
        if durable <= self.durable() {
            return;
        }
        let mut state = lock(&self.state);
        let woken = self.raise(&mut state, durable);
        drop(state);
        wake(&woken);
    }

    /// Ends the life of the queue: everybody who waits, or comes later, learns why. The first reason stays.
    pub(crate) fn fail(&self, failure: Failure) {
        let mut state = lock(&self.state);
        state.failure.get_or_insert(failure);
        self.failed.store(true, Ordering::Release);
        let waiters: Vec<_> = state.waiters.drain(..).collect();
        for waiter in &waiters {
            waiter.verdict.store(FAILED, Ordering::Release);
        }
        drop(state);
        wake(&waiters);
    }

    /// Raises `durable` and takes those who are served out of the queue, verdict given. They are to be woken
    /// when the lock has been released.
    fn raise(&self, state: &mut MutexGuard<'_, State>, durable: Lsn) -> Vec<Arc<Waiter>> {
        if state.failure.is_some() || durable <= self.durable() {
            return Vec::new();
        }
        self.durable.store(durable.get(), Ordering::Release);
        let mut served = Vec::new();
        state.waiters.retain(|waiter| {
            let is_served = waiter.lsn <= durable;
            if is_served {
                waiter.verdict.store(DURABLE, Ordering::Release);
                served.push(Arc::clone(waiter));
            }
            !is_served
        });
        served
    }
}

fn wake(waiters: &[Arc<Waiter>]) {
    for waiter in waiters {
        waiter.thread.unpark();
    }
}

/// The right, and the duty, to write for everybody. Given up by [`Leadership::step_down`]; lost without that
/// (by a panic) it fails the queue, since nobody would lead any more.
#[derive(Debug)]
#[must_use]
pub(crate) struct Leadership<'queue> {
    queue: &'queue CommitQueue,
    active: bool,
}

impl Leadership<'_> {
    /// Records that everything before `durable` is on the media, appoints and wakes the next leader if
    /// anybody waits for more, then wakes those who are served.
    pub(crate) fn step_down(mut self, durable: Lsn) {
        self.active = false;
        let mut state = lock(&self.queue.state);
        let served = self.queue.raise(&mut state, durable);
        let next = state.waiters.pop_front();
        match &next {
            Some(next) => next.verdict.store(LEAD, Ordering::Release),
            None => state.leading = false,
        }
        drop(state);
        if let Some(next) = next
            && !planted(Bug::LostWakeup)
        {
            next.thread.unpark();
        }
        wake(&served);
    }
}

impl Drop for Leadership<'_> {
    fn drop(&mut self) {
        if self.active {
            self.queue.fail("the thread that wrote the log for others ended in the middle".into());
        }
    }
}

#[cfg(all(test, loom))]
mod loom_model;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn lead(queue: &CommitQueue, lsn: u64) -> Leadership<'_> {
        match queue.join(Lsn::new(lsn)) {
            Turn::Lead(leadership) => leadership,
            turn => unreachable!("nobody else is there: {turn:?}"),
        }
    }

    #[test]
    fn the_first_leads_and_nobody_waits_for_what_is_durable() {
        let queue = CommitQueue::new(Lsn::new(10));
        assert!(matches!(queue.join(Lsn::new(10)), Turn::Durable));
        lead(&queue, 11).step_down(Lsn::new(20));
        assert!(matches!(queue.join(Lsn::new(20)), Turn::Durable));
        lead(&queue, 21).step_down(Lsn::new(15));
        assert_eq!(queue.durable(), Lsn::new(20), "it only grows");
    }

    #[test]
    fn waiters_are_served_or_appointed() {
        let queue = CommitQueue::new(Lsn::new(0));
        let leadership = lead(&queue, 1);
        std::thread::scope(|scope| {
            let waiters = [1, 2, 3, 4].map(|lsn| {
                let queue = &queue;
                scope.spawn(move || match queue.join(Lsn::new(lsn)) {
                    Turn::Durable => false,
                    Turn::Lead(leadership) => {
                        leadership.step_down(Lsn::new(4));
                        true
                    }
                    Turn::Failed(reason) => panic!("{reason}"),
                })
            });
            while lock(&queue.state).waiters.len() < 4 {
                std::thread::yield_now();
            }
            leadership.step_down(Lsn::new(2));
            let led = waiters.map(|waiter| waiter.join().unwrap());
            assert_eq!(led[..2], [false, false]);
            assert_eq!(led[2..].iter().filter(|led| **led).count(), 1);
        });
        assert!(matches!(queue.join(Lsn::new(4)), Turn::Durable));
    }

    #[test]
    fn a_leader_that_disappears_fails_everybody() {
        let queue = CommitQueue::new(Lsn::new(0));
        let leadership = lead(&queue, 1);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| matches!(queue.join(Lsn::new(2)), Turn::Failed(_)));
            while lock(&queue.state).waiters.is_empty() {
                std::thread::yield_now();
            }
            drop(leadership);
            assert!(waiter.join().unwrap());
        });
        assert!(matches!(queue.join(Lsn::new(0)), Turn::Failed(_)));
        queue.fail("a later reason".into());
        assert!(queue.failure().unwrap().contains("ended in the middle"));
        queue.advance(Lsn::new(5));
        assert_eq!(queue.durable(), Lsn::new(0));
    }
}
