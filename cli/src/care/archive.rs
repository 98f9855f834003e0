//! `llmdb archive`: the log, copied to where backups are.

use std::path::PathBuf;

use clap::Args;
use llmdb::Db;
use serde_json::json;

use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    output::Output,
    store,
};

/// Copy the log to an archive, up to the last commit
#[derive(Debug, Args)]
#[command(after_help = "\
With a backup set and an archive, a database can be restored as it was after any commit (`llmdb restore --to-tx`,
`--to-time`). A program that writes names the archive when it opens the database; then each piece of the log is
copied before it is given up, and this command is not needed. For the commands of this program, the environment
variable LLMDB_ARCHIVE does the same. Whoever writes without naming the archive leaves a gap in it: the next backup
makes what follows usable again.

Examples:
  llmdb archive backups/log --db my.llmdb
  export LLMDB_ARCHIVE=backups/log")]
pub struct ArchiveArgs {
    /// The folder of the archive; it is made if it is missing
    folder: PathBuf,
    #[command(flatten)]
    db: DbArg,
}

pub fn run(args: &ArchiveArgs, output: &mut Output) -> Result<Exit, Failure> {
    let db = Db::open(&args.db.db, store::options().create(false).archive(&args.folder))?;
    let report = db.archive_now()?;
    let gaps = db.stats()?.archive_gaps;
    db.close()?;
    let (txid, end) = (report.commit.txid, report.archived_lsn);
    let result = json!({ "txid": txid.get(), "archived_lsn": end.to_string(), "gaps": gaps });
    output.result(&result, || format!("{}: the log up to {txid}, {end}", args.folder.display()))?;
    if gaps > 0 {
        output.note("log is missing before that: take a backup, from which this archive can go on");
    }
    Ok(Exit::Done)
}
