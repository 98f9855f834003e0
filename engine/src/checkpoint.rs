//! Checkpoints: the data file comes to hold everything up to a position of the log, so that the log before it
//! can go.
//!
//! ```text
//!  under the gate   take the tip and the pages written since the last checkpoint     (no writer runs)
//!                   force the log up to the tip                                      (writers go on from here)
//!                   write the pages, as the log grows (`spread`), force the data file
//!                   write the meta page of the older generation
//!                   retire log before the root of the generation that is older now
//!  under the gate   cut off the free end of the file, if it is long
//! ```

mod spread;
mod turnstile;

use std::{sync::atomic::Ordering, time::Duration};

use llmdb_base::plant::{Bug, planted};

use crate::{
    Background, Engine, Error, Result,
    engine::Shared,
    pace::{self, Backlog, Toll},
};

use spread::Spread;
pub(crate) use turnstile::Turnstile;

/// Bytes of log that an operation takes, where only the bytes are known: few, so that the error is on the safe side.
const OP_BYTES: u64 = 64;
/// Shortest time after which the checkpoint worker looks again by itself.
const LOOK_AGAIN_US: u64 = 1_000;

/// How a checkpoint goes about its writing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Manner {
    /// As fast as it can: somebody waits for it.
    Hasty,
    /// Spread over the log that comes meanwhile.
    Spread,
}

impl Engine {
    /// Writes a checkpoint now. Useful before copying files or measuring; the engine does it by itself otherwise.
    /// Writers wait only while it begins. Cost: writes every page changed since the last one; two syncs.
    ///
    /// # Errors
    /// [`Error::NoSpace`]: nothing happened, try again. [`Error::Io`], [`Error::Poisoned`]: reopen the store;
    /// nothing acknowledged is lost.
    pub fn checkpoint(&self) -> Result<()> {
        self.shared.check_writable()?;
        let made = self.shared.checkpoint_now();
        self.shared.hand_over_by_hand();
        made
    }
}

impl Shared {
    /// Writes a checkpoint, waiting for one that is under way first.
    pub(crate) fn checkpoint_now(&self) -> Result<()> {
        let _one = self.checkpointing.enter();
        self.checkpoint_locked()
    }

    /// Log written since the newest checkpoint, in bytes.
    pub(crate) fn log_bytes_since_checkpoint(&self) -> u64 {
        self.log_bytes().wrapping_sub(self.checkpointed_bytes.load(Ordering::Acquire))
    }

    /// Bytes of records replayed and appended since the store was opened.
    fn log_bytes(&self) -> u64 {
        let appended = self.log.as_ref().map_or(0, llmdb_wal::Log::appended_bytes);
        let foreign = self.foreign_bytes.load(Ordering::Acquire);
        self.replayed_bytes.wrapping_add(appended).wrapping_add(foreign)
    }

    /// Counts on from what another process says. Called under the gate, while no checkpoint is under way.
    pub(crate) fn set_log_bytes_since_checkpoint(&self, bytes: u64) {
        let wanted = self.checkpointed_bytes.load(Ordering::Acquire).wrapping_add(bytes);
        self.foreign_bytes.fetch_add(wanted.wrapping_sub(self.log_bytes()), Ordering::AcqRel);
        self.pace.restart(bytes / OP_BYTES);
    }

    /// What a replay would have to do now.
    pub(crate) fn backlog(&self) -> Backlog {
        Backlog {
            ops: self.pace.ops(),
            log_bytes: self.log_bytes_since_checkpoint(),
            nodes: self.pager.replaced_pages(),
            live_pages: self.pager.live_pages(),
            idle_log_bytes: 2 * self.options.segment_bytes_max.min(u64::MAX / 2),
        }
    }

    /// How long a replay would take now, by estimate.
    pub(crate) fn replay_us(&self) -> u64 {
        self.backlog().replay_us(self.pace.op_ns(), self.options.recovery.read_us)
    }

