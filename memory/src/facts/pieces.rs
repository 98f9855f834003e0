//! Versions joined where only the way they are stored divides them.
//!
//! The store cuts an assertion at the moment of its commit, see `docs/format/time.md`; a person asserted one thing.

use llmdb_temporal::{AsOf, At, Collection, Fact, Period, RowKey, Timestamp, Version};

use super::point::Resolved;
use crate::Result;

/// Joins versions of one row that say the same, were learned and given up together, and meet in valid time.
pub(super) fn join(mut versions: Vec<Version<'_>>) -> Vec<Version<'_>> {
    versions.sort_by_key(|version| (version.system.from, version.system.to, version.valid.from));
    let mut joined: Vec<Version<'_>> = Vec::with_capacity(versions.len());
    for version in versions {
        match joined.last_mut() {
            Some(last) if meets(last, &version) => last.valid.to = version.valid.to,
            _ => joined.push(version),
        }
    }
    joined.sort_by_key(|version| (version.system.from, version.valid.from, version.system.to));
    joined
}

fn meets(left: &Version<'_>, right: &Version<'_>) -> bool {
    left.valid.to == right.valid.from && left.system == right.system && left.value == right.value
}

/// What is believed of `row` for the moments of `valid` as of `as_of`, in the order of valid time. Neighbours are joined
/// that one commit asserted.
pub(super) fn believed<'s>(
    collection: &Collection<'s>,
    row: &RowKey,
    valid: Period,
    as_of: AsOf,
) -> Result<Vec<Version<'s>>> {
    let mut joined: Vec<Version<'s>> = Vec::new();
    for version in collection.believed(row, valid, as_of)? {
        match joined.last_mut() {
            Some(last) if follows(last, &version) => last.valid.to = version.valid.to,
            _ => joined.push(version),
        }
    }
    Ok(joined)
}

/// As [`meets`], for versions that are believed together, whenever they were given up.
fn follows(left: &Version<'_>, right: &Version<'_>) -> bool {
    left.valid.to == right.valid.from && left.system.from == right.system.from && left.value == right.value
}

/// The period around the moment that was asked about in which `fact`, found there, holds without a break.
pub(super) fn holding(collection: &Collection<'_>, fact: &Fact<'_>, point: &Resolved) -> Result<Period> {
    if !point.is_present {
        let believed = believed(collection, &fact.row, Period::ALWAYS, point.at.system)?;
        let around = believed.iter().find(|version| version.valid.contains(point.valid));
        return Ok(around.map_or(fact.valid, |version| version.valid));
    }
    // What is believed now of the present stands in one record, but for what it says of the time before its commit.
    if fact.valid.from != fact.learned {
        return Ok(fact.valid);
    }
    let before = Timestamp::new(fact.learned.get() - 1);
    let before = match collection.get(&fact.row, At { valid: Some(before), ..point.at }) {
        // What it said of that time may be purged; that it holds now is known all the same.
        Err(llmdb_temporal::Error::NotKept { .. }) => None,
        before => before?,
    };
    let same = before.filter(|before| before.learned == fact.learned && before.value == fact.value);
    Ok(same.map_or(fact.valid, |before| Period::new(before.valid.from, fact.valid.to)))
}
