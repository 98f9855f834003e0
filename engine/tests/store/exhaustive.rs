//! The power fails, or the process is killed, before every single call that changes the disk, while a script splits
//! and merges leaves, writes long values, makes checkpoints, drops trees, closes and opens the store.
//!
//! Each moment is looked at in several ways: with nothing of what was not forced, with all of it, with parts drawn
//! by chance, and with the page cache intact. Every store found holds the acknowledged commits, and of the one under
//! way all or nothing; it is sound; and recovering it twice, or being interrupted in it, changes nothing.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use crate::common::{Script, Step, open_with, script::commit};
use llmdb_vfs::crash::{Chooser, CrashPoint, CrashVfs, OpKind, Preset, mix};

/// A moment before a call, and what had been acknowledged and submitted by then.
struct Moment {
    point: CrashPoint,
    killed: CrashVfs,
    acknowledged: usize,
    submitted: usize,
    story: String,
}

/// Runs the script on `disk`, which may hold the first commits already, and collects every moment.
fn moments(script: &Script, disk: &CrashVfs, first: usize) -> Vec<Moment> {
    let moments: Arc<Mutex<Vec<Moment>>> = Arc::default();
    let acknowledged = Arc::new(AtomicUsize::new(first));
    let submitted = Arc::new(AtomicUsize::new(first));
    let observer = {
        let (moments, acknowledged, submitted) = (moments.clone(), acknowledged.clone(), submitted.clone());
        move |disk: &CrashVfs, op: &llmdb_vfs::crash::Op<'_>| {
            let story =
                format!("before call {}, {:?} of {} at {}", op.index, op.kind, op.path.display(), op.offset);
            moments.lock().unwrap().push(Moment {
                point: disk.crash_point(),
                killed: disk.process_crash(&mut Chooser::new(op.index)),
                acknowledged: acknowledged.load(Ordering::Relaxed),
                submitted: submitted.load(Ordering::Relaxed),
                story,
            });
        }
    };
    disk.observe(Some(Arc::new(observer)));
    let mut engine = open_with(disk, script.options.clone()).unwrap();
    for step in &script.steps {
        match step {
            Step::Commit(changes) => {
                submitted.fetch_add(1, Ordering::Relaxed);
                commit(&engine, changes).unwrap();
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Step::Checkpoint => engine.checkpoint().unwrap(),
            Step::Reopen => {
                engine.close().unwrap();
                engine = open_with(disk, script.options.clone()).unwrap();
            }
            Step::Hold | Step::Release | Step::Backup => {}
        }
    }
    engine.close().unwrap();
    disk.observe(None);
    std::mem::take(&mut *moments.lock().unwrap())
}

/// More ways of each kind of chance, for a longer run: `LLMDB_CRASH_SEEDS`.
fn seeds() -> u64 {
    std::env::var("LLMDB_CRASH_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(6)
}

#[test]
fn before_every_call() {
    let script = Script::varied();
    let moments = moments(&script, &CrashVfs::new(11), 0);
    let mut states = 0;
    for (number, moment) in moments.iter().enumerate() {
        let verify = |disk: &CrashVfs, how: &str| {
            let story = format!("{}: {how}", moment.story);
            script.verify_disk(disk, moment.acknowledged, moment.submitted, &story)
        };
        verify(&moment.killed, "killed");
        verify(&moment.point.crash_as(Preset::Nothing, &mut Chooser::new(0)), "nothing unforced");
        verify(&moment.point.crash_as(Preset::Everything, &mut Chooser::new(0)), "everything");
        states += 3;
        for seed in 0..seeds() {
            for preset in [Preset::Random, Preset::Skewed, Preset::Reverse, Preset::InOrder] {
                let seed = mix(number as u64) ^ seed;
                let found = moment.point.crash_as(preset, &mut Chooser::new(seed));
                verify(&found, &format!("{preset:?} {seed}"));
                states += 1;
            }
        }
    }
    println!("{} moments, {states} states", moments.len());
    let at =
        |kind: OpKind| moments.iter().filter(|moment| moment.story.contains(&format!("{kind:?}"))).count();
    for kind in [
        OpKind::Write,
        OpKind::WriteDurable,
        OpKind::Sync,
        OpKind::Completion,
        OpKind::Rename,
        OpKind::Remove,
    ] {
        assert!(at(kind) > 0, "the script makes no call of the kind {kind:?}");
    }
    assert!(moments.len() > 150, "{}", moments.len());
}

/// The power fails while a store is being recovered, and again while that is being recovered.
#[test]
fn before_every_call_of_a_recovery() {
    let script = Script::varied();
    let all = script.states.len() - 1;
    let disk = CrashVfs::new(12);
    let engine = script.run(&disk);
    let found = disk.crash(&mut Chooser::new(5));
    drop(engine);
    // The recovery has damaged meta pages to repair as well.
    found.overwrite(crate::common::PATH.as_ref(), 0, &[0; 4096]).unwrap();
    found.overwrite(crate::common::PATH.as_ref(), 16 * 4096, &[0; 4096]).unwrap();
    let recovery = Script { steps: Vec::new(), ..script.clone() };
    let first = moments(&recovery, &found.fork(), all);
    assert!(first.len() > 10, "{}", first.len());
    let mut states = 0;
    for (number, moment) in first.iter().enumerate() {
        for preset in [Preset::Nothing, Preset::Everything, Preset::Random, Preset::Skewed] {
            let found = moment.point.crash_as(preset, &mut Chooser::new(number as u64));
            script.verify_disk(&found.fork(), all, all, &format!("{}: {preset:?}", moment.story));
            states += 1;
            if number % 4 != 0 {
                continue;
            }
            for (again, moment) in moments(&recovery, &found, all).iter().enumerate() {
                let found = moment.point.crash_as(Preset::Random, &mut Chooser::new(again as u64));
                script.verify_disk(&found, all, all, &format!("{}: {preset:?}, then again", moment.story));
                states += 1;
            }
        }
    }
    println!("{} moments, {states} states", first.len());
}

/// What is found after a crash is a store like any other: the rest of the script goes on from there.
#[test]
fn going_on_after_a_crash() {
    let script = Script::varied();
    for moment in moments(&script, &CrashVfs::new(13), 0).iter().step_by(5) {
        let disk = moment.point.crash(&mut Chooser::new(moment.submitted as u64));
        let story = format!("{}, and on", moment.story);
        let engine = open_with(&disk, script.options.clone()).unwrap();
        let count = script.verify(&engine, moment.acknowledged, moment.submitted, &story);
        for changes in script.commits().skip(count) {
            commit(&engine, changes).unwrap();
        }
        let all = script.states.len() - 1;
        script.verify(&engine, all, all, &story);
        let found = disk.crash_point().crash_as(Preset::Nothing, &mut Chooser::new(1));
        script.verify_disk(&found, all, all, &story);
        engine.close().unwrap();
        script.verify_disk(&disk, all, all, &story);
    }
}
