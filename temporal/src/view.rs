//! Reading facts: a view of the store, and collections in it.

use std::sync::OnceLock;

use llmdb_base::{Timestamp, TxnId};
use llmdb_engine::{Snapshot, TreeRef};

use crate::{
    BEGINNING, Error, FOREVER, History, Period, Result, RowKey, Rows, Value,
    catalog::{self, CopyState, Epoch, Info, META, Part},
    lookup::Probe,
    record::Record,
    retention::{Kept, kept_key},
    scan::Scan,
    write::damaged_row,
};

/// Which state of the store is asked: what it believed when.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AsOf {
    /// What is believed now.
    #[default]
    Now,
    /// What was believed after this transaction.
    Transaction(TxnId),
    /// What was believed at this moment.
    Time(Timestamp),
}

/// A point in both times. The default is now in both.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct At {
    /// When what is asked for held; `None` for now.
    pub valid: Option<Timestamp>,
    /// When it was believed.
    pub system: AsOf,
}

impl At {
    /// What is believed now of the present.
    pub const NOW: Self = Self { valid: None, system: AsOf::Now };

    /// What is believed now of `moment`.
    pub const fn valid(moment: Timestamp) -> Self {
        Self { valid: Some(moment), system: AsOf::Now }
    }

    /// The same moment of valid time, as it was believed then.
    pub const fn as_of(self, system: AsOf) -> Self {
        Self { system, ..self }
    }
}

/// A row at a point in both times.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fact<'s> {
    /// The row.
    pub row: RowKey,
    /// Its value there.
    pub value: Value<'s>,
    /// For when the value was asserted. Of other moments of this period something else may be believed: see
    /// [`Collection::believed`].
    pub valid: Period,
    /// When it was learned: the commit that asserted it.
    pub learned: Timestamp,
}

/// The store as it was after one commit, and a present.
///
/// The present is what the clock says, but not before that commit: what is valid from a commit on is valid in every
/// view that shows it.
#[derive(Debug)]
pub struct View {
    snapshot: Snapshot,
    now: Timestamp,
}

impl View {
    pub(crate) fn new(snapshot: Snapshot, clock: Timestamp) -> Self {
        let now = clock.max(snapshot.timestamp());
        Self { snapshot, now }
    }

    /// The present moment of valid time; the same for the whole life of the view.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The snapshot of the engine below, for other trees of the same state.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Names of the collections, in order, and what each remembers.
    ///
    /// # Errors
    /// [`Error::Engine`], [`Error::Corruption`].
    pub fn collections(&self) -> Result<Vec<(String, History)>> {
        let Some(meta) = self.snapshot.tree(META)? else { return Ok(Vec::new()) };
        let prefix = catalog::collection_key("");
        let infos = meta.prefix(&prefix)?.map(|row| {
            let (key, value) = row?;
            let name = String::from_utf8_lossy(&key[prefix.len()..]);
            Ok((name.to_string(), Info::decode(&name, value)?.history))
        });
        infos.collect()
    }

    /// The collection called `name`.
    ///
    /// # Errors
    /// [`Error::NoCollection`]; [`Error::Engine`], [`Error::Corruption`].
    pub fn collection(&self, name: &str) -> Result<Collection<'_>> {
        let none = || Error::NoCollection(name.into());
        let meta = self.meta()?.ok_or_else(none)?;
        let info = meta.get(catalog::collection_key(name))?.ok_or_else(none)?;
        Collection::open(self, meta, Info::decode(name, info)?)
    }

    /// The moment of system time that `system` names: the end of time for now, the beginning if it is before the first
    /// commit of facts.
    ///
    /// # Errors
    /// [`Error::Engine`], [`Error::Corruption`].
    pub fn resolve(&self, system: AsOf) -> Result<Timestamp> {
        match system {
            AsOf::Now => Ok(FOREVER),
            AsOf::Time(moment) => Ok(moment),
            AsOf::Transaction(txid) => {
                let commit = self.meta()?.map(|meta| catalog::commit_up_to(meta, txid)).transpose()?;
                Ok(commit.flatten().map_or(BEGINNING, |(_, timestamp)| timestamp))
            }
        }
    }

    /// The last transaction up to `moment` that wrote facts, and its commit.
    ///
    /// # Errors
    /// [`Error::Engine`], [`Error::Corruption`].
    pub fn transaction_at(&self, moment: Timestamp) -> Result<Option<(TxnId, Timestamp)>> {
        Ok(self.meta()?.map(|meta| catalog::commit_at(meta, moment)).transpose()?.flatten())
    }

    pub(crate) fn meta(&self) -> Result<Option<TreeRef<'_>>> {
        Ok(self.snapshot.tree(META)?)
    }
}

