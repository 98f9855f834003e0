//! Backups and archived log together: every commit of a workload can be had back, whatever happened between; a gap, a
//! changed byte or somebody else's log is noticed; and an archive that refuses does not stop the store.
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
    LOG, PATH, Script, Step, Trees, arc, assert_sound, bytes, killed, open_with, options, put_file,
    script::{commit, puts},
    segments, state,
};
use llmdb_engine::{
    Commit, Engine, Error, ErrorKind, FeedFrom, LogTail, Options, RestoreReport, RestoreSource, RestoreTo,
    Result, Timestamp, TxnId,
};
use llmdb_vfs::{
    Vfs,
    crash::{Chooser, CrashVfs, Preset},
};

const SET: &str = "set";
const ARCHIVE: &str = "archive";
const COPY: &str = "copy.llmdb";

fn archiving() -> Options {
    let mut options = options();
    options.archive = Some(ARCHIVE.into());
    options
}

fn source() -> RestoreSource {
    RestoreSource { set: SET.into(), archive: Some(ARCHIVE.into()), log: None }
}

fn all() -> impl FnMut(u64, u64) -> bool {
    |_, _| true
}

fn restore(disk: &CrashVfs, source: &RestoreSource, until: RestoreTo) -> Result<RestoreReport> {
    Engine::restore_on(&arc(disk), source, Path::new(COPY), until, &mut all())
}

fn restored(disk: &CrashVfs, source: &RestoreSource, until: RestoreTo) -> (RestoreReport, Trees) {
    let disk = disk.fork();
    let report = restore(&disk, source, until).unwrap();
    let copy = Engine::open_on(arc(&disk), COPY, options()).unwrap();
    assert_sound(&copy);
    let last = copy.last_commit();
    assert_eq!((last.txid, last.timestamp), (report.commit.txid, report.commit.timestamp));
    let trees = state(&copy);
    (report, trees)
}

fn parts(disk: &CrashVfs) -> Vec<PathBuf> {
    let files = disk.files().into_iter().map(|(path, _)| path);
    files.filter(|path| path.starts_with(ARCHIVE)).collect()
}

#[test]
fn every_commit_of_a_workload_can_be_had_back() {
    let mut script = Script::varied();
    script.options = archiving();
    let mut disk = CrashVfs::new(1);
    let mut engine = open_with(&disk, archiving()).unwrap();
    let mut commits: Vec<Commit> = Vec::new();
    for (index, step) in script.steps.iter().enumerate() {
        match step {
            Step::Commit(changes) => {
                commit(&engine, changes).unwrap();
                commits.push(engine.last_commit());
            }
            Step::Checkpoint => engine.checkpoint().unwrap(),
            Step::Reopen => {
                engine.close().unwrap();
                engine = open_with(&disk, archiving()).unwrap();
            }
            Step::Hold | Step::Release | Step::Backup => {}
        }
        match index {
            0 => drop(engine.backup_full(SET, &mut all()).unwrap()),
            // A crash, an opening that writes nothing, and an incremental backup on the way.
            5 => {
                disk = killed(&disk);
                engine = open_with(&disk, archiving()).unwrap();
                engine.close().unwrap();
                engine = open_with(&disk, archiving()).unwrap();
            }
            7 => drop(engine.backup_incremental(SET, &mut all()).unwrap()),
            _ => {}
        }
        disk.advance_us(1_000_000);
    }
    let report = engine.archive_now().unwrap();
    assert_eq!(report.commit, engine.last_commit());
    for (index, commit) in commits.iter().enumerate() {
        let expected = &script.states[index + 1];
        for until in
            [RestoreTo::Tx(commit.txid), RestoreTo::Lsn(commit.lsn), RestoreTo::Time(commit.timestamp)]
        {
            let (report, trees) = restored(&disk, &source(), until);
            assert_eq!(report.commit.txid, commit.txid, "{until:?}");
            assert!(trees == *expected, "{until:?}");
        }
        if index + 1 < commits.len() {
            let between = Timestamp::new(commit.timestamp.get() + 1);
            assert!(restored(&disk, &source(), RestoreTo::Time(between)).1 == *expected);
        }
    }
    assert!(restored(&disk, &source(), RestoreTo::Latest).1 == *script.last());
    let last = commits.last().unwrap();
    for beyond in [
        RestoreTo::Tx(last.txid.next()),
        RestoreTo::Time(Timestamp::new(last.timestamp.get() + 1)),
        RestoreTo::Lsn(last.lsn.plus(1)),
    ] {
        let error = restore(&disk, &source(), beyond).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotKept);
        assert!(error.to_string().contains(&format!("up to {}", last.txid)), "{error}");
    }
}

