//! What can go wrong.

use std::fmt;

use llmdb_base::Timestamp;
use llmdb_engine::ErrorKind;

use crate::{Period, RowKey, value::ValueError};

/// Result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The engine refused.
    Engine(llmdb_engine::Error),
    /// The value is not what its kind says. Nothing was written.
    Value(ValueError),
    /// There is no collection of this name.
    NoCollection(String),
    /// There is one of this name already.
    CollectionExists(String),
    /// The name is empty or longer than 255 bytes.
    CollectionName(String),
    /// The collection is a plain one: it knows neither periods nor old states.
    NotTemporal(String),
    /// The collection has times, and a plain one is needed.
    NotPlain(String),
    /// No moment is in the period.
    EmptyPeriod(Period),
    /// The key is longer than [`crate::KEY_LEN_MAX`] bytes.
    KeyTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// No transaction of this number has written facts.
    NoTransaction(llmdb_base::TxnId),
    /// The guard of the collection said no. Nothing was written.
    Refused {
        /// Name of the collection.
        collection: String,
        /// The row.
        row: crate::RowKey,
        /// Why.
        what: String,
    },
    /// The collection is guarded, and this program has no guard for it.
    Unguarded(String),
    /// What was so, or was believed, at that moment is not kept any more.
    NotKept {
        /// The collection.
        collection: String,
        /// The row, if the others can be asked about earlier moments.
        row: Option<RowKey>,
        /// From when on it is kept, in both times.
        since: Timestamp,
    },
    /// A stored row is not what this room writes.
    Corruption {
        /// Name of the tree.
        tree: String,
        /// What was found.
        what: String,
    },
}

impl Error {
    /// Which action the error calls for.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Engine(error) => error.kind(),
            Self::Corruption { .. } => ErrorKind::Corruption,
            Self::KeyTooLong { .. } => ErrorKind::TooLong,
            Self::Refused { .. } => ErrorKind::Refused,
            Self::NotKept { .. } => ErrorKind::NotKept,
            Self::Value(_)
            | Self::NoCollection(_)
            | Self::CollectionExists(_)
            | Self::CollectionName(_)
            | Self::NotTemporal(_)
            | Self::NotPlain(_)
            | Self::EmptyPeriod(_)
            | Self::NoTransaction(_)
            | Self::Unguarded(_) => ErrorKind::Misuse,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(error) => error.fmt(f),
            Self::Value(error) => error.fmt(f),
            Self::NoCollection(name) => write!(f, "there is no collection {name:?}"),
            Self::CollectionExists(name) => write!(f, "there is a collection {name:?} already"),
            Self::CollectionName(name) => {
                write!(f, "the name of a collection has 1 to 255 bytes, not {}", name.len())
            }
            Self::NotTemporal(name) => {
                write!(f, "the collection {name:?} is plain: it has no times to ask for")
            }
            Self::NotPlain(name) => write!(f, "the collection {name:?} has times; a plain one is needed"),
            Self::EmptyPeriod(Period { from, to }) => {
                write!(f, "the period from {from} to {to} is empty: it must end after it begins")
            }
            Self::KeyTooLong { len } => {
                write!(f, "the key has {len} bytes, more than the {} that fit", crate::KEY_LEN_MAX)
            }
            Self::NoTransaction(txid) => write!(f, "{txid} has written no facts"),
            Self::Refused { collection, row, what } => {
                write!(f, "{collection:?}, row {row}: refused: {what}")
            }
            Self::Unguarded(name) => write!(
                f,
                "the collection {name:?} has its documents checked, and this program was built without what checks \
                 them (the feature `catalog`): it can only read it"
            ),
            Self::NotKept { collection, row, since } => {
                let row = row.as_ref().map(|row| format!("the row {row} of ")).unwrap_or_default();
                write!(f, "not kept any more: {row}the collection {collection:?} is kept since {since}")
            }
            Self::Corruption { tree, what } => write!(f, "damaged row of the tree {tree:?}: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Engine(error) => error.source(),
            _ => None,
        }
    }
}

impl From<llmdb_engine::Error> for Error {
    fn from(error: llmdb_engine::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<ValueError> for Error {
    fn from(error: ValueError) -> Self {
        Self::Value(error)
    }
}
