//! Random histories against a model: every retained state keeps its contents, the allocation map calls exactly
//! the reachable pages live, and what a checkpoint made durable is found again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, sync::Arc};

use crate::common::{Directory, Model, NODE_SLOTS, RUN_SLOTS, disk::Disk};
use llmdb_base::{PageErrorKind, StoreId};
use llmdb_pager::{
    Access, Checkpoint, PageTxn, Pager, PagerOptions, Pick, ReadGuard, RootRecord, Savepoint, Visible,
};
use llmdb_vfs::{Create, File, MemoryVfs, Open, OsVfs, Vfs};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Put(usize, u64),
    Delete(usize),
    PutRun(usize, u64, u64),
    DeleteRun(usize),
    Savepoint,
    Rollback(usize),
    Commit,
    Abort,
    Publish(usize),
    Read(bool),
    Leave(usize),
    BeginCheckpoint,
    WriteCheckpoint,
    FinishCheckpoint,
    AbandonCheckpoint,
    Reopen(bool),
    CloseClean,
}

fn op() -> impl Strategy<Value = Op> {
    let len = prop_oneof![
        4 => 1..9000u64,
        2 => 60_000..70_000u64,
        1 => 262_000..300_000u64,
        1 => Just(17 * 4096),
    ];
    prop_oneof![
        12 => (0..NODE_SLOTS, any::<u64>()).prop_map(|(slot, seed)| Op::Put(slot, seed)),
        4 => (0..NODE_SLOTS).prop_map(Op::Delete),
        4 => (0..RUN_SLOTS, len, any::<u64>()).prop_map(|(slot, len, seed)| Op::PutRun(slot, len, seed)),
        2 => (0..RUN_SLOTS).prop_map(Op::DeleteRun),
        2 => Just(Op::Savepoint),
        2 => (0..4usize).prop_map(Op::Rollback),
        8 => Just(Op::Commit),
        1 => Just(Op::Abort),
        5 => (0..4usize).prop_map(Op::Publish),
        3 => any::<bool>().prop_map(Op::Read),
        3 => (0..4usize).prop_map(Op::Leave),
        3 => Just(Op::BeginCheckpoint),
        2 => Just(Op::WriteCheckpoint),
        3 => Just(Op::FinishCheckpoint),
        1 => Just(Op::AbandonCheckpoint),
        1 => any::<bool>().prop_map(Op::Reopen),
        1 => Just(Op::CloseClean),
    ]
}

/// Where the pages are.
enum Place {
    Memory,
    Disk(Disk),
    /// A file of the operating system, mapped.
    System(OsVfs, tempfile::TempDir),
}

impl Place {
    fn system() -> Self {
        Self::System(OsVfs::new(), tempfile::tempdir().unwrap())
    }

    fn vfs(&self) -> Box<dyn Vfs> {
        match self {
            Self::Memory => Box::new(MemoryVfs::default()),
            Self::Disk(disk) => Box::new(disk.clone()),
            Self::System(..) => Box::new(OsVfs::new()),
        }
    }

    fn file(&self) -> Option<Arc<dyn File>> {
        match self {
            Self::Memory => None,
            Self::Disk(disk) => Some(disk.file()),
            Self::System(vfs, folder) => {
                let how = Open { write: true, create: Create::IfMissing, direct: true };
                Some(vfs.open(&folder.path().join("data"), how).unwrap())
            }
        }
    }
}

struct World {
    place: Place,
    options: PagerOptions,
    pager: Arc<Pager>,
    txn: Option<(PageTxn, Directory, Model)>,
    savepoints: Vec<(Savepoint, Directory, Model)>,
    readers: Vec<(ReadGuard, Model)>,
    tip: Model,
    published: Model,
    durable: Model,
    older: Model,
    checkpoint: Option<(Checkpoint, Model)>,
    /// Committed states that later calls may publish.
    unpublished: Vec<(RootRecord, Model)>,
    txid: u64,
}

impl World {
    fn new(options: PagerOptions, place: Place) -> Self {
        let vfs = place.vfs();
        let pager = match place.file() {
            Some(file) => Pager::create(&*vfs, file, StoreId::new(9), options).unwrap(),
            None => Pager::in_memory(&*vfs, options).unwrap(),
        };
        let empty = Model::default;
        Self {
            place,
            options,
            pager,
            txn: None,
            savepoints: Vec::new(),
            readers: Vec::new(),
            tip: empty(),
            published: empty(),
            durable: empty(),
            older: empty(),
            checkpoint: None,
            unpublished: Vec::new(),
            txid: 0,
        }
    }

