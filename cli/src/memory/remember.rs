//! `llmdb remember`: learns a fact.

use clap::Args;
use llmdb::memory::facts::{NewFact, NewKey, RememberedFact};

use super::{now, said::SaidArgs, show, time};
use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    output::Output,
    store,
};

/// Remember a fact, for a time
#[derive(Debug, Args)]
#[command(after_help = "\
A fact is called subject/name; what was known of that time before stays in its history. With one argument only, it is a note
and gets a name. It holds from now on, unless --from and --to say when; --to is the first moment at which it does not hold.

Examples:
  llmdb remember alice/employer 'Acme Corp' --from 2024-03-01 --source 'her letter' --tag work
  llmdb remember alice/city Paris --from 'last monday' --to 'in 2 weeks'
  llmdb remember 'The demo is on Friday' --tag demo
  llmdb remember 'Likes tea' --about alice --confidence 0.7
  llmdb remember host/web-1/disk 'nearly full' --value '{\"free_gb\": 3}' --by watcher

Times: 2024-03-01, \"2024-03-01 14:30\", 2024-03-01T14:30:00Z, 2024-03, 2024, \"1 March 2024\", now, yesterday,
\"3 days ago\", \"in 2 weeks\", \"last monday\"; in UTC unless an offset is written.")]
pub struct RememberArgs {
    /// What the fact is called: subject/name
    #[arg(value_name = "KEY")]
    key_or_text: String,
    /// The fact in words; `-` reads it from stdin
    #[arg(allow_hyphen_values = true)]
    text: Option<String>,
    /// What a note is about: its subject
    #[arg(long, value_name = "SUBJECT")]
    about: Option<String>,
    /// Since when it holds [default: now]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// The first moment at which it does not hold any more
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Who says so: a person or an agent
    #[arg(long, env = "LLMDB_AGENT", value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    said: SaidArgs,
    #[command(flatten)]
    db: DbArg,
}

pub fn run(args: &RememberArgs, output: &mut Output) -> Result<Exit, Failure> {
    let (key, text) = match (&args.text, &args.about) {
        (Some(_), Some(_)) => {
            let failure = Failure::usage("--about is for notes, and this fact has a key");
            return Err(failure.advise("leave the key out, or --about"));
        }
        (Some(text), None) => (NewKey::Given(args.key_or_text.parse()?), text),
        (None, Some(subject)) => (NewKey::Under(subject.clone()), &args.key_or_text),
        (None, None) => (NewKey::Generated, &args.key_or_text),
    };
    let document = args.said.document(text, args.by.clone())?;
    let said = show::quoted(&document);
    let db = store::for_writing(&args.db.db, true, output)?;
    let facts = db.memory().facts();
    let now = now(&facts)?;
    let from = time("--from", args.from.as_deref(), now)?;
    let to = time("--to", args.to.as_deref(), now)?;
    let done = facts.remember(&[NewFact { key, document, from, to }])?;
    db.close()?;
    if output.json {
        output.line(serde_json::to_value(&done)?)?;
        return Ok(Exit::Done);
    }
    for RememberedFact { key, valid, unchanged, replaced } in &done.facts {
        let txid = done.learned.map_or(String::new(), |learned| format!(" ({})", learned.txid.0));
        let verb = if *unchanged { "known already:" } else { "remembered" };
        output.line(format_args!("{verb} {key}: {said}, {}{txid}", show::period(*valid)))?;
        show::replaced(replaced, output)?;
    }
    Ok(Exit::Done)
}
