//! Records of every length come back as they were, in order, from wherever a replay begins.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, Read};

use crate::common::{Place, SMALL, append, commit, read_all, record};
use llmdb_base::Lsn;
use llmdb_wal::{LogError, LogOptions, TailPolicy};

#[test]
fn no_folder_is_an_empty_log() {
    let place = Place::in_memory(SMALL);
    let (records, replay) = place.replay(Lsn::new(77));
    assert!(records.is_empty());
    assert_eq!((replay.end(), replay.cut_bytes()), (Lsn::new(77), 0));
    let log = replay.into_log().unwrap();
    assert!(!place.vfs.exists(&place.dir).unwrap(), "no file before the first append");
    assert!(commit(&log, b"first") > Lsn::new(77));
    drop(log);
    assert_eq!(place.replay(Lsn::new(77)).0, [b"first"]);
}

#[test]
fn lengths_around_every_edge() {
    let place = Place::in_memory(SMALL);
    let log = place.create();
    let lens =
        (0..40).chain(4_000..4_100).step_by(7).chain(8_100..8_200).chain([0, 16_384, 70_000, 200_000, 0]);
    let records: Vec<_> = lens.enumerate().map(|(number, len)| record(number as u64, len)).collect();
    let mut ends = Vec::new();
    for (number, bytes) in records.iter().enumerate() {
        let lsn = append(&log, bytes).unwrap();
        if number % 3 == 0 {
            log.sync_to(lsn).unwrap();
        }
        ends.push(lsn);
    }
    log.sync_to(log.appended()).unwrap();
    assert!(ends.is_sorted_by(|a, b| a < b));
    assert!(log.stats().segment_count > 3);
    drop(log);

    let (found, replay) = place.replay(Lsn::new(0));
    assert!(found == records);
    assert_eq!(replay.end(), *ends.last().unwrap());
    for from in (0..ends.len()).step_by(5) {
        let (found, _) = place.replay(ends[from]);
        assert!(found[..] == records[from + 1..], "from record {from}");
    }
}

#[test]
fn a_record_of_several_megabytes_in_pieces() {
    let place = Place::in_memory(LogOptions::default());
    let log = place.create();
    commit(&log, b"before");
    let long = record(5, 5_000_001);
    let mut writer = log.begin().unwrap();
    for piece in long.chunks(777) {
        writer.append(piece).unwrap();
    }
    assert_eq!(writer.len(), 5_000_001);
    let lsn = writer.finish().unwrap();
    log.sync_to(lsn).unwrap();
    commit(&log, b"after");
    drop(log);
    let (found, _) = place.replay(Lsn::new(0));
    assert_eq!(found.len(), 3);
    assert!(found[1] == long);
    assert_eq!((&found[0][..], &found[2][..]), (&b"before"[..], &b"after"[..]));
}

#[test]
fn unread_records_are_skipped_and_parts_can_be_borrowed() {
    let place = Place::in_memory(SMALL);
    let log = place.create();
    for number in 0..20 {
        append(&log, &record(number, 5_000)).unwrap();
    }
    log.sync_to(log.appended()).unwrap();
    drop(log);
    let mut replay = place.open(Lsn::new(0), TailPolicy::Strict).unwrap();
    for number in 0..20 {
        let mut reader = replay.next_record().unwrap().unwrap();
        let mut start = [0; 100];
        reader.read_exact(&mut start).unwrap();
        assert_eq!(start, record(number, 5_000)[..100]);
        assert_eq!((reader.remaining(), reader.len()), (4_900, 5_000));
        let borrowed = reader.fill_buf().unwrap();
        assert_eq!(borrowed[..8], record(number, 5_000)[100..108]);
    }
    assert!(replay.next_record().unwrap().is_none());
    assert!(replay.next_record().unwrap().is_none());
}

#[test]
fn opening_again_goes_on_in_a_new_segment() {
    let place = Place::in_memory(SMALL);
    let log = place.create();
    let mut last = commit(&log, b"0");
    drop(log);
    for round in 1..5_u8 {
        let (found, replay) = place.replay(Lsn::new(0));
        assert_eq!(found.len(), usize::from(round));
        assert_eq!(replay.end(), last);
        let log = replay.into_log().unwrap();
        assert_eq!((log.appended(), log.durable()), (last, last));
        let lsn = commit(&log, &[b'0' + round]);
        assert!(lsn.get() > last.get() + (64 << 20), "behind everything that can have been given away");
        last = lsn;
    }
    assert_eq!(place.segments().len(), 5);
    assert_eq!(place.replay(Lsn::new(0)).0, [b"0", b"1", b"2", b"3", b"4"]);
}

#[test]
fn what_was_not_synced_may_be_missing_but_only_from_the_end() {
    let place = Place::in_memory(SMALL);
    let log = place.create();
    commit(&log, b"synced");
    append(&log, b"not synced").unwrap();
    drop(log);
    let (found, replay) = place.replay(Lsn::new(0));
    assert_eq!(found, [b"synced"]);
    assert_eq!(replay.cut_bytes(), 0);
}

#[test]
fn an_abandoned_record_leaves_no_trace() {
    for len in [0, 10, 5_000, 30_000, 200_000] {
        let place = Place::in_memory(SMALL);
        let log = place.create();
        commit(&log, b"one");
        let mut writer = log.begin().unwrap();
        writer.append(&record(9, len)).unwrap();
        drop(writer);
        let two = append(&log, b"two").unwrap();
        let mut writer = log.begin().unwrap();
        writer.append(&record(8, len)).unwrap();
        log.sync_to(two).unwrap();
        writer.append(&record(7, len)).unwrap();
        drop(writer);
        commit(&log, &record(3, 20_000));
        let mut writer = log.begin().unwrap();
        writer.append(&record(6, len)).unwrap();
        drop(writer);
        drop(log);
        let (found, replay) = place.replay(Lsn::new(0));
        assert!(found == [b"one".to_vec(), b"two".to_vec(), record(3, 20_000)], "{len}");
        let log = replay.into_log().unwrap();
        commit(&log, b"four");
        drop(log);
        assert_eq!(place.replay(Lsn::new(0)).0.len(), 4, "{len}");
    }
}

#[test]
fn misuse_is_told() {
    let place = Place::in_memory(SMALL);
    let log = place.create();
    let writer = log.begin().unwrap();
    assert!(matches!(log.begin(), Err(LogError::Misuse(_))));
    drop(writer);
    let lsn = commit(&log, b"x");
    assert!(matches!(log.sync_to(lsn.plus(1)), Err(LogError::Misuse(_))));
    log.sync_to(lsn).unwrap();
    let again =
        llmdb_wal::Log::create(place.vfs.clone(), &place.dir, crate::common::STORE, Lsn::new(0), SMALL);
    assert!(matches!(again, Err(LogError::Misuse(_))));
    assert!(matches!(place.open(Lsn::new(u64::MAX), TailPolicy::Strict), Err(LogError::Misuse(_))));
}

#[test]
fn a_clean_close_leaves_nothing() {
    let place = Place::in_memory(SMALL);
    let log = place.create();
    for number in 0..50 {
        commit(&log, &record(number, 5_000));
    }
    log.retire(log.appended()).unwrap();
    log.remove().unwrap();
    assert!(!place.vfs.exists(&place.dir).unwrap());
    place.create().remove().unwrap();
}

#[test]
fn read_all_of_an_empty_log_is_empty() {
    let place = Place::in_memory(SMALL);
    let mut replay = place.open(Lsn::new(0), TailPolicy::CutAtDamage).unwrap();
    assert!(read_all(&mut replay).unwrap().is_empty());
}
