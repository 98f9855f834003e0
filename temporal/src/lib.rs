//! Time: typed values, and the store of facts in two times.
//!
//! Stands on named trees and transactions. Does not know pages, files, the log, query text, or what a document says.
#![forbid(unsafe_code)]

pub mod value;

pub use llmdb_base::key::{Element, Key, KeyError};
pub use value::{Kind, Value, ValueError};
