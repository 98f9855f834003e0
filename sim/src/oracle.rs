//! Knows every state in which a store may be found after a crash.
//!
//! ```text
//!   state 0 --- 1 --- 2 --- 3 --- 4 --- 5          one after each commit
//!               |           |           |
//!        earlier acked    acked     submitted      a crash leaves one of states 3, 4, 5
//! ```

use std::ops::RangeInclusive;

use crate::{Contents, Digest, Footprint, Transaction};

/// The states a store went through, and how far it promised durability.
#[derive(Clone, Debug)]
pub struct Oracle {
    states: Vec<State>,
    acked: usize,
    earlier_acked: usize,
    burden: Burden,
}

/// The most that the store had to carry so far.
#[derive(Clone, Copy, Default, Debug)]
struct Burden {
    /// Bytes that a transaction wrote to the log.
    log_bytes: u64,
    /// Bytes of pages that a transaction wrote.
    page_bytes: u64,
    /// Bytes of the newest state, times the states that were held at the same time.
    live_bytes: u64,
}

#[derive(Clone, Debug)]
struct State {
    contents: Contents,
    /// 0 if the store has not said.
    txid: u64,
}

impl Oracle {
    /// A store that holds `contents`, durably, the newest transaction being `txid`.
    pub fn new(contents: Contents, txid: u64) -> Self {
        let burden = Burden::default();
        Self { states: vec![State { contents, txid }], acked: 0, earlier_acked: 0, burden }
    }

    /// Of the same store, found durably in the state after `count` commits.
    pub fn found(&self, count: usize) -> Self {
        Self { burden: self.burden, ..Self::new(self.state(count).clone(), self.txid(count)) }
    }

    /// A transaction is about to be run, committed in the end or not.
    pub(crate) fn note_transaction(&mut self, transaction: &Transaction) {
        let burden = &mut self.burden;
        burden.log_bytes = burden.log_bytes.max(transaction.log_bytes());
        burden.page_bytes = burden.page_bytes.max(transaction.page_bytes());
    }

    /// The store holds that much, and `held` snapshots besides.
    pub(crate) fn note_footprint(&mut self, footprint: &Footprint, held: usize) {
        let live_bytes = footprint.live_bytes * (held as u64 + 1);
        self.burden.live_bytes = self.burden.live_bytes.max(live_bytes);
    }

    /// I9: whether the work of a recovery, and the length of the data file, stay within their bounds.
    ///
    /// # Errors
    /// The bound that was passed.
    pub(crate) fn check_footprint(&self, footprint: &Footprint) -> Result<(), String> {
        // The fixed pages reach beyond the first mebibyte, and the file grows by a quarter of that. Two checkpoints,
        // one under way, and the newest state may each keep all pages of a state.
        const FIXED_BYTES: u64 = 3 << 19;
        const STATES: u64 = 4;
        let Footprint { replayed_bytes, replayed_bytes_max, file_bytes, .. } = *footprint;
        let replay_bound = replayed_bytes_max + self.burden.log_bytes;
        if replayed_bytes > replay_bound {
            return Err(format!("{replayed_bytes} bytes of log were replayed; {replay_bound} are the bound"));
        }
        let file_bound = FIXED_BYTES + STATES * self.burden.live_bytes + self.burden.page_bytes;
        if file_bytes > file_bound {
            return Err(format!("the data file has {file_bytes} bytes; {file_bound} are the bound"));
        }
        Ok(())
    }

    /// A transaction is being committed that leads to `contents`: from now on a crash may leave it.
    pub fn submit(&mut self, contents: Contents) {
        self.states.push(State { contents, txid: 0 });
    }

    /// The transaction submitted last was refused: it can never be found.
    pub fn retract(&mut self) {
        self.states.pop();
    }

    /// The transaction submitted last is committed under this number; 0 if the store gave it none, because it
    /// changed nothing.
    ///
    /// # Errors
    /// A sentence, if the number does not ascend.
    pub fn committed(&mut self, txid: u64) -> Result<(), String> {
        let before = self.states.iter().rev().map(|state| state.txid).find(|txid| *txid > 0).unwrap_or(0);
        if let Some(state) = self.states.last_mut() {
            state.txid = txid;
        }
        if txid > before || txid == 0 { Ok(()) } else { Err(format!("tx{txid} was given after tx{before}")) }
    }

    /// Everything submitted is durable.
    pub fn ack_all(&mut self) {
        self.ack(self.submitted());
    }

