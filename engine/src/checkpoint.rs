//! Checkpoints: the data file comes to hold everything up to a position of the log, so that the log before it
//! can go.
//!
//! ```text
//!  under the gate   take the tip and the pages written since the last checkpoint     (no writer runs)
//!                   force the log up to the tip                                      (writers go on from here)
//!                   write the pages, force the data file
//!                   write the meta page of the older generation
//!                   retire log before the root of the generation that is older now
//! ```

use std::sync::atomic::Ordering;

use llmdb_base::{
    plant::{Bug, planted},
    sync::lock,
};

use crate::{Engine, Error, Result, engine::Shared};

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
        let _one = lock(&self.checkpointing);
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
    }

    /// Starts a checkpoint if enough log has come together: in the background, or here if there is none.
    pub(crate) fn checkpoint_if_due(&self) {
        if self.log_bytes_since_checkpoint() < self.options.checkpoint_log_bytes {
            return;
        }
        if !self.workers.request_checkpoint() {
            self.checkpoint_quietly(self.options.checkpoint_log_bytes);
        }
    }

    /// Makes a writer wait while the log is too far ahead of the checkpoints for a quick recovery.
    pub(crate) fn wait_for_checkpoint(&self) {
        if self.log_bytes_since_checkpoint() >= self.options.stall_log_bytes {
            self.checkpoint_quietly(self.options.stall_log_bytes);
        }
    }

    /// Writes a checkpoint if at least `due_bytes` of log are outstanding when its turn comes. The commit that
    /// made it due has been acknowledged, so a failure is reported by what follows: a poisoned store refuses
    /// the next writer, and a full disk is tried again at the next commit.
    pub(crate) fn checkpoint_quietly(&self, due_bytes: u64) {
        let _one = lock(&self.checkpointing);
        if self.log_bytes_since_checkpoint() < due_bytes || !self.is_open() {
            return;
        }
        if let Err(error) = self.checkpoint_locked() {
            log::warn!("checkpoint of {}: {error}", self.path.display());
        }
    }

    fn checkpoint_locked(&self) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        self.check_poison()?;
        let (mut checkpoint, log_bytes) = {
            let _permit = self.gate.enter();
            self.take_turn(self.options.lock_timeout_us)?;
            (self.pager.begin_checkpoint()?, self.log_bytes())
        };
        let root = *checkpoint.root();
        // The checkpoint must not show a state that the log could still lose: commits would become durable out
        // of order.
        self.sync_to(root.lsn)?;
        checkpoint.write(&mut |_| ())?;
        checkpoint.finish()?;
        self.checkpointed_bytes.store(log_bytes, Ordering::Release);
        self.checkpoint_count.fetch_add(1, Ordering::Relaxed);
        let mut keep_from = self.pager.older_durable().lsn;
        if planted(Bug::CutLogAtNewerMeta) {
            keep_from = root.lsn;
        }
        Ok(log.retire(keep_from)?)
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
        let permit = self.gate.try_enter();
        let Some(_permit) = permit else {
            return Err(Error::Misuse("a write transaction is still open".into()));
        };
        let tip = self.pager.tip();
        self.sync_to(tip.lsn)?;
        // The last root needs nothing of the log. A crash that interrupts the removal of the log may leave any of
        // its segments, and none of them must look like the rest of a log whose beginning is lost.
        let end = log.end().max(tip.lsn);
        let settled = |root: llmdb_pager::RootRecord| root.txid == tip.txid && root.lsn == end;
        if !settled(self.pager.durable()) || !settled(self.pager.older_durable()) {
            let state = llmdb_pager::RootState { lsn: end, ..tip.state() };
            let root = self.pager.begin_write().commit(state);
            self.pager.publish(&root);
            let mut checkpoint = self.pager.begin_checkpoint()?;
            checkpoint.write(&mut |_| ())?;
            checkpoint.finish_clean()?;
        }
        Ok(log.remove()?)
    }
}
