//! `llmdb check`: reads everything and looks for damage.

use clap::Args;
use llmdb::Problem;
use serde_json::json;

use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    figures::{Count, Seconds},
    host::Stopwatch,
    output::Output,
    progress, store,
};

/// Read every page and look for damage
#[derive(Debug, Args)]
#[command(after_help = "\
Verifies every checksum, the order and bounds of all keys, every count, and that each page is used exactly once.
If there are problems, they are listed and the exit code is 3; `llmdb recover` saves what can be read.

Examples:
  llmdb check --db my.llmdb
  llmdb check --json --db my.llmdb | jq .problems")]
pub struct CheckArgs {
    #[command(flatten)]
    db: DbArg,
}

pub fn run(args: &CheckArgs, output: &mut Output) -> Result<Exit, Failure> {
    let db = store::for_reading(&args.db.db, output)?;
    let watch = Stopwatch::start();
    let bar = progress::pages(0, "check", output);
    let report = db.check_with(&mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
        true
    })?;
    bar.finish_and_clear();
    let seconds = watch.seconds();
    let problems: Vec<_> = report.problems.iter().map(describe).collect();
    let keys = report.key_count;
    let result = json!({ "ok": problems.is_empty(), "problems": problems, "keys": keys, "seconds": seconds });
    output.result(&result, || match problems.len() {
        0 => {
            format!("{}: no damage ({} keys read in {})", args.db.db.display(), Count(keys), Seconds(seconds))
        }
        count => format!(
            "{}: {count} problems\n  {}\nllmdb recover {} NEW saves what can be read",
            args.db.db.display(),
            problems.join("\n  "),
            args.db.db.display()
        ),
    })?;
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Damaged })
}

/// A problem in one line.
pub fn describe(problem: &Problem) -> String {
    match &problem.tree {
        Some(tree) => format!("tree {tree:?}: {}", problem.what),
        None => problem.what.clone(),
    }
}
