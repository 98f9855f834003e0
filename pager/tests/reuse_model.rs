//! The reuse rule against an adversary, in a model small enough to be read: a store of six slots, copy-on-write,
//! checkpoints, readers, and a disk that may or may not have any unsynced version of any page.
//!
//! The rule as it is never loses a root that recovery or a reader can ask for. Each wrong variant of it does, which
//! shows that the adversary is worth its name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use llmdb_base::Epoch;
use llmdb_pager::retention::{Verdict, verdict};

const SLOTS: usize = 6;

/// How the rule is broken, if at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Variant {
    Right,
    /// Only the newest checkpoint is retained.
    NewestOnly,
    /// The checkpoint under way is not retained.
    IgnoreStarted,
    IgnoreReaders,
    /// The log is cut at the newest checkpoint.
    CutLogAtNewest,
}

/// A page's bytes: slot, value, birth. `None` is a torn page.
type Page = Option<(usize, u64, u64)>;
type Root = [(usize, u64); SLOTS];

#[derive(Clone, Copy)]
struct Checkpoint {
    epoch: u64,
    root: Root,
    log_at: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Started,
    Synced,
    MetaBeingWritten,
}

struct Model {
    random: u64,
    variant: Variant,
    epoch: u64,
    /// What the process sees.
    memory: Vec<Page>,
    /// What the disk has for sure, and the versions that it may have instead.
    disk: Vec<Page>,
    unsynced: BTreeMap<usize, Vec<Page>>,
    root: Root,
    values: [u64; SLOTS],
    log: Vec<(u64, [Option<u64>; SLOTS])>,
    log_cut: usize,
    free: Vec<usize>,
    /// Born, freed, page.
    freed: Vec<(u64, u64, usize)>,
    readers: Vec<(u64, Root)>,
    newest: Checkpoint,
    older: Checkpoint,
    under_way: Option<(Checkpoint, Stage)>,
    reused: u64,
}

impl Model {
    fn new(seed: u64, variant: Variant) -> Self {
        let first = Checkpoint { epoch: 1, root: [(0, 0); SLOTS], log_at: 0 };
        let mut model = Self {
            random: seed,
            variant,
            epoch: 1,
            memory: Vec::new(),
            disk: Vec::new(),
            unsynced: BTreeMap::new(),
            root: first.root,
            values: [0; SLOTS],
            log: Vec::new(),
            log_cut: 0,
            free: Vec::new(),
            freed: Vec::new(),
            readers: Vec::new(),
            newest: first,
            older: first,
            under_way: None,
            reused: 0,
        };
        for slot in 0..SLOTS {
            model.root[slot] = model.write(slot, 0);
        }
        model.sync();
        model.newest.root = model.root;
        model.older.root = model.root;
        model
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % limit
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap()
    }

    fn write(&mut self, slot: usize, value: u64) -> (usize, u64) {
        self.reclaim();
        let page = self.free.pop().inspect(|_| self.reused += 1).unwrap_or_else(|| {
            self.memory.push(None);
            self.disk.push(None);
            self.memory.len() - 1
        });
        self.memory[page] = Some((slot, value, self.epoch));
        self.unsynced.entry(page).or_default().push(self.memory[page]);
        (page, self.epoch)
    }

    /// The states that must stay whole, as the variant sees it.
    fn retained(&self, published: u64) -> Vec<Epoch> {
        let mut retained = vec![published, self.newest.epoch];
        if self.variant != Variant::NewestOnly {
            retained.push(self.older.epoch);
        }
        if self.variant != Variant::IgnoreStarted {
            retained.extend(self.under_way.map(|(checkpoint, _)| checkpoint.epoch));
        }
        if self.variant != Variant::IgnoreReaders {
            retained.extend(self.readers.iter().map(|(epoch, _)| *epoch));
        }
        retained.sort_unstable();
        retained.into_iter().map(Epoch::new).collect()
    }

    fn reclaim(&mut self) {
        // The transaction under way writes epoch `epoch`; the state before it is the published one.
        let published = self.epoch - 1;
        let retained = self.retained(published);
        let (free, kept): (Vec<_>, Vec<_>) = self.freed.drain(..).partition(|(born, freed, _)| {
            verdict(Epoch::new(*born), Epoch::new(*freed), Epoch::new(published), &retained)
                == Verdict::Reusable
        });
        self.freed = kept;
        self.free.extend(free.into_iter().map(|(_, _, page)| page));
    }

    fn transact(&mut self, changes: [Option<u64>; SLOTS]) {
        self.epoch += 1;
        self.log.push((self.epoch, changes));
        let mut freed = Vec::new();
        for (slot, value) in changes.into_iter().enumerate() {
            let Some(value) = value else { continue };
            let (page, born) = self.root[slot];
            freed.push((born, self.epoch, page));
            self.root[slot] = self.write(slot, value);
            self.values[slot] = value;
        }
        self.freed.extend(freed);
    }

    fn step(&mut self) {
        match self.below(100) {
            0..55 => {
                let mut changes = [None; SLOTS];
                for _ in 0..=self.below(3) {
                    changes[self.index(SLOTS)] = Some(self.below(1_000_000));
                }
                self.transact(changes);
            }
            55..63 => self.readers.push((self.epoch, self.root)),
            63..72 if !self.readers.is_empty() => {
                let index = self.index(self.readers.len());
                self.readers.swap_remove(index);
            }
            63..95 => self.checkpoint(),
            _ => self.crash(),
        }
    }

