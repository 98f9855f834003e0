//! What the processes may find, from what they were told.
//!
//! ```text
//!    states   0 --- 1 --- 2 --- 3 - - 4          4: submitted, and not heard of since
//!                               |
//!                   acknowledged, or seen        a snapshot shows 3 or 4; whoever writes next begins with 3 or 4
//! ```

use super::ProcessReport;
use crate::{Contents, Digest};

/// The states of the store. One process at a time submits, and whoever submits next has seen what became of it.
#[derive(Debug)]
pub(super) struct Model {
    /// After each commit that is known to have happened.
    states: Vec<State>,
    /// After the one that was submitted, and that nobody has heard of since.
    submitted: Option<State>,
    /// Whether that one was seen, so that it must have happened.
    is_seen: bool,
    submission_count: u64,
    pub(super) report: ProcessReport,
    /// Calls since somebody got further.
    pub(super) quiet_count: u64,
    /// The first invariant that did not hold.
    pub(super) broken: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    contents: Contents,
    /// Number of the submission that led to it.
    submission: u64,
    /// 0 if nobody was told.
    txid: u64,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            states: vec![State::default()],
            submitted: None,
            is_seen: false,
            submission_count: 0,
            report: ProcessReport::default(),
            quiet_count: 0,
            broken: None,
        }
    }
}

impl State {
    fn is(&self, found: Digest) -> bool {
        self.contents.digest() == found
    }
}

