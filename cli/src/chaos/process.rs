//! A process of the chaos: some writers and readers, who say what they did and what they saw.
//!
//! Lines to the parent: `ack WRITER NUMBER` once a transaction is durable, `seen READER COUNT` now and then,
//! `bad KIND WHAT` for what must not be, `open`, `closed`. Lines from the parent: how far each writer is known to
//! have come; the end of them asks the process to leave in order.

use std::{
    io::BufRead,
    ops::Range,
    path::PathBuf,
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Sender, channel},
    },
    time::Duration,
};

use clap::Args;
use llmdb::{Db, Snapshot};

use super::state::{self, Counts};
use crate::{
    failure::{Exit, Failure},
    host::Stopwatch,
    measure::Random,
    output::Output,
};

/// One of the processes that `bench chaos` starts
#[derive(Debug, Args)]
pub struct ProcessArgs {
    #[arg(long)]
    pub db: PathBuf,
    /// How many writers there are in all processes
    #[arg(long)]
    pub all_writers: u64,
    /// The first writer of this process
    #[arg(long)]
    pub first_writer: u64,
    #[arg(long)]
    pub writers: u64,
    #[arg(long)]
    pub first_reader: u64,
    #[arg(long)]
    pub readers: u64,
    /// Seconds that whoever wants to write waits at most
    #[arg(long)]
    pub patience: u64,
}

/// Time between two looks of a reader, and how often it holds a snapshot for longer.
const LOOK_EVERY: Duration = Duration::from_millis(2);
const HOLD_ONE_IN: u64 = 20;
const HOLD_FOR: Duration = Duration::from_millis(150);
const TELL_EVERY: Duration = Duration::from_millis(250);

pub fn run(args: &ProcessArgs, output: &mut Output) -> Result<Exit, Failure> {
    let db = Db::open(&args.db, super::options(Duration::from_secs(args.patience)))?;
    let shared = Shared {
        db,
        known: (0..args.all_writers).map(|_| AtomicU64::new(0)).collect(),
        is_over: Mutex::new(false),
        over: Condvar::new(),
    };
    // Waits for the end of its input by itself; the process does not wait for it.
    let shared = std::sync::Arc::new(shared);
    let listening = std::sync::Arc::clone(&shared);
    std::thread::spawn(move || listening.listen());
    output.line("open")?;
    output.finish()?;
    std::thread::scope(|scope| {
        let (say, said) = channel();
        for writer in range(args.first_writer, args.writers) {
            let (shared, say) = (&shared, say.clone());
            scope.spawn(move || shared.write(writer, &say));
        }
        for reader in range(args.first_reader, args.readers) {
            let (shared, say) = (&shared, say.clone());
            scope.spawn(move || shared.read(reader, &say));
        }
        drop(say);
        said.iter().try_for_each(|line| {
            output.line(line)?;
            output.finish()
        })
    })?;
    shared.close()?;
    output.line("closed")?;
    Ok(Exit::Done)
}

fn range(first: u64, count: u64) -> Range<u64> {
    first..first + count
}

struct Shared {
    db: Db,
    /// How far each writer is known to have come.
    known: Vec<AtomicU64>,
    is_over: Mutex<bool>,
    over: Condvar,
}

