//! `llmdb restore`: puts a backup where a database is wanted.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use llmdb::{Db, ErrorKind, Options, RestoreSource, RestoreTo, Timestamp, TxnId};
use serde_json::json;

use crate::{
    care::check::describe,
    failure::{Exit, Failure},
    figures::{Bytes, Count},
    host::{self, Draft},
    interrupt::Interrupt,
    moment,
    output::Output,
    progress,
};

/// Put a backup where a database is wanted, after checking it
#[derive(Debug, Args)]
#[command(after_help = "\
BACKUP is a compact copy, or the folder of a backup set. From a set, the newest backup is restored, or what
--to-tx or --to-time asks for; with --archive, the log is reapplied behind it, up to the last commit in it or the
one that is asked for. With --log, also what a lost database had in its log (the folder FILE-wal). If the commit
cannot be reached, the exit code is 9, and the message says how far it goes.

What was erased after that commit, by the list that goes with the set and the archive (erasures.json), is erased again.

What is restored from a set is a database of its own: its commits have their ids and times, but logs, archives and
backup sets of the original are not taken for its own. Begin new ones.

The backup is copied beside the target, the copy is opened and checked, and only then gets the target's name: at
no moment is there half a file under that name. With --force, a database that is there already is moved aside,
to TO-replaced-1 and so on; nothing is deleted.

Examples:
  llmdb restore monday.llmdb my.llmdb
  llmdb restore monday.llmdb my.llmdb --force
  llmdb restore backups/november my.llmdb --archive backups/log
  llmdb restore backups/november before.llmdb --archive backups/log --to-time '2026-11-20 08:59:30'
  llmdb restore backups/november before.llmdb --archive backups/log --to-tx 9021")]
pub struct RestoreArgs {
    /// The backup: a file, or the folder of a set
    backup: PathBuf,
    /// Where the database is wanted
    to: PathBuf,
    /// Move aside what is there
    #[arg(long)]
    force: bool,
    /// The archive of the log, to go on behind the newest backup
    #[arg(long, value_name = "FOLDER")]
    archive: Option<PathBuf>,
    /// The log of the lost database, for what had not been archived
    #[arg(long, value_name = "FOLDER")]
    log: Option<PathBuf>,
    /// End with this transaction
    #[arg(long, value_name = "N", conflicts_with = "to_time")]
    to_tx: Option<u64>,
    /// End with the last transaction committed by then, UTC
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    to_time: Option<i64>,
}

pub fn run(args: &RestoreArgs, output: &mut Output) -> Result<Exit, Failure> {
    refuse_live_store(&args.backup)?;
    let occupied = args.to.exists() || beside(&args.to, "-wal").exists();
    if occupied && !args.force {
        let failure = Failure::usage(format!("{} exists", args.to.display()));
        return Err(failure.advise("--force moves it aside; nothing is deleted"));
    }
    let stop = Interrupt::listen()?;
    if args.backup.is_dir() {
        return from_set(args, occupied, &stop, output);
    }
    if args.archive.is_some() || args.log.is_some() || args.to_tx.is_some() || args.to_time.is_some() {
        let what = format!("{} is a compact copy, which holds one commit", args.backup.display());
        return Err(Failure::usage(what).advise("--archive, --log, --to-tx and --to-time need a backup set"));
    }
    let draft = copy(args, &stop, output)?;
    let keys = verify(&args.backup, draft.path())?;
    let bytes = draft.file.metadata()?.len();
    let replaced = if occupied { Some(move_aside(&args.to)?) } else { None };
    draft.finish()?;
    let result = json!({ "keys": keys, "file_bytes": bytes, "replaced": replaced });
    output.result(&result, || {
        let aside = replaced.as_ref().map(|path| format!("; what was there is now {}", path.display()));
        let (to, aside) = (args.to.display(), aside.unwrap_or_default());
        format!("{to}: {} keys, {}, checked{aside}", Count(keys), Bytes(bytes))
    })?;
    Ok(Exit::Done)
}