    fn ack(&mut self, count: usize) {
        if count > self.acked {
            // Commits that changed nothing got no number and wrote nothing: damage finds the same bytes as before.
            if self.states[self.acked + 1..=count].iter().any(|state| state.txid > 0) {
                self.earlier_acked = self.acked;
            }
            self.acked = count;
        }
    }

    /// Number of commits submitted: the newest state that may be found.
    pub fn submitted(&self) -> usize {
        self.states.len() - 1
    }

    /// Number of commits that must not be lost.
    pub fn acked(&self) -> usize {
        self.acked
    }

    /// The states a crash may leave.
    pub fn after_crash(&self) -> RangeInclusive<usize> {
        self.acked..=self.submitted()
    }

    /// The states a crash may leave if stored bytes are damaged besides: nobody can tell a damaged tail of the
    /// log from a torn one, so what was acknowledged last may go.
    pub fn after_damage(&self) -> RangeInclusive<usize> {
        self.earlier_acked..=self.submitted()
    }

    /// The newest state.
    pub fn newest(&self) -> &Contents {
        self.state(self.submitted())
    }

    /// The state after `count` commits.
    pub fn state(&self, count: usize) -> &Contents {
        &self.states[count].contents
    }

    /// The newest transaction number up to the state after `count` commits.
    pub fn txid(&self, count: usize) -> u64 {
        self.states[..=count].iter().rev().map(|state| state.txid).find(|txid| *txid > 0).unwrap_or(0)
    }

    /// Which of the states in `allowed` has this digest; the oldest, if several do.
    ///
    /// # Errors
    /// What was found instead.
    pub fn find(&self, digest: Digest, allowed: RangeInclusive<usize>) -> Result<usize, String> {
        let is_it = |count: &usize| self.state(*count).digest() == digest;
        if let Some(count) = allowed.clone().find(is_it) {
            return Ok(count);
        }
        let wanted = format!("one of the states {} to {} was expected", allowed.start(), allowed.end());
        Err(match (0..self.states.len()).rev().find(is_it) {
            Some(count) => format!("state {count} was found; {wanted}"),
            None => format!("a state was found that never was; {wanted}"),
        })
    }

    /// A crash left the state after `count` commits: the ones behind it never happened. `is_durable` tells
    /// whether another crash must leave it, too.
    pub fn settle(&mut self, count: usize, is_durable: bool) {
        self.states.truncate(count + 1);
        if is_durable {
            self.ack(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(count: u8) -> Contents {
        let mut contents = Contents::default();
        contents.put("t", vec![count], [count][..].into());
        contents
    }

    #[test]
    fn a_crash_leaves_a_state_between_acked_and_submitted() {
        let mut oracle = Oracle::new(contents(0), 0);
        for count in 1..=4 {
            oracle.submit(contents(count));
            oracle.committed(u64::from(count) * 10).unwrap();
            if count == 2 {
                oracle.ack_all();
            }
        }
        let find = |count: u8| oracle.find(contents(count).digest(), oracle.after_crash());
        assert_eq!((find(2), find(3), find(4)), (Ok(2), Ok(3), Ok(4)));
        assert!(find(1).unwrap_err().starts_with("state 1 was found"));
        assert!(find(9).unwrap_err().contains("never was"));
        assert_eq!(oracle.after_damage(), 0..=4);
    }

    #[test]
    fn a_commit_that_changed_nothing_leaves_nothing_that_could_be_damaged() {
        let mut oracle = Oracle::new(contents(0), 0);
        for (count, txid) in [(1, 1), (2, 2), (2, 0), (2, 0)] {
            oracle.submit(contents(count));
            oracle.committed(txid).unwrap();
            oracle.ack_all();
        }
        assert_eq!((oracle.after_crash(), oracle.after_damage()), (4..=4, 1..=4));
    }

    #[test]
    fn a_settled_crash_is_the_new_beginning() {
        let mut oracle = Oracle::new(contents(0), 5);
        oracle.submit(contents(1));
        oracle.submit(contents(2));
        oracle.retract();
        oracle.submit(contents(3));
        oracle.settle(1, true);
        assert_eq!((oracle.after_crash(), oracle.after_damage()), (1..=1, 0..=1));
        oracle.submit(contents(4));
        assert!(oracle.committed(5).is_err(), "a number is given once");
        assert_eq!(oracle.txid(1), 5);
    }
}
