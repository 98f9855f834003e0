//! Runs a store on a crashable disk, and looks at what recovery makes of every moment at which the power may fail.
//!
//! | # | invariant checked after a recovery |
//! |---|---|
//! | I1 | the state is one of those between the last acknowledged commit and the last submitted one |
//! | I2 | it is that state exactly: every transaction whole, in all trees |
//! | I3 | the store's own check of its structure finds nothing |
//! | I5 | it is the same without one of the roots, or without all roots of the newest generation |
//! | I6 | recovery can be cut short and repeated, and leads to the same state |
//! | I7 | transaction numbers ascend for ever; nothing is acknowledged that is not durable, also after a failure |
//! | I8 | a snapshot never changes |
//! | I9 | a recovery replays a bounded part of the log, and the data file stays within a bound of what it holds |
//! | I10 | with a flipped bit or a misdirected write, the answer is right or the damage is reported |
//!
//! Everything follows from one seed. [`Violation`] says which, and which moment of the run.

mod deceit;
mod examine;
mod faults;
mod report;
mod session;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use llmdb_vfs::crash::{Chooser, CrashVfs, Observer, mix};

use crate::{Contents, Failure, Oracle, Profile, Step, Subject, Workload};

pub use deceit::run_deceits;
pub use faults::{run_faults, run_full_disk};
pub use report::Report;

use session::{Session, Stop, guarded};

/// How much is examined, and where.
#[derive(Clone, Debug)]
pub struct Config {
    /// The first seed; the others follow it.
    pub seed: u64,
    /// Whether `seed` is the only one.
    pub only_seed: bool,
    /// How many crash states are recovered, about, over all seeds.
    pub states_wanted: u64,
    /// The only moment to examine, of the only seed.
    pub only_point: Option<Point>,
    /// How many steps of a workload make a run.
    pub step_count: usize,
    /// How many of 100 moments are examined.
    pub point_percent: u64,
    /// How many crash states of a moment are recovered, if there are too many for all of them.
    pub states_per_point: u64,
    /// If there are no more crash states of a moment than this, all of them are recovered.
    pub exhaustive_max: u64,
    /// How many of 100 recoveries are themselves cut short.
    pub nest_percent: u64,
    /// How many crashes follow each other without a complete recovery between them.
    pub depth_max: u32,
    /// How many of 100 crash states are recovered again with a destroyed root, a flipped bit, after another
    /// crash, or are gone on with: each of these.
    pub follow_percent: u64,
    /// Whether the disk promises durability without giving it. Then what was acknowledged may go, but what is found
    /// must still be a state that was, or the damage must be reported.
    pub disk_lies: bool,
    /// Whether a single call is answered without being done, as [`run_deceits`] does it.
    pub deceits: bool,
    /// How many runs with a failing call [`run_faults`] makes, and [`run_deceits`], at most.
    pub fault_runs_max: u64,
}

impl Default for Config {
    /// A few thousand states, and all kinds of examination.
    fn default() -> Self {
        Self {
            seed: 1,
            only_seed: false,
            states_wanted: 5_000,
            only_point: None,
            step_count: 40,
            point_percent: 50,
            states_per_point: 3,
            exhaustive_max: 16,
            nest_percent: 10,
            depth_max: 3,
            follow_percent: 15,
            disk_lies: false,
            deceits: false,
            fault_runs_max: 1_000,
        }
    }
}

impl Config {
    /// This configuration, with what the environment says: `LLMDB_SIM_SEED` is the only seed to run,
    /// `LLMDB_SIM_POINT` the only moment of it to examine, `LLMDB_SIM_STATES` the number of states to recover.
    pub fn from_env(mut self) -> Self {
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        self.states_wanted = number("LLMDB_SIM_STATES").unwrap_or(self.states_wanted);
        if let Some(seed) = number("LLMDB_SIM_SEED") {
            (self.seed, self.only_seed) = (seed, true);
            self.only_point = std::env::var("LLMDB_SIM_POINT").ok().and_then(|text| Point::decode(&text));
        }
        self
    }
}

/// A moment of a run: before the call `op_index` of the process `life`, both counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Point {
    /// Which process: each restart begins a new one, on a new disk.
    pub life: u64,
    /// Which call that changes something.
    pub op_index: u64,
}

impl Point {
    /// The moment that a report names.
    pub fn decode(text: &str) -> Option<Self> {
        let (life, op_index) = text.split_once(':')?;
        Some(Self { life: life.parse().ok()?, op_index: op_index.parse().ok()? })
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.life, self.op_index)
    }
}

/// An invariant that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Finding {
    invariant: &'static str,
    what: String,
}

impl Finding {
    fn new(invariant: &'static str, what: impl Into<String>) -> Self {
        Self { invariant, what: what.into() }
    }
}

/// An invariant that does not hold, and where to see it again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which invariant: "I1" and so on; "panic" if the store panicked.
    pub invariant: &'static str,
    /// What was found.
    pub what: String,
    /// The seed of the run.
    pub seed: u64,
    /// The moment, if it was a crash.
    pub point: Option<Point>,
    /// How many crash states of this seed were recovered before.
    pub state_count: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} violated: {}", self.invariant, self.what)?;
        write!(f, "to see it again: LLMDB_SIM_SEED={}", self.seed)?;
        self.point.map_or(Ok(()), |point| write!(f, " LLMDB_SIM_POINT={point}"))
    }
}