impl Shared {
    fn listen(&self) {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            for (known, count) in self.known.iter().zip(line.split(' ')) {
                known.fetch_max(count.parse().unwrap_or(0), Ordering::SeqCst);
            }
        }
        *self.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.over.notify_all();
    }

    /// Waits, at most for `time`; whether it is over.
    fn wait(&self, time: Duration) -> bool {
        let is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.over.wait_timeout_while(is_over, time, |is_over| !*is_over);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Commits numbered transactions until it is over.
    fn write(&self, writer: u64, say: &Sender<String>) {
        let mut last = None;
        while !self.wait(Duration::ZERO) {
            let done = self.db.begin_write().and_then(|mut txn| {
                let number = state::write(&mut txn, writer)?;
                txn.commit()?;
                Ok(number)
            });
            let line = match done {
                Ok(number) if last.is_none_or(|last| number == last + 1) => {
                    last = Some(number);
                    format!("ack {writer} {number}")
                }
                Ok(number) => {
                    format!("bad lost writer {writer} was at {last:?} and made transaction {number} next")
                }
                Err(error) => format!("bad failed writer {writer}: {}: {error}", error.code()),
            };
            // Nobody listens any more: the parent is gone, and the end of the input will say so.
            let failed = line.starts_with("bad");
            if say.send(line).is_err() || failed {
                return;
            }
        }
    }

    /// Looks at snapshots until it is over.
    fn read(&self, reader: u64, say: &Sender<String>) {
        let mut eye = Eye { shared: self, random: Random(reader), last: Vec::new(), held: Vec::new() };
        let mut count = 0;
        let mut told = Stopwatch::start();
        while !self.wait(LOOK_EVERY) {
            match eye.look() {
                Ok(Ok(())) => count += 1,
                Ok(Err((kind, what))) => {
                    let _ = say.send(format!("bad {kind} reader {reader}: {what}"));
                    return;
                }
                Err(error) => {
                    let _ = say.send(format!("bad failed reader {reader}: {}: {error}", error.code()));
                    return;
                }
            }
            if told.elapsed() >= TELL_EVERY {
                let _ = say.send(format!("seen {reader} {count}"));
                (count, told) = (0, Stopwatch::start());
            }
        }
        let _ = say.send(format!("seen {reader} {count}"));
    }

    fn close(self: std::sync::Arc<Self>) -> Result<(), Failure> {
        match std::sync::Arc::try_unwrap(self) {
            Ok(shared) => Ok(shared.db.close()?),
            // The listener is about to end, and dropping closes as well.
            Err(_) => Ok(()),
        }
    }
}

/// What a reader remembers.
struct Eye<'a> {
    shared: &'a Shared,
    random: Random,
    last: Counts,
    held: Vec<(Snapshot, Counts, Stopwatch)>,
}

/// What was seen that must not be: its kind, and what.
type Seen = Result<(), (&'static str, String)>;

impl Eye<'_> {
    fn look(&mut self) -> Result<Seen, llmdb::Error> {
        let known: Counts = self.shared.known.iter().map(|known| known.load(Ordering::SeqCst)).collect();
        let snapshot = self.shared.db.snapshot()?;
        let writers = known.len() as u64;
        let counts = match state::counts(&snapshot, writers)? {
            Ok(counts) => counts,
            Err(torn) => return Ok(Err(("torn", torn.to_string()))),
        };
        if let Some(what) = behind(&counts, &known) {
            return Ok(Err(("stale", format!("{what}, which was acknowledged before"))));
        }
        if let Some(what) = behind(&counts, &self.last) {
            return Ok(Err(("went_back", format!("{what}, which was seen before"))));
        }
        let writer = self.random.next() % writers;
        if let Err(torn) = state::check_log(&snapshot, writer, counts[usize::try_from(writer).unwrap_or(0)])?
        {
            return Ok(Err(("torn", torn.to_string())));
        }
        self.last.clone_from(&counts);
        if self.random.next().is_multiple_of(HOLD_ONE_IN) {
            self.held.push((snapshot, counts, Stopwatch::start()));
        }
        self.look_at_held(writers)
    }

    /// Snapshots that were held long enough are read once more, as a whole, and must show what they showed.
    fn look_at_held(&mut self, writers: u64) -> Result<Seen, llmdb::Error> {
        let (due, held): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.held).into_iter().partition(|(_, _, since)| since.elapsed() >= HOLD_FOR);
        self.held = held;
        for (snapshot, counts, _) in due {
            match state::counts(&snapshot, writers)? {
                Ok(again) if again == counts => {}
                Ok(_) => return Ok(Err(("torn", "a snapshot that was held shows another state".into()))),
                Err(torn) => return Ok(Err(("torn", format!("a snapshot that was held: {torn}")))),
            }
            for (writer, count) in (0..).zip(&counts) {
                if let Err(torn) = state::check_log(&snapshot, writer, *count)? {
                    return Ok(Err(("torn", format!("a snapshot that was held: {torn}"))));
                }
            }
        }
        Ok(Ok(()))
    }
}

/// The first writer who is not as far as somebody knows.
fn behind(counts: &[u64], known: &[u64]) -> Option<String> {
    let writer = counts.iter().zip(known).position(|(count, known)| count < known)?;
    Some(format!("writer {writer} is at {}, not at {}", counts[writer], known[writer]))
}
