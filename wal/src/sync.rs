//! Making records durable: what a committer does when it is its turn to write for all.

use llmdb_base::{Lsn, sync::lock};

use crate::{
    Log, LogError, LogResult,
    commit_queue::{Leadership, Turn},
    flight::Flight,
    tail::Fill,
};

impl Log {
    /// Makes every record that ends at or before `lsn` durable; they survive a power failure once this
    /// returns.
    ///
    /// Cost: one write, shared with everybody who waits at the same time.
    ///
    /// # Errors
    /// - [`LogError::Io`], [`LogError::Poisoned`]: a write failed, now or earlier. The records may or may not
    ///   be durable; the log accepts nothing until it is opened again.
    /// - [`LogError::Misuse`] if no record ends at `lsn` or behind it.
    pub fn sync_to(&self, lsn: Lsn) -> LogResult<()> {
        if lsn > self.appended() {
            return Err(LogError::Misuse("no record ends there yet: nothing can make it durable"));
        }
        self.counters.commits.add(1);
        match self.queue.join(lsn) {
            Turn::Durable => Ok(()),
            Turn::Failed(reason) => Err(LogError::Poisoned(reason.to_string())),
            Turn::Lead(leadership) => self.lead(leadership, lsn),
        }
    }

    /// Writes for all until `target` is durable, then lets somebody else go on. After an error the queue has
    /// failed already, and dropping the leadership changes nothing.
    fn lead(&self, leadership: Leadership<'_>, target: Lsn) -> LogResult<()> {
        self.counters.syncs.add(1);
        let durable = self.write_until(target)?;
        leadership.step_down(durable);
        Ok(())
    }

    fn write_until(&self, target: Lsn) -> LogResult<Lsn> {
        let mut flight = lock(&self.flight);
        loop {
            self.check_usable()?;
            let durable = flight.durable();
            if durable >= target {
                return Ok(durable);
            }
            self.gather(&mut flight)?;
            if durable > self.queue.durable() {
                // Those who are served wake up while the next write is under way.
                flight.kick();
                self.queue.advance(durable);
            }
            self.reap(&mut flight)?;
        }
    }

    /// Seals what has been appended, and starts writing it.
    ///
    /// While a write for other committers is under way the open batch goes on gathering: two small writes at
    /// once cost more than one that is a little larger. Full batches that a long record left do not count.
    fn gather(&self, flight: &mut Flight) -> LogResult<()> {
        if !flight.carries_partial() {
            let mut tail = lock(&self.tail);
            if tail.has_unsealed_record() {
                tail.seal(Fill::Partial);
            }
        }
        self.submit_sealed(flight)
    }
}
