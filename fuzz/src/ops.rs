//! Arbitrary calls on a store, with power failures at any call of the disk, against a map in memory: what is found
//! after a failure, even if the newest meta pages are lost as well, is a prefix of the commits that holds everything acknowledged, snapshots never change, and a
//! check finds nothing. On a disk whose calls fail, or that is full, each call does what it was asked or says what failed.

mod model;
mod trouble;

use std::{
    collections::BTreeMap,
    ops::Bound,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use arbitrary::Arbitrary;
use llmdb_engine::{Background, Durability, Engine, Error, ErrorKind, Options, Snapshot, WriteTxn};
use llmdb_vfs::{
    Vfs,
    crash::{Chooser, CrashPoint, CrashVfs},
};

use self::{
    model::{History, Trees, key, tree_name, value},
    trouble::Trouble,
};
use crate::{disk::read_file, meta};

const DATA: &str = "store";
const CALLS_MAX: usize = 120;
const SNAPSHOTS_MAX: usize = 4;

/// Calls, in order, on a disk whose choices follow from `seed`.
#[derive(Arbitrary, Debug)]
pub struct Input {
    seed: u64,
    small_memory: bool,
    calls: Vec<Call>,
}

#[derive(Arbitrary, Debug)]
enum Call {
    Commit {
        changes: Vec<Change>,
        durability: Wait,
    },
    Abort {
        changes: Vec<Change>,
    },
    Checkpoint,
    Sync,
    Hold,
    HoldLatest,
    Release {
        snapshot: u8,
    },
    Check,
    Reopen,
    /// The power fails now, and the run goes on with what is left.
    PowerFailure {
        seed: u64,
        keep_cache: bool,
    },
    /// The power fails at a later call of the disk; what would be left is looked at, and the run goes on without it.
    FailLater {
        seed: u64,
        calls: u8,
    },
    /// Calls of the disk fail from now on, or it is full.
    Trouble(Trouble),
    /// There is room again, and nothing fails any more.
    Calm,
}

#[derive(Arbitrary, Debug)]
enum Change {
    Put { tree: u8, key: u16, len: u16 },
    PutMany { tree: u8, from: u16, count: u8, len: u8 },
    Delete { tree: u8, key: u16 },
    DeleteRange { tree: u8, from: Option<u16>, to: Option<u16> },
    Clear { tree: u8 },
    Create { tree: u8 },
    Drop { tree: u8 },
    Savepoint,
    Rollback { savepoint: u8 },
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Wait {
    Sync,
    Group,
    Async { wait: bool },
    Off,
}

/// Runs one input.
///
/// # Panics
/// At a finding.
pub fn run(input: &Input) {
    let mut run = Run::new(input);
    for call in input.calls.iter().take(CALLS_MAX) {
        let done = run.call(call);
        run.look_at_failure();
        if let Err(error) = done {
            run.survive(&error);
        }
    }
    run.finish();
}

struct Run {
    options: Options,
    vfs: CrashVfs,
    engine: Option<Engine>,
    history: History,
    held: Vec<(Snapshot, Trees)>,
    failure: Arc<Mutex<Option<Failure>>>,
    /// Whether anything may have failed since the store was opened.
    is_troubled: bool,
    serial: u64,
}

/// A moment at which the power failed, and how many commits had been acknowledged by then.
struct Failure {
    point: CrashPoint,
    acknowledged: u64,
    seed: u64,
}

impl Run {
    fn new(input: &Input) -> Self {
        let mut options = Options::default();
        options.background = Background::Manual;
        options.segment_bytes_max = 64 << 10;
        options.log_window_bytes = 16 << 10;
        options.checkpoint_log_bytes = 96 << 10;
        options.dirty_bytes_max = if input.small_memory { 64 << 10 } else { 4 << 20 };
        let vfs = CrashVfs::new(input.seed);
        let engine = Engine::open_on(Arc::new(vfs.clone()), DATA, options.clone()).expect("an empty disk");
        let history = History::default();
        let failure = Arc::default();
        let held = Vec::new();
        Self { options, vfs, engine: Some(engine), history, held, failure, is_troubled: false, serial: 0 }
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("absent only while it is replaced")
    }

    /// # Errors
    /// What a disk in trouble leads to.
    fn call(&mut self, call: &Call) -> Result<(), Error> {
        match call {
            Call::Commit { changes, durability } => {
                self.with_engine(|run, engine| run.commit(engine, changes, *durability))
            }
            Call::Abort { changes } => self.with_engine(|run, engine| {
                let mut trees = run.history.newest().clone();
                let mut txn = engine.begin_write()?;
                run.change(&mut txn, &mut trees, changes)?;
                txn.abort();
                Ok(())
            }),
            Call::Checkpoint => {
                self.engine().checkpoint()?;
                self.history.acknowledge_all();
                Ok(())
            }
            Call::Sync => {
                self.engine().sync()?;
                self.history.acknowledge_all();
                Ok(())
            }
            Call::Hold => self.hold(false),
            Call::HoldLatest => self.hold(true),
            Call::Release { snapshot } if !self.held.is_empty() => {
                let (snapshot, trees) = self.held.swap_remove(usize::from(*snapshot) % self.held.len());
                self.vfs.clear_faults();
                model::compare(&snapshot, &trees);
                Ok(())
            }
            Call::Release { .. } => Ok(()),
            Call::Check => {
                self.vfs.clear_faults();
                check(self.engine());
                Ok(())
            }
            Call::Reopen => self.reopen(),
            Call::PowerFailure { seed, keep_cache } => {
                self.fail_now(*seed, *keep_cache);
                Ok(())
            }
            Call::FailLater { seed, calls } => {
                self.fail_later(*seed, u64::from(*calls));
                Ok(())
            }
            Call::Trouble(trouble) => {
                trouble.begin(&self.vfs);
                self.is_troubled = true;
                Ok(())
            }
            Call::Calm => {
                trouble::end(&self.vfs);
                Ok(())
            }
        }
    }

    fn with_engine(
        &mut self,
        act: impl FnOnce(&mut Self, &Engine) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let engine = self.engine.take().expect("absent only while it is replaced");
        let done = act(self, &engine);
        self.engine = Some(engine);
        done
    }

    fn commit(&mut self, engine: &Engine, changes: &[Change], durability: Wait) -> Result<(), Error> {
        let mut txn = engine.begin_write()?;
        let mut trees = self.history.newest().clone();
        self.change(&mut txn, &mut trees, changes)?;
        let txid = txn.txid().get();
        self.history.push(txid, trees);
        let commit = match durability {
            Wait::Sync => txn.commit_with(Durability::Sync),
            Wait::Group => txn.commit_with(Durability::Group { interval_us: 10 }),
            Wait::Off => txn.commit_with(Durability::Off),
            Wait::Async { wait } => {
                let ticket = txn.commit_async();
                ticket.and_then(|ticket| if wait { ticket.wait() } else { Ok(ticket.commit()) })
            }
        };
        let commit = commit.inspect_err(|error| {
            if error.kind() == ErrorKind::NoSpace {
                // Nothing was changed.
                self.history.retract();
            }
        })?;
        if commit.txid.get() < txid {
            self.history.pop_unchanged();
        }
        if !matches!(durability, Wait::Off | Wait::Async { wait: false }) {
            self.history.acknowledge(commit.txid.get());
            let seen = engine.snapshot()?.txid().get();
            assert!(seen >= commit.txid.get(), "an acknowledged commit is visible");
        }
        Ok(())
    }

    fn change(&mut self, txn: &mut WriteTxn<'_>, trees: &mut Trees, changes: &[Change]) -> Result<(), Error> {
        let mut savepoints = Vec::new();
        for change in changes.iter().take(40) {
            self.serial += 1;
            match *change {
                Change::Put { tree, key, len } => self.put(txn, trees, tree, key, usize::from(len))?,
                Change::PutMany { tree, from, count, len } => {
                    for index in 0..u16::from(count) {
                        self.put(txn, trees, tree, from.wrapping_add(index), usize::from(len) * 4)?;
                    }
                }
                Change::Savepoint => savepoints.push((txn.savepoint()?, trees.clone())),
                Change::Rollback { savepoint } if !savepoints.is_empty() => {
                    let index = usize::from(savepoint) % savepoints.len();
                    savepoints.truncate(index + 1);
                    let (savepoint, state) = &savepoints[index];
                    txn.rollback_to(*savepoint)?;
                    trees.clone_from(state);
                }
                Change::Rollback { .. } => {}
                Change::Create { tree } => {
                    txn.tree(tree_name(tree))?;
                    trees.entry(tree_name(tree)).or_default();
                }
                Change::Drop { tree } => {
                    let was_there = txn.drop_tree(tree_name(tree))?;
                    assert_eq!(was_there, trees.remove(tree_name(tree)).is_some());
                }
                Change::Delete { .. } | Change::DeleteRange { .. } | Change::Clear { .. } => {
                    delete(txn, trees, change)?;
                }
            }
        }
        Ok(())
    }

    fn put(
        &mut self,
        txn: &mut WriteTxn<'_>,
        trees: &mut Trees,
        tree: u8,
        number: u16,
        len: usize,
    ) -> Result<(), Error> {
        self.serial += 1;
        // Now and then a value that takes pages of its own, and more of them than one checksum covers.
        let len = if len > 65_000 { 4 * (len - 45_000) } else { len % 6_000 };
        let stored = (self.serial, len);
        let mut rows = txn.tree(tree_name(tree))?;
        let was_there = rows.put(key(number), value(stored))?;
        let before = trees.entry(tree_name(tree)).or_default().insert(key(number), stored);
        assert_eq!(was_there, before.is_some());
        Ok(())
    }

    fn hold(&mut self, latest: bool) -> Result<(), Error> {
        if self.held.len() == SNAPSHOTS_MAX {
            return Ok(());
        }
        self.vfs.clear_faults();
        let engine = self.engine();
        let snapshot = if latest { engine.snapshot_latest() } else { engine.snapshot() }?;
        let txid = snapshot.txid().get();
        // After a commit that failed, that one may or may not be the latest.
        assert!(
            !latest || self.is_troubled || txid == self.history.newest_txid(),
            "the latest is the latest"
        );
        let trees = self.history.at(txid).expect("a snapshot shows a commit").clone();
        model::compare(&snapshot, &trees);
        self.held.push((snapshot, trees));
        Ok(())
    }

    fn release_all(&mut self) {
        for (snapshot, trees) in self.held.drain(..) {
            model::compare(&snapshot, &trees);
        }
    }

    fn reopen(&mut self) -> Result<(), Error> {
        // A snapshot keeps the store locked.
        self.vfs.clear_faults();
        self.release_all();
        self.engine.take().expect("absent only while it is replaced").close()?;
        self.history.acknowledge_all();
        let engine = Engine::open_on(Arc::new(self.vfs.clone()), DATA, self.options.clone())?;
        assert_eq!(engine.recovery().replayed_txns, 0, "a clean close leaves nothing to recover");
        self.adopt(engine);
        Ok(())
    }

    /// Goes on with a store that was just opened.
    fn adopt(&mut self, engine: Engine) {
        self.history.found(engine.last_commit().txid.get());
        model::compare(&engine.snapshot().expect("just opened"), self.history.newest());
        self.engine = Some(engine);
    }

    /// A call failed: only in trouble, and it said what failed. Readers see what they saw. If there was no room, the store goes on
    /// as if nothing had been asked; otherwise it is opened anew, and is a prefix that has everything acknowledged.
    fn survive(&mut self, error: &Error) {
        assert!(self.is_troubled, "nothing fails: {error}");
        assert!(trouble::is_clear(error), "a failing disk was taken for something else: {error}");
        trouble::end(&self.vfs);
        self.release_all();
        if let Some(engine) = self.engine.as_ref().filter(|_| error.kind() == ErrorKind::NoSpace) {
            let latest = engine.snapshot_latest().expect("there is room again");
            model::compare(&latest, self.history.newest());
            return;
        }
        self.serial += 1;
        self.fail_now(self.serial, self.serial.is_multiple_of(2));
    }

    fn fail_now(&mut self, seed: u64, keep_cache: bool) {
        trouble::end(&self.vfs);
        self.release_all();
        let chooser = &mut Chooser::new(seed);
        let found = if keep_cache { self.vfs.process_crash(chooser) } else { self.vfs.crash(chooser) };
        self.vfs.observe(None);
        // What the old one still writes goes to a disk that nobody will see.
        self.engine = None;
        self.vfs = found;
        if !self.is_troubled {
            rot(&self.vfs, chooser);
        }
        self.is_troubled = false;
        let engine =
            Engine::open_on(Arc::new(self.vfs.clone()), DATA, self.options.clone()).expect("recovery");
        check(&engine);
        self.adopt(engine);
    }

    fn fail_later(&mut self, seed: u64, calls: u64) {
        let at = self.vfs.op_count() + calls;
        let (failure, acknowledged) = (Arc::clone(&self.failure), self.history.acknowledged_cell());
        self.vfs.observe(Some(Arc::new(move |vfs, op| {
            if op.index == at {
                let acknowledged = acknowledged.load(std::sync::atomic::Ordering::Acquire);
                *failure.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(Failure { point: vfs.crash_point(), acknowledged, seed });
            }
        })));
    }

    /// If the power failed during the last call: is everything there?
    fn look_at_failure(&mut self) {
        let Some(failure) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        let chooser = &mut Chooser::new(failure.seed);
        for _ in 0..3 {
            let vfs: Arc<CrashVfs> = Arc::new(failure.point.crash(chooser));
            vfs.set_capacity(None);
            if !self.is_troubled {
                rot(&vfs, chooser);
            }
            let engine = Engine::open_on(vfs.clone(), DATA, self.options.clone()).expect("recovery");
            let txid = engine.last_commit().txid.get();
            assert!(
                txid >= failure.acknowledged,
                "tx{txid} is left, tx{} was acknowledged",
                failure.acknowledged
            );
            let trees = self.history.at(txid).expect("what is left is a commit");
            model::compare(&engine.snapshot().expect("just opened"), trees);
            check(&engine);
            let mut txn = engine.begin_write().expect("nothing fails");
            txn.tree("behind the failure")
                .and_then(|mut tree| tree.put("a", [7; 5_000]))
                .expect("nothing fails");
            txn.commit().expect("nothing fails");
            check(&engine);
            let again = Arc::new(vfs.crash(chooser));
            drop(engine);
            let engine = Engine::open_on(again, DATA, self.options.clone()).expect("recovery");
            let snapshot = engine.snapshot().expect("just opened");
            assert!(snapshot.tree("behind the failure").expect("nothing is damaged").is_some());
        }
    }

    fn finish(mut self) {
        trouble::end(&self.vfs);
        check(self.engine());
        if let Err(error) = self.reopen() {
            // What failed before may have stopped the store without a word to us.
            self.survive(&error);
        }
        check(self.engine());
    }
}

/// Every other time, the newest generation of the meta pages rots: the one before must be as good.
fn rot(vfs: &CrashVfs, chooser: &mut Chooser) {
    if chooser.coin() && vfs.exists(Path::new(DATA)).expect("nothing fails") {
        for offset in meta::newest_of_two(&read_file(vfs, DATA)) {
            vfs.flip_bit(Path::new(DATA), offset + 100, 3).expect("inside the file");
        }
    }
}

fn delete(txn: &mut WriteTxn<'_>, trees: &mut Trees, change: &Change) -> Result<(), Error> {
    let tree = match *change {
        Change::Delete { tree, .. } | Change::DeleteRange { tree, .. } | Change::Clear { tree } => {
            tree_name(tree)
        }
        _ => return Ok(()),
    };
    let Some(mut rows) = txn.open_tree(tree)? else {
        assert!(!trees.contains_key(tree));
        return Ok(());
    };
    let expected = trees.get_mut(tree).expect("the store has it");
    match *change {
        Change::Delete { key: number, .. } => {
            let was_there = rows.delete(key(number))?;
            assert_eq!(was_there, expected.remove(&key(number)).is_some());
        }
        Change::DeleteRange { from, to, .. } => {
            let range = (bound(from, Bound::Included), bound(to, Bound::Excluded));
            let count = rows.delete_range::<Vec<u8>>(range.clone())?;
            let before = expected.len();
            let inside = |key: &Vec<u8>| std::ops::RangeBounds::contains(&range, key);
            expected.retain(|key, _| !inside(key));
            assert_eq!(count, (before - expected.len()) as u64);
        }
        _ => {
            assert_eq!(rows.clear()?, expected.len() as u64);
            *expected = BTreeMap::new();
        }
    }
    assert_eq!(rows.len(), expected.len() as u64);
    Ok(())
}

fn bound(number: Option<u16>, kind: fn(Vec<u8>) -> Bound<Vec<u8>>) -> Bound<Vec<u8>> {
    number.map_or(Bound::Unbounded, |number| kind(key(number)))
}

fn check(engine: &Engine) {
    let report = engine.check(&mut |_, _| true).expect("nothing fails");
    assert!(report.is_sound(), "{:?}", report.problems);
}
