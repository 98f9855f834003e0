//! `llmdb undo`: takes a transaction back.

use clap::Args;
use llmdb::TxnId;

use super::{ByArgs, show, txid};
use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    output::Output,
    store,
};

/// Take a transaction back: what was believed before it is believed again
#[derive(Debug, Args)]
#[command(after_help = "\
Commands that write say the number of their transaction, and `llmdb history` shows it. Nothing is rewritten: that it was believed
meanwhile stays known, and an undo can be undone. What later transactions changed stays as they left it.

Examples:
  llmdb undo tx42
  llmdb undo tx42 --by alice --because 'it was a guess'")]
pub struct UndoArgs {
    /// The transaction: tx42
    transaction: String,
    #[command(flatten)]
    by: ByArgs,
    #[command(flatten)]
    db: DbArg,
}

pub fn run(args: &UndoArgs, output: &mut Output) -> Result<Exit, Failure> {
    let number = || args.transaction.parse().ok().map(TxnId::new);
    let undone = txid(&args.transaction).or_else(number).ok_or_else(|| {
        let failure = Failure::usage(format!("{:?} is no transaction", args.transaction));
        failure.advise("write its number, as in tx42; `llmdb history` shows it")
    })?;
    let db = store::for_writing(&args.db.db, false, output)?;
    let done = db.memory().facts().undo(undone, &args.by.by())?;
    db.close()?;
    if output.json {
        output.line(serde_json::to_value(&done)?)?;
        return Ok(Exit::Done);
    }
    match done.learned {
        Some(learned) => output.line(format_args!("took {} back ({})", done.undone.0, learned.txid.0))?,
        None => output.line(format_args!("nothing of {} was left to take back", done.undone.0))?,
    }
    let keys: Vec<_> = done.facts.iter().map(ToString::to_string).collect();
    if !keys.is_empty() {
        output.line(format_args!("  it was about {}", keys.join(", ")))?;
    }
    for kept in &done.kept {
        output.line(format_args!(
            "  {} stays as it is {}: it was changed later",
            kept.key,
            show::period(kept.valid)
        ))?;
    }
    Ok(Exit::Done)
}
