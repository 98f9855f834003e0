//! Calls of the disk that fail: a lack of space is told and forgotten, a failed write or sync ends the log
//! for good, and nothing acknowledged is lost either way.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use crate::common::{Place, SMALL, append, commit, read_all, record};
use llmdb_base::Lsn;
use llmdb_vfs::{
    Vfs,
    crash::{Chooser, CrashVfs, Failure, Fault, OpKind},
};
use llmdb_wal::{Log, LogError, LogResult, TailPolicy};

/// What was finished, and how much of it acknowledged.
#[derive(Default)]
struct Story {
    records: Vec<(Lsn, Vec<u8>)>,
    acknowledged: Lsn,
}

impl Story {
    fn append(&mut self, log: &Log, number: u64, len: usize) -> LogResult<()> {
        let bytes = record(number, len);
        let lsn = append(log, &bytes)?;
        self.records.push((lsn, bytes));
        Ok(())
    }

    fn sync(&mut self, log: &Log) -> LogResult<()> {
        let lsn = log.appended();
        log.sync_to(lsn)?;
        self.acknowledged = lsn;
        Ok(())
    }

    /// One step of a run that uses every kind of call. Steps can be repeated.
    fn step(&mut self, log: &Log, number: u64) -> LogResult<()> {
        match number % 5 {
            0 => self.append(log, number, 300)?,
            1 => self.append(log, number, 20_000)?,
            2 => self.append(log, number, 4_000)?,
            3 if self.records.len() > 12 => {
                // Recovery always begins at the start here, so nothing may go; the call is made all the same.
                return log.retire(Lsn::new(0));
            }
            _ => {}
        }
        self.sync(log)
    }

    fn check(&self, place: &Place, context: &str) -> Log {
        let mut replay =
            place.open(Lsn::new(0), TailPolicy::Strict).unwrap_or_else(|error| panic!("{context}: {error}"));
        let found = read_all(&mut replay).unwrap();
        assert!(self.records.starts_with(&found), "{context}");
        let last = found.last().map_or(Lsn::new(0), |(lsn, _)| *lsn);
        assert!(last >= self.acknowledged, "{context}: {last} found, {} acknowledged", self.acknowledged);
        replay.into_log().unwrap()
    }
}

fn disk(seed: u64) -> (CrashVfs, Place) {
    let disk = CrashVfs::new(seed);
    disk.create_dir("dir".as_ref()).unwrap();
    disk.sync_dir(".".as_ref()).unwrap();
    let place = Place::on(Arc::new(disk.clone()), "dir/db-wal".as_ref(), SMALL);
    (disk, place)
}

const STEPS: u64 = 25;

/// Runs with one planned failure. Returns whether it came.
fn run_with(fault: Fault, seed: u64) -> bool {
    let context = format!("{fault:?}");
    let (disk, place) = disk(seed);
    let log = place.create();
    let mut story = Story::default();
    disk.plan(fault);
    for number in 0..STEPS {
        let Err(error) = story.step(&log, number) else { continue };
        if log.poisoned().is_some() {
            assert!(!matches!(error, LogError::NoSpace { .. }), "{context}: {error}");
            assert_everything_errs(&log, &context);
            break;
        }
        assert!(!matches!(error, LogError::Poisoned(_) | LogError::Misuse(_)), "{context}: {error}");
        // A clean error: the same call succeeds now.
        story.step(&log, number).unwrap_or_else(|error| panic!("{context}: again: {error}"));
    }
    let failed = disk.failed_count() > 0;
    drop(log);
    disk.clear_faults();
    let after = disk.crash(&mut Chooser::new(seed));
    story.check(&Place { vfs: Arc::new(after), ..place.clone() }, &context);
    // Opening again without a crash goes on.
    let log = story.check(&place, &context);
    let end = commit(&log, b"after");
    drop(log);
    let replay = place.open(Lsn::new(0), TailPolicy::Strict).unwrap();
    assert_eq!(replay.end(), end, "{context}");
    failed
}

fn assert_everything_errs(log: &Log, context: &str) {
    for _ in 0..2 {
        assert!(matches!(log.begin(), Err(LogError::Poisoned(_))), "{context}");
        assert!(matches!(log.sync_to(Lsn::new(0)), Err(LogError::Poisoned(_))), "{context}");
        assert!(matches!(log.sync_to(log.appended()), Err(LogError::Poisoned(_))), "{context}");
        assert!(matches!(log.retire(Lsn::new(0)), Err(LogError::Poisoned(_))), "{context}");
    }
}

