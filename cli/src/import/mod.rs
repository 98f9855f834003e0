//! `llmdb import`: a folder of files, JSON lines, CSV or TSV, in batches that can be resumed.

pub mod batches;
pub mod folder;
mod json_lines;
mod position;
mod source;
mod table;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    figures::{Bytes, Count, Seconds, rate},
    host::Stopwatch,
    interrupt::Interrupt,
    output::Output,
    progress, store,
};
use batches::{Batches, Ending, Import, Outcome};
use position::Position;
use source::Source;

/// Read a folder of files, JSON lines, CSV or TSV into a tree
#[derive(Debug, Args)]
#[command(after_help = "\
What becomes of what:
  a folder     one row per file: its path below the folder -> its bytes, into the tree \"files\".
               Links that lead out of the folder are not followed; those, and unreadable files, are reported
  .jsonl       one row per line -> the line. The key is the line number (zero-padded), or the field that --key names
  .csv, .tsv   one row per record -> a JSON object of its columns. The key is the record number, or the column that
               --key names; with several --key, their values joined by \"/\"
  rows         lines as `llmdb export` writes them, each back to its tree

Rows go in by batches, each one transaction that is on the disk before the next begins, and that also remembers how
far the import has come (in the tree \"_import\"). After Ctrl-C, a crash or a power failure, --resume goes on behind the
last batch: no row is missed, none is there twice.

Examples:
  llmdb import ./notes --db my.llmdb --skip .git
  llmdb import events.jsonl --key user.id --tree events --db my.llmdb
  llmdb import cities.csv --key country --key name --db my.llmdb
  llmdb import big.csv --db my.llmdb --resume --skip-bad
  git log --format='{\"id\":\"%H\"}' | llmdb import - --format jsonl --key id --db my.llmdb")]
pub struct ImportArgs {
    /// A folder or a file; `-` reads stdin
    path: PathBuf,
    #[command(flatten)]
    db: DbArg,
    /// The tree [default: "files" for a folder, else "main"]
    #[arg(long, short, value_name = "NAME")]
    tree: Option<String>,
    /// What is there [default: by the ending of its name]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Field or column for the key: `a.b.c` reaches into JSON; several are joined
    #[arg(long, value_name = "FIELD")]
    key: Vec<String>,
    /// What joins the values of several --key
    #[arg(long, default_value = "/", value_name = "TEXT")]
    key_separator: String,
    /// The first record of a CSV is data: the columns are called 1, 2, 3
    #[arg(long)]
    no_header: bool,
    /// Leave out files and folders of this name
    #[arg(long, value_name = "NAME")]
    skip: Vec<String>,
    /// Count lines and files that cannot be taken, and go on
    #[arg(long)]
    skip_bad: bool,
    /// Go on where an earlier import of the same source stopped
    #[arg(long)]
    resume: bool,
    /// Largest batch, in rows
    #[arg(long, default_value_t = 1_000, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    batch_rows: u64,
    /// Largest batch, in bytes
    #[arg(long, default_value_t = 1 << 20, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    batch_bytes: u64,
}

/// What an import reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// A folder of files
    Files,
    /// JSON lines
    Jsonl,
    /// Values separated by commas
    Csv,
    /// Values separated by tabs
    Tsv,
    /// Lines that `llmdb export` wrote
    Rows,
}

pub fn run(args: ImportArgs, output: &mut Output) -> Result<Exit, Failure> {
    let stdin = args.path.as_os_str() == "-";
    let format = format(&args, stdin)?;
    check_arguments(&args, format, stdin)?;
    let path = if stdin { args.path.clone() } else { crate::host::absolute(&args.path)? };
    let identity = position::identity(&path, &args, format)?;
    let tree =
        args.tree.clone().unwrap_or_else(|| if format == Format::Files { "files" } else { "main" }.into());
    let db = store::for_writing(&args.db.db, true, output)?;
    let key = position::record_key(&tree, &path);
    let earlier = position::load(&db, &key)?;
    let start = starting_point(&args, earlier, &identity, output)?;
    let resumed = start.is_some();
    let start = start.unwrap_or_default();
    if start.done {
        output.note(format_args!("this import was finished earlier; nothing is left to do"));
    }
    let mut source = open(&args, format, &path, &start)?;
    let stop = Interrupt::listen()?;
    let bar = progress::bytes(source.total_bytes(), "import", output);
    let import = Import {
        db: &db,
        tree: &tree,
        record: (!stdin).then_some((&key[..], &identity)),
        batches: Batches { rows_max: args.batch_rows, bytes_max: args.batch_bytes },
        skip_bad: args.skip_bad,
        stop: &stop,
        progress: &|bytes| bar.set_position(bytes),
        report: &|what| bar.suspend(|| output.note(what)),
    };
    let watch = Stopwatch::start();
    let outcome =
        if start.done { Ok(Outcome::finished_earlier(start)) } else { import.run(&mut *source, start) };
    bar.finish_and_clear();
    let outcome = outcome?;
    db.close()?;
    report(&args, &tree, &outcome, resumed, &watch, output)
}

