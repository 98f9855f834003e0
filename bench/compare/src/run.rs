//! A run: rounds over tasks over engines, each measurement in a child process, results to file and table.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::ValueEnum;

use crate::cli::{RunArgs, Workload};
use crate::device;
use crate::engine::{Outcome, Peer};
use crate::engines;
use crate::folder::{RunFolder, copy_folder};
use crate::job::{Job, Line, Record, RunInfo, Scale, Task};
use crate::limits;
use crate::machine::{self, Machine};
use crate::plan::{self, Need};
use crate::table;
use crate::worker;

/// No measurement may take longer than this beyond its measured time: filling and settling a slow store included.
const GRACE: Duration = Duration::from_secs(1800);

/// Measures what the command line asks for.
///
/// # Errors
/// An engine that this build lacks, too little disk, results that cannot be written. What fails inside a measurement
/// is a result, not an error.
pub fn run(args: &RunArgs) -> Outcome<()> {
    let engines = chosen_engines(args)?;
    let scale = scale_of(args);
    let workloads: Vec<Workload> =
        if args.workloads.is_empty() { Workload::value_variants().to_vec() } else { args.workloads.clone() };
    let tasks: Vec<Task> = workloads.iter().flat_map(|workload| plan::tasks_of(*workload, &scale)).collect();
    let folder = RunFolder::create(&args.dir)?;
    let base_count = if args.refill { 1 } else { engines.len() as u64 };
    demand_space(&folder.path, plan::disk_bytes_max(&tasks, base_count, &scale))?;
    let mut run = Run::start(args, scale, folder)?;
    run.describe(&engines)?;
    for round in 1..=if args.smoke { 1 } else { args.rounds } {
        for task in &tasks {
            run.measure_all(round, task, &engines)?;
        }
        run.write_table()?;
        if run.is_stopped() {
            break;
        }
    }
    if !args.json {
        println!("{}", table::markdown(&run.lines));
    }
    Ok(())
}

fn chosen_engines(args: &RunArgs) -> Outcome<Vec<Peer>> {
    if args.engines.is_empty() {
        return Ok(engines::all());
    }
    args.engines.iter().map(|name| engines::find(name)).collect()
}

fn scale_of(args: &RunArgs) -> Scale {
    let cache_mb = args.cache_mb.unwrap_or_else(|| ((machine::memory_bytes() / 6) >> 20).min(4096));
    let cache_bytes = cache_mb << 20;
    if args.smoke {
        let (rows, load_bytes) = (4000, 2_000_000);
        return Scale { rows, load_bytes, seconds: 0.12, overwrite_seconds: 0.3, cache_bytes };
    }
    Scale {
        rows: args.rows,
        load_bytes: args.load_mb * 1_000_000,
        seconds: args.seconds,
        overwrite_seconds: args.overwrite_seconds,
        cache_bytes,
    }
}

fn demand_space(dir: &Path, needed: u64) -> Outcome<()> {
    let free = device::free_bytes(dir)?;
    if free < needed {
        let (needed, free) = (needed >> 20, free >> 20);
        return Err(format!(
            "the run may need {needed} MiB in {}, {free} MiB are free; fewer --engines, --rows or --load-mb need less",
            dir.display()
        )
        .into());
    }
    Ok(())
}

/// A run under way.
struct Run<'a> {
    args: &'a RunArgs,
    scale: Scale,
    folder: RunFolder,
    results: File,
    lines: Vec<Line>,
    /// Stores that were filled, by folder.
    filled: BTreeSet<PathBuf>,
    stopped: Arc<AtomicBool>,
    done: usize,
}

