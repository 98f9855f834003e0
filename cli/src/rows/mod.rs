//! Single rows and lists of them: put, get, del, scan.

pub mod del;
pub mod get;
pub mod put;
pub mod scan;

use clap::Args;

use crate::args::{DbArg, FormArgs};

/// Where a row is, and how it is written.
#[derive(Debug, Args)]
pub struct RowArgs {
    #[command(flatten)]
    pub db: DbArg,
    /// The tree
    #[arg(long, short, default_value = llmdb::MAIN_TREE, value_name = "NAME")]
    pub tree: String,
    #[command(flatten)]
    pub form: FormArgs,
}
