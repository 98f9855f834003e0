//! `llmdb restore`: puts a backup where a database is wanted.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use llmdb::{Db, ErrorKind, Options};
use serde_json::json;

use crate::{
    care::check::describe,
    failure::{Exit, Failure},
    figures::{Bytes, Count},
    host::{self, Draft},
    interrupt::Interrupt,
    output::Output,
    progress,
};

/// Put a backup where a database is wanted, after checking it
#[derive(Debug, Args)]
#[command(after_help = "\
The backup is copied beside the target, the copy is opened and checked, and only then gets the target's name: at
no moment is there half a file under that name. With --force, a database that is there already is moved aside,
to TO-replaced-1 and so on; nothing is deleted.

Examples:
  llmdb restore monday.llmdb my.llmdb
  llmdb restore monday.llmdb my.llmdb --force")]
pub struct RestoreArgs {
    /// The backup
    backup: PathBuf,
    /// Where the database is wanted
    to: PathBuf,
    /// Move aside what is there
    #[arg(long)]
    force: bool,
}

pub fn run(args: &RestoreArgs, output: &mut Output) -> Result<Exit, Failure> {
    refuse_live_store(&args.backup)?;
    let occupied = args.to.exists() || beside(&args.to, "-wal").exists();
    if occupied && !args.force {
        let failure = Failure::usage(format!("{} exists", args.to.display()));
        return Err(failure.advise("--force moves it aside; nothing is deleted"));
    }
    let stop = Interrupt::listen()?;
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
