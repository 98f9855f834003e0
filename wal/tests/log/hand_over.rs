//! A log goes from hand to hand: each holder goes on where the one before stopped, in the same segment.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use crate::common::{Place, SMALL, STORE, append, commit, record};
use llmdb_base::Lsn;
use llmdb_vfs::OsVfs;
use llmdb_wal::{Log, LogError, LogOptions, LogPosition, TailPolicy};

fn at_rest(place: &Place) -> Log {
    Log::at_rest(Arc::clone(&place.vfs), &place.dir, STORE, Lsn::new(0), place.options)
}

/// As another process gets it.
fn sent(position: &LogPosition) -> LogPosition {
    let sent = LogPosition::decode(&position.encode()).unwrap();
    assert_eq!(sent, *position);
    sent
}

fn goes_round(place: &Place) {
    let logs = [place.create(), at_rest(place), at_rest(place)];
    let mut position = logs[0].hand_over().unwrap();
    let (mut expected, mut ends, mut number) = (Vec::new(), Vec::new(), 0);
    for turn in 0..40_u64 {
        let log = &logs[usize::try_from(turn % 3).unwrap()];
        log.resume_at(&sent(&position)).unwrap();
        assert!(log.durable() >= position.end());
        for _ in 0..turn % 5 {
            number += 1;
            let bytes = record(number, usize::try_from(number * 977 % 9_000).unwrap());
            // What is not synced is forced when the log is handed over.
            let end = if number % 3 == 0 { append(log, &bytes).unwrap() } else { commit(log, &bytes) };
            expected.push(bytes);
            ends.push(end);
        }
        if turn % 7 == 3 {
            let mut writer = log.begin().unwrap();
            writer.append(&record(0, 20_000)).unwrap();
            assert!(matches!(log.hand_over(), Err(LogError::Misuse(_))));
        }
        if turn == 30 {
            log.retire(ends[expected.len() / 2]).unwrap();
        }
        position = log.hand_over().unwrap();
        assert_eq!(position.end(), *ends.last().unwrap_or(&Lsn::new(0)));
        assert_eq!(log.durable(), position.end().max(log.durable()));
    }
    assert!(ends.is_sorted());
    let from = ends[expected.len() / 2];
    let (found, replay) = place.replay(from);
    assert!(found == expected[expected.len() / 2 + 1..], "what was appended comes back, in order");
    assert_eq!(replay.end(), *ends.last().unwrap());
    assert_eq!(replay.cut_bytes(), 0);
}

#[test]
fn every_record_comes_back_whoever_appended_it() {
    goes_round(&Place::in_memory(SMALL));
    goes_round(&Place::in_memory(LogOptions::default()));
    let folder = tempfile::tempdir().unwrap();
    goes_round(&Place::on(Arc::new(OsVfs::new()), &folder.path().join("db-wal"), SMALL));
}

#[test]
fn a_holder_that_dies_is_recovered_and_the_log_goes_on() {
    let place = Place::in_memory(SMALL);
    let (first, second) = (place.create(), at_rest(&place));
    commit(&first, &record(1, 500));
    second.resume_at(&sent(&first.hand_over().unwrap())).unwrap();
    commit(&second, &record(2, 500));
    append(&second, &record(3, 500)).unwrap();
    // It dies here; what it had not written is gone.
    let replay = place.open(Lsn::new(0), TailPolicy::Strict).unwrap();
    assert_eq!(replay.record_count(), 2);
    first.resume_at(&replay.into_log().unwrap().hand_over().unwrap()).unwrap();
    commit(&first, &record(4, 500));
    assert!(place.replay(Lsn::new(0)).0 == [record(1, 500), record(2, 500), record(4, 500)]);
}

#[test]
fn bytes_that_are_no_position_are_refused() {
    let place = Place::in_memory(SMALL);
    let log = place.create();
    commit(&log, &record(1, 500));
    let position = log.hand_over().unwrap();
    let bytes = position.encode();
    for len in 0..bytes.len() {
        // Shorter ones may be whole: lists of spare files have no length of their own.
        drop(LogPosition::decode(&bytes[..len]));
    }
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(LogPosition::decode(&bytes), Some(position.clone()), "bit {bit}");
    }
    let mut absurd = bytes;
    absurd[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(LogPosition::decode(&absurd), None);
}
