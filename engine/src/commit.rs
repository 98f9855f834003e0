//! From a finished transaction to an acknowledged one: append, sync, publish, in this order.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use llmdb_base::{
    Lsn, Timestamp, TxnId,
    plant::{Bug, planted},
    sync::{Condvar, Mutex, lock},
};
use llmdb_pager::RootRecord;

use crate::{Background, Durability, Result, engine::Shared};

/// A committed transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Commit {
    /// Its id: the order of commits.
    pub txid: TxnId,
    /// When it was committed: microseconds UTC, strictly increasing from commit to commit.
    pub timestamp: Timestamp,
    /// Where its record ends in the log: durable once the log is durable up to here.
    pub lsn: Lsn,
}

impl Commit {
    pub(crate) fn of(root: &RootRecord) -> Self {
        Self { txid: root.txid, timestamp: root.timestamp, lsn: root.lsn }
    }
}

/// A commit that may not be durable yet.
#[derive(Clone, Debug)]
pub struct Ticket {
    shared: Arc<Shared>,
    commit: Commit,
}

impl Ticket {
    pub(crate) fn new(shared: &Arc<Shared>, commit: Commit) -> Self {
        Self { shared: Arc::clone(shared), commit }
    }

    /// The commit.
    pub fn commit(&self) -> Commit {
        self.commit
    }

    /// Whether the commit survives a crash from here on. Cost: one atomic load.
    pub fn is_durable(&self) -> bool {
        self.shared.log.as_ref().is_none_or(|log| log.durable() >= self.commit.lsn)
    }

    /// Waits until the commit is durable.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::Poisoned`]: it may or may not be there after the next opening.
    pub fn wait(&self) -> Result<Commit> {
        self.shared.sync_to(self.commit.lsn)?;
        Ok(self.commit)
    }
}

/// Committed roots that readers do not see yet, in commit order.
///
/// A root may be published once it, and every root before it, is durable or was committed without asking for
/// durability.
#[derive(Debug, Default)]
pub(crate) struct Unpublished {
    queue: Mutex<VecDeque<Pending>>,
    /// Signalled when roots were published, for commits that wait for others to share their sync.
    published: Condvar,
}

#[derive(Debug)]
struct Pending {
    root: RootRecord,
    wait_for_sync: bool,
}

impl Unpublished {
    /// Adds the newest root. The caller is the one writer.
    pub(crate) fn push(&self, root: &RootRecord, durability: Durability) {
        let wait_for_sync = durability != Durability::Off;
        lock(&self.queue).push_back(Pending { root: *root, wait_for_sync });
    }

    /// Waits about `timeout` at most for something that comes true when commits are published or made durable.
    pub(crate) fn wait_until(&self, mut timeout: Duration, is_true: &dyn Fn() -> bool) -> bool {
        // What becomes durable without being published anew tells nobody: so it is looked for now and then.
        const LOOK_AFTER: Duration = Duration::from_millis(50);
        while !timeout.is_zero() {
            let queue = lock(&self.queue);
            if is_true() {
                return true;
            }
            let wait = timeout.min(LOOK_AFTER);
            // Whether it was the time-out or the signal that ended the wait: it is looked at again.
            drop(self.published.wait_timeout(queue, wait));
            timeout -= wait;
        }
        is_true()
    }
}

impl Shared {
    /// Gives a commit the durability it asked for.
    pub(crate) fn settle(&self, commit: &Commit, durability: Durability) -> Result<()> {
        let settled = match durability {
            Durability::Sync => self.sync_to(commit.lsn),
            Durability::Group { interval_us } => {
                self.wait_for_company(commit.lsn, interval_us);
                self.sync_to(commit.lsn)
            }
            Durability::Async => {
                self.workers.request_sync();
                Ok(())
            }
            Durability::Off => {
                self.publish_ready();
                Ok(())
            }
        };
        if settled.is_err() {
            // Other processes go on without this one.
            self.hand_over_by_hand();
            return settled;
        }
        self.checkpoint_if_due();
        self.look_at_readers(commit.timestamp);
        self.shorten_when_calm();
        self.hand_over_by_hand();
        Ok(())
    }

    /// Returns once everything up to `lsn` is durable and visible.
    pub(crate) fn sync_to(&self, lsn: Lsn) -> Result<()> {
        let is_ours = |log: &&llmdb_wal::Log| log.durable() < lsn && !self.is_away();
        if let Some(log) = self.log.as_ref().filter(is_ours).filter(|_| !planted(Bug::AckBeforeSync)) {
            log.sync_to(lsn)?;
        }
        if self.is_away() && self.durable_lsn() < lsn {
            // What was handed over in order was durable. What was abandoned may be gone.
            self.check_poison()?;
        }
        self.publish_ready();
        Ok(())
    }

    /// Shows readers what may be shown.
    pub(crate) fn publish_ready(&self) {
        self.tell_durable();
        let durable = self.durable_lsn();
        let mut queue = lock(&self.unpublished.queue);
        let mut newest = None;
        while let Some(pending) = queue.front() {
            if pending.wait_for_sync && pending.root.lsn > durable {
                break;
            }
            newest = queue.pop_front();
        }
        // Published under the lock: two threads must not publish in the wrong order.
        if let Some(pending) = newest {
            self.pager.publish(&pending.root);
            self.unpublished.published.notify_all();
        }
    }

    /// Forgets roots that nobody saw: their commits failed, and other processes go on without them.
    pub(crate) fn forget_unpublished(&self) {
        lock(&self.unpublished.queue).clear();
    }

    /// Position up to which the log is durable; everything, for a store without a log.
    pub(crate) fn durable_lsn(&self) -> Lsn {
        self.log.as_ref().map_or(Lsn::new(u64::MAX), llmdb_wal::Log::durable)
    }

    /// Waits at most `interval_us` for somebody else's sync to cover `lsn`.
    fn wait_for_company(&self, lsn: Lsn, interval_us: u64) {
        if self.options.background == Background::Manual {
            return;
        }
        let queue = lock(&self.unpublished.queue);
        let timeout = Duration::from_micros(interval_us);
        let waiting = |_: &mut VecDeque<Pending>| self.durable_lsn() < lsn;
        // Whether it was the time-out or the sync that ended the wait: the caller looks for itself.
        drop(self.unpublished.published.wait_timeout_while(queue, timeout, waiting));
    }

    /// A commit timestamp: the clock's, unless it stands still or goes back.
    pub(crate) fn next_timestamp(&self, last: Timestamp) -> Timestamp {
        Timestamp::new(self.vfs.now().get().max(last.get().saturating_add(1)))
    }

    /// Whether the store still takes commits.
    pub(crate) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }
}
