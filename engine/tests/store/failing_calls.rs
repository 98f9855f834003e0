//! Every call to the disk fails once, each in a run of its own, in every way in which a call of its kind can fail,
//! while a script commits, goes back to savepoints, holds snapshots, makes checkpoints and backups, closes and opens
//! the store.
//!
//! Whatever fails: what was acknowledged stays, what was refused is there whole or not at all, snapshots go on
//! reading, and once the log could not be written nothing is acknowledged until the store is opened anew. An error says
//! what was tried and names the file. The disk forgets what a failed sync did not force, as real ones do, and shows it
//! until then.
//!
//! Each test prints how many faults it tried. `LLMDB_FAULT_SEEDS` sets on how many disks, which differ in what a failed
//! call leaves behind, every call fails; 1 if it is not set.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
use crate::common::{
    Script, Step, contents, killed, open_with,
    script::{Refused, commit},
};
use llmdb_engine::{Engine, Error, ErrorKind, Snapshot};
use llmdb_vfs::{
    Vfs,
    crash::{Chooser, CrashVfs, Failure, Fault, OpKind, Preset},
};

/// Where the backups of the script go.
const BACKUP: &str = "copy.llmdb";

/// A run of a script on a disk that fails.
struct Run<'a> {
    script: &'a Script,
    disk: CrashVfs,
    story: String,
    failure: Failure,
    /// Snapshots, and the states that they must show.
    held: Vec<(Snapshot, usize)>,
    /// Commits acknowledged, and commits that may be there.
    acknowledged: usize,
    submitted: usize,
    /// Errors seen, in words.
    errors: Vec<String>,
}

