//! Recovers what a crash left, and compares it with what it must be.

use std::{
    ops::RangeInclusive,
    sync::{Arc, Mutex},
};

use llmdb_vfs::{
    Create, Open, Vfs,
    crash::{Chooser, CrashVfs, mix},
};

use crate::{Digest, Durability, End, Failure, Oracle, Profile, RootSlot, Step, Subject, Workload};

use super::{
    Finding, Point, Run, lock,
    session::{Session, Stop, guarded},
};

/// What a crash left, and what recovery may make of it.
struct Left<'a> {
    disk: CrashVfs,
    oracle: &'a Oracle,
    allowed: RangeInclusive<usize>,
    /// Whether the power failed: then nothing waits for a sync, and the next crash can take nothing away.
    by_power: bool,
    depth: u32,
}

impl<S: Subject> Run<S> {
    /// Examines the crash states of this moment, if it is one to examine.
    pub(super) fn examine_point(self: &Arc<Self>, disk: &CrashVfs, op_index: u64) {
        let point = Point { life: *lock(&self.life), op_index };
        let mut chooser = Chooser::new(mix(self.seed ^ mix(point.life << 40 | op_index)));
        let is_drawn = chooser.percent(self.config.point_percent);
        if self.is_over() || !self.config.only_point.map_or(is_drawn, |only| only == point) {
            return;
        }
        self.count(|report| report.point_count += 1);
        let oracle = lock(&self.oracle);
        if let Err(finding) = guarded(|| self.examine_all(disk, &oracle, &mut chooser)) {
            self.note(&finding, Some(point));
        }
    }

    fn examine_all(
        self: &Arc<Self>,
        disk: &CrashVfs,
        oracle: &Oracle,
        chooser: &mut Chooser,
    ) -> Result<(), Finding> {
        if self.config.disk_lies {
            return self.examine_lie(disk, oracle, chooser);
        }
        let left = |disk, by_power| Left { disk, oracle, allowed: oracle.after_crash(), by_power, depth: 0 };
        let moment = disk.crash_point();
        if let Some(states) = moment.states(self.config.exhaustive_max) {
            self.count(|report| report.exhaustive_count += 1);
            for state in states {
                self.examine(&left(state, true), &mut chooser.fork())?;
            }
        } else {
            for _ in 0..self.config.states_per_point {
                let state = moment.crash(chooser);
                self.examine(&left(state, true), &mut chooser.fork())?;
            }
        }
        if chooser.percent(self.config.follow_percent) {
            self.count(|report| report.killed_count += 1);
            self.examine(&left(disk.process_crash(chooser), false), &mut chooser.fork())?;
        }
        Ok(())
    }

    /// A disk that promised what it did not keep: some earlier state is found, or the damage is reported.
    fn examine_lie(&self, disk: &CrashVfs, oracle: &Oracle, chooser: &mut Chooser) -> Result<(), Finding> {
        for _ in 0..self.config.states_per_point {
            let disk = disk.crash(chooser);
            self.count(|report| report.state_count += 1);
            match self.look(&disk, oracle, 0..=oracle.submitted()) {
                Ok(()) => {}
                Err(Stop::Failed(Failure::Corrupt(_))) => self.count(|report| report.reported_count += 1),
                Err(stop) => return Err(stop.into_finding()),
            }
        }
        Ok(())
    }

    fn examine(self: &Arc<Self>, left: &Left<'_>, chooser: &mut Chooser) -> Result<(), Finding> {
        let before = left.disk.fork();
        let mut session = self.recover(&left.disk, "I1")?;
        let found = self.compare(&mut session, left)?;
        session.check().map_err(|failure| Finding::new("I3", failure.to_string()))?;
        if let Some(footprint) = session.footprint().map_err(|failure| super::unplanned(&failure))? {
            left.oracle.check_footprint(&footprint).map_err(|what| Finding::new("I9", what))?;
        }
        let state = left.oracle.state(found);
        if left.by_power && left.depth < self.config.depth_max && chooser.percent(self.config.nest_percent) {
            let base = left.oracle.found(found);
            self.cut_short(&before, base, left.depth + 1, chooser)?;
        }
        if chooser.percent(self.config.follow_percent) {
            self.destroy_roots(&before, state.digest(), chooser)?;
        }
        if left.depth == 0 && chooser.percent(self.config.follow_percent) {
            self.damage(&before, left, chooser)?;
        }
        if chooser.percent(self.config.follow_percent) {
            return self.again(session, left, found, chooser);
        }
        if chooser.percent(self.config.follow_percent) {
            self.go_on(session, left, found, chooser)?;
        }
        Ok(())
    }

