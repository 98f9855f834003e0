//! `llmdb backup`: a compact copy in one file, or a backup of a set.

use std::path::PathBuf;

use clap::Args;
use llmdb::{Db, ErrorKind, SetBackup};
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

/// Write a compact copy of a database into one new file, or a backup into a set
#[derive(Debug, Args)]
#[command(after_help = "\
Three kinds:
  TO                a compact copy in one new file: a database like any other, in the order of its keys
  --full SET        begins a backup set, a folder, with every page
  --incremental SET adds to the set only the pages that changed since the last backup in it

Each holds one commit, is verified while it is written, and appears only once it is whole and on the disk: what is
interrupted leaves nothing that looks like a backup. Programs that use the library can take them while they write.
`llmdb verify SET` reads a set and compares every byte; `llmdb restore SET TO` makes a database of it, also as it was at
an earlier commit or time. Together with an archive of the log (`llmdb archive`), at any commit.

Examples:
  llmdb backup monday.llmdb --db my.llmdb
  llmdb restore monday.llmdb my.llmdb
  llmdb backup --full backups/november --db my.llmdb
  llmdb backup --incremental backups/november --db my.llmdb     # from cron, say
  llmdb verify backups/november")]
pub struct BackupArgs {
    /// The new file, which must not exist; or the folder of the set
    #[arg(value_name = "TO")]
    to: PathBuf,
    /// Begin a backup set with a full backup
    #[arg(long, conflicts_with = "incremental")]
    full: bool,
    /// Add what changed to the backup set
    #[arg(long)]
    incremental: bool,
    #[command(flatten)]
    db: DbArg,
}

pub fn run(args: &BackupArgs, output: &mut Output) -> Result<Exit, Failure> {
    let stop = Interrupt::listen()?;
    if args.full || args.incremental {
        // With the right to write: a backup makes a checkpoint.
        let db = store::for_writing(&args.db.db, false, output)?;
        return add_to_set(args, &db, &stop, output);
    }
    let db = store::for_reading(&args.db.db, output)?;
    if args.to.is_dir() {
        let failure = Failure::usage(format!("{} is a folder", args.to.display()));
        return Err(failure.advise("--full begins a backup set there, --incremental adds to one"));
    }
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

fn add_to_set(args: &BackupArgs, db: &Db, stop: &Interrupt, output: &mut Output) -> Result<Exit, Failure> {
    let bar = progress::pages(0, "backup", output);
    let watch = Stopwatch::start();
    let mut progress = |done, all| {
        bar.set_length(all);
        bar.set_position(done);
        !stop.is_asked()
    };
    let taken = match args.full {
        true => db.backup_full(&args.to, &mut progress)?,
        false => db.backup_incremental(&args.to, &mut progress).map_err(|error| no_set(args, error))?,
    };
    bar.finish_and_clear();
    let mut result = to_json(&taken);
    result["seconds"] = json!(watch.seconds());
    output.result(&result, || {
        format!(
            "{}: {} pages, {}, up to {}, in {}",
            taken.manifest.display(),
            Count(taken.page_count),
            Bytes(taken.file_bytes),
            taken.commit.txid,
            Seconds(watch.seconds())
        )
    })?;
    Ok(Exit::Done)
}

fn no_set(args: &BackupArgs, error: llmdb::Error) -> Failure {
    if error.kind() != ErrorKind::Missing {
        return error.into();
    }
    Failure::from(error).advise(format!("begin the set with `llmdb backup --full {}`", args.to.display()))
}

/// A backup of a set as JSON.
pub fn to_json(backup: &SetBackup) -> serde_json::Value {
    json!({
        "manifest": backup.manifest,
        "number": backup.number,
        "kind": if backup.number == 0 { "full" } else { "incremental" },
        "store": backup.store.to_string(),
        "txid": backup.commit.txid.get(),
        "committed_us": backup.commit.timestamp.get(),
        "lsn": backup.commit.lsn.to_string(),
        "taken_us": backup.taken.get(),
        "pages": backup.page_count,
        "file_bytes": backup.file_bytes,
    })
}
