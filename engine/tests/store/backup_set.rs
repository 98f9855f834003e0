//! Backup sets: every backup of a chain gives back the commit that it was taken at, whatever happened between; nothing
//! that was changed, lost, renamed or mixed up passes; and a crash at any moment leaves a set as it was, or one backup
//! longer.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use crate::common::{
    Script, Step, Trees, arc, assert_sound, bytes, killed, open_with, options, put_file,
    script::{Change, commit, key, puts, value},
    state,
};
use llmdb_engine::{Engine, ErrorKind, RestoreReport, RestoreSource, RestoreTo, Result, TxnId};
use llmdb_vfs::{
    Vfs,
    crash::{Chooser, CrashVfs, Preset},
};
use proptest::prelude::*;

const SET: &str = "set";
const COPY: &str = "copy.llmdb";

fn source() -> RestoreSource {
    RestoreSource { set: SET.into(), ..RestoreSource::default() }
}

fn restore(disk: &CrashVfs, until: RestoreTo) -> Result<RestoreReport> {
    Engine::restore_on(&arc(disk), &source(), Path::new(COPY), until, &mut |_, _| true)
}

fn verify(disk: &CrashVfs) -> Result<usize> {
    Engine::verify_set_on(disk, Path::new(SET), &mut |_, _| true).map(|backups| backups.len())
}

/// Restores on a disk of its own, and returns what the store holds.
fn restored(disk: &CrashVfs, until: RestoreTo) -> (RestoreReport, Trees) {
    let disk = disk.fork();
    let report = restore(&disk, until).unwrap();
    let copy = Engine::open_on(arc(&disk), COPY, options()).unwrap();
    assert_sound(&copy);
    assert_eq!(copy.last_commit().txid, report.commit.txid);
    assert_eq!(copy.last_commit().timestamp, report.commit.timestamp);
    let trees = state(&copy);
    // It is a store like any other.
    commit(&copy, &puts("later", 0..50, 3, 100)).unwrap();
    assert_eq!(copy.last_commit().txid, report.commit.txid.next());
    copy.close().unwrap();
    (report, trees)
}

fn backup(engine: &Engine, full: bool) -> llmdb_engine::SetBackup {
    let all = &mut |_, _| true;
    if full { engine.backup_full(SET, all) } else { engine.backup_incremental(SET, all) }.unwrap()
}

#[test]
fn every_backup_of_a_chain_is_the_commit_that_it_was_taken_at() {
    let script = Script::varied();
    let disk = CrashVfs::new(3);
    let mut engine = open_with(&disk, script.options.clone()).unwrap();
    let mut count = 0;
    for step in &script.steps {
        match step {
            Step::Commit(changes) => {
                commit(&engine, changes).unwrap();
                let taken = backup(&engine, count == 0);
                count += 1;
                assert_eq!((taken.number, taken.commit.txid.get()), (count - 1, count));
            }
            Step::Checkpoint => engine.checkpoint().unwrap(),
            Step::Reopen => {
                engine.close().unwrap();
                engine = open_with(&disk, script.options.clone()).unwrap();
            }
            Step::Hold | Step::Release | Step::Backup => {}
        }
    }
    assert_eq!(verify(&disk).unwrap() as u64, count);
    for txid in 1..=count {
        let (report, trees) = restored(&disk, RestoreTo::Tx(TxnId::new(txid)));
        assert_eq!(report.backup_count, txid);
        assert_ne!(report.store, report.original, "a restored store is another store");
        assert!(trees == script.states[txid as usize], "not the state after {txid} commits");
    }
    let newest = engine.last_commit();
    let (_, trees) = restored(&disk, RestoreTo::Time(newest.timestamp));
    assert!(trees == *script.last());
}

#[test]
fn an_incremental_backup_holds_what_changed() {
    let disk = CrashVfs::new(4);
    let engine = open_with(&disk, options()).unwrap();
    commit(&engine, &puts("rows", 0..3000, 1, 300)).unwrap();
    let full = backup(&engine, true);
    commit(&engine, &puts("rows", [7], 2, 300)).unwrap();
    let one = backup(&engine, false);
    assert!(one.page_count <= 6, "{} pages for one row of {}", one.page_count, full.page_count);
    let nothing = backup(&engine, false);
    assert_eq!(nothing.page_count, 0, "nothing was changed");
    assert!(restored(&disk, RestoreTo::Latest).1 == state(&engine));
}

