//! Lets one call of a run fail, each in its turn, and looks at what the store makes of it.

use std::sync::{Arc, Mutex};

use llmdb_vfs::crash::{Chooser, CrashVfs, Failure as DiskFailure, Fault, OpKind, mix};

use crate::{Change, Contents, Durability, End, Failure, Oracle, Step, Subject, Transaction, Workload};

use crate::workload::PROBE_TREE;

use super::{
    Config, Finding, Report, Violation, lock,
    session::{Session, Stop, guarded},
};

/// Runs the workload of a seed again and again, and lets another call fail each time: every call of every kind, in
/// every way that makes sense, if [`Config::fault_runs_max`] allows for that many. After a failure the store must
/// go on rightly or stop, and be found whole by the next process.
///
/// # Errors
/// The first violation.
pub fn run_faults<S: Subject>(subject: &Arc<S>, config: &Config, seed: u64) -> Result<Report, Violation> {
    let run = FaultRun { subject, config, seed, steps_after_max: 4 };
    let mut report = Report { seed_count: 1, ..Report::default() };
    let violation = |Finding { invariant, what }: Finding, fault: Option<Fault>| {
        let what = fault.map_or(what.clone(), |fault| format!("{what}, with {fault:?}"));
        Violation { invariant, what, seed, point: None, state_count: 0 }
    };
    let calls = run.rehearse().map_err(|finding| violation(finding, None))?;
    let faults: Vec<Fault> = calls.iter().flat_map(|&(kind, count)| faults_of(kind, count)).collect();
    let stride = faults.len().div_ceil(usize::try_from(config.fault_runs_max).unwrap_or(usize::MAX)).max(1);
    let first = usize::try_from(seed % stride as u64).unwrap_or(0);
    for fault in faults.into_iter().skip(first).step_by(stride) {
        let done = guarded(|| run.with(fault)).map_err(|finding| violation(finding, Some(fault)))?;
        report.state_count += done.recovered_count;
        report.failed_count += done.failed_count;
    }
    Ok(report)
}

/// Runs the workload of a seed on disks that are too small for it. A transaction that finds no space must leave
/// nothing behind, and the store must go on or stop; once there is space, the next process must find it whole.
///
/// # Errors
/// The first violation.
pub fn run_full_disk<S: Subject>(subject: &Arc<S>, config: &Config, seed: u64) -> Result<Report, Violation> {
    let run = FaultRun { subject, config, seed, steps_after_max: u64::MAX };
    let mut report = Report { seed_count: 1, ..Report::default() };
    let violation = |Finding { invariant, what }: Finding| Violation {
        invariant,
        what: format!("{what}, on a full disk"),
        seed,
        point: None,
        state_count: 0,
    };
    let used = guarded(|| run.space_needed()).map_err(violation)?;
    for step in 0..config.fault_runs_max.min(used / 4096) {
        // From hardly anything to hardly too little.
        let capacity = (used / 4096) * (step + 1) / (config.fault_runs_max.min(used / 4096) + 1) * 4096;
        let done = guarded(|| run.on_disk_of(capacity)).map_err(violation)?;
        report.state_count += done.recovered_count;
        report.failed_count += done.failed_count;
    }
    Ok(report)
}

struct FaultRun<'a, S> {
    subject: &'a Arc<S>,
    config: &'a Config,
    seed: u64,
    /// A store that goes on as if nothing had happened is stopped before that many steps: a checkpoint would cover
    /// its tracks.
    steps_after_max: u64,
}

struct Done {
    recovered_count: u64,
    failed_count: u64,
}

/// All ways in which one of `count` calls of a kind may fail.
fn faults_of(kind: OpKind, count: u64) -> impl Iterator<Item = Fault> {
    use DiskFailure::{Interrupted, Io, NoSpace, Short};
    let failures: &[DiskFailure] = match kind {
        OpKind::Read => &[Io, Interrupted, Short],
        OpKind::Write => &[Io, NoSpace, Interrupted, Short],
        OpKind::Open | OpKind::Allocate | OpKind::Completion => &[Io, NoSpace],
        _ => &[Io],
    };
    let fault = move |failure, after_count| Fault { kind, after_count, fail_count: 1, failure };
    failures.iter().flat_map(move |&failure| (0..count).map(move |after_count| fault(failure, after_count)))
}

