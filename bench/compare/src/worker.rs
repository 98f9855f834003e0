//! A measurement runs in its own process: no engine inherits another one's memory, a crash costs one result, and
//! memory can be measured. This is both ends of that: the parent's [`measure`], the child's [`main`].

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::engine::{Outcome, Peer};
use crate::engines;
use crate::job::{Job, Record, Task};
use crate::limits;
use crate::workloads;

/// Runs a job in a child process and returns its results. What fails there is a result with an error.
pub fn measure(job: &Job, time_max: Duration) -> Vec<Record> {
    let (mut records, error) = match start(job) {
        Ok(child) => collect(child, time_max),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    if let Some(error) = error {
        let mut record = Record::new(workload_of(&job.task), case_of(&job.task));
        record.error = Some(error);
        records.push(record);
    }
    records.iter_mut().for_each(|record| record.engine.clone_from(&job.engine));
    records
}

fn start(job: &Job) -> Outcome<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["worker", &serde_json::to_string(job)?]);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?)
}

/// Reads a child's results until it ends; kills it when its time is over.
fn collect(mut child: Child, time_max: Duration) -> (Vec<Record>, Option<String>) {
    let (sender, lines) = mpsc::channel();
    let output = child.stdout.take();
    std::thread::spawn(move || {
        for line in output.into_iter().flat_map(|output| BufReader::new(output).lines()).map_while(Result::ok)
        {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let (deadline, mut records) = (Instant::now() + time_max, Vec::new());
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            // A line that is no result is something that an engine printed.
            Ok(line) => records.extend(serde_json::from_str::<Record>(&line)),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let killed = child.kill().and_then(|()| child.wait());
                let seconds = time_max.as_secs();
                return (records, Some(format!("killed after {seconds} s ({killed:?})")));
            }
        }
    }
    let error = match child.wait() {
        Ok(status) if status.success() => None,
        // The child reported the failure itself.
        Ok(_) if records.iter().any(|record| record.error.is_some()) => None,
        Ok(status) => Some(format!("the measuring process ended with {status}")),
        Err(error) => Some(error.to_string()),
    };
    (records, error)
}

/// The child: does one job, prints its results.
pub fn main(job: &str) -> ExitCode {
    // Nobody must go on loading a disk when the run is gone.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let job: Job = match serde_json::from_str(job) {
        Ok(job) => job,
        Err(error) => {
            eprintln!("compare worker: {error}");
            return ExitCode::from(2);
        }
    };
    let done = find(&job).and_then(|peer| workloads::run(&peer, &job));
    let (records, code) = match done {
        Ok(records) => (records, ExitCode::SUCCESS),
        Err(error) => {
            let mut record = Record::new(workload_of(&job.task), case_of(&job.task));
            record.error = Some(error.to_string());
            (vec![record], ExitCode::FAILURE)
        }
    };
    let mut output = std::io::stdout().lock();
    for record in records {
        let printed = serde_json::to_string(&record).map(|line| writeln!(output, "{line}"));
        if !matches!(printed, Ok(Ok(()))) {
            return ExitCode::FAILURE;
        }
    }
    code
}

/// The job's engine. Limits have none: they get the first, and do not ask it anything.
fn find(job: &Job) -> Outcome<Peer> {
    if job.engine == limits::NAME {
        return engines::all().first().copied().ok_or_else(|| "this build has no engine".into());
    }
    engines::find(&job.engine)
}

/// The workload that a task belongs to, as on the command line.
pub fn workload_of(task: &Task) -> &'static str {
    match task {
        Task::Describe => "describe",
        Task::Fill { .. } => "fill",
        Task::Load { .. } => "load",
        Task::Overwrite { .. } => "overwrite",
        Task::Put { .. } => "put",
        Task::Pipeline => "pipeline",
        Task::Get => "get",
        Task::Scan => "scan",
        Task::Mixed { .. } => "mixed",
        Task::Crash | Task::CrashVictim => "crash",
        Task::Open { .. } => "open",
        Task::Memory { .. } => "memory",
        Task::Limits => "limits",
    }
}

/// The parameters of a task, for progress and errors.
pub fn case_of(task: &Task) -> String {
    let text = serde_json::to_string(task).unwrap_or_default();
    text.replace(['"', '{', '}'], "")
}
