//! `llmdb backup`: a compact copy in one file.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    figures::{Bytes, Count, Seconds},
    host::Stopwatch,
    interrupt::Interrupt,
    output::Output,
    progress, store,
};

/// Write a compact copy of a database into one new file
#[derive(Debug, Args)]
#[command(after_help = "\
The copy holds one commit, is verified page by page while it is written, and appears under its name only once it is
whole. It is a database like any other. Programs that use the library can take it while they write.

Examples:
  llmdb backup monday.llmdb --db my.llmdb
  llmdb restore monday.llmdb my.llmdb")]
pub struct BackupArgs {
    /// The new file; it must not exist
    to: PathBuf,
    #[command(flatten)]
    db: DbArg,
}

pub fn run(args: &BackupArgs, output: &mut Output) -> Result<Exit, Failure> {
    let db = store::for_reading(&args.db.db, output)?;
    let stop = Interrupt::listen()?;
    let bar = progress::keys(db.stats()?.key_count, "backup", output);
    let watch = Stopwatch::start();
    let report = db.backup(&args.to, &mut |done, _| {
        bar.set_position(done);
        !stop.is_asked()
    })?;
    bar.finish_and_clear();
    let result = json!({
        "keys": report.key_count,
        "trees": report.tree_count,
        "file_bytes": report.file_bytes,
        "txid": report.commit.txid.get(),
        "seconds": watch.seconds(),
    });
    output.result(&result, || {
        format!(
            "{}: {} keys, {}, up to {}, in {}",
            args.to.display(),
            Count(report.key_count),
            Bytes(report.file_bytes),
            report.commit.txid,
            Seconds(watch.seconds())
        )
    })?;
    Ok(Exit::Done)
}