impl Model {
    pub(super) fn broken(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    /// Somebody got further.
    pub(super) fn moved(&mut self) {
        self.quiet_count = 0;
    }

    /// A process is killed, at whatever it was.
    pub(super) fn killed(&mut self) {
        self.moved();
        self.report.kill_count += 1;
    }

    /// Somebody has the turn and found this state: what was uncertain is decided.
    pub(super) fn begins_to_write(&mut self, found: Digest) {
        self.moved();
        let must_be = std::mem::take(&mut self.is_seen);
        match self.submitted.take() {
            Some(submitted) if submitted.is(found) => self.states.push(submitted),
            Some(_) if must_be => {
                self.broken(
                    "I8b: a commit was seen in a snapshot, and is not there for the next writer".into(),
                );
            }
            _ if self.last().is(found) => {}
            _ => {
                let what = self.describe(found);
                self.broken(format!("I1: whoever begins to write finds {what}"));
            }
        }
    }

    fn last(&self) -> &State {
        self.states.last().expect("there is a first state, and none is removed")
    }

    /// The newest state that is certain.
    pub(super) fn newest(&self) -> &Contents {
        &self.last().contents
    }

    /// Whoever has the turn commits what leads to `contents`. Returns the number of the submission.
    pub(super) fn submit(&mut self, contents: Contents) -> u64 {
        self.submission_count += 1;
        self.submitted = Some(State { contents, submission: self.submission_count, txid: 0 });
        self.report.unheard_count += 1;
        self.submission_count
    }

    /// A submission was acknowledged under this number; 0 if it changed nothing. Others may have gone on since.
    pub(super) fn acknowledged(&mut self, submission: u64, txid: u64) {
        self.moved();
        self.report.commit_count += 1;
        self.report.unheard_count -= 1;
        if self.submitted.as_ref().is_some_and(|submitted| submitted.submission == submission) {
            self.is_seen = false;
            self.states.extend(self.submitted.take());
        }
        let Some(index) = self.states.iter().rposition(|state| state.submission == submission) else {
            return self
                .broken(format!("I1: tx{txid} was acknowledged, and the next writer had not found it"));
        };
        self.states[index].txid = txid;
        let (before, after) = self.states.split_at(index);
        let before = before.iter().map(|state| state.txid).max().unwrap_or(0);
        let after =
            after[1..].iter().map(|state| state.txid).filter(|txid| *txid > 0).min().unwrap_or(u64::MAX);
        if txid != 0 && !(before < txid && txid < after) {
            self.broken(format!("I7: tx{txid} was given between tx{before} and tx{after}"));
        }
    }

    /// The oldest state that a snapshot may show which is taken from now on.
    pub(super) fn floor(&self) -> usize {
        self.states.len() - 1 + usize::from(self.is_seen)
    }

    /// A snapshot that was taken when `floor` was the oldest state to be seen shows this.
    pub(super) fn saw(&mut self, floor: usize, found: Digest) {
        self.moved();
        self.report.look_count += 1;
        if self.states.iter().skip(floor).any(|state| state.is(found)) {
            return;
        }
        if self.submitted.as_ref().is_some_and(|submitted| submitted.is(found)) {
            self.is_seen = true;
            return;
        }
        let what = self.describe(found);
        self.broken(format!("I8b: a snapshot shows {what}, when it was taken after state {floor}"));
    }

    /// A store that was opened after a power failure at this moment shows this.
    pub(super) fn found_after_crash(&mut self, found: Digest) {
        let is_submitted = self.submitted.as_ref().is_some_and(|submitted| submitted.is(found));
        let is_newest = !self.is_seen && self.last().is(found);
        if !is_submitted && !is_newest {
            let what = self.describe(found);
            self.broken(format!("I1: after a power failure there is {what}"));
        }
    }

    fn describe(&self, found: Digest) -> String {
        let newest = self.states.len() - 1;
        let more = if self.submitted.is_some() { " and one more was submitted" } else { "" };
        match self.states.iter().rposition(|state| state.is(found)) {
            Some(index) => format!("state {index}, where {newest} is the newest{more}"),
            None => format!("a state that never was, where {newest} is the newest{more}"),
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

    /// A model in which state 1 is certain, and state 2 was submitted.
    fn submitted() -> (Model, u64) {
        let mut model = Model::default();
        model.begins_to_write(Digest::default());
        let first = model.submit(contents(1));
        model.acknowledged(first, 10);
        model.begins_to_write(contents(1).digest());
        let second = model.submit(contents(2));
        (model, second)
    }

    #[test]
    fn what_was_submitted_may_be_there_or_not_until_somebody_has_seen_it() {
        for (found, is_fine) in [(1, true), (2, true), (3, false)] {
            let (mut model, _) = submitted();
            model.begins_to_write(contents(found).digest());
            assert_eq!(model.broken.is_none(), is_fine, "{found}");
            let (mut model, _) = submitted();
            model.saw(model.floor(), contents(found).digest());
            assert_eq!(model.broken.is_none(), is_fine, "{found}");
        }
        let (mut model, _) = submitted();
        model.saw(1, contents(2).digest());
        assert_eq!(model.floor(), 2);
        model.found_after_crash(contents(1).digest());
        assert!(model.broken.is_some());
    }

    #[test]
    fn an_answer_may_come_late_but_not_for_what_is_not_there() {
        let (mut model, second) = submitted();
        model.begins_to_write(contents(2).digest());
        let third = model.submit(contents(3));
        model.acknowledged(third, 12);
        model.acknowledged(second, 11);
        assert_eq!(model.broken, None);

        let (mut model, second) = submitted();
        model.begins_to_write(contents(1).digest());
        model.acknowledged(second, 11);
        assert!(model.broken.is_some_and(|what| what.starts_with("I1")));

        let (mut model, second) = submitted();
        model.acknowledged(second, 10);
        assert!(model.broken.is_some_and(|what| what.starts_with("I7")));
    }

    #[test]
    fn a_snapshot_shows_what_was_acknowledged_before() {
        let (mut model, second) = submitted();
        let before = model.floor();
        model.acknowledged(second, 11);
        model.saw(before, contents(1).digest());
        assert_eq!(model.broken, None);
        model.saw(model.floor(), contents(1).digest());
        assert!(model.broken.is_some());
    }
}
