//! What a process does for the others while it has the turn: it writes private pages when somebody comes, hands the turn
//! over when somebody waits, and goes back to private pages when it is alone.

use std::sync::{
    Arc,
    atomic::Ordering::{Acquire, Release},
};

use llmdb_base::sync::lock;
use llmdb_pager::share::layout;

use super::Company;
use crate::{Background, Engine, Error, Result, engine::Shared};

/// How long a process with work to do keeps the turn while others wait.
const QUANTUM_US: u64 = 10_000;
/// A process that has begun no write transaction for so long has no work to do.
const IDLE_US: u64 = 1_000;
/// After so long without work a process hands the turn over though nobody waits: should it die, nothing has to be
/// recovered. Until then it looks whether it is alone again.
const REST_US: u64 = 100_000;
/// When to try again what failed.
const RETRY_US: u64 = 1_000_000;
/// As good as never: whoever wants something rings.
const NEVER_US: u64 = 3_600_000_000;

impl Engine {
    /// Lets other processes write, and see what was committed, if there are any. For [`Background::Manual`]; a thread
    /// does it otherwise. Without other processes it does nothing.
    ///
    /// # Errors
    /// [`Error::Misuse`] if a write transaction is open; those of writing pages and of forcing the log.
    pub fn give_way(&self) -> Result<()> {
        self.shared.give_way()
    }
}

impl Company {
    /// Every published page is in the file now: those who wait for that may come in.
    pub(super) fn show_pages(&self) {
        if self.private.swap(false, Release) || self.load(layout::PRIVATE) != 0 {
            self.store(layout::PRIVATE, 0);
            self.area.wake(layout::PRIVATE);
        }
    }

    /// From here on pages may be published that are in our memory only. The caller has the door, and is alone.
    pub(super) fn hide_pages(&self) {
        self.store(layout::PRIVATE, 1);
        self.private.store(true, Release);
    }

    /// Ends the thread that serves the others.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Release);
        let thread = lock(&self.thread).take();
        self.ring();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // A panic in the thread has been printed by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Starts the thread that serves the others, if it does not run yet.
    pub(crate) fn serve_in_background(&self) {
        let Some(company) = self.company.as_ref().filter(|_| self.options.background == Background::Threads)
        else {
            return;
        };
        let Some(shared) = self.workers.employer() else { return };
        let mut thread = lock(&company.thread);
        if thread.is_some() || company.stopping.load(Acquire) {
            return;
        }
        let (area, stopping) = (Arc::clone(&company.area), Arc::clone(&company.stopping));
        let work = move || {
            while !stopping.load(Acquire) {
                let seen = area.words()[layout::DOORBELL].load(Acquire);
                let Some(shared) = shared.upgrade() else { return };
                let pause_us = shared.serve();
                drop(shared);
                area.wait(layout::DOORBELL, seen, pause_us);
            }
        };
        match std::thread::Builder::new().name("llmdb-share".into()).spawn(work) {
            Ok(started) => *thread = Some(started),
            Err(error) => log::warn!("no thread that serves other processes: {error}"),
        }
    }

    /// Does what the others wait for. How long to wait for the next ring.
    fn serve(&self) -> u64 {
        let served = self.try_serve();
        self.tell_if_stuck(served.as_ref().err());
        served.unwrap_or(RETRY_US)
    }

    fn try_serve(&self) -> Result<u64> {
        let Some((company, _)) = self.company().filter(|(_, commons)| commons.holds_turn()) else {
            return Ok(NEVER_US);
        };
        if !company.area.is_whole() {
            return Ok(NEVER_US);
        }
        if self.check_poison().is_err() && company.has_company()? {
            // Says why in the log of the program; from then on the turn is not ours.
            self.hand_over()?;
            return Ok(NEVER_US);
        }
        if !company.is_private() {
            // Whoever stored there that pages are private keeps others out for nothing.
            company.show_pages();
        }
        if company.is_private() {
            if company.has_company()? {
                self.show_pages()?;
            } else {
                return Ok(NEVER_US);
            }
        }
        let now = company.now_us();
        let age_us = now.saturating_sub(company.began_us.load(Acquire));
        let idle_us = now.saturating_sub(company.busy_us.load(Acquire));
        if company.is_awaited()? {
            if age_us < QUANTUM_US && idle_us < IDLE_US {
                return Ok(IDLE_US);
            }
            self.hand_over()?;
            return Ok(NEVER_US);
        }
        self.hide_pages_if_alone()?;
        if company.is_private() {
            return Ok(NEVER_US);
        }
        if idle_us < REST_US {
            return Ok(REST_US - idle_us);
        }
        self.hand_over()?;
        Ok(NEVER_US)
    }

    /// Writes the pages that other processes cannot see yet.
    fn show_pages(&self) -> Result<()> {
        let _one = self.checkpointing.enter();
        let _permit = self.gate.enter();
        let Some((company, _)) = self.company().filter(|(_, commons)| commons.holds_turn()) else {
            return Ok(());
        };
        self.pager.write_out()?;
        company.show_pages();
        Ok(())
    }

    /// Goes over to private pages if nobody else is there any more.
    fn hide_pages_if_alone(&self) -> Result<()> {
        if self.company.as_ref().is_none_or(|company| company.has_company().unwrap_or(true)) {
            return Ok(());
        }
        let _permit = self.gate.enter();
        let Some((company, _)) = self.company().filter(|(_, commons)| commons.holds_turn()) else {
            return Ok(());
        };
        let Some(_door) = company.try_door()? else { return Ok(()) };
        if !company.is_private() && !company.has_company()? {
            // Nobody looks for the dead again before the next process comes.
            self.free_dead_readers_at_the_door()?;
            company.hide_pages();
        }
        Ok(())
    }

    pub(super) fn give_way(&self) -> Result<()> {
        let Some((company, commons)) = self.company() else { return Ok(()) };
        if !commons.holds_turn() || !company.has_company()? {
            return Ok(());
        }
        let _one = self.checkpointing.enter();
        let Some(_permit) = self.gate.try_enter() else {
            return Err(Error::Misuse("a write transaction is still open".into()));
        };
        self.hand_over_held()
    }
}
