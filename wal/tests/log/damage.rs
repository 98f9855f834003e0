//! Torn tails are cut, damage is an error, and neither ever makes a wrong record.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::{Place, SMALL, append, commit, read_all, record};
use llmdb_base::{Lsn, StoreId};
use llmdb_wal::{LogError, LogOptions, LogResult, Replay, TailPolicy};

const UNIT: usize = 4096;

/// Sizes with which all of [`written`] fits one segment, each record its own batch.
const ONE_SEGMENT: LogOptions =
    LogOptions { segment_bytes_max: 256 << 10, window_bytes: 64 << 10, batch_bytes_max: 32 << 10, ..SMALL };

/// What is in the log, and the one file that holds it.
struct Written {
    place: Place,
    records: Vec<Vec<u8>>,
    name: String,
    bytes: Vec<u8>,
    /// Where batches begin.
    batches: Vec<usize>,
}

/// A log of one segment with a few batches, the last of them three units long.
fn written() -> Written {
    let place = Place::in_memory(ONE_SEGMENT);
    let log = place.create();
    let records: Vec<_> =
        [10, 3_000, 0, 7, 12_000].into_iter().enumerate().map(|(i, len)| record(i as u64, len)).collect();
    for record in &records {
        commit(&log, record);
    }
    drop(log);
    let name = place.segments().remove(0);
    assert_eq!(place.segments().len(), 1);
    let bytes = place.file(&name);
    let batches = (UNIT..bytes.len()).step_by(UNIT).filter(|at| bytes[at + 4..at + 8] == *b"LBAT").collect();
    Written { place, records, name, bytes, batches }
}

impl Written {
    fn read(&self, tail: TailPolicy) -> LogResult<Vec<Vec<u8>>> {
        let mut replay = self.place.open(Lsn::new(0), tail)?;
        let records = read_all(&mut replay)?;
        assert_eq!(records.len() as u64, replay.record_count());
        Ok(records.into_iter().map(|(_, bytes)| bytes).collect())
    }

    /// Reads with both policies what is in the file now: nothing but the first records, or an error if
    /// strict.
    fn check(&self, context: &str) -> LogResult<usize> {
        let cut = self.read(TailPolicy::CutAtDamage).unwrap();
        assert!(self.records.starts_with(&cut), "{context}");
        let strict = self.read(TailPolicy::Strict)?;
        assert!(strict == cut, "{context}");
        Ok(cut.len())
    }

    fn restore(&self) {
        self.place.overwrite(&self.name, 0, &self.bytes);
    }
}

#[test]
fn a_tail_torn_at_any_sector_is_cut() {
    let written = written();
    let last = *written.batches.last().unwrap();
    assert_eq!(written.check("whole").unwrap(), 5);
    // Every subset of the sectors of the last batch, as far as they hold anything, may be missing.
    let end = last + 2 * UNIT;
    let sectors: Vec<_> = (last..end).step_by(512).collect();
    for pattern in (1..1_u32 << sectors.len()).step_by(17).chain((0..sectors.len()).map(|bit| 1 << bit)) {
        for (index, at) in sectors.iter().enumerate() {
            if pattern & 1 << index != 0 {
                written.place.overwrite(&written.name, *at as u64, &[0; 512]);
            }
        }
        assert_eq!(written.check(&format!("sectors {pattern:b}")).unwrap(), 4);
        written.restore();
    }
}

#[test]
fn a_tail_torn_at_any_byte_is_cut() {
    let written = written();
    let last = *written.batches.last().unwrap();
    let used = written.bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for at in (last..used).step_by(13).chain(used - 3..used) {
        written.place.overwrite(&written.name, at as u64, &vec![0; used - at]);
        let mut replay = written.place.open(Lsn::new(0), TailPolicy::Strict).unwrap();
        let records = read_all(&mut replay).unwrap();
        assert_eq!(records.len(), 4, "cut at {at}");
        assert_eq!(replay.end(), records[3].0);
        if at >= last + 64 {
            assert!(replay.cut_bytes() >= 12_000, "a torn batch was there");
        }
        written.restore();
    }
}

