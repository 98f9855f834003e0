//! When a commit is durable, and who sees it when.

use llmdb::{Durability, Options};

use super::{Home, reopen::as_after_a_crash};

#[test]
fn every_kind_of_commit_survives_a_clean_close() {
    let home = Home::new();
    let db = home.open();
    let kinds =
        [Durability::Sync, Durability::Group { interval_us: 100 }, Durability::Async, Durability::Off];
    for (number, kind) in kinds.into_iter().enumerate() {
        let mut txn = db.begin_write().unwrap();
        txn.put(number.to_string(), "").unwrap();
        txn.commit_with(kind).unwrap();
    }
    db.close().unwrap();
    let db = home.open();
    assert_eq!(super::keys(db.snapshot().unwrap().iter().unwrap()), ["0", "1", "2", "3"]);
}

#[test]
fn a_ticket_is_durable_once_awaited() {
    let home = Home::new();
    let db = home.open();
    let mut txn = db.begin_write().unwrap();
    txn.put("a", "1").unwrap();
    let ticket = txn.commit_async().unwrap();
    let commit = ticket.wait().unwrap();
    assert!(ticket.is_durable());
    assert_eq!(commit, ticket.commit());
    assert_eq!(db.snapshot().unwrap().get("a").unwrap(), Some(&b"1"[..]));
    let copy = as_after_a_crash(&home);
    assert_eq!(copy.db.snapshot().unwrap().get("a").unwrap(), Some(&b"1"[..]));
}

#[test]
fn without_threads_an_asynchronous_commit_waits_for_its_ticket() {
    let home = Home::new();
    let db = llmdb::Db::open(home.path(), Options::new().background_threads(false)).unwrap();
    let mut txn = db.begin_write().unwrap();
    txn.put("a", "1").unwrap();
    let ticket = txn.commit_async().unwrap();
    assert!(!ticket.is_durable());
    assert_eq!(db.snapshot().unwrap().get("a").unwrap(), None);
    assert_eq!(db.snapshot_latest().unwrap().get("a").unwrap(), Some(&b"1"[..]));
    ticket.wait().unwrap();
    assert_eq!(db.snapshot().unwrap().get("a").unwrap(), Some(&b"1"[..]));
}

#[test]
fn readers_see_commits_without_durability_at_once_and_sync_keeps_them() {
    let home = Home::new();
    let db = llmdb::Db::open(home.path(), Options::new().durability(Durability::Off)).unwrap();
    super::put(&db, &[("a", "1")]);
    assert_eq!(db.snapshot().unwrap().get("a").unwrap(), Some(&b"1"[..]));
    db.sync().unwrap();
    let copy = as_after_a_crash(&home);
    assert_eq!(copy.db.snapshot().unwrap().get("a").unwrap(), Some(&b"1"[..]));
}

#[test]
fn commits_of_many_threads_are_all_durable() {
    let home = Home::new();
    let db = home.open();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let db = &db;
            scope.spawn(move || {
                for number in 0..25 {
                    let mut txn = db.begin_write().unwrap();
                    txn.put(format!("{thread}/{number}"), "").unwrap();
                    txn.commit().unwrap();
                }
            });
        }
    });
    let stats = db.stats().unwrap();
    assert_eq!(stats.durable_lsn, stats.lsn);
    let copy = as_after_a_crash(&home);
    assert_eq!(copy.db.snapshot().unwrap().main().unwrap().len(), 200);
}
