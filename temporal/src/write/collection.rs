//! What an assertion does to what was believed before.

use llmdb_base::Timestamp;
use llmdb_engine::Place;

use super::{KEY_LEN_MAX, PAST_EPOCH, Touched, Valid, WriteTxn, damaged_row};
use crate::{
    Assertion, BEGINNING, Error, History, Inside, Period, Result, RowKey, Value,
    catalog::{self, META, Part},
    record::{CHAIN_END, OPEN_SUFFIX, Record, bounded_at, chain_after},
};

/// A collection in a transaction that writes.
#[derive(Debug)]
pub struct CollectionMut<'w, 'e> {
    write: &'w mut WriteTxn<'e>,
    at: usize,
}

impl<'w, 'e> CollectionMut<'w, 'e> {
    pub(super) const fn new(write: &'w mut WriteTxn<'e>, at: usize) -> Self {
        Self { write, at }
    }
}

impl CollectionMut<'_, '_> {
    /// Asserts that `row` is `value` for the time that `valid` says. What was believed of that time before is no longer
    /// believed from this commit on; it stays, and can be asked for.
    ///
    /// Cost: a put, and one more for each older record that it takes the place of.
    ///
    /// # Errors
    /// [`Error::Value`], [`Error::KeyTooLong`], [`Error::EmptyPeriod`]; [`Error::NotTemporal`] for a plain collection and
    /// a `valid` that is not [`Valid::Now`]: nothing was written. [`Error::Engine`], [`Error::Corruption`]: abort.
    pub fn put(&mut self, row: impl Into<RowKey>, valid: impl Into<Valid>, value: Value<'_>) -> Result<()> {
        value.check()?;
        let key = row.into();
        self.assert(&encode_row(&key)?, valid.into(), Some(&value.encode()))?;
        self.tell(&key, &value)
    }

    /// Tells the follower of the collection, if it has one.
    fn tell(&mut self, row: &RowKey, value: &Value<'_>) -> Result<()> {
        let name = &self.touched().info.name;
        let Some(follower) = self.write.follower.filter(|follower| follower.follows(name)) else {
            return Ok(());
        };
        let name = name.clone();
        follower.put(self.write, &name, row, value)
    }

    /// Asserts that there is no such row for the time that `valid` says.
    ///
    /// # Errors
    /// As [`CollectionMut::put`].
    pub fn delete(&mut self, row: impl Into<RowKey>, valid: impl Into<Valid>) -> Result<()> {
        let row = encode_row(&row.into())?;
        self.assert(&row, valid.into(), None)
    }

    /// What is believed of the present of a row, with what this transaction asserted: the stored form, see
    /// [`Value::decode`].
    ///
    /// # Errors
    /// [`Error::Engine`], [`Error::Corruption`].
    pub fn get(&mut self, row: impl Into<RowKey>) -> Result<Option<Vec<u8>>> {
        let row = row.into().encode();
        if self.touched().info.history == History::Plain {
            let name = self.touched().info.tree(Part::Now);
            return Ok(self.write.txn.tree(&name)?.get(&row)?.map(<[u8]>::to_vec));
        }
        let now = self.write.timestamp;
        let present = Period::new(now, Timestamp::new(now.get().saturating_add(1)));
        let Some((suffix, bytes)) = self.overlapping(Part::Now, &row, present)?.pop() else {
            return Ok(None);
        };
        Ok(self.decode(Part::Now, &suffix, &bytes)?.stored.map(<[u8]>::to_vec))
    }

    /// Asks the guard, if the collection has one.
    fn admit(&mut self, row: &[u8], valid: Period, stored: Option<&[u8]>) -> Result<()> {
        if !self.touched().info.is_guarded {
            return Ok(());
        }
        let info = &self.touched().info;
        let (name, tree) = (info.name.clone(), info.tree(Part::Now));
        let guard = self.write.guard.ok_or_else(|| Error::Unguarded(name.clone()))?;
        let key = RowKey::decode(row).ok_or_else(|| damaged_row(&tree, row))?;
        let value = stored.map(Value::decode).transpose()?;
        let assertion = Assertion { collection: &name, row: &key, valid, value };
        guard.check(&mut Inside { write: &mut *self.write }, &assertion)
    }

