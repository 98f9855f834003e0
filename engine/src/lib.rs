//! The storage engine: named trees of keys and values in one file, changed by transactions that survive crashes.
//!
//! Joins three rooms that do not know each other: the pager (pages, roots, readers), the tree and the log. The
//! order "append, sync, publish; later write pages, sync, write the meta page" stands here and nowhere else.
//! Does not know what a key means, time travel, SQL, JSON, the network, or async.
#![forbid(unsafe_code)]

mod background;
mod backup;
mod calm;
mod catalog;
mod check;
mod checkpoint;
mod commit;
mod compact;
mod copy;
mod engine;
mod error;
mod feed;
mod gate;
mod keeping;
mod last_main;
mod long_readers;
mod mend;
mod open;
mod options;
mod overlay;
mod pace;
mod probe;
pub mod record;
mod recovery;
mod salvage;
mod scrub;
mod set;
mod share;
mod snapshot;
mod stats;
mod traces;
mod tree_mut;
mod tree_ref;
mod write;

pub use backup::BackupReport;
pub use catalog::{MAIN_TREE, TREE_NAME_LEN_MAX};
pub use check::{CheckReport, Problem};
pub use commit::{Commit, Ticket};
pub use compact::{CompactProgress, CompactReport};
pub use copy::Place;
pub use engine::Engine;
pub use error::{Error, ErrorKind, Result};
pub use feed::{CONSUMERS_TREE, Change, Changes, Consumer, FeedFrom, Position, Transaction};
pub use keeping::ArchiveReport;
pub use llmdb_base::{Corruption, Epoch, Lsn, Pgno, StoreId, Timestamp, TreeId, TxnId};
pub use llmdb_btree::KEY_LEN_MAX;
pub use llmdb_vfs::{BusErrors, OsVfs, Vfs};
pub use llmdb_wal::ArchiveSpan;
pub use long_readers::{LeasedSnapshot, Reader};
pub use mend::MendReport;
pub use options::{
    Background, Churn, Durability, LogTail, LongReaders, Options, RecoveryTime, Sharing, StartFrom,
};
pub use probe::DiskReport;
pub use recovery::{RecoveryReport, RecoveryTook};
pub use salvage::{LostRange, OrphanReport, SalvageReport};
pub use scrub::ScrubReport;
pub use set::{ErasureNote, Finish, PageProgress, RestoreReport, RestoreSource, RestoreTo, SetBackup};
pub use snapshot::Snapshot;
pub use stats::Stats;
pub use traces::{Trace, TracePlace, Traces};
pub use tree_mut::TreeMut;
pub use tree_ref::{Cursor, Range, TreeRef, ValueReader};
pub use write::{Savepoint, WriteTxn};
