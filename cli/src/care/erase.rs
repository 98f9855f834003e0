//! `llmdb erase`: a row of facts goes with its whole history, and what is left of one is looked for.

use std::path::PathBuf;

use clap::Args;
use llmdb::{
    memory::facts::{FACTS, FactKey},
    temporal::{Erasure, Key, RowKey, TracePlace},
};
use serde_json::{Value, json};

use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    figures::{Bytes, Count},
    interrupt::Interrupt,
    moment,
    output::Output,
    progress, store,
    text::to_hex,
};

/// Erase a row of facts with its whole history, everywhere in the database
#[derive(Debug, Args)]
#[command(after_help = "\
What is believed of the row, what ever was, in both times, and the notes that it was changed are removed; then the log is
overwritten and so are the free pages of the file. A note stays: when, by which transaction, and a hash of the row.
This cannot be undone, which --yes confirms. If nothing was known of the row, the note is made all the same, for backups
that may hold it, and the exit code is 1.

Backups and archived log from before hold the row in their files. The archive that LLMDB_ARCHIVE names, the sets named by
--set, and every set that gets a backup later are told of the erasure: restoring from them erases the row again.

A reader in this or another process that began before holds pages back: then it is said so, and --finish does the rest
later. `llmdb check --erased` looks for what is left.

Examples:
  llmdb erase people ada --yes --db my.llmdb
  llmdb erase facts alice/employer --yes --db my.llmdb          # a fact of an agent, and its tags
  llmdb erase people ada --yes --set backups/november --db my.llmdb
  llmdb erase --finish --db my.llmdb
  llmdb erase --list --db my.llmdb")]
pub struct EraseArgs {
    /// The collection
    #[arg(required_unless_present_any = ["finish", "list"])]
    collection: Option<String>,
    /// Key of the row
    #[arg(required_unless_present_any = ["finish", "list"], allow_hyphen_values = true)]
    key: Option<String>,
    #[command(flatten)]
    row: RowArgs,
    /// Yes, for good
    #[arg(long)]
    yes: bool,
    /// Tell this backup set, too; can be given several times
    #[arg(long, value_name = "FOLDER")]
    set: Vec<PathBuf>,
    /// Go on with erasures that had to wait, or were interrupted
    #[arg(long, conflicts_with_all = ["collection", "key", "list"])]
    finish: bool,
    /// List what was erased
    #[arg(long, conflicts_with_all = ["collection", "key"])]
    list: bool,
    #[command(flatten)]
    db: DbArg,
}

/// Which row a key on the command line is.
#[derive(Clone, Copy, Debug, Args)]
pub struct RowArgs {
    /// The partition of the row
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    partition: u32,
    /// The key is an integer, not a text
    #[arg(long)]
    int: bool,
}

impl RowArgs {
    /// The row of `collection` that `key` names: for facts of agents, `subject/name`.
    pub fn row(self, collection: &str, key: &str) -> Result<RowKey, Failure> {
        if collection == FACTS && self.partition == 0 && !self.int {
            return Ok(key.parse::<FactKey>()?.row());
        }
        let key = match self.int {
            true => {
                Key::from(key.parse::<i64>().map_err(|_| Failure::usage(format!("{key:?} is no integer")))?)
            }
            false => Key::from(key),
        };
        Ok(RowKey::new(self.partition, key))
    }
}

pub fn run(args: &EraseArgs, output: &mut Output) -> Result<Exit, Failure> {
    if args.list {
        return list(args, output);
    }
    if !args.finish && !args.yes {
        let failure = Failure::usage("an erasure cannot be undone, and nothing is left to undo it from");
        return Err(failure.advise("--yes says that it is meant"));
    }
    let db = store::for_writing(&args.db.db, false, output)?;
    let stop = Interrupt::listen()?;
    let bar = progress::pages(0, "erase", output);
    let mut tell = |done, all| {
        bar.set_length(all);
        bar.set_position(done);
        !stop.is_asked()
    };
    let (erasure, scrub) = match (&args.collection, &args.key) {
        (Some(collection), Some(key)) => {
            let row = args.row.row(collection, key)?;
            let erased = db.facts().erase(collection, row, &mut tell).map_err(llmdb::Error::from)?;
            (Some(erased.erasure), erased.scrub)
        }
        _ => (None, db.facts().finish_erasures(&mut tell).map_err(llmdb::Error::from)?),
    };
    bar.finish_and_clear();
    for set in &args.set {
        db.note_erasures(set)?;
    }
    let result = json!({
        "erasure": erasure.as_ref().map(to_json),
        "complete": scrub.is_complete(),
        "wiped_pages": scrub.wiped_pages,
        "wiped_log_bytes": scrub.wiped_log_bytes,
        "held_pages": scrub.held_pages,
    });
    output.result(&result, || {
        let what = erasure.as_ref().map_or_else(|| "erasures".to_owned(), to_text);
        let wiped = format!(
            "overwritten: {} pages, {} of log",
            Count(scrub.wiped_pages),
            Bytes(scrub.wiped_log_bytes)
        );
        match (scrub.is_complete(), scrub.stopped) {
            (true, _) => format!("{what}: done; {wiped}"),
            (false, true) => format!("{what}: interrupted; `llmdb erase --finish` goes on"),
            (false, false) => format!(
                "{what}: {} pages are held by readers that began before; `llmdb erase --finish` goes on when they have \
                 ended (`llmdb stat` names them)",
                Count(scrub.held_pages)
            ),
        }
    })?;
    Ok(match erasure {
        _ if scrub.stopped => Exit::Interrupted,
        // The note tells backups of it all the same.
        Some(erasure) if erasure.removed == 0 => Exit::NotFound,
        _ => Exit::Done,
    })
}

