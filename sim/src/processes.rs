//! Several processes with one store open on one crashable disk, killed at any call, until the power fails.
//!
//! Each process is a thread with an engine of its own. One of them runs at a time, and at every call of the disk or
//! of the shared area chance decides who goes on, and whether the one that calls is killed. So a seed is the whole run.
//!
//! | # | invariant |
//! |---|---|
//! | I1 | whoever begins to write finds the state of the last acknowledged commit, or the one more that a killed process had submitted; and so does whoever opens the store after a power failure |
//! | I2 | it is that state exactly, in all trees |
//! | I3 | the store's own check finds nothing, after a power failure and at the end |
//! | I7 | transaction numbers ascend over all processes |
//! | I8 | a snapshot never changes while it is held, whoever writes |
//! | I8b | a snapshot shows what was acknowledged, or seen by anybody, before it was taken |

mod baton;
mod member;
mod model;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use llmdb_base::plant::Bug;
use llmdb_vfs::crash::{Chooser, CrashVfs, mix};

use self::{baton::Baton, member::Member, model::Model};

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Processes {
    /// How many processes there are at a time.
    pub process_count: usize,
    /// How many steps each makes: a transaction, a look, opening, closing.
    pub step_count: usize,
    /// One of how many calls kills the process that makes it; 0 for none.
    pub kill_one_in: u64,
    /// One of how many calls is a moment at which the power may fail; 0 for none.
    pub crash_one_in: u64,
    /// How many of 100 calls let another process go on.
    pub switch_percent: u64,
    /// A bug to plant in all processes.
    pub bug: Option<Bug>,
}

impl Default for Processes {
    fn default() -> Self {
        Self {
            process_count: 2,
            step_count: 60,
            kill_one_in: 1500,
            crash_one_in: 1500,
            switch_percent: 20,
            bug: None,
        }
    }
}

/// What a run has seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ProcessReport {
    /// Commits that were acknowledged.
    pub commit_count: u64,
    /// Snapshots that were compared.
    pub look_count: u64,
    /// Processes that were killed.
    pub kill_count: u64,
    /// Of these, those that had submitted a transaction.
    pub unheard_count: u64,
    /// Stores that were opened after a power failure.
    pub crash_count: u64,
    /// Calls.
    pub call_count: u64,
}

/// An invariant that does not hold, and the seed that shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// The seed of the run.
    pub seed: u64,
    /// What was found.
    pub what: String,
    /// What was seen before.
    pub report: ProcessReport,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {} (after {:?})", self.seed, self.what, self.report)
    }
}

impl Processes {
    /// Runs the processes as `seed` has it.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn run(&self, seed: u64) -> Result<ProcessReport, Box<Broken>> {
        let disk = CrashVfs::new(mix(seed));
        let mut chooser = Chooser::new(seed);
        let world = Arc::new(World {
            config: self.clone(),
            baton: Baton::new(self.process_count, chooser.fork()),
            model: Mutex::new(Model::default()),
            chooser: Mutex::new(chooser.fork()),
        });
        world.observe(&disk);
        std::thread::scope(|scope| {
            for index in 0..self.process_count {
                let (world, disk, chooser) = (Arc::clone(&world), disk.clone(), chooser.fork());
                scope.spawn(move || Member::new(world, disk, index, chooser).run(self.step_count));
            }
        });
        disk.observe(None);
        world.at_the_end(&disk);
        let model = world.model();
        match &model.broken {
            Some(what) => Err(Box::new(Broken { seed, what: what.clone(), report: model.report })),
            None => Ok(model.report),
        }
    }
}

/// What all processes of a run have in common, and none of them knows.
struct World {
    config: Processes,
    baton: Baton,
    model: Mutex<Model>,
    chooser: Mutex<Chooser>,
}

/// How many calls without a commit, a look or an end of a process are too many.
const CALLS_MAX: u64 = 2_000_000;

impl World {
    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chooser(&self) -> MutexGuard<'_, Chooser> {
        self.chooser.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has each call of a process kill it, fail the power, or let another one go on.
    fn observe(self: &Arc<Self>, disk: &CrashVfs) {
        let world = Arc::clone(self);
        disk.observe(Some(Arc::new(move |disk, op| {
            let is_over = {
                let mut model = world.model();
                model.report.call_count += 1;
                model.quiet_count += 1;
                if model.quiet_count > CALLS_MAX {
                    model.broken(format!(
                        "nobody gets any further; process {} calls {:?}",
                        op.process, op.kind
                    ));
                }
                model.broken.is_some()
            };
            let one_in = |count: u64| count > 0 && world.chooser().below(count) == 0;
            if is_over || one_in(world.config.kill_one_in) {
                world.model().killed();
                disk.kill();
                return;
            }
            if one_in(world.config.crash_one_in) {
                world.crash(disk);
            }
            let switches = world.chooser().percent(world.config.switch_percent);
            if switches {
                world.baton.pass();
            }
        })));
    }

    /// Opens a disk as it may be found if the power fails now.
    fn crash(&self, disk: &CrashVfs) {
        let crashed = disk.crash(&mut self.chooser().fork());
        let found = member::recover(&crashed, self.config.bug);
        let mut model = self.model();
        model.report.crash_count += 1;
        match found {
            Ok(digest) => model.found_after_crash(digest),
            Err(what) => model.broken(format!("after a power failure: {what}")),
        }
    }

    fn at_the_end(&self, disk: &CrashVfs) {
        if self.model().broken.is_some() {
            return;
        }
        let found = member::recover(&disk.process(), self.config.bug);
        let mut model = self.model();
        match found {
            Ok(digest) => model.begins_to_write(digest),
            Err(what) => model.broken(format!("at the end: {what}")),
        }
    }
}
