//! Power failures at every call of a run: what is found afterwards is a prefix of what was appended, and
//! holds everything that was acknowledged.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use crate::common::{Place, SMALL, append, cached::Cached, read_all, record};
use llmdb_base::Lsn;
use llmdb_vfs::{
    Vfs,
    crash::{Chooser, CrashVfs, OpKind, Preset},
};
use llmdb_wal::{Log, LogOptions, TailPolicy};

/// What a store on top of the log knows: it must find its records again behind its checkpoint.
#[derive(Clone, Debug, Default)]
struct Model {
    /// End and bytes of every record that was finished, in order. The last one may be on its way into the log
    /// while the end is not known yet.
    records: Vec<(Lsn, Vec<u8>)>,
    unfinished: Option<Vec<u8>>,
    acknowledged: Lsn,
    checkpoint: Lsn,
}

impl Model {
    /// Checks a log found after a crash, and returns what it held as the truth to go on with.
    fn check(&self, place: &Place, context: &str) -> (Self, Log) {
        let mut replay = place
            .open(self.checkpoint, TailPolicy::Strict)
            .unwrap_or_else(|error| panic!("{context}: {error}"));
        let end = replay.end();
        let found = read_all(&mut replay).unwrap_or_else(|error| panic!("{context}: {error}"));
        let expected: Vec<_> = self.records.iter().filter(|(end, _)| *end > self.checkpoint).collect();
        for (index, (lsn, bytes)) in found.iter().enumerate() {
            match (expected.get(index), &self.unfinished) {
                (Some(expected), _) => {
                    assert!((lsn, bytes) == (&expected.0, &expected.1), "{context}: {lsn}")
                }
                (None, Some(unfinished)) => {
                    assert!(bytes == unfinished && index == expected.len(), "{context}")
                }
                (None, None) => panic!("{context}: a record at {lsn} that nobody appended"),
            }
        }
        let last = found.last().map_or(self.checkpoint, |(lsn, _)| *lsn);
        assert_eq!(last, end, "{context}");
        assert!(last >= self.acknowledged, "{context}: {last} was found, {} acknowledged", self.acknowledged);
        let kept = self.records.iter().filter(|(lsn, _)| *lsn <= self.checkpoint).cloned();
        let records = kept.chain(found).collect();
        let model = Self { records, unfinished: None, acknowledged: last, checkpoint: self.checkpoint };
        (model, replay.into_log().unwrap_or_else(|error| panic!("{context}: {error}")))
    }
}

type Shared = Arc<Mutex<Model>>;

/// Some steps of a store: records of all sizes, commits, checkpoints, records given up.
fn run(log: &Log, model: &Shared, chooser: &mut Chooser, steps: u64) {
    for _ in 0..steps {
        let long = chooser.percent(15);
        let len = chooser.below(if long { 40_000 } else { 600 });
        let bytes = record(chooser.next_u64(), usize::try_from(len).unwrap());
        if chooser.percent(10) {
            let mut writer = log.begin().unwrap();
            writer.append(&bytes).unwrap();
            continue;
        }
        model.lock().unwrap().unfinished = Some(bytes.clone());
        let lsn = append(log, &bytes).unwrap();
        {
            let mut model = model.lock().unwrap();
            model.unfinished = None;
            model.records.push((lsn, bytes));
        }
        if chooser.percent(60) {
            log.sync_to(lsn).unwrap();
            model.lock().unwrap().acknowledged = lsn;
        }
        if chooser.percent(15) {
            let acknowledged = model.lock().unwrap().acknowledged;
            model.lock().unwrap().checkpoint = acknowledged;
            log.retire(acknowledged).unwrap();
        }
    }
}

fn on(disk: &CrashVfs) -> Place {
    disk.create_dir("dir".as_ref()).unwrap();
    disk.sync_dir(".".as_ref()).unwrap();
    place(disk)
}

fn place(disk: &CrashVfs) -> Place {
    Place::on(Arc::new(disk.clone()), "dir/db-wal".as_ref(), SMALL)
}

