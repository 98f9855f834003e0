//! `llmdb recover`: saves what can be read of a damaged database.

use std::path::PathBuf;

use clap::Args;
use llmdb::{Db, LostRange, OrphanReport, SalvageReport, StartFrom};
use serde_json::{Value, json};

use crate::{
    failure::{Exit, Failure},
    figures::{Bytes, Count},
    output::Output,
    text::{Keep, escape},
};

/// Save what can be read of a damaged database into a new one
#[derive(Debug, Args)]
#[command(after_help = "\
The damaged file is not written. What could not be read is listed, and the exit code is then 3.
(A database that merely was not closed needs none of this: opening it recovers it.)

Examples:
  llmdb recover my.llmdb saved.llmdb
  llmdb recover my.llmdb saved.llmdb --json | jq .lost")]
pub struct RecoverArgs {
    /// The damaged database
    from: PathBuf,
    /// The new database; it must not exist
    to: PathBuf,
}

pub fn run(args: &RecoverArgs, output: &mut Output) -> Result<Exit, Failure> {
    let report = Db::salvage(&args.from, &args.to)?;
    output.result(&to_json(&report), || to_text(args, &report))?;
    let whole = report.lost.is_empty() && report.log_lost.is_none();
    Ok(if whole { Exit::Done } else { Exit::Damaged })
}

fn to_json(report: &SalvageReport) -> Value {
    let lost: Vec<_> = report
        .lost
        .iter()
        .map(|lost| {
            json!({
                "tree": lost.tree,
                "page": lost.pgno.get(),
                "from": escape(&lost.from, Keep::Line),
                "to": lost.to.as_ref().map(|to| escape(to, Keep::Line)),
                "why": lost.why,
                "found": lost.found_keys,
            })
        })
        .collect();
    let orphans: Vec<_> = report
        .orphans
        .iter()
        .map(|found| {
            json!({
                "tree": found.tree,
                "keys": found.key_count,
                "missing": found.missing_keys,
                "may_be_stale": found.may_be_stale,
            })
        })
        .collect();
    json!({
        "orphans": orphans,
        "keys": report.saved.key_count,
        "trees": report.saved.tree_count,
        "file_bytes": report.saved.file_bytes,
        "txid": report.saved.commit.txid.get(),
        "from_older_checkpoint": report.from == StartFrom::Older,
        "log_lost": report.log_lost,
        "lost": lost,
    })
}

fn to_text(args: &RecoverArgs, report: &SalvageReport) -> String {
    let saved = &report.saved;
    let mut lines = vec![format!(
        "saved {} keys in {} trees into {} ({}), up to {}",
        Count(saved.key_count),
        saved.tree_count,
        args.to.display(),
        Bytes(saved.file_bytes),
        saved.commit.txid
    )];
    if report.from == StartFrom::Older {
        lines.push("the newest checkpoint could not be read; this is the one before".into());
    }
    if let Some(why) = &report.log_lost {
        lines.push(format!("commits since that checkpoint are lost: {why}"));
    }
    lines.extend(report.lost.iter().map(lost_text));
    lines.extend(report.orphans.iter().map(orphan_text));
    if report.lost.is_empty() && report.log_lost.is_none() {
        lines.push("nothing was lost".into());
    }
    lines.join("\n")
}

fn lost_text(lost: &LostRange) -> String {
    let tree =
        if lost.tree.is_empty() { "the list of trees".into() } else { format!("tree {:?}", lost.tree) };
    let from = if lost.from.is_empty() { "the first key".into() } else { escape(&lost.from, Keep::Line) };
    let to = lost.to.as_ref().map_or_else(|| "the last".into(), |to| escape(to, Keep::Line));
    let found = match lost.found_keys {
        0 => String::new(),
        found => format!(", but for {} keys that were found in leaves without a branch", Count(found)),
    };
    format!("lost: {tree}, keys from {from} up to {to}{found}: {}", lost.why)
}

fn orphan_text(found: &OrphanReport) -> String {
    let missing = match found.missing_keys {
        Some(0) => ", nothing of the tree is missing".into(),
        Some(missing) => format!(", {} are missing", Count(missing)),
        None => String::new(),
    };
    let stale = if found.may_be_stale { "; some of them may be old, or deleted" } else { "" };
    format!(
        "found: {} keys of tree {:?} in leaves without a branch{missing}{stale}",
        Count(found.key_count),
        found.tree
    )
}
