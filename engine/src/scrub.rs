//! Destroying what was deleted: in the pages of the data file that nobody names any more, and in the log.
//!
//! ```text
//!   log     end the segment in use; commit a record that says nothing   all that was said before lies in old segments
//!   twice   checkpoint                                                  no recovery needs the log or the pages from before
//!   log     zeros over the old segments                                 the archive gets them first
//!   file    zeros over the free pages that hold something               as long as readers hold pages, these are left
//! ```
//!
//! Each step changes nothing that anybody can ask for, and may be repeated: after a crash it is begun again.
//!
//! What this cannot reach: blocks that the file system has taken back (the end that was cut off a file, a removed
//! file), copies that it or the medium makes, memory, swap, backups and archives.

use llmdb_base::{
    Pgno,
    plant::{Bug, planted},
};
use llmdb_pager::RootRecord;

use crate::{Engine, Result, WriteTxn, engine::Shared, gate::Permit};

/// Free pages looked at while writers wait: 16 MiB.
const STEP_PAGES: u64 = 4_096;
/// How often the log is turned over at most. What others write in the meantime is younger than what is to go.
const ROUNDS_MAX: u32 = 3;

/// What a scrub has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ScrubReport {
    /// Free pages that held something, and hold zeros now.
    pub wiped_pages: u64,
    /// Bytes of old log that were overwritten.
    pub wiped_log_bytes: u64,
    /// Pages that hold what was deleted before the scrub, and that readers may still read: left as they are.
    pub held_pages: u64,
    /// Whether the caller's progress function stopped it.
    pub stopped: bool,
}

impl ScrubReport {
    /// Whether nothing is left of what had been deleted when the scrub began.
    pub fn is_complete(&self) -> bool {
        self.held_pages == 0 && !self.stopped
    }
}

impl Engine {
    /// Makes sure that no separator in a branch tells of keys that were removed: for each name of a tree and key that
    /// was there before, or that is the beginning of such keys. Changes no row and writes no log.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`], [`crate::Error::Io`], [`crate::Error::NoSpace`], [`crate::Error::Poisoned`],
    /// [`crate::Error::ReadOnly`].
    pub fn renew_separators(&self, removed: &[(String, Vec<u8>)]) -> Result<()> {
        let mut txn = self.begin_write()?;
        let mut is_changed = false;
        for (tree, key) in removed {
            is_changed |= txn.renew_separator(tree, key)?;
        }
        if is_changed {
            return txn.commit_moved();
        }
        txn.abort();
        Ok(())
    }

    /// Destroys what was deleted before this call, in the data file and in the log, while readers and writers go on.
    /// `progress` gets the pages of the file that were looked at and all of them, and answers `false` to stop.
    ///
    /// Readers of the change feed that have not come that far find a gap.
    /// Cost: three checkpoints; reads all free pages, writes those that hold something; writes the old log once.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::NoSpace`], [`crate::Error::Poisoned`], [`crate::Error::ReadOnly`]; the
    /// errors of an archive that refuses, see [`Engine::archive_now`]: nothing was destroyed then. Call it again.
    pub fn scrub(&self, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<ScrubReport> {
        self.shared.check_writable()?;
        let mut report = ScrubReport::default();
        if self.shared.log.is_none() {
            // In memory: nothing is stored.
            return Ok(report);
        }
        let recycle = |recycles| self.shared.log.as_ref().map(|log| log.recycle(recycles));
        recycle(false);
        let scrubbed = self.scrub_into(progress, &mut report);
        recycle(true);
        self.shared.hand_over_by_hand();
        scrubbed.map(|()| report)
    }

    fn scrub_into(&self, progress: &mut dyn FnMut(u64, u64) -> bool, report: &mut ScrubReport) -> Result<()> {
        let shared = &self.shared;
        let (mut root, mut state) = self.scrub_log(report)?;
        for _ in 1..ROUNDS_MAX {
            if state == LogState::WentOn {
                (root, state) = self.scrub_log(report)?;
            }
        }
        let _one = shared.checkpointing.enter();
        let mut from = Some(Pgno::new(0));
        while let Some(next) = from {
            let wiped = {
                let _permit = shared.enter_to_write()?;
                let wiped = shared.pager.wipe_free(next, STEP_PAGES)?;
                if next.get() == 0 {
                    report.held_pages = shared.pager.held_since(root.epoch);
                }
                wiped
            };
            report.wiped_pages += wiped.pages;
            from = wiped.next;
            let all = shared.pager.stats().file_pages;
            if !progress(from.map_or(all, Pgno::get), all) {
                report.stopped = true;
                break;
            }
        }
        shared.pager.force()?;
        // Pages that were taken meanwhile are free no more, and the file does not have what is in them now.
        shared.checkpoint_locked()
    }

    /// Has the log go on elsewhere and overwrites what there was; returns the first root that needs nothing of it.
    fn scrub_log(&self, report: &mut ScrubReport) -> Result<(RootRecord, LogState)> {
        let shared = &self.shared;
        let (root, newest) = shared.turn_over_log()?;
        let _one = shared.checkpointing.enter();
        shared.checkpoint_locked()?;
        shared.checkpoint_locked()?;
        let _permit = shared.enter_to_write()?;
        let state = if shared.newest_segment() == newest { LogState::Clean } else { LogState::WentOn };
        report.wiped_log_bytes += shared.wipe_log()?;
        Ok((root, state))
    }
}

/// Whether the newest segment is the one that the scrub began. Another process may have begun one meanwhile, in a file of old
/// log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LogState {
    Clean,
    WentOn,
}

impl Shared {
    fn newest_segment(&self) -> Option<u64> {
        self.log.as_ref().and_then(|log| log.segments().last().map(|segment| segment.index))
    }

    /// The right to write.
    fn enter_to_write(&self) -> Result<Permit<'_>> {
        let permit = self.gate.enter();
        self.take_turn(self.options.lock_timeout_us)?;
        Ok(permit)
    }

    /// Has the log go on in a new segment; returns the first root that needs nothing of the old ones, and the segment.
    fn turn_over_log(self: &std::sync::Arc<Self>) -> Result<(RootRecord, Option<u64>)> {
        {
            let _permit = self.enter_to_write()?;
            self.sync_to(self.pager.tip().lsn)?;
            if let Some(log) = &self.log {
                log.finish_segment()?;
            }
        }
        WriteTxn::begin(self, self.enter_to_write()?)?.commit_nothing()?;
        Ok((self.pager.tip(), self.newest_segment()))
    }

    /// Overwrites the log that recovery does not need any more, whoever else would have liked to read it. Called with
    /// the right to write, and with `checkpointing` locked.
    fn wipe_log(&self) -> Result<u64> {
        let Some(log) = &self.log else { return Ok(0) };
        self.archive_ended(log)?;
        if planted(Bug::LeaveOldLog) {
            return Ok(0);
        }
        Ok(log.wipe(self.pager.older_durable().lsn)?)
    }
}