fn format(args: &ImportArgs, stdin: bool) -> Result<Format, Failure> {
    if let Some(format) = args.format {
        return Ok(format);
    }
    if !stdin && args.path.is_dir() {
        return Ok(Format::Files);
    }
    let ending = args.path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    match ending.as_deref() {
        Some("jsonl" | "ndjson" | "json") => Ok(Format::Jsonl),
        Some("csv") => Ok(Format::Csv),
        Some("tsv" | "tab") => Ok(Format::Tsv),
        _ if !stdin && !args.path.exists() => {
            Err(Failure::file(&args.path, &std::io::ErrorKind::NotFound.into()))
        }
        _ => Err(Failure::usage(format!("what is in {}?", args.path.display()))
            .advise("say it with --format files, jsonl, csv, tsv or rows")),
    }
}

fn check_arguments(args: &ImportArgs, format: Format, stdin: bool) -> Result<(), Failure> {
    if stdin && args.resume {
        return Err(Failure::usage("stdin cannot be resumed: what was read is gone"));
    }
    if matches!(format, Format::Files | Format::Rows) && !args.key.is_empty() {
        return Err(Failure::usage("--key is for JSON lines, CSV and TSV"));
    }
    if format == Format::Files && !args.path.is_dir() {
        return Err(Failure::usage(format!("{} is not a folder", args.path.display())));
    }
    Ok(())
}

/// Where to begin; `None` at the beginning.
fn starting_point(
    args: &ImportArgs,
    earlier: Option<(serde_json::Value, Position)>,
    identity: &serde_json::Value,
    output: &Output,
) -> Result<Option<Position>, Failure> {
    match earlier {
        None => Ok(None),
        Some((_, position)) if !args.resume => {
            if !position.done {
                output.note(format_args!(
                    "an earlier import of this source stopped after {} rows; beginning anew (--resume goes on)",
                    Count(position.rows)
                ));
            }
            Ok(None)
        }
        Some((known, position)) if known == *identity => Ok(Some(position)),
        Some(_) => {
            let what = format!(
                "{} is not what the interrupted import read, or is read in another way",
                args.path.display()
            );
            Err(Failure::usage(what).advise("without --resume, it is imported from the beginning"))
        }
    }
}

fn open(
    args: &ImportArgs,
    format: Format,
    path: &Path,
    start: &Position,
) -> Result<Box<dyn Source>, Failure> {
    match format {
        Format::Files => {
            let own = position::files_of(&args.db.db);
            Ok(Box::new(folder::Folder::open(path, &args.skip, own, start)?))
        }
        Format::Jsonl => {
            Ok(Box::new(json_lines::JsonLines::open(path, &args.key, &args.key_separator, start)?))
        }
        Format::Rows => Ok(Box::new(json_lines::RowLines::open(path, start)?)),
        Format::Csv | Format::Tsv => {
            let delimiter = if format == Format::Csv { b',' } else { b'\t' };
            let keys = table::Keys { columns: args.key.clone(), separator: args.key_separator.clone() };
            Ok(Box::new(table::Table::open(path, delimiter, !args.no_header, keys, start)?))
        }
    }
}

fn report(
    args: &ImportArgs,
    tree: &str,
    outcome: &Outcome,
    resumed: bool,
    watch: &Stopwatch,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (position, seconds) = (&outcome.position, watch.seconds());
    let interrupted = outcome.ending == Ending::Interrupted;
    let result = json!({
        "tree": tree,
        "rows": outcome.rows,
        "rows_in_all": position.rows,
        "bytes": outcome.bytes,
        "bad": position.bad,
        "left_out": outcome.left_out,
        "batches": outcome.batches,
        "seconds": seconds,
        "resumed": resumed,
        "done": !interrupted,
    });
    output.result(&result, || {
        format!(
            "{} rows ({}) into tree {tree:?} in {} durable batches, {} ({} rows/s){}",
            Count(outcome.rows),
            Bytes(outcome.bytes),
            Count(outcome.batches),
            Seconds(seconds),
            Count(rate(outcome.rows, seconds)),
            if position.bad > 0 { format!("; {} skipped", Count(position.bad)) } else { String::new() }
        )
    })?;
    if !interrupted {
        return Ok(Exit::Done);
    }
    output.finish()?;
    let failure = Failure::interrupted(format!("stopped; {} rows are in, and safe", Count(position.rows)));
    Err(if args.path.as_os_str() == "-" {
        failure
    } else {
        failure.advise("the same command with --resume goes on")
    })
}