    fn assert(&mut self, row: &[u8], valid: Valid, stored: Option<&[u8]>) -> Result<()> {
        let now = self.write.timestamp;
        if self.touched().info.history == History::Plain {
            return self.set(row, valid, stored);
        }
        let period = match valid {
            Valid::Now => Period::since(now),
            Valid::Since(from) => Period::since(from),
            Valid::During(period) => period,
        };
        self.replace(row, period, stored)
    }

    /// Replaces what is believed of `period` from now on.
    pub(crate) fn replace(&mut self, row: &[u8], period: Period, stored: Option<&[u8]>) -> Result<()> {
        if period.is_empty() {
            return Err(Error::EmptyPeriod(period));
        }
        self.admit(row, period, stored)?;
        let now = self.write.timestamp;
        self.touch();
        let (txid, id) = (self.write.txid(), self.touched().info.id);
        self.write.txn.tree(META)?.put(catalog::change_key(txid, id, row), b"")?;
        for (part, time) in [(Part::Past, Period::new(BEGINNING, now)), (Part::Now, Period::since(now))] {
            let period = period.common(time);
            if !period.is_empty() {
                self.replace_in(part, row, period, stored)?;
            }
        }
        Ok(())
    }

    fn set(&mut self, row: &[u8], valid: Valid, stored: Option<&[u8]>) -> Result<()> {
        if valid != Valid::Now {
            return Err(Error::NotTemporal(self.touched().info.name.clone()));
        }
        self.admit(row, Period::ALWAYS, stored)?;
        self.touch();
        let name = self.touched().info.tree(Part::Now);
        let mut tree = self.write.txn.tree(&name)?;
        match stored {
            Some(stored) => tree.put(row, stored)?,
            None => tree.delete(row)?,
        };
        Ok(())
    }

    fn replace_in(&mut self, part: Part, row: &[u8], period: Period, stored: Option<&[u8]>) -> Result<()> {
        let now = self.write.timestamp;
        let mut gone = Vec::new();
        let mut rows: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut keep = |record: Record<'_>| rows.push((record.believed_suffix(), record.believed_value()));
        for (suffix, bytes) in self.overlapping(part, row, period)? {
            let old = self.decode(part, &suffix, &bytes)?;
            let cut = cut(part, old.valid, period, now);
            for rest in [Period::new(old.valid.from, cut.from), Period::new(cut.to, old.valid.to)] {
                if !rest.is_empty() {
                    keep(Record { valid: rest, ..old });
                }
            }
            // What this very transaction asserted was never believed by anybody.
            if old.system.from < now {
                let system = Period::new(old.system.from, now);
                let closed = Record { valid: cut, system, ..old };
                self.close(part, row, (&suffix, &bytes), &closed)?;
            }
            gone.push(suffix);
        }
        // Nothing has to say that the present and the future hold nothing; of the past, what was believed when it was
        // the present would come through.
        if part == Part::Past || stored.is_some() {
            keep(Record { valid: period, system: Period::since(now), stored });
        }
        gone.retain(|suffix| rows.iter().all(|(kept, _)| kept != suffix));
        let mut tree = self.write.txn.tree(&self.write.touched[self.at].info.tree(part))?;
        for suffix in gone {
            tree.delete([row, &suffix].concat())?;
        }
        for (suffix, value) in rows {
            tree.put([row, &suffix].concat(), value)?;
        }
        Ok(())
    }

