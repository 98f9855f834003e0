//! Seeded workloads: what a store is made to do.
//!
//! Each seed first draws a profile: how many trees and keys, how long, which changes, how often a sync. Extreme
//! profiles find what an average one never does.

use std::sync::Arc;

use llmdb_vfs::crash::Chooser;

use crate::{Change, Durability, End, Transaction};

/// What a workload asks for next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Run a transaction.
    Transact(Transaction),
    /// Make everything durable.
    Sync,
    /// Take a checkpoint.
    Checkpoint,
    /// Take a snapshot and keep it.
    HoldSnapshot,
    /// Drop the oldest snapshot kept.
    DropSnapshot,
    /// Look at all snapshots kept, and at the newest state.
    Look,
    /// Close in order, and open again.
    Reopen,
    /// End the process, and open again; the page cache survives.
    Kill,
    /// Cut the power, and open again.
    PowerCut,
}

/// The manner of a workload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    /// How many trees.
    pub tree_count: usize,
    /// How many different keys in a tree.
    pub key_count: u64,
    /// How long keys are, at the longest, in bytes.
    pub key_len_max: usize,
    /// How long most values are, at the longest, in bytes.
    pub value_len_max: usize,
    /// How long the rare long values are, at the longest, in bytes.
    pub long_len_max: usize,
    /// How many of 100 values are long.
    pub long_percent: u64,
    /// How many changes a transaction makes, at most.
    pub change_count_max: u64,
    /// Whether keys are written in ascending order, not at random.
    pub is_ascending: bool,
    /// How many of 100 changes are deletions of any kind.
    pub delete_percent: u64,
    /// How many of 100 transactions have savepoints.
    pub savepoint_percent: u64,
    /// How many of 100 transactions are aborted.
    pub abort_percent: u64,
    /// How many of 100 commits are durable at once.
    pub immediate_percent: u64,
    /// How many of 100 steps are a sync.
    pub sync_percent: u64,
    /// How many of 100 steps are a checkpoint.
    pub checkpoint_percent: u64,
    /// How many of 100 steps are about snapshots.
    pub snapshot_percent: u64,
    /// How many of 1000 steps end the process in one of three ways.
    pub restart_permille: u64,
}

const TREES: [&str; 5] = ["a", "accounts", "index/by name", "Zwölf Bäume", "log"];

/// Name of the tree that a driver writes to when it wants to know whether a store still takes anything.
pub(crate) const PROBE_TREE: &str = "after";

/// The tree of this name, if a workload can have one.
pub(crate) fn known_tree(name: &str) -> Option<&'static str> {
    TREES.iter().chain([&PROBE_TREE]).find(|known| **known == name).copied()
}

impl Profile {
    /// A profile drawn by chance.
    pub fn draw(chooser: &mut Chooser) -> Self {
        Self {
            tree_count: *chooser.pick(&[1, 2, 3, 5]),
            key_count: *chooser.pick(&[3, 12, 60, 400, 3000]),
            key_len_max: *chooser.pick(&[4, 12, 40, 300]),
            value_len_max: *chooser.pick(&[0, 10, 60, 300, 1200]),
            long_len_max: *chooser.pick(&[2_000, 9_000, 30_000]),
            long_percent: *chooser.pick(&[0, 0, 2, 15]),
            change_count_max: *chooser.pick(&[1, 2, 8, 40]),
            is_ascending: chooser.percent(20),
            delete_percent: *chooser.pick(&[0, 10, 30, 50]),
            savepoint_percent: *chooser.pick(&[0, 10, 40]),
            abort_percent: *chooser.pick(&[0, 5, 25]),
            immediate_percent: *chooser.pick(&[0, 20, 60, 100]),
            sync_percent: *chooser.pick(&[0, 5, 15]),
            checkpoint_percent: *chooser.pick(&[0, 3, 10, 30]),
            snapshot_percent: *chooser.pick(&[0, 5, 15]),
            restart_permille: *chooser.pick(&[0, 10, 60]),
        }
    }
}

/// An endless sequence of steps.
#[derive(Clone, Debug)]
pub struct Workload {
    profile: Profile,
    chooser: Chooser,
    next_key: u64,
}

impl Workload {
    /// A workload in a manner drawn by `chooser`.
    pub fn new(mut chooser: Chooser) -> Self {
        let profile = Profile::draw(&mut chooser);
        Self::with_profile(profile, chooser)
    }

    /// A workload in a given manner.
    pub fn with_profile(profile: Profile, chooser: Chooser) -> Self {
        Self { profile, chooser, next_key: 0 }
    }

