//! Millions of crash states: seed after seed on several threads, with a record from which a run that was stopped
//! goes on.
//!
//! Each seed has a kind of its own, which follows from the seed alone, so that a seed is enough to see a run again:
//!
//! | of 16 seeds | what they do |
//! |---|---|
//! | 12 | crashes of all sorts, as the tests do them |
//! | 1 | the same, and up to 128 crash states of a moment are recovered all, not by chance |
//! | 1 | crashes upon crashes: half of all recoveries are themselves cut short, three deep |
//! | 1 | a disk that promises durability without giving it |
//! | 1 | one write or sync that is lost, one block read from or written to the wrong place, for many calls |

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{Config, Report, Subject, Violation, run_deceits, run_seed};

/// What has been done of a long run, and the seeds to come. Its text form is the record on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LongRun {
    /// All seeds below are done.
    done_below: u64,
    /// Seeds that are done beyond that.
    done_beyond: BTreeSet<u64>,
    /// Handed out and not done.
    next: u64,
    report: Report,
}

/// How a seed is run: its kind, as the module says.
pub fn config_of(seed: u64) -> Config {
    let config = Config { seed, only_seed: true, ..Config::default() };
    match seed % 16 {
        12 => Config { exhaustive_max: 128, point_percent: 20, ..config },
        13 => Config { nest_percent: 50, point_percent: 15, step_count: 25, ..config },
        14 => Config { disk_lies: true, ..config },
        15 => Config { deceits: true, step_count: 15, fault_runs_max: 150, ..config },
        _ => config,
    }
}

/// Runs one seed in the way that is its own.
///
/// # Errors
/// The first violation.
pub fn run_one<S: Subject>(subject: &Arc<S>, config: &Config) -> Result<Report, Violation> {
    if config.deceits {
        run_deceits(subject, config, config.seed)
    } else {
        run_seed(subject, config, config.seed)
    }
}

impl LongRun {
    /// A run that begins with `first_seed`.
    pub fn new(first_seed: u64) -> Self {
        let report = Report::default();
        Self { done_below: first_seed, done_beyond: BTreeSet::new(), next: first_seed, report }
    }

    /// Everything done so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The first seed that is not done.
    pub fn next_seed(&self) -> u64 {
        self.done_below
    }

    /// Runs seeds on `threads` threads until `states_wanted` crash states were recovered, counting those of before.
    /// `each` is called after every seed, one thread at a time; the run ends early once it answers `false`.
    ///
    /// # Errors
    /// The first violation. The seeds that were done by then are recorded, the one that failed is not.
    pub fn go_on<S: Subject>(
        &mut self,
        subject: &Arc<S>,
        states_wanted: u64,
        threads: NonZeroUsize,
        each: impl FnMut(&Self) -> bool + Send,
    ) -> Result<(), Violation> {
        let shared = Mutex::new(Under { run: self, each, violation: None, is_over: false });
        let work = || {
            loop {
                // The lock is given back before the work begins.
                let seed = lock(&shared).take(states_wanted);
                let Some(seed) = seed else { return };
                let done = run_one(subject, &config_of(seed));
                lock(&shared).finish(seed, done);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..threads.get() {
                scope.spawn(work);
            }
        });
        let violation = lock(&shared).violation.take();
        violation.map_or(Ok(()), Err)
    }

    fn take(&mut self) -> u64 {
        while self.done_beyond.contains(&self.next) {
            self.next += 1;
        }
        self.next += 1;
        self.next - 1
    }

    fn note(&mut self, seed: u64, report: &Report) {
        self.report.add(report);
        self.done_beyond.insert(seed);
        while self.done_beyond.remove(&self.done_below) {
            self.done_below += 1;
        }
    }

    /// The record: lines of a name and numbers.
    pub fn encode(&self) -> String {
        let mut text = format!("done_below {}\n", self.done_below);
        for seed in &self.done_beyond {
            text.push_str(&format!("done {seed}\n"));
        }
        for (name, count) in self.report.counts() {
            text.push_str(&format!("{name} {count}\n"));
        }
        text
    }

    /// The run that a record tells of.
    ///
    /// # Errors
    /// The line that says nothing.
    pub fn decode(text: &str) -> Result<Self, String> {
        let mut run = Self::new(0);
        for line in text.lines().filter(|line| !line.is_empty()) {
            let wrong = || format!("the record of the run cannot be read: {line:?}");
            let (name, number) = line.split_once(' ').ok_or_else(wrong)?;
            let number: u64 = number.parse().map_err(|_| wrong())?;
            match name {
                "done_below" => run.done_below = number,
                "done" => drop(run.done_beyond.insert(number)),
                _ => *run.report.count_mut(name).ok_or_else(wrong)? = number,
            }
        }
        run.next = run.done_below;
        Ok(run)
    }
}

/// A run that threads share.
struct Under<'a, E> {
    run: &'a mut LongRun,
    each: E,
    violation: Option<Violation>,
    is_over: bool,
}

impl<E: FnMut(&LongRun) -> bool> Under<'_, E> {
    fn take(&mut self, states_wanted: u64) -> Option<u64> {
        let wanted = !self.is_over && self.run.report.state_count < states_wanted;
        wanted.then(|| self.run.take())
    }

    fn finish(&mut self, seed: u64, done: Result<Report, Violation>) {
        match done {
            Ok(report) => {
                self.run.note(seed, &report);
                self.is_over |= !(self.each)(self.run);
            }
            Err(violation) => {
                self.is_over = true;
                self.violation.get_or_insert(violation);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::{Bug, Toy};

    const TWO: NonZeroUsize = NonZeroUsize::new(2).expect("two");

    #[test]
    fn a_run_that_is_stopped_goes_on_from_its_record() {
        let toy = Arc::new(Toy::default());
        let mut whole = LongRun::new(0);
        whole.go_on(&toy, 6_000, NonZeroUsize::MIN, |_| true).unwrap();
        let mut stopped = LongRun::new(0);
        stopped.go_on(&toy, 6_000, NonZeroUsize::MIN, |run| run.report().seed_count < 3).unwrap();
        assert!(stopped.report().state_count < 6_000);
        let mut again = LongRun::decode(&stopped.encode()).unwrap();
        again.go_on(&toy, 6_000, NonZeroUsize::MIN, |_| true).unwrap();
        assert_eq!(again, whole);
    }

    #[test]
    fn seeds_that_were_done_out_of_order_are_done_once() {
        let mut run = LongRun::new(4);
        assert_eq!((run.take(), run.take(), run.take()), (4, 5, 6));
        run.note(5, &Report { state_count: 2, ..Report::default() });
        let mut run = LongRun::decode(&run.encode()).unwrap();
        assert_eq!((run.take(), run.take()), (4, 6));
        run.note(4, &Report::default());
        assert_eq!((run.next_seed(), run.report().state_count), (6, 2));
        assert!(LongRun::decode("done_below x\n").is_err());
        assert!(LongRun::decode("states 5\n").is_err());
    }

    #[test]
    fn threads_share_the_seeds_and_stop_at_a_violation() {
        let mut run = LongRun::new(0);
        run.go_on(&Arc::new(Toy::default()), 3_000, TWO, |_| true).unwrap();
        assert!(run.report().state_count >= 3_000);
        let broken = Arc::new(Toy::with_bugs([Bug::CutLogAtNewerRoot]));
        let violation = LongRun::new(0).go_on(&broken, u64::MAX, TWO, |_| true).unwrap_err();
        let again = Config { only_point: violation.point, ..config_of(violation.seed) };
        assert_eq!(run_one(&broken, &again).unwrap_err().what, violation.what);
    }
}
