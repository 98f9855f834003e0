//! `llmdb changes`: what was committed, in the order of commits.

use std::{ops::Bound, time::Duration};

use clap::{ArgGroup, Args};
use llmdb::{Change, Changes, Commit, Db, ErrorKind, FeedFrom, Lsn, Transaction, TxnId};
use serde_json::json;

use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    figures::Bytes,
    interrupt::Interrupt,
    output::{Output, write_change},
    store,
    text::{Keep, escape},
};

/// Show what was committed, change by change
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("start").args(["from", "tx", "oldest"])),
    after_help = "\
Reads the log. A transaction is shown once it is durable, whole, and each exactly once. The log is dropped as the
database goes on, so begin in time, or make a consumer: a name with a position, kept in the database, for which the
log is kept as well, also over a close (at most 1 GiB and 7 days of it, unless the program says otherwise). Reading
with --consumer goes on where it was, and stores the position behind what was printed. If changes are gone, the exit
code is 9: read the data anew (`llmdb export`), then go on from --tx with the transaction that `llmdb stat` showed before.

Examples:
  llmdb changes --consumer mirror --create --db my.llmdb        # from now on
  llmdb changes --consumer mirror --db my.llmdb                 # what came since
  llmdb changes --consumer mirror --follow --json --db my.llmdb
  llmdb changes --tx 9021 --db my.llmdb                         # behind transaction 9021
  llmdb changes --list --db my.llmdb                            # the consumers, and how far they are
  llmdb changes --consumer mirror --remove --db my.llmdb"
)]
pub struct ChangesArgs {
    /// Begin behind this place in the log, as printed (0/3F00A8) or as a number
    #[arg(long, value_name = "LSN", value_parser = parse_lsn)]
    from: Option<Lsn>,
    /// Begin behind this transaction
    #[arg(long, value_name = "N")]
    tx: Option<u64>,
    /// Begin with the oldest transaction that is still there
    #[arg(long)]
    oldest: bool,
    /// Go on behind the position of this consumer, and move it
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    /// Make the consumer: at --from, --tx or --oldest, else from now on
    #[arg(long, requires = "consumer", conflicts_with_all = ["follow", "remove"])]
    create: bool,
    /// Forget the consumer
    #[arg(long, requires = "consumer", conflicts_with_all = ["follow", "start"])]
    remove: bool,
    /// List the consumers
    #[arg(long, conflicts_with_all = ["consumer", "start", "follow"])]
    list: bool,
    /// Wait for more, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    db: DbArg,
}

/// How long to wait before looking for Ctrl-C.
const LOOK_AFTER: Duration = Duration::from_millis(200);
/// Longer values are not printed as text.
const SHOWN_BYTES_MAX: u64 = 1 << 20;

pub fn run(args: &ChangesArgs, output: &mut Output) -> Result<Exit, Failure> {
    if args.list {
        return list(&store::for_reading(&args.db.db, output)?, output);
    }
    match &args.consumer {
        Some(name) if args.create => create(args, name, output),
        Some(name) if args.remove => remove(args, name, output),
        Some(_) if args.start().is_some() => Err(Failure::usage(
            "a consumer has a position of its own: --from, --tx and --oldest go with --create",
        )),
        Some(name) => {
            let db = store::for_writing(&args.db.db, false, output)?;
            let changes = db.changes_for(name).map_err(|error| unknown(&db, name, error))?;
            follow(args, &db, changes, output)
        }
        None => {
            let db = store::for_reading(&args.db.db, output)?;
            let changes = db.changes(args.start().unwrap_or(FeedFrom::Oldest))?;
            follow(args, &db, changes, output)
        }
    }
}

impl ChangesArgs {
    fn start(&self) -> Option<FeedFrom> {
        let tx = self.tx.map(|txid| FeedFrom::AfterTx(TxnId::new(txid)));
        let oldest = self.oldest.then_some(FeedFrom::Oldest);
        self.from.map(FeedFrom::AfterLsn).or(tx).or(oldest)
    }
}