impl<'a> Run<'a> {
    fn start(args: &'a RunArgs, scale: Scale, folder: RunFolder) -> Outcome<Run<'a>> {
        let results = OpenOptions::new().create(true).append(true).open(&args.out)?;
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        // The terminal sends the signal to the measuring child as well, so that the wait for it ends at once.
        ctrlc::set_handler(move || stop.store(true, Ordering::Relaxed))?;
        let (lines, filled) = (Vec::new(), BTreeSet::new());
        Ok(Run { args, scale, folder, results, lines, filled, stopped, done: 0 })
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Opens each engine once, so that a build that cannot work fails before hours have passed, and writes down
    /// versions, settings and the machine.
    fn describe(&mut self, engines: &[Peer]) -> Outcome<()> {
        let mut info = RunInfo {
            machine: Machine::here(&self.folder.path),
            command: std::iter::once("compare".to_owned())
                .chain(std::env::args().skip(1))
                .collect::<Vec<_>>()
                .join(" "),
            engines: Vec::new(),
        };
        for peer in engines {
            for record in self.in_own_folder(&Task::Describe, peer.name, |job| worker::measure(job, GRACE))? {
                if let Some(error) = record.error {
                    return Err(format!("{}: {error}", peer.name).into());
                }
                info.engines.push((peer.name.to_owned(), record.notes.join("; ")));
            }
        }
        self.tell(&format!("machine: {}", info.machine.line()));
        for (name, about) in &info.engines {
            self.tell(&format!("{name}: {about}"));
        }
        self.write_line(Line::Run(info))
    }

    /// One task for every engine that can do it. The order of engines turns by one with each round.
    fn measure_all(&mut self, round: u32, task: &Task, engines: &[Peer]) -> Outcome<()> {
        if *task == Task::Limits {
            return self.measure(round, task, limits::NAME);
        }
        let shift = (round as usize - 1) % engines.len().max(1);
        for peer in engines[shift..].iter().chain(&engines[..shift]) {
            if plan::applies(task, peer.abilities) {
                self.measure(round, task, peer.name)?;
            }
        }
        Ok(())
    }

    fn measure(&mut self, round: u32, task: &Task, engine: &str) -> Outcome<()> {
        if self.is_stopped() {
            return Ok(());
        }
        let time_max = GRACE + self.scale.time() * 10;
        let records = match plan::need_of(task) {
            Need::Empty => self.in_own_folder(task, engine, |job| worker::measure(job, time_max))?,
            Need::Base => self.on_filled(task, engine, self.scale.rows, time_max)?,
            Need::Small => self.on_filled(task, engine, plan::SMALL_ROWS, time_max)?,
            Need::BaseCopy => match self.filled_store(engine, self.scale.rows, time_max)? {
                Ok(base) => self.in_own_folder(task, engine, |job| match copy_folder(&base, &job.dir) {
                    Ok(()) => worker::measure(job, time_max),
                    Err(error) => vec![failed(task, engine, &format!("copying the base store: {error}"))],
                })?,
                Err(failure) => failure,
            },
        };
        if self.args.refill {
            self.filled.iter().try_for_each(fs::remove_dir_all)?;
            self.filled.clear();
        }
        if self.is_stopped() {
            return Ok(());
        }
        for mut record in records {
            record.round = round;
            self.report(&record);
            self.write_line(Line::Result(record))?;
        }
        Ok(())
    }

    /// Gives a task an empty folder that is removed afterwards.
    fn in_own_folder(
        &self,
        task: &Task,
        engine: &str,
        measure: impl FnOnce(&Job) -> Vec<Record>,
    ) -> Outcome<Vec<Record>> {
        let dir = self.folder.path.join(format!("{engine}-work"));
        fs::create_dir_all(&dir)?;
        let records = measure(&self.job(task, engine, dir.clone()));
        fs::remove_dir_all(dir)?;
        Ok(records)
    }

    fn on_filled(
        &mut self,
        task: &Task,
        engine: &str,
        rows: u64,
        time_max: Duration,
    ) -> Outcome<Vec<Record>> {
        Ok(match self.filled_store(engine, rows, time_max)? {
            Ok(dir) => worker::measure(&self.job(task, engine, dir), time_max),
            Err(failure) => failure,
        })
    }

    /// The folder of an engine's store of `rows` rows, filled if this is its first use; or why that failed.
    fn filled_store(
        &mut self,
        engine: &str,
        rows: u64,
        time_max: Duration,
    ) -> Outcome<Result<PathBuf, Vec<Record>>> {
        let dir = self.folder.path.join(format!("{engine}-{rows}"));
        if !self.filled.contains(&dir) {
            fs::create_dir_all(&dir)?;
            self.tell(&format!("filling {rows} rows: {engine}"));
            let failure = worker::measure(&self.job(&Task::Fill { rows }, engine, dir.clone()), time_max);
            if !failure.is_empty() {
                fs::remove_dir_all(dir)?;
                return Ok(Err(failure));
            }
            self.filled.insert(dir.clone());
        }
        Ok(Ok(dir))
    }

    fn job(&self, task: &Task, engine: &str, dir: PathBuf) -> Job {
        Job { engine: engine.to_owned(), task: task.clone(), dir, scale: self.scale.clone() }
    }

    fn report(&mut self, record: &Record) {
        self.done += 1;
        let Record { round, workload, case, engine, error, .. } = record;
        let outcome = error.clone().unwrap_or_else(|| table::headline(record));
        self.tell(&format!("[{round}] {workload}, {case}: {engine}: {outcome}"));
    }

    fn tell(&self, text: &str) {
        eprintln!("{text}");
    }

    fn write_line(&mut self, line: Line) -> Outcome<()> {
        let text = serde_json::to_string(&line)?;
        writeln!(self.results, "{text}")?;
        if self.args.json {
            println!("{text}");
        }
        self.lines.push(line);
        Ok(())
    }

    fn write_table(&self) -> Outcome<()> {
        Ok(fs::write(&self.args.table, table::markdown(&self.lines))?)
    }
}

fn failed(task: &Task, engine: &str, error: &str) -> Record {
    let mut record = Record::new(worker::workload_of(task), worker::case_of(task));
    (record.engine, record.error) = (engine.to_owned(), Some(error.to_owned()));
    record
}
