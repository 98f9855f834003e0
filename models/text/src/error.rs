//! What can go wrong.

use std::fmt;

use llmdb_engine::ErrorKind;

/// Result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The store of facts refused.
    Temporal(llmdb_temporal::Error),
    /// The collection has no index of its texts.
    NoIndex(String),
    /// The collection has an index already.
    IndexExists(String),
    /// The index is not complete yet.
    Building(String),
    /// The index was made by other rules for words than this program's.
    OtherRules {
        /// The collection.
        collection: String,
        /// Number of the rules that made it.
        stored: u8,
    },
    /// The text is longer than [`crate::TEXT_LEN_MAX`] bytes. Nothing was written.
    TextTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The key of the row leaves no room for a word. Nothing was written.
    RowTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The query cannot be asked.
    Query(&'static str),
}

impl Error {
    /// Which action the error calls for.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Temporal(error) => error.kind(),
            Self::TextTooLong { .. } | Self::RowTooLong { .. } => ErrorKind::TooLong,
            Self::OtherRules { .. } => ErrorKind::NewerVersion,
            Self::NoIndex(_) | Self::IndexExists(_) | Self::Building(_) | Self::Query(_) => ErrorKind::Misuse,
        }
    }

    /// A stored row that is not what this room writes.
    pub(crate) fn damaged(tree: &str, key: &[u8]) -> Self {
        let what = format!("key {}", key.escape_ascii());
        Self::Temporal(llmdb_temporal::Error::Corruption { tree: tree.into(), what })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Temporal(error) => error.fmt(f),
            Self::NoIndex(name) => write!(f, "the texts of the collection {name:?} have no index: build one"),
            Self::IndexExists(name) => {
                write!(f, "the texts of the collection {name:?} have an index already")
            }
            Self::Building(name) => {
                write!(f, "the index of the collection {name:?} is not complete: go on building it")
            }
            Self::OtherRules { collection, stored } => write!(
                f,
                "the index of the collection {collection:?} was made by rules {stored} for words, not {}: drop it and build it again",
                crate::stored::RULES
            ),
            Self::TextTooLong { len } => {
                write!(f, "the text has {len} bytes, more than the {} that are indexed", crate::TEXT_LEN_MAX)
            }
            Self::RowTooLong { len } => {
                write!(
                    f,
                    "the key of the row has {len} bytes, more than the {} that leave room for a word",
                    crate::stored::ROW_LEN_MAX
                )
            }
            Self::Query(what) => write!(f, "the query {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Temporal(error) => error.source(),
            _ => None,
        }
    }
}

impl From<llmdb_temporal::Error> for Error {
    fn from(error: llmdb_temporal::Error) -> Self {
        Self::Temporal(error)
    }
}

impl From<llmdb_engine::Error> for Error {
    fn from(error: llmdb_engine::Error) -> Self {
        Self::Temporal(error.into())
    }
}
