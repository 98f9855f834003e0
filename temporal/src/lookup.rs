//! One record of one row, at a point in both times.

use llmdb_base::Timestamp;
use llmdb_engine::TreeRef;

use crate::{
    Error, Result, RowKey,
    catalog::{Info, Part},
    record::{
        CHAIN_END, MOMENT_LEN, OPEN_SUFFIX, ROW_END, Record, bounded_at, chain_after, crossing_at,
        crossing_of, crossings,
    },
    view::{Sources, Trees},
    write::{PAST_EPOCH, damaged_row},
};

/// The keys under which one row is looked up in the trees of a collection, made one after the other in the same memory:
/// the number of an epoch, where a tree is ordered by them, the row, and what stands behind it.
#[derive(Debug)]
pub(crate) struct Probe {
    bytes: Vec<u8>,
    row_end: usize,
}

const EPOCH_LEN: usize = 4;
/// The longest of what stands behind a row.
const SUFFIX_LEN_MAX: usize = 1 + 2 * MOMENT_LEN;

impl Probe {
    pub(crate) fn new(row: &RowKey) -> Self {
        let key = row.key.as_bytes();
        Self::of_parts(&row.partition.to_be_bytes(), key)
    }

    /// Of a row as bytes.
    pub(crate) fn of(row: &[u8]) -> Self {
        Self::of_parts(row, &[])
    }

    fn of_parts(first: &[u8], rest: &[u8]) -> Self {
        let row_end = EPOCH_LEN + first.len() + rest.len();
        let mut bytes = Vec::with_capacity(row_end + SUFFIX_LEN_MAX);
        bytes.extend_from_slice(&[0; EPOCH_LEN]);
        bytes.extend_from_slice(first);
        bytes.extend_from_slice(rest);
        Self { bytes, row_end }
    }

    /// The row as bytes.
    pub(crate) fn row(&self) -> &[u8] {
        &self.bytes[EPOCH_LEN..self.row_end]
    }

    /// A key, and how much of it is said by epoch and row.
    fn key(&mut self, epoch: Option<u32>, suffix: &[u8]) -> (&[u8], usize) {
        self.bytes.truncate(self.row_end);
        self.bytes.extend_from_slice(suffix);
        match epoch {
            None => (&self.bytes[EPOCH_LEN..], self.row_end - EPOCH_LEN),
            Some(epoch) => {
                self.bytes[..EPOCH_LEN].copy_from_slice(&epoch.to_be_bytes());
                (&self.bytes, self.row_end)
            }
        }
    }
}

/// A tree of believed records: its name if it is damaged, and the epoch that stands before its rows, if they are copies.
#[derive(Clone, Copy)]
struct Believed<'i, 's> {
    tree: TreeRef<'s>,
    info: &'i Info,
    part: Part,
    epoch: Option<u32>,
}

impl<'s> Believed<'_, 's> {
    /// The record that holds `valid`.
    fn at(&self, probe: &mut Probe, valid: Timestamp) -> Result<Option<Record<'s>>> {
        match self.open(probe)?.filter(|record| record.valid.contains(valid)) {
            Some(record) => Ok(Some(record)),
            None => self.bounded(probe, valid),
        }
    }

    /// The record whose valid period has no end.
    fn open(&self, probe: &mut Probe) -> Result<Option<Record<'s>>> {
        let Some(value) = self.tree.get(probe.key(self.epoch, OPEN_SUFFIX).0)? else { return Ok(None) };
        let record = Record::decode_believed(OPEN_SUFFIX, value);
        Ok(Some(record.ok_or_else(|| self.damaged(probe))?))
    }

    /// The record whose valid period has an end, and holds `valid`.
    fn bounded(&self, probe: &mut Probe, valid: Timestamp) -> Result<Option<Record<'s>>> {
        let from = probe.key(self.epoch, &bounded_at(valid));
        let Some((suffix, value)) = seek(self.tree, from)? else { return Ok(None) };
        let record = Record::decode_believed(suffix, value).ok_or_else(|| self.damaged(probe))?;
        Ok(record.valid.contains(valid).then_some(record))
    }

    fn damaged(&self, probe: &Probe) -> Error {
        damaged_row(&self.info.tree(self.part), probe.row())
    }
}