    fn run(&mut self, op: &Op) {
        match *op {
            Op::Put(slot, seed) => {
                let (txn, directory, model) = self.txn();
                directory.put(txn, slot, seed).unwrap();
                model.nodes.insert(slot, seed);
            }
            Op::Delete(slot) => {
                let (txn, directory, model) = self.txn();
                directory.delete(txn, slot).unwrap();
                model.nodes.remove(&slot);
            }
            Op::PutRun(slot, len, seed) => {
                let (txn, directory, model) = self.txn();
                directory.put_run(txn, slot, len, seed).unwrap();
                model.runs.insert(slot, (len, seed));
            }
            Op::DeleteRun(slot) => {
                let (txn, directory, model) = self.txn();
                directory.delete_run(txn, slot).unwrap();
                model.runs.remove(&slot);
            }
            Op::Savepoint => {
                let (txn, directory, model) = self.txn();
                let kept = (txn.savepoint(), *directory, model.clone());
                self.savepoints.push(kept);
            }
            Op::Rollback(back) => self.roll_back(back),
            Op::Commit => self.commit(),
            Op::Abort => self.abort(),
            Op::Publish(back) => {
                if let Some(index) = self.unpublished.len().checked_sub(back + 1) {
                    let (root, model) = self.unpublished.drain(..=index).next_back().expect("one at least");
                    self.pager.publish(&root);
                    self.published = model;
                }
            }
            Op::Read(tip) => {
                let visible = if tip { Visible::Tip } else { Visible::Published };
                let model = if tip { &self.tip } else { &self.published };
                self.readers.push((self.pager.begin_read(visible), model.clone()));
            }
            Op::Leave(index) => {
                if index < self.readers.len() {
                    self.readers.swap_remove(index);
                }
            }
            Op::BeginCheckpoint => {
                self.abort();
                if self.has_file() && self.checkpoint.is_none() {
                    self.checkpoint = Some((self.pager.begin_checkpoint().unwrap(), self.tip.clone()));
                }
            }
            Op::WriteCheckpoint => {
                if let Some((checkpoint, _)) = &mut self.checkpoint {
                    checkpoint.write(&mut |_| ()).unwrap();
                }
            }
            Op::FinishCheckpoint => {
                if let Some((checkpoint, model)) = self.checkpoint.take() {
                    checkpoint.finish().unwrap();
                    self.older = std::mem::replace(&mut self.durable, model);
                }
            }
            Op::AbandonCheckpoint => self.checkpoint = None,
            Op::Reopen(older) => self.reopen(if older { Pick::Older } else { Pick::Newest }),
            Op::CloseClean => {
                self.abort();
                if self.has_file() {
                    self.checkpoint = None;
                    self.pager.begin_checkpoint().unwrap().finish_clean().unwrap();
                    self.older = self.tip.clone();
                    self.durable = self.tip.clone();
                    self.reopen(Pick::Newest);
                }
            }
        }
        self.check();
    }

    fn has_file(&self) -> bool {
        !matches!(self.place, Place::Memory)
    }

    fn txn(&mut self) -> (&mut PageTxn, &mut Directory, &mut Model) {
        let (txn, directory, model) = self.txn.get_or_insert_with(|| {
            let txn = self.pager.begin_write();
            let directory = Directory::decode(&txn.root().roots);
            (txn, directory, self.tip.clone())
        });
        (txn, directory, model)
    }

    fn roll_back(&mut self, back: usize) {
        if let Some(index) = self.savepoints.len().checked_sub(back + 1) {
            self.savepoints.truncate(index + 1);
            let (savepoint, old_directory, old_model) = self.savepoints[index].clone();
            let (txn, directory, model) = self.txn();
            txn.rollback_to(&savepoint);
            (*directory, *model) = (old_directory, old_model);
        }
    }

    fn commit(&mut self) {
        self.savepoints.clear();
        if let Some((txn, directory, model)) = self.txn.take() {
            self.txid += 1;
            let root = txn.commit(directory.state(self.txid));
            assert_eq!(self.pager.tip(), root);
            self.unpublished.push((root, model.clone()));
            self.tip = model;
        }
    }

    fn abort(&mut self) {
        self.savepoints.clear();
        if let Some((txn, ..)) = self.txn.take() {
            txn.abort();
        }
    }

    fn reopen(&mut self, pick: Pick) {
        let Some(file) = self.place.file() else { return };
        self.abort();
        self.checkpoint = None;
        self.readers.clear();
        self.unpublished.clear();
        assert_eq!(Arc::strong_count(&self.pager), 1);
        self.pager = Pager::in_memory(&MemoryVfs::default(), self.options).unwrap();
        self.pager = Pager::open(&*self.place.vfs(), file, self.options, Access::ReadWrite, pick).unwrap();
        assert_eq!(self.pager.map_damage(), None);
        if pick == Pick::Older {
            self.durable = self.older.clone();
        }
        self.tip = self.durable.clone();
        self.published = self.durable.clone();
        self.txid = self.pager.tip().txid.get();
    }