fn create(args: &ChangesArgs, name: &str, output: &mut Output) -> Result<Exit, Failure> {
    let db = store::for_writing(&args.db.db, false, output)?;
    let position = db.create_consumer(name, args.start().unwrap_or_default())?;
    let result = json!({ "consumer": name, "txid": position.txid.get(), "lsn": position.lsn.to_string() });
    output.result(&result, || format!("{name}: begins behind {}, {}", position.txid, position.lsn))?;
    db.close()?;
    Ok(Exit::Done)
}

fn remove(args: &ChangesArgs, name: &str, output: &mut Output) -> Result<Exit, Failure> {
    let db = store::for_writing(&args.db.db, false, output)?;
    if !db.remove_consumer(name)? {
        return Err(Failure::not_found(format_args!("consumer {name:?}")));
    }
    output.result(&json!({ "consumer": name, "removed": true }), || format!("{name}: forgotten"))?;
    db.close()?;
    Ok(Exit::Done)
}

fn list(db: &Db, output: &mut Output) -> Result<Exit, Failure> {
    for consumer in db.consumers()? {
        let (name, position) = (&consumer.name, consumer.position);
        let line = json!({
            "consumer": name,
            "txid": position.txid.get(),
            "lsn": position.lsn.to_string(),
            "seen_us": consumer.seen.get(),
            "behind_bytes": consumer.behind_bytes,
        });
        output.result(&line, || {
            let behind = Bytes(consumer.behind_bytes);
            format!("{name}\tbehind {}, {}\t{behind} of log", position.txid, position.lsn)
        })?;
    }
    Ok(Exit::Done)
}

fn follow(args: &ChangesArgs, db: &Db, mut changes: Changes, output: &mut Output) -> Result<Exit, Failure> {
    let stop = Interrupt::listen()?;
    loop {
        let mut is_new = false;
        while let Some(mut txn) = changes.next_txn()? {
            show(&mut txn, output)?;
            is_new = true;
            if stop.is_asked() {
                break;
            }
        }
        if is_new {
            // First shown, then stored: a crash in between shows it again rather than never.
            output.finish()?;
            if let (Some(name), Some(position)) = (&args.consumer, changes.position()) {
                db.advance_consumer(name, position)?;
            }
        }
        stop.check()?;
        if !args.follow {
            return Ok(Exit::Done);
        }
        changes.wait(LOOK_AFTER);
    }
}

fn show(txn: &mut Transaction<'_>, output: &mut Output) -> Result<(), Failure> {
    let commit = txn.commit();
    while let Some(change) = txn.next_change()? {
        let (line, value_len) = Line::of(commit, &change);
        let value = match value_len {
            Some(len) if len <= SHOWN_BYTES_MAX || output.json => Some(txn.value()?),
            _ => None,
        };
        if output.json {
            write_change(output.writer(), &line.json, &line.key, value.as_deref())?;
        } else {
            let value = match (&value, value_len) {
                (Some(value), _) => format!("\t{}", escape(value, Keep::Line)),
                (None, Some(len)) => format!("\t({})", Bytes(len)),
                (None, None) => String::new(),
            };
            output.line(format_args!("{}\t{}{value}", commit.txid, line.text))?;
        }
    }
    if output.json {
        let (txid, lsn, at) = (commit.txid.get(), commit.lsn.to_string(), commit.timestamp.get());
        return output.line(json!({ "op": "commit", "txid": txid, "lsn": lsn, "committed_us": at }));
    }
    output.line(format_args!("{}\tcommit\t{}", commit.txid, commit.lsn))
}

/// A change as it is printed, without its value.
struct Line {
    text: String,
    json: serde_json::Value,
    key: Option<Vec<u8>>,
}

