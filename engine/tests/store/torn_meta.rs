//! The meta pages, where everything begins, are lost or half written.
//!
//! There are two generations of two copies each. Any one copy may go, and both of a generation: recovery then starts
//! from the older checkpoint, with a longer piece of the log, and arrives at the same state. Only when all four
//! are gone does the store say that it cannot be opened.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
use crate::common::{PATH, Script, Step, killed, open, script::puts, segments};
use llmdb_engine::{Engine, ErrorKind};
use llmdb_vfs::crash::CrashVfs;

const SLOTS: [u64; 4] = [0, 1, 16, 17];

/// Stores worth damaging, and the script that made them: killed behind checkpoints, killed right behind one, and
/// closed.
fn stores() -> Vec<(&'static str, CrashVfs, Script)> {
    let script = Script::varied();
    let mut ending = script.clone();
    ending.steps.pop();
    ending.states.pop();
    let run = |script: &Script| {
        let disk = CrashVfs::new(1);
        let engine = script.run(&disk);
        (disk, engine)
    };
    let (disk, _engine) = run(&script);
    let behind = killed(&disk);
    let (disk, _engine) = run(&ending);
    let right_behind = killed(&disk);
    let (closed, engine) = run(&script);
    engine.close().unwrap();
    assert!(segments(&closed).is_empty());
    vec![
        ("killed", behind, script.clone()),
        ("at a checkpoint", right_behind, ending),
        ("closed", closed, script),
    ]
}

/// The ways in which a page is destroyed.
const WAYS: [&str; 5] =
    ["zeros", "noise", "its second half is old", "a flipped bit", "the page of the other generation"];

fn destroy(disk: &CrashVfs, slot: u64, way: &str) {
    let at = slot * 4096;
    match way {
        "zeros" => disk.overwrite(PATH.as_ref(), at, &[0; 4096]).unwrap(),
        "noise" => disk.overwrite(PATH.as_ref(), at, &crate::common::script::value(slot, 4096)).unwrap(),
        "its second half is old" => disk.overwrite(PATH.as_ref(), at + 100, &[0xEE; 412]).unwrap(),
        "a flipped bit" => disk.flip_bit(PATH.as_ref(), at + 41, 3).unwrap(),
        _ => {
            let other = (slot ^ 1) as usize * 4096;
            let bytes = crate::common::bytes(disk, PATH)[other..other + 4096].to_vec();
            disk.overwrite(PATH.as_ref(), at, &bytes).unwrap();
        }
    }
}

fn verify(disk: &CrashVfs, script: &Script, story: &str) -> Engine {
    let engine = open(disk).unwrap_or_else(|error| panic!("{story}: {error}"));
    let all = script.states.len() - 1;
    script.verify(&engine, all, all, story);
    engine
}

#[test]
fn any_one_copy_may_go() {
    for (name, store, script) in stores() {
        for slot in SLOTS {
            for way in WAYS {
                let disk = store.fork();
                destroy(&disk, slot, way);
                let engine = verify(&disk, &script, &format!("{name}, {way} in page {slot}"));
                let damaged = &engine.recovery().damaged_meta_pages;
                assert_eq!(damaged.len(), 1, "{damaged:?}");
                assert!(damaged[0].starts_with(&format!("pg{slot}: ")), "{damaged:?}");
            }
        }
    }
}

#[test]
fn both_copies_of_either_generation_may_go() {
    for (name, store, script) in stores() {
        for (first, second) in [(0, 16), (1, 17)] {
            for way in WAYS {
                let disk = store.fork();
                destroy(&disk, first, way);
                destroy(&disk, second, way);
                let story = format!("{name}, {way} in pages {first} and {second}");
                let engine = verify(&disk, &script, &story);
                assert_eq!(engine.recovery().damaged_meta_pages.len(), 2, "{story}");
                // What is found is as good as ever: it survives the next power failure, and can be written.
                drop(verify(&killed(&disk), &script, &story));
                crate::common::script::commit(&engine, &puts("after", 0..30, 1, 90)).unwrap();
                engine.close().unwrap();
                let engine = open(&disk).unwrap();
                assert_eq!(crate::common::state(&engine)["after"].len(), 30, "{story}");
                crate::common::assert_sound(&engine);
            }
        }
    }
}

#[test]
fn three_copies_may_go() {
    for (name, store, script) in stores() {
        for kept in SLOTS {
            let disk = store.fork();
            SLOTS.into_iter().filter(|slot| *slot != kept).for_each(|slot| destroy(&disk, slot, "noise"));
            drop(verify(&disk, &script, &format!("{name}, only page {kept} is left")));
        }
    }
}

#[test]
fn without_any_copy_the_store_says_so() {
    for (name, store, _) in stores() {
        for way in WAYS {
            let disk = store.fork();
            // In this order, so that none is replaced by a copy that has not been destroyed yet.
            SLOTS
                .into_iter()
                .for_each(|slot| destroy(&disk, slot, if way == WAYS[4] { WAYS[2] } else { way }));
            let before = crate::common::bytes(&disk, PATH);
            let error = open(&disk).unwrap_err();
            let text = error.to_string();
            match error.kind() {
                ErrorKind::Corruption => assert!(text.contains("no meta page is intact"), "{name}: {text}"),
                ErrorKind::NotADatabase => assert!(way == "zeros" || way == "noise", "{name}, {way}: {text}"),
                other => panic!("{name}, {way}: {other:?}: {text}"),
            }
            assert!(text.contains(PATH), "{name}, {way}: {text}");
            assert!(
                crate::common::bytes(&disk, PATH) == before,
                "a store that cannot be opened is left as it is"
            );
        }
    }
}

#[test]
fn damaged_copies_are_repaired_by_the_opening_that_finds_them() {
    for (name, store, script) in stores() {
        for slots in [vec![0], vec![1], vec![16], vec![17], vec![0, 16], vec![1, 17], vec![0, 1, 17]] {
            let disk = store.fork();
            slots.iter().for_each(|slot| destroy(&disk, *slot, "noise"));
            drop(killed_after_opening(&disk));
            let disk = killed_after_opening(&disk);
            let engine = verify(&disk, &script, &format!("{name}, {slots:?}, repaired"));
            let damaged = &engine.recovery().damaged_meta_pages;
            assert!(damaged.is_empty(), "{name}: pages {slots:?} were damaged, and still: {damaged:?}");
        }
    }
}

/// Opens the store, which is killed at once.
fn killed_after_opening(disk: &CrashVfs) -> CrashVfs {
    let disk = disk.fork();
    let engine = open(&disk).unwrap();
    let found = killed(&disk);
    drop(engine);
    found
}

#[test]
fn a_copy_that_goes_while_the_store_is_open_is_replaced_by_its_checkpoints() {
    let script = Script::varied();
    let disk = CrashVfs::new(1);
    let engine = script.run(&disk);
    SLOTS.into_iter().for_each(|slot| destroy(&disk, slot, "noise"));
    for round in 0..2 {
        crate::common::script::commit(&engine, &puts("after", [round], 1, 90)).unwrap();
        engine.checkpoint().unwrap();
    }
    let engine = open(&killed(&disk)).unwrap();
    assert!(engine.recovery().damaged_meta_pages.is_empty());
    let mut expected = script.last().clone();
    expected.extend(Script::new(vec![Step::Commit(puts("after", [0, 1], 1, 90))]).states[1].clone());
    assert!(crate::common::state(&engine) == expected);
}
