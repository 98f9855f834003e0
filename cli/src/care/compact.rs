//! `llmdb compact`: gives room back to the disk.

use clap::Args;
use serde_json::json;

use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    figures::{Bytes, Seconds},
    host::Stopwatch,
    interrupt::Interrupt,
    output::Output,
    progress, store,
};

/// Shrink a database to what lives in it
#[derive(Debug, Args)]
#[command(after_help = "\
Moves pages from the end of the file into free ones at its beginning, in small transactions, and cuts the end off.
Ctrl-C stops it; what has been moved stays moved, and the same command goes on. A crash on the way harms nothing.
Programs that use the library can do it while they read and write.

Examples:
  llmdb compact --db my.llmdb
  llmdb stat --db my.llmdb      shows how much of the file is free")]
pub struct CompactArgs {
    #[command(flatten)]
    db: DbArg,
}

pub fn run(args: &CompactArgs, output: &mut Output) -> Result<Exit, Failure> {
    let db = store::for_writing(&args.db.db, false, output)?;
    let stop = Interrupt::listen()?;
    let watch = Stopwatch::start();
    let bar = progress::pages(0, "compact", output);
    let report = db.compact(&mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
        !stop.is_asked()
    })?;
    bar.finish_and_clear();
    let result = json!({
        "bytes_before": report.bytes_before,
        "file_bytes": report.file_bytes,
        "live_bytes": report.live_bytes,
        "left_bytes": report.left_bytes,
        "moved_pages": report.moved_pages,
        "stopped": report.stopped,
        "seconds": watch.seconds(),
    });
    output.result(&result, || {
        let (name, before, now) =
            (args.db.db.display(), Bytes(report.bytes_before), Bytes(report.file_bytes));
        let (live, seconds) = (Bytes(report.live_bytes), Seconds(watch.seconds()));
        let mut text = format!("{name}: {before} before, {now} now, {live} in use ({seconds})");
        if report.stopped {
            text.push_str("\nstopped; `llmdb compact` goes on from here");
        }
        text
    })?;
    Ok(if report.stopped { Exit::Interrupted } else { Exit::Done })
}
