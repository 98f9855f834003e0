//! Disks that say yes and do something else, once: a write or a sync is lost, a block is written to another place or
//! read from there.

use std::sync::{Arc, Mutex};

use llmdb_vfs::crash::{Chooser, CrashVfs, Failure as DiskFailure, Fault, OpKind, mix};

use crate::{Contents, Durability, End, Failure, Oracle, Step, Subject, Workload};

use super::{
    Config, Finding, Report, Violation, lock,
    session::{Session, Stop, guarded},
};

/// Runs the workload of a seed again and again, and each time another call is answered as if it had been done, without
/// having been done: lost, or done at the wrong place. From then on the store shows what it must, or reports the damage;
/// and so does the next process, which may miss what was acknowledged last (I10).
///
/// # Errors
/// The first violation.
pub fn run_deceits<S: Subject>(subject: &Arc<S>, config: &Config, seed: u64) -> Result<Report, Violation> {
    let run = Deceit { subject, config, seed };
    let mut report = Report { seed_count: 1, ..Report::default() };
    let violation = |Finding { invariant, what }: Finding, fault: Option<Fault>| {
        let what = fault.map_or(what.clone(), |fault| format!("{what}, with {fault:?}"));
        Violation { invariant, what, seed, point: None, state_count: 0 }
    };
    let calls = guarded(|| run.rehearse()).map_err(|finding| violation(finding, None))?;
    let deceits: Vec<Fault> = calls.iter().flat_map(|&(kind, count)| deceits_of(kind, count)).collect();
    let stride = deceits.len().div_ceil(usize::try_from(config.fault_runs_max).unwrap_or(usize::MAX)).max(1);
    let first = usize::try_from(seed / 16 % stride as u64).unwrap_or(0);
    for fault in deceits.into_iter().skip(first).step_by(stride) {
        let outcome = guarded(|| run.with(fault)).map_err(|finding| violation(finding, Some(fault)))?;
        report.damaged_count += 1;
        report.state_count += outcome.recovered_count;
        report.reported_count += u64::from(outcome.is_reported);
    }
    Ok(report)
}

fn deceits_of(kind: OpKind, count: u64) -> impl Iterator<Item = Fault> {
    use DiskFailure::{Lost, Misdirected};
    let failures: &[DiskFailure] = match kind {
        OpKind::Write | OpKind::Arrival | OpKind::Completion => &[Lost, Misdirected],
        OpKind::Sync => &[Lost],
        OpKind::Read => &[Misdirected],
        _ => &[],
    };
    let fault = move |failure, after_count| Fault { kind, after_count, fail_count: 1, failure };
    failures.iter().flat_map(move |&failure| (0..count).map(move |after_count| fault(failure, after_count)))
}

struct Deceit<'a, S> {
    subject: &'a Arc<S>,
    config: &'a Config,
    seed: u64,
}

struct Outcome {
    recovered_count: u64,
    is_reported: bool,
}

/// How far a run came that is allowed to end with a report of damage.
enum Way {
    On,
    Reported,
}

/// A report of damage ends a run in order; anything else that fails does not.
fn allow_reports(result: Result<(), Stop>) -> Result<Way, Finding> {
    match result {
        Ok(()) => Ok(Way::On),
        // A store that met damage inside a commit or a checkpoint may stop, or call it what it is.
        Err(Stop::Failed(Failure::Corrupt(_) | Failure::Stopped(_) | Failure::Io(_))) => Ok(Way::Reported),
        Err(stop) => {
            let Finding { what, .. } = stop.into_finding();
            Err(Finding::new("I10", what))
        }
    }
}

impl<S: Subject> Deceit<'_, S> {
    fn disk(&self) -> CrashVfs {
        CrashVfs::new(mix(self.seed))
    }

    fn rehearse(&self) -> Result<Vec<(OpKind, u64)>, Finding> {
        let disk = self.disk();
        let oracle = Mutex::new(Oracle::new(Contents::default(), 0));
        self.live(&disk, &oracle, u64::MAX).map_err(Stop::into_finding)?;
        Ok(OpKind::ALL.into_iter().map(|kind| (kind, disk.call_count(kind))).collect())
    }

    fn with(&self, fault: Fault) -> Result<Outcome, Finding> {
        let disk = self.disk();
        disk.plan(fault);
        let oracle = Mutex::new(Oracle::new(Contents::default(), 0));
        let mut chooser = Chooser::new(mix(self.seed ^ mix(fault.after_count)));
        let steps_after = chooser.below(5);
        let way = allow_reports(self.live(&disk, &oracle, steps_after))?;
        let mut outcome = Outcome { recovered_count: 0, is_reported: matches!(way, Way::Reported) };
        if disk.failed_count() == 0 {
            return Ok(outcome);
        }
        // The cache hides what the media has not got, until it is dropped.
        let is_kill = chooser.percent(30);
        let left = if is_kill { disk.process_crash(&mut chooser) } else { disk.crash(&mut chooser) };
        outcome.recovered_count = 1;
        let next = self.next_process(&left, &oracle, is_kill, &mut chooser);
        outcome.is_reported |= matches!(allow_reports(next)?, Way::Reported);
        Ok(outcome)
    }

    /// The workload, up to a few steps behind the deceit.
    fn live(&self, disk: &CrashVfs, oracle: &Mutex<Oracle>, mut steps_after: u64) -> Result<(), Stop> {
        let mut session = Session::open(&**self.subject, disk)?;
        let mut workload = Workload::new(Chooser::new(mix(!self.seed)));
        for _ in 0..self.config.step_count {
            if disk.failed_count() > 0 {
                if steps_after == 0 {
                    return session.look(oracle);
                }
                steps_after -= 1;
            }
            match workload.next_step() {
                Step::Reopen => {
                    session.close()?;
                    lock(oracle).ack_all();
                    session = Session::open(&**self.subject, disk)?;
                    let found = self.find(&mut session, oracle)?;
                    lock(oracle).settle(found, true);
                }
                Step::Kill | Step::PowerCut => {}
                step => session.step(&step, oracle)?,
            }
        }
        session.look(oracle)
    }

    /// What the next process finds, it can go on from; and the one after it finds that.
    fn next_process(
        &self,
        disk: &CrashVfs,
        oracle: &Mutex<Oracle>,
        is_kill: bool,
        chooser: &mut Chooser,
    ) -> Result<(), Stop> {
        let mut session = Session::open(&**self.subject, disk)?;
        let found = self.find(&mut session, oracle)?;
        lock(oracle).settle(found, !is_kill);
        session.check()?;
        let mut workload = Workload::new(chooser.fork());
        for _ in 0..2 {
            let mut transaction = workload.transaction();
            transaction.end = End::Commit(Durability::Immediate);
            session.transact(&transaction, oracle)?;
        }
        session.look(oracle)?;
        let mut session = Session::open(&**self.subject, &disk.crash(chooser))?;
        self.find(&mut session, oracle)?;
        Ok(session.check()?)
    }

    /// Which state is found: one of those that damage may leave.
    fn find(&self, session: &mut Session<S>, oracle: &Mutex<Oracle>) -> Result<usize, Stop> {
        let shown = session.visible()?;
        let oracle = lock(oracle);
        oracle.find(shown, oracle.after_damage()).map_err(|what| Stop::Broken(Finding::new("I10", what)))
    }
}