fn list(args: &EraseArgs, output: &mut Output) -> Result<Exit, Failure> {
    let db = store::for_reading(&args.db.db, output)?;
    for erasure in db.facts().erasures().map_err(llmdb::Error::from)? {
        let state = if erasure.scrubbed.is_some() { "" } else { ", not through yet" };
        output.result(&to_json(&erasure), || to_text(&erasure) + state)?;
    }
    Ok(Exit::Done)
}

fn to_json(erasure: &Erasure) -> Value {
    json!({
        "number": erasure.number,
        "collection": erasure.collection,
        "key_hash": to_hex(&erasure.key_hash),
        "txid": erasure.txid.get(),
        "erased_us": erasure.timestamp.get(),
        "removed": erasure.removed,
        "scrubbed_us": erasure.scrubbed.map(llmdb::Timestamp::get),
    })
}

fn to_text(erasure: &Erasure) -> String {
    format!(
        "erasure {} in {:?}, {}, {}: {} records, hash {}",
        erasure.number,
        erasure.collection,
        erasure.txid,
        moment::show(erasure.timestamp.get()),
        Count(erasure.removed),
        to_hex(&erasure.key_hash)
    )
}

/// `llmdb check --erased`.
pub fn check(
    db: &DbArg,
    collection: &str,
    row: &RowKey,
    also: &[String],
    output: &mut Output,
) -> Result<Exit, Failure> {
    let store = store::for_writing(&db.db, false, output)?;
    let stop = Interrupt::listen()?;
    let bar = progress::bytes(0, "search", output);
    let also: Vec<Vec<u8>> = also.iter().map(|text| text.as_bytes().to_vec()).collect();
    let check = store.facts().check_erased(collection, row, &also, &mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
        !stop.is_asked()
    });
    bar.finish_and_clear();
    let check = check.map_err(llmdb::Error::from)?;
    let places: Vec<String> = check.traces.found.iter().map(|trace| describe(&trace.place)).collect();
    let result = json!({
        "clean": check.is_clean(),
        "records": check.records,
        "traces": check.traces.count,
        "places": places,
        "searched_bytes": check.traces.searched_bytes,
        "erasures": check.erasures.iter().map(to_json).collect::<Vec<_>>(),
    });
    output.result(&result, || {
        let mut lines: Vec<String> = check.erasures.iter().map(to_text).collect();
        if check.erasures.is_empty() {
            lines.push(format!("no erasure of {row} in {collection:?} is noted"));
        }
        match check.is_clean() {
            true => lines.push(format!("nothing is left: {} searched", Bytes(check.traces.searched_bytes))),
            false => {
                lines.push(format!(
                    "{} records, {} traces:",
                    Count(check.records),
                    Count(check.traces.count)
                ));
                lines.extend(places.iter().take(20).map(|place| format!("  {place}")));
            }
        }
        lines.join("\n")
    })?;
    Ok(if check.is_clean() { Exit::Done } else { Exit::Damaged })
}

fn describe(place: &TracePlace) -> String {
    match place {
        TracePlace::Page { pgno, is_live: true } => format!("page {}, in use", pgno.get()),
        TracePlace::Page { pgno, is_live: false } => format!("page {}, not in use", pgno.get()),
        TracePlace::Log { path, offset } => format!("{}, at {offset}", path.display()),
        TracePlace::Record { end } => format!("the record of the log that ends at {end}"),
        _ => "elsewhere".to_owned(),
    }
}