#[test]
fn every_call_fails_once() {
    let kinds = [
        OpKind::Open,
        OpKind::WriteDurable,
        OpKind::Arrival,
        OpKind::Sync,
        OpKind::Allocate,
        OpKind::Submit,
        OpKind::Completion,
        OpKind::Remove,
        OpKind::Rename,
        OpKind::CreateDir,
        OpKind::SyncDir,
    ];
    let mut failures = 0;
    for kind in kinds {
        for failure in [Failure::Io, Failure::NoSpace] {
            for after_count in 0.. {
                let fault = Fault { kind, after_count, fail_count: 1, failure };
                if !run_with(fault, after_count) {
                    break;
                }
                failures += 1;
            }
        }
    }
    assert!(failures > 100, "only {failures} calls failed");
}

#[test]
fn a_full_disk_is_told_and_forgotten() {
    let (disk, place) = disk(1);
    let log = place.create();
    let mut story = Story::default();
    for number in 0..30 {
        story.append(&log, number, 2_000).unwrap();
        story.sync(&log).unwrap();
    }
    disk.set_capacity(Some(disk.used_bytes() + 8_192));
    let mut refused = 0;
    for number in 100..140 {
        // Long ones get their space without zeros.
        let len = if number % 2 == 0 { 9_000 } else { 60_000 };
        match story.append(&log, number, len) {
            Ok(()) => story.sync(&log).unwrap(),
            Err(LogError::NoSpace { needed_bytes }) => {
                assert!(needed_bytes > 0);
                refused += 1;
                // What is small may still fit, and what was finished can still be made durable.
                let _ = story.append(&log, number, 10);
                story.sync(&log).unwrap();
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 10);
    assert_eq!(log.poisoned(), None);
    disk.set_capacity(None);
    story.append(&log, 7, 50_000).unwrap();
    story.sync(&log).unwrap();
    drop(log);
    story.check(&place, "afterwards");
}

#[test]
fn a_full_disk_from_the_first_append_on() {
    let (disk, place) = disk(2);
    disk.set_capacity(Some(disk.used_bytes()));
    let log = place.create();
    assert!(matches!(append(&log, b"x"), Err(LogError::NoSpace { .. })));
    assert!(place.segments().is_empty());
    disk.set_capacity(None);
    commit(&log, b"x");
    drop(log);
    assert_eq!(place.replay(Lsn::new(0)).0, [b"x"]);
}

/// What is left of a segment is reserved at once for long records; where the disk has less, a window at a time.
#[test]
fn long_records_make_do_with_what_a_disk_has() {
    let (disk, place) = disk(5);
    let log = place.create();
    let mut story = Story::default();
    for number in 0..20 {
        story.append(&log, number, 9_000).unwrap();
        story.sync(&log).unwrap();
    }
    assert_eq!(disk.call_count(OpKind::Allocate), log.stats().segment_count);
    // The segment that comes next would have 64 KiB; header and window are 20.
    let segments = log.stats().segment_count;
    disk.set_capacity(Some(disk.used_bytes() + (24 << 10)));
    for number in 20.. {
        story.append(&log, number, 9_000).unwrap();
        story.sync(&log).unwrap();
        if log.stats().segment_count > segments {
            break;
        }
    }
    drop(log);
    story.check(&place, "on a disk that was nearly full");
}

#[test]
fn the_rest_of_a_refused_record_is_refused_too() {
    let (disk, place) = disk(3);
    let log = place.create();
    commit(&log, b"before");
    disk.set_capacity(Some(disk.used_bytes()));
    let mut writer = log.begin().unwrap();
    let refused = (0..10).find_map(|number| writer.append(&record(number, 30_000)).err());
    assert!(matches!(refused, Some(LogError::NoSpace { .. })));
    disk.set_capacity(None);
    assert!(matches!(writer.append(b"rest"), Err(LogError::Misuse(_))));
    assert!(matches!(writer.finish(), Err(LogError::Misuse(_))));
    commit(&log, b"after");
    drop(log);
    assert_eq!(place.replay(Lsn::new(0)).0, [b"before".to_vec(), b"after".to_vec()]);
}

#[test]
fn reading_back_reports_errors_of_the_disk() {
    let (disk, place) = disk(4);
    let log = place.create();
    for number in 0..10 {
        commit(&log, &record(number, 9_000));
    }
    drop(log);
    let mut failed = 0;
    for after_count in 0..40 {
        disk.plan(Fault { kind: OpKind::Read, after_count, fail_count: 1, failure: Failure::Io });
        let outcome =
            place.open(Lsn::new(0), TailPolicy::Strict).and_then(|mut replay| read_all(&mut replay));
        match outcome {
            Ok(records) => assert_eq!(records.len(), 10),
            Err(LogError::Io { .. }) => failed += 1,
            Err(other) => panic!("{other}"),
        }
        disk.clear_faults();
    }
    assert!(failed > 5);
}
