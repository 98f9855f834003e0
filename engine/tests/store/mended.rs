//! A page that was written since the older checkpoint is lost, by rot or because the disk did not write it: what it said
//! is made again from the older checkpoint and the log, by the opening that cannot do without it, on demand, or before
//! the older checkpoint would be given up. Until then the answer is an error that names the page.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
use crate::common::{
    PATH, Script, Step, assert_sound, bytes, killed, open, problems, put_file,
    script::{Change, commit, key, puts, value},
};
use llmdb_base::{Pgno, StoreId, checksum, codec, header};
use llmdb_engine::{Engine, Error};
use llmdb_vfs::crash::CrashVfs;

const PAGE: usize = 4096;

/// A store with two checkpoints and a log behind them, killed; and its script.
fn store() -> (CrashVfs, Script) {
    let mut steps = vec![
        Step::Commit(puts("many", 0..700, 3, 100)),
        Step::Commit(puts("long", [1, 2, 3], 3, 30_000)),
        Step::Commit(puts("longer", [1], 3, 300_000)),
        Step::Checkpoint,
        Step::Commit(puts("many", (0..700).step_by(9), 4, 120)),
        Step::Commit(puts("young", 0..90, 4, 120)),
        Step::Commit(puts("long", [2, 4], 7, 25_000)),
        Step::Commit(puts("longer", [2], 9, 300_000)),
        Step::Commit(vec![
            Change::DeleteRange("many", key(300), key(400)),
            Change::Put("few", key(1), value(1, 10)),
        ]),
        Step::Checkpoint,
    ];
    steps.push(Step::Commit(puts("young", 85..130, 5, 100)));
    let script = Script::new(steps);
    let disk = CrashVfs::new(1);
    let engine = script.run(&disk);
    let found = killed(&disk);
    drop(engine);
    (found, script)
}

/// Epochs of the two generations, the older one first.
fn epochs(file: &[u8]) -> [u64; 2] {
    let mut epochs = [0, 1].map(|slot| codec::get_u64(file, slot * PAGE + 40));
    epochs.sort_unstable();
    epochs
}

/// Whether a page is a node, and was written after the older checkpoint and before the newest.
fn is_young_node(file: &[u8], page: usize) -> bool {
    let bytes: &[u8; PAGE] = file[page * PAGE..][..PAGE].try_into().unwrap();
    let store = StoreId::new(codec::get_u128(file, 16));
    let seed = checksum::page_seed(store, Pgno::new(page as u64));
    let is_node = matches!(bytes[4], 1 | 2) && header::checksum(bytes) == checksum::crc32c(seed, &bytes[4..]);
    let [older, newest] = epochs(file);
    let birth = header::birth(bytes).get();
    is_node && older < birth && birth <= newest
}

fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Corruption(_) | Error::Unopenable(_))
}

/// Reads everything; whatever can be read is right. Whether all of it could be read.
fn reads_right(engine: &Engine, script: &Script) -> bool {
    let snapshot = engine.snapshot().unwrap();
    let mut whole = true;
    for (name, rows) in script.last() {
        let tree = match snapshot.tree(name) {
            Ok(tree) => tree.expect("the tree is there"),
            Err(error) => {
                assert!(is_damage(&error), "{error}");
                whole = false;
                continue;
            }
        };
        for (key, value) in rows {
            match tree.get(key) {
                Ok(found) => assert!(found == Some(value.as_slice()), "a wrong answer"),
                Err(error) => {
                    assert!(is_damage(&error), "{error}");
                    whole = false;
                }
            }
        }
    }
    whole
}

/// How a page is lost.
const WAYS: [&str; 3] = ["a flipped bit", "never written", "another page in its place"];

fn lose(disk: &CrashVfs, page: usize, way: &str, file: &[u8]) {
    let at = (page * PAGE) as u64;
    match way {
        "a flipped bit" => disk.flip_bit(PATH.as_ref(), at + 1000, 3).unwrap(),
        "never written" => disk.overwrite(PATH.as_ref(), at, &[0; PAGE]).unwrap(),
        _ => {
            let other = &file[(page - 1) * PAGE..][..PAGE];
            disk.overwrite(PATH.as_ref(), at, other).unwrap();
        }
    }
}

