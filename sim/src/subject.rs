//! The engine as a store under test.

use std::{path::Path, path::PathBuf, sync::Arc};

use llmdb_base::{
    PAGE_SIZE, Pgno, StoreId,
    checksum::{crc32c, page_seed},
    codec::{get_u32, get_u64, get_u128},
    plant::{self, Bug},
};
use llmdb_engine::{
    Background, Churn, Durability as EngineDurability, Engine, Error, ErrorKind, Options, Snapshot, WriteTxn,
};
use llmdb_vfs::{Create, Open, Vfs, crash::CrashVfs, read_exact_at};

use crate::{
    Change, Commit, Durability, End, Failure, Footprint, RootSlot, Store, Subject, Transaction, store::Show,
};

const DATA_FILE: &str = "sim.llmdb";

/// The engine, small enough that a short workload makes it checkpoint, recycle its log and write pages early.
#[derive(Debug, Default)]
pub struct EngineSubject {
    /// A bug to plant in every thread that opens the store.
    pub bug: Option<Bug>,
}

/// The open engine.
#[derive(Debug)]
pub struct EngineStore {
    engine: Engine,
}

fn options() -> Options {
    let mut options = Options::default();
    options.background = Background::Manual;
    options.checkpoint_log_bytes = 48 << 10;
    options.stall_log_bytes = 96 << 10;
    options.dirty_bytes_max = 128 << 10;
    options.churn = Churn { percent: 5, bytes_min: 96 << 10 };
    options.segment_bytes_max = 64 << 10;
    options.log_window_bytes = 16 << 10;
    options
}

impl Subject for EngineSubject {
    type Store = EngineStore;

    fn open(&self, vfs: Arc<dyn Vfs>) -> Result<EngineStore, Failure> {
        plant::plant(self.bug);
        let engine = Engine::open_on(vfs, Path::new(DATA_FILE), options()).map_err(failure)?;
        Ok(EngineStore { engine })
    }

    fn root_slots(&self, disk: &CrashVfs) -> Vec<RootSlot> {
        [0, 1, 16, 17].into_iter().filter_map(|pgno| meta_slot(disk, Pgno::new(pgno))).collect()
    }
}

/// The meta page at `pgno`, if there is a whole one. The layout is that of `docs/format/file.md`.
fn meta_slot(disk: &CrashVfs, pgno: Pgno) -> Option<RootSlot> {
    const LEN: usize = 512;
    let path = PathBuf::from(DATA_FILE);
    let file = disk.open(&path, Open { write: false, create: Create::Never, direct: false }).ok()?;
    let mut meta = [0; LEN];
    read_exact_at(&*file, &mut meta, pgno.offset()).ok()?;
    let store = StoreId::new(get_u128(&meta, 16));
    let is_whole = crc32c(page_seed(store, pgno), &meta[..LEN - 4]) == get_u32(&meta, LEN - 4);
    let (offset, generation) = (pgno.offset(), get_u64(&meta, 32));
    is_whole.then_some(RootSlot { path, offset, len: PAGE_SIZE, generation })
}

impl Store for EngineStore {
    type Snapshot = Snapshot;

    fn transact(&mut self, transaction: &Transaction) -> Result<Commit, Failure> {
        let before = self.engine.last_commit().txid;
        let mut txn = self.engine.begin_write().map_err(failure)?;
        let mut savepoints = Vec::new();
        for change in &transaction.changes {
            apply(&mut txn, &mut savepoints, change).map_err(failure)?;
        }
        let End::Commit(durability) = transaction.end else {
            txn.abort();
            return Ok(Commit { txid: 0 });
        };
        // Each of the four kinds gets its turn.
        let other = txn.txid().get() % 2 == 0;
        let durability = match durability {
            Durability::Immediate if other => EngineDurability::Group { interval_us: 0 },
            Durability::Immediate => EngineDurability::Sync,
            Durability::Deferred if other => EngineDurability::Async,
            Durability::Deferred => EngineDurability::Off,
        };
        let txid = txn.commit_with(durability).map_err(failure)?.txid;
        Ok(Commit { txid: if txid == before { 0 } else { txid.get() } })
    }

    fn sync(&mut self) -> Result<(), Failure> {
        self.engine.sync().map_err(failure)
    }

    fn checkpoint(&mut self) -> Result<(), Failure> {
        // A compaction makes checkpoints, and moves pages in between.
        if self.engine.last_commit().txid.get().is_multiple_of(3) {
            return self.engine.compact(&mut |_, _| true).map(drop).map_err(failure);
        }
        self.engine.checkpoint().map_err(failure)
    }

    fn snapshot(&mut self) -> Result<Snapshot, Failure> {
        self.engine.snapshot_latest().map_err(failure)
    }

    fn read(&mut self, snapshot: &Snapshot, show: Show<'_>) -> Result<(), Failure> {
        for (name, count) in snapshot.trees().map_err(failure)? {
            let Some(tree) = snapshot.tree(&name).map_err(failure)? else {
                return Err(Failure::Corrupt(format!("tree {name} is listed, but not there")));
            };
            let mut shown = 0;
            for row in tree.iter().map_err(failure)? {
                let (key, value) = row.map_err(failure)?;
                show(&name, key, value);
                shown += 1;
            }
            if shown != count {
                return Err(Failure::Corrupt(format!("tree {name} counts {count} keys and shows {shown}")));
            }
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), Failure> {
        let report = self.engine.check(&mut |_, _| true).map_err(failure)?;
        match report.problems.first() {
            Some(problem) => Err(Failure::Corrupt(problem.what.clone())),
            None => Ok(()),
        }
    }

    fn footprint(&mut self) -> Result<Option<Footprint>, Failure> {
        let stats = self.engine.stats().map_err(failure)?;
        Ok(Some(Footprint {
            replayed_bytes: self.engine.recovery().replayed_bytes,
            replayed_bytes_max: options().checkpoint_log_bytes,
            file_bytes: stats.file_bytes,
            live_bytes: stats.pages.live_pages * stats.page_bytes,
        }))
    }

    fn close(self) -> Result<(), Failure> {
        self.engine.close().map_err(failure)
    }
}

pub(crate) fn apply(
    txn: &mut WriteTxn<'_>,
    savepoints: &mut Vec<llmdb_engine::Savepoint>,
    change: &Change,
) -> Result<(), Error> {
    match change {
        Change::Put { tree, key, value } => {
            txn.tree(tree)?.put(key, value)?;
        }
        Change::Delete { tree, key } => {
            if let Some(mut tree) = txn.open_tree(tree)? {
                tree.delete(key)?;
            }
        }
        Change::DeleteRange { tree, from, to } => {
            if let Some(mut tree) = txn.open_tree(tree)? {
                tree.delete_range(from.as_slice()..to.as_slice())?;
            }
        }
        Change::DropTree { tree } => {
            txn.drop_tree(tree)?;
        }
        Change::Savepoint => savepoints.push(txn.savepoint()?),
        Change::RollbackTo { index } => {
            txn.rollback_to(savepoints[*index])?;
            savepoints.truncate(index + 1);
        }
    }
    Ok(())
}

fn failure(error: Error) -> Failure {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::Corruption | ErrorKind::NotADatabase | ErrorKind::NewerVersion => Failure::Corrupt(text),
        ErrorKind::NoSpace => Failure::NoSpace(text),
        ErrorKind::Poisoned => Failure::Stopped(text),
        ErrorKind::Io | ErrorKind::Locked | ErrorKind::Missing => Failure::Io(text),
        _ => Failure::Refused(text),
    }
}
