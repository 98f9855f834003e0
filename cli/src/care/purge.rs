//! `llmdb purge`: history of facts that need not be kept goes.

use clap::Args;
use llmdb::{Db, memory::facts::Followed, temporal::Retention};
use serde_json::json;

use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    figures::Count,
    interrupt::Interrupt,
    moment,
    output::Output,
    store,
};

/// Remove history of a collection of facts that need not be kept
#[derive(Debug, Args)]
#[command(after_help = "\
The present and the future stay as they are. Questions about moments that are not kept any more, in either time, are
refused from then on (exit code 9), and say from when on the collection is kept; they are never answered wrong.

With --keep, what was so and what was believed at the moments of the last so much time stays: 90d, 12h, 30m, 45s.
With --versions, of each row the newest so many states, what is believed now being one.

Of facts of agents (`llmdb purge facts`), the words and tags that no version has any more go from the search, too.

The work is done in small transactions, while others read and write. After Ctrl-C, or a crash, the next purge goes on where
this one ended. Purged bytes are in free pages and in the log until their space is used again; `llmdb erase` is for what
must be gone.

Examples:
  llmdb purge people --keep 90d --db my.llmdb
  llmdb purge people --versions 10 --db my.llmdb")]
pub struct PurgeArgs {
    /// The collection
    collection: String,
    /// How far back the history stays
    #[arg(long, value_name = "SPAN", value_parser = span, required_unless_present = "versions")]
    keep: Option<u64>,
    /// How many states of each row stay
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "keep")]
    versions: Option<u32>,
    #[command(flatten)]
    db: DbArg,
}

/// Microseconds of a span as people write it.
fn span(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no span of time: write 90d, 12h, 30m or 45s");
    let digits = text.trim_end_matches(|end: char| end.is_ascii_alphabetic());
    let unit_us = match &text[digits.len()..] {
        "d" => 86_400_000_000,
        "h" => 3_600_000_000,
        "m" => 60_000_000,
        "s" => 1_000_000_u64,
        _ => return Err(wrong()),
    };
    digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit_us)).ok_or_else(wrong)
}

pub fn run(args: &PurgeArgs, output: &mut Output) -> Result<Exit, Failure> {
    let keep = match (args.keep, args.versions) {
        (Some(us), _) => Retention::Span { us },
        (None, Some(count)) => Retention::Versions(count),
        (None, None) => Retention::All,
    };
    let db = store::for_writing(&args.db.db, false, output)?;
    let stop = Interrupt::listen()?;
    let purged =
        db.facts().purge(&args.collection, keep, &mut |_| !stop.is_asked()).map_err(llmdb::Error::from)?;
    let followed = follow(&db, &stop)?;
    let is_done = purged.is_done && followed.is_done;
    let (done, since) = (purged.progress, purged.kept_since.map(llmdb::Timestamp::get));
    let result = json!({
        "done": is_done,
        "kept_since_us": since,
        "removed": done.removed,
        "rows": done.rows,
        "epochs": done.epochs,
        "steps": done.steps,
        "words": followed.words,
        "tags": followed.tags,
    });
    output.result(&result, || {
        let since = since.map(|us| format!("; kept since {}", moment::show(us))).unwrap_or_default();
        let state = if is_done { "" } else { "; interrupted, the next purge goes on" };
        format!(
            "{}: {} records removed, {} rows looked at, {} epochs dropped{}{since}{state}",
            args.collection,
            Count(done.removed),
            Count(done.rows),
            Count(done.epochs),
            say(&followed),
        )
    })?;
    Ok(if is_done { Exit::Done } else { Exit::Interrupted })
}

/// Lets the words and tags of the facts of agents follow whatever was purged of them, by this call or an earlier one.
pub fn follow(db: &Db, stop: &Interrupt) -> Result<Followed, Failure> {
    Ok(db.memory().facts().follow_purges(&mut |_| !stop.is_asked())?)
}

/// What that did, behind what else is said; nothing if there was nothing to do.
pub fn say(followed: &Followed) -> String {
    match followed.words + followed.tags {
        0 => String::new(),
        _ => format!(", {} words and {} tags forgotten", Count(followed.words), Count(followed.tags)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        assert_eq!(span("90d"), Ok(90 * 86_400_000_000));
        assert_eq!(span("1s"), Ok(1_000_000));
        for wrong in ["", "d", "90", "90 d", "-1d", "1w", "99999999999999d", "1dd", "ü"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