impl Run<'_> {
    /// Opens the store, again and again: a disk that fails once lets it pass then.
    fn open(&mut self) -> Engine {
        for _ in 0..4 {
            match open_with(&self.disk, self.script.options.clone()) {
                Ok(engine) => {
                    let count = usize::try_from(engine.last_commit().txid.get()).unwrap();
                    let Self { acknowledged, submitted, story, .. } = self;
                    assert!(
                        *acknowledged <= count && count <= *submitted,
                        "{story}: {acknowledged} {count} {submitted}"
                    );
                    (self.acknowledged, self.submitted) = (count, count);
                    self.assert_shows(&engine);
                    return engine;
                }
                Err(error) => self.note("open", &error),
            }
        }
        panic!("{}: cannot be opened: {:?}", self.story, self.errors);
    }

    /// Asserts that readers see exactly what was acknowledged. A read that fails is tried again.
    fn assert_shows(&mut self, engine: &Engine) {
        for _ in 0..3 {
            match engine.snapshot().and_then(|snapshot| contents(&snapshot)) {
                Ok(found) => {
                    let expected = &self.script.states[self.acknowledged];
                    assert!(found == *expected, "{}: readers see something else", self.story);
                    return;
                }
                Err(error) => self.note("read", &error),
            }
        }
        panic!("{}: cannot be read: {:?}", self.story, self.errors);
    }

    fn note(&mut self, what: &str, error: &Error) {
        let text = format!("{what}: {error}");
        let is_known = match error.kind() {
            ErrorKind::Io | ErrorKind::Poisoned => {
                // The folder of the store is the current one.
                [crate::common::PATH, BACKUP, ": .: ", "ring", "map"].iter().any(|name| text.contains(name))
            }
            ErrorKind::NoSpace => {
                self.failure == Failure::NoSpace
                    && ["the data file", "the log", crate::common::PATH, BACKUP]
                        .iter()
                        .any(|name| text.contains(name))
            }
            _ => false,
        };
        assert!(is_known, "{}: {text}, which is not what happened, or does not say where", self.story);
        assert!(self.errors.len() < 8, "{}: {:?}", self.story, self.errors);
        self.errors.push(text);
    }

    /// The rest of the script, from the commit behind the acknowledged ones on.
    fn run(&mut self) -> Engine {
        let mut engine = self.open();
        let mut step_index = 0;
        while let Some(step) = self.script.steps.get(step_index) {
            step_index += 1;
            match step {
                Step::Commit(changes) => {
                    let number = self.number(step_index);
                    if number <= self.acknowledged {
                        continue;
                    }
                    engine = self.commit(engine, changes);
                    // What was refused may have happened all the same.
                    if self.acknowledged < number {
                        step_index -= 1;
                    }
                }
                Step::Checkpoint => {
                    if let Err(error) = engine.checkpoint() {
                        self.note("checkpoint", &error);
                        engine = self.after_failure(engine);
                    }
                }
                Step::Reopen => {
                    self.release();
                    if let Err(error) = engine.close() {
                        self.note("close", &error);
                        self.look_at_crashes();
                    }
                    engine = self.open();
                }
                Step::Hold => match engine.snapshot() {
                    Ok(snapshot) => self.held.push((snapshot, self.acknowledged)),
                    Err(error) => self.note("hold", &error),
                },
                Step::Release => self.release(),
                Step::Backup => engine = self.back_up(engine),
            }
        }
        self.release();
        engine
    }

    /// Looks at the snapshots that are held, and gives them back.
    fn release(&mut self) {
        for (snapshot, number) in std::mem::take(&mut self.held) {
            let found = contents(&snapshot).or_else(|error| {
                self.note("read", &error);
                contents(&snapshot)
            });
            assert!(found.unwrap() == self.script.states[number], "{}: a held snapshot changed", self.story);
        }
    }

    /// A backup is whole, or is not there; the store goes on as if nothing had been asked.
    fn back_up(&mut self, engine: Engine) -> Engine {
        let made = engine.backup(BACKUP, &mut |_, _| true);
        let is_there = (0..2).find_map(|_| self.disk.exists(BACKUP.as_ref()).ok()).unwrap();
        match &made {
            Ok(_) => assert!(is_there, "{}: the backup is gone", self.story),
            Err(error) => self.note("backup", error),
        }
        if is_there {
            // On a disk of its own, where no call fails.
            let (disk, number) = (self.disk.fork(), self.acknowledged);
            let copy = Engine::open_on(crate::common::arc(&disk), BACKUP, self.script.options.clone());
            let copy = copy.unwrap_or_else(|error| panic!("{}, the backup: {error}", self.story));
            self.script.verify(&copy, number, number, &format!("{}, the backup", self.story));
            self.remove_backup();
        }
        self.assert_shows(&engine);
        if made.is_ok() { engine } else { self.after_failure(engine) }
    }

    fn remove_backup(&self) {
        for (path, _) in self.disk.files() {
            if path.to_string_lossy().contains(BACKUP) {
                let _ = self.disk.remove_file(&path).or_else(|_| self.disk.remove_file(&path));
            }
        }
    }

    /// Number of the commit that is the step before `step_index`.
    fn number(&self, step_index: usize) -> usize {
        self.script.steps[..step_index].iter().filter(|step| matches!(step, Step::Commit(_))).count()
    }

    fn commit(&mut self, engine: Engine, changes: &[crate::common::script::Change]) -> Engine {
        self.submitted = self.acknowledged + 1;
        match commit(&engine, changes) {
            Ok(()) => {
                self.acknowledged += 1;
                self.assert_shows(&engine);
                engine
            }
            Err(refused) => {
                let is_commit = matches!(refused, Refused::Commit(_));
                self.note(if is_commit { "commit" } else { "change" }, refused.error());
                self.after_failure(engine)
            }
        }
    }

    /// After a failure: readers see what they saw, and the store either goes on as if nothing had been asked, or
    /// acknowledges nothing more until it is opened anew. Returns it, opened anew if need be.
    fn after_failure(&mut self, engine: Engine) -> Engine {
        let held = engine.snapshot().unwrap();
        self.assert_shows(&engine);
        let poison = engine.begin_write().err();
        self.look_at_crashes();
        let Some(poison) = poison else { return engine };
        self.release();
        assert_eq!(poison.kind(), ErrorKind::Poisoned, "{}: {poison}", self.story);
        for error in [engine.checkpoint().unwrap_err(), engine.begin_write().unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Poisoned, "{}: {error}", self.story);
        }
        self.assert_shows(&engine);
        let expected = &self.script.states[self.acknowledged];
        assert!(contents(&held).unwrap() == *expected, "{}: a held snapshot changed", self.story);
        let error = engine.close().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Poisoned, "{}: {error}", self.story);
        drop(held);
        self.open()
    }

    /// Looks at what a power failure right now would leave.
    fn look_at_crashes(&self) {
        for preset in [Preset::Nothing, Preset::Random] {
            let found = self.disk.crash_point().crash_as(preset, &mut Chooser::new(self.errors.len() as u64));
            let story = format!("{}, then the power failed: {preset:?}", self.story);
            self.script.verify_disk(&found, self.acknowledged, self.submitted, &story);
        }
        let story = format!("{}, then it was killed", self.story);
        self.script.verify_disk(&killed(&self.disk), self.acknowledged, self.submitted, &story);
    }
}

