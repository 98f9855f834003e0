//! `llmdb retention`: how long history is kept.

use clap::{Args, Subcommand};
use llmdb::catalog::{Keep, Policy};
use serde_json::json;

use crate::{
    args::DbArg,
    care::purge,
    failure::{Exit, Failure},
    interrupt::Interrupt,
    moment,
    output::Output,
    store,
    table::Table,
};

/// Say how long the history of a collection is kept
#[derive(Debug, Args)]
#[command(after_help = "\
A policy is a document in the database, and a fact like any other. It says what may be given up: KEEP is `all`, a
number of versions (`10 versions`: of each row the newest ones), or a span (`90 days`, `12 hours`, `2 years`: what was
believed in that time). What is believed now is always kept. `apply` purges; programs that use the library can have a
thread for it.

Examples:
  llmdb retention set facts '90 days' --db my.llmdb
  llmdb retention set notes '10 versions' --note 'drafts are not kept' --db my.llmdb
  llmdb retention show --db my.llmdb
  llmdb retention apply --db my.llmdb                   # all policies; can be stopped and gone on with
  llmdb retention unset facts --db my.llmdb             # nobody says: everything is kept")]
pub struct RetentionArgs {
    #[command(subcommand)]
    command: Retention,
}

#[derive(Debug, Subcommand)]
enum Retention {
    /// Write the policy of a collection
    Set {
        /// The collection
        collection: String,
        /// What is kept
        keep: String,
        /// Why
        #[arg(long)]
        note: Option<String>,
        #[command(flatten)]
        db: DbArg,
    },
    /// Show the policies
    Show {
        /// Of this collection only
        collection: Option<String>,
        #[command(flatten)]
        db: DbArg,
    },
    /// Purge what the policies need not keep, in steps
    Apply {
        #[command(flatten)]
        db: DbArg,
    },
    /// Remove the policy of a collection
    Unset {
        /// The collection
        collection: String,
        #[command(flatten)]
        db: DbArg,
    },
}

pub fn run(args: &RetentionArgs, output: &mut Output) -> Result<Exit, Failure> {
    match &args.command {
        Retention::Set { collection, keep, note, db } => {
            let policy = Policy { keep: parse(keep)?, note: note.clone() };
            let db = store::for_writing(&db.db, false, output)?;
            db.catalog().set_retention(collection, &policy).map_err(llmdb::Error::from)?;
            db.close()?;
            output.result(&policy_json(collection, &policy), || {
                format!("{collection}: {}", show(policy.keep))
            })?;
            Ok(Exit::Done)
        }
        Retention::Show { collection, db } => {
            let db = store::for_reading(&db.db, output)?;
            let view = db.facts().view().map_err(llmdb::Error::from)?;
            let mut policies = db.catalog().retentions(&view).map_err(llmdb::Error::from)?;
            policies.retain(|(name, _)| collection.as_ref().is_none_or(|wanted| wanted == name));
            if policies.is_empty()
                && let Some(collection) = collection
            {
                return Err(
                    Failure::not_found(format!("policy of {collection:?}")).advise("everything is kept")
                );
            }
            if output.json {
                let all: Vec<_> = policies.iter().map(|(name, policy)| policy_json(name, policy)).collect();
                output.line(json!({ "policies": all }))?;
                return Ok(Exit::Done);
            }
            let mut table = Table::new(&["COLLECTION", "KEEP", "NOTE"], 2);
            for (name, policy) in policies {
                table.row(vec![name, show(policy.keep), policy.note.unwrap_or_default()]);
            }
            table.print(output)?;
            Ok(Exit::Done)
        }
        Retention::Apply { db } => apply(db, output),
        Retention::Unset { collection, db } => {
            let db = store::for_writing(&db.db, false, output)?;
            let had = db.catalog().unset_retention(collection).map_err(llmdb::Error::from)?;
            db.close()?;
            output.result(&json!({ "collection": collection, "had_policy": had }), || {
                if had {
                    format!("{collection}: everything is kept")
                } else {
                    format!("{collection} had no policy")
                }
            })?;
            Ok(if had { Exit::Done } else { Exit::NotFound })
        }
    }
}

