//! One of the processes, and those that take its place.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use llmdb_base::plant::{self, Bug};
use llmdb_engine::{Background, Durability, Engine, Error, Options, Sharing, Snapshot};
use llmdb_vfs::crash::{Chooser, CrashVfs};

use super::World;
use crate::{Digest, End, Workload};

const DATA_FILE: &str = "sim.llmdb";

pub(super) struct Member {
    world: Arc<World>,
    /// The disk as this process has it; replaced when it was killed.
    disk: CrashVfs,
    index: usize,
    chooser: Chooser,
    workload: Workload,
    engine: Option<Engine>,
    held: VecDeque<(Snapshot, Digest)>,
}

impl Member {
    pub(super) fn new(world: Arc<World>, disk: CrashVfs, index: usize, mut chooser: Chooser) -> Self {
        let workload = Workload::new(chooser.fork());
        let disk = if index == 0 { disk } else { disk.process() };
        Self { world, disk, index, chooser, workload, engine: None, held: VecDeque::new() }
    }

    /// Makes steps, one after the other, as long as nothing is broken.
    pub(super) fn run(mut self, step_count: usize) {
        plant::plant(self.world.config.bug);
        self.world.baton.join(self.index);
        for _ in 0..step_count {
            if self.world.model().broken.is_some() {
                break;
            }
            self.guarded(Self::step);
            self.world.baton.pass();
        }
        self.guarded(Self::close);
        // What a killed process leaves is gone, too.
        self.bury();
        self.world.baton.leave();
    }

    /// Does something that may fail if the process is killed meanwhile, and for no other reason.
    fn guarded(&mut self, act: fn(&mut Self) -> Result<(), Error>) {
        let done = catch_unwind(AssertUnwindSafe(|| act(self)));
        if self.disk.is_killed() {
            self.bury();
            self.disk = self.disk.process();
            return;
        }
        match done {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let what = format!("process {}: an error without a reason: {error}", self.index);
                self.world.model().broken(what);
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
                self.world.model().broken(format!("process {}: a panic: {text}", self.index));
            }
        }
    }

    /// Drops what is open. A panic of a process that is gone means nothing.
    fn bury(&mut self) {
        let (engine, held) = (self.engine.take(), std::mem::take(&mut self.held));
        drop(catch_unwind(AssertUnwindSafe(move || drop((held, engine)))));
    }

    fn step(&mut self) -> Result<(), Error> {
        if self.engine.is_none() {
            return self.open();
        }
        match self.chooser.below(100) {
            0..55 => self.transact(),
            55..70 => self.look(),
            70..80 => self.hold(),
            80..88 => self.look_at_held(),
            88..92 => self.with_engine(|engine| engine.checkpoint()),
            92..95 => self.with_engine(|engine| engine.sync()),
            _ => self.close(),
        }
    }

    fn open(&mut self) -> Result<(), Error> {
        let opened = Engine::open_on(Arc::new(self.disk.clone()), Path::new(DATA_FILE), options());
        self.engine = Some(opened?);
        self.world.model().moved();
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        self.look_at_held()?;
        self.held.clear();
        let closed = self.engine.take().map_or(Ok(()), Engine::close);
        self.world.model().moved();
        closed
    }

    fn with_engine(&mut self, act: impl FnOnce(&Engine) -> Result<(), Error>) -> Result<(), Error> {
        self.engine.as_ref().map_or(Ok(()), act)
    }

    /// Runs a transaction. The model learns of a commit before the store does: it may be found from then on.
    fn transact(&mut self) -> Result<(), Error> {
        let Some(engine) = &self.engine else { return Ok(()) };
        let transaction = self.workload.transaction();
        let mut txn = engine.begin_write()?;
        let found = digest(&engine.snapshot_latest()?)?;
        if self.disk.is_killed() {
            return Ok(());
        }
        self.world.model().begins_to_write(found);
        let mut savepoints = Vec::new();
        for change in &transaction.changes {
            crate::subject::apply(&mut txn, &mut savepoints, change)?;
        }
        if transaction.end == End::Abort {
            txn.abort();
            return Ok(());
        }
        let mut contents = self.world.model().newest().clone();
        contents.apply(&transaction.changes);
        let submission = self.world.model().submit(contents);
        let durability =
            if self.chooser.coin() { Durability::Sync } else { Durability::Group { interval_us: 0 } };
        let before = engine.last_commit().txid;
        let txid = txn.commit_with(durability)?.txid;
        if self.disk.is_killed() {
            // Killed between its last call and this answer, which nobody hears.
            return Ok(());
        }
        self.world.model().acknowledged(submission, if txid == before { 0 } else { txid.get() });
        Ok(())
    }

    fn snapshot(&self) -> Result<Option<(Snapshot, Digest)>, Error> {
        let Some(engine) = &self.engine else { return Ok(None) };
        let floor = self.world.model().floor();
        let snapshot = engine.snapshot()?;
        let found = digest(&snapshot)?;
        if self.disk.is_killed() {
            return Ok(None);
        }
        self.world.model().saw(floor, found);
        Ok(Some((snapshot, found)))
    }

    fn look(&mut self) -> Result<(), Error> {
        self.snapshot().map(drop)
    }

    fn hold(&mut self) -> Result<(), Error> {
        let taken = self.snapshot()?;
        self.held.extend(taken);
        Ok(())
    }

    /// Every snapshot that is held still shows what it showed; the oldest is let go.
    fn look_at_held(&mut self) -> Result<(), Error> {
        for (snapshot, expected) in &self.held {
            let found = digest(snapshot);
            if self.disk.is_killed() {
                return Ok(());
            }
            let mut model = self.world.model();
            match found {
                Ok(found) if found == *expected => model.report.look_count += 1,
                Ok(_) => model.broken(format!("I8: a snapshot of process {} has changed", self.index)),
                Err(error) => model.broken(format!("I8: a snapshot of process {}: {error}", self.index)),
            }
        }
        self.held.pop_front();
        Ok(())
    }
}