/// What stands behind a row in a key, and the value.
type Entry<'s> = (&'s [u8], &'s [u8]);

/// The first entry from a key on, if it belongs to the row with which the key begins.
fn seek<'s>(tree: TreeRef<'s>, (from, row_end): (&[u8], usize)) -> Result<Option<Entry<'s>>> {
    let entry = tree.first_from(from)?;
    Ok(entry.and_then(|(key, value)| Some((key.strip_prefix(&from[..row_end])?, value))))
}

impl<'s> Trees<'s> {
    /// What was asserted of `valid` when it had passed, as it was believed at `system`.
    pub(crate) fn retroactive(
        &self,
        info: &Info,
        probe: &mut Probe,
        valid: Timestamp,
        system: Timestamp,
    ) -> Result<Option<Record<'s>>> {
        if self.past.is_empty() {
            return Ok(None);
        }
        let past = Believed { tree: self.past, info, part: Part::Past, epoch: None };
        match past.at(probe, valid)? {
            Some(record) if record.system.from > system => {
                self.closed(info, PAST_EPOCH, probe, valid, system)
            }
            found => Ok(found),
        }
    }

    /// The record of a row that `epoch` closed and that holds the point.
    pub(crate) fn closed(
        &self,
        info: &Info,
        epoch: u32,
        probe: &mut Probe,
        valid: Timestamp,
        system: Timestamp,
    ) -> Result<Option<Record<'s>>> {
        // Of the chain, the first that ended later is the only one that may have been believed then.
        let next = seek(self.closed, probe.key(Some(epoch), &chain_after(system)))?;
        match next {
            None => Ok(None),
            Some((suffix, _)) if crossing_of(suffix).is_some() => {
                self.crossing(info, epoch, probe, (valid, system), next)
            }
            Some(entry) => {
                let record = self.decode_closed(info, probe, entry)?;
                if record.contains(valid, system) {
                    return Ok(Some(record));
                }
                let next = seek(self.closed, probe.key(Some(epoch), CHAIN_END))?;
                self.crossing(info, epoch, probe, (valid, system), next)
            }
        }
    }

    /// The record of a row that `epoch` closed, that is filed by a moment that it crosses, and that holds the point.
    /// `next` is the first of those filed so, or later.
    fn crossing(
        &self,
        info: &Info,
        epoch: u32,
        probe: &mut Probe,
        (valid, system): (Timestamp, Timestamp),
        mut next: Option<Entry<'s>>,
    ) -> Result<Option<Record<'s>>> {
        if next.is_none() {
            return Ok(None);
        }
        // The first crossing that has a record is known now; those before it need no look.
        for crossing in crossings(system) {
            match next {
                None => return Ok(None),
                Some((suffix, _)) if crossing_of(suffix).is_some_and(|first| crossing < first) => continue,
                Some(_) => {}
            }
            next = seek(self.closed, probe.key(Some(epoch), &crossing_at(crossing, valid)))?;
            if let Some(entry) = next {
                let record = self.decode_closed(info, probe, entry)?;
                if record.contains(valid, system) {
                    return Ok(Some(record));
                }
            }
        }
        Ok(None)
    }

    fn decode_closed(&self, info: &Info, probe: &Probe, (suffix, value): Entry<'s>) -> Result<Record<'s>> {
        let record = Record::decode_closed(suffix, value);
        record.ok_or_else(|| damaged_row(&info.tree(Part::Closed), probe.row()))
    }

    /// Every record of a row that `epoch` closed after `first` and that began up to `last`.
    pub(crate) fn closed_between(
        &self,
        info: &Info,
        epoch: u32,
        row: &[u8],
        (first, last): (Timestamp, Timestamp),
    ) -> Result<Vec<Record<'s>>> {
        let place = [&epoch.to_be_bytes()[..], row].concat();
        let mut found = Vec::new();
        let chain = [&place[..], &chain_after(first)].concat();
        let chain_end = [&place[..], CHAIN_END].concat();
        let end = [&place[..], ROW_END].concat();
        for (from, to, is_chain) in [(&chain, &chain_end, true), (&chain_end, &end, false)] {
            for entry in self.closed.range(from.as_slice()..to.as_slice())? {
                let (key, value) = entry?;
                let record = Record::decode_closed(&key[place.len()..], value);
                let record = record.ok_or_else(|| damaged_row(&info.tree(Part::Closed), key))?;
                if is_chain && record.system.from > last {
                    break;
                }
                if record.system.from <= last && record.system.to > first {
                    found.push(record);
                }
            }
        }
        Ok(found)
    }
}

