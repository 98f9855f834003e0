//! The terminal program: what a person, or a script, does with a database by hand.
//!
//! Knows files of other kinds, the terminal, and the facade. Does not know pages, the log, or how a commit becomes
//! durable.
#![forbid(unsafe_code)]

mod args;
mod care;
mod catalog;
mod chaos;
mod doctor;
mod export;
mod failure;
mod feed;
mod figures;
mod graph;
mod host;
mod import;
mod interrupt;
mod measure;
mod memory;
mod moment;
mod output;
mod progress;
mod restore;
mod rows;
#[cfg(feature = "server")]
mod serve;
mod store;
mod table;
mod text;
mod tour;

use std::process::ExitCode;

use args::{Cli, Command};
use clap::Parser;
use failure::{Exit, Failure};
use output::Output;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // A server talks to its client over stdout itself.
    #[cfg(feature = "server")]
    if let Command::Mcp(args) = &cli.command {
        return serve::run(args, cli.json).unwrap_or_else(|failure| failure.report(cli.json)).into();
    }
    let mut output = Output::new(cli.json);
    let result = run(cli.command, &mut output).and_then(|exit| {
        output.finish()?;
        Ok(exit)
    });
    result.unwrap_or_else(|failure| failure.report(cli.json)).into()
}

fn run(command: Command, output: &mut Output) -> Result<Exit, Failure> {
    match command {
        Command::Tour(args) => tour::run(&args, output),
        Command::TourWriter(args) => tour::write_until_killed(&args, output),
        Command::Import(args) => import::run(args, output),
        Command::Export(args) => export::run(&args, output),
        Command::Put(args) => rows::put::run(&args, output),
        Command::Get(args) => rows::get::run(&args, output),
        Command::Del(args) => rows::del::run(&args, output),
        Command::Scan(args) => rows::scan::run(&args, output),
        Command::Remember(args) => memory::remember::run(&args, output),
        Command::Recall(args) => memory::recall::run(&args, output),
        Command::History(args) => memory::history::run(&args, output),
        Command::Why(args) => memory::why::run(&args, output),
        Command::Correct(args) => memory::correct::run(&args, output),
        Command::Forget(args) => memory::forget::run(&args, output),
        Command::Diff(args) => memory::diff::run(&args, output),
        Command::Undo(args) => memory::undo::run(&args, output),
        Command::TimeTravel(args) => memory::travel::run(&args, output),
        Command::Stat(args) => care::stat::run(&args, output),
        Command::Check(args) => care::check::run(&args, output),
        Command::Doctor(args) => doctor::run(&args, output),
        Command::Compact(args) => care::compact::run(&args, output),
        Command::Erase(args) => care::erase::run(&args, output),
        Command::Purge(args) => care::purge::run(&args, output),
        Command::Mend(args) => care::mend::run(&args, output),
        Command::Recover(args) => care::recover::run(&args, output),
        Command::Backup(args) => care::backup::run(&args, output),
        Command::Restore(args) => restore::run(&args, output),
        Command::Verify(args) => care::verify::run(&args, output),
        Command::Archive(args) => care::archive::run(&args, output),
        Command::Changes(args) => feed::run(&args, output),
        Command::Schema(args) => catalog::schema::run(&args, output),
        Command::Migrate(args) => catalog::migrate::run(&args, output),
        Command::Retention(args) => catalog::retention::run(&args, output),
        Command::Bench(args) => measure::run(&args, output),
        Command::Graph(args) => graph::run(&args, output),
        #[cfg(feature = "server")]
        Command::Mcp(_) => Ok(Exit::Done),
        Command::ChaosProcess(args) => chaos::run_process(&args, output),
    }
}
