//! A store in which rows are overwritten in random order.

use llmdb_engine::{Churn, Durability, Engine, Options};
use llmdb_vfs::crash::{Chooser, CrashVfs};

use crate::common::{open_with, options, script::key};

/// A value of `len` bytes that tells one round from another.
pub fn value(number: u64, round: u64, len: usize) -> Vec<u8> {
    let seed = number.wrapping_mul(31).wrapping_add(round).to_le_bytes();
    (0..len).map(|index| seed[index % 8].wrapping_add((index / 8) as u8)).collect()
}

/// Puts the rows `numbers` in transactions of ten.
pub fn put(engine: &Engine, numbers: impl IntoIterator<Item = u64>, round: u64, len: impl Fn(u64) -> usize) {
    let numbers: Vec<u64> = numbers.into_iter().collect();
    for part in numbers.chunks(10) {
        let mut txn = engine.begin_write().unwrap();
        let mut tree = txn.tree("rows").unwrap();
        for number in part {
            tree.put(key(*number), value(*number, round, len(*number))).unwrap();
        }
        txn.commit_with(Durability::Off).unwrap();
    }
}

/// The numbers below `rows`, `count` of them, by chance.
pub fn some(chooser: &mut Chooser, rows: u64, count: usize) -> Vec<u64> {
    (0..count).map(|_| chooser.index(rows as usize) as u64).collect()
}

/// Options under which five percent of a small store are enough for a checkpoint.
pub fn tight() -> Options {
    let mut options = options();
    options.churn = Churn { percent: 5, bytes_min: 64 << 10 };
    options
}

pub fn open_new(options: Options) -> (CrashVfs, Engine) {
    let disk = CrashVfs::new(1);
    let engine = open_with(&disk, options).unwrap();
    (disk, engine)
}

/// Length of the data file, and live pages.
pub fn pages(engine: &Engine) -> (u64, u64) {
    let pages = engine.stats().unwrap().pages;
    (pages.file_pages, pages.live_pages)
}
