//! What can go wrong, in three families: the bytes are wrong, the world refused, the caller asked for something
//! impossible.

use std::{fmt, io, path::PathBuf};

use llmdb_base::{Corruption, Lsn, PAGE_SIZE, PageError, PageErrorKind, TxnId};
use llmdb_btree::TreeError;
use llmdb_pager::OpenError;
use llmdb_vfs::LockError;
use llmdb_wal::LogError;

/// Result of an engine call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an engine call failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A page of the data file is not what it must be.
    Corruption(Corruption),
    /// The log is damaged in a place that had been durable, so that acknowledged commits are missing.
    LogCorruption(String),
    /// A record of the log cannot be applied.
    BadRecord(String),
    /// The file is not a data file of this engine.
    NotADatabase(PathBuf),
    /// The file was written by a later version.
    NewerVersion {
        /// Format version found in the file.
        found: u32,
    },
    /// The data file is damaged beyond opening: shorter than its pages, or without a valid meta page.
    Unopenable(String),
    /// The operating system refused.
    Io {
        /// What was tried.
        what: String,
        /// What it said.
        source: io::Error,
    },
    /// No space is left for the data file or the log. The transaction has changed nothing.
    NoSpace {
        /// What could not be done for lack of space.
        what: String,
        /// How much was asked for.
        needed_bytes: u64,
    },
    /// Another opening holds the store.
    Locked {
        /// The lock file.
        path: PathBuf,
        /// What the holder says of itself.
        holder: String,
    },
    /// Another process did not make room in time: it writes, or opens or closes the store. Nothing was changed.
    Busy {
        /// What that process says of itself.
        holder: String,
        /// How long was waited.
        waited_ms: u64,
    },
    /// Processes cannot share the store here: the system or the filesystem lacks what it takes, or what they share is
    /// damaged.
    CannotShare(String),
    /// An earlier write or sync failed: nobody knows what reached the media, so nothing is accepted or
    /// acknowledged until the store is opened anew.
    Poisoned(String),
    /// An earlier call on this transaction failed; it can only be aborted.
    TxnFailed,
    /// The key is longer than [`crate::KEY_LEN_MAX`] bytes.
    KeyTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The value is longer than 4 GiB.
    ValueTooLong {
        /// Its length in bytes.
        len: u64,
    },
    /// Keys for a bulk load did not ascend.
    NotAscending,
    /// The name of a tree is empty or too long.
    TreeName(String),
    /// The store was opened for reading only, or was closed.
    ReadOnly(&'static str),
    /// The data file does not exist, and was not to be made.
    Missing(PathBuf),
    /// A call that makes no sense here.
    Misuse(String),
    /// A backup cannot be used: a part of it, or of what it stands on, is missing, foreign, out of its place or changed.
    BrokenBackup(String),
    /// What was asked for lies before or behind what backups and log hold; says how far they go.
    OutOfReach(String),
    /// The change feed cannot go on from there: the log between was given up.
    FeedGap {
        /// The last transaction that had been read, if that is known.
        after: Option<TxnId>,
        /// Where the log is needed from.
        wanted: Lsn,
        /// Where it begins now. Who takes a snapshot can go on from the position of that snapshot.
        oldest: Lsn,
    },
    /// The source of a streamed value failed, or gave fewer bytes than announced.
    Source(io::Error),
    /// The caller's progress function asked to stop.
    Cancelled,
    /// The lease of a snapshot was ended, because it held back too much for too long.
    SnapshotTooOld {
        /// Last transaction that it showed.
        txid: llmdb_base::TxnId,
    },
}

/// The kinds of [`Error`] that call for different actions. New kinds may be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Stored bytes are wrong: check, recover, restore.
    Corruption,
    /// Not a file of ours.
    NotADatabase,
    /// Written by a later version: upgrade the program.
    NewerVersion,
    /// The world refused; after a failed write or sync, reopen.
    Io,
    /// Make space; nothing was changed.
    NoSpace,
    /// Somebody else has the store open.
    Locked,
    /// Reopen the store.
    Poisoned,
    /// Abort the transaction.
    TxnFailed,
    /// The key or value is too long.
    TooLong,
    /// The store cannot be written.
    ReadOnly,
    /// There is no such store.
    Missing,
    /// Fix the call.
    Misuse,
    /// A backup cannot be used: take an older one, or another set.
    BrokenBackup,
    /// What was asked for is not kept: it was given up, or never was.
    NotKept,
    /// The caller asked to stop.
    Cancelled,
    /// Take a new snapshot.
    SnapshotTooOld,
    /// A check of the caller's said no: change what is written.
    Refused,
}

