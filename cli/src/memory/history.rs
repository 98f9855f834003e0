//! `llmdb history`: everything that was ever believed of a fact.

use clap::Args;
use llmdb::memory::facts::{HistoryQuery, limits::RESULTS_DEFAULT};

use super::show;
use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    output::Output,
    store,
    table::Table,
};

/// Show everything that was ever believed of a fact, with both periods
#[derive(Debug, Args)]
#[command(after_help = "\
VALID is when it held; KNOWN is when that was believed, open (-) if it still is. TX is what `llmdb undo` takes.

Examples:
  llmdb history alice/employer
  llmdb history alice/employer --json | jq '.versions[].text'")]
pub struct HistoryArgs {
    /// The fact: subject/name
    key: String,
    /// At most so many versions
    #[arg(long, short = 'n', value_name = "VERSIONS", default_value_t = RESULTS_DEFAULT)]
    limit: usize,
    /// Go on where an answer about the same fact ended
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    #[command(flatten)]
    db: DbArg,
}

pub fn run(args: &HistoryArgs, output: &mut Output) -> Result<Exit, Failure> {
    let key = args.key.parse()?;
    let db = store::for_reading(&args.db.db, output)?;
    let query = HistoryQuery { results_max: args.limit, cursor: args.cursor.clone() };
    let history = db.memory().facts().history(&key, &query)?;
    if output.json {
        output.line(serde_json::to_value(&history)?)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["SAYS", "VALID FROM", "TO", "KNOWN FROM", "TO", "TX", "BY"], 0);
    for version in &history.versions {
        table.row(vec![
            show::line(&version.document.text),
            show::end(version.valid.from),
            show::end(version.valid.to),
            show::end(version.known.from),
            show::end(version.known.to),
            version.learned.txid.0.to_string(),
            version.document.agent.as_deref().map_or(String::new(), show::line),
        ]);
    }
    table.print(output)?;
    show::more(history.cursor.as_deref(), output);
    Ok(Exit::Done)
}
