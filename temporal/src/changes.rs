//! What changed: between two commits, and between two points in time.

use std::cmp::Ordering;

use llmdb_base::{Timestamp, TxnId};
use llmdb_engine::Range;

use crate::{
    AsOf, At, Collection, Fact, Result, RowKey, Rows, View,
    catalog::{self, Part},
    scan::Scan,
    write::damaged_row,
};

/// A row that a transaction asserted something of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The transaction.
    pub txid: TxnId,
    /// When it was committed.
    pub timestamp: Timestamp,
    /// The row.
    pub row: RowKey,
}

/// How a row differs between two points in time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Difference<'s> {
    /// It is only at the second point.
    Added(Fact<'s>),
    /// It is only at the first point.
    Removed(Fact<'s>),
    /// It has another value.
    Changed {
        /// At the first point.
        from: Fact<'s>,
        /// At the second point.
        to: Fact<'s>,
    },
}

impl View {
    /// Number of the last transaction that `system` shows.
    fn txid_of(&self, system: AsOf) -> Result<TxnId> {
        Ok(match system {
            AsOf::Now => self.snapshot().txid(),
            AsOf::Transaction(txid) => txid,
            AsOf::Time(moment) => self.transaction_at(moment)?.map_or(TxnId::new(0), |(txid, _)| txid),
        })
    }
}

impl<'s> Collection<'s> {
    /// The rows of which something was asserted after the commit `after` up to the commit `up_to`, in the order of the
    /// commits and then of the rows.
    ///
    /// Cost: the changes of all collections between the two.
    ///
    /// # Errors
    /// [`crate::Error::NotTemporal`] for a plain collection; [`crate::Error::NotKept`] if notes of changes after `after`
    /// are not kept; [`crate::Error::Engine`], [`crate::Error::Corruption`]; also from the iterator.
    pub fn changes(&self, after: AsOf, up_to: AsOf) -> Result<Changes<'_, 's>> {
        self.check_kept(self.view.resolve(after)?)?;
        self.changes_kept(after, up_to)
    }

    /// As [`Collection::changes`], of those that are still there.
    pub(crate) fn changes_kept(&self, after: AsOf, up_to: AsOf) -> Result<Changes<'_, 's>> {
        self.trees()?;
        let (after, up_to) = (self.view.txid_of(after)?, self.view.txid_of(up_to)?);
        let from = catalog::change_key(after.next(), 0, &[]);
        let to = catalog::change_key(up_to.next(), 0, &[]);
        let rows = self.view.meta()?.map(|meta| meta.range(from..to)).transpose()?;
        Ok(Changes { collection: self, rows, commit: None })
    }

    /// How the rows of a range differ between two points in time, in order. Rows with the same value are left out.
    ///
    /// Cost: two scans.
    ///
    /// # Errors
    /// As [`Collection::scan`]; also from the iterator.
    pub fn diff(&self, rows: &Rows, from: At, to: At) -> Result<Diff<'_, 's>> {
        Ok(Diff { from: Side::new(self.scan(rows, from)?), to: Side::new(self.scan(rows, to)?) })
    }
}

/// See [`Collection::changes`].
pub struct Changes<'c, 's> {
    collection: &'c Collection<'s>,
    rows: Option<Range<'s>>,
    commit: Option<(TxnId, Timestamp)>,
}

impl Changes<'_, '_> {
    fn step(&mut self) -> Result<Option<Change>> {
        let info = &self.collection.info;
        let Some(rows) = &mut self.rows else { return Ok(None) };
        for entry in rows {
            let (key, _) = entry?;
            let (txid, id, row) = catalog::decode_change(key)?;
            if id != info.id {
                continue;
            }
            if self.commit.is_none_or(|commit| commit.0 != txid) {
                let meta = self.collection.view.meta()?;
                self.commit = meta.map(|meta| catalog::commit_up_to(meta, txid)).transpose()?.flatten();
            }
            let (txid, timestamp) = self.commit.filter(|commit| commit.0 == txid).ok_or_else(|| {
                catalog::damaged(format!("{txid} changed rows, but no commit of it is known"))
            })?;
            let row = RowKey::decode(row).ok_or_else(|| damaged_row(&info.tree(Part::Now), row))?;
            return Ok(Some(Change { txid, timestamp, row }));
        }
        Ok(None)
    }
}

impl Iterator for Changes<'_, '_> {
    type Item = Result<Change>;

    fn next(&mut self) -> Option<Self::Item> {
        let change = self.step();
        if !matches!(change, Ok(Some(_))) {
            self.rows = None;
        }
        change.transpose()
    }
}

/// See [`Collection::diff`].
pub struct Diff<'c, 's> {
    from: Side<'c, 's>,
    to: Side<'c, 's>,
}

struct Side<'c, 's> {
    scan: Scan<'c, 's>,
    held: Option<Fact<'s>>,
}

impl<'c, 's> Side<'c, 's> {
    fn new(scan: Scan<'c, 's>) -> Self {
        Self { scan, held: None }
    }

    fn fill(&mut self) -> Result<Option<&Fact<'s>>> {
        if self.held.is_none() {
            self.held = self.scan.next().transpose()?;
        }
        Ok(self.held.as_ref())
    }
}

impl<'s> Diff<'_, 's> {
    fn step(&mut self) -> Result<Option<Difference<'s>>> {
        loop {
            let order = match (self.from.fill()?, self.to.fill()?) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(from), Some(to)) => from.row.cmp(&to.row),
            };
            let from = if order.is_le() { self.from.held.take() } else { None };
            let to = if order.is_ge() { self.to.held.take() } else { None };
            match (from, to) {
                (Some(from), Some(to)) if from.value == to.value => {}
                (Some(from), Some(to)) => return Ok(Some(Difference::Changed { from, to })),
                (Some(from), None) => return Ok(Some(Difference::Removed(from))),
                (None, Some(to)) => return Ok(Some(Difference::Added(to))),
                (None, None) => return Ok(None),
            }
        }
    }
}

impl<'s> Iterator for Diff<'_, 's> {
    type Item = Result<Difference<'s>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}