#[test]
fn a_store_that_crashed_and_recovered_between_backups_is_restored_all_the_same() {
    let disk = CrashVfs::new(5);
    let engine = open_with(&disk, options()).unwrap();
    commit(&engine, &puts("rows", 0..500, 1, 200)).unwrap();
    backup(&engine, true);
    // Durable in the log, and in no checkpoint: what the backup holds was reached by other pages than these.
    commit(&engine, &puts("rows", 100..300, 2, 250)).unwrap();
    commit(&engine, &[Change::DeleteRange("rows", key(0), key(90))]).unwrap();
    backup(&engine, false);
    commit(&engine, &puts("rows", 50..150, 3, 220)).unwrap();
    let crashed = killed(&disk);
    let engine = open_with(&crashed, options()).unwrap();
    commit(&engine, &puts("rows", 200..400, 4, 210)).unwrap();
    backup(&engine, false);
    let again = killed(&crashed);
    let engine = open_with(&again, options()).unwrap();
    backup(&engine, false);
    assert_eq!(verify(&again).unwrap(), 4);
    assert!(restored(&again, RestoreTo::Latest).1 == state(&engine));
}

#[test]
fn a_backup_under_load_shows_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let (path, set) = (folder.path().join("live.llmdb"), folder.path().join("set"));
    let mut small = options();
    small.checkpoint_log_bytes = 64 << 10;
    small.durability = llmdb_engine::Durability::Off;
    let engine = Engine::open(&path, small).unwrap();
    let round = |number: u64| {
        let mut txn = engine.begin_write().unwrap();
        let mut tree = txn.tree("rows").unwrap();
        for row in 0..100 {
            tree.put(key(row), number.to_le_bytes().repeat(20)).unwrap();
        }
        tree.put("long", number.to_le_bytes().repeat(2_000)).unwrap();
        txn.commit().unwrap();
    };
    round(0);
    let done = std::sync::atomic::AtomicBool::new(false);
    let taken = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 1;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                round(number);
                number += 1;
            }
        });
        let mut taken = vec![engine.backup_full(&set, &mut |_, _| true).unwrap()];
        for _ in 0..8 {
            taken.push(engine.backup_incremental(&set, &mut |_, _| true).unwrap());
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        taken
    });
    for (index, backup) in taken.iter().enumerate() {
        let to = folder.path().join(format!("copy-{index}.llmdb"));
        let source = RestoreSource { set: set.clone(), ..RestoreSource::default() };
        let until = RestoreTo::Tx(backup.commit.txid);
        let report = Engine::restore(&source, &to, until, &mut |_, _| true).unwrap();
        assert_eq!(report.commit.txid, backup.commit.txid);
        let copy = Engine::open(&to, options()).unwrap();
        assert_sound(&copy);
        // Transactions count from 1, rounds from 0.
        let number = (backup.commit.txid.get() - 1).to_le_bytes();
        let snapshot = copy.snapshot().unwrap();
        let tree = snapshot.tree("rows").unwrap().unwrap();
        assert_eq!(tree.len(), 101);
        for row in tree.iter().unwrap() {
            let (_, value) = row.unwrap();
            assert!(value.chunks(8).all(|piece| piece == number), "a mixture of commits");
        }
    }
}

/// A set of three backups of a small store.
fn small_set() -> CrashVfs {
    let disk = CrashVfs::new(6);
    let engine = open_with(&disk, options()).unwrap();
    for number in 0..3 {
        let mut changes = puts("rows", number * 3..number * 3 + 4, number, 40);
        changes.push(Change::Put("long", key(number), value(number, 5_000)));
        commit(&engine, &changes).unwrap();
        backup(&engine, number == 0);
    }
    engine.close().unwrap();
    disk
}

fn file(name: &str) -> PathBuf {
    Path::new(SET).join(name)
}

