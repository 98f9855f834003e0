//! A file of the operating system under a private map, and several threads.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

use crate::common::{Directory, Model, NODE_SLOTS, RUN_SLOTS, Rng, value};
use llmdb_base::{ReadPages, StoreId, TreeId, WritePages, header::PageKind};
use llmdb_pager::{Access, Pager, PagerOptions, Pick, Visible};
use llmdb_vfs::{Create, File, Open, OsVfs, Vfs};

fn file(folder: &tempfile::TempDir, create: Create) -> Arc<dyn File> {
    let how = Open { write: true, create, direct: true };
    OsVfs::new().open(&folder.path().join("data"), how).unwrap()
}

fn create(folder: &tempfile::TempDir, options: PagerOptions) -> Arc<Pager> {
    Pager::create(&OsVfs::new(), file(folder, Create::New), StoreId::new(5), options).unwrap()
}

#[test]
fn a_long_value_shows_through_where_private_pages_were() {
    let folder = tempfile::tempdir().unwrap();
    let pager = create(&folder, PagerOptions::default());
    let mut txn = pager.begin_write();
    let nodes: Vec<_> = (0..300).map(|_| txn.allocate(PageKind::Leaf, 0, TreeId::new(1)).unwrap()).collect();
    nodes.iter().for_each(|node| txn.free(*node).unwrap());
    let private = pager.stats().private_pages;
    let expected = value(300_000, 8);
    let mut writer = txn.begin_run(300_000).unwrap();
    assert!(pager.stats().private_pages < private, "the run took pages that were private");
    txn.append_run(&mut writer, &expected).unwrap();
    let run = txn.finish_run(writer).unwrap();
    assert!(txn.run(&run).unwrap() == expected);
}

#[test]
fn a_clean_close_cuts_the_file_and_leaves_two_equal_generations() {
    let folder = tempfile::tempdir().unwrap();
    let pager = create(&folder, PagerOptions::default());
    let (mut directory, mut model) = (Directory::decode(&pager.tip().roots), Model::default());
    for round in 0..3 {
        let mut txn = pager.begin_write();
        directory.put(&mut txn, 0, round).unwrap();
        directory.put_run(&mut txn, 0, 2_000_000, round).unwrap();
        model.nodes.insert(0, round);
        pager.publish(&txn.commit(directory.state(round + 1)));
    }
    let mut txn = pager.begin_write();
    directory.put_run(&mut txn, 0, 10, 7).unwrap();
    model.runs.insert(0, (10, 7));
    pager.publish(&txn.commit(directory.state(4)));
    let reader = pager.begin_read(Visible::Published);
    let before = file(&folder, Create::Never).len().unwrap();
    pager.begin_checkpoint().unwrap().finish_clean().unwrap();
    assert_eq!(file(&folder, Create::Never).len().unwrap(), before, "a reader may name any page");
    drop(reader);
    pager.begin_checkpoint().unwrap().finish_clean().unwrap();
    let after = file(&folder, Create::Never).len().unwrap();
    assert!(after * 3 < before, "{before} bytes, and {after} after a clean close");
    assert_eq!(pager.durable(), pager.older_durable());
    // It goes on working.
    let mut txn = pager.begin_write();
    directory.put(&mut txn, 1, 1).unwrap();
    model.nodes.insert(1, 1);
    pager.publish(&txn.commit(directory.state(5)));
    pager.begin_checkpoint().unwrap().finish().unwrap();
    drop(pager);
    let file = file(&folder, Create::Never);
    let pager =
        Pager::open(&OsVfs::new(), file, PagerOptions::default(), Access::ReadWrite, Pick::Newest).unwrap();
    let guard = pager.begin_read(Visible::Published);
    Directory::decode(&guard.root().roots).check(&guard, &model);
}

struct Shared {
    pager: Arc<Pager>,
    /// What each transaction left, for whoever reads its state.
    states: Mutex<Vec<Model>>,
    stop: AtomicBool,
}

impl Shared {
    fn write(&self, seed: u64, commits: u64) {
        let mut rng = Rng::new(seed);
        let mut model = Model::default();
        let mut checkpoint = None;
        for txid in 1..=commits {
            let mut txn = self.pager.begin_write();
            let mut directory = Directory::decode(&txn.root().roots);
            for _ in 0..4 {
                let (slot, seed) = (usize::try_from(rng.below(NODE_SLOTS as u64)).unwrap(), rng.next());
                directory.put(&mut txn, slot, seed).unwrap();
                model.nodes.insert(slot, seed);
            }
            if rng.chance(20) {
                let (slot, seed) = (usize::try_from(rng.below(RUN_SLOTS as u64)).unwrap(), rng.next());
                let len = 1 + rng.below(280_000);
                directory.put_run(&mut txn, slot, len, seed).unwrap();
                model.runs.insert(slot, (len, seed));
            }
            self.states.lock().unwrap().push(model.clone());
            let root = txn.commit(directory.state(txid));
            self.pager.publish(&root);
            if txid % 25 == 0 {
                checkpoint = Some(self.checkpoint_beside(&mut rng, checkpoint));
            }
        }
        checkpoint.map(JoinHandle::join).transpose().unwrap();
        self.pager.begin_checkpoint().unwrap().finish().unwrap();
        self.stop.store(true, Relaxed);
    }

    /// Begins a checkpoint, which another thread finishes while this one goes on; unless `last` is still under way.
    fn checkpoint_beside(&self, rng: &mut Rng, last: Option<JoinHandle<()>>) -> JoinHandle<()> {
        match last {
            Some(last) if !last.is_finished() => return last,
            Some(last) => last.join().unwrap(),
            None => {}
        }
        let mut checkpoint = self.pager.begin_checkpoint().unwrap();
        let abandon = rng.chance(20);
        thread::spawn(move || {
            checkpoint.write(&mut |_| ()).unwrap();
            if abandon { drop(checkpoint) } else { checkpoint.finish().unwrap() }
        })
    }

    fn read(&self, visible: Visible) {
        while !self.stop.load(Relaxed) {
            let guard = self.pager.begin_read(visible);
            let txid = usize::try_from(guard.root().txid.get()).unwrap();
            let model = txid
                .checked_sub(1)
                .map_or(Model::default(), |index| self.states.lock().unwrap()[index].clone());
            let directory = Directory::decode(&guard.root().roots);
            for _ in 0..3 {
                directory.check(&guard, &model);
            }
        }
    }
}

#[test]
fn readers_writer_and_checkpoints_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let options = PagerOptions { private_bytes_max: 1 << 20, ..PagerOptions::default() };
    let shared = Shared {
        pager: create(&folder, options),
        states: Mutex::new(Vec::new()),
        stop: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        scope.spawn(|| shared.read(Visible::Published));
        scope.spawn(|| shared.read(Visible::Tip));
        shared.write(3, 1500);
    });
    let stats = shared.pager.stats();
    assert_eq!(stats.readers, 0);
    assert_eq!(stats.dirty_pages, 0);
}
