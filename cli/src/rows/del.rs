//! `llmdb del`: removes keys.

use clap::Args;
use llmdb::TreeMut;
use serde_json::json;

use crate::{
    failure::{Exit, Failure},
    figures::Count,
    output::Output,
    rows::RowArgs,
    store,
    text::bytes_of,
};

/// Remove a key, all keys with a prefix, or a whole tree
#[derive(Debug, Args)]
#[command(after_help = "\
All of it is one transaction. If there was nothing to remove, the exit code is 1.

Examples:
  llmdb del user/1 --db my.llmdb
  llmdb del --prefix user/ --db my.llmdb
  llmdb del --all --tree files --db my.llmdb        # the tree goes too")]
pub struct DelArgs {
    /// The key
    #[arg(required_unless_present_any = ["prefix", "all"])]
    key: Option<String>,
    /// Remove every key that begins with this
    #[arg(long, conflicts_with = "key", value_name = "PREFIX")]
    prefix: Option<String>,
    /// Remove the whole tree
    #[arg(long, conflicts_with_all = ["key", "prefix"])]
    all: bool,
    #[command(flatten)]
    row: RowArgs,
}

pub fn run(args: &DelArgs, output: &mut Output) -> Result<Exit, Failure> {
    let db = store::for_writing(&args.row.db.db, false, output)?;
    let mut txn = db.begin_write()?;
    let name = &args.row.tree;
    let deleted = match txn.open_tree(name)? {
        None => 0,
        Some(tree) if args.all => tree.len(),
        Some(mut tree) => delete(&mut tree, args)?,
    };
    let dropped = args.all && txn.drop_tree(name)?;
    if deleted > 0 || dropped {
        txn.commit()?;
    } else {
        txn.abort();
    }
    db.close()?;
    let result = json!({ "tree": name, "deleted": deleted, "tree_dropped": dropped });
    output.result(&result, || match dropped {
        true => format!("dropped tree {name:?} with {} keys", Count(deleted)),
        false => format!("deleted {} keys from tree {name:?}", Count(deleted)),
    })?;
    Ok(if deleted > 0 || dropped { Exit::Done } else { Exit::NotFound })
}

fn delete(tree: &mut TreeMut<'_, '_>, args: &DelArgs) -> Result<u64, Failure> {
    let form = args.row.form.form();
    match (&args.key, &args.prefix) {
        (Some(key), _) => Ok(tree.delete(bytes_of(key, form)?)?.into()),
        (None, Some(prefix)) => Ok(tree.delete_prefix(bytes_of(prefix, form)?)?),
        (None, None) => Ok(0),
    }
}
