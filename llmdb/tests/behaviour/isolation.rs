//! A snapshot shows one commit, whatever happens meanwhile.

use llmdb::{Db, Snapshot};

#[test]
fn a_snapshot_does_not_move() {
    let db = Db::in_memory().unwrap();
    super::put(&db, &[("a", "1"), ("b", "1")]);
    let before = db.snapshot().unwrap();
    let value = before.get("a").unwrap().unwrap();
    for round in 0_u32..200 {
        let mut txn = db.begin_write().unwrap();
        txn.put("a", round.to_string()).unwrap();
        txn.put(round.to_be_bytes(), vec![1; 500]).unwrap();
        txn.delete("b").unwrap();
        txn.commit().unwrap();
    }
    assert_eq!(value, b"1");
    assert_eq!(super::keys(before.iter().unwrap()), ["a", "b"]);
    assert_eq!(before.main().unwrap().len(), 2);
    assert_eq!(db.snapshot().unwrap().get("b").unwrap(), None);
}

#[test]
fn snapshots_are_send_and_sync_and_outlive_their_handle() {
    fn check<T: Send + Sync + 'static>(_: &T) {}
    let db = Db::in_memory().unwrap();
    super::put(&db, &[("a", "1")]);
    let snapshot: Snapshot = db.snapshot().unwrap();
    check(&snapshot);
    check(&db);
    drop(db);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(snapshot.get("a").unwrap(), Some(&b"1"[..])));
        }
    });
}

#[test]
fn readers_see_whole_transactions_while_a_writer_runs() {
    let home = super::Home::new();
    let db = home.open();
    super::put(&db, &[("left", "0"), ("right", "0")]);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 1..200 {
                let round = round.to_string();
                super::put(&db, &[("left", &round), ("right", &round)]);
            }
        });
        while !writer.is_finished() {
            let snapshot = db.snapshot().unwrap();
            assert_eq!(snapshot.get("left").unwrap(), snapshot.get("right").unwrap());
        }
        writer.join().unwrap();
    });
}
