//! What can go wrong.

use std::fmt;

use llmdb_temporal::ErrorKind;

/// Result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The store of facts refused.
    Temporal(llmdb_temporal::Error),
    /// The index of what facts say refused.
    Text(llmdb_text::Error),
    /// A field of the call cannot be used. Nothing was written.
    Field {
        /// Which, as in `facts[2].confidence`.
        field: String,
        /// What is wrong with it.
        what: String,
        /// What to write instead.
        mend: String,
    },
    /// What was asked for is not there. Nothing was written.
    NotFound {
        /// What.
        what: String,
        /// Where to look.
        mend: String,
    },
    /// There is no entity of this name in the graph. Nothing was written.
    NoEntity(String),
    /// A line of an import cannot be taken. Nothing was written.
    Line {
        /// Its number, from 1.
        number: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The stream of an import or an export failed. Nothing was written to the store.
    Io(std::io::Error),
    /// A stored document is not what this room writes.
    Document {
        /// Collection and row.
        place: String,
        /// What was found.
        what: String,
    },
}

impl Error {
    pub(crate) fn field(field: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::Field { field: field.into(), what: what.into(), mend: mend.into() }
    }

    pub(crate) fn not_found(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::NotFound { what: what.into(), mend: mend.into() }
    }

    /// The same error of a field of a part of the call: `part` in front of its name.
    pub(crate) fn inside(self, part: impl fmt::Display) -> Self {
        match self {
            Self::Field { field, what, mend } => Self::Field { field: format!("{part}.{field}"), what, mend },
            other => other,
        }
    }

    /// Which action the error calls for.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Temporal(error) => error.kind(),
            Self::Text(error) => error.kind(),
            Self::Field { .. } | Self::NotFound { .. } | Self::NoEntity(_) | Self::Line { .. } => {
                ErrorKind::Misuse
            }
            Self::Io(_) => ErrorKind::Io,
            Self::Document { .. } => ErrorKind::Corruption,
        }
    }

    /// What to do instead, for whoever made the call.
    pub fn mend(&self) -> Option<&str> {
        match self {
            Self::Field { mend, .. } | Self::NotFound { mend, .. } => Some(mend),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Temporal(error) => error.fmt(f),
            Self::Text(error) => error.fmt(f),
            Self::Field { field, what, mend } => write!(f, "{field}: {what}; {mend}"),
            Self::NotFound { what, mend } => write!(f, "{what}; {mend}"),
            Self::NoEntity(name) => write!(f, "Entity with name {name} not found"),
            Self::Line { number, what } => write!(f, "line {number}: {what}"),
            Self::Io(error) => error.fmt(f),
            Self::Document { place, what } => write!(f, "damaged document at {place}: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Temporal(error) => error.source(),
            Self::Io(error) => Some(error),
            Self::Text(error) => error.source(),
            _ => None,
        }
    }
}

impl From<llmdb_temporal::Error> for Error {
    fn from(error: llmdb_temporal::Error) -> Self {
        Self::Temporal(error)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<llmdb_text::Error> for Error {
    fn from(error: llmdb_text::Error) -> Self {
        match error {
            llmdb_text::Error::Temporal(error) => Self::Temporal(error),
            llmdb_text::Error::Query(what) => {
                Self::field("text", format!("it {what}"), "ask for words that the facts may have")
            }
            other => Self::Text(other),
        }
    }
}
