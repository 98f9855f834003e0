//! `llmdb get`: prints one value.

use std::io::{Read, Write};

use clap::Args;
use llmdb::ValueReader;

use crate::{
    failure::{Exit, Failure},
    output::{Output, write_row},
    rows::RowArgs,
    store,
    text::{Keep, bytes_of, escape, to_hex, whole_chars},
};

/// Print the value of a key
#[derive(Debug, Args)]
#[command(after_help = "\
Into a pipe or a file go exactly the bytes of the value. On a terminal, what is not printable is shown as \\x1b and
the like; --raw and --escape choose by hand. A key that is not there is exit code 1.

Examples:
  llmdb get user/1 --db my.llmdb
  llmdb get photo --tree blobs --db my.llmdb > photo.jpg
  llmdb get 0x0001 --hex --db my.llmdb
  llmdb get user/1 --json --db my.llmdb       # {\"tree\":\"main\",\"key\":\"user/1\",\"value\":\"Ada\"}")]
pub struct GetArgs {
    /// The key
    key: String,
    /// The bytes as they are, even on a terminal
    #[arg(long, conflicts_with_all = ["escape", "hex"])]
    raw: bool,
    /// What is not printable as \xNN, even into a pipe
    #[arg(long, conflicts_with = "hex")]
    escape: bool,
    #[command(flatten)]
    row: RowArgs,
}

const CHUNK_BYTES: usize = 64 << 10;

pub fn run(args: &GetArgs, output: &mut Output) -> Result<Exit, Failure> {
    let key = bytes_of(&args.key, args.row.form.form())?;
    let db = store::for_reading(&args.row.db.db, output)?;
    let snapshot = db.snapshot()?;
    let tree = store::tree(&snapshot, &args.row.tree)?;
    let missing = || Failure::not_found(format_args!("key {:?} in tree {:?}", args.key, args.row.tree));
    if output.json {
        let value = tree.get(&key)?.ok_or_else(missing)?;
        write_row(output.writer(), Some(&args.row.tree), &key, Some(value))?;
        return Ok(Exit::Done);
    }
    let reader = tree.get_reader(&key)?.ok_or_else(missing)?;
    let terminal = output.is_terminal();
    if args.row.form.hex {
        print_hex(reader, output)?;
    } else if args.escape || terminal && !args.raw {
        print_escaped(reader, terminal, output)?;
    } else {
        let mut reader = reader;
        copy(&mut reader, |piece| Ok(output.writer().write_all(piece)?))?;
    }
    Ok(Exit::Done)
}

/// Passes a value on in pieces, none of them empty.
fn copy(
    reader: &mut ValueReader<'_>,
    mut piece: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let len = reader.read(&mut chunk).map_err(|error| unreadable(&error))?;
        if len == 0 {
            return Ok(());
        }
        piece(&chunk[..len])?;
    }
}

/// The only thing that can go wrong while a value is read is damage, or the disk below.
fn unreadable(error: &std::io::Error) -> Failure {
    Failure::damaged(format!("the value cannot be read: {error}"))
        .advise("`llmdb check` tells what is damaged")
}

fn print_hex(mut reader: ValueReader<'_>, output: &mut Output) -> Result<(), Failure> {
    copy(&mut reader, |piece| Ok(output.writer().write_all(to_hex(piece).as_bytes())?))?;
    output.line("")
}

fn print_escaped(mut reader: ValueReader<'_>, terminal: bool, output: &mut Output) -> Result<(), Failure> {
    let mut rest = Vec::new();
    let mut ends_line = false;
    copy(&mut reader, |piece| {
        rest.extend_from_slice(piece);
        let whole = whole_chars(&rest);
        ends_line = rest.last() == Some(&b'\n');
        output.writer().write_all(escape(&rest[..whole], Keep::Paragraphs).as_bytes())?;
        rest.drain(..whole);
        Ok(())
    })?;
    output.writer().write_all(escape(&rest, Keep::Paragraphs).as_bytes())?;
    if terminal && !ends_line { output.line("") } else { Ok(()) }
}
