//! Measures LLMDB beside its peers: the same rows, the same durability, one interleaved run on one machine.
//!
//! Knows every engine only through the traits of [`engine`], and nothing of LLMDB's inside. Its figures are worth
//! what the machine's quiet is worth; see the README beside it.

mod cli;
mod data;
mod device;
mod engine;
mod engines;
mod folder;
mod histogram;
mod job;
mod limits;
mod machine;
mod metrics;
mod plan;
mod plot;
mod rows;
mod run;
mod table;
mod worker;
mod workloads;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::cli::{Cli, Command, Workload};
use crate::engine::Outcome;
use crate::job::Line;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        None => run::run(&cli.run),
        Some(Command::Worker { job }) => return worker::main(job),
        Some(Command::List) => list(),
        Some(Command::Table { results }) => {
            read(results).map(|lines| println!("{}", table::markdown(&lines)))
        }
        Some(Command::Plot { results, dir }) => read(results).and_then(|lines| plot::write_all(&lines, dir)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn list() -> Outcome<()> {
    println!("Engines:");
    for peer in engines::all() {
        let versions: Vec<_> = peer.crates.iter().map(|name| engines::crate_version(name)).collect();
        println!("  {:10} {}", peer.name, versions.join(", "));
    }
    println!("Workloads:");
    for workload in Workload::value_variants().iter().filter_map(ValueEnum::to_possible_value) {
        println!(
            "  {:10} {}",
            workload.get_name(),
            workload.get_help().map(ToString::to_string).unwrap_or_default()
        );
    }
    Ok(())
}

fn read(results: &Path) -> Outcome<Vec<Line>> {
    let text = fs::read_to_string(results).map_err(|error| format!("{}: {error}", results.display()))?;
    text.lines()
        .enumerate()
        .map(|(at, line)| {
            serde_json::from_str(line)
                .map_err(|error| format!("{}, line {}: {error}", results.display(), at + 1).into())
        })
        .collect()
}
