//! What the writers write, so that whoever reads can tell at once whether it is whole.
//!
//! Transaction `n` of writer `w` sets `left[w]` and `right[w]` to `n`, adds one to `total`, puts `log[w, n]` and
//! removes `log[w, n - KEPT]`. So in every snapshot `left` equals `right`, their sum is the total, and the log holds
//! the last [`KEPT`] entries of each writer with the value that their numbers ask for.

use std::fmt;

use llmdb::{Snapshot, Tree, WriteTxn};

use crate::{failure::Failure, measure::Random};

const LEFT: &str = "left";
const RIGHT: &str = "right";
const TOTAL: &str = "total";
const LOG: &str = "log";
/// Entries of the log that each writer keeps.
const KEPT: u64 = 20;

/// How far each writer has come.
pub type Counts = Vec<u64>;

/// What a snapshot, or a transaction, must never show.
#[derive(Debug)]
pub struct Torn(pub String);

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A look at the database: what it shows, or that it shows no state that ever was.
pub type Look<T> = Result<Result<T, Torn>, llmdb::Error>;

/// Makes one transaction of `writer` in `txn`, and returns its number.
pub fn write(txn: &mut WriteTxn<'_>, writer: u64) -> Result<u64, llmdb::Error> {
    let number = txn.tree(LEFT)?.get(key(writer))?.map_or(0, parse) + 1;
    txn.tree(LEFT)?.put(key(writer), number.to_be_bytes())?;
    let total = txn.tree(TOTAL)?.get(TOTAL)?.map_or(0, parse) + 1;
    txn.tree(TOTAL)?.put(TOTAL, total.to_be_bytes())?;
    let mut log = txn.tree(LOG)?;
    log.put(entry(writer, number), value(writer, number))?;
    if let Some(old) = number.checked_sub(KEPT) {
        log.delete(entry(writer, old))?;
    }
    txn.tree(RIGHT)?.put(key(writer), number.to_be_bytes())?;
    Ok(number)
}

/// The counts of a snapshot, if they agree with each other.
pub fn counts(snapshot: &Snapshot, writers: u64) -> Look<Counts> {
    let trees = [snapshot.tree(LEFT)?, snapshot.tree(RIGHT)?];
    let [left, right] = trees.each_ref().map(|tree| all(tree.as_ref(), writers));
    let (left, right) = (left?, right?);
    let total = match snapshot.tree(TOTAL)? {
        Some(tree) => tree.get(TOTAL)?.map_or(0, parse),
        None => 0,
    };
    if let Some(writer) = (0..left.len()).find(|writer| left[*writer] != right[*writer]) {
        let (left, right) = (left[writer], right[writer]);
        return Ok(Err(Torn(format!("writer {writer} is at {left} in one tree and at {right} in another"))));
    }
    let sum: u64 = left.iter().sum();
    if sum != total {
        return Ok(Err(Torn(format!("{sum} transactions of all writers, and {total} were counted"))));
    }
    Ok(Ok(left))
}

fn all(tree: Option<&Tree<'_>>, writers: u64) -> Result<Counts, llmdb::Error> {
    let Some(tree) = tree else { return Ok(vec![0; usize::try_from(writers).unwrap_or(0)]) };
    (0..writers).map(|writer| Ok(tree.get(key(writer))?.map_or(0, parse))).collect()
}

/// Whether the log holds what it must of one writer, whose count is `count`.
pub fn check_log(snapshot: &Snapshot, writer: u64, count: u64) -> Look<()> {
    let Some(log) = snapshot.tree(LOG)? else {
        let torn = || Torn(format!("writer {writer} is at {count}, and there is no log"));
        return Ok(if count == 0 { Ok(()) } else { Err(torn()) });
    };
    let first = count.saturating_sub(KEPT - 1).max(1);
    for number in first..=count {
        let found = log.get(entry(writer, number))?;
        if found != Some(value(writer, number).as_slice()) {
            let what = if found.is_some() { "is another one" } else { "is missing" };
            return Ok(Err(Torn(format!("entry {number} of writer {writer}, who is at {count}, {what}"))));
        }
    }
    for number in [first.saturating_sub(1), count + 1] {
        if log.get(entry(writer, number))?.is_some() {
            return Ok(Err(Torn(format!("entry {number} of writer {writer}, who is at {count}, is there"))));
        }
    }
    Ok(Ok(()))
}

/// Everything that a database must show at the end.
pub fn check_all(snapshot: &Snapshot, writers: u64) -> Result<Result<Counts, Torn>, Failure> {
    let counts = match counts(snapshot, writers)? {
        Ok(counts) => counts,
        Err(torn) => return Ok(Err(torn)),
    };
    for (writer, count) in (0..).zip(&counts) {
        if let Err(torn) = check_log(snapshot, writer, *count)? {
            return Ok(Err(torn));
        }
    }
    Ok(Ok(counts))
}

fn key(writer: u64) -> [u8; 8] {
    writer.to_be_bytes()
}

fn entry(writer: u64, number: u64) -> [u8; 16] {
    (u128::from(writer) << 64 | u128::from(number)).to_be_bytes()
}

fn parse(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(u64::MAX >> 8, u64::from_be_bytes)
}

/// Mostly short, now and then longer than a page.
fn value(writer: u64, number: u64) -> Vec<u8> {
    let mut random = Random(writer << 32 ^ number);
    let len = if number % 17 == 5 { 10_000 } else { 50 + random.next() % 300 };
    (0..len).map(|_| random.next().to_le_bytes()[0]).collect()
}
