//! Ordered trees of pages: leaf and branch nodes, cursors, splits and merges, bulk load, check.
//!
//! Knows pages by number and bytes, through two traits. Does not know files, logs, clocks, checksums, who else
//! reads, or what a key means.
#![forbid(unsafe_code)]

mod check;
mod cursor;
mod edit;
mod error;
mod fence;
mod finger;
mod insert;
mod load;
mod merge;
mod multi_get;
mod node;
mod path;
mod range;
mod range_delete;
mod read_ahead;
mod relocate;
mod remove;
mod renew;
mod salvage;
mod search;
mod separator;
mod split;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tree;
mod value;
mod walk;

pub use check::{CheckReport, PageUse, UsedAt};
pub use cursor::{Cursor, Entry};
pub use error::{TreeError, TreeResult};
pub use finger::Finger;
pub use load::Loader;
pub use node::KEY_LEN_MAX;
pub use range::{Range, prefix_end};
pub use relocate::{MoveLimits, Moved, Moves};
pub use salvage::Lost;
pub use tree::{HEIGHT_MAX, TREE_LEN, Tree};
pub use value::{NewValue, RUN_REF_LEN, Value, copy_run, decode_run, encode_run, is_inline};
pub use walk::reseal_leaf;
