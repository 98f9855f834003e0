//! `llmdb scan`: lists rows in the order of their keys.

use std::ops::Bound;

use clap::Args;
use llmdb::{Range, Row, Tree};
use serde_json::json;

use crate::{
    failure::{Exit, Failure},
    output::{Output, write_row},
    rows::RowArgs,
    store,
    text::{Form, Keep, bytes_of, escape, to_hex},
};

/// List rows in the order of their keys
#[derive(Debug, Args)]
#[command(after_help = "\
One line per row: the key, a tab, the value. What is not printable is escaped (\\n, \\t, \\x00, and \\\\ for a
backslash), so that each row stays on its line. On a terminal long values are cut; --width 0 shows them whole.
Keys are ordered byte by byte.

Examples:
  llmdb scan --db my.llmdb
  llmdb scan --prefix user/ --limit 10 --db my.llmdb
  llmdb scan --from 2024 --to 2025 --db my.llmdb            # from 2024 up to, but not including, 2025
  llmdb scan --reverse --limit 1 --db my.llmdb              # the last row
  llmdb scan --count --tree files --db my.llmdb
  llmdb scan --json --db my.llmdb | jq .value")]
pub struct ScanArgs {
    /// Only keys that begin with this
    #[arg(long, value_name = "PREFIX", conflicts_with_all = ["from", "to"])]
    prefix: Option<String>,
    /// Only keys from this one on
    #[arg(long, value_name = "KEY")]
    from: Option<String>,
    /// Only keys before this one
    #[arg(long, value_name = "KEY")]
    to: Option<String>,
    /// At most so many rows
    #[arg(long, short = 'n', value_name = "ROWS")]
    limit: Option<u64>,
    /// From the last key to the first
    #[arg(long, short)]
    reverse: bool,
    /// Keys without values
    #[arg(long, short)]
    keys_only: bool,
    /// Only the number of rows
    #[arg(long)]
    count: bool,
    /// Cut values longer than this many bytes; 0 shows them whole [default: 100 on a terminal, else 0]
    #[arg(long, value_name = "BYTES")]
    width: Option<usize>,
    #[command(flatten)]
    row: RowArgs,
}

const TERMINAL_WIDTH_BYTES: usize = 100;

pub fn run(args: &ScanArgs, output: &mut Output) -> Result<Exit, Failure> {
    let db = store::for_reading(&args.row.db.db, output)?;
    let snapshot = db.snapshot()?;
    let tree = store::tree(&snapshot, &args.row.tree)?;
    let rows = range(&tree, args)?;
    let rows: Box<dyn Iterator<Item = llmdb::Result<Row<'_>>>> =
        if args.reverse { Box::new(rows.rev()) } else { Box::new(rows) };
    let limit = usize::try_from(args.limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let mut count = 0_u64;
    for row in rows.take(limit) {
        let (key, value) = row?;
        count += 1;
        if !args.count {
            print(key, (!args.keys_only).then_some(value), args, output)?;
        }
    }
    if args.count {
        output.result(&json!({ "tree": args.row.tree, "count": count }), || count)?;
    }
    Ok(Exit::Done)
}

fn range<'s>(tree: &Tree<'s>, args: &ScanArgs) -> Result<Range<'s>, Failure> {
    let form = args.row.form.form();
    if let Some(prefix) = &args.prefix {
        return Ok(tree.prefix(bytes_of(prefix, form)?)?);
    }
    let bound = |key: &Option<String>, kind: fn(Vec<u8>) -> Bound<Vec<u8>>| match key {
        Some(key) => bytes_of(key, form).map(kind),
        None => Ok(Bound::Unbounded),
    };
    let (from, to) = (bound(&args.from, Bound::Included)?, bound(&args.to, Bound::Excluded)?);
    Ok(tree.range((from, to))?)
}

fn print(key: &[u8], value: Option<&[u8]>, args: &ScanArgs, output: &mut Output) -> Result<(), Failure> {
    if output.json {
        return write_row(output.writer(), None, key, value);
    }
    let key = show(key, args.row.form.form());
    let Some(value) = value else { return output.line(key) };
    let width = args.width.unwrap_or(if output.is_terminal() { TERMINAL_WIDTH_BYTES } else { 0 });
    let (shown, more) = match width {
        0 => (value, 0),
        width => (&value[..value.len().min(width)], value.len().saturating_sub(width)),
    };
    let shown = show(shown, args.row.form.form());
    match more {
        0 => output.line(format_args!("{key}\t{shown}")),
        more => output.line(format_args!("{key}\t{shown}... ({more} more bytes)")),
    }
}

fn show(bytes: &[u8], form: Form) -> String {
    if form == Form::Hex { to_hex(bytes) } else { escape(bytes, Keep::Line) }
}
