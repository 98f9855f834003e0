//! All that was ever believed of a row.

use std::{collections::BTreeSet, ops::Bound};

use llmdb_base::Timestamp;

use crate::{
    AsOf, BEGINNING, Collection, FOREVER, Period, Result, RowKey, Value, catalog::Part, lookup::believed_all,
    record::Record, write::PAST_EPOCH,
};

/// A value, for which period it was believed to hold, and during which period that was believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version<'s> {
    /// The value.
    pub value: Value<'s>,
    /// When it held.
    pub valid: Period,
    /// When that was believed.
    pub system: Period,
}

impl<'s> Collection<'s> {
    /// Everything that was ever believed of a row, as far as it is kept, in the order in which it was learned, then in the order of valid
    /// time. No two versions share a point of both times, and together they are all that [`Collection::get`] finds.
    ///
    /// Cost: a seek for each epoch of the collection, and the versions.
    ///
    /// # Errors
    /// [`crate::Error::NotTemporal`] for a plain collection; [`crate::Error::Engine`], [`crate::Error::Corruption`].
    pub fn history(&self, row: impl Into<RowKey>) -> Result<Vec<Version<'s>>> {
        self.versions(&row.into(), Period::ALWAYS, (BEGINNING, FOREVER))
    }

    /// The versions of a row that were believed at some moment between two, both included.
    ///
    /// # Errors
    /// As [`Collection::history`]; [`crate::Error::NotKept`] if what was believed at the first moment is not kept.
    pub fn versions_between(
        &self,
        row: impl Into<RowKey>,
        first: AsOf,
        last: AsOf,
    ) -> Result<Vec<Version<'s>>> {
        let (first, last) = (self.view.resolve(first)?, self.view.resolve(last)?);
        let row = row.into();
        self.check_row_kept_at(&row.encode(), first)?;
        let mut versions = self.versions(&row, Period::ALWAYS, (first, last))?;
        versions.retain(|version| version.system.from <= last && version.system.to > first);
        Ok(versions)
    }

    /// What was believed of a row for the moments of a period, in the order of valid time: each version that holds in a
    /// part of the period, cut to it. Moments of which nothing was believed are left out.
    ///
    /// Cost: a seek for each epoch since, the records that were believed then or at a moment of the period, and all
    /// corrections of the past of the row.
    ///
    /// # Errors
    /// As [`Collection::history`]; [`crate::Error::NotKept`] if what was believed then, or what was so when the period
    /// began, is not kept. A period from [`BEGINNING`] on is one from when it is kept.
    pub fn believed(&self, row: impl Into<RowKey>, valid: Period, as_of: AsOf) -> Result<Vec<Version<'s>>> {
        let system = self.view.resolve(as_of)?;
        let row = row.into();
        // A period without a beginning asks for what is kept.
        let first = if valid.from == BEGINNING { system } else { system.min(valid.from) };
        self.check_row_kept_at(&row.encode(), first)?;
        let mut versions = self.versions(&row, valid, (system, system))?;
        let is_believed = |system_period: Period| match system {
            FOREVER => system_period.to == FOREVER,
            moment => system_period.contains(moment),
        };
        versions.retain(|version| is_believed(version.system) && version.valid.overlaps(valid));
        for version in &mut versions {
            version.valid = version.valid.common(valid);
        }
        versions.sort_by_key(|version| version.valid.from);
        Ok(versions)
    }

    /// Versions that hold in a part of `valid`: all of those that were believed at a moment between `first` and `last`,
    /// and perhaps others.
    fn versions(
        &self,
        row: &RowKey,
        valid: Period,
        (first, last): (Timestamp, Timestamp),
    ) -> Result<Vec<Version<'s>>> {
        let trees = self.trees()?;
        let row = row.encode();
        let mut retroactive = believed_all(trees.past, || self.info.tree(Part::Past), &row, FOREVER)?;
        retroactive.extend(trees.closed_between(&self.info, PAST_EPOCH, &row, (BEGINNING, FOREVER))?);
        let overridden = Overridden::by(&retroactive);
        // What is believed of a moment that has passed was believed when it was the present: so the present tree is
        // asked as it was from the beginning of the period on. Up to now, for only what is there now, or was closed, says
        // how long it was believed.
        let (first, last) = (first.min(valid.from), last.min(valid.to));
        let sources = self.sources(trees, first, FOREVER)?;
        let place = [&sources.prefix()[..], &row].concat();
        let name = || self.info.tree(sources.part());
        let mut present = believed_all(sources.survivors, name, &place, last)?;
        for epoch in sources.epochs.0..=sources.epochs.1 {
            present.extend(trees.closed_between(&self.info, epoch, &row, (first, last))?);
        }
        let mut versions = Vec::new();
        for record in retroactive {
            self.push(&mut versions, record)?;
        }
        for record in present {
            for region in regions(record, &overridden) {
                self.push(&mut versions, region)?;
            }
        }
        // What was so before the horizon nobody knows any more, as a whole.
        let since = self.row_kept_since(&row)?;
        let kept = valid.common(Period::since(since));
        versions.retain(|version| version.valid.overlaps(kept));
        for version in &mut versions {
            version.valid.from = version.valid.from.max(since);
        }
        versions.sort_by_key(|version| (version.system.from, version.valid.from));
        Ok(versions)
    }

    fn push(&self, versions: &mut Vec<Version<'s>>, record: Record<'s>) -> Result<()> {
        if let Some(stored) = record.stored {
            let value = self.value(stored)?;
            versions.push(Version { value, valid: record.valid, system: record.system });
        }
        Ok(())
    }
}

