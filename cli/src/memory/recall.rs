//! `llmdb recall`: finds facts.

use clap::Args;
use llmdb::memory::facts::{Recall, limits::RESULTS_DEFAULT};

use super::{PointArgs, now, show, what};
use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    output::Output,
    store,
};

/// Recall facts: of a subject, by key, tag or words, now or as of any time
#[derive(Debug, Args)]
#[command(after_help = "\
Without a time, what is known now of now. The two times are asked for one by one, or both at once with --at. Facts that say
the same are shown once. Exit code 1 if nothing is found.

Examples:
  llmdb recall alice                                  # all about alice
  llmdb recall alice/employer
  llmdb recall 'alice/addr*'                          # keys that begin so
  llmdb recall --tag work --limit 10
  llmdb recall --text 'where paris'                   # that say so, the best first
  llmdb recall alice --text '\"acme corp\" eng*'        # a phrase, and the beginning of a word
  llmdb recall alice --as-of-valid 2024-05-01         # what held then, by what we know now
  llmdb recall alice --as-of-known 'last monday'      # what we knew then about now
  llmdb recall alice --at '3 weeks ago'               # what we knew then about then
  llmdb recall alice --max-tokens 500 --json          # for the context of a model")]
pub struct RecallArgs {
    /// A subject, a key, or the beginning of keys and a star [default: everything]
    what: Option<String>,
    /// Only facts that say so, the best first: words, "a phrase", begin*
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
    /// Only facts with this tag; can be given several times, for all of them
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    #[command(flatten)]
    point: PointArgs,
    /// At most so many facts
    #[arg(long, short = 'n', value_name = "FACTS", default_value_t = RESULTS_DEFAULT)]
    limit: usize,
    /// At most so many tokens, estimated as a quarter of the bytes as JSON
    #[arg(long, value_name = "TOKENS")]
    max_tokens: Option<usize>,
    /// Show facts one by one even if they say the same
    #[arg(long)]
    duplicates: bool,
    /// Go on where an answer to the same question ended
    #[arg(long, value_name = "CURSOR", allow_hyphen_values = true)]
    cursor: Option<String>,
    #[command(flatten)]
    db: DbArg,
}

pub fn run(args: &RecallArgs, output: &mut Output) -> Result<Exit, Failure> {
    let what = what(args.what.as_deref())?;
    let db = store::for_reading(&args.db.db, output)?;
    let facts = db.memory().facts();
    let recalled = facts.recall(&Recall {
        what,
        text: args.text.clone(),
        tags: args.tags.clone(),
        point: args.point.point(now(&facts)?)?,
        results_max: args.limit,
        tokens_max: args.max_tokens,
        keep_duplicates: args.duplicates,
        cursor: args.cursor.clone(),
    })?;
    if output.json {
        output.line(serde_json::to_value(&recalled)?)?;
    } else {
        show::facts(&recalled.facts, output)?;
        show::more(recalled.cursor.as_deref(), output);
    }
    if recalled.facts.is_empty() {
        output.note(format_args!("nothing is known there: {}", show::point(&recalled.point)));
        return Ok(Exit::NotFound);
    }
    Ok(Exit::Done)
}
