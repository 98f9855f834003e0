//! Ordered trees of pages: leaf and branch nodes, cursors, splits and merges, bulk load, check.
//!
//! Knows pages by number and bytes, through two traits. Does not know files, logs, clocks, checksums, who else
//! reads, or what a key means.
#![forbid(unsafe_code)]

mod cursor;
mod edit;
mod error;
mod insert;
mod merge;
mod node;
mod path;
mod range;
mod remove;
mod search;
mod separator;
mod split;
mod tree;
mod value;

pub use cursor::{Cursor, Entry};
pub use error::{TreeError, TreeResult};
pub use node::KEY_LEN_MAX;
pub use range::{Range, prefix_end};
pub use tree::{HEIGHT_MAX, TREE_LEN, Tree};
pub use value::{NewValue, RUN_REF_LEN, Value, decode_run, encode_run, is_inline};
