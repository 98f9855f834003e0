//! The facade seen from outside: one behaviour per file.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests copy and damage the files of a database"
)]

mod bulk;
mod cursors;
mod durability;
mod isolation;
mod large_values;
mod limits;
mod locking;
mod range_delete;
mod read_only;
mod reopen;
mod reports;
mod savepoints;
mod transactions;
mod trees;

use llmdb::{Db, Options, Row};
use tempfile::TempDir;

/// A database in a folder of its own, which goes with it.
pub(crate) struct Home {
    pub(crate) folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("test.llmdb")
    }

    pub(crate) fn open(&self) -> Db {
        Db::open(self.path(), Options::new()).unwrap()
    }
}

/// Puts rows into the tree `main` and commits.
pub(crate) fn put(db: &Db, rows: &[(&str, &str)]) {
    let mut txn = db.begin_write().unwrap();
    for (key, value) in rows {
        txn.put(key, value).unwrap();
    }
    txn.commit().unwrap();
}

/// The keys of rows, as text.
pub(crate) fn keys<'s>(rows: impl Iterator<Item = llmdb::Result<Row<'s>>>) -> Vec<String> {
    rows.map(|row| String::from_utf8(row.unwrap().0.to_vec()).unwrap()).collect()
}
