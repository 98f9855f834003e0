//! What can go wrong with the log: damage, a disk that refuses, misuse.

use std::{fmt, io};

use llmdb_base::Lsn;

/// Result of an operation on the log.
pub type LogResult<T> = Result<T, LogError>;

/// Why an operation on the log failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum LogError {
    /// Stored bytes are not what they must be.
    Corruption {
        /// The damaged segment.
        segment: u64,
        /// Byte offset in its file.
        offset: u64,
        /// What was found, and what was expected.
        what: String,
    },
    /// The disk refused.
    Io {
        /// What was tried.
        what: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is no room for the record. It was abandoned; the log can be used as before.
    NoSpace {
        /// How much was asked for.
        needed_bytes: u64,
    },
    /// An earlier write or sync failed, with this reason. What had not been acknowledged by then may or may
    /// not be durable; nothing more is accepted until the log is opened again.
    Poisoned(String),
    /// The log was given up there, or never was complete: what lies between cannot be read any more.
    Gap {
        /// Where the first record that is missing begins.
        wanted: Lsn,
        /// Where the log goes on behind the gap, if it does.
        oldest: Option<Lsn>,
    },
    /// The caller asked for something impossible.
    Misuse(&'static str),
}

impl LogError {
    /// Wraps a failed call to the operating system.
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    /// For `map_err`: names what was tried.
    pub(crate) fn during(what: impl fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what: what.to_string(), source }
    }

    /// Damage at `offset` of `segment`.
    pub(crate) fn corruption(segment: u64, offset: u64, what: impl Into<String>) -> Self {
        Self::Corruption { segment, offset, what: what.into() }
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corruption { segment, offset, what } => {
                write!(f, "log segment {segment:016x}, offset {offset}: {what}")
            }
            Self::Io { what, source } => write!(f, "{what}: {source}"),
            Self::NoSpace { needed_bytes } => {
                write!(f, "no space left: the log cannot grow by {needed_bytes} bytes")
            }
            Self::Poisoned(reason) => {
                write!(
                    f,
                    "the log accepts nothing until it is opened again, because a write failed: {reason}"
                )
            }
            Self::Gap { wanted, oldest: Some(oldest) } => {
                write!(f, "the log has no records between {wanted} and {oldest}")
            }
            Self::Gap { wanted, oldest: None } => write!(f, "the log has no records from {wanted} on"),
            Self::Misuse(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<LogError> for io::Error {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Io { source, what } => Self::new(source.kind(), format!("{what}: {source}")),
            LogError::Corruption { .. } => Self::new(io::ErrorKind::InvalidData, error),
            other => Self::other(other),
        }
    }
}
