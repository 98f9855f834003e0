//! The disk is full: at every size of the disk that is too small for a script, and at every single call that asks for
//! space.
//!
//! Each call either does what it was asked or says that there is no space, and then has done nothing: the
//! transaction is gone, readers go on, no acknowledged commit is lost, and once there is space again everything goes
//! on where it stopped, without opening the store anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
use crate::common::{
    Script, Step, assert_sound, killed, open, open_with,
    script::{Change, Refused, commit, key, puts},
    state,
};
use llmdb_engine::{Engine, Error, ErrorKind};
use llmdb_vfs::crash::{Chooser, CrashVfs, Failure, Fault, OpKind, Preset};

/// Asserts that an error says what happened, in words for whoever has to make space.
fn assert_says_no_space(error: &Error, story: &str) {
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{story}: {error}");
    assert!(error.to_string().contains("no space"), "{story}: {error}");
}

/// Asserts that a store shows the first `count` commits, now and after every kind of end.
fn assert_holds(script: &Script, disk: &CrashVfs, engine: &Engine, count: usize, story: &str) {
    assert!(state(engine) == script.states[count], "{story}: readers see something else");
    assert_eq!(engine.last_commit().txid.get(), count as u64, "{story}");
    for preset in [Preset::Nothing, Preset::Random] {
        let found = disk.crash_point().crash_as(preset, &mut Chooser::new(count as u64));
        found.set_capacity(None);
        script.verify_disk(&found, count, count, &format!("{story}, then the power failed: {preset:?}"));
    }
}

/// Runs the script; at the first refusal `make_space` is called, and what was refused is tried again. Returns how
/// often there was no space.
fn run(script: &Script, disk: &CrashVfs, story: &str, make_space: &dyn Fn()) -> usize {
    let mut refusals = 0;
    let mut refused = |error: &Error| {
        assert_says_no_space(error, story);
        refusals += 1;
        assert!(refusals < 20, "{story}: refused again and again");
    };
    let open = |refused: &mut dyn FnMut(&Error)| {
        open_with(disk, script.options.clone()).unwrap_or_else(|error| {
            refused(&error);
            make_space();
            open_with(disk, script.options.clone()).unwrap_or_else(|error| panic!("{story}: {error}"))
        })
    };
    let mut engine = open(&mut refused);
    let mut count = 0;
    for step in &script.steps {
        match step {
            Step::Commit(changes) => {
                if let Err(error) = commit(&engine, changes) {
                    assert!(!matches!(error, Refused::Begin(_)), "{story}: {error:?}");
                    refused(error.error());
                    assert_holds(script, disk, &engine, count, story);
                    // It is not the end: whoever comes next is refused in the same words, or finds enough space.
                    let small = engine.begin_write().unwrap();
                    small.abort();
                    make_space();
                    commit(&engine, changes)
                        .unwrap_or_else(|error| panic!("{story}: with space again: {error:?}"));
                }
                count += 1;
                assert!(state(&engine) == script.states[count], "{story}");
            }
            Step::Checkpoint => {
                if let Err(error) = engine.checkpoint() {
                    refused(&error);
                    assert_holds(script, disk, &engine, count, story);
                    make_space();
                    engine.checkpoint().unwrap_or_else(|error| panic!("{story}: with space again: {error}"));
                }
            }
            Step::Reopen => {
                if let Err(error) = engine.close() {
                    refused(&error);
                    make_space();
                }
                engine = open(&mut refused);
                assert!(state(&engine) == script.states[count], "{story}");
            }
            Step::Hold | Step::Release | Step::Backup => {}
        }
    }
    script.verify(&engine, count, count, story);
    refusals
}

#[test]
fn a_disk_of_every_size() {
    let script = Script::varied();
    let largest = {
        let disk = CrashVfs::new(1);
        let _engine = script.run(&disk);
        disk.used_bytes() + (256 << 10)
    };
    let mut sizes_refused = 0;
    for capacity in (0..=largest).step_by(4096) {
        let disk = CrashVfs::new(1);
        disk.set_capacity(Some(capacity));
        let refusals =
            run(&script, &disk, &format!("a disk of {capacity} bytes"), &|| disk.set_capacity(None));
        sizes_refused += usize::from(refusals > 0);
    }
    assert!(sizes_refused > 50, "{sizes_refused}");
}

#[test]
fn no_space_at_every_call_that_asks_for_it() {
    let script = Script::varied();
    for kind in [OpKind::Allocate, OpKind::CreateDir, OpKind::Open, OpKind::Rename] {
        let mut total = 0;
        for after_count in 0.. {
            let disk = CrashVfs::new(after_count);
            disk.plan(Fault { kind, after_count, fail_count: 1, failure: Failure::NoSpace });
            let story = format!("no space at {kind:?} {after_count}");
            total += run(&script, &disk, &story, &|| ());
            if disk.failed_count() == 0 {
                break;
            }
        }
        println!("{kind:?}: {total} refusals");
    }
}