/// Restores from a set: beside what is there, which is moved aside only when the restored database is whole.
fn from_set(
    args: &RestoreArgs,
    occupied: bool,
    stop: &Interrupt,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let until = match (args.to_tx, args.to_time) {
        (Some(txid), _) => RestoreTo::Tx(TxnId::new(txid)),
        (None, Some(us)) => RestoreTo::Time(Timestamp::new(us)),
        (None, None) => RestoreTo::Latest,
    };
    let source =
        RestoreSource { set: args.backup.clone(), archive: args.archive.clone(), log: args.log.clone() };
    let target = if occupied { beside(&args.to, "-restored") } else { args.to.clone() };
    let bar = progress::pages(0, "restore", output);
    let report = Db::restore(&source, &target, until, &mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
        !stop.is_asked()
    })?;
    bar.finish_and_clear();
    let replaced = if occupied { Some(move_aside(&args.to)?) } else { None };
    if occupied {
        host::rename(&target, &args.to)?;
    }
    let commit = report.commit;
    let result = json!({
        "keys": report.key_count,
        "file_bytes": report.file_bytes,
        "store": report.store.to_string(),
        "original": report.original.to_string(),
        "txid": commit.txid.get(),
        "committed_us": commit.timestamp.get(),
        "backups": report.backup_count,
        "replayed_txns": report.replayed_txns,
        "replaced": replaced,
        "erased_rows": report.erased_rows,
    });
    output.result(&result, || {
        let mut aside = replaced.as_ref().map(|path| format!("; what was there is now {}", path.display()));
        if report.erased_rows > 0 {
            let rows = Count(report.erased_rows);
            aside
                .get_or_insert_default()
                .insert_str(0, &format!("; {rows} rows that were erased later are erased again"));
        }
        format!(
            "{}: {}, committed {}, {} keys, {} ({} backups, {} transactions from the log){}",
            args.to.display(),
            commit.txid,
            moment::show(commit.timestamp.get()),
            Count(report.key_count),
            Bytes(report.file_bytes),
            report.backup_count,
            Count(report.replayed_txns),
            aside.unwrap_or_default()
        )
    })?;
    Ok(Exit::Done)
}

/// A data file with a log beside it is only half of a database.
fn refuse_live_store(backup: &Path) -> Result<(), Failure> {
    if !beside(backup, "-wal").exists() {
        return Ok(());
    }
    let what = format!(
        "{} is not a backup: it is in use, or was not closed, and has a log beside it",
        backup.display()
    );
    Err(Failure::usage(what).advise(format!("make one with `llmdb backup NEW --db {}`", backup.display())))
}

fn copy(args: &RestoreArgs, stop: &Interrupt, output: &Output) -> Result<Draft, Failure> {
    let unreadable = |error: &io::Error| Failure::file(&args.backup, error);
    let mut from = host::open(&args.backup).map_err(|error| unreadable(&error))?;
    let len = from.metadata().map_err(|error| unreadable(&error))?.len();
    let mut draft = Draft::create(&args.to)?;
    let bar = progress::bytes(len, "restore", output);
    let mut chunk = vec![0; 1 << 20];
    loop {
        stop.check()?;
        let count = io::Read::read(&mut from, &mut chunk).map_err(|error| unreadable(&error))?;
        if count == 0 {
            break;
        }
        draft.file.write_all(&chunk[..count]).map_err(|error| Failure::file(draft.path(), &error))?;
        bar.inc(count as u64);
    }
    bar.finish_and_clear();
    Ok(draft)
}

/// Opens the copy, reads all of it, and returns the number of keys.
fn verify(backup: &Path, copy: &Path) -> Result<u64, Failure> {
    let result = check(backup, copy);
    // The lock file of the draft's name is of no use to anybody.
    let _ = host::remove(&beside(copy, "-lock"));
    result
}

fn check(backup: &Path, copy: &Path) -> Result<u64, Failure> {
    let db = match Db::open(copy, Options::new().create(false).read_only(true)) {
        Err(error) if error.kind() == ErrorKind::NotADatabase => {
            return Err(Failure::not_a_database(backup));
        }
        other => other?,
    };
    let problems = db.check()?.problems;
    match problems.first() {
        None => Ok(db.stats()?.key_count),
        Some(first) => {
            let what =
                format!("{} is damaged ({} problems; {})", backup.display(), problems.len(), describe(first));
            Err(Failure::damaged(what).advise("nothing was restored; `llmdb recover` saves what can be read"))
        }
    }
}

/// Renames a database and its log out of the way. Refused while it is open.
fn move_aside(path: &Path) -> Result<PathBuf, Failure> {
    match Db::open(path, Options::new().create(false).read_only(true)) {
        Err(error) if error.kind() == ErrorKind::Locked => return Err(error.into()),
        // Damaged, not closed, not ours: all reasons to put something else in its place.
        Err(_) => {}
        Ok(db) => drop(db),
    }
    let aside = (1..).map(|number| beside(path, &format!("-replaced-{number}")));
    let free = |aside: &PathBuf| !aside.exists() && !beside(aside, "-wal").exists();
    let aside = aside.into_iter().find(free).expect("there are more numbers than files");
    for ending in ["-wal", ""] {
        let from = beside(path, ending);
        if from.exists() {
            host::rename(&from, &beside(&aside, ending))?;
        }
    }
    Ok(aside)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