/// Crashes a disk in some ways, checks each, and lets one of them go on.
fn crash_and_check(disk: &CrashVfs, model: &Model, chooser: &mut Chooser, ways: u64, context: &str) {
    for way in 0..ways {
        let found = match way {
            0 => disk.crash_point().crash_as(Preset::ALL[chooser.index(Preset::ALL.len())], chooser),
            _ => disk.crash(chooser),
        };
        let (model, log) = model.check(&place(&found), context);
        if chooser.percent(5) {
            // The recovered log takes more, and crashes again.
            let model = Arc::new(Mutex::new(model));
            run(&log, &model, chooser, 3);
            drop(log);
            let again = found.crash(chooser);
            model.lock().unwrap().check(&place(&again), context);
        }
    }
}

#[test]
fn a_power_failure_at_any_call() {
    for seed in 0..12 {
        let disk = CrashVfs::new(seed);
        let place = on(&disk);
        let model = Shared::default();
        let (seen, states) = (Arc::clone(&model), Mutex::new(Chooser::new(seed ^ 0xC4A5)));
        disk.observe(Some(Arc::new(move |disk, op| {
            let mut chooser = states.lock().unwrap();
            let model = seen.lock().unwrap().clone();
            let context = format!("seed {seed}, call {} ({:?} {})", op.index, op.kind, op.path.display());
            crash_and_check(disk, &model, &mut chooser, 4, &context);
        })));
        let log = place.create();
        run(&log, &model, &mut Chooser::new(seed), 40);
        drop(log);
        disk.observe(None);
        let model = model.lock().unwrap().clone();
        crash_and_check(&disk, &model, &mut Chooser::new(seed), 8, "at the end");
    }
}

#[test]
fn generation_after_generation() {
    for seed in 100..160 {
        let mut chooser = Chooser::new(seed);
        let mut disk = CrashVfs::new(seed);
        on(&disk);
        let mut model = Model::default();
        for generation in 0..6 {
            let context = format!("seed {seed}, generation {generation}");
            let (found, log) = model.check(&place(&disk), &context);
            let shared = Arc::new(Mutex::new(found));
            let steps = chooser.below(25);
            run(&log, &shared, &mut chooser, steps);
            drop(log);
            model = shared.lock().unwrap().clone();
            // Killed, or without power: what the killed process left in the page cache must not be believed
            // without forcing it, so that the next power failure cannot take it back.
            disk = if chooser.coin() { disk.process_crash(&mut chooser) } else { disk.crash(&mut chooser) };
        }
        model.check(&place(&disk), &format!("seed {seed}, at the end"));
    }
}

/// Kills the process at any call, recovers, and cuts the power at once.
fn killed_and_then_without_power(seed: u64, on_disk: fn(&CrashVfs) -> Place) {
    let disk = CrashVfs::new(seed);
    on(&disk);
    let model = Shared::default();
    let (seen, states) = (Arc::clone(&model), Mutex::new(Chooser::new(seed)));
    disk.observe(Some(Arc::new(move |disk, op| {
        let mut chooser = states.lock().unwrap();
        let model = seen.lock().unwrap().clone();
        let context = format!("seed {seed}, call {} ({:?} {})", op.index, op.kind, op.path.display());
        let killed = disk.process_crash(&mut chooser);
        let (model, log) = model.check(&on_disk(&killed), &context);
        drop(log);
        model.check(&on_disk(&killed.crash(&mut chooser)), &context);
    })));
    let log = on_disk(&disk).create();
    run(&log, &model, &mut Chooser::new(seed), 30);
}

#[test]
fn what_was_found_after_a_kill_cannot_be_taken_back() {
    for seed in 0..20 {
        killed_and_then_without_power(seed, place);
        killed_and_then_without_power(seed, |disk| Place {
            vfs: Arc::new(Cached(disk.clone())),
            ..place(disk)
        });
    }
}