/// A collection in a view.
#[derive(Debug)]
pub struct Collection<'s> {
    pub(crate) view: &'s View,
    pub(crate) info: Info,
    pub(crate) now: TreeRef<'s>,
    /// From when on it can be asked.
    pub(crate) kept: Kept,
    history: Option<Trees<'s>>,
}

/// The trees of a collection that remembers.
#[derive(Debug)]
pub(crate) struct Trees<'s> {
    meta: TreeRef<'s>,
    pub past: TreeRef<'s>,
    pub closed: TreeRef<'s>,
    pub copy: TreeRef<'s>,
    last: Epoch,
    epochs: OnceLock<Vec<Epoch>>,
}

/// Where the present tree as it was at a moment is found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources<'s> {
    /// What was believed when the last of the epochs ended: the present tree, or a copy with the number of an epoch.
    pub survivors: TreeRef<'s>,
    pub copy: Option<u32>,
    /// Numbers of the first and the last of the epochs that closed the rest.
    pub epochs: (u32, u32),
}

impl<'s> Collection<'s> {
    fn open(view: &'s View, meta: TreeRef<'s>, info: Info) -> Result<Self> {
        let tree = |part| {
            let name = info.tree(part);
            let missing = || Error::Corruption { tree: name.clone(), what: "the tree is missing".into() };
            view.snapshot.tree(&name)?.ok_or_else(missing)
        };
        let now = tree(Part::Now)?;
        let history = match info.history {
            History::Plain => None,
            History::Bitemporal { .. } => Some(Trees {
                meta,
                past: tree(Part::Past)?,
                closed: tree(Part::Closed)?,
                copy: tree(Part::Copy)?,
                last: epochs(meta, info.id)
                    .next_back()
                    .ok_or_else(|| catalog::damaged(format!("collection {} has no epoch", info.id)))??,
                epochs: OnceLock::new(),
            }),
        };
        let kept = Kept::load(meta.get(kept_key(info.id))?)?;
        Ok(Self { view, info, now, kept, history })
    }

    /// Name of the collection.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// What it remembers.
    pub fn history_kind(&self) -> History {
        self.info.history
    }

