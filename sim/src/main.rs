//! Crash states by the million: `cargo run --profile sim -p llmdb-sim -- --help`.

use std::{io::Write, num::NonZeroUsize, path::PathBuf, process::ExitCode, sync::Arc};

use llmdb_sim::{
    Config, EngineSubject, Point, Report,
    long_run::{LongRun, config_of, run_one},
};
use llmdb_vfs::{Create, Open, OsVfs, Vfs, read_exact_at, write_all_at};

const HELP: &str = "\
Runs the engine on a disk whose power fails at every call, and looks at what recovery makes of it.

usage: llmdb-sim [--states N] [--seed N] [--threads N] [--record FILE]
       llmdb-sim --only SEED [--point LIFE:CALL]

  --states N        stop after this many recovered crash states (default 1000000)
  --seed N          the first seed; the others follow it (default 0)
  --threads N       seeds under way at once (default 2)
  --record FILE     note there what is done, after every seed; a run that was stopped goes on from it
  --only SEED       run this seed only, in the way that is its own
  --point LIFE:CALL examine this moment of it only

A violation prints the invariant and the command that shows it again. Exit code 1 if there was one.";

/// What the command line asks for.
struct Request {
    states: u64,
    seed: u64,
    threads: NonZeroUsize,
    record: Option<PathBuf>,
    only: Option<u64>,
    point: Option<Point>,
}

fn main() -> ExitCode {
    let done = match Request::parse(std::env::args().skip(1)) {
        Ok(Some(request)) => request.run(),
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(what) => {
            eprintln!("llmdb-sim: {what}; see --help");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}

impl Request {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let threads = NonZeroUsize::MIN.saturating_add(1);
        let mut request = Self { states: 1_000_000, seed: 0, threads, record: None, only: None, point: None };
        while let Some(word) = words.next() {
            if word == "--help" || word == "-h" {
                return Ok(None);
            }
            let value = words.next().ok_or_else(|| format!("{word} is not known, or wants a value"))?;
            let wrong = || format!("{value:?} is no value for {word}");
            match word.as_str() {
                "--states" => request.states = value.parse().map_err(|_| wrong())?,
                "--seed" => request.seed = value.parse().map_err(|_| wrong())?,
                "--threads" => request.threads = value.parse().map_err(|_| wrong())?,
                "--record" => request.record = Some(value.into()),
                "--only" => request.only = Some(value.parse().map_err(|_| wrong())?),
                "--point" => request.point = Some(Point::decode(&value).ok_or_else(wrong)?),
                _ => return Err(format!("{word} is not known")),
            }
        }
        Ok(Some(request))
    }

    fn run(&self) -> Result<(), String> {
        let subject = Arc::new(EngineSubject::default());
        // A panic inside the store is a finding, and printed as one.
        std::panic::set_hook(Box::new(|_| ()));
        if let Some(seed) = self.only {
            let config = Config { only_point: self.point, ..config_of(seed) };
            let report = run_one(&subject, &config).map_err(|violation| violation.to_string())?;
            print(&report, 0);
            return Ok(());
        }
        let disk = OsVfs::new();
        let mut run = self.begin(&disk)?;
        let before = run.report().state_count;
        let (start_us, mut told_us) = (disk.monotonic_us(), 0);
        let each = |run: &LongRun| {
            let elapsed_us = disk.monotonic_us() - start_us;
            if let Err(what) = self.note(&disk, run) {
                eprintln!("{what}");
                return false;
            }
            if elapsed_us - told_us > 10_000_000 {
                told_us = elapsed_us;
                let states = run.report().state_count;
                let rate = (states - before) * 1_000_000 / elapsed_us.max(1);
                let left_s = self.states.saturating_sub(states) / rate.max(1);
                eprintln!("{states} of {} states, {rate} a second, {left_s} s to go", self.states);
            }
            true
        };
        let done = run.go_on(&subject, self.states, self.threads, each);
        print(run.report(), run.next_seed());
        done.map_err(|violation| {
            let point = violation.point.map(|point| format!(" --point {point}")).unwrap_or_default();
            format!(
                "{} violated: {}\nto see it again: llmdb-sim --only {}{point}",
                violation.invariant, violation.what, violation.seed
            )
        })
    }

    /// The run of the record, or a new one.
    fn begin(&self, disk: &OsVfs) -> Result<LongRun, String> {
        let Some(path) = &self.record else { return Ok(LongRun::new(self.seed)) };
        let failed = |error: std::io::Error| format!("the record cannot be read: {error}");
        if !disk.exists(path).map_err(failed)? {
            return Ok(LongRun::new(self.seed));
        }
        let how = Open { write: false, create: Create::Never, direct: false };
        let file = disk.open(path, how).map_err(failed)?;
        let len = usize::try_from(file.len().map_err(failed)?).map_err(|_| "the record is too long")?;
        let mut bytes = vec![0; len];
        read_exact_at(&*file, &mut bytes, 0).map_err(failed)?;
        let run = LongRun::decode(&String::from_utf8_lossy(&bytes))?;
        eprintln!("goes on from seed {}, with {} states", run.next_seed(), run.report().state_count);
        Ok(run)
    }

    /// Replaces the record.
    fn note(&self, disk: &OsVfs, run: &LongRun) -> Result<(), String> {
        let Some(path) = &self.record else { return Ok(()) };
        let mut draft = path.clone().into_os_string();
        draft.push("-new");
        let draft = PathBuf::from(draft);
        let replace = || {
            let how = Open { write: true, create: Create::IfMissing, direct: false };
            let file = disk.open(&draft, how)?;
            file.set_len(0)?;
            write_all_at(&*file, run.encode().as_bytes(), 0)?;
            disk.rename(&draft, path)
        };
        replace().map_err(|error| format!("the record cannot be written: {error}"))
    }
}

/// One line for each figure.
fn print(report: &Report, next_seed: u64) {
    let mut out = std::io::stdout().lock();
    for (name, count) in report.counts() {
        // A terminal that is gone is no reason to stop.
        let _ = writeln!(out, "{count:>12}  {name}");
    }
    let _ = writeln!(out, "next seed: {next_seed}");
}