#[test]
fn a_crash_after_a_cut_does_not_bring_back_what_was_cut() {
    for seed in 0..10 {
        let disk = CrashVfs::new(seed);
        let place = on(&disk);
        let log = place.create();
        for number in 0..30 {
            crate::common::commit(&log, &record(number, 5_000));
        }
        drop(log);
        let segments = place.segments();
        disk.flip_bit(&place.dir.join(&segments[1]), 30_000, 3).unwrap();
        let replay = place.open(Lsn::new(0), TailPolicy::CutAtDamage).unwrap();
        let kept = replay.record_count();
        let log = replay.into_log().unwrap();
        append(&log, b"more").unwrap();
        let states = Mutex::new(Chooser::new(seed));
        disk.observe(Some(Arc::new(move |disk, _| {
            let found = self::place(&disk.crash(&mut states.lock().unwrap()));
            let (records, _) = found.replay(Lsn::new(0));
            assert!(records.len() as u64 == kept || records[records.len() - 1] == b"more");
        })));
        log.sync_to(log.appended()).unwrap();
    }
}

#[test]
fn a_crash_while_the_log_is_removed_does_no_harm() {
    for seed in 0..6 {
        let disk = CrashVfs::new(seed);
        let place = on(&disk);
        let model = Shared::default();
        let log = place.create();
        run(&log, &model, &mut Chooser::new(seed), 60);
        let end = log.appended();
        log.sync_to(end).unwrap();
        let states = Mutex::new(Chooser::new(seed));
        disk.observe(Some(Arc::new(move |disk, op| {
            assert!(matches!(op.kind, OpKind::Remove | OpKind::SyncDir), "{:?}", op.kind);
            for _ in 0..4 {
                // The data file holds everything by now.
                let found = disk.crash(&mut states.lock().unwrap());
                let place = self::place(&found);
                let replay = place.open(end, TailPolicy::Strict).unwrap();
                assert_eq!((replay.end(), replay.record_count()), (end, 0));
                let log = replay.into_log().unwrap();
                let lsn = crate::common::commit(&log, b"next");
                drop(log);
                let replay = place.open(end, TailPolicy::Strict).unwrap();
                assert_eq!((replay.end(), replay.record_count()), (lsn, 1));
            }
        })));
        log.remove().unwrap();
    }
}

#[test]
fn a_lie_about_durability_is_never_a_wrong_record() {
    for seed in 0..60 {
        let mut chooser = Chooser::new(seed);
        let disk = CrashVfs::new(seed);
        let place = on(&disk);
        disk.set_sync_lies(true);
        let model = Shared::default();
        let log = place.create();
        run(&log, &model, &mut chooser, 20);
        drop(log);
        let model = model.lock().unwrap().clone();
        let found = self::place(&disk.crash(&mut chooser));
        let Ok(mut replay) = found.open(model.checkpoint, TailPolicy::Strict) else { continue };
        let expected = model.records.iter().filter(|(end, _)| *end > model.checkpoint);
        for (found, expected) in read_all(&mut replay).unwrap().iter().zip(expected) {
            assert!(found == expected, "seed {seed}");
        }
    }
}

#[test]
fn one_window_and_one_batch_at_a_time() {
    // The smallest sizes: every batch is a unit, every segment one window.
    let options = LogOptions {
        segment_bytes_max: 8192,
        window_bytes: 4096,
        batch_bytes_max: 4096,
        in_flight_max: 1,
        spare_segments_max: 1,
    };
    let disk = CrashVfs::new(5);
    on(&disk);
    let place = Place::on(Arc::new(disk.clone()), "dir/db-wal".as_ref(), options);
    let model = Shared::default();
    let log = place.create();
    run(&log, &model, &mut Chooser::new(5), 40);
    drop(log);
    let model = model.lock().unwrap().clone();
    for seed in 0..50 {
        let found = disk.crash(&mut Chooser::new(seed));
        model.check(&Place { vfs: Arc::new(found), ..place.clone() }, &format!("seed {seed}"));
    }
}