    /// Whether a replay would take longer than it should when a checkpoint begins, or so many epochs have passed that
    /// a crash might lose more of them than the next opening skips.
    fn replay_is_long(&self) -> bool {
        self.pager.epochs_since_checkpoint() >= llmdb_pager::CHECKPOINT_EPOCHS
            || self.log_bytes_since_checkpoint() >= self.options.checkpoint_log_bytes
            || self.replay_us() >= self.options.recovery.checkpoint_us
    }

    /// Whether too much of the file waits for checkpoints. Only the process whose turn it is to write can tell.
    fn space_is_wasted(&self) -> bool {
        self.pager.commons().is_none_or(llmdb_pager::Commons::holds_turn)
            && self.pager.settling_pages() >= pace::settling_max(self.pager.live_pages(), &self.options.churn)
    }

    /// How long checkpoints for the sake of space alone have to wait yet: they may take a part of the time only.
    fn rest_us(&self) -> u64 {
        match self.options.background {
            Background::Threads => self.pace.rest_us(self.vfs.monotonic_us()),
            Background::Manual => 0,
        }
    }

    fn checkpoint_is_due(&self) -> bool {
        self.log.is_some() && (self.replay_is_long() || (self.space_is_wasted() && self.rest_us() == 0))
    }

    /// Starts a checkpoint if one is due: in the background, or here if there is none.
    pub(crate) fn checkpoint_if_due(&self) {
        if self.checkpoint_is_due() && !self.workers.request_checkpoint() {
            self.checkpoint_quietly(Manner::Hasty, Self::checkpoint_is_due);
        }
    }

    /// Makes checkpoints while they are due. Returns when to look again, if space is waiting and nobody else may
    /// come to look.
    pub(crate) fn checkpoint_while_due(&self) -> Option<Duration> {
        let before = self.checkpoint_count.load(Ordering::Relaxed);
        self.checkpoint_quietly(Manner::Spread, Self::checkpoint_is_due);
        // One that was due and could not be made is tried again by the next commit.
        let goes_on = self.checkpoint_count.load(Ordering::Relaxed) != before || self.rest_us() > 0;
        let is_waiting = goes_on && self.is_open() && self.check_poison().is_ok() && self.space_is_wasted();
        is_waiting.then(|| Duration::from_micros(self.rest_us().max(LOOK_AGAIN_US)))
    }

    /// Makes a writer wait while a replay would take too long.
    pub(crate) fn wait_for_checkpoint(&self) {
        match self.toll() {
            Toll::Nothing => {}
            Toll::Wait(at_most) if self.options.background == Background::Threads => {
                self.checkpoint_if_due();
                self.pace.wait(at_most);
            }
            Toll::Wait(_) | Toll::Stop => {
                self.pace.stalled.fetch_add(1, Ordering::Relaxed);
                self.checkpoint_quietly(Manner::Hasty, |shared| shared.toll() != Toll::Nothing);
            }
        }
    }

    fn toll(&self) -> Toll {
        let is_long = self.log_bytes_since_checkpoint() >= self.options.stall_log_bytes;
        if is_long || self.pager.epochs_since_checkpoint() >= llmdb_pager::STALL_EPOCHS {
            return Toll::Stop;
        }
        pace::toll(self.replay_us(), &self.options.recovery)
    }

    /// Writes a checkpoint if it `is_due` when its turn comes. The commit that made it due has been acknowledged,
    /// so a failure is reported by what follows: a poisoned store refuses the next writer, and a full disk is tried
    /// again at the next commit.
    fn checkpoint_quietly(&self, manner: Manner, is_due: fn(&Self) -> bool) {
        let _one = self.checkpointing.enter();
        if !is_due(self) || !self.is_open() {
            return;
        }
        if let Err(error) = self.write_checkpoint(manner, || ()) {
            log::warn!("checkpoint of {}: {error}", self.path.display());
        }
    }

    pub(crate) fn checkpoint_locked(&self) -> Result<()> {
        self.checkpoint_with(|| ()).map(drop)
    }

    /// Writes a checkpoint; `hold` runs while the state that becomes durable is the tip, and its answer is returned.
    /// `None` without a log. Called with `checkpointing` locked.
    pub(crate) fn checkpoint_with<T>(&self, hold: impl FnOnce() -> T) -> Result<Option<T>> {
        self.write_checkpoint(Manner::Hasty, hold)
    }

