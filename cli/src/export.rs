//! `llmdb export`: rows into JSON lines, CSV or TSV, or files into a folder.

use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Component, Path, PathBuf},
};

use clap::{Args, ValueEnum};
use llmdb::{Snapshot, Tree};
use serde_json::json;

use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    figures::{Count, Seconds},
    host::{Draft, Stopwatch},
    output::{Output, write_row},
    progress, store,
    text::{Keep, escape, to_hex},
};

/// Write rows as JSON lines, CSV or TSV, or files into a folder
#[derive(Debug, Args)]
#[command(after_help = "\
  jsonl   one object per row, of every tree unless --tree names one:
          {\"tree\":\"main\",\"key\":\"user/1\",\"value\":\"Ada\"}, with \"key_base64\" and \"value_base64\" for what is
          not UTF-8. `llmdb import --format rows` reads it back
  csv     key,value of one tree; --hex for what is not UTF-8
  files   each row of one tree becomes a file at the path that is its key: what `import` of a folder made

A file appears under its name only once it is whole. All of it is one snapshot.

Examples:
  llmdb export --db my.llmdb > everything.jsonl
  llmdb export --tree cities --format csv --to cities.csv --db my.llmdb
  llmdb export --tree files --format files --to ./notes-again --db my.llmdb")]
pub struct ExportArgs {
    #[command(flatten)]
    db: DbArg,
    /// Only this tree
    #[arg(long, short, value_name = "NAME")]
    tree: Option<String>,
    /// How rows are written
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Format,
    /// The file to write, or the folder for `files` [default: stdout]
    #[arg(long, value_name = "PATH")]
    to: Option<PathBuf>,
    /// Keys and values of CSV and TSV in hexadecimal
    #[arg(long)]
    hex: bool,
    /// Overwrite files that are there
    #[arg(long)]
    force: bool,
}

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    Jsonl,
    Csv,
    Tsv,
    Files,
}

/// Trees that begin so are the program's own notes.
const OWN_PREFIX: &str = "_";

pub fn run(args: &ExportArgs, output: &mut Output) -> Result<Exit, Failure> {
    let db = store::for_reading(&args.db.db, output)?;
    let snapshot = db.snapshot()?;
    let watch = Stopwatch::start();
    let rows = match (&args.to, args.format) {
        (None, Format::Files) => return Err(Failure::usage("--format files needs a folder: --to PATH")),
        (Some(to), Format::Files) => to_folder(args, &snapshot, to, output)?,
        (Some(to), _) => to_file(args, &snapshot, to)?,
        (None, _) => {
            // The rows are the output; a report would only be in their way.
            write(args, &snapshot, output.writer())?;
            return Ok(Exit::Done);
        }
    };
    let (to, seconds) = (args.to.as_deref().unwrap_or(Path::new("")).display(), watch.seconds());
    let result = json!({ "rows": rows, "to": to.to_string(), "seconds": seconds });
    output.result(&result, || format!("{to}: {} rows in {}", Count(rows), Seconds(seconds)))?;
    Ok(Exit::Done)
}

fn to_file(args: &ExportArgs, snapshot: &Snapshot, to: &Path) -> Result<u64, Failure> {
    refuse_existing(to, args.force)?;
    let draft = Draft::create(to)?;
    let mut writer = BufWriter::with_capacity(1 << 20, &draft.file);
    let rows = write(args, snapshot, &mut writer)?;
    writer.flush().map_err(|error| Failure::file(to, &error))?;
    drop(writer);
    draft.finish()?;
    Ok(rows)
}

fn refuse_existing(path: &Path, force: bool) -> Result<(), Failure> {
    if force || !path.exists() {
        return Ok(());
    }
    Err(Failure::usage(format!("{} exists", path.display())).advise("--force overwrites it"))
}

fn write(args: &ExportArgs, snapshot: &Snapshot, to: &mut impl Write) -> Result<u64, Failure> {
    match args.format {
        Format::Jsonl | Format::Files => write_json(args, snapshot, to),
        Format::Csv => write_table(args, snapshot, b',', to),
        Format::Tsv => write_table(args, snapshot, b'\t', to),
    }
}

