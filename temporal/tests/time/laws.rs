//! What writing facts costs, in bytes of the log, beside a plain collection with the same values. Counted, not timed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use llmdb_engine::{Background, Durability, Engine, Options};
use llmdb_temporal::{History, Key, RowKey, Store, Valid, Value};
use llmdb_vfs::MemoryVfs;

/// A key of 16 bytes.
fn row(number: u32) -> RowKey {
    RowKey::new(0, Key::from(format!("row-{number:09}").as_str()))
}

/// Bytes of the log that `rounds` puts of each of 500 rows take, each in a transaction of its own, after `before` rounds.
fn log_bytes(history: History, value_len: usize, before: u32, rounds: u32) -> u64 {
    let mut options = Options::default();
    options.background = Background::Manual;
    let engine = Engine::open_on(Arc::new(MemoryVfs::default()), "test.llmdb", options).unwrap();
    let store = Store::new(&engine);
    let mut txn = store.begin_write().unwrap();
    txn.create("rows", history).unwrap();
    let mut last = txn.commit().unwrap().lsn;
    for round in 0..before + rounds {
        let first = last;
        for number in 0..500 {
            let mut txn = store.begin_write().unwrap();
            let value = vec![u8::try_from(round).unwrap(); value_len];
            txn.collection("rows").unwrap().put(row(number), Valid::Now, Value::raw(&value)).unwrap();
            last = txn.commit_with(Durability::Off).unwrap().lsn;
        }
        if round + 1 == before + rounds {
            return last.get() - first.get();
        }
    }
    0
}

fn ratio(value_len: usize, before: u32, copy_percent: Option<u16>) -> f64 {
    let facts = log_bytes(History::Bitemporal { copy_percent }, value_len, before, 1);
    let plain = log_bytes(History::Plain, value_len, before, 1);
    facts as f64 / plain as f64
}

#[test]
fn an_insert_takes_less_than_twice_the_log_of_a_plain_one() {
    for value_len in [32, 256, 1024] {
        let ratio = ratio(value_len, 0, None);
        println!("insert, {value_len} bytes: {ratio:.2}");
        assert!(ratio < 2.0, "{value_len}: {ratio}");
    }
}

#[test]
fn an_update_takes_less_than_twice_the_log_of_a_plain_one() {
    // Of short values more: see docs/adr/0011-facts-in-two-times.md.
    for (value_len, most) in [(32, 2.6), (100, 2.0), (256, 1.6), (1024, 1.25)] {
        let ratio = ratio(value_len, 1, None);
        println!("update, {value_len} bytes: {ratio:.2}");
        assert!(ratio < most, "{value_len}: {ratio}");
    }
}

#[test]
fn copies_take_little_more() {
    let rounds = |copy_percent| log_bytes(History::Bitemporal { copy_percent }, 256, 1, 1);
    let plain = log_bytes(History::Plain, 256, 1, 1);
    let ratio = (rounds(Some(100)) - rounds(None)) as f64 / plain as f64;
    println!("copies: {ratio:.2}");
    assert!(ratio < 0.3, "{ratio}");
}
