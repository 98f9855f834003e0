//! Opened for reading only.

use llmdb::{Db, ErrorKind, Options};

use super::Home;

#[test]
fn readers_share_the_database_and_cannot_write() {
    let home = Home::new();
    let db = home.open();
    super::put(&db, &[("a", "1")]);
    db.close().unwrap();
    let before = std::fs::read(home.path()).unwrap();
    let open = || Db::open(home.path(), Options::new().read_only(true)).unwrap();
    let (one, two) = (open(), open());
    for db in [&one, &two] {
        assert_eq!(db.snapshot().unwrap().get("a").unwrap(), Some(&b"1"[..]));
        assert_eq!(db.begin_write().unwrap_err().kind(), ErrorKind::ReadOnly);
        assert_eq!(db.checkpoint().unwrap_err().kind(), ErrorKind::ReadOnly);
        assert!(db.check().unwrap().problems.is_empty());
    }
    assert_eq!(Db::open(home.path(), Options::new()).unwrap_err().kind(), ErrorKind::Locked);
    drop((one, two));
    assert!(std::fs::read(home.path()).unwrap() == before, "reading must not change the file");
}

#[test]
fn a_database_that_was_not_closed_must_be_recovered_first() {
    let home = Home::new();
    let db = home.open();
    super::put(&db, &[("a", "1")]);
    let copy = Home::new();
    for name in ["test.llmdb", "test.llmdb-wal"] {
        let (from, to) = (home.folder.path().join(name), copy.folder.path().join(name));
        if from.is_dir() {
            std::fs::create_dir(&to).unwrap();
            for file in std::fs::read_dir(&from).unwrap().map(Result::unwrap) {
                std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
            }
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
    let error = Db::open(copy.path(), Options::new().read_only(true)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly);
    copy.open().close().unwrap();
    let db = Db::open(copy.path(), Options::new().read_only(true)).unwrap();
    assert_eq!(db.snapshot().unwrap().get("a").unwrap(), Some(&b"1"[..]));
}