fn write_json(args: &ExportArgs, snapshot: &Snapshot, to: &mut impl Write) -> Result<u64, Failure> {
    let names = match &args.tree {
        Some(name) => vec![name.clone()],
        None => snapshot
            .trees()?
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| !name.starts_with(OWN_PREFIX))
            .collect(),
    };
    let mut rows = 0;
    for name in names {
        for row in store::tree(snapshot, &name)?.iter()? {
            let (key, value) = row?;
            write_row(to, Some(&name), key, Some(value))?;
            rows += 1;
        }
    }
    Ok(rows)
}

fn write_table(
    args: &ExportArgs,
    snapshot: &Snapshot,
    delimiter: u8,
    to: &mut impl Write,
) -> Result<u64, Failure> {
    let mut table = csv::WriterBuilder::new().delimiter(delimiter).from_writer(to);
    table.write_record(["key", "value"]).map_err(csv_failure)?;
    let mut rows = 0;
    for row in one_tree(args, snapshot)?.iter()? {
        let (key, value) = row?;
        table.write_record([cell(key, args.hex)?, cell(value, args.hex)?]).map_err(csv_failure)?;
        rows += 1;
    }
    table.flush()?;
    Ok(rows)
}

fn one_tree<'s>(args: &ExportArgs, snapshot: &'s Snapshot) -> Result<Tree<'s>, Failure> {
    let default = if args.format == Format::Files { "files" } else { llmdb::MAIN_TREE };
    store::tree(snapshot, args.tree.as_deref().unwrap_or(default))
}

fn cell(bytes: &[u8], hex: bool) -> Result<String, Failure> {
    if hex {
        return Ok(to_hex(bytes));
    }
    String::from_utf8(bytes.to_vec()).map_err(|_| {
        let what = "a key or a value is not UTF-8, which CSV cannot hold";
        Failure::usage(what).advise("--hex writes hexadecimal; --format jsonl holds everything")
    })
}

fn csv_failure(error: csv::Error) -> Failure {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => Failure::usage(format!("{other:?}")),
    }
}

fn to_folder(args: &ExportArgs, snapshot: &Snapshot, to: &Path, output: &Output) -> Result<u64, Failure> {
    let tree = one_tree(args, snapshot)?;
    let bar = progress::keys(tree.len(), "export", output);
    let mut rows = 0;
    for row in tree.iter()? {
        let (key, _) = row?;
        let path = to.join(safe_path(key)?);
        refuse_existing(&path, args.force)?;
        let folder = path.parent().unwrap_or(to);
        fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
        let mut draft = Draft::create(&path)?;
        let Some(mut value) = tree.get_reader(key)? else { continue };
        io::copy(&mut value, &mut draft.file).map_err(|error| Failure::file(&path, &error))?;
        draft.finish()?;
        rows += 1;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(rows)
}

/// The path that a key stands for, if it stays below the folder.
fn safe_path(key: &[u8]) -> Result<PathBuf, Failure> {
    let unsafe_key =
        || Failure::usage(format!("key {:?} is not a path below the folder", escape(key, Keep::Line)));
    let text = std::str::from_utf8(key).map_err(|_| unsafe_key())?;
    let path = PathBuf::from(text);
    let plain = |part| matches!(part, Component::Normal(_));
    let whole = text.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if whole && !text.contains('\0') && path.components().all(plain) { Ok(path) } else { Err(unsafe_key()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_cannot_leave_the_folder() {
        assert_eq!(safe_path(b"a/b.txt").unwrap(), Path::new("a/b.txt"));
        for key in [&b""[..], b"/etc/passwd", b"a/../../b", b"..", b"a//b", b"./a", b"a/", b"\xff", b"a\0"] {
            assert!(safe_path(key).is_err(), "{key:?}");
        }
    }
}