#[test]
fn a_file_cut_anywhere_is_a_shorter_log() {
    let written = written();
    for keep in (0..written.bytes.len()).step_by(1000) {
        let path = written.place.dir.join(&written.name);
        written.place.vfs.remove_file(&path).unwrap();
        written.place.overwrite(&written.name, 0, &written.bytes[..keep]);
        // Without what proves that more was durable, a shorter file cannot be told from a torn tail.
        written.check(&format!("{keep} bytes")).unwrap();
    }
}

#[test]
fn a_flipped_bit_is_an_error_or_cuts_the_tail() {
    let written = written();
    let last = *written.batches.last().unwrap();
    let used = written.bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for at in (0..used).filter(|at| at % 512 < 90 || at % 31 == 0) {
        let flipped = [written.bytes[at] ^ 1 << (at % 8)];
        written.place.overwrite(&written.name, at as u64, &flipped);
        let outcome = written.check(&format!("bit in byte {at}"));
        if at < last {
            assert!(matches!(outcome, Err(LogError::Corruption { .. })), "byte {at}: {outcome:?}");
        } else {
            assert_eq!(outcome.unwrap(), 4, "byte {at}");
        }
        written.place.overwrite(&written.name, at as u64, &written.bytes[at..=at]);
    }
}

#[test]
fn damage_names_its_place_and_can_be_cut() {
    let written = written();
    let third = written.batches[2];
    written.place.overwrite(&written.name, third as u64 + 100, b"rot");
    match written.read(TailPolicy::Strict) {
        Err(LogError::Corruption { segment: 0, offset, .. }) => assert_eq!(offset, third as u64),
        other => panic!("{other:?}"),
    }
    let replay = written.place.open(Lsn::new(0), TailPolicy::CutAtDamage).unwrap();
    assert_eq!(replay.record_count(), 2);
    assert!(replay.cut_bytes() > 12_000);
    let log = replay.into_log().unwrap();
    commit(&log, b"after the cut");
    drop(log);
    // From here on the log is whole again, without what was cut.
    let records = written.read(TailPolicy::Strict).unwrap();
    assert!(records == [written.records[0].clone(), written.records[1].clone(), b"after the cut".to_vec()]);
}

#[test]
fn damage_in_an_old_segment_cuts_the_later_ones() {
    let place = Place::in_memory(SMALL);
    let log = place.create();
    let records: Vec<_> = (0..30).map(|number| record(number, 5_000)).collect();
    for record in &records {
        commit(&log, record);
    }
    drop(log);
    let segments = place.segments();
    assert!(segments.len() > 3);
    let len = place.file(&segments[1]).len();
    place.overwrite(&segments[1], len as u64 / 2, b"rot");
    let error = place.open(Lsn::new(0), TailPolicy::Strict).unwrap_err();
    assert!(matches!(error, LogError::Corruption { segment: 1, .. }), "{error}");
    let mut replay = place.open(Lsn::new(0), TailPolicy::CutAtDamage).unwrap();
    let found = read_all(&mut replay).unwrap();
    assert!((2..20).contains(&found.len()));
    assert!(found.iter().map(|(_, bytes)| bytes).eq(&records[..found.len()]));
    let log = replay.into_log().unwrap();
    assert_eq!(place.segments().len(), 2);
    commit(&log, b"more");
    drop(log);
    assert_eq!(place.replay(Lsn::new(0)).0.len(), found.len() + 1);
}

