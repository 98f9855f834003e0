//! An open store, driven step by step beside the oracle.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
};

use llmdb_vfs::crash::CrashVfs;

use crate::{Digest, Durability, End, Failure, Footprint, Oracle, Step, Store, Subject, Transaction};

use super::{Finding, lock, unplanned};

/// An open store and the snapshots that are kept of it.
pub(super) struct Session<S: Subject> {
    store: S::Store,
    snapshots: VecDeque<(<S::Store as Store>::Snapshot, Digest)>,
}

/// Why a step did not come to its end.
pub(super) enum Stop {
    /// An invariant does not hold.
    Broken(Finding),
    /// The store reported a failure. The oracle stands as the failure demands.
    Failed(Failure),
}

impl Stop {
    /// On a sound disk every failure is one too many.
    pub(super) fn into_finding(self) -> Finding {
        match self {
            Self::Broken(finding) => finding,
            Self::Failed(failure) => unplanned(&failure),
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<S: Subject> Session<S> {
    pub(super) fn open(subject: &S, disk: &CrashVfs) -> Result<Self, Failure> {
        let store = subject.open(Arc::new(disk.clone()))?;
        Ok(Self { store, snapshots: VecDeque::new() })
    }

    /// Does a step that does not end the process.
    pub(super) fn step(&mut self, step: &Step, oracle: &Mutex<Oracle>) -> Result<(), Stop> {
        match step {
            Step::Transact(transaction) => return self.transact(transaction, oracle),
            Step::Sync => {
                self.store.sync()?;
                lock(oracle).ack_all();
            }
            Step::Checkpoint => {
                self.store.checkpoint()?;
                lock(oracle).ack_all();
            }
            Step::HoldSnapshot => {
                let snapshot = self.store.snapshot()?;
                let digest = lock(oracle).newest().digest();
                self.snapshots.push_back((snapshot, digest));
            }
            Step::DropSnapshot => drop(self.snapshots.pop_front()),
            Step::Look => return self.look(oracle),
            Step::Reopen | Step::Kill | Step::PowerCut => {}
        }
        Ok(())
    }

    /// Runs a transaction. The oracle learns of a commit before the store does: it may be found from then on.
    pub(super) fn transact(&mut self, transaction: &Transaction, oracle: &Mutex<Oracle>) -> Result<(), Stop> {
        lock(oracle).note_transaction(transaction);
        let End::Commit(durability) = transaction.end else {
            self.store.transact(transaction)?;
            return self.compare_newest(oracle);
        };
        let mut next = lock(oracle).newest().clone();
        next.apply(&transaction.changes);
        lock(oracle).submit(next);
        let result = self.store.transact(transaction);
        if result.is_ok()
            && let Some(footprint) = self.footprint()?
        {
            lock(oracle).note_footprint(&footprint, self.snapshots.len());
        }
        let mut oracle = lock(oracle);
        match result {
            Ok(commit) => {
                oracle.committed(commit.txid).map_err(|what| Stop::Broken(Finding::new("I7", what)))?;
                if durability == Durability::Immediate {
                    oracle.ack_all();
                }
                Ok(())
            }
            Err(failure) => {
                if matches!(failure, Failure::NoSpace(_) | Failure::Refused(_)) {
                    oracle.retract();
                }
                Err(Stop::Failed(failure))
            }
        }
    }

    /// Looks at the newest state and at all snapshots that are kept.
    pub(super) fn look(&mut self, oracle: &Mutex<Oracle>) -> Result<(), Stop> {
        self.compare_newest(oracle)?;
        for (snapshot, expected) in &self.snapshots {
            if read::<S>(&mut self.store, snapshot)? != *expected {
                return Err(Stop::Broken(Finding::new("I8", "a snapshot changed while it was held")));
            }
        }
        Ok(())
    }

    fn compare_newest(&mut self, oracle: &Mutex<Oracle>) -> Result<(), Stop> {
        let expected = lock(oracle).newest().digest();
        let found = self.visible()?;
        if found == expected {
            return Ok(());
        }
        let what = format!("without a crash, {found:?} was found where {expected:?} was expected");
        Err(Stop::Broken(Finding::new("I2", what)))
    }

    /// Digest of the newest committed state, as the store shows it.
    pub(super) fn visible(&mut self) -> Result<Digest, Stop> {
        let snapshot = self.store.snapshot()?;
        read::<S>(&mut self.store, &snapshot)
    }

    /// Has the store check its structure.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        self.store.check()
    }

    /// What the store takes, if it can say.
    pub(super) fn footprint(&mut self) -> Result<Option<Footprint>, Failure> {
        self.store.footprint()
    }

    pub(super) fn close(self) -> Result<(), Failure> {
        drop(self.snapshots);
        self.store.close()
    }
}

/// Reads a snapshot whole; its order is checked on the way.
fn read<S: Subject>(store: &mut S::Store, snapshot: &<S::Store as Store>::Snapshot) -> Result<Digest, Stop> {
    let mut digest = Digest::default();
    let (mut last_tree, mut last_key) = (String::new(), Vec::new());
    let mut disorder = None;
    store.read(snapshot, &mut |tree, key, value| {
        digest.add(tree, key, value);
        let is_first = tree != last_tree;
        if !is_first && *key <= last_key[..] {
            disorder =
                Some(format!("{tree}: {} comes after {}", key.escape_ascii(), last_key.escape_ascii()));
        }
        if is_first {
            tree.clone_into(&mut last_tree);
        }
        key.clone_into(&mut last_key);
    })?;
    disorder.map_or(Ok(digest), |what| Err(Stop::Broken(Finding::new("I3", what))))
}

/// Runs `work`; a panic inside it is a finding.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Finding>) -> Result<T, Finding> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Finding::new("panic", text.unwrap_or_default()))
    })
}
