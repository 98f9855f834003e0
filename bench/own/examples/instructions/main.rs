//! How many instructions an operation of the engine takes: the same number on a busy machine as on a quiet one.
//!
//!     cargo run --release -p llmdb-bench-own --example instructions              # compare with the record
//!     cargo run --release -p llmdb-bench-own --example instructions -- --record  # write the record anew
//!
//! Each operation runs in a process of its own under callgrind (Debian: `valgrind`), which counts what happens inside
//! [`operations::counted`] and nothing else. Compared with `bench/own/instructions.txt`; more than [`TOLERANCE_PERCENT`]
//! above it is a failure, as much below it asks for a new record. Instructions are not time: a cache miss counts as one.

mod operations;
mod record;

use std::{
    path::Path,
    process::{Command, ExitCode},
};

use operations::OPERATIONS;
use record::{Record, Verdict};

/// What compilers of the same version, hash seeds and addresses may change.
const TOLERANCE_PERCENT: u64 = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(),
        ["--record"] => write_record(),
        ["--only", name] => only(name),
        _ => {
            eprintln!("usage: instructions [--record]");
            ExitCode::from(2)
        }
    }
}

/// Performs one operation, many times; callgrind looks on.
fn only(name: &str) -> ExitCode {
    let Some(operation) = OPERATIONS.iter().find(|operation| operation.name == name) else {
        eprintln!("{name:?} is no operation");
        return ExitCode::from(2);
    };
    (operation.run)(operation.times);
    ExitCode::SUCCESS
}

fn compare() -> ExitCode {
    let recorded = match Record::read() {
        Ok(recorded) => recorded,
        Err(what) => return failed(&what),
    };
    let mut is_good = true;
    println!("{:<36} {:>10} {:>10}", "instructions per operation", "recorded", "now");
    for operation in OPERATIONS {
        let now = match count(operation.name, operation.times) {
            Ok(now) => now,
            Err(what) => return failed(&what),
        };
        let (before, verdict) = recorded.judge(operation.name, now, TOLERANCE_PERCENT);
        println!("{:<36} {before:>10} {now:>10}  {verdict}", operation.name);
        is_good &= verdict != Verdict::More;
    }
    if is_good {
        return ExitCode::SUCCESS;
    }
    if recorded.is_from_elsewhere() {
        println!(
            "Recorded by another compiler or on another kind of machine: compare with a build of the commit before."
        );
        return ExitCode::SUCCESS;
    }
    failed(
        "an operation takes more instructions than recorded: mend it, or record it with the reason in the commit",
    )
}

fn write_record() -> ExitCode {
    let mut record = Record::new();
    for operation in OPERATIONS {
        match count(operation.name, operation.times) {
            Ok(now) => record.add(operation.name, now),
            Err(what) => return failed(&what),
        }
    }
    print!("{record}");
    record.write().map_or_else(|what| failed(&what), |()| ExitCode::SUCCESS)
}

fn failed(what: &str) -> ExitCode {
    eprintln!("{what}");
    ExitCode::FAILURE
}

/// Instructions of one operation, by a process under callgrind.
fn count(name: &str, times: u64) -> Result<u64, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    let out = folder.path().join("callgrind.out");
    let program = std::env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    let ended = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*operations::counted*", "--error-exitcode=9"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args(["--only", name])
        .output()
        .map_err(|error| format!("valgrind does not start ({error}): apt-get install valgrind"))?;
    if !ended.status.success() {
        return Err(format!("{name}: {}\n{}", ended.status, String::from_utf8_lossy(&ended.stderr)));
    }
    total(&out).map(|total| total / times).ok_or_else(|| format!("{name}: callgrind counted nothing"))
}

/// The number behind `totals:` in what callgrind wrote.
fn total(out: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(out).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("totals:"))?;
    line.trim().parse().ok().filter(|total| *total > 0)
}
