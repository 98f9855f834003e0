//! `llmdb mend`: makes damaged pages again from the older checkpoint and the log.

use clap::Args;
use serde_json::json;

use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    figures::Count,
    output::Output,
    store,
};

/// Make damaged pages again from the older checkpoint and the log
#[derive(Debug, Args)]
#[command(after_help = "\
Reads every page. What was written since the older checkpoint and cannot be read is made again, in place; this works for a
database that was not closed, whose log is there. Where it does not, nothing is changed, the exit code is 3, and
`llmdb recover` saves what can be read into a new file. Copy the database and its -wal folder first.

Examples:
  llmdb mend --db my.llmdb")]
pub struct MendArgs {
    #[command(flatten)]
    db: DbArg,
}

pub fn run(args: &MendArgs, output: &mut Output) -> Result<Exit, Failure> {
    let db = store::for_writing(&args.db.db, false, output)?;
    let report = db.mend()?;
    let at_open = &db.recovery().mended;
    let result = json!({
        "trees": report.trees,
        "ranges": report.range_count,
        "freed_pages": report.freed_pages,
        "at_open": at_open,
    });
    output.result(&result, || match (report.is_empty(), at_open.is_empty()) {
        (true, true) => format!("{}: nothing to mend", args.db.db.display()),
        (true, false) => format!("{}: mended by opening it", args.db.db.display()),
        (false, _) => format!(
            "{}: {} ranges of keys were made again, in: {}",
            args.db.db.display(),
            Count(report.range_count),
            report.trees.join(", ")
        ),
    })?;
    Ok(Exit::Done)
}
