//! The log is torn at its end, damaged in its middle, missing, or somebody else's.
//!
//! A torn end was never acknowledged, and is cut without a word. Damage before it means that acknowledged commits are
//! missing: the store says where, and opens with what lies before only if it is told to.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
use std::path::{Path, PathBuf};

use crate::common::{
    Script, Step, bytes, killed, open, open_with, options, put_file, read_only, script::puts, segments, state,
};
use llmdb_engine::{Engine, ErrorKind, LogTail, Options, Result};
use llmdb_vfs::{
    Vfs,
    crash::{Chooser, CrashVfs, Preset},
};

const UNIT: usize = 4096;

/// A store killed after `count` commits, each of which fits one unit of the log, and the one segment of that log.
fn store(count: u64) -> (CrashVfs, Script, PathBuf) {
    let commits = (0..count).map(|number| Step::Commit(puts("t", [number, number / 2], number, 50)));
    let mut script = Script::new(commits.collect());
    script.options.log_window_bytes = 64 << 10;
    script.options.segment_bytes_max = 128 << 10;
    let disk = CrashVfs::new(2);
    let engine = script.run(&disk);
    let killed = killed(&disk);
    drop(engine);
    let files = segments(&killed);
    assert_eq!(files.len(), 1, "{files:?}");
    (killed, script, files[0].0.clone())
}

