//! The reuse rule against a disk that writes back what it likes, when it likes.
//!
//! A store of a few slots, each in a page of its own; checkpoints in steps, readers, and crashes after which any
//! version of a page that was not synced may be the one on the disk, or none. Wrong variants of the rule must be
//! caught by the same histories, or else the right one has not been tested.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use crate::common::Rng;
use llmdb_base::Epoch;
use llmdb_pager::retention::{Verdict, verdict};

const SLOTS: usize = 6;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Variant {
    AsBuilt,
    /// The older durable root is not retained.
    NewestOnly,
    /// The root of a checkpoint under way is not retained.
    IgnoreStarted,
    /// The roots of readers are not retained.
    IgnoreReaders,
    /// Pages are reusable before their freeing is published.
    IgnorePublished,
    /// The log is cut at the newest checkpoint instead of the older one.
    CutLogAtNewest,
}

/// What a page holds: slot, value and birth. `None` on the disk: torn, or never written.
type Content = (usize, u64, u64);

/// A committed state: per slot, page and birth.
#[derive(Clone, Debug)]
struct Root {
    epoch: u64,
    slots: [(usize, u64); SLOTS],
    log_len: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Started,
    Synced,
    WritingMeta,
}

struct Store {
    rng: Rng,
    variant: Variant,
    /// What readers of this process see.
    memory: BTreeMap<usize, Content>,
    /// Written since the last checkpoint, and not yet handed to the disk.
    dirty: BTreeMap<usize, Content>,
    disk: BTreeMap<usize, Content>,
    /// Handed to the disk and not synced.
    unsynced: BTreeMap<usize, Vec<Content>>,
    epoch: u64,
    tip: Root,
    published: Root,
    unpublished: Vec<Root>,
    readers: Vec<Root>,
    /// Newest first.
    durable: [Root; 2],
    checkpoint: Option<(Step, Root)>,
    free: Vec<usize>,
    freed: Vec<(usize, u64, u64)>,
    page_count: usize,
    reused: u64,
    /// Changes by slot, all durable.
    log: Vec<Vec<(usize, u64)>>,
    log_cut: usize,
    values: [u64; SLOTS],
}

impl Store {
    fn new(seed: u64, variant: Variant) -> Self {
        let slots = std::array::from_fn(|slot| (slot, 1));
        let content: BTreeMap<_, _> = (0..SLOTS).map(|slot| (slot, (slot, 0, 1))).collect();
        let root = Root { epoch: 1, slots, log_len: 0 };
        Self {
            rng: Rng::new(seed),
            variant,
            memory: content.clone(),
            dirty: BTreeMap::new(),
            disk: content,
            unsynced: BTreeMap::new(),
            epoch: 1,
            tip: root.clone(),
            published: root.clone(),
            unpublished: Vec::new(),
            readers: Vec::new(),
            durable: [root.clone(), root],
            checkpoint: None,
            free: Vec::new(),
            freed: Vec::new(),
            page_count: SLOTS,
            reused: 0,
            log: Vec::new(),
            log_cut: 0,
            values: [0; SLOTS],
        }
    }

    fn retained(&self) -> Vec<Epoch> {
        let mut roots = vec![self.published.epoch, self.durable[0].epoch];
        if self.variant != Variant::NewestOnly {
            roots.push(self.durable[1].epoch);
        }
        if self.variant != Variant::IgnoreStarted {
            roots.extend(self.checkpoint.iter().map(|(_, root)| root.epoch));
        }
        if self.variant != Variant::IgnoreReaders {
            roots.extend(self.readers.iter().map(|root| root.epoch));
        }
        roots.sort_unstable();
        roots.into_iter().map(Epoch::new).collect()
    }

    fn reclaim(&mut self) {
        let retained = self.retained();
        let published =
            if self.variant == Variant::IgnorePublished { u64::MAX } else { self.published.epoch };
        let free = &mut self.free;
        self.freed.retain(|(page, born, freed)| {
            let (born, freed) = (Epoch::new(*born), Epoch::new(*freed));
            let reusable = verdict(born, freed, Epoch::new(published), &retained) == Verdict::Reusable;
            if reusable {
                free.push(*page);
            }
            !reusable
        });
    }

    fn commit(&mut self, changes: &[(usize, u64)]) {
        self.reclaim();
        self.epoch += 1;
        for (slot, value) in changes {
            let page = self.free.pop().inspect(|_| self.reused += 1).unwrap_or_else(|| {
                self.page_count += 1;
                self.page_count - 1
            });
            let (old, born) = std::mem::replace(&mut self.tip.slots[*slot], (page, self.epoch));
            self.freed.push((old, born, self.epoch));
            let content = (*slot, *value, self.epoch);
            self.memory.insert(page, content);
            self.dirty.insert(page, content);
            self.values[*slot] = *value;
        }
        self.log.push(changes.to_vec());
        self.tip.epoch = self.epoch;
        self.tip.log_len = self.log.len();
        self.unpublished.push(self.tip.clone());
    }

    fn random_commit(&mut self) {
        let first = self.rng.below(SLOTS as u64);
        let count = 1 + self.rng.below(3);
        let slots = (first..first + count).map(|slot| usize::try_from(slot).unwrap() % SLOTS);
        let changes: Vec<_> = slots.map(|slot| (slot, self.rng.next())).collect();
        self.commit(&changes);
        if self.rng.chance(10) {
            // Under memory pressure pages are written early.
            self.write_dirty();
        }
    }

    fn publish(&mut self) {
        if !self.unpublished.is_empty() {
            let count = 1 + self.rng.below(self.unpublished.len() as u64);
            self.published = self.unpublished.drain(..usize::try_from(count).unwrap()).next_back().unwrap();
        }
    }