    /// The step after the last one.
    pub fn next_step(&mut self) -> Step {
        let profile = &self.profile;
        if self.chooser.below(1000) < profile.restart_permille {
            return self.chooser.pick(&[Step::Reopen, Step::Kill, Step::PowerCut]).clone();
        }
        if self.chooser.percent(profile.checkpoint_percent) {
            return Step::Checkpoint;
        }
        if self.chooser.percent(profile.sync_percent) {
            return Step::Sync;
        }
        if self.chooser.percent(profile.snapshot_percent) {
            let steps = [Step::HoldSnapshot, Step::HoldSnapshot, Step::DropSnapshot, Step::Look];
            return self.chooser.pick(&steps).clone();
        }
        Step::Transact(self.transaction())
    }

    /// The next transaction.
    pub fn transaction(&mut self) -> Transaction {
        let count = self.chooser.between(1, self.profile.change_count_max);
        let with_savepoints = self.chooser.percent(self.profile.savepoint_percent);
        let mut savepoint_count = 0;
        let mut changes = Vec::new();
        for _ in 0..count {
            if with_savepoints && self.chooser.percent(25) {
                changes.push(Change::Savepoint);
                savepoint_count += 1;
            } else if savepoint_count > 0 && self.chooser.percent(25) {
                let index = self.chooser.index(savepoint_count);
                changes.push(Change::RollbackTo { index });
                savepoint_count = index + 1;
            }
            changes.push(self.change());
        }
        Transaction { changes, end: self.end() }
    }

    fn end(&mut self) -> End {
        if self.chooser.percent(self.profile.abort_percent) {
            return End::Abort;
        }
        let immediate = self.chooser.percent(self.profile.immediate_percent);
        End::Commit(if immediate { Durability::Immediate } else { Durability::Deferred })
    }

    fn change(&mut self) -> Change {
        let tree = TREES[self.chooser.index(self.profile.tree_count)];
        if !self.chooser.percent(self.profile.delete_percent) {
            return Change::Put { tree, key: self.key(), value: self.value() };
        }
        match self.chooser.below(20) {
            0 => Change::DropTree { tree },
            1..5 => {
                let number = self.chooser.below(self.profile.key_count);
                let width = self.chooser.between(1, self.profile.key_count);
                Change::DeleteRange { tree, from: self.key_of(number), to: self.key_of(number + width) }
            }
            _ => Change::Delete { tree, key: self.key() },
        }
    }

    fn key(&mut self) -> Vec<u8> {
        if self.profile.is_ascending && self.chooser.percent(80) {
            self.next_key += 1;
            return self.key_of(self.next_key);
        }
        let number = self.chooser.below(self.profile.key_count);
        self.key_of(number)
    }

    /// Keys ascend with their numbers; each number has one key, of its own length.
    fn key_of(&self, number: u64) -> Vec<u8> {
        let len = Chooser::new(number).index(self.profile.key_len_max.saturating_sub(3));
        let mut key = number.to_be_bytes()[4..].to_vec();
        key.extend((0..len).map(|at| b'a' + (at % 7).to_le_bytes()[0]));
        key
    }

    fn value(&mut self) -> Arc<[u8]> {
        let is_long = self.chooser.percent(self.profile.long_percent);
        let len_max = if is_long { self.profile.long_len_max } else { self.profile.value_len_max };
        let len = self.chooser.index(len_max + 1);
        let mut seed = self.chooser.fork();
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&seed.next_u64().to_le_bytes());
        }
        bytes.truncate(len);
        bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_makes_one_workload() {
        let steps = |seed| -> Vec<Step> {
            let mut workload = Workload::new(Chooser::new(seed));
            (0..50).map(|_| workload.next_step()).collect()
        };
        assert_eq!(steps(4), steps(4));
        assert_ne!(steps(4), steps(5));
    }

    #[test]
    fn keys_ascend_with_their_numbers() {
        let workload = Workload::new(Chooser::new(3));
        assert!((0..500).all(|number| workload.key_of(number) < workload.key_of(number + 1)));
    }

    #[test]
    fn seeds_reach_every_kind_of_step_and_change() {
        let name = |text: String| text.split(' ').next().unwrap_or_default().to_owned();
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..60 {
            let mut workload = Workload::new(Chooser::new(seed));
            for _ in 0..100 {
                let step = workload.next_step();
                if let Step::Transact(transaction) = &step {
                    kinds.extend(transaction.changes.iter().map(|change| name(format!("{change:?}"))));
                    kinds.insert(format!("{:?}", transaction.end));
                }
                kinds.insert(name(format!("{step:?}").replace('(', " ")));
            }
        }
        assert_eq!(kinds.len(), 6 + 3 + 9, "{kinds:?}");
    }
}