/// What lies in unit `index` of the log, from the first batch on, up to its last byte that is not zero.
fn used(log: &[u8], index: usize) -> usize {
    let unit = &log[UNIT * (index + 1)..UNIT * (index + 2)];
    unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn cut_at_damage() -> Options {
    let mut options = options();
    options.log_tail = LogTail::CutAtDamage;
    options
}

fn count(engine: &Engine) -> usize {
    usize::try_from(engine.last_commit().txid.get()).unwrap()
}

#[test]
fn a_tail_torn_at_any_sector_is_cut() {
    let (store, script, segment) = store(12);
    let log = bytes(&store, &segment);
    let mut counts = Vec::new();
    for at in (UNIT..log.len()).step_by(512) {
        for way in ["zeros", "noise", "the end of the file"] {
            let disk = store.fork();
            match way {
                "zeros" => disk.overwrite(&segment, at as u64, &vec![0; log.len() - at]).unwrap(),
                "noise" => {
                    let noise = crate::common::script::value(at as u64, log.len() - at);
                    disk.overwrite(&segment, at as u64, &noise).unwrap();
                }
                _ => put_file(&disk, &segment, &log[..at]),
            }
            let story = format!("{way} from {at} on");
            // Each commit lies in a unit of its own, of which the first sectors are used, and zeros follow.
            let needed = |index: usize| if way == "zeros" { used(&log, index) } else { UNIT };
            let whole = (0..12).take_while(|index| at >= UNIT * (index + 1) + needed(*index)).count();
            let found = script.verify_disk(&disk, whole, 12, &story);
            if way == "zeros" {
                counts.push(found);
            }
            // Whatever was cut, the store goes on from there, and does not find what it cut again.
            let engine = open(&killed(&disk)).unwrap();
            crate::common::script::commit(&engine, &puts("t", [500], 1, 60)).unwrap();
            drop(engine);
        }
    }
    assert!(
        counts.is_sorted() && counts[0] == 0 && counts.contains(&5) && counts.ends_with(&[12]),
        "{counts:?}"
    );
}

#[test]
fn a_flipped_bit_in_what_was_acknowledged_is_refused_with_its_place() {
    let (store, script, segment) = store(8);
    let log = bytes(&store, &segment);
    for index in 0..7 {
        for at in (0..used(&log, index)).step_by(3) {
            let disk = store.fork();
            let offset = UNIT * (index + 1) + at;
            disk.flip_bit(&segment, offset as u64, at as u32 % 8).unwrap();
            let story = format!("a flipped bit at {offset}");
            let error = open(&disk).expect_err(&story);
            assert_eq!(error.kind(), ErrorKind::Corruption, "{story}: {error}");
            let text = error.to_string();
            assert!(text.contains("log segment 0000000000000000"), "{story}: {text}");
            assert!(text.contains(&format!("offset {}:", UNIT * (index + 1))), "{story}: {text}");
            assert!(text.contains("test.llmdb-wal"), "which log, among many stores: {text}");

            let engine = open_with(&disk, cut_at_damage()).unwrap();
            assert!(engine.recovery().cut_bytes > 0, "{story}");
            assert_eq!(script.verify(&engine, 0, 8, &story), index, "what lies before the damage is there");
            crate::common::script::commit(&engine, &puts("t", [77], 1, 60)).unwrap();
            let before = state(&engine);
            drop(engine);
            let engine = open(&killed(&disk)).unwrap();
            assert!(state(&engine) == before, "{story}: once cut, the log is whole again");
        }
    }
}

/// Accepted once, and for good: also if the process dies, or the power fails, before anything is written or a checkpoint made.
#[test]
fn what_was_cut_at_damage_is_not_asked_about_again() {
    let (store, script, segment) = store(8);
    for index in 0..7 {
        let disk = store.fork();
        disk.flip_bit(&segment, UNIT as u64 * (index + 1) + 80, 3).unwrap();
        assert_eq!(open(&disk).unwrap_err().kind(), ErrorKind::Corruption);
        let engine = open_with(&disk, cut_at_damage()).unwrap();
        let found = script.verify(&engine, 0, 8, "cut at damage");
        assert_eq!(found as u64, index);
        let mut afterwards = vec![("killed", killed(&disk))];
        for (name, preset) in [("nothing unforced is there", Preset::Nothing), ("all is", Preset::Everything)]
        {
            let point = disk.crash_point();
            afterwards.push((name, point.crash_as(preset, &mut Chooser::new(index))));
        }
        drop(engine);
        for (name, disk) in afterwards {
            let engine =
                open(&disk).unwrap_or_else(|error| panic!("{name}, damage in batch {index}: {error}"));
            assert_eq!(script.verify(&engine, 0, 8, name), found);
            for round in 0..3 {
                crate::common::script::commit(&engine, &puts("t", [600 + round], 1, 60)).unwrap();
                engine.checkpoint().unwrap();
                assert!(
                    state(&open(&killed(&disk)).unwrap()) == state(&engine),
                    "{name}, checkpoint {round}"
                );
            }
        }
    }
}

#[test]
fn a_flipped_bit_in_the_last_batch_is_a_torn_tail() {
    let (store, script, segment) = store(4);
    let log = bytes(&store, &segment);
    for at in 0..used(&log, 3) {
        let disk = store.fork();
        disk.flip_bit(&segment, (UNIT * 4 + at) as u64, 1).unwrap();
        assert_eq!(script.verify_disk(&disk, 3, 4, "a flipped bit in the last batch"), 3);
    }
}

#[test]
fn a_flipped_bit_in_the_header_of_a_segment_is_refused() {
    let (store, script, segment) = store(5);
    for at in (0..72).chain([511, 2048, 4095]) {
        let disk = store.fork();
        disk.flip_bit(&segment, at, 5).unwrap();
        let error = open(&disk).expect_err("the log is not empty");
        assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
        let engine = open_with(&disk, cut_at_damage()).unwrap();
        assert_eq!(script.verify(&engine, 0, 5, "a damaged header"), 0);
    }
}

/// A log of many segments behind two checkpoints, not closed.
fn long_log() -> (CrashVfs, Script) {
    let mut steps: Vec<Step> = Vec::new();
    for round in 0..18 {
        steps.push(Step::Commit(puts("t", round * 10..round * 10 + 10, round, 900)));
        if round == 3 || round == 6 {
            steps.push(Step::Checkpoint);
        }
    }
    let script = Script::new(steps);
    let disk = CrashVfs::new(3);
    let engine = script.run(&disk);
    let killed = killed(&disk);
    drop(engine);
    assert!(segments(&killed).len() > 3, "{:?}", segments(&killed));
    (killed, script)
}

#[test]
fn a_missing_segment_is_refused() {
    let (store, script) = long_log();
    let files: Vec<PathBuf> = segments(&store).into_iter().map(|(path, _)| path).collect();
    // Of what lies behind the last segment nobody knows; the first one is there for the older checkpoint.
    for missing in &files[1..files.len() - 1] {
        let disk = store.fork();
        disk.remove_file(missing).unwrap();
        let error = open(&disk).expect_err("a part of the log is missing");
        assert_eq!(error.kind(), ErrorKind::Corruption, "{}: {error}", missing.display());
        let engine = open_with(&disk, cut_at_damage()).unwrap();
        let found = script.verify(&engine, 7, 17, "a missing segment");
        assert!(found < 18, "{found}");
    }
}

#[test]
fn a_missing_log_is_refused_if_the_checkpoints_show_that_there_was_one() {
    let (store, script) = long_log();
    let remove_log = |disk: &CrashVfs| {
        segments(disk).iter().for_each(|(path, _)| disk.remove_file(path).unwrap());
    };
    for with_folder in [true, false] {
        let disk = store.fork();
        remove_log(&disk);
        if !with_folder {
            disk.remove_dir(Path::new(crate::common::LOG)).unwrap();
        }
        let error = open(&disk).expect_err("acknowledged commits are missing");
        assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
        let text = error.to_string();
        assert!(text.contains("test.llmdb-wal") && text.contains("missing"), "{text}");
        assert_eq!(open_with(&disk, read_only()).unwrap_err().kind(), ErrorKind::Corruption);

        let engine = open_with(&disk, cut_at_damage()).unwrap();
        assert_eq!(script.verify(&engine, 7, 7, "the newest checkpoint alone"), 7);
        drop(engine);
        let engine = open(&killed(&disk)).unwrap();
        assert_eq!(script.verify(&engine, 7, 7, "accepted once, and for good"), 7);
    }
    // After a clean close there is no log, and none is missed.
    let engine = open(&store).unwrap();
    engine.close().unwrap();
    assert!(segments(&store).is_empty());
    script.verify(&open(&store).unwrap(), 18, 18, "closed");
}

/// Whenever the log, or its newest segment, is lost: nobody need have made a checkpoint.
#[test]
fn a_log_that_lost_its_end_is_missed() {
    let (first, script, _) = store(5);
    let (long, long_script) = long_log();
    for (store, script, all) in [(first, script, 5), (long, long_script, 18)] {
        let newest = segments(&store).pop().unwrap().0;
        for how in ["the folder", "the newest segment", "the header of the newest segment"] {
            let disk = store.fork();
            match how {
                "the folder" => {
                    segments(&disk).iter().for_each(|(path, _)| disk.remove_file(path).unwrap());
                    disk.remove_dir(Path::new(crate::common::LOG)).unwrap();
                }
                "the newest segment" => disk.remove_file(&newest).unwrap(),
                // Nothing else of it is there either, as if it had never been written.
                _ => {
                    let len = bytes(&disk, &newest).len();
                    disk.overwrite(&newest, 0, &vec![0; len]).unwrap();
                }
            }
            for options in [options(), read_only()] {
                let error = open_with(&disk, options).expect_err(how);
                assert_eq!(error.kind(), ErrorKind::Corruption, "{how}: {error}");
                let text = error.to_string();
                assert!(text.contains("test.llmdb-wal") && text.contains("missing"), "{how}: {text}");
            }
            let engine = open_with(&disk, cut_at_damage()).unwrap();
            let found = script.verify(&engine, 0, all, how);
            assert!(found < all, "{how}: {found}");
            drop(engine);
            let accepted = killed(&disk);
            script.verify(&open(&accepted).unwrap(), found, found, "accepted once, and for good");
            // From there on the log is watched again.
            let engine = open(&accepted).unwrap();
            crate::common::script::commit(&engine, &puts("t", [901], 1, 60)).unwrap();
            let disk = killed(&accepted);
            drop(engine);
            segments(&disk).iter().for_each(|(path, _)| disk.remove_file(path).unwrap());
            assert_eq!(open(&disk).expect_err("lost again").kind(), ErrorKind::Corruption);
        }
    }
}

/// No false alarm: a store that was closed needs no log, and one that was killed before it wrote has none.
#[test]
fn a_log_that_nobody_needs_is_not_missed() {
    let (store, script, _) = store(3);
    let engine = open(&store).unwrap();
    engine.close().unwrap();
    assert!(segments(&store).is_empty());
    script.verify(&open(&store).unwrap(), 3, 3, "closed");
    // Opened, nothing written, killed.
    let engine = open(&store).unwrap();
    let disk = killed(&store);
    drop(engine);
    script.verify(&open(&disk).unwrap(), 3, 3, "killed before anything was written");
    // A transaction that was begun and abandoned has made a segment.
    let engine = open(&disk).unwrap();
    let mut txn = engine.begin_write().unwrap();
    txn.put("a", vec![1; 50_000]).unwrap();
    txn.abort();
    engine.close().unwrap();
    script.verify(&open(&disk).unwrap(), 3, 3, "closed without a commit");
}

#[test]
fn the_log_of_another_store_is_refused_and_left_alone() {
    let (store, _, segment) = store(3);
    let (other, ..) = {
        let disk = CrashVfs::new(77);
        let engine = Script::new(vec![Step::Commit(puts("t", 0..5, 1, 50))]).run(&disk);
        (killed(&disk), engine)
    };
    let foreign = bytes(&other, &segments(&other)[0].0);
    put_file(&store, &segment, &foreign);
    for options in [options(), cut_at_damage()] {
        let error = open_with(&store, options).expect_err("not its log");
        assert_eq!(error.kind(), ErrorKind::Corruption);
        let text = error.to_string();
        assert!(text.contains("belongs to another store"), "{text}");
        assert!(bytes(&store, &segment) == foreign, "somebody will want it back");
    }
}

#[test]
fn a_log_without_its_data_file_is_not_taken_for_a_new_store() {
    let (store, ..) = store(3);
    store.rename(crate::common::PATH.as_ref(), "elsewhere".as_ref()).unwrap();
    let error = open(&store).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert!(error.to_string().contains("put the data file back"), "{error}");
    store.rename("elsewhere".as_ref(), crate::common::PATH.as_ref()).unwrap();
    let engine: Result<Engine> = open(&store);
    assert_eq!(count(&engine.unwrap()), 3);
}
