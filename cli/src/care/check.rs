//! `llmdb check`: reads everything and looks for damage.

use clap::Args;
use llmdb::{CheckReport, Db, Problem};
use serde_json::{Value, json};

use crate::{
    args::DbArg,
    care::erase,
    failure::{Exit, Failure},
    figures::{Count, Seconds},
    host::Stopwatch,
    output::Output,
    progress, store,
    text::{Keep, escape},
};

/// Read every page and look for damage
#[derive(Debug, Args)]
#[command(after_help = "\
Verifies every checksum, the order and bounds of all keys, every count, and that each page is used exactly once.
If there are problems, they are listed and the exit code is 3; `llmdb recover` saves what can be read.

With --erased, it looks instead for what is left of a row of a collection of facts that was erased: in the newest state,
in every page of the file, used or free, in the log, and in the archive if LLMDB_ARCHIVE names one. With --also, for
other texts, too. If anything is left, it is listed and the exit code is 3.

Examples:
  llmdb check --db my.llmdb
  llmdb check --erased ada --collection people --also 'ada@example.org' --db my.llmdb
  llmdb check --json --db my.llmdb | jq .problems")]
pub struct CheckArgs {
    #[command(flatten)]
    db: DbArg,
    /// Look for what is left of the row with this key
    #[arg(long, value_name = "KEY", requires = "collection", allow_hyphen_values = true)]
    erased: Option<String>,
    /// The collection of the row
    #[arg(long, value_name = "NAME", requires = "erased")]
    collection: Option<String>,
    #[command(flatten)]
    row: erase::RowArgs,
    /// Look for this text, too; can be given several times
    #[arg(long, value_name = "TEXT", requires = "erased")]
    also: Vec<String>,
}

/// Reads and verifies every page, with a progress bar.
pub fn every_page(db: &Db, output: &Output) -> Result<CheckReport, Failure> {
    let bar = progress::pages(0, "check", output);
    let report = db.check_with(&mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
        true
    });
    bar.finish_and_clear();
    Ok(report?)
}

pub fn run(args: &CheckArgs, output: &mut Output) -> Result<Exit, Failure> {
    if let (Some(key), Some(collection)) = (&args.erased, &args.collection) {
        let row = args.row.row(collection, key)?;
        return erase::check(&args.db, collection, &row, &args.also, output);
    }
    let db = store::for_reading(&args.db.db, output)?;
    let watch = Stopwatch::start();
    let report = every_page(&db, output)?;
    let seconds = watch.seconds();
    let problems: Vec<_> = report.problems.iter().map(describe).collect();
    let (keys, damage) = (report.key_count, report.problems.iter().map(to_json).collect::<Vec<_>>());
    let result = json!({
        "ok": problems.is_empty(),
        "problems": problems,
        "damage": damage,
        "keys": keys,
        "seconds": seconds,
    });
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
    let keys = problem.from.as_ref().map_or_else(String::new, |from| {
        let from = if from.is_empty() {
            "from the first on".to_owned()
        } else {
            format!("from {}", escape(from, Keep::Line))
        };
        let below = problem.below.as_ref().map(|below| format!(" up to {}", escape(below, Keep::Line)));
        format!(" (keys {from}{})", below.unwrap_or_default())
    });
    match &problem.tree {
        Some(tree) => format!("tree {tree:?}: {}{keys}", problem.what),
        None => format!("{}{keys}", problem.what),
    }
}

fn to_json(problem: &Problem) -> Value {
    let key = |key: &Option<Vec<u8>>| key.as_ref().map(|key| escape(key, Keep::Line));
    json!({
        "tree": problem.tree,
        "page": problem.page.map(|page| page.get()),
        "from": key(&problem.from),
        "to": key(&problem.below),
        "what": problem.what,
    })
}
