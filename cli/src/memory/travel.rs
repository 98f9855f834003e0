//! `llmdb time-travel`: the memory as it was.

use clap::Args;
use llmdb::memory::facts::{Recall, limits::RESULTS_DEFAULT};

use super::{both, now, show, what};
use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    output::Output,
    store,
};

/// Show the memory as it was at a moment: what was known then about then
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is changed: this is `recall --at`, with a line that says what is shown. With the number of a transaction, what was
known after it about now.

Examples:
  llmdb time-travel --at yesterday
  llmdb time-travel --at '2024-05-01 14:30' alice
  llmdb time-travel --at tx42 --json")]
pub struct TravelArgs {
    /// The moment, or a transaction (tx42)
    #[arg(long, value_name = "TIME")]
    at: String,
    /// A subject, a key, or the beginning of keys and a star [default: everything]
    what: Option<String>,
    /// At most so many facts
    #[arg(long, short = 'n', value_name = "FACTS", default_value_t = RESULTS_DEFAULT)]
    limit: usize,
    /// Go on where an answer to the same question ended
    #[arg(long, value_name = "CURSOR", allow_hyphen_values = true)]
    cursor: Option<String>,
    #[command(flatten)]
    db: DbArg,
}

pub fn run(args: &TravelArgs, output: &mut Output) -> Result<Exit, Failure> {
    let what = what(args.what.as_deref())?;
    let db = store::for_reading(&args.db.db, output)?;
    let facts = db.memory().facts();
    let point = both("--at", &args.at, now(&facts)?)?;
    let recalled = facts.recall(&Recall {
        what,
        point,
        results_max: args.limit,
        keep_duplicates: true,
        cursor: args.cursor.clone(),
        ..Recall::default()
    })?;
    if output.json {
        output.line(serde_json::to_value(&recalled)?)?;
        return Ok(Exit::Done);
    }
    output.line(format_args!("The memory as it was: {}.", show::point(&recalled.point)))?;
    if recalled.facts.is_empty() {
        output.line("Nothing was known.")?;
    }
    show::facts(&recalled.facts, output)?;
    show::more(recalled.cursor.as_deref(), output);
    Ok(Exit::Done)
}