/// Runs the script with `fault`, and verifies the end. Returns the errors seen; `None` if the script was over first.
fn run_with(script: &Script, seed: u64, fault: Fault) -> Option<Vec<String>> {
    let disk = CrashVfs::new(seed);
    disk.plan(fault);
    let story = format!("{:?} {} fails with {:?}, seed {seed}", fault.kind, fault.after_count, fault.failure);
    let (failure, held, errors) = (fault.failure, Vec::new(), Vec::new());
    let mut run = Run { script, disk, story, failure, held, acknowledged: 0, submitted: 0, errors };
    let engine = run.run();
    let all = script.states.len() - 1;
    assert_eq!(run.acknowledged, all, "{}", run.story);
    run.disk.clear_faults();
    script.verify(&engine, all, all, &run.story);
    // What a failed sync lost is not in the page cache of the next process.
    let found = run.disk.crash_point().crash_as(Preset::Nothing, &mut Chooser::new(seed));
    script.verify_disk(&found, all, all, &format!("{}, and the power fails at the end", run.story));
    (run.disk.failed_count() > 0).then_some(run.errors)
}

/// Runs the script once for every call of `kind`, which fails with `failure`. Returns the errors seen.
fn every_call(kind: OpKind, failure: Failure) -> Vec<String> {
    let script = Script::everything();
    let seeds = std::env::var("LLMDB_FAULT_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(1);
    let (mut all, mut fault_count) = (Vec::new(), 0);
    for seed in 0..seeds {
        for after_count in 0.. {
            let fault = Fault { kind, after_count, fail_count: 1, failure };
            match run_with(&script, seed * 3 + after_count % 3, fault) {
                Some(errors) => all.extend(errors),
                None => break,
            }
            fault_count += 1;
        }
    }
    println!("{fault_count:>6} faults: {kind:?} fails with {failure:?}; {} errors reported", all.len());
    assert!(fault_count > 0, "no call of kind {kind:?} was made");
    all
}

fn assert_some(errors: &[String], words: &[&str]) {
    for word in words {
        assert!(errors.iter().any(|error| error.contains(word)), "no error says {word:?}: {errors:#?}");
    }
}

#[test]
fn every_read() {
    assert_some(&every_call(OpKind::Read, Failure::Io), &["open: ", "read"]);
    every_call(OpKind::Read, Failure::Again);
}

#[test]
fn every_write() {
    for failure in [Failure::Io, Failure::NoSpace, Failure::Again] {
        assert_some(&every_call(OpKind::Write, failure), &["checkpoint: ", "close: "]);
    }
}

#[test]
fn every_durable_write() {
    for failure in [Failure::Io, Failure::NoSpace] {
        assert_some(&every_call(OpKind::WriteDurable, failure), &["open: ", "checkpoint: ", "close: "]);
    }
    every_call(OpKind::Arrival, Failure::Io);
}

#[test]
fn every_sync() {
    for failure in [Failure::Io, Failure::NoSpace, Failure::Interrupted] {
        assert_some(&every_call(OpKind::Sync, failure), &["open: ", "checkpoint: ", "close: "]);
    }
}

#[test]
fn every_write_of_a_ring() {
    for failure in [Failure::Io, Failure::NoSpace] {
        assert_some(&every_call(OpKind::Submit, failure), &["commit: "]);
        assert_some(&every_call(OpKind::Completion, failure), &["commit: "]);
    }
}

#[test]
fn every_change_of_a_name() {
    for failure in [Failure::Io, Failure::NoSpace] {
        assert_some(&every_call(OpKind::Rename, failure), &["open: "]);
        for kind in [OpKind::Remove, OpKind::CreateDir, OpKind::SyncDir] {
            every_call(kind, failure);
        }
    }
}

#[test]
fn every_opening_of_a_file_and_every_change_of_its_length() {
    for kind in [OpKind::Open, OpKind::Allocate, OpKind::SetLen] {
        for failure in [Failure::Io, Failure::NoSpace] {
            assert_some(&every_call(kind, failure), &["open: "]);
        }
    }
}

#[test]
fn every_question_about_names_and_lengths_and_every_ring_and_map() {
    for kind in [OpKind::List, OpKind::Len, OpKind::Prepare] {
        assert_some(&every_call(kind, Failure::Io), &["open: "]);
    }
}

#[test]
fn short_and_interrupted_calls_are_invisible() {
    let invisible = [
        (OpKind::Read, Failure::Short),
        (OpKind::Read, Failure::Interrupted),
        (OpKind::Write, Failure::Short),
        (OpKind::Write, Failure::Interrupted),
        (OpKind::WriteDurable, Failure::Interrupted),
        (OpKind::Arrival, Failure::Short),
        (OpKind::Arrival, Failure::Interrupted),
        (OpKind::Submit, Failure::Interrupted),
        (OpKind::Submit, Failure::Again),
        (OpKind::Completion, Failure::Short),
        (OpKind::Completion, Failure::Interrupted),
        (OpKind::Completion, Failure::Again),
    ];
    for (kind, failure) in invisible {
        assert_eq!(every_call(kind, failure), [""; 0]);
    }
    for kind in [OpKind::Read, OpKind::Write, OpKind::Completion] {
        let always = Fault { kind, after_count: 0, fail_count: u64::MAX, failure: Failure::Short };
        assert_eq!(run_with(&Script::everything(), 7, always).unwrap(), [""; 0]);
    }
}

/// The disk does not recover: every write fails from some call on, until the store is opened on one that works.
#[test]
fn a_disk_that_stays_dead() {
    let script = Script::varied();
    for kind in [OpKind::Completion, OpKind::Sync, OpKind::WriteDurable, OpKind::Write] {
        for after_count in 4..40 {
            let disk = CrashVfs::new(after_count);
            disk.plan(Fault { kind, after_count, fail_count: u64::MAX, failure: Failure::Io });
            let story = format!("{kind:?} fails from call {after_count} on");
            let Ok(engine) = open_with(&disk, script.options.clone()) else { continue };
            let mut acknowledged = 0;
            let mut submitted = 0;
            for changes in script.commits() {
                submitted += 1;
                if commit(&engine, changes).is_err() {
                    break;
                }
                acknowledged += 1;
                drop(engine.checkpoint());
                if engine.begin_write().is_err() {
                    break;
                }
            }
            let shown = contents(&engine.snapshot().unwrap()).unwrap();
            assert!(shown == script.states[acknowledged], "{story}: readers see something else");
            drop(engine);
            script.verify_disk(&killed(&disk), acknowledged, submitted, &story);
            let found = disk.crash_point().crash_as(Preset::Nothing, &mut Chooser::new(1));
            script.verify_disk(&found, acknowledged, submitted, &story);
        }
    }
}