    /// The believed records of a row that say something of `period`, as suffixes and values.
    fn overlapping(&mut self, part: Part, row: &[u8], period: Period) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let name = self.touched().info.tree(part);
        let tree = self.write.txn.tree(&name)?;
        let mut cursor = tree.cursor();
        let mut found = Vec::new();
        let open = [row, OPEN_SUFFIX].concat();
        let mut entry = cursor.seek(&open)?;
        if let Some((_, value)) = entry.filter(|(key, _)| *key == open) {
            found.push((OPEN_SUFFIX.to_vec(), value.to_vec()));
            entry = cursor.next()?;
        }
        if period.to < crate::FOREVER {
            // The last moment of the period, and from there backwards. Without an end it is what comes next.
            let last = Timestamp::new(period.to.get() - 1);
            entry = cursor.seek([row, &bounded_at(last)].concat())?;
        }
        while let Some((key, value)) = entry {
            let Some(suffix) = key.strip_prefix(row) else { break };
            let record = Record::decode_believed(suffix, value).ok_or_else(|| damaged_row(&name, key))?;
            if record.valid.to <= period.from {
                break;
            }
            found.push((suffix.to_vec(), value.to_vec()));
            entry = cursor.next()?;
        }
        let overlaps = |(suffix, value): &(Vec<u8>, Vec<u8>)| {
            Record::decode_believed(suffix, value).is_none_or(|record| record.valid.overlaps(period))
        };
        found.retain(overlaps);
        Ok(found)
    }

    fn decode<'a>(&self, part: Part, suffix: &[u8], value: &'a [u8]) -> Result<Record<'a>> {
        Record::decode_believed(suffix, value)
            .ok_or_else(|| damaged_row(&self.touched().info.tree(part), suffix))
    }

    /// Files a record that is no longer believed: in the chain of its row if it began after the last one of the chain
    /// ended, else by a moment that it crosses. Its value is copied from where it stands: suffix and value of the
    /// believed record.
    fn close(
        &mut self,
        part: Part,
        row: &[u8],
        (suffix, bytes): (&[u8], &[u8]),
        record: &Record<'_>,
    ) -> Result<()> {
        let touched = &self.write.touched[self.at];
        let epoch = if part == Part::Past { PAST_EPOCH } else { touched.epoch };
        let place = [&epoch.to_be_bytes()[..], row].concat();
        let (from, to) = (touched.info.tree(part), touched.info.tree(Part::Closed));
        let tree = self.write.txn.tree(&to)?;
        // A chained record that ended after this one began?
        let chain = [&place[..], &chain_after(record.system.from)].concat()..[&place[..], CHAIN_END].concat();
        let is_chained = tree.range(chain)?.next().transpose()?.is_none();
        let key = [&place[..], &record.closed_suffix(is_chained)].concat();
        let value = record.closed_value(is_chained);
        let (cut, tail) = record.retail(bytes, &value);
        let source = [row, suffix].concat();
        let (source, target) = (Place { tree: &from, key: &source }, Place { tree: &to, key: &key });
        match self.write.txn.copy(source, target, cut, tail)? {
            true => Ok(()),
            false => Err(damaged_row(&from, source.key)),
        }
    }

    fn touched(&self) -> &Touched {
        &self.write.touched[self.at]
    }

    fn touch(&mut self) {
        self.write.touched[self.at].puts += 1;
    }
}

/// The part of an old record that an assertion for `period` puts an end to.
///
/// Of the present tree, an assertion from the present moment on closes the old record with the time that has passed
/// already: what was believed of a moment when it was the present goes on being believed, so nothing has to say it again.
fn cut(part: Part, old: Period, period: Period, now: Timestamp) -> Period {
    match part {
        Part::Now if period.from == now => Period::new(old.from, old.to.min(period.to)),
        _ => old.common(period),
    }
}

fn encode_row(row: &RowKey) -> Result<Vec<u8>> {
    let bytes = row.encode();
    match bytes.len() > KEY_LEN_MAX {
        true => Err(Error::KeyTooLong { len: bytes.len() }),
        false => Ok(bytes),
    }
}