#[test]
fn a_damaged_segment_header_is_noticed_wherever_it_is() {
    let place = Place::in_memory(SMALL);
    let log = place.create();
    for number in 0..30 {
        commit(&log, &record(number, 5_000));
    }
    drop(log);
    for name in place.segments() {
        let whole = place.file(&name);
        place.overwrite(&name, 40, &[whole[40] ^ 4]);
        let error = place.open(Lsn::new(0), TailPolicy::Strict).unwrap_err();
        assert!(matches!(error, LogError::Corruption { .. }), "{name}: {error}");
        let mut replay = place.open(Lsn::new(0), TailPolicy::CutAtDamage).unwrap();
        for (number, (_, bytes)) in read_all(&mut replay).unwrap().into_iter().enumerate() {
            assert!(bytes == record(number as u64, 5_000));
        }
        place.overwrite(&name, 0, &whole);
    }
    assert_eq!(place.replay(Lsn::new(0)).0.len(), 30);
}

#[test]
fn a_missing_segment_is_noticed_unless_it_is_not_needed() {
    let place = Place::in_memory(SMALL);
    let log = place.create();
    let ends: Vec<_> = (0..30).map(|number| commit(&log, &record(number, 5_000))).collect();
    drop(log);
    let segments = place.segments();
    place.vfs.remove_file(&place.dir.join(&segments[1])).unwrap();
    let error = place.open(Lsn::new(0), TailPolicy::Strict).unwrap_err();
    assert!(matches!(error, LogError::Corruption { .. }), "{error}");
    assert!(place.replay(ends[25]).0.len() == 4);
    place.vfs.remove_file(&place.dir.join(&segments[0])).unwrap();
    let error = place.open(Lsn::new(0), TailPolicy::Strict).unwrap_err();
    assert!(error.to_string().contains("the log begins at"), "{error}");
    assert_eq!(place.open(Lsn::new(0), TailPolicy::CutAtDamage).unwrap().record_count(), 0);
}

#[test]
fn a_foreign_or_newer_log_is_refused() {
    let written = written();
    let place = &written.place;
    for tail in [TailPolicy::Strict, TailPolicy::CutAtDamage] {
        let replay =
            Replay::open(place.vfs.clone(), &place.dir, StoreId::new(2), Lsn::new(0), place.options, tail);
        let error = replay.unwrap_err().to_string();
        assert!(error.contains("another store"), "{error}");
    }
}

#[test]
fn replay_cannot_cross_a_hole_that_a_checkpoint_jumped_over() {
    let place = Place::in_memory(SMALL);
    let log = place.create();
    let first = commit(&log, b"first");
    // The data file came to hold this one, although it never became durable in the log.
    let lost = append(&log, b"lost").unwrap();
    drop(log);
    let (records, replay) = place.replay(lost);
    assert!(records.is_empty());
    assert_eq!(replay.end(), lost);
    let log = replay.into_log().unwrap();
    let third = commit(&log, b"third");
    drop(log);
    assert_eq!(place.replay(lost).0, [b"third"]);
    assert_eq!(place.replay(third).0.len(), 0);
    let error = place.open(first, TailPolicy::Strict).unwrap_err();
    assert!(matches!(error, LogError::Corruption { .. }), "{error}");
}

#[test]
fn arbitrary_bytes_never_harm() {
    let written = written();
    let mut noise = record(99, 1 << 20).into_iter();
    let mut next = move || noise.next().unwrap_or(7);
    for round in 0..3_000 {
        let changes = 1 + usize::from(next()) % 8;
        for _ in 0..changes {
            let high = usize::from(next());
            let at = (high << 8 | usize::from(next())) % written.bytes.len();
            let at = if high % 2 == 0 { at - at % UNIT + at % 80 } else { at };
            let len = (1 + usize::from(next()) % 9).min(written.bytes.len() - at);
            let bytes: Vec<_> = (0..len).map(|_| next()).collect();
            written.place.overwrite(&written.name, at as u64, &bytes);
        }
        let _ = written.check(&format!("round {round}"));
        written.restore();
    }
    for round in 0..40 {
        written.place.overwrite(&written.name, 0, &record(round, written.bytes.len()));
        assert_eq!(written.check("noise").unwrap(), 0);
    }
}