/// Where a record of the present tree is what is believed: rectangles of both times.
///
/// While it was believed, it said something of its whole valid period. Of the moments that became the present meanwhile
/// it goes on being believed for ever, unless the past was corrected later.
fn regions<'s>(record: Record<'s>, overridden: &Overridden) -> Vec<Record<'s>> {
    let Record { valid, system, .. } = record;
    let lived = Period::new(valid.from, valid.to.min(system.to));
    let rest = Period::new(valid.from.max(system.to), valid.to);
    let mut regions = Vec::new();
    for (valid, until) in overridden.pieces(lived) {
        regions.push(Record { valid, system: Period::new(system.from, until), ..record });
    }
    if !rest.is_empty() {
        regions.push(Record { valid: rest, ..record });
    }
    regions
}

/// For each moment of valid time, since when something else is asserted of it than what was believed when it was the
/// present.
struct Overridden {
    /// Pieces of valid time and the moment of system time, ascending and disjoint.
    pieces: Vec<(Period, Timestamp)>,
}

impl Overridden {
    fn by(records: &[Record<'_>]) -> Self {
        let edges: BTreeSet<Timestamp> =
            records.iter().flat_map(|record| [record.valid.from, record.valid.to]).collect();
        let mut by_begin: Vec<&Record<'_>> = records.iter().collect();
        by_begin.sort_by_key(|record| record.system.from);
        // The earliest assertion claims its moments; later ones claim what is left.
        let mut unclaimed = edges.clone();
        let mut pieces = Vec::new();
        for record in by_begin {
            let claimed: Vec<_> = unclaimed.range(record.valid.from..record.valid.to).copied().collect();
            for from in claimed {
                unclaimed.remove(&from);
                let next = edges.range((Bound::Excluded(from), Bound::Unbounded)).next();
                pieces.push((Period::new(from, next.copied().unwrap_or(FOREVER)), record.system.from));
            }
        }
        pieces.sort_unstable();
        Self { pieces }
    }

    /// The pieces of `period`, each with the moment from which on it is overridden; the end of time if it is not.
    fn pieces(&self, period: Period) -> Vec<(Period, Timestamp)> {
        let mut pieces = Vec::new();
        let mut from = period.from;
        let start = self.pieces.partition_point(|(piece, _)| piece.to <= period.from);
        for (piece, first) in &self.pieces[start..] {
            let common = piece.common(period);
            if common.is_empty() {
                break;
            }
            pieces.push((Period::new(from, common.from), FOREVER));
            pieces.push((common, *first));
            from = common.to;
        }
        pieces.push((Period::new(from, period.to), FOREVER));
        pieces.retain(|(piece, _)| !piece.is_empty());
        pieces
    }
}
