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

mod job;
mod step;

use llmdb_base::{
    Timestamp,
    plant::{Bug, planted},
};
use llmdb_engine::WriteTxn;

use self::{
    job::{Job, Phase},
    step::Step,
};
use crate::{
    BEGINNING, Collection, Result, Retention, Store, View, beside,
    catalog::{self, META},
    epochs,
    retention::{Kept, row_kept_key},
};

pub(crate) use self::job::job_key;

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
        let removed_before = job.progress.removed;
        let mut step = Step { txn: &mut txn, facts: &facts, kept: facts.kept, closed_before: 0 };
        step.take(&mut job)?;
        let (kept, closed_before) = (step.kept, step.closed_before);
        job.progress.steps += 1;
        if job.progress.removed > removed_before {
            beside::note_purge(&mut txn, id)?;
        }
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
    if kept != facts.kept && !planted(Bug::ForgetHorizon) {
        kept.store(&mut txn.tree(META)?, facts.info.id)?;
    }
    if closed_before > 0 {
        let mut last = epochs::last(txn, facts.info.id)?;
        last.closed_at_begin = last.closed_at_begin.saturating_sub(closed_before);
        txn.tree(META)?.put(catalog::epoch_key(facts.info.id, last.begin), last.encode())?;
    }
    Ok(())
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
