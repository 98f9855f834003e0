//! The naive model: a list of assertions, resolved by definition; and random work on it and on the store.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;

use llmdb_temporal::{FOREVER, History, Period, Store, Timestamp, TxnId, Valid, Value};
use proptest::{collection::vec, prelude::*};

/// Name of the collection.
pub const FACTS: &str = "facts";
/// What one step of a time that the tests draw is worth.
const STEP_US: i64 = 700;

/// What the definition says: of a moment of valid time holds what was asserted last of it.
#[derive(Clone, Debug)]
pub struct Assertion {
    pub row: i64,
    pub valid: Period,
    pub value: Option<Vec<u8>>,
    pub system: Timestamp,
}

/// All assertions, in the order in which they were made; and the commits.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub assertions: Vec<Assertion>,
    pub commits: Vec<(TxnId, Timestamp)>,
}

impl Model {
    /// What was believed at `system` of `row` at `valid`.
    pub fn get(&self, row: i64, valid: Timestamp, system: Timestamp) -> Option<&Assertion> {
        let known = self.assertions.iter().rev().filter(|known| known.row == row && known.system <= system);
        known.filter(|known| known.valid.contains(valid)).find(|_| true).filter(|known| known.value.is_some())
    }

    pub fn scan(&self, valid: Timestamp, system: Timestamp) -> BTreeMap<i64, Vec<u8>> {
        (0..ROWS).filter_map(|row| Some((row, self.get(row, valid, system)?.value.clone()?))).collect()
    }

    /// Every moment at which something may change, in either time, and moments beside them.
    pub fn moments(&self) -> Vec<Timestamp> {
        let edges = self.assertions.iter().flat_map(|known| [known.valid.from, known.valid.to, known.system]);
        let beside = edges.flat_map(|edge| [edge.get().saturating_sub(1), edge.get()]);
        let mut moments: Vec<_> = beside.filter(|moment| *moment != i64::MAX).map(Timestamp::new).collect();
        moments.sort_unstable();
        moments.dedup();
        moments
    }
}

/// How many cases a property is tried with: `PROPTEST_CASES`, or as many as usual.
pub fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(usual)
}

/// How many rows the tests use.
pub const ROWS: i64 = 4;

/// A period as steps from the moment of the commit.
#[derive(Clone, Copy, Debug)]
pub enum When {
    Now,
    Since(i64),
    During(i64, i64),
}

impl When {
    pub fn valid(self, commit: Timestamp) -> Valid {
        let at = |steps: i64| Timestamp::new(commit.get() + steps * STEP_US);
        match self {
            Self::Now => Valid::Now,
            Self::Since(from) => Valid::Since(at(from)),
            Self::During(from, len) => Valid::During(Period::new(at(from), at(from + len))),
        }
    }

    fn period(self, commit: Timestamp) -> Period {
        match self.valid(commit) {
            Valid::Now => Period::since(commit),
            Valid::Since(from) => Period::new(from, FOREVER),
            Valid::During(period) => period,
        }
    }
}

/// One assertion to be made.
#[derive(Clone, Copy, Debug)]
pub struct Write {
    pub row: i64,
    pub when: When,
    pub is_delete: bool,
}

pub fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        3 => Just(When::Now),
        1 => (-30i64..30).prop_map(When::Since),
        2 => (-30i64..30, 1i64..30).prop_map(|(from, len)| When::During(from, len)),
        // Exactly up to, and exactly from, the moment of the commit.
        1 => (1i64..30).prop_map(|len| When::During(-len, len)),
        1 => (1i64..30).prop_map(|len| When::During(0, len)),
    ]
}

pub fn write() -> impl Strategy<Value = Write> {
    (0..ROWS, when(), prop::bool::weighted(0.25)).prop_map(|(row, when, is_delete)| Write {
        row,
        when,
        is_delete,
    })
}

/// Transactions, each some assertions.
pub fn work(most: usize) -> impl Strategy<Value = Vec<Vec<Write>>> {
    vec(vec(write(), 1..4), 1..most)
}

/// Makes the collection.
pub fn create(store: Store<'_>, history: History) {
    let mut txn = store.begin_write().unwrap();
    txn.create(FACTS, history).unwrap();
    txn.commit().unwrap();
}

/// Commits `writes`, in the store and in the model.
pub fn commit(store: Store<'_>, model: &mut Model, writes: &[Write]) {
    let mut txn = store.begin_write().unwrap();
    let system = txn.timestamp();
    let mut facts = txn.collection(FACTS).unwrap();
    for write in writes {
        let value = format!("{}", model.assertions.len()).into_bytes();
        let value = (!write.is_delete).then_some(value);
        match &value {
            Some(value) => facts.put(write.row, write.when.valid(system), Value::raw(value)).unwrap(),
            None => facts.delete(write.row, write.when.valid(system)).unwrap(),
        }
        let valid = write.when.period(system);
        model.assertions.push(Assertion { row: write.row, valid, value, system });
    }
    let commit = txn.commit().unwrap();
    assert_eq!(commit.timestamp, system);
    model.commits.push((commit.txid, system));
}