/// A store with a full backup at tx1, and some commits behind it, in several archived parts. Closed.
fn archived_store() -> (CrashVfs, Trees) {
    let disk = CrashVfs::new(2);
    let engine = open_with(&disk, archiving()).unwrap();
    commit(&engine, &puts("rows", 0..20, 1, 100)).unwrap();
    engine.backup_full(SET, &mut all()).unwrap();
    for round in 0..4 {
        commit(&engine, &puts("rows", round * 5..round * 5 + 9, round, 300)).unwrap();
        engine.archive_now().unwrap();
    }
    commit(&engine, &puts("rows", [3], 9, 300)).unwrap();
    let trees = state(&engine);
    engine.close().unwrap();
    (disk, trees)
}

#[test]
fn a_clean_close_archives_everything() {
    let (disk, trees) = archived_store();
    assert_eq!(segments(&disk), [], "and leaves no log");
    assert!(restored(&disk, &source(), RestoreTo::Latest).1 == trees);
}

#[test]
fn gaps_and_changed_bytes_are_noticed() {
    let (disk, _) = archived_store();
    let parts = parts(&disk);
    assert!(parts.len() >= 5, "{parts:?}");
    for (index, part) in parts.iter().enumerate().skip(1) {
        let without = disk.fork();
        without.remove_file(part).unwrap();
        let latest = restore(&without, &source(), RestoreTo::Latest);
        if index + 1 < parts.len() {
            let error = latest.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotKept, "{error}");
            assert!(error.to_string().contains("has no records between"), "{error}");
            let before = format!("up to tx{}", index + 1);
            assert!(error.to_string().contains(&before), "{error}");
        } else {
            // The end of an archive can be missing: nobody can know.
            assert_eq!(latest.unwrap().commit.txid.get(), index as u64 + 1);
        }
        let whole = bytes(&disk, part);
        for at in (0..whole.len()).step_by(61) {
            let changed = disk.fork();
            changed.flip_bit(part, at as u64, (at % 8) as u32).unwrap();
            let error = restore(&changed, &source(), RestoreTo::Latest).unwrap_err();
            assert!(matches!(error, Error::LogCorruption(_)), "byte {at} of {}: {error}", part.display());
        }
        for other in [&whole[..whole.len() - 1], &whole[..4096], &[whole.as_slice(), &[0; 4096]].concat()] {
            let changed = disk.fork();
            put_file(&changed, part, other);
            let error = restore(&changed, &source(), RestoreTo::Latest).unwrap_err();
            assert!(matches!(error, Error::LogCorruption(_)), "{error}");
        }
        let renamed = disk.fork();
        renamed.rename(part, &part.with_file_name("0000000000000000-0000000000001000.log")).unwrap();
        assert!(restore(&renamed, &source(), RestoreTo::Latest).is_err());
    }
}

#[test]
fn an_archive_or_log_of_another_store_is_refused() {
    let (disk, _) = archived_store();
    let other = CrashVfs::new(77);
    let engine = open_with(&other, options()).unwrap();
    commit(&engine, &puts("rows", 0..9, 1, 100)).unwrap();
    engine.backup_full(SET, &mut all()).unwrap();
    for part in parts(&disk) {
        put_file_in(&other, &part, &bytes(&disk, &part));
    }
    let error = restore(&other, &source(), RestoreTo::Latest).unwrap_err();
    assert!(error.to_string().contains("belongs to another store"), "{error}");
    // Nor does the store add to it.
    engine.close().unwrap();
    let engine = open_with(&other, archiving()).unwrap();
    commit(&engine, &puts("rows", 0..9, 2, 100)).unwrap();
    assert!(engine.archive_now().is_err());
    assert!(engine.stats().unwrap().archive_failed);
}

