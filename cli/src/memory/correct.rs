//! `llmdb correct`: says what is right of a period that something wrong was believed of.

use clap::Args;
use llmdb::memory::facts::Correction;

use super::{ByArgs, now, said::SaidArgs, show, time};
use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    output::Output,
    store,
};

/// Correct what is believed of a fact, of the past too
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is deleted: that it was believed otherwise stays known, and other periods stay as they are. Without --from and --to the
correction is for the period of the fact that holds now; with --from alone up to the end of the fact that holds there.

Examples:
  llmdb correct alice/employer 'Acme Corporation' --because 'the full name'
  llmdb correct alice/city Paris --from 2024-05-01 --to 2024-06-01 --because 'she moved a month earlier'")]
pub struct CorrectArgs {
    /// The fact: subject/name
    key: String,
    /// What is right, in words; `-` reads it from stdin
    #[arg(allow_hyphen_values = true)]
    text: String,
    /// Since when that holds
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// The first moment at which it does not hold any more
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    #[command(flatten)]
    by: ByArgs,
    #[command(flatten)]
    said: SaidArgs,
    #[command(flatten)]
    db: DbArg,
}

pub fn run(args: &CorrectArgs, output: &mut Output) -> Result<Exit, Failure> {
    let key = args.key.parse()?;
    let document = args.said.document(&args.text, args.by.by.clone())?;
    let said = show::quoted(&document);
    let db = store::for_writing(&args.db.db, false, output)?;
    let facts = db.memory().facts();
    let now = now(&facts)?;
    let from = time("--from", args.from.as_deref(), now)?;
    let to = time("--to", args.to.as_deref(), now)?;
    let done = facts.correct(&[Correction { key, document, from, to }], &args.by.by())?;
    db.close()?;
    if output.json {
        output.line(serde_json::to_value(&done)?)?;
        return Ok(Exit::Done);
    }
    for fact in &done.facts {
        let (period, txid) = (show::period(fact.valid), done.learned.txid.0);
        output.line(format_args!("corrected {}: {said}, {period} ({txid})", fact.key))?;
        show::replaced(&fact.replaced, output)?;
    }
    Ok(Exit::Done)
}