/// Asserts that the set is refused, by `verify` and by a restore, which leaves nothing behind. Returns the reason.
fn refused(disk: &CrashVfs, story: &str) -> String {
    let verified = verify(disk).expect_err(story);
    assert_eq!(verified.kind(), ErrorKind::BrokenBackup, "{story}: {verified}");
    let restored = restore(disk, RestoreTo::Latest).expect_err(story);
    assert_eq!(restored.kind(), ErrorKind::BrokenBackup, "{story}: {restored}");
    let left = disk.files().into_iter().find(|(path, _)| path.to_string_lossy().contains("copy"));
    assert_eq!(left, None, "{story}");
    verified.to_string()
}

#[test]
fn every_changed_byte_is_noticed() {
    let disk = small_set();
    for number in 0..3 {
        for name in [format!("{number:04}.json"), format!("{number:04}.pages")] {
            let path = file(&name);
            let whole = bytes(&disk, &path);
            // Each byte of a manifest, and of the pages one in each of many places.
            let step = if name.ends_with("json") { 1 } else { 97 };
            for index in (0..whole.len()).step_by(step) {
                let mut changed = whole.clone();
                changed[index] ^= 1 << (index % 8);
                put_file(&disk, &path, &changed);
                let error = verify(&disk).expect_err(&name);
                assert_eq!(error.kind(), ErrorKind::BrokenBackup, "byte {index} of {name}: {error}");
            }
            put_file(&disk, &path, &whole[..whole.len() - 1]);
            refused(&disk, &format!("{name} cut"));
            put_file(&disk, &path, &[whole.as_slice(), b" "].concat());
            refused(&disk, &format!("{name} longer"));
            put_file(&disk, &path, &whole);
        }
    }
    assert_eq!(verify(&disk).unwrap(), 3);
}

#[test]
fn missing_renamed_and_foreign_parts_are_refused_with_the_reason() {
    let disk = small_set();
    let without = |names: &[&str]| {
        let disk = disk.fork();
        names.iter().for_each(|name| disk.remove_file(&file(name)).unwrap());
        disk
    };
    assert!(refused(&without(&["0001.pages"]), "no pages").contains("0001.pages is missing"));
    assert!(refused(&without(&["0001.json", "0001.pages"]), "a hole").contains("0001.json is missing"));
    assert!(refused(&without(&["0000.json"]), "no base").contains("0000.json is missing"));
    assert_eq!(verify(&without(&["0002.json"])).unwrap(), 2, "the end of a chain can be given up");

    let swapped = disk.fork();
    for ending in ["json", "pages"] {
        let (one, two) = (file(&format!("0001.{ending}")), file(&format!("0002.{ending}")));
        let (first, second) = (bytes(&disk, &one), bytes(&disk, &two));
        put_file(&swapped, &one, &second);
        put_file(&swapped, &two, &first);
    }
    assert!(refused(&swapped, "swapped").contains("was renamed"));

    let swapped = disk.fork();
    put_file(&swapped, file("0001.pages"), &bytes(&disk, file("0002.pages")));
    refused(&swapped, "the pages of another backup");

    let other = small_set_of_another_store();
    let foreign = disk.fork();
    for ending in ["json", "pages"] {
        let name = format!("0001.{ending}");
        put_file(&foreign, file(&name), &bytes(&other, file(&name)));
    }
    assert!(refused(&foreign, "foreign").contains("was taken from store"));

    let twice = disk.fork();
    for (from, to) in [("0000.json", "0003.json"), ("0000.pages", "0003.pages")] {
        put_file(&twice, file(to), &bytes(&disk, file(from)));
    }
    assert!(refused(&twice, "a full one behind").contains("was renamed"));
}

fn small_set_of_another_store() -> CrashVfs {
    let disk = CrashVfs::new(77);
    let engine = open_with(&disk, options()).unwrap();
    for number in 0..3 {
        commit(&engine, &puts("rows", [number], number, 40)).unwrap();
        backup(&engine, number == 0);
    }
    disk
}

