//! One record of one row, at a point in both times.

use llmdb_base::Timestamp;
use llmdb_engine::TreeRef;

use crate::{
    Result,
    catalog::{Info, Part},
    record::{
        CHAIN_END, MOMENT_LEN, OPEN_SUFFIX, ROW_END, Record, bounded_at, chain_after, crossing_at,
        crossing_of, crossings,
    },
    view::{Sources, Trees},
    write::{PAST_EPOCH, damaged_row},
};

/// The believed record of a row that holds `valid`, in a tree of believed records whose rows begin with `prefix`.
pub(crate) fn believed<'s>(
    tree: TreeRef<'s>,
    name: impl Fn() -> String,
    place: &[u8],
    valid: Timestamp,
) -> Result<Option<Record<'s>>> {
    match open(tree, &name, place)?.filter(|record| record.valid.contains(valid)) {
        Some(record) => Ok(Some(record)),
        None => bounded(tree, &name, place, valid),
    }
}

/// The record of a row whose valid period has no end.
fn open<'s>(tree: TreeRef<'s>, name: impl Fn() -> String, place: &[u8]) -> Result<Option<Record<'s>>> {
    let Some(value) = tree.get([place, OPEN_SUFFIX].concat())? else { return Ok(None) };
    let record = Record::decode_believed(OPEN_SUFFIX, value);
    Ok(Some(record.ok_or_else(|| damaged_row(&name(), place))?))
}

/// The record of a row whose valid period has an end, and holds `valid`.
fn bounded<'s>(
    tree: TreeRef<'s>,
    name: impl Fn() -> String,
    place: &[u8],
    valid: Timestamp,
) -> Result<Option<Record<'s>>> {
    let from = [place, &bounded_at(valid)].concat();
    let Some((suffix, value)) = seek(tree, &from, place)? else { return Ok(None) };
    let record = Record::decode_believed(suffix, value).ok_or_else(|| damaged_row(&name(), place))?;
    Ok(record.valid.contains(valid).then_some(record))
}

/// What stands behind a key, and the value.
type Entry<'s> = (&'s [u8], &'s [u8]);

/// The first entry from `from` on, if it belongs to the row at `place`.
fn seek<'s>(tree: TreeRef<'s>, from: &[u8], place: &[u8]) -> Result<Option<Entry<'s>>> {
    let entry = tree.cursor().seek(from)?;
    Ok(entry.and_then(|(key, value)| Some((key.strip_prefix(place)?, value))))
}

impl<'s> Trees<'s> {
    /// What was asserted of `valid` when it had passed, as it was believed at `system`.
    pub(crate) fn retroactive(
        &self,
        info: &Info,
        row: &[u8],
        valid: Timestamp,
        system: Timestamp,
    ) -> Result<Option<Record<'s>>> {
        if self.past.is_empty() {
            return Ok(None);
        }
        match believed(self.past, || info.tree(Part::Past), row, valid)? {
            Some(record) if record.system.from > system => self.closed(info, PAST_EPOCH, row, valid, system),
            found => Ok(found),
        }
    }

    /// The record of a row that `epoch` closed and that holds the point.
    pub(crate) fn closed(
        &self,
        info: &Info,
        epoch: u32,
        row: &[u8],
        valid: Timestamp,
        system: Timestamp,
    ) -> Result<Option<Record<'s>>> {
        let mut from = Vec::with_capacity(4 + row.len() + 1 + 2 * MOMENT_LEN);
        from.extend_from_slice(&epoch.to_be_bytes());
        from.extend_from_slice(row);
        let place_len = from.len();
        let decode = |suffix: &[u8], value| {
            let record = Record::decode_closed(suffix, value);
            record.ok_or_else(|| damaged_row(&info.tree(Part::Closed), row))
        };
        let mut seek_at = |suffix: &[u8]| {
            from.truncate(place_len);
            from.extend_from_slice(suffix);
            seek(self.closed, &from, &from[..place_len])
        };
        // Of the chain, the first that ended later is the only one that may have been believed then.
        let mut next = seek_at(&chain_after(system))?;
        if let Some((suffix, value)) = next.filter(|(suffix, _)| crossing_of(suffix).is_none()) {
            let record = decode(suffix, value)?;
            if record.contains(valid, system) {
                return Ok(Some(record));
            }
            next = seek_at(CHAIN_END)?;
        }
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
            next = seek_at(&crossing_at(crossing, valid))?;
            if let Some((suffix, value)) = next {
                let record = decode(suffix, value)?;
                if record.contains(valid, system) {
                    return Ok(Some(record));
                }
            }
        }
        Ok(None)
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
        row: &[u8],
        valid: Timestamp,
        moment: Timestamp,
    ) -> Result<Option<Record<'s>>> {
        let place = [&self.prefix[..], row].concat();
        let name = || self.name(info);
        let holds = |record: &Record<'_>| record.contains(valid, moment);
        let bounded = || Ok(bounded(self.survivors, name, &place, valid)?.filter(holds));
        let closed = || {
            for epoch in self.epochs.clone() {
                let record = trees.closed(info, epoch, row, valid, moment)?;
                if record.is_some() {
                    return Ok(record);
                }
            }
            Ok(None)
        };
        // At most one record holds the point, so any order finds it. Who asks about an epoch that has ended mostly asks about
        // rows that changed in it.
        let is_past = !self.prefix.is_empty();
        if is_past && let Some(record) = closed()? {
            return Ok(Some(record));
        }
        let open = open(self.survivors, name, &place)?;
        if open.filter(holds).is_some() {
            return Ok(open);
        }
        if is_past {
            return bounded();
        }
        // Behind an open record that began later there are mostly closed ones.
        match open {
            Some(_) => closed()?.map_or_else(bounded, |record| Ok(Some(record))),
            None => bounded()?.map_or_else(closed, |record| Ok(Some(record))),
        }
    }

    /// Name of the tree of the survivors.
    pub(crate) fn name(&self, info: &Info) -> String {
        info.tree(if self.prefix.is_empty() { Part::Now } else { Part::Copy })
    }
}
