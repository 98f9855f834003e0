//! The words every room shares: identifiers, the page header, checksums, keys that sort as their values do, and the
//! traits through which a tree sees pages.
//!
//! Knows the size of a page and where its header fields lie. Does not know files, I/O, trees, logs, or what any
//! byte behind the header means.
#![forbid(unsafe_code)]

pub mod checksum;
pub mod codec;
mod error;
pub mod header;
mod ids;
pub mod key;
mod pages;
pub mod plant;
mod seq_words;
pub mod sync;

pub use error::{Corruption, PageError, PageErrorKind, PageResult};
pub use ids::{ChildRef, Epoch, Lsn, Pgno, StoreId, Timestamp, TreeId, TxnId};
pub use pages::{PAGE_SIZE, PageBytes, ReadPages, RunRef, RunWriter, VALUE_LEN_MAX, WritePages};
pub use seq_words::SeqWords;
