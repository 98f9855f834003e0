//! Rows are overwritten again and again, while their number stays the same: the file stays within 1.1 times of what
//! lives in it, and 256 pages (the reserve, what growing, moving and cutting leave, and the last transactions).

use llmdb_engine::{Churn, Engine};
use llmdb_vfs::crash::Chooser;

use crate::{
    common::{assert_sound, open_with},
    store::{open_new, pages, put, some, tight, value},
};

/// Pages that the file may have beyond its share of the live ones.
const ROOM_PAGES: u64 = 256;

fn assert_bound(engine: &Engine, when: &str) {
    let (file, live) = pages(engine);
    let bound = live * 11 / 10 + ROOM_PAGES;
    assert!(file <= bound, "{when}: {file} pages for {live} live ones; {bound} are allowed");
}

/// Loads `rows`, then overwrites eight times as many by chance, and looks after each fortieth part.
fn churn(rows: u64, len: impl Fn(u64) -> usize) {
    let (_, engine) = open_new(tight());
    put(&engine, 0..rows, 0, &len);
    let mut chooser = Chooser::new(5);
    for round in 1..=40 {
        put(&engine, some(&mut chooser, rows, rows as usize / 5), round, &len);
        // The load may have left the file longer, until it has been gone through once.
        if round > 10 {
            assert_bound(&engine, &format!("round {round}"));
        }
    }
    assert_sound(&engine);
}

#[test]
fn short_values() {
    churn(30_000, |_| 100);
}

#[test]
fn values_of_a_kilobyte() {
    churn(8_000, |_| 1_000);
}

#[test]
fn values_of_several_pages() {
    churn(1_000, |_| 20_000);
}

#[test]
fn values_of_all_lengths() {
    churn(2_000, |number| [60, 700, 3_000, 9_000, 30_000][number as usize % 5]);
}

/// The same rows with other lengths: gaps that were long enough are not any more.
#[test]
fn values_that_change_their_length() {
    let (_, engine) = open_new(tight());
    let mut chooser = Chooser::new(6);
    for round in 0..60 {
        let numbers = if round == 0 { (0..1_500).collect() } else { some(&mut chooser, 1_500, 300) };
        put(&engine, numbers, round, |number| 100 + (number * 7_919 + round * 104_729) as usize % 20_000);
        if round > 20 {
            assert_bound(&engine, &format!("round {round}"));
        }
    }
    assert_sound(&engine);
}

/// Without the limit, the same churn takes far more room: the test above tests something.
#[test]
fn without_the_limit_the_file_is_longer() {
    let mut options = tight();
    options.churn = Churn { percent: 0, bytes_min: u64::MAX };
    options.checkpoint_log_bytes = u64::MAX;
    options.stall_log_bytes = u64::MAX;
    options.recovery.checkpoint_us = u64::MAX;
    options.recovery.throttle_us = u64::MAX;
    options.recovery.stall_us = u64::MAX;
    let (_, engine) = open_new(options);
    put(&engine, 0..8_000, 0, |_| 1_000);
    let mut chooser = Chooser::new(5);
    for round in 1..=40 {
        put(&engine, some(&mut chooser, 8_000, 1_600), round, |_| 1_000);
        if round % 10 == 0 {
            engine.checkpoint().unwrap();
        }
    }
    let (file, live) = pages(&engine);
    assert!(file > live * 3 / 2, "{file} pages for {live} live ones");
    assert_eq!(engine.stats().unwrap().checkpoint_count, 4);
}

/// Most of the rows are deleted. While the others are overwritten, the file shrinks by itself.
#[test]
fn a_file_that_is_too_long_shrinks_under_churn() {
    let (disk, engine) = open_new(tight());
    put(&engine, 0..20_000, 0, |_| 500);
    let (before, _) = pages(&engine);
    let mut txn = engine.begin_write().unwrap();
    let mut tree = txn.tree("rows").unwrap();
    for number in (0..20_000).filter(|number| number % 5 != 0) {
        tree.delete(crate::common::script::key(number)).unwrap();
    }
    txn.commit().unwrap();
    let mut chooser = Chooser::new(7);
    let rows: Vec<u64> = (0..20_000).step_by(5).collect();
    for round in 1..=60 {
        let numbers = some(&mut chooser, 4_000, 400);
        put(&engine, numbers.into_iter().map(|number| rows[number as usize]), round, |_| 500);
    }
    let (after, live) = pages(&engine);
    assert!(after < before / 2, "{before} pages before, {after} after, {live} live");
    assert_bound(&engine, "after churn");
    assert_sound(&engine);
    // What the cut left is a whole store: killed and opened again, and written once more.
    let found = crate::common::killed(&disk);
    let again = open_with(&found, tight()).unwrap();
    assert_sound(&again);
    put(&again, rows, 99, |_| 900);
    assert_sound(&again);
    let snapshot = again.snapshot_latest().unwrap();
    let tree = snapshot.tree("rows").unwrap().unwrap();
    assert_eq!(tree.get(crate::common::script::key(50)).unwrap(), Some(&value(50, 99, 900)[..]));
}

/// A reader that stays keeps what it sees, and does not make checkpoints come without end.
#[test]
fn a_long_reader_causes_no_flood_of_checkpoints() {
    let checkpoints = |hold: bool| {
        let (_, engine) = open_new(tight());
        put(&engine, 0..8_000, 0, |_| 500);
        let held = hold.then(|| engine.snapshot_latest().unwrap());
        let mut chooser = Chooser::new(8);
        for round in 1..=20 {
            put(&engine, some(&mut chooser, 8_000, 800), round, |_| 500);
        }
        if let Some(held) = held {
            let tree = held.tree("rows").unwrap().unwrap();
            assert_eq!(tree.get(crate::common::script::key(7)).unwrap(), Some(&value(7, 0, 500)[..]));
        }
        engine.stats().unwrap().checkpoint_count
    };
    let (without, with) = (checkpoints(false), checkpoints(true));
    assert!(with <= without, "{without} checkpoints, and {with} beside a reader");
}
