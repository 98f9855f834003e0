//! Segments: how they grow, go, and come again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::{Place, SMALL, append, commit, record};
use llmdb_base::Lsn;
use llmdb_wal::{LogOptions, TailPolicy};

fn fill(place: &Place, log: &llmdb_wal::Log, count: u64) -> Vec<Lsn> {
    let ends = (0..count).map(|number| commit(log, &record(number, 3_000))).collect();
    assert!(place.segments().len() > 1);
    ends
}

#[test]
fn segments_grow_from_one_window_to_the_largest() {
    let place = Place::in_memory(SMALL);
    let log = place.create();
    fill(&place, &log, 100);
    let lens: Vec<_> = place.segments().iter().map(|name| place.file(name).len()).collect();
    assert_eq!(lens[..4], [20 << 10, 40 << 10, 64 << 10, 64 << 10]);
    let stats = log.stats();
    assert_eq!(stats.live_bytes, lens.iter().sum::<usize>() as u64);
    assert_eq!(stats.live_segment_count, lens.len() as u64);
    assert_eq!((stats.record_count, stats.appended_bytes), (100, 300_000));
    assert_eq!(stats.batch_count, 100);
    // A reopened log goes on with the size that was reached.
    drop(log);
    let log = place.replay(Lsn::new(0)).1.into_log().unwrap();
    fill(&place, &log, 30);
    assert!(place.segments()[lens.len()..].iter().all(|name| place.file(name).len() >= 48 << 10));
}

/// The disk is at work early: the first four batches of a long record are a quarter as long as the others.
#[test]
fn long_records_begin_with_short_batches() {
    let options = LogOptions {
        segment_bytes_max: 4 << 20,
        window_bytes: 2 << 20,
        batch_bytes_max: 256 << 10,
        in_flight_max: 2,
        spare_segments_max: 2,
    };
    let place = Place::in_memory(options);
    let log = place.create();
    for number in 1..=2 {
        commit(&log, &record(number, 400_000));
        // Four of 64 KiB, and one with the rest.
        assert_eq!(log.stats().batch_count, number * 5);
    }
}

/// Somebody may have noted that it must be there: missing it would look like a lost log.
#[test]
fn the_newest_segment_is_not_given_up_after_an_opening() {
    let place = Place::in_memory(SMALL);
    let log = place.create();
    let ends = fill(&place, &log, 100);
    drop(log);
    let newest = place.segments().pop();
    let log = place.replay(ends[99]).1.into_log().unwrap();
    log.retire(ends[99]).unwrap();
    assert_eq!(place.segments(), Vec::from_iter(newest));
}

#[test]
fn retired_segments_become_spares_and_then_segments_again() {
    let place = Place::in_memory(SMALL);
    let log = place.create();
    let ends = fill(&place, &log, 100);
    let before = place.segments().len();
    log.retire(ends[60]).unwrap();
    let names = place.names();
    let spares = names.iter().filter(|name| name.ends_with(".spare")).count();
    assert_eq!(spares, 2);
    assert!(place.segments().len() < before - 2);
    assert_eq!(log.stats().spare_count, 2);
    let found = place.replay(ends[60]).0;
    assert!(found == (61..100).map(|number| record(number, 3_000)).collect::<Vec<_>>());

    for number in 100..140 {
        commit(&log, &record(number, 3_000));
    }
    assert_eq!(log.stats().recycled_count, 2);
    drop(log);
    let (found, replay) = place.replay(ends[60]);
    assert!(found == (61..140).map(|number| record(number, 3_000)).collect::<Vec<_>>());
    drop(replay);
}

#[test]
fn old_batches_of_a_recycled_segment_never_pass() {
    // Records of one size, so that old and new batches begin at the same offsets.
    let options = LogOptions { segment_bytes_max: 20 << 10, spare_segments_max: 9, ..SMALL };
    let place = Place::in_memory(options);
    let log = place.create();
    let mut last = fill(&place, &log, 12).pop().unwrap();
    for round in 1..20 {
        log.retire(last).unwrap();
        last = commit(&log, &record(round, 3_000));
        append(&log, b"never synced").unwrap();
        let (found, replay) = place.replay(Lsn::new(last.get() - 1));
        assert!(found == [record(round, 3_000)], "round {round}");
        assert_eq!((replay.end(), replay.cut_bytes()), (last, 0), "old batches are not even debris");
        last = commit(&log, &record(round, 2_000));
    }
    assert!(log.stats().recycled_count > 5);
}