#[test]
fn wrong_calls_say_what_is_wrong() {
    let disk = small_set();
    let engine = open_with(&disk, options()).unwrap();
    let all = &mut |_: u64, _: u64| true;
    let error = engine.backup_full(SET, all).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert_eq!(engine.backup_incremental("nowhere", all).unwrap_err().kind(), ErrorKind::Missing);
    let other = Engine::open_on(arc(&disk), "other.llmdb", options()).unwrap();
    let error = other.backup_incremental(SET, all).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert!(error.to_string().contains("is a set of store"), "{error}");
    assert_eq!(engine.backup_incremental(SET, &mut |_, _| false).unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(verify(&disk).unwrap(), 3);

    let error = restore(&disk, RestoreTo::Tx(TxnId::new(0))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotKept);
    let error = restore(&disk, RestoreTo::Tx(TxnId::new(4))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotKept);
    assert!(error.to_string().contains("up to tx3"), "{error}");
    restore(&disk, RestoreTo::Latest).unwrap();
    assert_eq!(restore(&disk, RestoreTo::Latest).unwrap_err().kind(), ErrorKind::Misuse);
    let nothing = Engine::verify_set_on(&disk, Path::new("nowhere"), all).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::Missing);
}

/// The store goes back to the older checkpoint, behind the one that the last backup shows: what was changed since cannot be
/// told by births any more.
#[test]
fn an_incremental_backup_on_a_checkpoint_that_was_given_up_is_refused() {
    let two = || {
        let disk = CrashVfs::new(6);
        let engine = open_with(&disk, options()).unwrap();
        commit(&engine, &puts("rows", 0..400, 1, 300)).unwrap();
        backup(&engine, true);
        commit(&engine, &puts("rows", 0..40, 2, 300)).unwrap();
        engine.checkpoint().unwrap();
        (disk, engine)
    };
    let refused = |disk: &CrashVfs, options: llmdb_engine::Options, how: &str| {
        let engine = open_with(disk, options).unwrap();
        // A checkpoint, a crash and a close do not make it forgotten.
        for round in 3..6 {
            commit(&engine, &puts("rows", 0..40, round, 300)).unwrap();
            let error = engine.backup_incremental(SET, &mut |_, _| true).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse, "{how}: {error}");
            assert!(error.to_string().contains("begin another set with a full backup"), "{how}: {error}");
        }
        let crashed = killed(disk);
        engine.close().unwrap();
        for disk in [disk, &crashed] {
            let engine = open_with(disk, crate::common::options()).unwrap();
            assert!(engine.backup_incremental(SET, &mut |_, _| true).is_err(), "{how}");
            let all = &mut |_: u64, _: u64| true;
            engine.backup_full("another", all).unwrap();
            commit(&engine, &puts("rows", 0..10, 9, 300)).unwrap();
            engine.backup_incremental("another", all).unwrap();
        }
    };
    let newest_slots = |disk: &CrashVfs| {
        let generation = |slot: u64| {
            let at = slot as usize * 4096 + 32;
            u64::from_le_bytes(bytes(disk, crate::common::PATH)[at..at + 8].try_into().unwrap())
        };
        if generation(0) > generation(1) { [0, 16] } else { [1, 17] }
    };
    for (further, how) in
        [(false, "the backup is the newest checkpoint"), (true, "the backup is the older one")]
    {
        let (disk, engine) = two();
        if !further {
            backup(&engine, false);
        }
        let mut disk = killed(&disk);
        drop(engine);
        for slot in newest_slots(&disk) {
            disk.overwrite(crate::common::PATH.as_ref(), slot * 4096, &[0xA5; 4096]).unwrap();
        }
        if further {
            // The base is still a checkpoint that the store comes from.
            let engine = open_with(&disk, options()).unwrap();
            backup(&engine, false);
            engine.close().unwrap();
            disk = killed(&disk);
            assert!(restored(&disk, RestoreTo::Latest).1 == state(&open_with(&disk, options()).unwrap()));
        } else {
            refused(&disk, options(), how);
        }
    }
    let (disk, engine) = two();
    backup(&engine, false);
    let disk = killed(&disk);
    drop(engine);
    let mut older = options();
    older.start_from = llmdb_engine::StartFrom::Older;
    refused(&disk, older, "somebody asked for the older one");
}

/// Every moment before a call that changes the disk while `work` runs.
fn moments(disk: &CrashVfs, work: impl FnOnce()) -> Vec<CrashVfs> {
    let found: Arc<Mutex<Vec<CrashVfs>>> = Arc::default();
    let observer = {
        let found = found.clone();
        move |disk: &CrashVfs, op: &llmdb_vfs::crash::Op<'_>| {
            let (point, mut chooser) = (disk.crash_point(), Chooser::new(op.index));
            let mut found = found.lock().unwrap();
            found.push(disk.process_crash(&mut chooser));
            found.push(point.crash_as(Preset::Nothing, &mut chooser));
            found.push(point.crash_as(Preset::Everything, &mut chooser));
            found.push(point.crash(&mut chooser));
        }
    };
    disk.observe(Some(Arc::new(observer)));
    work();
    disk.observe(None);
    std::mem::take(&mut *found.lock().unwrap())
}

