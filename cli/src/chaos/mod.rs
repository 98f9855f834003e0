//! `llmdb bench chaos`: many processes on one file, killed one after the other, and what becomes of their promises.

mod family;
mod ledger;
mod process;
mod state;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use llmdb::{Db, Options, Sharing};
use serde_json::{Value, json};

use crate::{
    failure::{Exit, Failure},
    figures::{Count, Seconds, rate},
    interrupt::Interrupt,
    measure::Random,
    output::Output,
};
use family::{End, Family};
use ledger::Kind;

pub use process::{ProcessArgs, run as run_process};

/// Let processes write, read and die on one file, and look whether a promise is broken
#[derive(Debug, Args)]
#[command(after_help = "\
Writers commit numbered transactions to several trees, each durable before it is acknowledged; readers look at snapshots,
hold some of them, and compare. Again and again a process is killed (kill -9) and replaced. What was acknowledged is kept
by this program alone, and at the end the database must hold all of it. The exit code is 0 only if nothing was lost, torn
or stuck, and no call failed.

Examples:
  llmdb bench chaos --seconds 60
  llmdb bench chaos --seconds 600 --kill-every-ms 200 --seed 7 --db /data/chaos.llmdb --json")]
pub struct ChaosArgs {
    /// Make the database here, and keep it; it must not exist
    #[arg(long, short, value_name = "FILE")]
    db: Option<PathBuf>,
    /// How long
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Processes at a time
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=60))]
    processes: u16,
    /// Writers in all processes together
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    writers: u16,
    /// Readers in all processes together
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=1000))]
    readers: u16,
    /// Time between two ends of processes
    #[arg(long, default_value_t = 1000, value_name = "MS", value_parser = clap::value_parser!(u32).range(10..))]
    kill_every_ms: u32,
    /// How many of 100 ends meet all processes at once
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(0..=100))]
    all_percent: u8,
    /// How many of 100 ends are in order, and no kill
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(0..=100))]
    leave_percent: u8,
    /// Seconds without progress after which somebody counts as stuck, and time-out for whoever waits to write
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..=600))]
    patience: u16,
    /// Decides who dies, and when
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl ChaosArgs {
    fn patience(&self) -> Duration {
        Duration::from_secs(self.patience.into())
    }
}

/// How each process opens the database: checkpoints come often, so that kills meet them.
fn options(patience: Duration) -> Options {
    Options::new().sharing(Sharing::Shared).lock_timeout(patience).checkpoint_log_bytes(1 << 20)
}

pub fn run(args: &ChaosArgs, output: &mut Output) -> Result<Exit, Failure> {
    if !(args.seconds > 0.0 && args.seconds <= 1e6) {
        return Err(Failure::usage("--seconds must lie between 0 and 1000000"));
    }
    if let Some(path) = args.db.as_ref().filter(|path| path.exists()) {
        let what = format!("{} exists; the chaos makes a database of its own", path.display());
        return Err(Failure::usage(what));
    }
    let folder = tempfile::Builder::new().prefix("llmdb-chaos-").tempdir()?;
    let path = args.db.clone().unwrap_or_else(|| folder.path().join("chaos.llmdb"));
    let stop = Interrupt::listen()?;
    Db::open(&path, options(args.patience()))?.close()?;
    let mut family = Family::new(args, &path);
    let ends = live_and_die(&mut family, args, &stop)?;
    let seconds = family.now().as_secs_f64();
    family.ledger.recovered();
    look_at_the_end(&mut family, &path, args)?;
    report(&family, &ends, seconds, &path, args, output)
}

/// How many processes ended in which way.
#[derive(Debug, Default)]
struct Ends {
    killed: u64,
    all_killed: u64,
    in_order: u64,
}

