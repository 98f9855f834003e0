//! The turn: waiting for it, taking it up where it was left, taking it over from the dead, handing it over.

use std::sync::atomic::Ordering::{Release, SeqCst};

use llmdb_base::{
    checksum::crc32c,
    plant::{Bug, planted},
};
use llmdb_pager::{Commons, OpenError, RootState, share::layout};

use super::{COUNT_MAX, Company, SLICE_US, TURN, record::Record};
use crate::{Background, Error, ErrorKind, Result, engine::Shared, open::Places, recovery};

/// After so many slices in which nobody had the turn and it was nobody's before us who lives, we take it.
const PATIENCE: u32 = 5;
/// How often the holder of the turn looks for slots of dead readers.
const FREE_DEAD_US: u64 = 1_000_000;

impl Company {
    /// Waits until the lock of the turn is ours.
    fn wait_for_turn(&self, timeout_us: u64) -> Result<()> {
        let began = self.now_us();
        let drawn = self.word(layout::TICKETS).fetch_add(1, SeqCst) % COUNT_MAX + 1;
        let ticket = layout::process(self.process) + layout::TICKET;
        self.store(ticket, drawn);
        let waited = self.wait_with(drawn, began, timeout_us);
        self.store(ticket, 0);
        waited
    }

    fn wait_with(&self, ticket: u64, began: u64, timeout_us: u64) -> Result<()> {
        let mut idle_slices = 0;
        loop {
            let seen = self.load(layout::RELEASED);
            let is_ours = (idle_slices > PATIENCE || self.is_next(ticket)?) && self.try_lock(TURN)?;
            if is_ours || planted(Bug::StealTurn) {
                return Ok(());
            }
            let waited_us = self.now_us().saturating_sub(began);
            if waited_us >= timeout_us {
                return Err(Error::Busy { holder: self.holder(), waited_ms: waited_us / 1000 });
            }
            self.ring();
            self.area.wait(layout::RELEASED, seen, SLICE_US.min(timeout_us - waited_us));
            // Somebody who waits before us may live and yet not run.
            idle_slices = if self.is_locked_elsewhere(TURN)? { 0 } else { idle_slices + 1 };
        }
    }

    /// Refuses if somebody has removed the area: those who come from then on know nothing of us.
    fn check_current(&self) -> Result<()> {
        let is_current = self.area.is_current();
        if is_current.map_err(|error| Error::io("look for the file that processes share", error))? {
            return Ok(());
        }
        Err(Error::CannotShare(format!(
            "the file that processes share of {} was removed while they used it: let every process close the store",
            self.path.display()
        )))
    }