    fn check(&self) {
        for (guard, model) in &self.readers {
            Directory::decode(&guard.root().roots).check(guard, model);
        }
        if let Some((txn, directory, model)) = &self.txn {
            directory.check(txn, model);
        } else {
            self.check_live();
        }
        let published = self.pager.begin_read(Visible::Published);
        Directory::decode(&published.root().roots).check(&published, &self.published);
        let stats = self.pager.stats();
        assert_eq!(stats.live_pages + stats.held_pages + stats.free_pages, stats.file_pages);
        assert!(stats.dirty_pages <= stats.private_pages.min(stats.live_pages));
    }

    /// The map calls exactly the reachable pages live.
    fn check_live(&self) {
        let tip = self.pager.begin_read(Visible::Tip);
        let mut reachable = Directory::decode(&tip.root().roots).check(&tip, &self.tip);
        for pgno in self.pager.own_pages() {
            assert!(reachable.insert(pgno.get()), "{pgno} belongs to a tree and to the pager");
        }
        let ranges = self.pager.live_ranges();
        let live: BTreeSet<u64> =
            ranges.flat_map(|(first, count)| first.get()..first.get() + count).collect();
        assert_eq!(live, reachable);
        assert_eq!(self.pager.stats().live_pages, live.len() as u64);
    }
}

fn history(options: PagerOptions, place: Place, ops: &[Op]) {
    let mut world = World::new(options, place);
    for op in ops {
        world.run(op);
    }
    // In the end, everything that is not in use can be used again.
    world.abort();
    world.readers.clear();
    world.checkpoint = None;
    world.run(&Op::Publish(0));
    if world.has_file() {
        world.pager.begin_checkpoint().unwrap().finish().unwrap();
        world.pager.begin_checkpoint().unwrap().finish().unwrap();
    }
    world.pager.publish(&world.pager.tip());
    drop(world.pager.begin_write());
    let held = world.pager.stats().held_pages;
    assert!(held <= if world.has_file() { 3 } else { 0 }, "{held} pages are held by nobody");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn on_disk(ops in prop::collection::vec(op(), 1..120)) {
        history(PagerOptions::default(), Place::Disk(Disk::default()), &ops);
    }

    #[test]
    fn on_disk_with_little_memory(ops in prop::collection::vec(op(), 1..120)) {
        history(PagerOptions { private_bytes_max: 16 << 10, ..PagerOptions::default() }, Place::Disk(Disk::default()), &ops);
    }

    #[test]
    fn in_memory(ops in prop::collection::vec(op(), 1..120)) {
        history(PagerOptions::default(), Place::Memory, &ops);
    }
}

proptest! {
    // Syncs of a real disk take their time.
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mapped(ops in prop::collection::vec(op(), 1..80), private_bytes_max in prop_oneof![Just(16 << 10), Just(256 << 20)]) {
        history(PagerOptions { private_bytes_max, ..PagerOptions::default() }, Place::system(), &ops);
    }
}

#[test]
fn a_full_disk_is_a_clean_error_and_the_reserve_lets_deletes_go_on() {
    let disk = Disk::default();
    let options = PagerOptions { reserve_pages: 32, ..PagerOptions::default() };
    let pager = Pager::create(&disk, disk.file(), StoreId::new(1), options).unwrap();
    disk.limit(Some(disk.len_now() + 40 * 4096));
    let mut model = Model::default();
    let mut directory = Directory::decode(&pager.tip().roots);
    let mut txid = 0;
    let full = loop {
        let mut txn = pager.begin_write();
        let (slot, before) = (usize::try_from(txid).unwrap() % NODE_SLOTS, directory);
        let filled = directory
            .put(&mut txn, slot, txid)
            .and_then(|()| directory.put_run(&mut txn, slot % RUN_SLOTS, 4 * 4096, txid));
        match filled {
            Ok(()) => {
                txid += 1;
                model.nodes.insert(slot, txid - 1);
                model.runs.insert(slot % RUN_SLOTS, (4 * 4096, txid - 1));
                pager.publish(&txn.commit(directory.state(txid)));
            }
            Err(error) => {
                directory = before;
                break error;
            }
        }
        // Held by this reader, nothing comes free.
        std::mem::forget(pager.begin_read(Visible::Tip));
    };
    assert!(matches!(full.kind(), PageErrorKind::NoSpace { .. }), "{full}");
    let guard = pager.begin_read(Visible::Tip);
    directory.check(&guard, &model);
    drop(guard);
    pager.begin_checkpoint().unwrap().finish().unwrap();
    let mut txn = pager.begin_write();
    assert!(directory.delete(&mut txn, 0).is_err(), "a delete needs a page, too");
    txn.abort();
    let mut txn = pager.begin_write();
    txn.use_reserve();
    directory.delete(&mut txn, 0).unwrap();
    model.nodes.remove(&0);
    txn.commit(directory.state(txid + 1));
    pager.begin_checkpoint().unwrap().finish().unwrap();
    let guard = pager.begin_read(Visible::Tip);
    directory.check(&guard, &model);
}