    fn write_checkpoint<T>(&self, manner: Manner, hold: impl FnOnce() -> T) -> Result<Option<T>> {
        let Some(log) = &self.log else { return Ok(None) };
        self.check_poison()?;
        self.mend_if_met();
        let began_us = self.vfs.monotonic_us();
        let (mut checkpoint, log_bytes, held) = {
            let _permit = self.gate.enter();
            self.take_turn(self.options.lock_timeout_us)?;
            let checkpoint = self.pager.begin_checkpoint()?;
            self.pace.begin_checkpoint();
            (checkpoint, self.log_bytes(), hold())
        };
        let root = *checkpoint.root();
        // The checkpoint must not show a state that the log could still lose: commits would become durable out
        // of order.
        self.sync_to(root.lsn)?;
        let interval_bytes = log_bytes.wrapping_sub(self.checkpointed_bytes.load(Ordering::Acquire));
        let mut spread = Spread::new(self, log_bytes, interval_bytes);
        checkpoint.write(&mut |progress| {
            if manner == Manner::Spread {
                spread.keep(progress);
            }
        })?;
        checkpoint.finish()?;
        self.checkpointed_bytes.store(log_bytes, Ordering::Release);
        self.checkpoint_count.fetch_add(1, Ordering::Relaxed);
        let ended_us = self.vfs.monotonic_us();
        let worked_us = ended_us.saturating_sub(began_us).saturating_sub(spread.waited_us());
        self.pace.finish_checkpoint(worked_us, ended_us);
        let mut keep_from = self.pager.older_durable().lsn;
        if planted(Bug::CutLogAtNewerMeta) {
            keep_from = root.lsn;
        }
        self.give_up_log(log, keep_from)?;
        self.look_at_leases();
        if self.pager.has_free_end() {
            let _permit = self.gate.enter();
            self.pager.give_end_back()?;
        }
        Ok(Some(held))
    }

    /// Writes damaged meta pages anew: from the other copy, or by a checkpoint where both copies were lost. A full
    /// disk must not keep a store from being opened; the next checkpoint tries again.
    pub(crate) fn repair_meta(&self) -> Result<()> {
        let repaired = self.pager.repair_meta().map_err(Error::from).and_then(|()| self.checkpoint_now());
        match repaired {
            Err(error @ Error::NoSpace { .. }) => {
                log::warn!("the meta pages of {} are not repaired yet: {error}", self.path.display());
                Ok(())
            }
            repaired => repaired,
        }
    }

    /// The last checkpoint: written to both generations, so that nothing needs the log any more.
    pub(crate) fn close_cleanly(&self) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        self.mend_if_met();
        let permit = self.gate.try_enter();
        let Some(_permit) = permit else {
            return Err(Error::Misuse("a write transaction is still open".into()));
        };
        let tip = self.pager.tip();
        self.sync_to(tip.lsn)?;
        if self.options.archive.is_some() {
            log.finish_segment()?;
        }
        let is_kept = self.log_outlives_close(log)?;
        // The last root needs nothing of the log. A crash that interrupts the removal of the log may leave any of
        // its segments, and none of them must look like the rest of a log whose beginning is lost.
        // A log that is kept goes on right where it ends.
        let end = if is_kept { log.chain_end() } else { log.end() }.max(tip.lsn);
        let settled = |root: llmdb_pager::RootRecord| {
            root.txid == tip.txid && root.lsn == end && root.roots == tip.roots
        };
        let is_settled = settled(self.pager.durable()) && settled(self.pager.older_durable());
        if !is_settled || self.pager.log_mark() != 0 {
            let state = llmdb_pager::RootState { lsn: end, ..tip.state() };
            let root = self.pager.begin_write().commit(state);
            self.pager.publish(&root);
            let mut checkpoint = self.pager.begin_checkpoint()?;
            checkpoint.write(&mut |_| ())?;
            checkpoint.finish_clean()?;
        }
        if is_kept {
            self.give_up_log(log, end)?;
            return Ok(log.leave()?);
        }
        self.note_skip(log, end);
        Ok(log.remove()?)
    }
}
