//! `llmdb tour`: the product, shown at work.

mod crash;
mod input;
mod past;
mod steps;
mod story;
mod times;

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::{
    failure::{Exit, Failure},
    figures::Seconds,
    host::Stopwatch,
    interrupt::Interrupt,
    output::Output,
};
use steps::Tour;
use story::Story;

pub use crash::write_until_killed;

/// See it work: import, read, snapshot, two times, kill -9, recover, check, back up, in a temporary folder
#[derive(Debug, Args)]
#[command(after_help = "\
Takes the files and the history of the folder you are in, if there are any, and data made on the spot if not. They are
only read. Takes less than a minute; Ctrl-C ends it and removes its folder.

Examples:
  llmdb tour
  llmdb tour --keep       # then look around: llmdb recall lines --db .../tour.llmdb --as-of-valid 2024-06-01
  llmdb tour --json")]
pub struct TourArgs {
    /// Keep the temporary folder
    #[arg(long)]
    keep: bool,
}

/// What the tour's child process is told.
#[derive(Debug, Args)]
pub struct WriterArgs {
    #[arg(long)]
    db: PathBuf,
}

pub fn run(args: &TourArgs, output: &mut Output) -> Result<Exit, Failure> {
    let stop = Interrupt::listen()?;
    let folder = tempfile::Builder::new().prefix("llmdb-tour-").tempdir()?;
    let watch = Stopwatch::start();
    let mut story = Story::new(output);
    let told = Tour::new(folder.path(), &stop).tell(&mut story);
    if args.keep {
        let kept = folder.keep();
        story.say(format_args!("The folder is kept: {}", kept.display()))?;
        story.figure("folder", json!(kept.display().to_string()));
    } else {
        drop(folder);
    }
    told?;
    story.say(format_args!("That was all of it, in {}.", Seconds(watch.seconds())))?;
    story.figure("seconds", json!(watch.seconds()));
    story.finish()?;
    Ok(Exit::Done)
}
