//! What is there after closing, and after a crash.

use std::{fs, path::Path};

use llmdb::{Db, Options};

use super::Home;

/// A database opened from a copy of another's files, taken while it was open: what a crash at this moment leaves.
pub(crate) struct Crashed {
    pub(crate) db: Db,
    _home: Home,
}

/// Copies the files of an open database as they are now and opens the copy.
pub(crate) fn as_after_a_crash(home: &Home) -> Crashed {
    let copy = Home::new();
    copy_files(home.folder.path(), copy.folder.path());
    Crashed { db: copy.open(), _home: copy }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_files(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_clean_close_leaves_the_data_file_alone() {
    let home = Home::new();
    let db = home.open();
    super::put(&db, &[("a", "1")]);
    db.close().unwrap();
    let wal = home.folder.path().join("test.llmdb-wal");
    assert!(!wal.exists());
    let db = home.open();
    assert_eq!(db.recovery().replayed_txns, 0);
    assert_eq!(db.snapshot().unwrap().get("a").unwrap(), Some(&b"1"[..]));
}

#[test]
fn after_a_crash_every_durable_commit_is_replayed() {
    let home = Home::new();
    let db = home.open();
    for number in 0..50 {
        super::put(&db, &[(&format!("{number:02}"), "x")]);
    }
    db.checkpoint().unwrap();
    for number in 50..60 {
        super::put(&db, &[(&format!("{number:02}"), "x")]);
    }
    let copy = as_after_a_crash(&home);
    assert_eq!(copy.db.recovery().replayed_txns, 10);
    assert!(copy.db.recovery().replayed_bytes > 0);
    assert_eq!(copy.db.snapshot().unwrap().main().unwrap().len(), 60);
    assert_eq!(copy.db.last_commit().txid, db.last_commit().txid);
    assert!(copy.db.check().unwrap().problems.is_empty());
}

#[test]
fn transaction_ids_and_times_go_on_after_reopening() {
    let home = Home::new();
    let db = home.open();
    super::put(&db, &[("a", "1")]);
    let before = db.last_commit();
    db.close().unwrap();
    let db = home.open();
    // The log begins anew, so its positions may have moved on.
    let after = db.last_commit();
    assert_eq!((after.txid, after.timestamp), (before.txid, before.timestamp));
    assert!(after.lsn >= before.lsn);
    super::put(&db, &[("a", "2")]);
    assert!(db.last_commit().txid > before.txid && db.last_commit().timestamp > before.timestamp);
}

#[test]
fn a_missing_database_is_not_made_when_that_was_not_wanted() {
    let home = Home::new();
    let error = Db::open(home.path(), Options::new().create(false)).unwrap_err();
    assert_eq!(error.code(), "missing");
    assert!(error.to_string().contains("test.llmdb"), "{error}");
    assert!(!home.path().exists());
}

#[test]
fn a_foreign_file_is_refused_and_left_alone() {
    let home = Home::new();
    let text = "this is not a database\n".repeat(5_000);
    fs::write(home.path(), &text).unwrap();
    let error = Db::open(home.path(), Options::new()).unwrap_err();
    assert_eq!(error.code(), "not_a_database");
    assert_eq!(fs::read_to_string(home.path()).unwrap(), text);
}
