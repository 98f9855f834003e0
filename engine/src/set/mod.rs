//! Backup sets: a folder with one full backup and those that hold only what changed since the one before, page by
//! page. The bytes are described in `docs/format/backup.md`, the reasons in
//! `docs/adr/0009-backup-sets-archive-and-change-feed.md`.

mod chain;
mod erasures;
mod image;
mod manifest;
mod pages;
mod restore;
mod take;

use std::path::PathBuf;

use llmdb_base::{StoreId, Timestamp};

use crate::Commit;

pub use erasures::ErasureNote;
pub use restore::{Finish, RestoreReport, RestoreSource, RestoreTo};

/// Told pages done and pages in all, as far as is known. Answering `false` stops the work.
pub type PageProgress<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// One backup of a set.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SetBackup {
    /// Its manifest.
    pub manifest: PathBuf,
    /// Place in the set: 0 for the full backup.
    pub number: u64,
    /// Identity of the store that it was taken from.
    pub store: StoreId,
    /// The commit that it holds.
    pub commit: Commit,
    /// When it was taken.
    pub taken: Timestamp,
    /// Pages that it holds: all of the state if it is full, else those that changed.
    pub page_count: u64,
    /// Size of its files in bytes.
    pub file_bytes: u64,
}
