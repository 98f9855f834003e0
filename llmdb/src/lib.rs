//! An embedded database in one file: named trees of keys and values, changed by transactions that survive
//! crashes, read through snapshots that copy nothing.
//!
//! Holds the API that programs build on. Does not know wire formats, the terminal, or how the engine below it
//! keeps its promises.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("notes.llmdb");
//! use llmdb::{Db, Options};
//!
//! let db = Db::open(&path, Options::new())?;          // makes the file if it is not there
//!
//! let mut txn = db.begin_write()?;                    // one writer at a time
//! txn.put("user/1", "Ada")?;                          // the tree "main"
//! txn.tree("tags")?.put("ada", "mathematics")?;       // any number of other trees
//! txn.commit()?;                                      // both or neither; on the media when this returns
//!
//! let snapshot = db.snapshot()?;                      // never waits, never changes
//! assert_eq!(snapshot.get("user/1")?, Some(&b"Ada"[..]));
//! for row in snapshot.main()?.prefix("user/")? {
//!     let (key, value) = row?;                        // slices of the database itself
//!     println!("{} = {}", key.escape_ascii(), value.escape_ascii());
//! }
//! # drop(snapshot);
//! db.close()?;                                        // or just drop it
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it promises
//! - **Atomic and durable.** After a crash at any moment, the database holds a prefix of the commits, each
//!   whole, and with [`Durability::Sync`] (the default) every commit that returned. See [`Durability`] for what
//!   the faster kinds give up: only ever the newest commits, never half of one.
//! - **Snapshots.** A [`Snapshot`] shows one commit for as long as it lives, is `Send + Sync`, and costs its
//!   readers no lock, no copy and no allocation.
//! - **Honest errors.** Every page and every record of the log carries a checksum; damage is an
//!   [`ErrorKind::Corruption`] that names the place, never a wrong answer. After a failed write or sync nothing
//!   is acknowledged until the database is opened again.
//!
//! # Limits
//! Keys hold up to [`KEY_LEN_MAX`] bytes, values up to 4 GiB, names of trees up to [`TREE_NAME_LEN_MAX`] bytes.
//! Several processes may have a database open together, see [`Sharing`]; one of them writes at a time.
//!
//! # Files
//! `notes.llmdb` is the database. While it is open for writing, a folder `notes.llmdb-wal` beside it holds the
//! log of the newest commits, and the two belong together; a clean close leaves the data file alone. The file
//! `notes.llmdb-lock` keeps others out of a database that one process has for itself, and `notes.llmdb-share` is
//! what processes have in common that share one. Neither holds data.
#![forbid(unsafe_code)]

mod backup;
#[cfg(feature = "catalog")]
pub mod catalog;
mod db;
mod error;
mod feed;
#[cfg(feature = "memory")]
pub mod memory;
mod options;
mod snapshot;
mod space;
mod stats;
#[cfg(feature = "temporal")]
pub mod temporal;
#[cfg(feature = "memory")]
pub mod text;
mod ticket;
mod tree;
mod tree_mut;
mod write;

pub use db::Db;
pub use error::{Error, ErrorKind, Result};
pub use feed::{Changes, Transaction};
pub use llmdb_engine::{
    ArchiveReport, ArchiveSpan, BackupReport, BusErrors, CONSUMERS_TREE, Change, CheckReport, Churn, Commit,
    CompactReport, Consumer, DiskReport, Durability, FeedFrom, KEY_LEN_MAX, LogTail, LongReaders, LostRange,
    Lsn, MAIN_TREE, MendReport, OrphanReport, Pgno, Position, Problem, Reader, RecoveryReport, RecoveryTime,
    RecoveryTook, RestoreReport, RestoreSource, RestoreTo, SalvageReport, SetBackup, Sharing, StartFrom,
    StoreId, TREE_NAME_LEN_MAX, Timestamp, TreeId, TxnId,
};
pub use options::Options;
pub use snapshot::{LeasedSnapshot, Snapshot};
pub use stats::Stats;
pub use ticket::Ticket;
pub use tree::{Cursor, Range, Row, Tree, ValueReader};
pub use tree_mut::TreeMut;
pub use write::{Savepoint, WriteTxn};

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(all(doctest, feature = "temporal"))]
#[doc = include_str!("../../docs/guide/time.md")]
struct TimeGuide;

#[cfg(all(doctest, feature = "catalog"))]
#[doc = include_str!("../../docs/guide/schema.md")]
struct SchemaGuide;