fn put_file_in(disk: &CrashVfs, path: &Path, bytes: &[u8]) {
    disk.create_dir(path.parent().unwrap()).unwrap();
    put_file(disk, path, bytes);
}

#[test]
fn the_log_of_a_lost_data_file_brings_the_last_commits() {
    let disk = CrashVfs::new(3);
    let engine = open_with(&disk, archiving()).unwrap();
    commit(&engine, &puts("rows", 0..20, 1, 100)).unwrap();
    engine.backup_full(SET, &mut all()).unwrap();
    commit(&engine, &puts("rows", 0..20, 2, 100)).unwrap();
    engine.archive_now().unwrap();
    commit(&engine, &puts("rows", 0..20, 3, 100)).unwrap();
    let trees = state(&engine);
    let disk = killed(&disk);
    disk.remove_file(Path::new(PATH)).unwrap();
    assert_eq!(restored(&disk, &source(), RestoreTo::Latest).0.commit.txid, TxnId::new(2));
    let with_log = RestoreSource { log: Some(LOG.into()), ..source() };
    let (report, found) = restored(&disk, &with_log, RestoreTo::Latest);
    assert!(found == trees);
    assert_eq!((report.commit.txid.get(), report.replayed_txns), (3, 2));
    let log_only = RestoreSource { archive: None, log: Some(LOG.into()), set: SET.into() };
    assert!(restored(&disk, &log_only, RestoreTo::Latest).1 == trees, "the log had not been given up yet");
    // At the old place lies the log of the original: the restored store must not meet it.
    let error = Engine::restore_on(&arc(&disk), &source(), Path::new(PATH), RestoreTo::Latest, &mut all());
    assert!(error.unwrap_err().to_string().contains("exists already"));
}

#[test]
fn an_archive_that_refuses_does_not_stop_the_store() {
    let disk = CrashVfs::new(4);
    // A file where the folder should be: every attempt fails.
    put_file(&disk, ARCHIVE, b"in the way");
    let mut patient = archiving();
    patient.checkpoint_log_bytes = 64 << 10;
    let engine = open_with(&disk, patient.clone()).unwrap();
    commit(&engine, &puts("rows", 0..20, 1, 100)).unwrap();
    engine.backup_full(SET, &mut all()).unwrap();
    for round in 0..10 {
        commit(&engine, &puts("rows", 0..60, round, 700)).unwrap();
    }
    let stats = engine.stats().unwrap();
    assert!(stats.archive_failed && stats.archive_failures > 0);
    assert_eq!(stats.archive_gaps, 0);
    assert!(engine.archive_now().is_err());
    engine.close().unwrap();
    assert_ne!(segments(&disk), [], "the log waits for the archive");
    disk.remove_file(Path::new(ARCHIVE)).unwrap();
    let engine = open_with(&disk, patient).unwrap();
    commit(&engine, &puts("rows", [5], 77, 700)).unwrap();
    engine.archive_now().unwrap();
    assert!(!engine.stats().unwrap().archive_failed);
    assert!(restored(&disk, &source(), RestoreTo::Latest).1 == state(&engine), "nothing is missing");
}

#[test]
fn a_backlog_has_an_end_and_the_gap_is_told() {
    let disk = CrashVfs::new(5);
    let mut impatient = archiving();
    impatient.checkpoint_log_bytes = 64 << 10;
    impatient.archive_backlog_bytes = 256 << 10;
    let engine = open_with(&disk, impatient.clone()).unwrap();
    commit(&engine, &puts("rows", 0..20, 1, 100)).unwrap();
    engine.backup_full(SET, &mut all()).unwrap();
    engine.archive_now().unwrap();
    for part in parts(&disk) {
        disk.rename(&part, &Path::new("aside").join(part.file_name().unwrap())).unwrap_or_else(|_| {
            disk.create_dir(Path::new("aside")).unwrap();
            disk.rename(&part, &Path::new("aside").join(part.file_name().unwrap())).unwrap();
        });
    }
    disk.remove_dir(Path::new(ARCHIVE)).unwrap();
    put_file(&disk, ARCHIVE, b"in the way");
    for round in 0..40 {
        commit(&engine, &puts("rows", 0..60, round, 700)).unwrap();
        let log: u64 = segments(&disk).iter().map(|(_, len)| len).sum();
        assert!(log < 1 << 20, "the log stays within its bounds: {log}");
    }
    assert!(engine.stats().unwrap().archive_gaps > 0);
    disk.remove_file(Path::new(ARCHIVE)).unwrap();
    engine.archive_now().unwrap();
    let error = restore(&disk, &source(), RestoreTo::Latest).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotKept, "{error}");
    // The next backup makes what follows usable.
    engine.backup_incremental(SET, &mut all()).unwrap();
    commit(&engine, &puts("rows", [5], 77, 700)).unwrap();
    engine.archive_now().unwrap();
    assert!(restored(&disk, &source(), RestoreTo::Latest).1 == state(&engine));
}

