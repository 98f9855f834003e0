//! The one error of the facade.

use std::fmt;

use llmdb_engine as engine;

/// Result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed: opaque, so that what is below may change, with a [`ErrorKind`] to decide by, a code for
/// other languages and scripts, a message for the person at the keyboard, and advice on what to do next.
///
/// # Examples
/// ```
/// let db = llmdb::Db::in_memory()?;
/// let mut txn = db.begin_write()?;
/// let error = txn.put(vec![0; 10_000], "value").unwrap_err();
/// assert_eq!(error.kind(), llmdb::ErrorKind::TooLong);
/// assert_eq!(error.code(), "too_long");
/// # Ok::<(), llmdb::Error>(())
/// ```
pub struct Error(Box<Inner>);

/// The room that failed.
#[derive(Debug)]
enum Inner {
    Engine(engine::Error),
    #[cfg(feature = "temporal")]
    Temporal(llmdb_temporal::Error),
    #[cfg(feature = "memory")]
    Memory(llmdb_memory::Error),
    #[cfg(feature = "catalog")]
    Catalog(llmdb_catalog::Error),
    #[cfg(feature = "memory")]
    Text(llmdb_text::Error),
}

impl Inner {
    fn kind(&self) -> engine::ErrorKind {
        match self {
            Self::Engine(error) => error.kind(),
            #[cfg(feature = "temporal")]
            Self::Temporal(error) => error.kind(),
            #[cfg(feature = "memory")]
            Self::Memory(error) => error.kind(),
            #[cfg(feature = "catalog")]
            Self::Catalog(error) => match error.complaint() {
                Some(llmdb_catalog::Complaint::Corruption) => engine::ErrorKind::Corruption,
                Some(llmdb_catalog::Complaint::Refused) => engine::ErrorKind::Refused,
                _ => engine::ErrorKind::Misuse,
            },
            #[cfg(feature = "memory")]
            Self::Text(error) => error.kind(),
        }
    }

    fn error(&self) -> &(dyn std::error::Error + 'static) {
        match self {
            Self::Engine(error) => error,
            #[cfg(feature = "temporal")]
            Self::Temporal(error) => error,
            #[cfg(feature = "memory")]
            Self::Memory(error) => error,
            #[cfg(feature = "catalog")]
            Self::Catalog(error) => error,
            #[cfg(feature = "memory")]
            Self::Text(error) => error,
        }
    }
}

/// What an [`Error`] calls for. New kinds may be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Stored bytes are wrong. Check, restore a backup, or save what can be read with [`crate::Db::salvage`].
    Corruption,
    /// The file is not a database of this kind.
    NotADatabase,
    /// A later version of the program wrote the file.
    NewerVersion,
    /// The operating system refused. After a failed write or sync, open the database again.
    Io,
    /// No space is left. Nothing was changed; make room and try again.
    NoSpace,
    /// Another process, or another handle of this one, has the database open.
    Locked,
    /// An earlier write failed, so nothing is accepted until the database is opened again.
    Poisoned,
    /// An earlier call failed; the transaction can only be aborted.
    TxnFailed,
    /// The key or the value is longer than the limit. Nothing was changed.
    TooLong,
    /// The database was opened for reading only, or closed.
    ReadOnly,
    /// There is no such database.
    Missing,
    /// The call makes no sense here. Fix the program.
    Misuse,
    /// A backup cannot be used: a part of it, or of what it stands on, is missing, foreign, out of its place or
    /// changed.
    BrokenBackup,
    /// What was asked for is not kept: changes whose log was given up, or a commit that backups and log do not reach.
    NotKept,
    /// The caller's progress function asked to stop.
    Cancelled,
    /// The lease of a snapshot was ended, because it held back too much for too long. Take a new one.
    SnapshotTooOld,
    /// What was to be written is not what the schema of the collection, or the catalog, wants; the message names the place.
    /// Nothing was written.
    Refused,
}

