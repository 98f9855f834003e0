//! The chapter in which a process dies in the middle of durable writes.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
};

use llmdb::{Db, Options};
use serde_json::json;

use super::{WriterArgs, story::Story};
use crate::{
    failure::{Exit, Failure},
    figures::{Bytes, Count, Seconds, each},
    host::Stopwatch,
    interrupt::Interrupt,
    output::Output,
    store,
};

/// The tree that the child writes.
const LEDGER: &str = "ledger";
/// The key that names the newest entry, changed in the same transaction.
const NEWEST: &str = "newest";
/// How long the child may write, and how many commits it may acknowledge, before it is killed.
const WRITE_SECONDS: f64 = 1.5;
const COMMITS_MAX: u64 = 20_000;
/// Length of what the child writes with each number.
const ENTRY_BYTES: usize = 200;

/// The child: commits numbered transactions, and says each number once it is durable. It does not stop by itself.
pub fn write_until_killed(args: &WriterArgs, output: &mut Output) -> Result<Exit, Failure> {
    let db = Db::open(&args.db, Options::new().create(false))?;
    for number in 1_u64.. {
        let mut txn = db.begin_write()?;
        let mut ledger = txn.tree(LEDGER)?;
        ledger.put(format!("entry/{number:010}"), entry(number))?;
        ledger.put(NEWEST, number.to_string())?;
        txn.commit()?;
        output.line(number)?;
        output.finish()?;
    }
    Ok(Exit::Done)
}

fn entry(number: u64) -> String {
    format!("{number:>ENTRY_BYTES$}")
}

/// Starts the child, kills it, opens the database again and looks for what the child had been promised.
pub fn kill_a_writer(path: &Path, stop: &Interrupt, story: &mut Story<'_>) -> Result<Db, Failure> {
    story.chapter("kill -9 in the middle of durable writes")?;
    let (acknowledged, seconds) = run_and_kill(path, stop)?;
    stop.check()?;
    story.say(format_args!(
        "Another process opened the database and committed {} transactions, one by one, each durable before the next \
         ({} each). Then it was killed while it was writing, with no chance to close anything.",
        Count(acknowledged),
        Seconds(each(seconds, acknowledged))
    ))?;
    let watch = Stopwatch::start();
    let db = Db::open(path, Options::new().create(false))?;
    let seconds_to_open = watch.seconds();
    let recovery = db.recovery().clone();
    let found = count_entries(&db)?;
    if found < acknowledged {
        let what = format!("{acknowledged} commits were acknowledged, but only {found} are there");
        return Err(Failure::damaged(what));
    }
    story.say(format_args!(
        "Opened again in {}: {} transactions were replayed from {} of log. All {} acknowledged commits are there, in \
         order and whole{}.",
        Seconds(seconds_to_open),
        Count(recovery.replayed_txns),
        Bytes(recovery.replayed_bytes),
        Count(acknowledged),
        match found - acknowledged {
            0 => String::new(),
            more => format!("; {more} more had become durable before the process could say so"),
        }
    ))?;
    story.figure(
        "crash",
        json!({ "acknowledged": acknowledged, "found": found, "commit_seconds": each(seconds, acknowledged),
                "replayed": recovery.replayed_txns, "replayed_bytes": recovery.replayed_bytes,
                "open_seconds": seconds_to_open }),
    );
    Ok(db)
}

/// Kills the child when it is dropped, whatever happens.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        // It may have died already; then there is nothing to kill, and waiting returns at once.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The highest number that the child said, and how long it wrote.
fn run_and_kill(path: &Path, stop: &Interrupt) -> Result<(u64, f64), Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("tour-writer").arg("--db").arg(path).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut victim = Victim(command.spawn()?);
    let mut said = BufReader::new(victim.0.stdout.take().expect("it was asked for a pipe"));
    let mut newest = 0;
    let mut watch = Stopwatch::start();
    while newest < COMMITS_MAX && (watch.seconds() < WRITE_SECONDS || newest == 0) && !stop.is_asked() {
        let mut line = String::new();
        if said.read_line(&mut line)? == 0 {
            return Err(Failure::from(std::io::Error::other("the writing process ended by itself")));
        }
        if newest == 0 {
            // Starting the process is not writing.
            watch = Stopwatch::start();
        }
        newest = parse(&line).unwrap_or(newest);
    }
    let seconds = watch.seconds();
    drop(victim);
    let mut rest = String::new();
    said.read_to_string(&mut rest)?;
    Ok((rest.split_inclusive('\n').filter_map(parse).next_back().unwrap_or(newest), seconds))
}

/// A number that was said to its end.
fn parse(line: &str) -> Option<u64> {
    line.strip_suffix('\n')?.parse().ok()
}

/// Counts the entries, which must be numbered without a gap and end where `newest` says.
fn count_entries(db: &Db) -> Result<u64, Failure> {
    let snapshot = db.snapshot()?;
    let ledger = store::tree(&snapshot, LEDGER)?;
    let mut count = 0;
    for row in ledger.prefix("entry/")? {
        let (key, value) = row?;
        count += 1;
        if key != format!("entry/{count:010}").as_bytes() || value != entry(count).as_bytes() {
            return Err(Failure::damaged(format!("entry {count} of the ledger is not what was written")));
        }
    }
    if ledger.get(NEWEST)? != Some(count.to_string().as_bytes()) {
        return Err(Failure::damaged("half a transaction is there"));
    }
    Ok(count)
}
