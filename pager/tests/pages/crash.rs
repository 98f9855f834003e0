//! Power failures at every moment: whatever part of the unsynced writes survives, one of the last two checkpoints is
//! found whole.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, sync::Arc};

use crate::common::{Directory, Model, NODE_SLOTS, RUN_SLOTS, Rng, disk::Disk};
use llmdb_base::{PageResult, StoreId};
use llmdb_pager::{Access, Pager, PagerOptions, Pick, Visible};

const OPTIONS: PagerOptions = PagerOptions { private_bytes_max: 64 << 10, reserve_pages: 16 };

struct Run {
    disk: Disk,
    pager: Arc<Pager>,
    /// What every committed state held, by transaction.
    states: BTreeMap<u64, Model>,
    tip: Model,
    txid: u64,
    older: u64,
    durable: u64,
    /// A checkpoint whose meta page may have reached the disk.
    under_way: Option<u64>,
}

impl Run {
    fn create() -> Self {
        let disk = Disk::default();
        let pager = Pager::create(&disk, disk.file(), StoreId::new(4), OPTIONS).unwrap();
        Self::new(disk, pager, BTreeMap::from([(0, Model::default())]))
    }

    fn new(disk: Disk, pager: Arc<Pager>, mut states: BTreeMap<u64, Model>) -> Self {
        let (durable, older) = (pager.durable().txid.get(), pager.older_durable().txid.get());
        // The lost states will be replaced by others of the same names.
        states.retain(|txid, _| *txid <= durable);
        let tip = states[&durable].clone();
        Self { disk, pager, states, tip, txid: durable, older, durable, under_way: None }
    }

    fn commit(&mut self, rng: &mut Rng) -> PageResult<()> {
        let mut model = self.tip.clone();
        let mut txn = self.pager.begin_write();
        let mut directory = Directory::decode(&txn.root().roots);
        for _ in 0..=rng.below(6) {
            let seed = rng.next();
            if rng.chance(70) {
                let slot = usize::try_from(rng.below(NODE_SLOTS as u64)).unwrap();
                directory.put(&mut txn, slot, seed)?;
                model.nodes.insert(slot, seed);
            } else {
                let slot = usize::try_from(rng.below(RUN_SLOTS as u64)).unwrap();
                let bound = [5_000, 20_000, 90_000, 300_000][usize::try_from(rng.below(4)).unwrap()];
                let len = 1 + rng.below(bound);
                directory.put_run(&mut txn, slot, len, seed)?;
                model.runs.insert(slot, (len, seed));
            }
        }
        self.txid += 1;
        self.states.insert(self.txid, model.clone());
        let root = txn.commit(directory.state(self.txid));
        self.tip = model;
        if rng.chance(90) {
            self.pager.publish(&root);
        }
        Ok(())
    }

    fn checkpoint(&mut self, rng: &mut Rng) -> PageResult<()> {
        let mut checkpoint = self.pager.begin_checkpoint()?;
        if rng.chance(10) {
            return Ok(());
        }
        let txid = checkpoint.root().txid.get();
        for _ in 0..rng.below(3) {
            self.commit(rng)?;
        }
        checkpoint.write(&mut |_| ())?;
        for _ in 0..rng.below(3) {
            self.commit(rng)?;
        }
        self.under_way = Some(txid);
        if rng.chance(10) {
            checkpoint.finish_clean()?;
            self.older = txid;
        } else {
            checkpoint.finish()?;
            self.older = self.durable;
        }
        self.durable = txid;
        self.under_way = None;
        Ok(())
    }

    fn step(&mut self, rng: &mut Rng) -> PageResult<()> {
        if rng.chance(80) { self.commit(rng) } else { self.checkpoint(rng) }
    }

    /// What may be found as the newest state.
    fn newest(&self) -> Vec<u64> {
        self.under_way.into_iter().chain([self.durable]).collect()
    }
}

/// Opens what a crash left; whatever is found must be whole.
fn open(disk: &Disk, pick: Pick, allowed: &[u64], states: &BTreeMap<u64, Model>) -> Arc<Pager> {
    let pager = Pager::open(disk, disk.file(), OPTIONS, Access::ReadWrite, pick).unwrap();
    assert_eq!(pager.map_damage(), None, "{:?}", pager.meta_report());
    let txid = pager.published().txid.get();
    assert!(allowed.contains(&txid), "found the state of tx{txid}, expected one of {allowed:?}");
    let guard = pager.begin_read(Visible::Published);
    let mut used = Directory::decode(&guard.root().roots).check(&guard, &states[&txid]);
    used.extend(pager.own_pages().into_iter().map(llmdb_base::Pgno::get));
    let live: u64 = pager.live_ranges().map(|(_, count)| count).sum();
    assert_eq!(live, used.len() as u64, "the map calls exactly the reachable pages live");
    drop(guard);
    pager
}

fn survive(seed: u64) {
    let mut rng = Rng::new(seed);
    let mut run = Run::create();
    for _ in 0..4 {
        run.disk.stop_after(1 + rng.below(200));
        while run.step(&mut rng).is_ok() {}
        let (newest, older) = (run.newest(), [run.newest(), vec![run.older]].concat());
        // Several ways in which the same crash may end, and a rotten meta page on top.
        for _ in 0..3 {
            let left = run.disk.crash(&mut rng);
            drop(open(&left, Pick::Older, &older, &run.states));
            let left = run.disk.crash(&mut rng);
            left.damage([0, 4096, 16 * 4096, 17 * 4096][usize::try_from(rng.below(4)).unwrap()] + 50, 0x10);
            drop(open(&left, Pick::Newest, &older, &run.states));
        }
        let left = run.disk.crash(&mut rng);
        let pick = if rng.chance(20) { Pick::Older } else { Pick::Newest };
        let allowed = if pick == Pick::Older { &older } else { &newest };
        let pager = open(&left, pick, allowed, &run.states);
        run = Run::new(left, pager, run.states);
    }
}

#[test]
fn one_of_the_last_two_checkpoints_is_found_whole() {
    let first = std::env::var("LLMDB_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seeds = first.map_or(0..60, |seed| seed..seed + 1);
    for seed in seeds {
        let result = std::panic::catch_unwind(|| survive(seed));
        assert!(result.is_ok(), "to see this again: LLMDB_SEED={seed}");
    }
}