/// Every believed record of a row that began up to `last`.
pub(crate) fn believed_all<'s>(
    tree: TreeRef<'s>,
    name: impl Fn() -> String,
    place: &[u8],
    last: Timestamp,
) -> Result<Vec<Record<'s>>> {
    let mut found = Vec::new();
    for entry in tree.range(place.to_vec()..[place, ROW_END].concat())? {
        let (key, value) = entry?;
        let record = Record::decode_believed(&key[place.len()..], value);
        let record = record.ok_or_else(|| damaged_row(&name(), key))?;
        if record.system.from <= last {
            found.push(record);
        }
    }
    Ok(found)
}

impl<'s> Sources<'s> {
    /// The record of the present tree that holds `valid` and was believed at `moment`.
    pub(crate) fn find(
        &self,
        info: &Info,
        trees: &Trees<'s>,
        probe: &mut Probe,
        valid: Timestamp,
        moment: Timestamp,
    ) -> Result<Option<Record<'s>>> {
        // At most one record holds the point, so any order finds it. Who asks about an epoch that has ended mostly asks about
        // rows that changed in it.
        if self.copy.is_some()
            && let Some(record) = self.closed(info, trees, probe, valid, moment)?
        {
            return Ok(Some(record));
        }
        let survivors = self.believed(info);
        let holds = |record: &Record<'_>| record.contains(valid, moment);
        let open = survivors.open(probe)?;
        if open.filter(holds).is_some() {
            return Ok(open);
        }
        if self.copy.is_some() {
            return Ok(survivors.bounded(probe, valid)?.filter(holds));
        }
        // Behind an open record that began later there are mostly closed ones.
        if open.is_some()
            && let Some(record) = self.closed(info, trees, probe, valid, moment)?
        {
            return Ok(Some(record));
        }
        match survivors.bounded(probe, valid)?.filter(holds) {
            None if open.is_none() => self.closed(info, trees, probe, valid, moment),
            found => Ok(found),
        }
    }

    /// The record that survived the last of the epochs and that holds the point.
    pub(crate) fn surviving(
        &self,
        info: &Info,
        probe: &mut Probe,
        valid: Timestamp,
        system: Timestamp,
    ) -> Result<Option<Record<'s>>> {
        Ok(self.believed(info).at(probe, valid)?.filter(|record| record.system.from <= system))
    }

    fn closed(
        &self,
        info: &Info,
        trees: &Trees<'s>,
        probe: &mut Probe,
        valid: Timestamp,
        moment: Timestamp,
    ) -> Result<Option<Record<'s>>> {
        for epoch in self.epochs.0..=self.epochs.1 {
            let record = trees.closed(info, epoch, probe, valid, moment)?;
            if record.is_some() {
                return Ok(record);
            }
        }
        Ok(None)
    }

    fn believed<'i>(&self, info: &'i Info) -> Believed<'i, 's> {
        Believed { tree: self.survivors, info, part: self.part(), epoch: self.copy }
    }

    /// What the tree of the survivors is.
    pub(crate) fn part(&self) -> Part {
        if self.copy.is_none() { Part::Now } else { Part::Copy }
    }

    /// What the rows of the survivors begin with in their tree.
    pub(crate) fn prefix(&self) -> Vec<u8> {
        self.copy.map(|epoch| epoch.to_be_bytes().to_vec()).unwrap_or_default()
    }
}