impl<S: Subject> FaultRun<'_, S> {
    fn disk(&self) -> CrashVfs {
        CrashVfs::new(mix(self.seed))
    }

    fn workload(&self) -> Workload {
        Workload::new(Chooser::new(mix(!self.seed)))
    }

    /// Counts the calls of a run in which nothing fails.
    fn rehearse(&self) -> Result<Vec<(OpKind, u64)>, Finding> {
        let disk = self.disk();
        let oracle = Mutex::new(Oracle::new(Contents::default(), 0));
        let session = self.open(&disk)?;
        self.steps(session, &disk, &oracle).map_err(Stop::into_finding)?;
        Ok(OpKind::ALL.into_iter().map(|kind| (kind, disk.call_count(kind))).collect())
    }

    /// One run in which one call fails.
    fn with(&self, fault: Fault) -> Result<Done, Finding> {
        let disk = self.disk();
        disk.plan(fault);
        self.run(&disk, fault.after_count)
    }

    /// Space that a run takes in the end, in bytes.
    fn space_needed(&self) -> Result<u64, Finding> {
        let disk = self.disk();
        let oracle = Mutex::new(Oracle::new(Contents::default(), 0));
        self.steps(self.open(&disk)?, &disk, &oracle).map_err(Stop::into_finding)?;
        Ok(disk.used_bytes())
    }

    /// One run with little space.
    fn on_disk_of(&self, capacity: u64) -> Result<Done, Finding> {
        let disk = self.disk();
        disk.set_capacity(Some(capacity));
        self.run(&disk, capacity)
    }

    fn run(&self, disk: &CrashVfs, seed: u64) -> Result<Done, Finding> {
        let oracle = Mutex::new(Oracle::new(Contents::default(), 0));
        let ended = match Session::open(&**self.subject, disk) {
            Ok(session) => self.steps(session, disk, &oracle),
            Err(failure) => Err(Stop::Failed(failure)),
        };
        match ended {
            Err(Stop::Broken(finding)) => return Err(finding),
            Err(Stop::Failed(failure)) if disk.failed_count() == 0 => return Err(super::unplanned(&failure)),
            Err(Stop::Failed(Failure::Corrupt(what))) => {
                return Err(Finding::new("I10", format!("a failed call was taken for damage: {what}")));
            }
            Err(Stop::Failed(_)) | Ok(()) => {}
        }
        disk.set_capacity(None);
        self.next_processes(disk, &oracle, seed)?;
        Ok(Done { recovered_count: 2, failed_count: disk.failed_count() })
    }

    /// The workload, up to a failure after which the store does not go on.
    fn steps(&self, mut session: Session<S>, disk: &CrashVfs, oracle: &Mutex<Oracle>) -> Result<(), Stop> {
        let mut workload = self.workload();
        let mut steps_left = Chooser::new(self.seed).below(self.steps_after_max);
        for _ in 0..self.config.step_count {
            if disk.failed_count() > 0 {
                if steps_left == 0 {
                    return session.look(oracle);
                }
                steps_left -= 1;
            }
            match workload.next_step() {
                Step::Reopen => {
                    session.close()?;
                    lock(oracle).ack_all();
                    session = Session::open(&**self.subject, disk)?;
                }
                Step::Kill | Step::PowerCut => {}
                step => {
                    let certain = lock(oracle).submitted();
                    match session.step(&step, oracle) {
                        // Refused in order: the store goes on as if nothing had been asked.
                        Err(Stop::Failed(Failure::NoSpace(_))) if disk.failed_count() > 0 => {
                            session.look(oracle)?;
                        }
                        Err(Stop::Failed(failure)) if disk.failed_count() > 0 => {
                            after_failure(session, oracle, certain)?;
                            return Err(Stop::Failed(failure));
                        }
                        other => other?,
                    }
                }
            }
        }
        session.look(oracle)?;
        session.close()?;
        lock(oracle).ack_all();
        Ok(())
    }

    fn open(&self, disk: &CrashVfs) -> Result<Session<S>, Finding> {
        let explain = |failure| Finding::new("I1", format!("after a failure, recovery failed: {failure}"));
        Session::open(&**self.subject, disk).map_err(explain)
    }

    /// The next process finds a state that may be; it goes on, the power fails, and the one after it does so, too.
    fn next_processes(&self, disk: &CrashVfs, oracle: &Mutex<Oracle>, seed: u64) -> Result<(), Finding> {
        let mut chooser = Chooser::new(mix(self.seed ^ seed));
        let is_kill = chooser.coin();
        let disk = if is_kill { disk.process_crash(&mut chooser) } else { disk.crash(&mut chooser) };
        let mut session = self.open(&disk)?;
        let shown = session.visible().map_err(Stop::into_finding)?;
        {
            let mut oracle = lock(oracle);
            let found = oracle.find(shown, oracle.after_crash()).map_err(|what| Finding::new("I1", what))?;
            oracle.settle(found, !is_kill);
        }
        session.check().map_err(|failure| Finding::new("I3", failure.to_string()))?;
        let mut workload = Workload::new(chooser.fork());
        for _ in 0..3 {
            let mut transaction = workload.transaction();
            transaction.end = End::Commit(Durability::Immediate);
            session.transact(&transaction, oracle).map_err(Stop::into_finding)?;
        }
        session.look(oracle).map_err(Stop::into_finding)?;
        let mut session = self.open(&disk.crash(&mut chooser))?;
        let shown = session.visible().map_err(Stop::into_finding)?;
        let oracle = lock(oracle);
        let explain = |what| Finding::new("I1", format!("{what}, two processes after a failure"));
        oracle.find(shown, oracle.after_crash()).map_err(explain)?;
        session.check().map_err(|failure| Finding::new("I3", failure.to_string()))
    }
}

