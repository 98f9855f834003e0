//! `llmdb why`: how a fact came to be known.

use clap::Args;
use llmdb::memory::facts::{ShownVersion, Why};

use super::{PointArgs, now, show};
use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    output::Output,
    store,
};

/// Tell how a fact came to be known: when, by whom, what it replaced, what replaced it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  llmdb why alice/employer
  llmdb why alice/employer --as-of-valid 2024-05-01      # the fact that held then
  llmdb why alice/employer --json")]
pub struct WhyArgs {
    /// The fact: subject/name
    key: String,
    #[command(flatten)]
    point: PointArgs,
    #[command(flatten)]
    db: DbArg,
}

pub fn run(args: &WhyArgs, output: &mut Output) -> Result<Exit, Failure> {
    let key = args.key.parse()?;
    let db = store::for_reading(&args.db.db, output)?;
    let facts = db.memory().facts();
    let why = facts.why(&key, args.point.point(now(&facts)?)?)?;
    if output.json {
        output.line(serde_json::to_value(&why)?)?;
    } else {
        tell(&why, output)?;
    }
    Ok(Exit::Done)
}

fn tell(why: &Why, output: &mut Output) -> Result<(), Failure> {
    let asserted = &why.asserted;
    let says = show::quoted(&asserted.document);
    match why.holds {
        true => output.line(format_args!("{}: {says}", why.key))?,
        false => output
            .line(format_args!("{} is not known there; what was last learned of it: {says}", why.key))?,
    }
    output.line(format_args!("  asserted {}", show::period(asserted.valid)))?;
    output.line(format_args!(
        "  learned {}{}",
        show::commit(asserted.learned),
        show::noted(why.noted.as_ref())
    ))?;
    let document = &asserted.document;
    for (what, text) in [("said by", &document.agent), ("source", &document.source)] {
        if let Some(text) = text {
            output.line(format_args!("  {what} {}", show::line(text)))?;
        }
    }
    if let Some(confidence) = document.confidence {
        output.line(format_args!("  confidence {confidence}"))?;
    }
    for version in &why.replaced {
        output.line(format_args!("  replaced {}", version_line(version)))?;
    }
    for end in &why.replaced_by {
        let (period, commit) = (show::period(end.valid), show::commit(end.learned));
        let noted = show::noted(end.noted.as_ref());
        if end.by.is_empty() {
            output.line(format_args!("  ended {period}: {commit}{noted}"))?;
        }
        for version in &end.by {
            let by = show::quoted(&version.document);
            let period = show::period(version.valid);
            output.line(format_args!("  replaced by {by:?} {period}: {commit}{noted}"))?;
        }
    }
    Ok(())
}

fn version_line(version: &ShownVersion) -> String {
    let (says, period) = (show::quoted(&version.document), show::period(version.valid));
    format!("{says:?} {period}, learned {}", show::commit(version.learned))
}
