//! A change feed that leaves out a transaction is noticed by whoever compares what the feed builds with the store: the
//! check that `engine/tests/store/feed.rs` makes throughout, here with the bug planted.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, sync::Arc};

use llmdb_base::plant::{Bug, plant};
use llmdb_engine::{Background, Change, Engine, FeedFrom, Options, Position};
use llmdb_vfs::crash::{Chooser, CrashVfs};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn open(disk: &CrashVfs) -> Engine {
    let mut options = Options::default();
    options.background = Background::Manual;
    Engine::open_on(Arc::new(disk.clone()), "store", options).unwrap()
}

/// Applies what is new behind `position`, and returns how far that is.
fn follow(engine: &Engine, position: Position, rows: &mut Rows) -> Position {
    let mut changes = engine.changes(FeedFrom::After(position)).unwrap();
    while let Some(mut txn) = changes.next_txn().unwrap() {
        while let Some(change) = txn.next_change().unwrap() {
            if let Change::Put { key, .. } = change {
                let key = key.to_vec();
                let mut value = [0; 8];
                txn.read_value(&mut value).unwrap();
                rows.insert(key, value.to_vec());
            }
        }
    }
    changes.position().unwrap()
}

/// What the feed builds, and what the store holds, after a workload with crashes.
fn both() -> (Rows, Rows) {
    let mut chooser = Chooser::new(7);
    let mut disk = CrashVfs::new(7);
    let mut engine = open(&disk);
    let mut position = engine.create_consumer("copy", FeedFrom::Now).unwrap();
    let mut rows = Rows::new();
    for round in 0..60_u64 {
        let mut txn = engine.begin_write().unwrap();
        for _ in 0..chooser.between(1, 5) {
            txn.put(chooser.below(40).to_be_bytes(), round.to_le_bytes()).unwrap();
        }
        txn.commit().unwrap();
        if chooser.percent(40) {
            position = follow(&engine, position, &mut rows);
        }
        if chooser.percent(15) {
            disk = disk.crash(&mut chooser);
            engine = open(&disk);
        }
    }
    follow(&engine, position, &mut rows);
    let snapshot = engine.snapshot().unwrap();
    let stored = snapshot.iter().unwrap().map(|row| row.map(|(key, value)| (key.to_vec(), value.to_vec())));
    (rows, stored.collect::<Result<_, _>>().unwrap())
}

#[test]
fn a_change_feed_that_skips_is_caught() {
    let (fed, stored) = both();
    assert!(fed == stored, "the feed is right as it is");
    plant(Some(Bug::SkipChange));
    let (fed, stored) = both();
    plant(None);
    assert!(fed != stored, "a feed that skips must not pass");
}