/// Opens a store that nobody else has open, and looks whether it is whole and can be used.
pub(super) fn recover(disk: &CrashVfs, bug: Option<Bug>) -> Result<Digest, String> {
    plant::plant(bug);
    let recover = || -> Result<Digest, Error> {
        let engine = Engine::open_on(Arc::new(disk.clone()), Path::new(DATA_FILE), options())?;
        let found = digest(&engine.snapshot()?)?;
        let report = engine.check(&mut |_, _| true)?;
        if let Some(problem) = report.problems.first() {
            return Err(Error::Misuse(format!("I3: {}", problem.what)));
        }
        let mut txn = engine.begin_write()?;
        txn.tree("after")?.put("a", "b")?;
        txn.abort();
        engine.close()?;
        Ok(found)
    };
    match catch_unwind(AssertUnwindSafe(recover)) {
        Ok(found) => found.map_err(|error| error.to_string()),
        Err(_) => Err("a panic".to_owned()),
    }
}

/// Small enough that a short run makes checkpoints, recycles its log and writes pages early.
fn options() -> Options {
    let mut options = Options::default();
    options.background = Background::Manual;
    options.sharing = Sharing::Shared;
    // Virtual time passes quickly for those who wait.
    options.lock_timeout_us = 3_600_000_000;
    options.checkpoint_log_bytes = 48 << 10;
    options.stall_log_bytes = 96 << 10;
    options.dirty_bytes_max = 128 << 10;
    options.segment_bytes_max = 64 << 10;
    options.log_window_bytes = 16 << 10;
    options
}

fn digest(snapshot: &Snapshot) -> Result<Digest, Error> {
    let mut digest = Digest::default();
    for (name, _) in snapshot.trees()? {
        let Some(tree) = snapshot.tree(&name)? else { continue };
        for row in tree.iter()? {
            let (key, value) = row?;
            digest.add(&name, key, value);
        }
    }
    Ok(digest)
}