#[test]
fn spares_survive_a_reopening_and_are_used() {
    let place = Place::in_memory(SMALL);
    let log = place.create();
    let ends = fill(&place, &log, 100);
    log.retire(ends[90]).unwrap();
    drop(log);
    let log = place.replay(ends[90]).1.into_log().unwrap();
    assert_eq!(log.stats().spare_count, 2);
    commit(&log, b"next");
    assert_eq!((log.stats().spare_count, log.stats().recycled_count), (1, 1));
    // What the opening found can be retired as well; the segment in use stays.
    let from = log.appended();
    log.retire(from).unwrap();
    assert_eq!(place.segments().len(), 1);
    commit(&log, b"last");
    drop(log);
    assert_eq!(place.replay(from).0, [b"last"]);
}

#[test]
fn without_spares_segments_are_removed() {
    let place = Place::in_memory(LogOptions { spare_segments_max: 0, ..SMALL });
    let log = place.create();
    fill(&place, &log, 50);
    log.retire(log.appended()).unwrap();
    assert_eq!(place.names().len(), 1);
}

#[test]
fn foreign_files_are_left_alone() {
    let place = Place::in_memory(SMALL);
    let log = place.create();
    commit(&log, b"x");
    place.overwrite("notes.txt", 0, b"mine");
    place.overwrite("0123.seg", 0, b"mine");
    drop(log);
    let (found, replay) = place.replay(Lsn::new(0));
    assert_eq!(found.len(), 1);
    replay.into_log().unwrap().remove().unwrap();
    assert_eq!(place.names(), ["0123.seg", "notes.txt"]);
}

#[test]
fn a_segment_that_was_being_made_is_forgotten() {
    for leftover in [&b""[..], &[0; 9000], b"LLMDBLOG and then nothing"] {
        let place = Place::in_memory(SMALL);
        let log = place.create();
        let lsn = commit(&log, b"x");
        drop(log);
        place.overwrite("0000000000000001.seg", 0, leftover);
        let (found, replay) = place.replay(Lsn::new(0));
        assert_eq!(found, [b"x"]);
        let log = replay.into_log().unwrap();
        commit(&log, b"y");
        drop(log);
        assert_eq!(place.segments(), ["0000000000000000.seg", "0000000000000002.seg"]);
        assert_eq!(place.replay(lsn).0, [b"y"]);
    }
}

#[test]
fn a_long_record_reaches_through_many_segments() {
    let place = Place::in_memory(SMALL);
    let log = place.create();
    let first = commit(&log, b"first");
    let second = commit(&log, &record(2, 700_000));
    commit(&log, b"third");
    assert!(place.segments().len() > 10);
    log.retire(first).unwrap();
    let found = place.replay(first).0;
    assert!(found == [record(2, 700_000), b"third".to_vec()]);
    // Its first segments are gone, its end is not: nobody needs it.
    log.retire(second).unwrap();
    assert_eq!(place.segments().len(), 1);
    assert_eq!(place.replay(second).0, [b"third"]);
    // Somebody who does is told.
    assert!(place.open(first, TailPolicy::Strict).is_err());
}

/// Zeros in front of the log are for short records, which find the space of their file allocated.
#[test]
fn long_records_fill_their_space_themselves() {
    let zeroed_after = |record_bytes: usize| {
        let place = Place::in_memory(LogOptions::default());
        let log = place.create();
        let zeroed = (0..40)
            .map(|number| {
                commit(&log, &record(number, record_bytes));
                log.stats().zeroed_bytes
            })
            .collect::<Vec<_>>();
        (zeroed[1], zeroed[39])
    };
    let (first, last) = zeroed_after(300 << 10);
    assert_eq!(last, first, "only the first record did not know what would follow");
    let (first, last) = zeroed_after(100 << 10);
    assert!(last > first, "{last} bytes of zeros");
}