#[test]
fn young_pages_are_mended_and_old_ones_are_named() {
    let (store, script) = store();
    let file = bytes(&store, PATH);
    let (mut mended, mut at_open, mut named) = (0, 0, 0);
    for page in 18..file.len() / PAGE {
        for way in WAYS {
            let disk = store.fork();
            lose(&disk, page, way, &file);
            let story = format!("page {page}, {way}");
            let young = is_young_node(&file, page);
            let engine = match open(&disk) {
                Ok(engine) => engine,
                Err(error) => {
                    assert!(is_damage(&error) && !young, "{story}: {error}");
                    named += 1;
                    continue;
                }
            };
            at_open += usize::from(!engine.recovery().mended.is_empty());
            if reads_right(&engine, &script) {
                continue;
            }
            match engine.mend() {
                Ok(report) => {
                    assert!(!report.trees.is_empty() && report.freed_pages > 0, "{story}: {report:?}");
                    mended += 1;
                    script.verify(&engine, script.states.len() - 1, script.states.len() - 1, &story);
                    // It is durable, in both generations, and can be used.
                    let all = script.states.len() - 1;
                    script.verify_disk(&killed(&disk), all, all, &story);
                    commit(&engine, &puts("after", 0..20, 1, 50)).unwrap();
                    engine.close().unwrap();
                    assert_sound(&open(&disk).unwrap());
                }
                Err(error) => {
                    assert!(!young, "{story}: {error}");
                    assert!(is_damage(&error) || matches!(error, Error::BadRecord(_)), "{story}: {error}");
                    assert!(!problems(&engine).is_empty(), "{story}");
                    named += 1;
                }
            }
        }
    }
    assert!(
        mended > 60 && at_open > 5 && named > 20,
        "{mended} mended, {at_open} at the opening, {named} named"
    );
}

/// Nobody asks: the clean close, or the next checkpoint, would give up the older checkpoint, and mends first.
#[test]
fn what_was_met_is_mended_before_it_is_too_late() {
    let (store, script) = store();
    let file = bytes(&store, PATH);
    let mut mended = 0;
    for page in (18..file.len() / PAGE).filter(|page| is_young_node(&file, *page)) {
        for by in ["close", "checkpoint", "drop"] {
            let disk = store.fork();
            lose(&disk, page, WAYS[0], &file);
            let engine = open(&disk).unwrap();
            if reads_right(&engine, &script) {
                continue;
            }
            match by {
                "close" => engine.close().unwrap(),
                "checkpoint" => {
                    engine.checkpoint().unwrap();
                    assert!(reads_right(&engine, &script));
                    drop(engine);
                }
                _ => drop(engine),
            }
            let all = script.states.len() - 1;
            script.verify_disk(&disk, all, all, &format!("page {page}, mended by {by}"));
            mended += 1;
        }
    }
    assert!(mended > 20, "{mended}");
}

/// A snapshot from before goes on as it was; readers on other threads are not disturbed.
#[test]
fn readers_go_on_while_pages_are_mended() {
    let (store, script) = store();
    let file = bytes(&store, PATH);
    let page = (18..file.len() / PAGE).filter(|page| is_young_node(&file, *page)).nth(3).unwrap();
    let disk = store.fork();
    lose(&disk, page, WAYS[0], &file);
    let engine = open(&disk).unwrap();
    let before = engine.snapshot().unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| (0..20).filter(|_| reads_right(&engine, &script)).count());
        engine.mend().unwrap();
        reader.join().unwrap();
    });
    assert!(reads_right(&engine, &script));
    assert_eq!(before.txid(), engine.last_commit().txid);
    drop(before);
    for round in 0..3 {
        commit(&engine, &puts("after", 0..50, round, 50)).unwrap();
        engine.checkpoint().unwrap();
    }
    assert_sound(&engine);
}

#[test]
fn nothing_is_done_where_nothing_is_damaged() {
    let (store, script) = store();
    let engine = open(&store).unwrap();
    assert!(engine.recovery().mended.is_empty());
    let report = engine.mend().unwrap();
    assert!(report.is_empty() && report.freed_pages == 0, "{report:?}");
    assert!(reads_right(&engine, &script));
    let empty = Engine::in_memory().unwrap();
    assert!(empty.mend().unwrap().is_empty());
}

/// The newest checkpoint reaches behind the end of a file that was cut; the older one does not.
#[test]
fn a_cut_file_that_holds_the_older_checkpoint_opens() {
    let steps = vec![
        Step::Commit(puts("many", 0..200, 3, 100)),
        Step::Checkpoint,
        Step::Commit(puts("young", 0..600, 4, 300)),
        Step::Checkpoint,
    ];
    let script = Script::new(steps);
    let disk = CrashVfs::new(1);
    let engine = script.run(&disk);
    let found = killed(&disk);
    drop(engine);
    let file = bytes(&found, PATH);
    let newest = codec::get_u64(&file, 72).max(codec::get_u64(&file, PAGE + 72)) as usize;
    let older = codec::get_u64(&file, 72).min(codec::get_u64(&file, PAGE + 72)) as usize;
    assert!(older + 20 < newest, "{older} {newest}");
    for pages in [older, older + 10, newest - 1] {
        let disk = found.fork();
        put_file(&disk, PATH, &file[..pages * PAGE]);
        let engine = open(&disk).unwrap();
        assert!(
            engine.recovery().mended.iter().any(|what| what.contains("bytes")),
            "{:?}",
            engine.recovery()
        );
        script.verify(&engine, 2, 2, &format!("cut to {pages} pages"));
        engine.close().unwrap();
        script.verify_disk(&disk, 2, 2, "closed");
    }
    let disk = found.fork();
    put_file(&disk, PATH, &file[..(older - 1) * PAGE]);
    assert!(open(&disk).unwrap_err().to_string().contains("bytes"));
}
