//! Why a server does not run.

use std::fmt;

/// Result of running a server.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a server did not begin, or ended otherwise than it was asked to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The database refused.
    Database(llmdb::Error),
    /// The system refused.
    Io {
        /// What was tried.
        what: String,
        /// What it said.
        error: std::io::Error,
    },
    /// What was asked for is not safe, or makes no sense.
    Refused {
        /// What.
        what: String,
        /// What to ask for instead.
        mend: String,
    },
    /// The client broke the protocol before anything could begin.
    Protocol(String),
}

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        |error| Self::Io { what, error }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => error.fmt(f),
            Self::Io { what, error } => write!(f, "{what}: {error}"),
            Self::Refused { what, mend } => write!(f, "{what}; {mend}"),
            Self::Protocol(what) => write!(f, "the client broke the protocol: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Database(error) => error.source(),
            Self::Io { error, .. } => Some(error),
            Self::Refused { .. } | Self::Protocol(_) => None,
        }
    }
}

impl From<llmdb::Error> for Error {
    fn from(error: llmdb::Error) -> Self {
        Self::Database(error)
    }
}
