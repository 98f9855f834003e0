//! Rot, lost writes and misdirected writes anywhere in the data file and in the log of a store that was killed: the answer
//! is the same, or an error that names the page and the tree, or the place in the log; never another answer.
//!
//! The commits that share the last write of the log may be missing: damage there cannot be told from a torn end.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
use std::path::PathBuf;

use crate::common::{
    PATH, Script, Step, Trees, arc, bytes, killed, open, problems,
    script::{Change, key, puts, value},
    segments,
};
use llmdb_engine::{Engine, Error, ErrorKind};
use llmdb_vfs::crash::{Chooser, CrashVfs};

const BLOCK: u64 = 4096;

/// A store with two checkpoints and a log of several segments behind them, killed.
fn store() -> (CrashVfs, Script) {
    let mut steps = vec![
        Step::Commit(puts("many", 0..400, 3, 100)),
        Step::Commit(puts("long", [1, 2, 3], 3, 30_000)),
        Step::Checkpoint,
        Step::Commit(puts("many", (0..400).step_by(9), 4, 120)),
        Step::Commit(puts("young", 0..90, 4, 120)),
        Step::Checkpoint,
    ];
    for round in 0..12 {
        steps.push(Step::Commit(puts("young", round * 7..round * 7 + 20, round, 700)));
    }
    steps.push(Step::Commit(vec![Change::Put("few", key(1), value(1, 10)), Change::Delete("many", key(3))]));
    let script = Script::new(steps);
    let disk = CrashVfs::new(1);
    let engine = script.run(&disk);
    let found = killed(&disk);
    drop(engine);
    (found, script)
}

/// What happens to the disk: says what, for a failure.
fn damage(disk: &CrashVfs, chooser: &mut Chooser) -> String {
    let mut files: Vec<(PathBuf, u64)> = segments(disk);
    files.push((PathBuf::from(PATH), bytes(disk, PATH).len() as u64));
    // The data file as often as all segments together.
    let index =
        if chooser.below(2) == 0 { files.len() - 1 } else { chooser.below(files.len() as u64) as usize };
    let (path, len) = files[index].clone();
    let at = chooser.below(len / BLOCK) * BLOCK;
    let what = ["a flipped bit", "a lost sector", "a lost block", "another block", "a block of another file"];
    let kind = chooser.below(what.len() as u64) as usize;
    match kind {
        0 => disk.flip_bit(&path, at + chooser.below(BLOCK), chooser.below(8) as u32).unwrap(),
        1 => disk.overwrite(&path, at + chooser.below(8) * 512, &[0; 512]).unwrap(),
        2 => disk.overwrite(&path, at, &[0; BLOCK as usize]).unwrap(),
        _ => {
            let other = if kind == 3 { &path } else { &files[chooser.below(files.len() as u64) as usize].0 };
            let from = bytes(disk, other);
            let start = chooser.below(from.len() as u64 / BLOCK) as usize * BLOCK as usize;
            disk.overwrite(&path, at, &from[start..start + BLOCK as usize]).unwrap();
        }
    }
    format!("{} at {at} of {}", what[kind], path.display())
}

/// Reads everything; what can be read is as `expected`. Returns how much could not be.
fn read_all(engine: &Engine, expected: &Trees, story: &str) -> usize {
    let snapshot = engine.snapshot().unwrap();
    let mut failed = 0;
    let mut note = |error: &Error| {
        let Error::Corruption(damage) = error else { panic!("{story}: {error:?}") };
        assert!(damage.tree.is_some() && error.to_string().contains("pg"), "{story}: {error}");
        failed += 1;
    };
    for (name, rows) in expected {
        let tree = match snapshot.tree(name) {
            Ok(tree) => tree.unwrap_or_else(|| panic!("{story}: tree {name} is gone")),
            Err(error) => {
                note(&error);
                continue;
            }
        };
        for (key, value) in rows {
            match tree.get(key) {
                Ok(found) => assert!(found == Some(value.as_slice()), "{story}: a wrong answer"),
                Err(error) => note(&error),
            }
        }
        let mut wanted = rows.iter();
        for row in tree.iter().into_iter().flatten() {
            match row {
                Ok((key, value)) => {
                    assert!(wanted.next() == Some((&key.to_vec(), &value.to_vec())), "{story}")
                }
                Err(error) => {
                    note(&error);
                    break;
                }
            }
        }
    }
    failed
}

#[test]
fn the_same_answer_or_an_error_with_its_place() {
    let (store, script) = store();
    let all = script.states.len() - 1;
    let rounds: u64 =
        std::env::var("LLMDB_ROT_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(700);
    let mut counts = [0; 5];
    for seed in 0..rounds {
        let mut chooser = Chooser::new(seed);
        let disk = store.fork();
        let mut story = format!("seed {seed}");
        for _ in 0..1 + chooser.below(4) / 3 {
            story = format!("{story}, {}", damage(&disk, &mut chooser));
        }
        let engine = match open(&disk) {
            Ok(engine) => engine,
            Err(error) => {
                let text = error.to_string();
                assert!(
                    matches!(
                        error.kind(),
                        ErrorKind::Corruption | ErrorKind::NotADatabase | ErrorKind::NewerVersion
                    ),
                    "{story}: {text}"
                );
                assert!(
                    text.contains("pg") || text.contains("segment") || text.contains(PATH),
                    "{story}: {text}"
                );
                counts[0] += 1;
                // Whatever keeps it from being opened, the rest can be saved, and what is saved is right.
                if Engine::salvage_on(&arc(&disk), PATH.as_ref(), "saved".as_ref()).is_ok() {
                    counts[4] += 1;
                }
                continue;
            }
        };
        let found = engine.last_commit().txid.get() as usize;
        assert!((all - 1..=all).contains(&found), "{story}: {found} commits of {all}");
        let expected = &script.states[found];
        if read_all(&engine, expected, &story) == 0 {
            counts[1] += 1;
            continue;
        }
        assert!(!problems(&engine).is_empty(), "{story}: a read failed, and the check finds nothing");
        match engine.mend() {
            Ok(_) => {
                assert_eq!(read_all(&engine, expected, &story), 0, "{story}: mended, and cannot be read");
                crate::common::assert_sound(&engine);
                counts[2] += 1;
            }
            Err(_) => {
                read_all(&engine, expected, &story);
                counts[3] += 1;
            }
        }
    }
    let [refused, whole, mended, named, saved] = counts;
    println!("{refused} refused ({saved} saved), {whole} whole, {mended} mended, {named} named");
    assert!(refused > 10 && whole > 100 && mended > 5 && named > 10, "{counts:?}");
}