    fn checkpoint(&mut self) {
        let Some((checkpoint, stage)) = self.under_way.take() else {
            let checkpoint = Checkpoint { epoch: self.epoch, root: self.root, log_at: self.log.len() };
            self.under_way = Some((checkpoint, Stage::Started));
            return;
        };
        match stage {
            Stage::Started => {
                self.sync();
                self.under_way = Some((checkpoint, Stage::Synced));
            }
            Stage::Synced => self.under_way = Some((checkpoint, Stage::MetaBeingWritten)),
            Stage::MetaBeingWritten => {
                self.older = self.newest;
                self.newest = checkpoint;
                let cut = if self.variant == Variant::CutLogAtNewest { self.newest } else { self.older };
                self.log_cut = cut.log_at;
            }
        }
    }

    fn sync(&mut self) {
        for (page, versions) in std::mem::take(&mut self.unsynced) {
            self.disk[page] = *versions.last().unwrap();
        }
    }

    /// Power fails: any version may be on the disk, or none whole. The newest generation may be destroyed.
    fn crash(&mut self) {
        for (page, versions) in std::mem::take(&mut self.unsynced) {
            let count = versions.len();
            match self.index(count + 2) {
                0 => {}
                chosen if chosen <= count => self.disk[page] = versions[chosen - 1],
                _ => self.disk[page] = None,
            }
        }
        let (start, other) = match self.under_way.take() {
            // The older slots are being overwritten: only the newest is sure, and the new one may be there.
            Some((checkpoint, Stage::MetaBeingWritten)) if self.below(2) == 0 => (checkpoint, self.newest),
            Some((_, Stage::MetaBeingWritten)) => (self.newest, self.newest),
            _ if self.below(2) == 0 => (self.older, self.older),
            _ => (self.newest, self.older),
        };
        self.recover(start, other);
    }

    fn recover(&mut self, start: Checkpoint, other: Checkpoint) {
        assert!(start.log_at >= self.log_cut, "the log is needed, but gone");
        let mut values = [0; SLOTS];
        for (slot, (page, born)) in start.root.into_iter().enumerate() {
            let Some((found_slot, value, found_born)) = self.disk[page] else { panic!("a page is torn") };
            assert!((found_slot, found_born) == (slot, born), "a page of the root was overwritten");
            values[slot] = value;
        }
        self.memory = self.disk.clone();
        (self.newest, self.older, self.root, self.values) = (start, other, start.root, values);
        self.readers.clear();
        self.epoch += 1000;
        let used = |root: &Root, page: usize| root.iter().any(|(used, _)| *used == page);
        let pages = 0..self.memory.len();
        self.free =
            pages.clone().filter(|page| !used(&start.root, *page) && !used(&other.root, *page)).collect();
        let only_older = pages.filter(|page| used(&other.root, *page) && !used(&start.root, *page));
        self.freed = only_older.map(|page| (0, start.epoch, page)).collect();
        let expected = self.expected(start);
        for (_, changes) in self.log.split_off(start.log_at) {
            self.transact(changes);
        }
        assert!(self.values == expected, "recovery gave another state");
    }

    /// The state that the log says there must be.
    fn expected(&self, start: Checkpoint) -> [u64; SLOTS] {
        let mut expected = self.values;
        for (_, changes) in &self.log[start.log_at..] {
            for (value, change) in expected.iter_mut().zip(changes) {
                *value = change.unwrap_or(*value);
            }
        }
        expected
    }

    fn look_at_readers(&self) {
        for (slot, (page, born)) in self.readers.iter().flat_map(|(_, root)| root.iter().enumerate()) {
            let page = self.memory[*page];
            assert!(page.is_some_and(|page| (page.0, page.2) == (slot, *born)), "a reader sees another page");
        }
    }
}

/// Runs with a violation, of `runs`, and pages reused in all.
fn violations(variant: Variant, runs: u64, steps: usize) -> (u64, u64) {
    let (mut violations, mut reused) = (0, 0);
    for seed in 0..runs {
        let mut model = Model::new(seed, variant);
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..steps {
                model.step();
                model.look_at_readers();
            }
        }));
        assert!(variant != Variant::Right || run.is_ok(), "seed {seed} breaks the rule");
        violations += u64::from(run.is_err());
        reused += model.reused;
    }
    (violations, reused)
}

#[test]
fn the_rule_keeps_every_root_that_can_be_asked_for() {
    let (violations, reused) = violations(Variant::Right, 1_000, 400);
    assert_eq!(violations, 0);
    assert!(reused > 100_000, "a rule that never lets a page go proves nothing: {reused}");
}

#[test]
fn every_wrong_variant_is_caught() {
    // Their panics are expected; the hook would print hundreds of them.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let variants =
        [Variant::NewestOnly, Variant::IgnoreStarted, Variant::IgnoreReaders, Variant::CutLogAtNewest];
    let found = variants.map(|variant| (variant, violations(variant, 60, 200).0));
    std::panic::set_hook(hook);
    for (variant, violations) in found {
        assert!(violations > 20, "{variant:?}: only {violations} of 60 runs were caught");
    }
}
