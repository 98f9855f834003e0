//! Going out: the last process closes the store, the others leave it to those who stay.

use super::{Company, PROCESS};
use crate::{Error, Result, engine::Shared, open::Places};

impl Shared {
    /// Closes a store that processes share.
    pub(crate) fn close_shared(&self) -> Result<()> {
        let Some(company) = &self.company else { return Ok(()) };
        // Whoever waits at the door for pages of ours is served while we wait for the door.
        let door = company.wait_for_door(self.options.lock_timeout_us);
        company.stop();
        let _door = door?;
        let is_last = !company.has_company()?;
        if self.options.read_only {
            self.deregister(company)?;
            return if is_last { self.remove_area(company) } else { Ok(()) };
        }
        if !is_last {
            let handed_over = self.hand_over_now();
            if self.is_away() {
                // Also if writing had failed: the others go on without this process.
                self.deregister(company)?;
            }
            return handed_over;
        }
        self.check_poison()?;
        {
            let Some(_permit) = self.gate.try_enter() else { return Err(open_txn()) };
            self.take_turn(self.options.lock_timeout_us)?;
        }
        let _one = self.checkpointing.enter();
        self.close_cleanly()?;
        company.show_pages();
        if let Some((_, commons)) = self.company() {
            commons.set_holds_turn(false);
        }
        company.release_turn();
        self.deregister(company)?;
        self.remove_area(company)
    }

    fn hand_over_now(&self) -> Result<()> {
        let _one = self.checkpointing.enter();
        let Some(_permit) = self.gate.try_enter() else { return Err(open_txn()) };
        self.hand_over_held()
    }

    /// Counts as gone from here on, unless a snapshot is left, which does so when it goes.
    fn deregister(&self, company: &Company) -> Result<()> {
        match self.company() {
            Some((_, commons)) if !commons.has_readers() => company.unlock(PROCESS + company.process as u64),
            _ => Ok(()),
        }
    }

    /// A store that is closed is one file. If that does not work, a file is left that says nothing.
    fn remove_area(&self, company: &Company) -> Result<()> {
        let is_gone = self.company().is_some_and(|(_, commons)| !commons.has_readers());
        if is_gone && let Err(error) = company.vfs.remove_file(&Places::of(&self.path).share) {
            log::debug!("the file that processes shared stays: {error}");
        }
        Ok(())
    }
}

fn open_txn() -> Error {
    Error::Misuse("a write transaction is still open".into())
}