    /// The row at a point in both times; `None` if nothing was, or is, believed there.
    ///
    /// Cost: a lookup in the present tree for what is believed now of the present; at most a seek for each of four trees
    /// else, and for rows with several records believed beside each other up to 64 seeks more.
    ///
    /// # Errors
    /// [`Error::NotTemporal`] for a plain collection and a point other than [`At::NOW`]; [`Error::NotKept`] if retention
    /// let go of what it was at that moment; [`Error::Engine`], [`Error::Corruption`].
    pub fn get(&self, row: impl Into<RowKey>, at: At) -> Result<Option<Fact<'s>>> {
        let row = row.into();
        let mut probe = Probe::new(&row);
        let Some(trees) = &self.history else {
            self.check_plain(at)?;
            let stored = self.now.get(probe.row())?;
            return stored.map(|stored| self.plain_fact(row, stored)).transpose();
        };
        let (valid, system) = self.resolve(at)?;
        let moment = valid.min(system);
        self.check_row_kept_at(probe.row(), moment)?;
        if valid < system
            && let Some(record) = trees.retroactive(&self.info, &mut probe, valid, system)?
        {
            return self.fact(row, record);
        }
        let sources = self.sources(trees, moment, moment)?;
        match sources.find(&self.info, trees, &mut probe, valid, moment)? {
            Some(record) => self.fact(row, record),
            None => Ok(None),
        }
    }

    /// The rows of a range at a point in both times, in order.
    ///
    /// Cost: what was believed then, and what the epoch of that moment closed, which is not more than it by far. Rows
    /// of which the past was corrected cost a seek each.
    ///
    /// # Errors
    /// As [`Collection::get`]; also from the iterator.
    pub fn scan(&self, rows: &Rows, at: At) -> Result<Scan<'_, 's>> {
        let Some(trees) = &self.history else {
            self.check_plain(at)?;
            return Ok(Scan::plain(self, rows));
        };
        let (valid, system) = self.resolve(at)?;
        let moment = valid.min(system);
        self.check_rows_kept(rows, moment)?;
        let sources = self.sources(trees, moment, moment)?;
        Ok(Scan::new(self, trees, &sources, rows, (valid, system)))
    }

    /// Records of the present and the future: about as many as rows, and more if rows have several periods ahead. Cost:
    /// none.
    pub fn record_count(&self) -> u64 {
        self.now.len()
    }

    /// Number of epochs that the collection has, see `docs/format/time.md`; 0 for a plain collection.
    ///
    /// # Errors
    /// [`Error::Engine`], [`Error::Corruption`].
    pub fn epoch_count(&self) -> Result<usize> {
        self.history.as_ref().map_or(Ok(0), |trees| Ok(trees.epochs(self.info.id)?.len()))
    }

    fn resolve(&self, at: At) -> Result<(Timestamp, Timestamp)> {
        Ok((at.valid.unwrap_or(self.view.now), self.view.resolve(at.system)?))
    }

    fn check_plain(&self, at: At) -> Result<()> {
        if at == At::NOW { Ok(()) } else { Err(Error::NotTemporal(self.info.name.clone())) }
    }

    /// The trees of a collection that remembers.
    pub(crate) fn trees(&self) -> Result<&Trees<'s>> {
        self.history.as_ref().ok_or_else(|| Error::NotTemporal(self.info.name.clone()))
    }

    fn fact(&self, row: RowKey, record: Record<'s>) -> Result<Option<Fact<'s>>> {
        let Some(stored) = record.stored else { return Ok(None) };
        let value = self.value(stored)?;
        Ok(Some(Fact { row, value, valid: record.valid, learned: record.system.from }))
    }

    /// A fact of a row as [`RowKey::split`] found it.
    pub(crate) fn fact_of(&self, row: &[u8], record: Record<'s>) -> Result<Option<Fact<'s>>> {
        let key = RowKey::from_split(row).ok_or_else(|| damaged_row(&self.info.tree(Part::Now), row))?;
        self.fact(key, record)
    }

    fn plain_fact(&self, row: RowKey, stored: &'s [u8]) -> Result<Fact<'s>> {
        Ok(Fact { row, value: self.value(stored)?, valid: Period::ALWAYS, learned: BEGINNING })
    }

    pub(crate) fn value<'v>(&self, stored: &'v [u8]) -> Result<Value<'v>> {
        let tree = || self.info.tree(Part::Now);
        Value::decode(stored).map_err(|error| Error::Corruption { tree: tree(), what: error.to_string() })
    }

    /// Where records of the present tree are found that were believed at a moment between `first` and `last`.
    pub(crate) fn sources(
        &self,
        trees: &Trees<'s>,
        first: Timestamp,
        last: Timestamp,
    ) -> Result<Sources<'s>> {
        let newest = trees.last.number;
        if trees.last.begin <= first {
            return Ok(Sources { survivors: self.now, copy: None, epochs: (newest, newest) });
        }
        let epochs = trees.epochs(self.info.id)?;
        let index_of = |moment| epochs.partition_point(|epoch| epoch.begin <= moment).saturating_sub(1);
        let from = epochs[index_of(first)].number;
        // The first copy that is complete and shows what `last` left behind.
        let next = epochs[index_of(last) + 1..].iter().find(|epoch| epoch.copy == CopyState::Complete);
        Ok(match next {
            Some(epoch) => Sources {
                survivors: trees.copy,
                copy: Some(epoch.number),
                epochs: (from, epoch.number.saturating_sub(1)),
            },
            None => Sources { survivors: self.now, copy: None, epochs: (from, newest) },
        })
    }
}

impl Trees<'_> {
    pub(crate) fn epochs(&self, id: u32) -> Result<&[Epoch]> {
        if self.epochs.get().is_none() {
            let all = epochs(self.meta, id).collect::<Result<Vec<_>>>()?;
            self.epochs.get_or_init(|| all);
        }
        Ok(self.epochs.get().map_or(&[], Vec::as_slice))
    }
}

fn epochs(meta: TreeRef<'_>, id: u32) -> impl DoubleEndedIterator<Item = Result<Epoch>> {
    let range = meta.range(catalog::epoch_key(id, BEGINNING)..=catalog::epoch_key(id, FOREVER));
    let (rows, error) = match range {
        Ok(rows) => (Some(rows), None),
        Err(error) => (None, Some(Err(error))),
    };
    rows.into_iter().flatten().chain(error).map(|row| {
        let (key, value) = row?;
        Epoch::decode(key, value)
    })
}
