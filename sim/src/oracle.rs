//! Knows every state in which a store may be found after a crash.
//!
//! ```text
//!   state 0 --- 1 --- 2 --- 3 --- 4 --- 5          one after each commit
//!               |           |           |
//!        earlier acked    acked     submitted      a crash leaves one of states 3, 4, 5
//! ```

use std::ops::RangeInclusive;

use crate::{Contents, Digest};

/// The states a store went through, and how far it promised durability.
#[derive(Clone, Debug)]
pub struct Oracle {
    states: Vec<State>,
    acked: usize,
    earlier_acked: usize,
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
        Self { states: vec![State { contents, txid }], acked: 0, earlier_acked: 0 }
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
            self.earlier_acked = self.acked;
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