#[test]
fn a_crash_during_a_backup_leaves_the_set_as_it_was_or_one_longer() {
    let disk = CrashVfs::new(8);
    let engine = open_with(&disk, options()).unwrap();
    for number in 0..3_u64 {
        commit(&engine, &puts("rows", number * 10..number * 10 + 15, number, 60)).unwrap();
        let moments = moments(&disk, || drop(backup(&engine, number == 0)));
        assert!(moments.len() > 40);
        for found in moments {
            let count = match verify(&found) {
                Err(error) if error.kind() == ErrorKind::Missing => 0,
                verified => verified.unwrap() as u64,
            };
            assert!(count == number || count == number + 1, "{count} backups of {number}");
            // What is left of the attempt stands in nobody's way.
            let engine = open_with(&found, options()).unwrap();
            backup(&engine, count == 0);
            assert!(restored(&found, RestoreTo::Latest).1 == state(&engine));
        }
    }
}

#[test]
fn a_crash_during_a_restore_leaves_nothing_or_the_whole_store() {
    let disk = small_set();
    let expected = restored(&disk, RestoreTo::Latest).1;
    let moments = moments(&disk, || {
        restore(&disk, RestoreTo::Latest).unwrap();
    });
    assert!(moments.len() > 40);
    let mut whole = 0;
    for found in moments {
        if found.exists(Path::new(COPY)).unwrap() {
            let copy = Engine::open_on(arc(&found), COPY, options()).unwrap();
            assert_sound(&copy);
            assert!(state(&copy) == expected);
            whole += 1;
        } else {
            assert!(restored(&found, RestoreTo::Latest).1 == expected, "the draft stands in nobody's way");
        }
    }
    assert!(whole > 0);
}

fn change() -> impl Strategy<Value = Change> {
    let tree = prop::sample::select(vec!["a", "b", "c"]);
    let put = (tree.clone(), 0..60_u64, 0..255_u64, 0..600_usize)
        .prop_map(|(tree, number, seed, len)| Change::Put(tree, key(number), value(seed, len)));
    let long = (tree.clone(), 0..9_u64, 0..255_u64, 2_000..80_000_usize)
        .prop_map(|(tree, number, seed, len)| Change::Put(tree, key(number), value(seed, len)));
    let delete = (tree.clone(), 0..60_u64).prop_map(|(tree, number)| Change::Delete(tree, key(number)));
    let range = (tree.clone(), 0..60_u64, 0..30_u64)
        .prop_map(|(tree, from, width)| Change::DeleteRange(tree, key(from), key(from + width)));
    prop_oneof![8 => put, 1 => long, 3 => delete, 2 => range, 1 => tree.prop_map(Change::Drop)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn chains_equal_the_model(
        commits in prop::collection::vec((prop::collection::vec(change(), 1..12), 0..4_u8, prop::bool::ANY), 2..14),
        seed in 0..1000_u64,
    ) {
        let mut disk = CrashVfs::new(seed);
        let mut engine = open_with(&disk, options()).unwrap();
        let script = Script::new(commits.iter().map(|(changes, _, _)| Step::Commit(changes.clone())).collect());
        let mut taken: Vec<(TxnId, usize)> = Vec::new();
        for (index, (changes, between, save)) in commits.iter().enumerate() {
            commit(&engine, changes).unwrap();
            if *save {
                taken.push((backup(&engine, taken.is_empty()).commit.txid, index + 1));
            }
            match between {
                0 => engine.checkpoint().unwrap(),
                1 => {
                    engine.close().unwrap();
                    engine = open_with(&disk, options()).unwrap();
                }
                2 => {
                    disk = killed(&disk);
                    engine = open_with(&disk, options()).unwrap();
                }
                _ => {}
            }
        }
        for (txid, state) in taken {
            prop_assert!(restored(&disk, RestoreTo::Tx(txid)).1 == script.states[state]);
        }
    }
}
