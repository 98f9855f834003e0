//! What can go wrong.

use std::fmt;

use llmdb_temporal::RowKey;

use crate::{META, Violation, schema};

/// Result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Which action an error calls for, beside those of the rooms below.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Complaint {
    /// Fix the call.
    Misuse,
    /// What was written is refused.
    Refused,
    /// Stored bytes are wrong.
    Corruption,
}

/// Why a call failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The store of facts refused.
    Temporal(llmdb_temporal::Error),
    /// The name of a schema or of a migration is not one.
    Name(String),
    /// There is no such schema.
    NoSchema {
        /// Its name.
        name: String,
        /// The version that was asked for.
        version: Option<u32>,
    },
    /// The schema is none.
    Schema(String),
    /// The version is there already, with another text.
    SchemaStays {
        /// Its name.
        name: String,
        /// The version.
        version: u32,
        /// The first version that is free.
        next: u32,
    },
    /// The collection has no schema.
    Unbound(String),
    /// Documents that are there do not fit.
    Unfit {
        /// The collection.
        collection: String,
        /// The schema and its version.
        schema: (String, u32),
        /// How many.
        count: u64,
        /// Some of them.
        samples: Vec<Unfit>,
    },
    /// A definition is not one.
    Definition(String),
    /// A policy of retention is none.
    Policy(String),
    /// There is no such migration.
    NoMigration(String),
    /// The migration is not in a state for this.
    State {
        /// The migration.
        id: String,
        /// What stands in the way.
        what: String,
    },
    /// A document cannot be shown in the version asked for.
    Form {
        /// The collection.
        collection: String,
        /// The row.
        row: RowKey,
        /// Why.
        what: String,
    },
    /// A row of the catalog is not what this room writes.
    Damaged {
        /// Its path.
        path: String,
        /// What was found.
        what: String,
    },
}

/// A document that does not fit a schema.
#[derive(Clone, PartialEq, Debug)]
pub struct Unfit {
    /// The row.
    pub row: RowKey,
    /// The places.
    pub violations: Vec<Violation>,
}

impl Error {
    /// Which action the error calls for; `None`: ask the error of the store of facts, see [`Error::Temporal`].
    pub fn complaint(&self) -> Option<Complaint> {
        match self {
            Self::Temporal(_) => None,
            Self::Damaged { .. } => Some(Complaint::Corruption),
            Self::Schema(_)
            | Self::SchemaStays { .. }
            | Self::Unfit { .. }
            | Self::Definition(_)
            | Self::Policy(_)
            | Self::Form { .. } => Some(Complaint::Refused),
            Self::Name(_)
            | Self::NoSchema { .. }
            | Self::Unbound(_)
            | Self::NoMigration(_)
            | Self::State { .. } => Some(Complaint::Misuse),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Temporal(error) => error.fmt(f),
            Self::Name(name) => write!(
                f,
                "{name:?} is no name for it: 1 to {} letters of ASCII, digits, and . _ - are",
                crate::path::NAME_LEN_MAX
            ),
            Self::NoSchema { name, version: None } => write!(f, "there is no schema {name:?}"),
            Self::NoSchema { name, version: Some(version) } => {
                write!(f, "there is no version {version} of a schema {name:?}")
            }
            Self::Schema(what) => write!(f, "the schema is refused: {what}"),
            Self::SchemaStays { name, version, next } => write!(
                f,
                "version {version} of the schema {name:?} is there with another text, and stays: write version {next}"
            ),
            Self::Unbound(collection) => write!(f, "the collection {collection:?} has no schema"),
            Self::Unfit { collection, schema: (name, version), count, samples } => {
                write!(
                    f,
                    "{count} documents of {collection:?} do not fit version {version} of the schema {name:?}"
                )?;
                for sample in samples {
                    write!(f, "; row {}: {}", sample.row, schema::say(&sample.violations))?;
                }
                Ok(())
            }
            Self::Definition(what) => write!(f, "the migration is refused: {what}"),
            Self::Policy(what) => write!(f, "the policy is refused: {what}"),
            Self::NoMigration(id) => write!(f, "there is no migration {id:?}"),
            Self::State { id, what } => write!(f, "the migration {id:?}: {what}"),
            Self::Form { collection, row, what } => write!(f, "{collection:?}, row {row}: {what}"),
            Self::Damaged { path, what } => {
                write!(f, "{path} (of the collection {META:?}) is not what it should be: {what}")
            }
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
