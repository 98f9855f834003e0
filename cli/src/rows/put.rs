//! `llmdb put`: sets one key.

use std::{
    io::{self, Read, Seek},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use crate::{
    failure::{Exit, Failure},
    figures::Bytes,
    host,
    output::{Output, key_json},
    rows::RowArgs,
    store,
    text::bytes_of,
};

/// Set a key to a value, from the command line, a file or stdin
#[derive(Debug, Args)]
#[command(after_help = "\
The database and the tree are made if they are not there. When the command returns, the value is on the disk.
Keys and values are text; 0x00ff stands for two bytes.

Examples:
  llmdb put user/1 Ada --db my.llmdb
  llmdb put photo --file photo.jpg --tree blobs --db my.llmdb     # streamed: up to 4 GiB
  date | llmdb put now - --db my.llmdb
  llmdb put 0x0001 0xcafe --db my.llmdb")]
pub struct PutArgs {
    /// The key
    key: String,
    /// The value; `-` reads it from stdin
    #[arg(required_unless_present = "file", allow_hyphen_values = true)]
    value: Option<String>,
    /// Take the value from this file
    #[arg(long, short, conflicts_with = "value", value_name = "PATH")]
    file: Option<PathBuf>,
    #[command(flatten)]
    row: RowArgs,
}

/// Values from stdin up to this length are kept in memory; longer ones go through a temporary file.
const STDIN_BYTES_MAX: usize = 8 << 20;

pub fn run(args: &PutArgs, output: &mut Output) -> Result<Exit, Failure> {
    let form = args.row.form.form();
    let key = bytes_of(&args.key, form)?;
    let (len, mut source) = match (&args.file, args.value.as_deref()) {
        (Some(path), _) => from_file(path)?,
        (None, Some("-")) => from_stdin()?,
        (None, value) => from_bytes(bytes_of(value.unwrap_or_default(), form)?),
    };
    let db = store::for_writing(&args.row.db.db, true, output)?;
    let mut txn = db.begin_write()?;
    let replaced = txn.tree(&args.row.tree)?.put_reader(&key, len, &mut *source)?;
    let commit = txn.commit()?;
    db.close()?;
    let mut result =
        json!({ "tree": args.row.tree, "bytes": len, "replaced": replaced, "txid": commit.txid.get() });
    merge(&mut result, key_json(&key));
    output.result(&result, || {
        let what = if replaced { "replaced" } else { "put" };
        format!("{what} {} in tree {:?}: {} ({})", args.key, args.row.tree, Bytes(len), commit.txid)
    })?;
    Ok(Exit::Done)
}

/// Adds the fields of one object to another.
pub fn merge(into: &mut serde_json::Value, from: serde_json::Value) {
    if let (Some(into), serde_json::Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}

type Source = (u64, Box<dyn Read>);

fn from_bytes(bytes: Vec<u8>) -> Source {
    (bytes.len() as u64, Box::new(io::Cursor::new(bytes)))
}

fn from_file(path: &Path) -> Result<Source, Failure> {
    let open = || {
        let file = host::open(path)?;
        Ok((file.metadata()?, file))
    };
    let (metadata, file) = open().map_err(|error| Failure::file(path, &error))?;
    if metadata.is_file() {
        return Ok((metadata.len(), Box::new(file)));
    }
    spool(file).map_err(|error| Failure::file(path, &error))
}

fn from_stdin() -> Result<Source, Failure> {
    Ok(spool(io::stdin().lock())?)
}

/// A stream whose length is known only at its end.
fn spool(mut from: impl Read) -> io::Result<Source> {
    let mut bytes = Vec::new();
    from.by_ref().take(STDIN_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() <= STDIN_BYTES_MAX {
        return Ok(from_bytes(bytes));
    }
    let mut file = tempfile::tempfile()?;
    let len = io::copy(&mut bytes.as_slice().chain(from), &mut file)?;
    file.rewind()?;
    Ok((len, Box::new(file)))
}