impl Error {
    /// Which action the error calls for.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Corruption(_) | Self::LogCorruption(_) | Self::BadRecord(_) | Self::Unopenable(_) => {
                ErrorKind::Corruption
            }
            Self::NotADatabase(_) => ErrorKind::NotADatabase,
            Self::NewerVersion { .. } => ErrorKind::NewerVersion,
            Self::Io { .. } | Self::Source(_) => ErrorKind::Io,
            Self::NoSpace { .. } => ErrorKind::NoSpace,
            Self::Locked { .. } | Self::Busy { .. } => ErrorKind::Locked,
            Self::Poisoned(_) => ErrorKind::Poisoned,
            Self::TxnFailed => ErrorKind::TxnFailed,
            Self::KeyTooLong { .. } | Self::ValueTooLong { .. } => ErrorKind::TooLong,
            Self::ReadOnly(_) => ErrorKind::ReadOnly,
            Self::Missing(_) => ErrorKind::Missing,
            Self::NotAscending | Self::TreeName(_) | Self::Misuse(_) | Self::CannotShare(_) => {
                ErrorKind::Misuse
            }
            Self::BrokenBackup(_) => ErrorKind::BrokenBackup,
            Self::OutOfReach(_) | Self::FeedGap { .. } => ErrorKind::NotKept,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::SnapshotTooOld { .. } => ErrorKind::SnapshotTooOld,
        }
    }

    /// Wraps a failed call about a name, which has changed nothing. `what` names no path: every disk names it in the
    /// error itself.
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { what: format!("{}: {source}", what.into()), needed_bytes: PAGE_SIZE as u64 }
            }
            _ => Self::Io { what: what.into(), source },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corruption(corruption) => write!(f, "damaged data file: {corruption}"),
            Self::LogCorruption(what) => write!(f, "damaged log: {what}"),
            Self::BadRecord(what) => write!(f, "a record of the log cannot be applied: {what}"),
            Self::NotADatabase(path) => write!(f, "{} is not an LLMDB data file", path.display()),
            Self::NewerVersion { found } => {
                let known = llmdb_pager::FORMAT_VERSION;
                write!(
                    f,
                    "the data file has format version {found}, written by a later version of LLMDB; this one knows \
                     version {known}"
                )
            }
            Self::Unopenable(what) => write!(f, "the data file cannot be opened: {what}"),
            Self::Io { what, source } => write!(f, "{what}: {source}"),
            Self::NoSpace { what, needed_bytes } => {
                write!(
                    f,
                    "no space left on the device: {what}; {needed_bytes} more bytes were needed; nothing was changed"
                )
            }
            Self::Locked { path, holder } if holder.is_empty() => {
                write!(f, "the store is open elsewhere ({} is locked)", path.display())
            }
            Self::Locked { path, holder } => {
                write!(f, "the store is open elsewhere: {} is locked by {holder}", path.display())
            }
            Self::Busy { holder, waited_ms } => {
                write!(f, "waited {waited_ms} ms for the store, which is held by {holder}")
            }
            Self::CannotShare(why) => {
                write!(f, "{why}; a process that opens the store exclusively does without")
            }
            Self::Poisoned(why) => {
                write!(
                    f,
                    "something failed that cannot be undone ({why}); the store accepts no writes until it is opened anew"
                )
            }
            Self::TxnFailed => {
                f.write_str("an earlier call on this transaction failed; it can only be aborted")
            }
            Self::KeyTooLong { len } => {
                write!(f, "the key has {len} bytes, more than the {} that fit", crate::KEY_LEN_MAX)
            }
            Self::ValueTooLong { len } => {
                write!(f, "the value has {len} bytes, more than the {} allowed", llmdb_base::VALUE_LEN_MAX)
            }
            Self::NotAscending => f.write_str("the keys of a bulk load must ascend strictly"),
            Self::TreeName(what) => write!(f, "tree name: {what}"),
            Self::ReadOnly(why) => write!(f, "the store cannot be written: {why}"),
            Self::Missing(path) => write!(f, "{} does not exist", path.display()),
            Self::Misuse(what) => f.write_str(what),
            Self::Source(source) => write!(f, "the source of the value failed: {source}"),
            Self::BrokenBackup(what) => write!(f, "broken backup: {what}"),
            Self::OutOfReach(what) => f.write_str(what),
            Self::FeedGap { after, wanted, oldest } => {
                let after = after.map(|txid| format!(" (behind {txid})")).unwrap_or_default();
                write!(
                    f,
                    "changes are gone: the log is needed from {wanted}{after} on, and begins at {oldest} now; take a \
                     snapshot, and go on from its position"
                )
            }
            Self::Cancelled => f.write_str("stopped on request"),
            Self::SnapshotTooOld { txid } => {
                write!(f, "the lease of the snapshot of {txid} was ended, because it was held for too long")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } | Self::Source(source) => Some(source),
            _ => None,
        }
    }
}

impl From<PageError> for Error {
    fn from(error: PageError) -> Self {
        match error.into_kind() {
            PageErrorKind::Corruption(corruption) => Self::Corruption(corruption),
            PageErrorKind::Io { what, source } => Self::Io { what, source },
            PageErrorKind::NoSpace { needed_bytes } => {
                Self::NoSpace { what: "the data file cannot grow".into(), needed_bytes }
            }
            other => Self::Misuse(format!("{other:?}")),
        }
    }
}

impl From<TreeError> for Error {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::Page(error) => error.into(),
            TreeError::KeyTooLong { len } => Self::KeyTooLong { len },
            TreeError::ValueTooLong { len } => Self::ValueTooLong { len },
            TreeError::NotAscending => Self::NotAscending,
            other => Self::Misuse(other.to_string()),
        }
    }
}

impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Io { what, source } => Self::Io { what, source },
            LogError::NoSpace { needed_bytes } => {
                Self::NoSpace { what: "the log cannot grow".into(), needed_bytes }
            }
            LogError::Poisoned(why) => Self::Poisoned(why),
            LogError::Misuse(what) => Self::Misuse(what.into()),
            other => Self::LogCorruption(other.to_string()),
        }
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NotADatabase => Self::NotADatabase(PathBuf::new()),
            OpenError::NewerVersion { found } => Self::NewerVersion { found },
            OpenError::Corruption(corruption) => Self::Corruption(corruption),
            OpenError::Io { what, source } => Self::Io { what, source },
            other => Self::Unopenable(other.to_string()),
        }
    }
}

impl Error {
    pub(crate) fn from_lock(error: LockError, path: PathBuf) -> Self {
        match error {
            LockError::Held { note } => Self::Locked { path, holder: note },
            LockError::Io(source) => Self::io("lock the store", source),
        }
    }
}