    /// Whether nobody who lives has waited for longer.
    fn is_next(&self, ticket: u64) -> Result<bool> {
        for process in (0..layout::PROCESS_COUNT).filter(|process| *process != self.process) {
            let theirs = self.load(layout::process(process) + layout::TICKET);
            if theirs != 0 && theirs < ticket && self.is_alive(process)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether another process waits for the turn.
    pub(super) fn is_awaited(&self) -> Result<bool> {
        for process in (0..layout::PROCESS_COUNT).filter(|process| *process != self.process) {
            let waits = self.load(layout::process(process) + layout::TICKET) != 0;
            // The ticket of a dead process stays until somebody takes its slot.
            if waits && self.is_alive(process)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// From here on the turn is ours, and what the last one left no longer describes the store.
    fn begin_turn(&self) {
        self.store(layout::TURN_CLEAN, 0);
        // The record that was left must not come back to life by one word that a stranger stores.
        self.store(layout::TURN_LEN, 0);
        self.store(layout::TURN_HOLDER, self.process as u64 + 1);
        let now = self.now_us();
        self.began_us.store(now, Release);
        self.busy_us.store(now, Release);
    }

    /// Leaves the record of a clean turn, and then the turn.
    fn leave_turn(&self, record: &[u8]) -> Result<()> {
        let left = self.area.write_tail(record);
        left.map_err(|error| Error::io("leave the turn to another process", error))?;
        self.area.step();
        let number = self.load(layout::TURN_NUMBER) % COUNT_MAX + 1;
        self.store(layout::TURN_LEN, record.len() as u64);
        self.store(layout::TURN_CHECKSUM, crc32c(0, record).into());
        self.store(layout::TURN_NUMBER, number);
        self.handed_over.store(number, Release);
        self.store(layout::TURN_CLEAN, number);
        self.store(layout::TURN_HOLDER, 0);
        Ok(())
    }

    /// Gives up the lock of the turn, and wakes those who wait for it.
    pub(super) fn release_turn(&self) {
        if let Err(error) = self.unlock(TURN) {
            log::warn!("the turn to write {} cannot be given up: {error}", self.path.display());
        }
        self.word(layout::RELEASED).fetch_add(1, SeqCst);
        self.area.wake(layout::RELEASED);
    }

    /// The record that the last turn left, if it ended cleanly.
    fn last_record(&self, number: u64) -> Result<Option<Record>> {
        if number == 0 || number != self.load(layout::TURN_NUMBER) {
            return Ok(None);
        }
        let tail = self.area.read_tail();
        let tail = tail.map_err(|error| Error::io("read what the last turn left", error))?;
        let len = usize::try_from(self.load(layout::TURN_LEN)).unwrap_or(usize::MAX);
        let Some(record) = tail.get(..len) else { return Ok(None) };
        let whole = u64::from(crc32c(0, record)) == self.load(layout::TURN_CHECKSUM);
        Ok(if whole { Record::decode(record) } else { None })
    }

    /// The turn is ours from the beginning: nobody else has the store open.
    pub(super) fn begin_first_turn(&self) -> Result<()> {
        if !self.try_lock(TURN)? {
            return Err(Error::Busy { holder: self.holder(), waited_ms: 0 });
        }
        self.begin_turn();
        Ok(())
    }
}

impl Shared {
    /// Makes this process the one that may write. Called under the gate. Costs nothing if it is already.
    ///
    /// # Errors
    /// [`Error::Busy`] with what the holder says of itself, after `timeout_us`; errors of recovering what a process
    /// that died has left.
    pub(crate) fn take_turn(&self, timeout_us: u64) -> Result<()> {
        let Some((company, commons)) = self.company() else { return Ok(()) };
        commons.check_whole()?;
        if commons.holds_turn() {
            company.busy_us.store(company.now_us(), Release);
            return Ok(());
        }
        self.check_poison()?;
        company.wait_for_turn(timeout_us)?;
        if let Err(lost) = commons.check_whole() {
            company.release_turn();
            return Err(lost.into());
        }
        let begun = company.check_current().and_then(|()| self.begin_turn(company, commons));
        if begun.is_err() {
            commons.set_holds_turn(false);
            company.release_turn();
            return begun;
        }
        self.serve_in_background();
        // From here on the thread has something to look after.
        company.ring();
        self.free_dead_readers_if_due()
    }

    fn begin_turn(&self, company: &Company, commons: &Commons) -> Result<()> {
        let clean = company.load(layout::TURN_CLEAN);
        if clean != 0 && clean == company.handed_over.load(SeqCst) {
            // Nobody has written since we did.
            company.begin_turn();
            commons.set_holds_turn(true);
            return Ok(());
        }
        if let Some(record) = company.last_record(clean)? {
            match self.resume(&record) {
                Ok(()) => {
                    company.begin_turn();
                    commons.set_holds_turn(true);
                    self.set_log_bytes_since_checkpoint(record.log_bytes);
                    return Ok(());
                }
                Err(error @ (Error::Poisoned(_) | Error::Io { .. } | Error::NoSpace { .. })) => {
                    return Err(error);
                }
                Err(error) => log::warn!("{}: {error}; recovering instead", self.path.display()),
            }
        }
        company.begin_turn();
        commons.set_holds_turn(true);
        self.recover_turn(commons)
    }

    fn resume(&self, record: &Record) -> Result<()> {
        self.pager.resume(&record.pages)?;
        if let Some(log) = &self.log {
            log.resume_at(&record.log)?;
        }
        Ok(())
    }

    /// Recovers what a process that died in its turn has left, as opening does, beside readers of other processes.
    fn recover_turn(&self, commons: &Commons) -> Result<()> {
        let before = commons.published()?;
        self.free_dead_readers()?;
        self.pager.take_over(&*self.vfs).map_err(|error| match error {
            OpenError::Corruption(damage) => Error::Corruption(damage),
            other => other.into(),
        })?;
        let places = Places::of(&self.path);
        let (replay, report) = recovery::replay(&self.vfs, &places.log, &self.pager, &self.options)?;
        self.publish_recovered(&before)?;
        if let Some(log) = &self.log {
            log.resume_at(&recovery::into_log(replay)?.hand_over()?)?;
        }
        self.set_log_bytes_since_checkpoint(report.replayed_bytes);
        log::info!("{}: took the turn over from a process that died", self.path.display());
        Ok(())
    }

    /// Shows readers what was recovered. Numbers that were seen are not given again: what was published without being
    /// durable is gone, but its transaction id is not free.
    fn publish_recovered(&self, before: &llmdb_pager::RootRecord) -> Result<()> {
        let tip = self.pager.tip();
        if before.txid > tip.txid {
            let timestamp = tip.timestamp.max(before.timestamp);
            let state = RootState { txid: before.txid, timestamp, ..tip.state() };
            self.pager.begin_write().commit(state);
        }
        self.pager.write_out()?;
        self.pager.publish(&self.pager.tip());
        if let Some(company) = &self.company {
            company.show_pages();
        }
        Ok(())
    }

    /// Looks for dead readers from time to time: what they held back would never be used again.
    pub(super) fn free_dead_readers_if_due(&self) -> Result<()> {
        let Some(company) = &self.company else { return Ok(()) };
        let now = company.now_us();
        if now.saturating_sub(company.freed_us.load(SeqCst)) < FREE_DEAD_US {
            return Ok(());
        }
        company.freed_us.store(now, Release);
        self.free_dead_readers()
    }

    /// Frees the slots that readers of dead processes have left, unless somebody is opening the store at the moment.
    pub(super) fn free_dead_readers(&self) -> Result<()> {
        let Some((company, _)) = self.company() else { return Ok(()) };
        let Some(_door) = company.try_door()? else { return Ok(()) };
        self.free_dead_readers_at_the_door()
    }

    /// As [`Shared::free_dead_readers`], for a caller that has the door.
    pub(super) fn free_dead_readers_at_the_door(&self) -> Result<()> {
        let Some((company, commons)) = self.company() else { return Ok(()) };
        let mut alive = vec![company.session];
        for process in (0..layout::PROCESS_COUNT).filter(|process| *process != company.process) {
            if company.is_alive(process)? {
                alive.push(company.load(layout::process(process) + layout::SESSION));
            }
        }
        let freed = commons.free_dead(|session| !alive.contains(&session));
        if freed > 0 {
            log::info!("{}: freed {freed} readers of processes that died", self.path.display());
        }
        Ok(())
    }

    /// Leaves the turn to others, if it is ours. Waits for a checkpoint under way and for the open write transaction.
    ///
    /// # Errors
    /// Those of forcing the log and of writing pages. The turn is ours still then if the others could not read what is
    /// published; otherwise it was abandoned.
    pub(crate) fn hand_over(&self) -> Result<()> {
        let _one = self.checkpointing.enter();
        let _permit = self.gate.enter();
        self.hand_over_held()
    }

    /// As [`Shared::hand_over`], for a caller that holds the gate, and has seen to it that no checkpoint is under way.
    pub(super) fn hand_over_held(&self) -> Result<()> {
        let Some((company, commons)) = self.company() else { return Ok(()) };
        let Some(log) = self.log.as_ref().filter(|_| commons.holds_turn()) else { return Ok(()) };
        if let Err(failed) = self.check_poison() {
            self.abandon_turn(company, commons)?;
            return Err(failed);
        }
        log.sync_to(log.appended())?;
        self.publish_ready();
        let log_bytes = self.log_bytes_since_checkpoint();
        let pages = match self.pager.hand_over().map_err(Error::from) {
            Err(failed @ Error::Io { .. }) if !company.is_private() => {
                self.abandon_turn(company, commons)?;
                return Err(failed);
            }
            pages => pages?,
        };
        company.show_pages();
        let record = Record { log_bytes, log: log.hand_over()?, pages };
        company.leave_turn(&record.encode())?;
        commons.set_holds_turn(false);
        self.set_log_bytes_since_checkpoint(0);
        company.release_turn();
        Ok(())
    }

    /// Leaves the turn as a process that dies does, without a record: what was written failed, and nobody knows what
    /// reached the disk. The next one recovers what is durable; this one goes on reading. Called under the gate, while
    /// no checkpoint is under way.
    ///
    /// # Errors
    /// Those of writing pages that are in memory of this process only, because it was alone: the others could not read
    /// what is published, so that the turn is kept until the process is closed.
    fn abandon_turn(&self, company: &Company, commons: &Commons) -> Result<()> {
        if let Some(log) = self.log.as_ref().filter(|log| log.poisoned().is_none()) {
            // Only the data file failed: what was committed is safe in the log.
            log.sync_to(log.appended())?;
        }
        self.publish_ready();
        self.forget_unpublished();
        if let Err(error) = self.pager.write_out() {
            if company.is_private() {
                return Err(error.into());
            }
            // In company the pages of trees are written before a root becomes the tip: what is left are pages of the
            // allocation map, which nobody reads. They would hide what others write in their place.
            self.pager.forget_private()?;
        }
        company.show_pages();
        company.store(layout::TURN_HOLDER, 0);
        commons.set_holds_turn(false);
        company.release_turn();
        log::error!("{}: writing failed here; other processes may go on", self.path.display());
        Ok(())
    }

    /// The others, if there may be any.
    pub(crate) fn company(&self) -> Option<(&Company, &Commons)> {
        self.company.as_ref().zip(self.pager.commons())
    }

    /// Whether another process may write, so that nothing of the log is ours to force.
    pub(crate) fn is_away(&self) -> bool {
        self.company().is_some_and(|(_, commons)| !commons.holds_turn())
    }

    /// Whether a commit has to write its pages before readers may see it.
    pub(crate) fn writes_before_publishing(&self) -> bool {
        self.company.as_ref().is_some_and(|company| !company.is_private())
    }

    /// What a store without threads does behind each transaction: nobody else could give the turn away later.
    pub(crate) fn hand_over_by_hand(&self) {
        let manual = self.options.background == Background::Manual && self.company.is_some();
        if manual {
            let given = self.give_way();
            self.tell_if_stuck(given.as_ref().err());
        }
    }

    /// Tells the others, by the note of this process, whether it keeps what they wait for since it cannot write.
    pub(super) fn tell_if_stuck(&self, failed: Option<&Error>) {
        let Some((company, commons)) = self.company() else { return };
        let keeps = commons.holds_turn();
        if let Some(error) = failed {
            let what = if keeps { "is kept" } else { "was given up without a record" };
            log::warn!("the turn to write {} {what}: {error}", self.path.display());
        }
        let is_stuck = failed.is_some_and(|error| {
            matches!(error.kind(), ErrorKind::Io | ErrorKind::NoSpace | ErrorKind::Poisoned)
        });
        company.tell_stuck(is_stuck && keeps);
    }
}