#[test]
fn a_store_that_lost_commits_does_not_add_to_the_archive_that_has_them() {
    let disk = CrashVfs::new(6);
    let engine = open_with(&disk, archiving()).unwrap();
    for round in 0..3 {
        commit(&engine, &puts("rows", 0..20, round, 100)).unwrap();
        engine.archive_now().unwrap();
    }
    let damaged = killed(&disk);
    let (newest, _) = segments(&damaged).pop().unwrap();
    let (second, _) = segments(&damaged)[1].clone();
    assert_ne!(newest, second);
    damaged.flip_bit(&second, 4096 + 100, 3).unwrap();
    let mut cut = archiving();
    cut.log_tail = LogTail::CutAtDamage;
    let engine = open_with(&damaged, cut).unwrap();
    assert_eq!(engine.last_commit().txid.get(), 1);
    commit(&engine, &puts("rows", 0..20, 7, 100)).unwrap();
    let error = engine.archive_now().unwrap_err();
    assert!(error.to_string().contains("needs an archive of its own"), "{error}");
}

#[test]
fn a_crash_at_any_moment_leaves_an_archive_that_can_be_gone_on_with() {
    let disk = CrashVfs::new(7);
    let found: Arc<Mutex<Vec<CrashVfs>>> = Arc::default();
    let engine = open_with(&disk, archiving()).unwrap();
    commit(&engine, &puts("rows", 0..20, 1, 100)).unwrap();
    engine.backup_full(SET, &mut all()).unwrap();
    let observer = {
        let found = found.clone();
        move |disk: &CrashVfs, op: &llmdb_vfs::crash::Op<'_>| {
            let (point, mut chooser) = (disk.crash_point(), Chooser::new(op.index));
            let mut found = found.lock().unwrap();
            found.push(disk.process_crash(&mut chooser));
            found.push(point.crash_as(Preset::Nothing, &mut chooser));
            found.push(point.crash_as(Preset::Everything, &mut chooser));
        }
    };
    disk.observe(Some(Arc::new(observer)));
    for round in 0..2 {
        commit(&engine, &puts("rows", [round], round, 200)).unwrap();
        engine.archive_now().unwrap();
        engine.checkpoint().unwrap();
    }
    engine.close().unwrap();
    disk.observe(None);
    let moments = std::mem::take(&mut *found.lock().unwrap());
    assert!(moments.len() > 90);
    for disk in moments {
        let engine = open_with(&disk, archiving()).unwrap();
        commit(&engine, &puts("rows", [15], 99, 200)).unwrap();
        let expected = state(&engine);
        engine.close().unwrap();
        assert!(restored(&disk, &source(), RestoreTo::Latest).1 == expected);
    }
}

#[test]
fn a_consumer_that_is_behind_the_log_reads_from_the_archive() {
    let disk = CrashVfs::new(8);
    let mut options = archiving();
    options.checkpoint_log_bytes = 64 << 10;
    options.feed_log_bytes = 128 << 10;
    let engine = open_with(&disk, options).unwrap();
    engine.create_consumer("slow", FeedFrom::Now).unwrap();
    for round in 0..30 {
        commit(&engine, &puts("rows", 0..60, round, 700)).unwrap();
    }
    let mut follower = crate::common::follower::Follower::default();
    follower.drain(&mut engine.changes_for("slow").unwrap()).unwrap();
    assert_eq!(follower.count, 30);
    follower.assert_equals(&engine, "from the archive, then from the log");
}