    fn recover(&self, disk: &CrashVfs, invariant: &'static str) -> Result<Session<S>, Finding> {
        self.count(|report| report.state_count += 1);
        let explain = |failure: Failure| Finding::new(invariant, format!("recovery failed: {failure}"));
        Session::open(&*self.subject, disk).map_err(explain)
    }

    /// Which of the allowed states the store shows.
    fn compare(&self, session: &mut Session<S>, left: &Left<'_>) -> Result<usize, Finding> {
        let digest = session.visible().map_err(Stop::into_finding)?;
        let invariant = if left.depth > 0 { "I6" } else { "I1" };
        let explain = |what: String| Finding::new(invariant, format!("{what}{}", depth_note(left.depth)));
        left.oracle.find(digest, left.allowed.clone()).map_err(explain)
    }

    /// I6: crashes while the store recovers; whatever they leave must recover to the same state.
    fn cut_short(
        self: &Arc<Self>,
        before: &CrashVfs,
        base: Oracle,
        depth: u32,
        chooser: &mut Chooser,
    ) -> Result<(), Finding> {
        let disk = before.fork();
        let (run, result) = (Arc::clone(self), Arc::new(Mutex::new(Ok(()))));
        let (inner, choices) = (Arc::clone(&result), Mutex::new(chooser.fork()));
        disk.observe(Some(Arc::new(move |disk, _| {
            let mut chooser = lock(&choices).fork();
            if lock(&inner).is_err() || !chooser.percent(25) {
                return;
            }
            run.count(|report| report.nested_count += 1);
            let disk = disk.crash(&mut chooser);
            let left = Left { disk, oracle: &base, allowed: base.after_crash(), by_power: true, depth };
            let examined = guarded(|| run.examine(&left, &mut chooser));
            *lock(&inner) = examined;
        })));
        drop(self.recover(&disk, "I6")?);
        disk.observe(None);
        let result = lock(&result);
        result.clone()
    }

    /// I5: without some of its roots, the store must recover to the same state.
    fn destroy_roots(
        &self,
        before: &CrashVfs,
        expected: Digest,
        chooser: &mut Chooser,
    ) -> Result<(), Finding> {
        let slots = self.subject.root_slots(before);
        let doomed = doomed(&slots, chooser);
        if doomed.is_empty() {
            return Ok(());
        }
        self.count(|report| report.destroyed_count += 1);
        let disk = before.fork();
        doomed.iter().for_each(|slot| slot.destroy(&disk, chooser));
        let mut session = self.recover(&disk, "I5")?;
        let found = session.visible().map_err(Stop::into_finding)?;
        if found == expected {
            return session.check().map_err(|failure| Finding::new("I5", failure.to_string()));
        }
        Err(Finding::new("I5", format!("another state is found without {doomed:?}")))
    }

    /// I10: damage is noticed, or makes no difference.
    fn damage(&self, before: &CrashVfs, left: &Left<'_>, chooser: &mut Chooser) -> Result<(), Finding> {
        let disk = before.fork();
        let Some(what) = damage_disk(&disk, chooser) else { return Ok(()) };
        self.count(|report| report.damaged_count += 1);
        self.count(|report| report.state_count += 1);
        let looked = self.look(&disk, left.oracle, left.oracle.after_damage());
        if looked.as_ref().is_err_and(|stop| matches!(stop, Stop::Failed(Failure::Corrupt(_)))) {
            self.count(|report| report.reported_count += 1);
            return Ok(());
        }
        let explain = |found: Finding| Finding::new("I10", format!("{}, after {what}", found.what));
        looked.map_err(|stop| explain(stop.into_finding()))
    }

    /// Opens a disk that may be damaged, and looks at everything.
    fn look(&self, disk: &CrashVfs, oracle: &Oracle, allowed: RangeInclusive<usize>) -> Result<(), Stop> {
        let mut session = Session::open(&*self.subject, disk)?;
        let digest = session.visible()?;
        oracle.find(digest, allowed).map_err(|what| Stop::Broken(Finding::new("I10", what)))?;
        Ok(session.check()?)
    }

