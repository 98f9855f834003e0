//! Purging: removing history that nobody may ask for any more, in steps.
//!
//! ```text
//!   begin    the horizon is set: from this commit on nobody may ask for what is older
//!   epochs   those that ended before it go, one each step, by two deletes of ranges
//!   rows     in order: records that ended before it
//!   notes    of changes before it
//! ```
//!
//! Each step is a transaction of its own, and says in `_time` how far it came: after a crash, or when it was stopped,
//! the next one goes on.

use llmdb_base::{Timestamp, TxnId, codec};
use llmdb_engine::WriteTxn;

use crate::{
    BEGINNING, Collection, FOREVER, Result, Retention, Store, View,
    catalog::{self, CopyState, Epoch, META, Part, damaged},
    epochs,
    known::{Place, next_row},
    record::{ROW_END, Record},
    retention::{Kept, is_past, row_kept_key},
    write::{PAST_EPOCH, damaged_row},
};

/// Rows looked at in one step.
const STEP_ROWS: usize = 512;
/// Records removed, or notes looked at, after which a step ends.
const STEP_RECORDS: u64 = 4_096;
const JOB: u8 = b'p';

/// How far a purge has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct PurgeProgress {
    /// Steps done, each a transaction.
    pub steps: u64,
    /// Epochs dropped as a whole.
    pub epochs: u64,
    /// Rows looked at.
    pub rows: u64,
    /// Records and notes removed, those of dropped epochs included.
    pub removed: u64,
}

/// What one step, or all of them, did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Purged {
    /// How far it came, counted from where the purge began.
    pub progress: PurgeProgress,
    /// Whether it is through. If not, another call goes on.
    pub is_done: bool,
    /// From when on the collection can be asked; `None` if all of it is kept.
    pub kept_since: Option<Timestamp>,
}

impl Store<'_> {
    /// Removes what `keep` does not keep of the history of a collection, step by step, while readers and writers go on:
    /// snapshots that were taken before still show it. Questions about moments that are not kept get
    /// [`crate::Error::NotKept`] from the first step on; the present and the future stay as they are.
    ///
    /// If an earlier purge was not through, this call goes on with it, by what that one was to keep.
    /// `progress` is told after each step, and stops by answering `false`.
    ///
    /// Purged history is deleted as rows are: until their space is used again, its bytes are in free pages and in the log.
    /// [`llmdb_engine::Engine::scrub`] destroys them.
    ///
    /// Cost: for a span, reads what is believed now, corrections of the past, and one epoch; for a number of
    /// versions, all closed records.
    ///
    /// # Errors
    /// [`crate::Error::NoCollection`], [`crate::Error::NotTemporal`]; [`crate::Error::Engine`], [`crate::Error::Corruption`]: what was removed is
    /// removed, call it again.
    pub fn purge(
        &self,
        collection: &str,
        keep: Retention,
        progress: &mut dyn FnMut(&PurgeProgress) -> bool,
    ) -> Result<Purged> {
        loop {
            let purged = self.purge_step(collection, keep)?;
            if !progress(&purged.progress) || purged.is_done {
                return Ok(purged);
            }
        }
    }

    /// One step of [`Store::purge`]: a transaction in which a bounded part is removed, for whoever makes pauses.
    ///
    /// # Errors
    /// As [`Store::purge`].
    pub fn purge_step(&self, collection: &str, keep: Retention) -> Result<Purged> {
        let mut txn = self.engine.begin_write()?;
        let now = txn.timestamp();
        // The newest state is the one that the open transaction began with: nobody else can write.
        let view = View::new(self.engine.snapshot_latest()?, now);
        let facts = view.collection(collection)?;
        facts.trees()?;
        let id = facts.info.id;
        let meta = view.meta()?;
        let stored = meta.map(|meta| meta.get(job_key(id))).transpose()?.flatten();
        let job = match stored.map(Job::decode).transpose()? {
            Some(job) => Some(job),
            None => Job::of(keep, now, &facts),
        };
        let Some(mut job) = job else {
            return Ok(Purged { is_done: true, kept_since: facts.kept_since(), ..Purged::default() });
        };
        let mut step = Step { txn: &mut txn, facts: &facts, kept: facts.kept, closed_before: 0 };
        step.take(&mut job)?;
        let (kept, closed_before) = (step.kept, step.closed_before);
        job.progress.steps += 1;
        settle(&mut txn, &facts, kept, closed_before)?;
        let mut meta = txn.tree(META)?;
        match job.phase {
            Phase::Done => meta.delete(job_key(id))?,
            _ => meta.put(job_key(id), job.encode())?,
        };
        txn.commit()?;
        Ok(Purged {
            progress: job.progress,
            is_done: job.phase == Phase::Done,
            kept_since: (kept.since > BEGINNING).then_some(kept.since),
        })
    }
}

