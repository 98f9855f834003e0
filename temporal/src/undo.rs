//! Undoing a transaction by asserting again what was believed before it.

use std::collections::BTreeSet;

use llmdb_base::{Timestamp, TxnId};

use crate::{
    AsOf, Error, Period, Result, RowKey, View, WriteTxn,
    catalog::{self, META},
    history::Version,
};

/// What undoing a transaction did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Undone {
    /// Periods of rows of which is believed again what was believed before.
    pub restored: u64,
    /// Periods of rows that were left as they are, for later transactions changed what is believed of them.
    pub kept: Vec<Kept>,
}

/// A part of a transaction that could not be undone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// The collection.
    pub collection: String,
    /// The row.
    pub row: RowKey,
    /// The period of valid time.
    pub valid: Period,
}

/// Undoes `txid` in `txn`; `before` shows the state that `txn` began with.
pub(crate) fn undo(before: &View, txn: &mut WriteTxn<'_>, txid: TxnId) -> Result<Undone> {
    let none = || Error::NoTransaction(txid);
    let meta = before.snapshot().tree(META)?.ok_or_else(none)?;
    let (_, timestamp) =
        catalog::commit_up_to(meta, txid)?.filter(|commit| commit.0 == txid).ok_or_else(none)?;
    let mut undone = Undone::default();
    for (name, _) in before.collections()? {
        let collection = before.collection(&name)?;
        if collection.trees().is_err() {
            continue;
        }
        let after = TxnId::new(txid.get().saturating_sub(1));
        // What was believed before it is asked for.
        collection.check_kept(Timestamp::new(timestamp.get() - 1))?;
        for change in collection.changes_kept(AsOf::Transaction(after), AsOf::Transaction(txid))? {
            let row = change?.row;
            let believed = |system| collection.believed(&row, Period::ALWAYS, system);
            let previous = believed(AsOf::Time(Timestamp::new(timestamp.get() - 1)))?;
            let asserted = believed(AsOf::Time(timestamp))?;
            let current = believed(AsOf::Now)?;
            let mut later = collection.history(&row)?;
            later.retain(|version| version.system.from > timestamp);
            let mut target = txn.collection(&name)?;
            for (valid, step) in steps(&previous, &asserted, &current, &later, timestamp) {
                match step {
                    Step::Restore(version) => {
                        let stored = version.map(|version| version.value.encode());
                        target.replace(&row.encode(), valid, stored.as_deref())?;
                        undone.restored += 1;
                    }
                    Step::Keep => {
                        undone.kept.push(Kept { collection: name.clone(), row: row.clone(), valid });
                    }
                }
            }
        }
    }
    Ok(undone)
}

/// What is to be done about a period.
#[derive(Clone, Copy, PartialEq)]
enum Step<'v> {
    Restore(Option<Version<'v>>),
    Keep,
}

/// What is to be done about each period in which the transaction changed something. Neighbours are joined where the same
/// is to be done.
fn steps<'v>(
    previous: &[Version<'v>],
    asserted: &[Version<'v>],
    current: &[Version<'v>],
    later: &[Version<'v>],
    timestamp: Timestamp,
) -> Vec<(Period, Step<'v>)> {
    let all = previous.iter().chain(asserted).chain(current).chain(later);
    let edges: BTreeSet<Timestamp> = all.flat_map(|version| [version.valid.from, version.valid.to]).collect();
    let mut steps: Vec<(Period, Step<'v>)> = Vec::new();
    for (from, to) in edges.iter().zip(edges.iter().skip(1)) {
        let at = |versions: &[Version<'v>]| {
            let index = versions.partition_point(|version| version.valid.to <= *from);
            versions.get(index).copied().filter(|version| version.valid.contains(*from))
        };
        let (before, then, now) = (at(previous), at(asserted), at(current));
        let value = |version: Option<Version<'v>>| version.map(|version| version.value);
        let is_its_own = then.is_none_or(|version| version.system.from == timestamp);
        if value(before) == value(then) || !is_its_own {
            continue;
        }
        // Nothing may be believed now because a later commit said something, and another one took it back.
        let stands = value(then) == value(now)
            && match now {
                Some(version) => version.system.from == timestamp,
                None => !later.iter().any(|version| version.valid.contains(*from)),
            };
        let step = if stands { Step::Restore(before) } else { Step::Keep };
        match steps.last_mut() {
            Some((period, last)) if period.to == *from && same(*last, step) => period.to = *to,
            _ => steps.push((Period::new(*from, *to), step)),
        }
    }
    steps
}

fn same(a: Step<'_>, b: Step<'_>) -> bool {
    match (a, b) {
        (Step::Keep, Step::Keep) => true,
        (Step::Restore(a), Step::Restore(b)) => {
            a.map(|version| version.value) == b.map(|version| version.value)
        }
        _ => false,
    }
}