    /// I6: another crash, or an orderly close, right after recovery.
    fn again(
        &self,
        session: Session<S>,
        left: &Left<'_>,
        found: usize,
        chooser: &mut Chooser,
    ) -> Result<(), Finding> {
        let allowed = if left.by_power { found } else { *left.allowed.start() }..=found;
        let (disk, allowed) = if chooser.coin() {
            (left.disk.crash(chooser), allowed)
        } else {
            session.close().map_err(|failure| super::unplanned(&failure))?;
            (left.disk.crash(chooser), found..=found)
        };
        let left = Left { disk, oracle: left.oracle, allowed, by_power: true, depth: left.depth + 1 };
        self.compare(&mut self.recover(&left.disk, "I6")?, &left).map(drop)
    }

    /// I1, I7: the recovered store is used, and the power is cut again.
    fn go_on(
        &self,
        mut session: Session<S>,
        left: &Left<'_>,
        found: usize,
        chooser: &mut Chooser,
    ) -> Result<(), Finding> {
        self.count(|report| report.continued_count += 1);
        let mut oracle = left.oracle.clone();
        oracle.settle(found, left.by_power);
        let oracle = Mutex::new(oracle);
        // In the manner of this run, new records tend to be as long as lost ones; otherwise they are not.
        let profile = if chooser.coin() { self.profile.clone() } else { Profile::draw(chooser) };
        let mut workload = Workload::with_profile(profile, chooser.fork());
        for _ in 0..chooser.below(8) {
            let step = workload.next_step();
            session.step(&step, &oracle).map_err(Stop::into_finding)?;
        }
        let mut last = workload.transaction();
        last.end = End::Commit(*chooser.pick(&[Durability::Immediate, Durability::Deferred]));
        session.step(&Step::Transact(last), &oracle).map_err(Stop::into_finding)?;
        session.look(&oracle).map_err(Stop::into_finding)?;
        let disk = left.disk.crash(chooser);
        let oracle = lock(&oracle);
        let explain = |what: String| {
            Finding::new("I1", format!("{what}, after a recovered store was used and the power was cut"))
        };
        let mut session = self.recover(&disk, "I1")?;
        let digest = session.visible().map_err(Stop::into_finding)?;
        oracle.find(digest, oracle.after_crash()).map_err(explain)?;
        session.check().map_err(|failure| Finding::new("I3", failure.to_string()))
    }
}

/// Damages a file of the disk: a bit flips, or a block holds what belongs to another place. Says what it did.
fn damage_disk(disk: &CrashVfs, chooser: &mut Chooser) -> Option<String> {
    const BLOCK: u64 = 4096;
    let files: Vec<_> = disk.files().into_iter().filter(|(_, len)| *len > 0).collect();
    let (path, len) = files.get(chooser.index(files.len()))?;
    let block_count = len / BLOCK;
    if block_count < 2 || chooser.percent(70) {
        let offset = chooser.below(*len);
        disk.flip_bit(path, offset, u32::from(chooser.next_u64().to_le_bytes()[0])).ok()?;
        return Some(format!("a bit of byte {offset} of {} flipped", path.display()));
    }
    let (from, to) = (chooser.below(block_count) * BLOCK, chooser.below(block_count) * BLOCK);
    let file = disk.open(path, Open { write: false, create: Create::Never, direct: false }).ok()?;
    let mut block = vec![0; 4096];
    llmdb_vfs::read_exact_at(&*file, &mut block, from).ok()?;
    disk.overwrite(path, to, &block).ok()?;
    Some(format!("the block at {from} of {} was written to {to}", path.display()))
}

/// Roots to destroy: any one, or all of the newest generation, as long as some root remains.
fn doomed<'a>(slots: &'a [RootSlot], chooser: &mut Chooser) -> Vec<&'a RootSlot> {
    let newest = slots.iter().map(|slot| slot.generation).max();
    let (newest, older): (Vec<_>, Vec<_>) = slots.iter().partition(|slot| Some(slot.generation) == newest);
    if !older.is_empty() && chooser.coin() {
        newest
    } else if slots.len() > 1 {
        vec![chooser.pick(slots)]
    } else {
        Vec::new()
    }
}

fn depth_note(depth: u32) -> String {
    if depth == 0 { String::new() } else { format!(", after {depth} more crashes") }
}