/// Stores the horizons, and lets the newest epoch not count what was removed as changes undone.
fn settle(txn: &mut WriteTxn<'_>, facts: &Collection<'_>, kept: Kept, closed_before: u64) -> Result<()> {
    if kept != facts.kept {
        kept.store(&mut txn.tree(META)?, facts.info.id)?;
    }
    if closed_before > 0 {
        let mut last = epochs::last(txn, facts.info.id)?;
        last.closed_at_begin = last.closed_at_begin.saturating_sub(closed_before);
        txn.tree(META)?.put(catalog::epoch_key(facts.info.id, last.begin), last.encode())?;
    }
    Ok(())
}

/// A step under way.
struct Step<'a, 'e, 's> {
    txn: &'a mut WriteTxn<'e>,
    facts: &'a Collection<'s>,
    kept: Kept,
    /// Records removed that were closed in epochs before the newest one.
    closed_before: u64,
}

impl Step<'_, '_, '_> {
    fn take(&mut self, job: &mut Job) -> Result<()> {
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
            for prefix in crate::erase::prefixes(*part, epochs.iter().map(|epoch| epoch.number).collect()) {
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
                    if is_old_copy || is_past(&record, horizon) {
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

/// What a purge keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Keep {
    Since(Timestamp),
    Versions(u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Epochs,
    Rows,
    Notes,
    Done,
}

/// A purge that is not through, as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Job {
    keep: Keep,
    phase: Phase,
    progress: PurgeProgress,
    /// The last row that was looked at, or the first note that was not.
    cursor: Vec<u8>,
}

const KEEP: usize = 0;
const KEEP_WHAT: usize = KEEP + 1;
const PHASE: usize = KEEP_WHAT + 8;
const COUNTS: usize = PHASE + 1;
const CURSOR: usize = COUNTS + 4 * 8;

impl Job {
    /// A new one; `None` if there is nothing to do.
    fn of(keep: Retention, now: Timestamp, facts: &Collection<'_>) -> Option<Self> {
        let keep = match keep {
            Retention::All => return None,
            Retention::Versions(count) => Keep::Versions(count.max(1)),
            Retention::Span { us } => {
                let horizon = Timestamp::new(now.get().saturating_sub_unsigned(us));
                if horizon <= facts.kept.since {
                    return None;
                }
                Keep::Since(horizon)
            }
        };
        Some(Self { keep, phase: Phase::Epochs, progress: PurgeProgress::default(), cursor: Vec::new() })
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; CURSOR];
        let (kind, what) = match self.keep {
            Keep::Since(horizon) => (0, horizon.get().cast_unsigned()),
            Keep::Versions(count) => (1, u64::from(count)),
        };
        bytes[KEEP] = kind;
        codec::put_u64(&mut bytes, KEEP_WHAT, what);
        bytes[PHASE] = match self.phase {
            Phase::Epochs => 0,
            Phase::Rows => 1,
            Phase::Notes => 2,
            Phase::Done => 3,
        };
        let PurgeProgress { steps, epochs, rows, removed } = self.progress;
        for (index, count) in [steps, epochs, rows, removed].into_iter().enumerate() {
            codec::put_u64(&mut bytes, COUNTS + 8 * index, count);
        }
        bytes.extend_from_slice(&self.cursor);
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let wrong = || damaged("how far a purge has come".into());
        let (head, cursor) = bytes.split_at_checked(CURSOR).ok_or_else(wrong)?;
        let what = codec::get_u64(head, KEEP_WHAT);
        let count = |index: usize| codec::get_u64(head, COUNTS + 8 * index);
        Ok(Self {
            keep: match head[KEEP] {
                0 => Keep::Since(Timestamp::new(what.cast_signed())),
                1 => Keep::Versions(u32::try_from(what).map_err(|_| wrong())?),
                _ => return Err(wrong()),
            },
            phase: match head[PHASE] {
                0 => Phase::Epochs,
                1 => Phase::Rows,
                2 => Phase::Notes,
                _ => return Err(wrong()),
            },
            progress: PurgeProgress { steps: count(0), epochs: count(1), rows: count(2), removed: count(3) },
            cursor: cursor.to_vec(),
        })
    }
}

pub(crate) fn job_key(id: u32) -> Vec<u8> {
    [&[JOB][..], &id.to_be_bytes()].concat()
}

/// Lets a purge under way not tell of `row`: it goes through the rows again.
pub(crate) fn forget_row(txn: &mut WriteTxn<'_>, id: u32, row: &[u8]) -> Result<()> {
    let mut meta = txn.tree(META)?;
    meta.delete(row_kept_key(id, row))?;
    let Some(bytes) = meta.get(job_key(id))? else { return Ok(()) };
    let mut job = Job::decode(bytes)?;
    if job.phase == Phase::Rows && job.cursor == row {
        job.cursor.clear();
        meta.put(job_key(id), job.encode())?;
    }
    Ok(())
}