fn live_and_die(family: &mut Family<'_>, args: &ChaosArgs, stop: &Interrupt) -> Result<Ends, Failure> {
    let all = 0..usize::from(args.processes);
    for index in all.clone() {
        family.start(index)?;
    }
    let over = Duration::from_secs_f64(args.seconds);
    let mut random = Random(args.seed);
    let mut ends = Ends::default();
    let is_asked = || stop.is_asked();
    loop {
        // Around the time asked for, so that kills meet every moment of what goes on in turns.
        let pause = u64::from(args.kill_every_ms) * (50 + random.next() % 101) / 100;
        let next = family.now() + Duration::from_millis(pause);
        family.listen_until(next.min(over), &is_asked)?;
        family.ledger.recovered();
        let hopeless = family.ledger.problems().len() >= family::PROBLEMS_MAX;
        if family.now() >= over || stop.is_asked() || hopeless {
            break;
        }
        let percent = random.next() % 100;
        let one = usize::try_from(random.next() % u64::from(args.processes)).unwrap_or(0);
        let (who, end) = if percent < u64::from(args.leave_percent) {
            ends.in_order += 1;
            (one..one + 1, End::InOrder)
        } else if percent >= 100 - u64::from(args.all_percent) {
            ends.all_killed += 1;
            ends.killed += u64::from(args.processes);
            (all.clone(), End::Killed)
        } else {
            ends.killed += 1;
            (one..one + 1, End::Killed)
        };
        family.end(who.clone(), end)?;
        for index in who {
            family.start(index)?;
        }
    }
    // On a busy machine the first transaction may come late; without one there is nothing to look at.
    let at_last = family.now() + args.patience();
    while family.ledger.transaction_count == 0 && family.now() < at_last && !stop.is_asked() {
        let soon = family.now() + Duration::from_millis(50);
        family.listen_until(soon, &is_asked)?;
    }
    family.end(all, End::InOrder)?;
    Ok(ends)
}

/// Opens the database once more, when all are gone, and compares it with what was acknowledged.
fn look_at_the_end(family: &mut Family<'_>, path: &Path, args: &ChaosArgs) -> Result<(), Failure> {
    let db = Db::open(path, options(args.patience()))?;
    match state::check_all(&db.snapshot()?, args.writers.into())? {
        Ok(found) => family.ledger.settle(&found),
        Err(torn) => family.ledger.problem(Kind::Torn, format!("at the end: {torn}")),
    }
    for problem in db.check()?.problems {
        family.ledger.problem(Kind::Torn, format!("at the end: {problem:?}"));
    }
    db.close()?;
    Ok(())
}

fn report(
    family: &Family<'_>,
    ends: &Ends,
    seconds: f64,
    path: &Path,
    args: &ChaosArgs,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let ledger = &family.ledger;
    if output.json {
        output.line(json_report(family, ends, seconds, path, args))?;
    } else {
        let (processes, writers, readers) = (args.processes, args.writers, args.readers);
        output.line(format_args!(
            "{processes} processes with {writers} writers and {readers} readers, {}",
            Seconds(seconds)
        ))?;
        let transactions = ledger.transaction_count;
        output.line(format_args!(
            "{} durable transactions ({}/s), {} looks of readers",
            Count(transactions),
            Count(rate(transactions, seconds)),
            Count(ledger.look_count)
        ))?;
        output.line(format_args!(
            "{} processes killed, {} times all at once; {} left in order",
            ends.killed, ends.all_killed, ends.in_order
        ))?;
        if let Some((median, longest)) = ledger.takeovers() {
            output.line(format_args!(
                "longest silence after a kill: {} (median), {} (longest)",
                Seconds(median),
                Seconds(longest)
            ))?;
        }
        let counts: Vec<String> =
            Kind::ALL.into_iter().map(|kind| format!("{} {kind}", ledger.count(kind))).collect();
        output.line(counts.join(", "))?;
        for (kind, what) in ledger.problems().iter().take(20) {
            output.line(format_args!("{kind}: {what}"))?;
        }
    }
    output.finish()?;
    match ledger.problems() {
        [] => Ok(Exit::Done),
        [first, ..] => {
            let worst = ledger.problems().iter().find(|(kind, _)| kind.is_damage());
            let (kind, what) = worst.unwrap_or(first);
            let what = format!("{} promises were broken, the first: {kind}: {what}", ledger.problems().len());
            Err(if kind.is_damage() { Failure::damaged(what) } else { std::io::Error::other(what).into() })
        }
    }
}

fn json_report(family: &Family<'_>, ends: &Ends, seconds: f64, path: &Path, args: &ChaosArgs) -> Value {
    let mut all = family.ledger.json();
    let more = json!({
        "path": path.display().to_string(),
        "seconds": seconds,
        "seed": args.seed,
        "processes": args.processes,
        "writers": args.writers,
        "readers": args.readers,
        "killed": ends.killed,
        "all_killed": ends.all_killed,
        "left_in_order": ends.in_order,
    });
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
        all.extend(more);
    }
    all
}
