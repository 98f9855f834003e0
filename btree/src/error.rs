//! What can go wrong in a tree.

use std::fmt;

use llmdb_base::PageError;

use crate::KEY_LEN_MAX;

/// Result of an operation on a tree.
pub type TreeResult<T> = Result<T, TreeError>;

/// Why an operation on a tree failed. After a failed change the tree is unusable: the transaction must be aborted.
#[derive(Debug)]
#[non_exhaustive]
pub enum TreeError {
    /// A page could not be had, or holds wrong bytes.
    Page(PageError),
    /// The key is longer than [`KEY_LEN_MAX`]. Nothing was changed.
    KeyTooLong {
        /// Length of the key in bytes.
        len: usize,
    },
    /// The value is longer than [`llmdb_base::VALUE_LEN_MAX`]. Nothing was changed.
    ValueTooLong {
        /// Length of the value in bytes.
        len: u64,
    },
    /// A bulk load was given a key that is not behind the one before. That key was not taken.
    NotAscending,
    /// The tree would need more than [`crate::HEIGHT_MAX`] levels.
    TooHigh,
}

impl From<PageError> for TreeError {
    fn from(error: PageError) -> Self {
        Self::Page(error)
    }
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page(error) => error.fmt(f),
            Self::KeyTooLong { len } => {
                write!(f, "key of {len} bytes; the longest allowed has {KEY_LEN_MAX}")
            }
            Self::ValueTooLong { len } => {
                write!(f, "value of {len} bytes; the longest allowed has {}", llmdb_base::VALUE_LEN_MAX)
            }
            Self::NotAscending => write!(f, "keys of a bulk load must ascend"),
            Self::TooHigh => write!(f, "the tree would need more than {} levels", crate::HEIGHT_MAX),
        }
    }
}

impl std::error::Error for TreeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Page(error) => Some(error),
            _ => None,
        }
    }
}