/// I7: a store that failed shows a committed state, and if it still acknowledges a commit, it keeps it. The first
/// `certain` commits were through when it failed; one more may be.
fn after_failure<S: Subject>(
    mut session: Session<S>,
    oracle: &Mutex<Oracle>,
    certain: usize,
) -> Result<(), Stop> {
    let broken = |what: String| Stop::Broken(Finding::new("I7", format!("{what}, in the store that failed")));
    let before = lock(oracle).clone();
    match session.visible() {
        Ok(shown) => drop(before.find(shown, certain..=before.submitted()).map_err(broken)?),
        Err(Stop::Failed(Failure::Corrupt(what))) => return Err(broken(what)),
        Err(Stop::Failed(_)) => {}
        Err(stop) => return Err(stop),
    }
    let value: Arc<[u8]> = b"after the failure"[..].into();
    let change = Change::Put { tree: PROBE_TREE, key: b"probe".to_vec(), value };
    let probe = Transaction { changes: vec![change], end: End::Commit(Durability::Immediate) };
    match session.transact(&probe, oracle) {
        Ok(()) => {}
        Err(Stop::Failed(Failure::Stopped(_))) => {
            lock(oracle).retract();
            return Ok(());
        }
        Err(Stop::Failed(_)) => return Ok(()),
        Err(stop) => return Err(stop),
    }
    // Whether the transaction that failed is in, the store decides by what it shows; then it must keep to that.
    let shown = session.visible()?;
    let mut without = before.state(certain).clone();
    without.apply(&probe.changes);
    if shown == without.digest() {
        let mut decided = before;
        decided.settle(certain, false);
        decided.submit(without);
        decided.ack_all();
        *lock(oracle) = decided;
    }
    session.look(oracle)
}
