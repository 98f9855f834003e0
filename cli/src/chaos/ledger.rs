//! What the processes were told and said: the only memory that outlives them.

use std::{fmt, time::Duration};

use serde_json::{Value, json};

/// What must never happen, or should not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An acknowledged write is not there, or was overwritten by one that did not see it.
    Lost,
    /// Something was seen that no transaction left behind.
    Torn,
    /// A reader saw less than was acknowledged before it looked.
    Stale,
    /// A reader saw less than it had seen before.
    WentBack,
    /// A writer, a reader or a process made no progress for too long.
    Stuck,
    /// A call failed that had no reason to.
    Failed,
}

impl Kind {
    pub const ALL: [Self; 6] =
        [Self::Lost, Self::Torn, Self::Stale, Self::WentBack, Self::Stuck, Self::Failed];

    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Torn => "torn",
            Self::Stale => "stale",
            Self::WentBack => "went_back",
            Self::Stuck => "stuck",
            Self::Failed => "failed",
        }
    }

    /// Whether the database gave a wrong answer, and not merely none.
    pub fn is_damage(self) -> bool {
        !matches!(self, Self::Stuck | Self::Failed)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Somebody who has to make progress.
#[derive(Clone, Debug, Default)]
struct Party {
    /// When it was last heard of, or its process was started; `None` while it has none.
    heard: Option<Duration>,
}

#[derive(Clone, Debug, Default)]
struct Writer {
    party: Party,
    /// The newest transaction that was acknowledged.
    acknowledged: u64,
    /// How many transactions may be there that were not: one for each process that was killed since.
    unheard: u64,
}

/// The record of a run.
#[derive(Debug)]
pub struct Ledger {
    writers: Vec<Writer>,
    readers: Vec<Party>,
    pub transaction_count: u64,
    pub look_count: u64,
    problems: Vec<(Kind, String)>,
    /// When a transaction was last acknowledged, and the longest time without one since the last kill.
    last: Duration,
    silence: Duration,
    /// Longest silence after each kill.
    takeovers: Vec<Duration>,
}

impl Ledger {
    pub fn new(writers: usize, readers: usize) -> Self {
        Self {
            writers: vec![Writer::default(); writers],
            readers: vec![Party::default(); readers],
            transaction_count: 0,
            look_count: 0,
            problems: Vec::new(),
            last: Duration::ZERO,
            silence: Duration::ZERO,
            takeovers: Vec::new(),
        }
    }

    /// Takes down what a process said at `now`. What makes no sense is a problem, too.
    pub fn hear(&mut self, line: &str, now: Duration) {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        let number = |index: usize| words.get(index).and_then(|word| word.parse::<u64>().ok());
        match (words.first().copied(), number(1), number(2)) {
            (Some("ack"), Some(writer), Some(count)) => self.acknowledge(writer, count, now),
            (Some("seen"), Some(reader), Some(count)) => {
                self.look_count += count;
                if let Some(party) =
                    usize::try_from(reader).ok().and_then(|index| self.readers.get_mut(index))
                {
                    // A reader that sees nothing is one that waits.
                    if count > 0 {
                        party.heard = Some(now);
                    }
                }
            }
            (Some("bad"), ..) => {
                let kind =
                    words.get(1).and_then(|name| Kind::ALL.into_iter().find(|kind| kind.name() == *name));
                self.problem(kind.unwrap_or(Kind::Failed), (*words.get(2).unwrap_or(&line)).to_owned());
            }
            (Some("open" | "closed"), ..) => {}
            _ => self.problem(Kind::Failed, format!("a process said {line:?}")),
        }
    }

    fn acknowledge(&mut self, writer: u64, count: u64, now: Duration) {
        let Some(known) = usize::try_from(writer).ok().and_then(|index| self.writers.get_mut(index)) else {
            return self.problem(Kind::Failed, format!("there is no writer {writer}"));
        };
        let before = known.acknowledged;
        let skipped = count.checked_sub(before + 1);
        let unheard = known.unheard;
        known.party.heard = Some(now);
        known.acknowledged = before.max(count);
        self.transaction_count += 1;
        self.silence = self.silence.max(now.saturating_sub(self.last));
        self.last = now;
        match skipped {
            None => {
                let what = format!("writer {writer}: {before} was acknowledged, and {count} came after it");
                self.problem(Kind::Lost, what);
            }
            Some(skipped) if skipped > unheard => {
                let what =
                    format!("writer {writer}: {count} came after {before}, though {unheard} had no answer");
                self.problem(Kind::Torn, what);
            }
            Some(skipped) => self.writers[usize::try_from(writer).unwrap_or(0)].unheard -= skipped,
        }
    }

    pub fn problem(&mut self, kind: Kind, what: String) {
        self.problems.push((kind, what));
    }

    /// A process with these writers and readers begins.
    pub fn begins(
        &mut self,
        writers: std::ops::Range<usize>,
        readers: std::ops::Range<usize>,
        now: Duration,
    ) {
        for party in self.parties(writers, readers) {
            party.heard = Some(now);
        }
    }

    /// The process with these writers and readers is gone, and all that it said was heard.
    pub fn ends(&mut self, writers: std::ops::Range<usize>, readers: std::ops::Range<usize>, killed: bool) {
        for writer in &mut self.writers[writers.clone()] {
            writer.unheard += u64::from(killed);
        }
        for party in self.parties(writers, readers) {
            party.heard = None;
        }
    }

    fn parties(
        &mut self,
        writers: std::ops::Range<usize>,
        readers: std::ops::Range<usize>,
    ) -> impl Iterator<Item = &mut Party> {
        let writers = self.writers[writers].iter_mut().map(|writer| &mut writer.party);
        writers.chain(&mut self.readers[readers])
    }

    /// From here on, silence is that of a takeover.
    pub fn killed(&mut self, now: Duration) {
        self.takeovers.push(Duration::ZERO);
        (self.last, self.silence) = (now, Duration::ZERO);
    }

    /// The silence after the last kill is over, at the latest because the next one comes.
    pub fn recovered(&mut self) {
        if let Some(takeover) = self.takeovers.last_mut() {
            *takeover = self.silence.max(*takeover);
        }
        self.silence = Duration::ZERO;
    }

    /// Notes whoever was not heard of for `patience`, once.
    pub fn look_for_stuck(&mut self, now: Duration, patience: Duration) {
        let is_late = |party: &Party| party.heard.is_some_and(|heard| now.saturating_sub(heard) > patience);
        let writers = self.writers.iter().map(|writer| &writer.party).enumerate();
        let readers = self.readers.iter().enumerate();
        let late = writers.map(|found| ("writer", found)).chain(readers.map(|found| ("reader", found)));
        let late: Vec<String> = late
            .filter(|(_, (_, party))| is_late(party))
            .map(|(what, (index, _))| format!("{what} {index} was not heard of for {} s", patience.as_secs()))
            .collect();
        for what in late {
            self.problem(Kind::Stuck, what);
        }
        let all = (0..self.writers.len(), 0..self.readers.len());
        for party in self.parties(all.0, all.1) {
            if party.heard.is_some_and(|heard| now.saturating_sub(heard) > patience) {
                party.heard = Some(now);
            }
        }
    }

    /// How far each writer is known to have come.
    pub fn known(&self) -> Vec<u64> {
        self.writers.iter().map(|writer| writer.acknowledged).collect()
    }

    /// Compares what is found at the end with what was acknowledged.
    pub fn settle(&mut self, found: &[u64]) {
        for (index, found) in found.iter().enumerate() {
            let Writer { acknowledged, unheard, .. } = self.writers[index];
            if *found < acknowledged {
                self.problem(
                    Kind::Lost,
                    format!("writer {index}: {acknowledged} acknowledged, {found} found"),
                );
            } else if *found > acknowledged + unheard {
                let what = format!(
                    "writer {index}: {acknowledged} acknowledged, {unheard} had no answer, {found} found"
                );
                self.problem(Kind::Torn, what);
            }
        }
    }

    pub fn count(&self, kind: Kind) -> usize {
        self.problems.iter().filter(|(of, _)| *of == kind).count()
    }

    pub fn problems(&self) -> &[(Kind, String)] {
        &self.problems
    }

    /// Median and longest of the silences after kills, in seconds.
    pub fn takeovers(&self) -> Option<(f64, f64)> {
        let mut seconds: Vec<f64> = self.takeovers.iter().map(Duration::as_secs_f64).collect();
        seconds.sort_by(f64::total_cmp);
        Some((*seconds.get(seconds.len() / 2)?, *seconds.last()?))
    }

    pub fn json(&self) -> Value {
        let problems: Vec<Value> = self
            .problems
            .iter()
            .take(20)
            .map(|(kind, what)| json!({ "kind": kind.name(), "what": what }))
            .collect();
        let takeovers = self.takeovers();
        let mut all = json!({
            "transactions": self.transaction_count,
            "looks": self.look_count,
            "takeover_median_seconds": takeovers.map(|(median, _)| median),
            "takeover_longest_seconds": takeovers.map(|(_, longest)| longest),
            "problems": problems,
        });
        for kind in Kind::ALL {
            all[kind.name()] = self.count(kind).into();
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    fn heard(lines: &[&str]) -> Vec<Kind> {
        let mut ledger = Ledger::new(2, 1);
        lines.iter().for_each(|line| match *line {
            "killed" => ledger.ends(0..2, 0..1, true),
            line => ledger.hear(line, NOW),
        });
        ledger.problems.iter().map(|(kind, _)| *kind).collect()
    }

    #[test]
    fn numbers_follow_each_other_but_for_one_that_a_kill_left_without_an_answer() {
        assert_eq!(heard(&["open", "ack 0 1", "ack 1 1", "ack 0 2", "seen 0 7", "closed"]), []);
        assert_eq!(heard(&["ack 0 1", "killed", "ack 0 3", "ack 0 4"]), []);
        assert_eq!(heard(&["ack 0 1", "killed", "ack 0 2", "killed", "killed", "ack 0 6"]), []);
        assert_eq!(heard(&["ack 0 1", "ack 0 3"]), [Kind::Torn]);
        assert_eq!(heard(&["ack 0 1", "killed", "ack 0 4"]), [Kind::Torn]);
        assert_eq!(heard(&["ack 0 1", "killed", "ack 0 3", "ack 0 5"]), [Kind::Torn]);
        assert_eq!(heard(&["ack 0 5"]), [Kind::Torn]);
        assert_eq!(heard(&["ack 1 1", "ack 1 1"]), [Kind::Lost]);
    }

    #[test]
    fn what_processes_find_is_taken_down() {
        let lines =
            ["bad stale reader 0: x", "bad torn y", "bad went_back z", "bad strange", "nonsense", "ack 9 1"];
        let expected = [Kind::Stale, Kind::Torn, Kind::WentBack, Kind::Failed, Kind::Failed, Kind::Failed];
        assert_eq!(heard(&lines), expected);
    }

    #[test]
    fn the_end_is_compared_with_what_was_acknowledged() {
        let settle = |found: &[u64]| {
            let mut ledger = Ledger::new(2, 0);
            ledger.hear("ack 0 1", NOW);
            ledger.ends(0..1, 0..0, true);
            ledger.settle(found);
            ledger.problems.iter().map(|(kind, _)| *kind).collect::<Vec<_>>()
        };
        assert_eq!(settle(&[1, 0]), []);
        assert_eq!(settle(&[2, 0]), []);
        assert_eq!(settle(&[0, 0]), [Kind::Lost]);
        assert_eq!(settle(&[3, 0]), [Kind::Torn]);
        assert_eq!(settle(&[1, 1]), [Kind::Torn]);
    }

    #[test]
    fn who_is_not_heard_of_is_stuck_unless_gone() {
        let mut ledger = Ledger::new(3, 1);
        ledger.begins(0..3, 0..1, NOW);
        ledger.hear("ack 0 1", 5 * NOW);
        ledger.ends(1..2, 0..0, false);
        ledger.look_for_stuck(7 * NOW, 4 * NOW);
        assert_eq!(ledger.count(Kind::Stuck), 2, "writer 2 and the reader: {:?}", ledger.problems);
        ledger.look_for_stuck(8 * NOW, 4 * NOW);
        assert_eq!(ledger.count(Kind::Stuck), 2, "each is counted once in a while");
    }

    #[test]
    fn silence_after_a_kill_is_that_of_the_takeover() {
        let mut ledger = Ledger::new(1, 0);
        assert_eq!(ledger.takeovers(), None);
        ledger.hear("ack 0 1", NOW);
        ledger.killed(3 * NOW);
        ledger.hear("ack 0 2", 4 * NOW);
        ledger.hear("ack 0 3", 6 * NOW);
        ledger.recovered();
        ledger.killed(10 * NOW);
        ledger.hear("ack 0 4", 11 * NOW);
        ledger.recovered();
        assert_eq!(ledger.takeovers(), Some((2.0, 2.0)));
    }
}