impl ErrorKind {
    /// A stable name for scripts and other languages, such as `"corruption"` or `"no_space"`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Corruption => "corruption",
            Self::NotADatabase => "not_a_database",
            Self::NewerVersion => "newer_version",
            Self::Io => "io",
            Self::NoSpace => "no_space",
            Self::Locked => "locked",
            Self::Poisoned => "poisoned",
            Self::TxnFailed => "txn_failed",
            Self::TooLong => "too_long",
            Self::ReadOnly => "read_only",
            Self::Missing => "missing",
            Self::Misuse => "misuse",
            Self::BrokenBackup => "broken_backup",
            Self::NotKept => "not_kept",
            Self::Cancelled => "cancelled",
            Self::SnapshotTooOld => "snapshot_too_old",
            Self::Refused => "refused",
        }
    }

    /// What to do next, in one sentence for the person at the keyboard; `None` if the message says it all.
    pub const fn advice(self) -> Option<&'static str> {
        match self {
            Self::Corruption => {
                Some("restore a backup, or save what can still be read into a new file by salvage")
            }
            Self::NotADatabase => Some("look whether the path is the right one; the file was not touched"),
            Self::NewerVersion => Some("upgrade the program; the file was not touched"),
            Self::Io => Some("look at the disk and the permissions, then open the database again"),
            Self::NoSpace => Some("make room on the device and try again"),
            Self::Locked => Some("close the database there, or wait until that process ends"),
            Self::Poisoned => {
                Some("open the database again: recovery keeps everything that was acknowledged")
            }
            Self::SnapshotTooOld => Some("take a new snapshot and begin again"),
            Self::TxnFailed => Some("abort the transaction and begin another"),
            Self::BrokenBackup => {
                Some("use another set; backups of this set before the broken one may be whole")
            }
            Self::TooLong
            | Self::Misuse
            | Self::Missing
            | Self::ReadOnly
            | Self::NotKept
            | Self::Refused
            | Self::Cancelled => None,
        }
    }
}

impl Error {
    /// Which action the error calls for.
    pub fn kind(&self) -> ErrorKind {
        match self.0.kind() {
            engine::ErrorKind::Corruption => ErrorKind::Corruption,
            engine::ErrorKind::NotADatabase => ErrorKind::NotADatabase,
            engine::ErrorKind::NewerVersion => ErrorKind::NewerVersion,
            engine::ErrorKind::NoSpace => ErrorKind::NoSpace,
            engine::ErrorKind::Locked => ErrorKind::Locked,
            engine::ErrorKind::Poisoned => ErrorKind::Poisoned,
            engine::ErrorKind::TxnFailed => ErrorKind::TxnFailed,
            engine::ErrorKind::TooLong => ErrorKind::TooLong,
            engine::ErrorKind::ReadOnly => ErrorKind::ReadOnly,
            engine::ErrorKind::Missing => ErrorKind::Missing,
            engine::ErrorKind::Misuse => ErrorKind::Misuse,
            engine::ErrorKind::BrokenBackup => ErrorKind::BrokenBackup,
            engine::ErrorKind::NotKept => ErrorKind::NotKept,
            engine::ErrorKind::Cancelled => ErrorKind::Cancelled,
            engine::ErrorKind::SnapshotTooOld => ErrorKind::SnapshotTooOld,
            engine::ErrorKind::Refused => ErrorKind::Refused,
            _ => ErrorKind::Io,
        }
    }

    /// The stable name of the kind, see [`ErrorKind::code`].
    pub fn code(&self) -> &'static str {
        self.kind().code()
    }

    /// What to do next, see [`ErrorKind::advice`].
    pub fn advice(&self) -> Option<&'static str> {
        self.kind().advice()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0.error(), f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.0.error())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.error().source()
    }
}

#[doc(hidden)]
impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Self {
        Self(Box::new(Inner::Engine(error)))
    }
}

#[cfg(feature = "temporal")]
#[doc(hidden)]
impl From<llmdb_temporal::Error> for Error {
    fn from(error: llmdb_temporal::Error) -> Self {
        Self(Box::new(match error {
            llmdb_temporal::Error::Engine(error) => Inner::Engine(error),
            other => Inner::Temporal(other),
        }))
    }
}

#[cfg(feature = "memory")]
#[doc(hidden)]
impl From<llmdb_memory::Error> for Error {
    fn from(error: llmdb_memory::Error) -> Self {
        match error {
            llmdb_memory::Error::Temporal(error) => error.into(),
            other => Self(Box::new(Inner::Memory(other))),
        }
    }
}

#[cfg(feature = "catalog")]
#[doc(hidden)]
impl From<llmdb_catalog::Error> for Error {
    fn from(error: llmdb_catalog::Error) -> Self {
        match error {
            llmdb_catalog::Error::Temporal(error) => error.into(),
            other => Self(Box::new(Inner::Catalog(other))),
        }
    }
}

#[cfg(feature = "memory")]
#[doc(hidden)]
impl From<llmdb_text::Error> for Error {
    fn from(error: llmdb_text::Error) -> Self {
        match error {
            llmdb_text::Error::Temporal(error) => error.into(),
            other => Self(Box::new(Inner::Text(other))),
        }
    }
}
