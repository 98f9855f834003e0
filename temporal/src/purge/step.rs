//! A step of a purge: a part of bounded size is removed.

use llmdb_base::{
    Timestamp, TxnId,
    plant::{Bug, planted},
};
use llmdb_engine::WriteTxn;

use super::job::{Job, Keep, Phase};
use crate::{
    BEGINNING, Collection, FOREVER, Result,
    catalog::{self, CopyState, Epoch, META, Part},
    erase::prefixes,
    known::{Place, next_row},
    record::{ROW_END, Record},
    retention::{Kept, is_past, row_kept_key},
    write::{PAST_EPOCH, damaged_row},
};

/// Rows looked at in one step.
const STEP_ROWS: usize = 512;
/// Records removed, or notes looked at, after which a step ends.
const STEP_RECORDS: u64 = 4_096;

/// A step under way.
pub(super) struct Step<'a, 'e, 's> {
    pub txn: &'a mut WriteTxn<'e>,
    pub facts: &'a Collection<'s>,
    pub kept: Kept,
    /// Records removed that were closed in epochs before the newest one.
    pub closed_before: u64,
}

impl Step<'_, '_, '_> {
    pub fn take(&mut self, job: &mut Job) -> Result<()> {
        if let Keep::Since(horizon) = job.keep {
            // Before anything goes, and in the same transaction.
            self.kept.since = self.kept.since.max(horizon);
        }
        match job.phase {
            Phase::Epochs => self.drop_epoch(job),
            Phase::Rows => self.sweep(job),
            Phase::Notes => self.forget_notes(job),
            Phase::Done => Ok(()),
        }
    }

    /// Drops the oldest epoch, if it ended before the horizon.
    fn drop_epoch(&mut self, job: &mut Job) -> Result<()> {
        let Keep::Since(horizon) = job.keep else {
            job.phase = Phase::Rows;
            return Ok(());
        };
        let trees = self.facts.trees()?;
        let info = &self.facts.info;
        let (oldest, next) = match trees.epochs(info.id)? {
            [oldest, next, ..] if next.begin <= horizon => (oldest.clone(), next.clone()),
            _ => {
                job.phase = Phase::Rows;
                return Ok(());
            }
        };
        let closed = self.txn.tree(&info.tree(Part::Closed))?.delete_prefix(oldest.number.to_be_bytes())?;
        self.closed_before += closed;
        let mut copies = 0;
        // The copy at the beginning of the next one shows what this one left behind: nobody asks for that either.
        for number in [oldest.number, next.number] {
            copies += self.txn.tree(&info.tree(Part::Copy))?.delete_prefix(number.to_be_bytes())?;
        }
        let mut meta = self.txn.tree(META)?;
        meta.delete(catalog::epoch_key(info.id, oldest.begin))?;
        if next.copy != CopyState::Complete {
            let copied = Epoch { copy: CopyState::Complete, ..next };
            meta.put(catalog::epoch_key(info.id, copied.begin), copied.encode())?;
        }
        job.progress.epochs += 1;
        job.progress.removed += closed + copies;
        Ok(())
    }

    /// Goes on through the rows.
    fn sweep(&mut self, job: &mut Job) -> Result<()> {
        let behind = if job.cursor.is_empty() { Vec::new() } else { [&job.cursor[..], ROW_END].concat() };
        let parts: &[Part] = match job.keep {
            Keep::Since(_) => &[Part::Now, Part::Past, Part::Closed],
            Keep::Versions(_) => &[Part::Closed],
        };
        let mut places = self.facts.places(parts, &behind)?;
        if let Keep::Since(_) = job.keep {
            // What later epochs closed ended behind the horizon, all of it.
            let first = self.facts.trees()?.epochs(self.facts.info.id)?.first().map(|epoch| epoch.number);
            let closed_in =
                |place: &Place<'_>| place.prefix.first_chunk().map(|raw| u32::from_be_bytes(*raw));
            places.retain(|place| {
                place.part != Part::Closed || [Some(PAST_EPOCH), first].contains(&closed_in(place))
            });
        }
        let removed_before = job.progress.removed;
        for _ in 0..STEP_ROWS {
            let Some(row) = next_row(self.facts, &mut places, None)? else {
                job.cursor.clear();
                job.phase = match job.keep {
                    Keep::Since(_) => Phase::Notes,
                    Keep::Versions(_) => Phase::Done,
                };
                return Ok(());
            };
            job.cursor = row.to_vec();
            job.progress.rows += 1;
            match job.keep {
                Keep::Since(horizon) => job.progress.removed += self.purge_row(row, horizon, parts)?,
                Keep::Versions(count) => {
                    if let Some(horizon) = self.horizon_of(row, count)? {
                        job.progress.removed += self.purge_row(row, horizon, self.facts.info.parts())?;
                        let key = row_kept_key(self.facts.info.id, row);
                        self.txn.tree(META)?.put(key, horizon.get().to_le_bytes())?;
                        self.kept.rows_since = self.kept.rows_since.max(horizon);
                    }
                }
            }
            if job.progress.removed - removed_before >= STEP_RECORDS {
                break;
            }
        }
        Ok(())
    }

    /// The latest moment such that at least `count` states of the row were believed later: one now, the others closed
    /// records. `None` if nothing ended by then.
    fn horizon_of(&self, row: &[u8], count: u32) -> Result<Option<Timestamp>> {
        let trees = self.facts.trees()?;
        let mut ends = Vec::new();
        for epoch in trees.epochs(self.facts.info.id)? {
            let all = (BEGINNING, FOREVER);
            let records = trees.closed_between(&self.facts.info, epoch.number, row, all)?;
            ends.extend(records.iter().map(|record| record.system.to));
        }
        ends.sort_unstable_by(|one, other| other.cmp(one));
        let kept = usize::try_from(count.saturating_sub(1)).unwrap_or(usize::MAX);
        Ok(match kept.checked_sub(1) {
            None => ends.first().copied(),
            Some(last) => ends.get(last).and_then(|last| ends.iter().find(|end| *end < last).copied()),
        })
    }

    /// Removes the records of a row that nobody may ask for at `horizon` or later.
    fn purge_row(&mut self, row: &[u8], horizon: Timestamp, parts: &[Part]) -> Result<u64> {
        let trees = self.facts.trees()?;
        let info = &self.facts.info;
        let epochs = trees.epochs(info.id)?;
        let newest = epochs.last().map_or(PAST_EPOCH, |epoch| epoch.number);
        let mut removed = 0;
        for part in parts {
            let name = info.tree(*part);
            let (tree, is_closed) = match part {
                Part::Now => (self.facts.now, false),
                Part::Past => (trees.past, false),
                Part::Closed => (trees.closed, true),
                Part::Copy => (trees.copy, false),
            };
            for prefix in prefixes(*part, epochs.iter().map(|epoch| epoch.number).collect()) {
                let number = prefix.first_chunk().map(|raw| u32::from_be_bytes(*raw));
                // Copies show what was believed before their epoch began.
                let of_epoch = epochs.iter().find(|epoch| Some(epoch.number) == number);
                let is_old_copy = *part == Part::Copy && of_epoch.is_some_and(|epoch| epoch.begin <= horizon);
                let place = [&prefix[..], row].concat();
                let mut gone = Vec::new();
                for entry in tree.range(place.clone()..[&place[..], ROW_END].concat())? {
                    let (key, value) = entry?;
                    let suffix = &key[place.len()..];
                    let record = match is_closed {
                        true => Record::decode_closed(suffix, value),
                        false => Record::decode_believed(suffix, value),
                    };
                    let record = record.ok_or_else(|| damaged_row(&name, key))?;
                    let is_young = is_closed && planted(Bug::PurgeYoungRecord);
                    if is_old_copy || is_past(&record, horizon) || is_young {
                        gone.push(key);
                    }
                }
                removed += gone.len() as u64;
                if is_closed && number.is_some_and(|number| number < newest) {
                    self.closed_before += gone.len() as u64;
                }
                let mut tree = self.txn.tree(&name)?;
                for key in gone {
                    tree.delete(key)?;
                }
            }
        }
        Ok(removed)
    }

    /// Removes notes of changes up to the horizon.
    fn forget_notes(&mut self, job: &mut Job) -> Result<()> {
        let Keep::Since(horizon) = job.keep else {
            job.phase = Phase::Done;
            return Ok(());
        };
        let last = match self.facts.view.transaction_at(horizon)? {
            Some((txid, _)) => txid,
            None => TxnId::new(0),
        };
        let ours = self.facts.info.id;
        let mut from = match job.cursor.is_empty() {
            true => catalog::change_key(TxnId::new(0), ours, &[]),
            false => job.cursor.clone(),
        };
        let to = catalog::change_key(last.next(), 0, &[]);
        let (mut looked_at, mut gone) = (0, Vec::new());
        job.phase = Phase::Done;
        let meta = self.facts.view.meta()?;
        while let Some(meta) = meta.filter(|_| from < to) {
            let Some(entry) = meta.range(from.clone()..to.clone())?.next() else { break };
            let (txid, id, _) = catalog::decode_change(entry?.0)?;
            looked_at += 1;
            // Those of other collections, and of this one in the same transaction, are passed by with one seek.
            from = match id {
                id if id < ours => catalog::change_key(txid, ours, &[]),
                id if id > ours => catalog::change_key(txid.next(), ours, &[]),
                _ => {
                    let behind = catalog::change_key(txid, ours.saturating_add(1), &[]);
                    for entry in meta.range(from.clone()..behind)? {
                        gone.push(entry?.0);
                        looked_at += 1;
                        if looked_at > 2 * STEP_RECORDS {
                            break;
                        }
                    }
                    catalog::change_key(txid.next(), ours, &[])
                }
            };
            if looked_at > STEP_RECORDS {
                // What is left of this transaction comes first; the place is told without a row.
                job.cursor =
                    if looked_at > 2 * STEP_RECORDS { catalog::change_key(txid, ours, &[]) } else { from };
                job.phase = Phase::Notes;
                break;
            }
        }
        job.progress.removed += gone.len() as u64;
        let mut meta = self.txn.tree(META)?;
        for key in gone {
            meta.delete(key)?;
        }
        Ok(())
    }
}