impl std::error::Error for Violation {}

/// Runs seed after seed until enough crash states were recovered.
///
/// # Errors
/// The first violation.
pub fn run_states<S: Subject>(subject: &Arc<S>, config: &Config) -> Result<Report, Violation> {
    let mut report = Report::default();
    for seed in config.seed.. {
        report.add(&run_seed(subject, config, seed)?);
        if report.state_count >= config.states_wanted || config.only_seed {
            break;
        }
    }
    Ok(report)
}

/// Runs one seed.
///
/// # Errors
/// The first violation.
pub fn run_seed<S: Subject>(subject: &Arc<S>, config: &Config, seed: u64) -> Result<Report, Violation> {
    let run = Arc::new(Run {
        subject: Arc::clone(subject),
        config: config.clone(),
        seed,
        profile: Profile::draw(&mut Chooser::new(mix(!seed))),
        life: Mutex::new(0),
        oracle: Mutex::new(Oracle::new(Contents::default(), 0)),
        report: Mutex::default(),
        violation: Mutex::default(),
    });
    if let Err(finding) = guarded(|| run.live()) {
        run.note(&finding, None);
    }
    let violation = lock(&run.violation).take();
    lock(&run.report).seed_count = 1;
    let report = *lock(&run.report);
    violation.map_or(Ok(report), Err)
}

/// One seed under way. The observers of its disks share it.
struct Run<S> {
    subject: Arc<S>,
    config: Config,
    seed: u64,
    /// The manner of its workload.
    profile: Profile,
    life: Mutex<u64>,
    oracle: Mutex<Oracle>,
    report: Mutex<Report>,
    violation: Mutex<Option<Violation>>,
}

impl<S: Subject> Run<S> {
    /// Steps of a workload, with crashes examined at their calls, over several lives of the store.
    fn live(self: &Arc<Self>) -> Result<(), Finding> {
        let mut chooser = Chooser::new(mix(self.seed));
        let mut workload = Workload::with_profile(self.profile.clone(), chooser.fork());
        let mut disk = CrashVfs::new(chooser.next_u64());
        disk.set_sync_lies(self.config.disk_lies);
        disk.observe(Some(self.observer()));
        let mut session = self.open(&disk)?;
        for _ in 0..self.config.step_count {
            if self.is_over() {
                return Ok(());
            }
            let step = workload.next_step();
            let next = match step {
                Step::Kill => disk.process_crash(&mut chooser),
                // After a lie, nobody knows what the next life may find.
                Step::PowerCut if self.config.disk_lies => continue,
                Step::PowerCut => disk.crash(&mut chooser),
                Step::Reopen => {
                    session.close().map_err(|failure| unplanned(&failure))?;
                    lock(&self.oracle).ack_all();
                    session = self.reopen(&disk, false)?;
                    continue;
                }
                _ => {
                    session.step(&step, &self.oracle).map_err(Stop::into_finding)?;
                    continue;
                }
            };
            // What the old process does while it is dropped no longer matters.
            disk.observe(None);
            drop(session);
            disk = next;
            *lock(&self.life) += 1;
            disk.observe(Some(self.observer()));
            session = self.reopen(&disk, step == Step::PowerCut)?;
        }
        self.examine_point(&disk, disk.op_count());
        session.close().map_err(|failure| unplanned(&failure))?;
        lock(&self.oracle).ack_all();
        self.examine_point(&disk, disk.op_count());
        Ok(())
    }

    fn open(&self, disk: &CrashVfs) -> Result<Session<S>, Finding> {
        Session::open(&*self.subject, disk).map_err(|failure| Finding::new("I1", format!("open: {failure}")))
    }

    /// Opens what the last process left, and finds out which state that is.
    fn reopen(&self, disk: &CrashVfs, is_durable: bool) -> Result<Session<S>, Finding> {
        let mut session = self.open(disk)?;
        let digest = session.visible().map_err(Stop::into_finding)?;
        let mut oracle = lock(&self.oracle);
        let found = oracle.find(digest, oracle.after_crash()).map_err(|what| Finding::new("I1", what))?;
        oracle.settle(found, is_durable);
        Ok(session)
    }

    fn observer(self: &Arc<Self>) -> Observer {
        let run = Arc::clone(self);
        Arc::new(move |disk, op| run.examine_point(disk, op.index))
    }

    fn is_over(&self) -> bool {
        lock(&self.violation).is_some()
    }

    fn note(&self, finding: &Finding, point: Option<Point>) {
        let Finding { invariant, what } = finding.clone();
        let (seed, state_count) = (self.seed, lock(&self.report).state_count);
        lock(&self.violation).get_or_insert(Violation { invariant, what, seed, point, state_count });
    }

    fn count(&self, count: impl FnOnce(&mut Report)) {
        count(&mut lock(&self.report));
    }
}

/// A failure that nobody planned.
fn unplanned(failure: &Failure) -> Finding {
    Finding::new("I1", format!("a call failed on a sound disk: {failure}"))
}

/// A mutex of a run: whole whenever it is not locked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
