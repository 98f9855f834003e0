//! What the driver asks of a store under test.

use std::{fmt, path::PathBuf, sync::Arc};

use llmdb_vfs::{
    Vfs,
    crash::{Chooser, CrashVfs},
};

use crate::Change;

/// A kind of store that can be put to the test.
pub trait Subject: Send + Sync + 'static {
    /// The open store.
    type Store: Store;

    /// Opens the store on a disk, always at the same place, and makes it if there is none. All background work is
    /// done by the calling thread, inside the calls, so that a run repeats.
    ///
    /// # Errors
    /// Whatever is wrong with the store or the disk; the disk may hold anything at all.
    fn open(&self, vfs: Arc<dyn Vfs>) -> Result<Self::Store, Failure>;

    /// The places on a disk that hold a valid root of the whole store (meta pages, headers). The driver destroys
    /// them, as long as one of an older generation remains.
    fn root_slots(&self, disk: &CrashVfs) -> Vec<RootSlot>;
}

/// A place that holds a root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RootSlot {
    /// The file.
    pub path: PathBuf,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// How many bytes.
    pub len: usize,
    /// Which checkpoint the root belongs to; the newest is tried first at recovery.
    pub generation: u64,
}

/// An open store.
pub trait Store {
    /// An unchanging view of a committed state. It stays valid while the store is used, until it is dropped.
    type Snapshot;

    /// Begins a transaction, makes its changes in order, and ends it. One call, because a transaction borrows
    /// the store that the driver goes on using.
    ///
    /// # Errors
    /// [`Failure::NoSpace`] and [`Failure::Refused`]: the transaction left nothing behind and the store goes on.
    /// [`Failure::Io`] and [`Failure::Stopped`]: it may be found committed after recovery, or not.
    fn transact(&mut self, transaction: &Transaction) -> Result<Commit, Failure>;

    /// Makes everything committed so far durable.
    ///
    /// # Errors
    /// Any; then nothing more is durable than before.
    fn sync(&mut self) -> Result<(), Failure>;

    /// Takes a whole checkpoint. What was committed before is durable when it returns.
    ///
    /// # Errors
    /// Any; the store may go on or stop.
    fn checkpoint(&mut self) -> Result<(), Failure>;

    /// A view of the newest committed state.
    ///
    /// # Errors
    /// Any.
    fn snapshot(&mut self) -> Result<Self::Snapshot, Failure>;

    /// Shows all entries of a snapshot: tree by tree, keys in ascending order.
    ///
    /// # Errors
    /// [`Failure::Corrupt`] where the store finds that it cannot vouch for an entry; other failures.
    fn read(&mut self, snapshot: &Self::Snapshot, show: Show<'_>) -> Result<(), Failure>;

    /// Checks the structure as far as the store can: every page reachable once, nothing leaked, counts right.
    ///
    /// # Errors
    /// [`Failure::Corrupt`] with the first finding; other failures.
    fn check(&mut self) -> Result<(), Failure>;

    /// What the store takes, if it can say.
    ///
    /// # Errors
    /// Any.
    fn footprint(&mut self) -> Result<Option<Footprint>, Failure> {
        Ok(None)
    }

    /// Closes the store in order; everything committed is durable then.
    ///
    /// # Errors
    /// Any.
    fn close(self) -> Result<(), Failure>;
}

/// What a store takes of the disk, and of the time of whoever opens it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Footprint {
    /// Log that the last opening applied again, in bytes.
    pub replayed_bytes: u64,
    /// How much that may be at most, but for the longest transaction.
    pub replayed_bytes_max: u64,
    /// Length of the data file.
    pub file_bytes: u64,
    /// What the newest state takes of it.
    pub live_bytes: u64,
}

/// Is shown entries: name of the tree, key, value.
pub type Show<'a> = &'a mut dyn FnMut(&str, &[u8], &[u8]);

/// Changes, and how they end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// What becomes of them.
    pub end: End,
}

/// How a transaction ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Its changes are committed.
    Commit(Durability),
    /// Its changes are undone.
    Abort,
}

/// When a commit survives a crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// As soon as the call returns.
    Immediate,
    /// After the next sync, checkpoint, durable commit or close.
    Deferred,
}

/// What a store says of a transaction that ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Commit {
    /// Its number; 0 if the transaction was aborted or changed nothing. Numbers ascend in commit order.
    pub txid: u64,
}

/// Why a call of a store did not do what it should.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// Stored bytes are wrong, and the store noticed.
    Corrupt(String),
    /// The disk refused.
    Io(String),
    /// The disk is full; nothing was changed.
    NoSpace(String),
    /// The store accepts no more changes since an earlier failure.
    Stopped(String),
    /// The call made no sense to the store; nothing was changed.
    Refused(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, what) = match self {
            Self::Corrupt(what) => ("corrupt", what),
            Self::Io(what) => ("I/O error", what),
            Self::NoSpace(what) => ("no space", what),
            Self::Stopped(what) => ("stopped", what),
            Self::Refused(what) => ("refused", what),
        };
        write!(f, "{kind}: {what}")
    }
}

impl Transaction {
    /// About how many bytes it writes to a log.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.changes.iter().map(Change::log_bytes).sum::<u64>() + 64
    }

    /// About how many bytes of pages it writes at most: a leaf and what splits above it for each place, and the values.
    pub(crate) fn page_bytes(&self) -> u64 {
        const PATH_BYTES: u64 = 2 * 4096;
        self.changes.len() as u64 * PATH_BYTES + 2 * self.log_bytes()
    }
}

impl RootSlot {
    /// Fills the place with bytes that are not a root.
    pub(crate) fn destroy(&self, disk: &CrashVfs, chooser: &mut Chooser) {
        let fill = chooser.next_u64().to_le_bytes()[0];
        let bytes: Vec<u8> = (0..self.len)
            .map(|_| if fill < 64 { fill } else { chooser.next_u64().to_le_bytes()[0] })
            .collect();
        disk.overwrite(&self.path, self.offset, &bytes).expect("a valid root lies inside its file");
    }
}
