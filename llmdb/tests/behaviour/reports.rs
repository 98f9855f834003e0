//! Statistics, backup, salvage.

use llmdb::{Db, ErrorKind, Options};

use super::Home;

fn filled(home: &Home) -> Db {
    let db = home.open();
    let mut txn = db.begin_write().unwrap();
    for name in ["one", "two"] {
        let mut tree = txn.tree(name).unwrap();
        for number in 0_u32..3_000 {
            tree.put(number.to_be_bytes(), vec![9; (number % 200) as usize]).unwrap();
        }
    }
    txn.tree("two").unwrap().put("long", vec![5; 1 << 20]).unwrap();
    txn.commit().unwrap();
    db
}

#[test]
fn statistics_count_what_is_there() {
    let home = Home::new();
    let db = filled(&home);
    let stats = db.stats().unwrap();
    assert_eq!((stats.tree_count, stats.key_count), (2, 6_001));
    assert_eq!(stats.txid, db.last_commit().txid);
    assert_eq!(stats.published_txid, stats.txid);
    assert!(stats.replay_bytes > 1 << 20 && stats.sync_count > 0);
    db.checkpoint().unwrap();
    let stats = db.stats().unwrap();
    assert_eq!((stats.checkpoint_count, stats.replay_bytes), (1, 0));
    assert_eq!(std::fs::metadata(home.path()).unwrap().len(), stats.file_bytes);
    assert!(stats.live_bytes > 1 << 20 && stats.live_bytes <= stats.file_bytes);
}

#[test]
fn a_backup_is_the_same_database_in_one_file() {
    let home = Home::new();
    let db = filled(&home);
    let to = home.folder.path().join("copy.llmdb");
    let mut calls = 0;
    let report = db
        .backup(&to, &mut |done, all| {
            calls += 1;
            assert!(done <= all);
            true
        })
        .unwrap();
    assert!(calls > 0);
    assert_eq!((report.tree_count, report.key_count), (2, 6_001));
    assert_eq!(report.file_bytes, std::fs::metadata(&to).unwrap().len());
    assert_eq!(db.backup(&to, &mut |_, _| true).unwrap_err().kind(), ErrorKind::Misuse);

    let copy = Db::open(&to, Options::new().create(false)).unwrap();
    assert_eq!(copy.last_commit().txid, db.last_commit().txid);
    let (ours, theirs) = (db.snapshot().unwrap(), copy.snapshot().unwrap());
    assert_eq!(ours.trees().unwrap(), theirs.trees().unwrap());
    for (name, _) in ours.trees().unwrap() {
        let [ours, theirs] = [&ours, &theirs].map(|snapshot| snapshot.tree(&name).unwrap().unwrap());
        assert!(ours.iter().unwrap().map(Result::unwrap).eq(theirs.iter().unwrap().map(Result::unwrap)));
    }
    assert!(copy.check().unwrap().problems.is_empty());
}

#[test]
fn a_backup_stopped_on_the_way_leaves_nothing() {
    let home = Home::new();
    let db = filled(&home);
    let to = home.folder.path().join("copy.llmdb");
    assert_eq!(db.backup(&to, &mut |_, _| false).unwrap_err().kind(), ErrorKind::Cancelled);
    let left: Vec<_> =
        std::fs::read_dir(home.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("copy")), "{left:?}");
}

#[test]
fn damage_is_found_named_and_salvaged_around() {
    let home = Home::new();
    filled(&home).close().unwrap();
    let mut bytes = std::fs::read(home.path()).unwrap();
    // A page in the middle of the file, behind the meta pages: a leaf, a branch or a part of the long value.
    let place = bytes.len() / 4096 / 3 * 4096 + 1_000;
    bytes[place..place + 8].iter_mut().for_each(|byte| *byte ^= 0x55);
    std::fs::write(home.path(), bytes).unwrap();

    let db = home.open();
    let problems = db.check().unwrap().problems;
    assert!(!problems.is_empty());
    drop(db);

    let saved = home.folder.path().join("saved.llmdb");
    let report = Db::salvage(home.path(), &saved).unwrap();
    assert!(!report.lost.is_empty());
    assert!(report.saved.key_count < 6_001 && report.saved.key_count > 3_000, "{report:?}");
    let db = Db::open(&saved, Options::new().create(false)).unwrap();
    assert!(db.check().unwrap().problems.is_empty());
}