fn apply(db: &DbArg, output: &mut Output) -> Result<Exit, Failure> {
    let db = store::for_writing(&db.db, false, output)?;
    let stop = Interrupt::listen()?;
    let applied = db.catalog().apply_retention(&mut |_, _| !stop.is_asked()).map_err(llmdb::Error::from)?;
    let followed = purge::follow(&db, &stop)?;
    db.close()?;
    let is_done = followed.is_done && applied.iter().all(|(_, purged)| purged.is_done);
    let all: Vec<_> = applied
        .iter()
        .map(|(collection, purged)| {
            let since = purged.kept_since.map(llmdb::Timestamp::get);
            json!({ "collection": collection, "removed": purged.progress.removed, "kept_since_us": since, "is_done": purged.is_done })
        })
        .collect();
    if output.json {
        output.line(json!({ "applied": all }))?;
    } else if applied.is_empty() {
        output.line("no policy gives anything up")?;
    } else {
        let mut table = Table::new(&["COLLECTION", "REMOVED", "KEPT SINCE"], 0);
        for (collection, purged) in applied {
            let since =
                purged.kept_since.map_or_else(|| "the beginning".into(), |since| moment::show(since.get()));
            table.row(vec![collection, format!("{} records", purged.progress.removed), since]);
        }
        table.print(output)?;
    }
    Ok(if is_done { Exit::Done } else { Exit::Interrupted })
}

fn policy_json(collection: &str, policy: &Policy) -> serde_json::Value {
    json!({ "collection": collection, "keep": policy.keep, "note": policy.note })
}

/// `all`, `10 versions`, `90 days`, `90d`.
/// Days in the microseconds of a timestamp.
const DAYS_MAX: u32 = 106_751_991;

fn parse(text: &str) -> Result<Keep, Failure> {
    let refuse = || {
        Failure::usage(format!("{text:?} is no policy"))
            .advise("write all, or like: 10 versions, 90 days, 12 hours, 2 years")
    };
    let text = text.trim();
    if text == "all" {
        return Ok(Keep::All);
    }
    let end = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(refuse)?;
    let number: u32 = text[..end].parse().map_err(|_| refuse())?;
    let days = |days: u32| {
        let all = number.checked_mul(days).filter(|all| *all <= DAYS_MAX);
        all.map(Keep::Days).ok_or_else(refuse)
    };
    let seconds = |seconds: u64| Ok(Keep::Seconds(u64::from(number) * seconds));
    match text[end..].trim() {
        "v" | "version" | "versions" => Ok(Keep::Versions(number)),
        "y" | "year" | "years" => days(365),
        "w" | "week" | "weeks" => days(7),
        "d" | "day" | "days" => days(1),
        "h" | "hour" | "hours" => seconds(3_600),
        "m" | "minute" | "minutes" => seconds(60),
        "s" | "second" | "seconds" => seconds(1),
        _ => Err(refuse()),
    }
}

fn show(keep: Keep) -> String {
    match keep {
        Keep::All => "all".into(),
        Keep::Versions(count) => format!("{count} versions"),
        Keep::Days(count) => format!("{count} days"),
        Keep::Seconds(count) => format!("{count} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_as_people_write_them() {
        for (text, keep) in [
            ("all", Keep::All),
            ("10 versions", Keep::Versions(10)),
            ("1 version", Keep::Versions(1)),
            ("90d", Keep::Days(90)),
            (" 2 years ", Keep::Days(730)),
            ("12 hours", Keep::Seconds(43_200)),
        ] {
            assert_eq!(parse(text).unwrap(), keep, "{text}");
        }
        for text in ["", "ten", "10", "-1 days", "99999999999 days", "9999999 years", "1 fortnight", "d"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
