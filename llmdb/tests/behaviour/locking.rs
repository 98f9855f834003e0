//! One opening at a time.

use llmdb::{Db, ErrorKind, Options};

use super::Home;

#[test]
fn a_second_opening_is_refused_and_told_who_holds_the_database() {
    let home = Home::new();
    let db = home.open();
    let error = Db::open(home.path(), Options::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    let holder = format!("process {}", std::process::id());
    assert!(error.to_string().contains(&holder), "{error}");
    assert!(error.advice().is_some());
    drop(db);
    home.open();
}

#[test]
fn a_snapshot_keeps_the_database_locked() {
    let home = Home::new();
    let db = home.open();
    super::put(&db, &[("a", "1")]);
    let snapshot = db.snapshot().unwrap();
    db.close().unwrap();
    assert_eq!(Db::open(home.path(), Options::new()).unwrap_err().kind(), ErrorKind::Locked);
    assert_eq!(snapshot.get("a").unwrap(), Some(&b"1"[..]));
    drop(snapshot);
    home.open();
}
