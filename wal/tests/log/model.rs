//! Any sequence of appends, commits, retirements and reopenings behaves like a list.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::{Place, append, record};
use llmdb_base::Lsn;
use llmdb_wal::{Log, LogOptions};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Commit(usize),
    Abandon(usize),
    Sync,
    /// Gives up what ends at or before the record at this share of the list.
    Retire(u8),
    /// Leaves the log as it is, without syncing, and opens it again.
    Reopen,
    /// Reads from the record at this share of the list on, while the log is in use.
    Read(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let len = prop_oneof![4 => 0..600_usize, 2 => 3_900..4_300_usize, 1 => 0..60_000_usize];
    let step = prop_oneof![
        4 => len.clone().prop_map(Step::Append),
        6 => len.clone().prop_map(Step::Commit),
        1 => len.prop_map(Step::Abandon),
        1 => Just(Step::Sync),
        2 => any::<u8>().prop_map(Step::Retire),
        1 => Just(Step::Reopen),
        1 => any::<u8>().prop_map(Step::Read),
    ];
    prop::collection::vec(step, 1..60)
}

fn options() -> impl Strategy<Value = LogOptions> {
    (1..6_u64, 1..4_u64, 1..4_usize, 1..4_usize, 0..3_usize).prop_map(
        |(segments, windows, batches, in_flight_max, spare_segments_max)| LogOptions {
            segment_bytes_max: segments * 16_384,
            window_bytes: windows * 8_192,
            batch_bytes_max: batches * 4_096,
            in_flight_max,
            spare_segments_max,
        },
    )
}

/// The list: records behind the position that has been given up.
#[derive(Default)]
struct Model {
    records: Vec<(Lsn, Vec<u8>)>,
    from: Lsn,
    synced: Lsn,
    number: u64,
}

impl Model {
    fn next(&mut self, len: usize) -> Vec<u8> {
        self.number += 1;
        record(self.number, len)
    }

    fn append(&mut self, log: &Log, len: usize) {
        let bytes = self.next(len);
        let lsn = append(log, &bytes).unwrap();
        assert!(self.records.last().is_none_or(|(last, _)| *last < lsn));
        self.records.push((lsn, bytes));
    }

    fn sync(&mut self, log: &Log) {
        log.sync_to(log.appended()).unwrap();
        self.synced = log.appended();
        assert!(log.durable() >= self.synced);
    }

    /// End of a synced record, or the position given up.
    fn position(&self, share: u8) -> Lsn {
        let synced: Vec<_> =
            self.records.iter().map(|(lsn, _)| *lsn).filter(|lsn| *lsn <= self.synced).collect();
        synced.get(synced.len() * usize::from(share) / 256).copied().unwrap_or(self.from)
    }

    /// Reads the log from `from` on: all that was synced must be there, and nothing that was not appended.
    fn read(&self, place: &Place, from: Lsn) -> (usize, llmdb_wal::Replay) {
        let (found, replay) = place.replay(from);
        let behind: Vec<_> = self.records.iter().filter(|(lsn, _)| *lsn > from).collect();
        assert!(found.len() <= behind.len());
        for (found, (_, expected)) in found.iter().zip(&behind) {
            assert!(found == expected);
        }
        assert!(behind.iter().skip(found.len()).all(|(lsn, _)| *lsn > self.synced));
        (found.len(), replay)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_a_list(steps in steps(), options in options()) {
        let place = Place::in_memory(options);
        let mut model = Model::default();
        let mut log = place.create();
        for step in steps {
            match step {
                Step::Append(len) => model.append(&log, len),
                Step::Commit(len) => {
                    model.append(&log, len);
                    model.sync(&log);
                }
                Step::Abandon(len) => {
                    let bytes = model.next(len);
                    log.begin().unwrap().append(&bytes).unwrap();
                }
                Step::Sync => model.sync(&log),
                Step::Retire(share) => {
                    model.from = model.position(share);
                    log.retire(model.from).unwrap();
                    model.records.retain(|(lsn, _)| *lsn > model.from);
                }
                Step::Reopen => {
                    drop(log);
                    let (count, replay) = model.read(&place, model.from);
                    model.records.truncate(count);
                    model.synced = replay.end();
                    log = replay.into_log().unwrap();
                    prop_assert_eq!(log.appended(), model.records.last().map_or(model.from, |(lsn, _)| *lsn));
                }
                Step::Read(share) => {
                    model.read(&place, model.position(share).max(model.from));
                }
            }
        }
        drop(log);
        model.read(&place, model.from);
    }
}