impl Line {
    fn of(commit: Commit, change: &Change<'_>) -> (Self, Option<u64>) {
        let txid = commit.txid.get();
        let name = |tree: &str| escape(tree.as_bytes(), Keep::Line);
        let line = |op: &str, tree: &str, key: Option<&[u8]>| {
            let shown = key.map(|key| format!("\t{}", escape(key, Keep::Line))).unwrap_or_default();
            Self {
                text: format!("{op}\t{}{shown}", name(tree)),
                json: json!({ "op": op, "txid": txid, "tree": tree }),
                key: key.map(<[u8]>::to_vec),
            }
        };
        match *change {
            Change::Put { tree, key, value_len } => (line("put", tree, Some(key)), Some(value_len)),
            Change::Copy { from_tree, from_key, tree, key, cut, tail } => {
                let mut line = line("copy", tree, Some(key));
                let (from, end) = (escape(from_key, Keep::Line), escape(tail, Keep::Line));
                line.text = format!("{}\t{}\t{from}\t{cut}\t{end}", line.text, name(from_tree));
                let from = json!({ "tree": from_tree, "key": crate::output::key_json(from_key) });
                line.json["from"] = from;
                line.json["cut"] = cut.into();
                line.json["tail"] = crate::output::key_json(tail);
                (line, None)
            }
            Change::Delete { tree, key } => (line("delete", tree, Some(key)), None),
            Change::CreateTree { tree, .. } => (line("create_tree", tree, None), None),
            Change::DropTree { tree, .. } => (line("drop_tree", tree, None), None),
            Change::DeleteRange { tree, from, to } => {
                let (from, to) = (bound_json(from), bound_json(to));
                let mut line = line("delete_range", tree, None);
                line.text = format!("{}\t{from}\t{to}", line.text);
                line.json["from"] = from;
                line.json["to"] = to;
                (line, None)
            }
            _ => (line("unknown", "", None), None),
        }
    }
}

/// A bound as JSON: null if it is open.
fn bound_json(bound: Bound<&[u8]>) -> serde_json::Value {
    let (key, included) = match bound {
        Bound::Unbounded => return serde_json::Value::Null,
        Bound::Included(key) => (key, true),
        Bound::Excluded(key) => (key, false),
    };
    let mut bound = crate::output::key_json(key);
    bound["included"] = included.into();
    bound
}

fn unknown(db: &Db, name: &str, error: llmdb::Error) -> Failure {
    let Ok(consumers) = db.consumers() else { return error.into() };
    if error.kind() != ErrorKind::Misuse || consumers.iter().any(|consumer| consumer.name == name) {
        return error.into();
    }
    let names: Vec<_> = consumers.into_iter().map(|consumer| consumer.name).collect();
    let there =
        if names.is_empty() { "there are none".into() } else { format!("there are: {}", names.join(", ")) };
    Failure::not_found(format_args!("consumer {name:?}")).advise(format!("{there}; --create makes one"))
}

/// A place in the log as it is printed, `0/3F00A8`, or as a number.
fn parse_lsn(text: &str) -> Result<Lsn, String> {
    let number = match text.split_once('/') {
        Some((upper, lower)) => {
            let part = |digits: &str| u32::from_str_radix(digits, 16).map(u64::from);
            part(upper).and_then(|upper| part(lower).map(|lower| upper << 32 | lower))
        }
        None => text.parse(),
    };
    number.map(Lsn::new).map_err(|_| format!("{text} is no place in the log: 0/3F00A8, or a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_the_log_are_read_as_they_are_printed() {
        for raw in [0, 4096, 0x3F_00A8, 0x1_2345_6789] {
            assert_eq!(parse_lsn(&Lsn::new(raw).to_string()), Ok(Lsn::new(raw)));
            assert_eq!(parse_lsn(&raw.to_string()), Ok(Lsn::new(raw)));
        }
        assert!(parse_lsn("x/1").is_err() && parse_lsn("-1").is_err() && parse_lsn("").is_err());
    }
}