    fn write_dirty(&mut self) {
        for (page, content) in std::mem::take(&mut self.dirty) {
            self.unsynced.entry(page).or_default().push(content);
        }
    }

    fn checkpoint(&mut self) {
        match self.checkpoint.take() {
            None => {
                self.epoch += 1;
                self.tip.epoch = self.epoch;
                self.write_dirty();
                self.checkpoint = Some((Step::Started, self.tip.clone()));
            }
            Some((Step::Started, root)) => {
                for (page, versions) in std::mem::take(&mut self.unsynced) {
                    self.disk.insert(page, *versions.last().unwrap());
                }
                self.checkpoint = Some((Step::Synced, root));
            }
            Some((Step::Synced, root)) => self.checkpoint = Some((Step::WritingMeta, root)),
            Some((Step::WritingMeta, root)) => {
                let [newest, _] = self.durable.clone();
                self.durable = [root, newest];
                let cut_at = if self.variant == Variant::CutLogAtNewest { 0 } else { 1 };
                self.log_cut = self.durable[cut_at].log_len;
            }
        }
    }

    fn check_readers(&self) -> Result<(), String> {
        for root in self.readers.iter().chain([&self.published]) {
            for (slot, (page, born)) in root.slots.iter().enumerate() {
                let (found_slot, _, found_born) = self.memory[page];
                if (found_slot, found_born) != (slot, *born) {
                    return Err("a reader sees a page that was used again".into());
                }
            }
        }
        Ok(())
    }

    fn crash(&mut self) -> Result<(), String> {
        for (page, versions) in std::mem::take(&mut self.unsynced) {
            let choice = usize::try_from(self.rng.below(versions.len() as u64 + 2)).unwrap();
            match versions.get(choice) {
                Some(version) => drop(self.disk.insert(page, *version)),
                None if choice == versions.len() => drop(self.disk.remove(&page)),
                None => {}
            }
        }
        let mut candidates = self.durable.to_vec();
        match self.checkpoint.take() {
            Some((Step::WritingMeta, root)) => {
                candidates.truncate(1);
                if self.rng.chance(50) {
                    candidates.insert(0, root);
                }
            }
            // The newest meta page rots.
            _ if self.rng.chance(30) => drop(candidates.remove(0)),
            _ => {}
        }
        self.recover(&candidates)
    }

    fn recover(&mut self, candidates: &[Root]) -> Result<(), String> {
        let root = candidates[0].clone();
        let older = candidates.get(1).unwrap_or(&root).clone();
        if root.log_len < self.log_cut {
            return Err("a part of the log is gone that recovery needs".into());
        }
        let mut values = [0; SLOTS];
        for (slot, (page, born)) in root.slots.iter().enumerate() {
            match self.disk.get(page) {
                Some((found_slot, value, found_born)) if (found_slot, found_born) == (&slot, born) => {
                    values[slot] = *value
                }
                _ => return Err("a page of the recovered root was overwritten".into()),
            }
        }
        let tail = self.log.split_off(root.log_len);
        tail.iter().flatten().for_each(|(slot, value)| values[*slot] = *value);
        if values != self.values {
            return Err("lost or wrong data".into());
        }
        self.memory = self.disk.clone();
        self.dirty.clear();
        self.epoch += 1000;
        (self.readers, self.unpublished) = (Vec::new(), Vec::new());
        let uses = |root: &Root, page: usize| root.slots.iter().any(|(used, _)| *used == page);
        self.free = (0..self.page_count).filter(|page| !uses(&root, *page) && !uses(&older, *page)).collect();
        self.freed = (0..self.page_count)
            .filter(|page| uses(&older, *page) && !uses(&root, *page))
            .map(|page| (page, 0, root.epoch))
            .collect();
        (self.tip, self.published) = (root.clone(), root.clone());
        self.durable = [root, older];
        self.log_cut = self.durable[1].log_len.min(self.log_cut);
        tail.iter().for_each(|changes| self.commit(changes));
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        match self.rng.below(100) {
            0..45 => self.random_commit(),
            45..58 => self.publish(),
            58..65 => {
                self.readers.push(if self.rng.chance(30) { &self.tip } else { &self.published }.clone())
            }
            65..73 => {
                if !self.readers.is_empty() {
                    let index = usize::try_from(self.rng.below(self.readers.len() as u64)).unwrap();
                    self.readers.swap_remove(index);
                }
            }
            73..96 => self.checkpoint(),
            _ => self.crash()?,
        }
        self.check_readers()
    }
}

/// How many of `runs` histories go wrong, and how many pages were used again.
fn violations(variant: Variant, runs: u64, steps: u64) -> (u64, u64) {
    let (mut wrong, mut reused) = (0, 0);
    for seed in 0..runs {
        let mut store = Store::new(seed, variant);
        let result = (0..steps).try_for_each(|_| store.step());
        if variant == Variant::AsBuilt {
            assert_eq!(result, Ok(()), "seed {seed}");
        }
        wrong += u64::from(result.is_err());
        reused += store.reused;
    }
    (wrong, reused)
}

#[test]
fn the_rule_survives_every_history() {
    let (wrong, reused) = violations(Variant::AsBuilt, 2000, 400);
    assert_eq!(wrong, 0);
    assert!(reused > 100_000, "only {reused} pages were used again: this proves little");
}

#[test]
fn wrong_rules_are_caught() {
    for variant in [
        Variant::NewestOnly,
        Variant::IgnoreStarted,
        Variant::IgnoreReaders,
        Variant::IgnorePublished,
        Variant::CutLogAtNewest,
    ] {
        let (wrong, _) = violations(variant, 200, 200);
        assert!(wrong > 20, "{variant:?} went wrong in {wrong} of 200 histories only");
    }
}