/// A store that fills its disk can be emptied: deletes and the checkpoint after them find what they need in the
/// reserve, and what they free is used again.
#[test]
fn deletes_make_space_on_a_full_disk() {
    let disk = CrashVfs::new(5);
    let engine = open(&disk).unwrap();
    disk.set_capacity(Some(disk.used_bytes() + (1 << 20)));
    let mut rows = 0;
    let refused = loop {
        match commit(&engine, &puts("t", rows..rows + 20, 1, 800)) {
            Ok(()) => rows += 20,
            Err(refused) => break refused,
        }
        assert!(rows < 10_000);
    };
    assert_says_no_space(refused.error(), "full");
    assert!(rows > 300, "{rows} rows of 800 bytes in a megabyte");
    // Two checkpoints give the log back; then there is room to say what goes.
    engine.checkpoint().unwrap();
    engine.checkpoint().unwrap();
    for round in 0..3 {
        let half = Change::DeleteRange("t", key(0), key(rows / 2));
        commit(&engine, &[half]).unwrap_or_else(|error| panic!("round {round}: delete: {error:?}"));
        engine.checkpoint().unwrap();
        engine.checkpoint().unwrap();
        for first in (0..rows / 2).step_by(20) {
            commit(&engine, &puts("t", first..(first + 20).min(rows / 2), round, 700))
                .unwrap_or_else(|error| panic!("round {round}: put {first} again: {error:?}"));
            engine.checkpoint().unwrap();
        }
    }
    assert_eq!(state(&engine)["t"].len() as u64, rows);
    assert_sound(&engine);
    let before = state(&engine);
    engine.close().unwrap();
    let engine = open(&disk).unwrap();
    assert!(state(&engine) == before);
    drop(engine);
}

/// The same without a checkpoint: the first thing that is tried on the full disk is a delete.
#[test]
fn a_delete_is_the_first_thing_that_works() {
    for step in 0..40 {
        let disk = CrashVfs::new(5);
        let engine = open(&disk).unwrap();
        disk.set_capacity(Some(disk.used_bytes() + (600 << 10) + step * 4096));
        let mut rows = 0;
        while commit(&engine, &puts("t", rows..rows + 20, 1, 800)).is_ok() {
            rows += 20;
        }
        // The log may be full as well; then it takes two checkpoints to use its first part again.
        let story = format!("step {step}, {rows} rows");
        let refused = commit(&engine, &puts("u", 0..40, 1, 800)).unwrap_err();
        assert_says_no_space(refused.error(), &story);
        let half = [Change::DeleteRange("t", key(0), key(rows / 2)), Change::Delete("t", key(rows - 1))];
        if let Err(refused) = commit(&engine, &half) {
            assert_says_no_space(refused.error(), &story);
            engine.checkpoint().unwrap_or_else(|error| panic!("{story}: {error}"));
            engine.checkpoint().unwrap_or_else(|error| panic!("{story}: {error}"));
            commit(&engine, &half).unwrap_or_else(|error| panic!("{story}: {error:?}"));
        }
        assert_eq!(state(&engine)["t"].len() as u64, rows - rows / 2 - 1, "{story}");
        engine.checkpoint().unwrap();
        engine.checkpoint().unwrap();
        commit(&engine, &puts("t", 0..20, 1, 700)).unwrap_or_else(|error| panic!("{story}: {error:?}"));
        assert_sound(&engine);
    }
}

/// A store that was killed on a full disk opens on the full disk.
#[test]
fn recovery_on_a_full_disk() {
    let script = Script::varied();
    let disk = CrashVfs::new(6);
    let engine = script.run(&disk);
    let all = script.states.len() - 1;
    for damaged in [false, true] {
        let found = killed(&disk);
        if damaged {
            for page in [0, 16] {
                found.overwrite(crate::common::PATH.as_ref(), page * 4096, &[0; 4096]).unwrap();
            }
        }
        found.set_capacity(Some(0));
        let story = format!("a full disk, damaged: {damaged}");
        match open_with(&found, script.options.clone()) {
            Ok(engine) => {
                script.verify(&engine, all, all, &story);
                let error = commit(&engine, &puts("more", 0..400, 1, 900)).unwrap_err();
                assert_says_no_space(error.error(), &story);
                script.verify(&engine, all, all, &story);
            }
            Err(error) => panic!("{story}: {error}"),
        }
    }
    drop(engine);
}

#[test]
fn a_value_larger_than_the_disk_is_refused_while_it_streams() {
    let disk = CrashVfs::new(7);
    let engine = open(&disk).unwrap();
    commit(&engine, &puts("t", 0..10, 1, 100)).unwrap();
    let before = state(&engine);
    disk.set_capacity(Some(disk.used_bytes() + (1 << 20)));
    let mut txn = engine.begin_write().unwrap();
    let source = vec![7; 8 << 20];
    let error =
        txn.tree("t").unwrap().put_reader("big", source.len() as u64, &mut source.as_slice()).unwrap_err();
    assert_says_no_space(&error, "a large value");
    assert_eq!(txn.put("a", "b").unwrap_err().kind(), ErrorKind::TxnFailed);
    assert_eq!(txn.commit().unwrap_err().kind(), ErrorKind::TxnFailed);
    assert!(state(&engine) == before);
    commit(&engine, &puts("t", 10..11, 1, 100)).unwrap();
    disk.set_capacity(None);
    let mut txn = engine.begin_write().unwrap();
    txn.tree("t").unwrap().put_reader("big", source.len() as u64, &mut source.as_slice()).unwrap();
    txn.commit().unwrap();
    assert_eq!(state(&engine)["t"].len(), 12);
    assert_sound(&engine);
}
