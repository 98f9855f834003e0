//! `llmdb forget`: ends facts.

use clap::Args;
use llmdb::memory::facts::{Forget, What};

use super::{ByArgs, now, show, time};
use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    output::Output,
    store,
};

/// End facts: from now on, or from a time on, they hold no more
#[derive(Debug, Args)]
#[command(after_help = "\
What held before still held, and that it was believed stays known; `llmdb undo` takes it back.

Examples:
  llmdb forget alice/employer
  llmdb forget alice/employer --from 2024-06-30 --because 'she left'
  llmdb forget alice                                  # all about alice
  llmdb forget 'host/web-1/*' --by cleaner")]
pub struct ForgetArgs {
    /// A key, a subject, or the beginning of keys and a star
    what: String,
    /// The first moment at which they do not hold any more [default: now]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// The moment from which on they hold again as they did [default: never]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    #[command(flatten)]
    by: ByArgs,
    #[command(flatten)]
    db: DbArg,
}

pub fn run(args: &ForgetArgs, output: &mut Output) -> Result<Exit, Failure> {
    let what = What::parse(&args.what)?;
    let db = store::for_writing(&args.db.db, false, output)?;
    let facts = db.memory().facts();
    let now = now(&facts)?;
    let from = time("--from", args.from.as_deref(), now)?;
    let to = time("--to", args.to.as_deref(), now)?;
    let done = facts.forget(&Forget { what, from, to, by: args.by.by() })?;
    db.close()?;
    if output.json {
        output.line(serde_json::to_value(&done)?)?;
        return Ok(Exit::Done);
    }
    let (period, txid) = (show::period(done.valid), done.learned.txid.0);
    for fact in &done.facts {
        output.line(format_args!("forgot {}, {period} ({txid})", fact.key))?;
        show::replaced(&fact.replaced, output)?;
    }
    Ok(Exit::Done)
}
