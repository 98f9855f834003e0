//! The same beside other processes: openings of one program, which exclude each other as processes do.

use std::path::Path;

use llmdb_engine::{Engine, ErrorKind, LongReaders, Options, Sharing};

use crate::{
    common::{assert_sound, contents, script::key, state},
    store::{pages, put, value},
};

fn open(path: &Path, long_readers: LongReaders) -> Engine {
    let mut options = Options::default();
    options.sharing = Sharing::Shared;
    options.long_readers = long_readers;
    Engine::open(path, options).unwrap()
}

#[test]
fn the_lease_of_another_process_is_seen_and_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let first = open(&path, LongReaders::End { after_us: u64::MAX, held_bytes_max: 200 << 10 });
    let second = open(&path, LongReaders::default());
    put(&first, 0..2_000, 0, |_| 300);
    first.sync().unwrap();
    let plain = second.snapshot_named("plain").unwrap();
    let shown = contents(&plain).unwrap();
    put(&first, 0..2_000, 1, |_| 300);
    first.sync().unwrap();
    let mut lease = second.leased_snapshot("lease").unwrap();
    let get = |lease: &mut llmdb_engine::LeasedSnapshot| {
        lease.read(|snapshot| {
            let tree = snapshot.tree("rows").unwrap().unwrap();
            tree.get(key(3)).unwrap().map(<[u8]>::to_vec)
        })
    };
    assert_eq!(get(&mut lease).unwrap(), Some(value(3, 1, 300)));
    let seen = first.readers().into_iter().find(|reader| reader.name == "lease").unwrap();
    assert!(seen.is_elsewhere && seen.is_leased && !seen.is_busy, "{seen:?}");
    assert_eq!(seen.txid, lease.txid());
    assert!(seen.since.get() > 1_600_000_000_000_000, "{seen:?}");
    for round in 2..5 {
        put(&first, 0..2_000, round, |_| 300);
        first.checkpoint().unwrap();
    }
    assert_eq!(get(&mut lease).unwrap_err().kind(), ErrorKind::SnapshotTooOld);
    assert!(contents(&plain).unwrap() == shown, "a snapshot without a lease is never ended");
    let seen = first.readers().into_iter().find(|reader| reader.name == "plain").unwrap();
    assert!(seen.held_bytes > 200 << 10, "{seen:?}");
    drop((lease, plain));
    assert_eq!(first.readers(), []);
    assert_sound(&second);
}

#[test]
fn a_store_is_compacted_while_others_read_and_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let first = open(&path, LongReaders::default());
    let second = open(&path, LongReaders::default());
    put(&first, 0..5_000, 0, |_| 1_500);
    let mut txn = second.begin_write().unwrap();
    let mut tree = txn.tree("rows").unwrap();
    for number in (0..5_000).filter(|number| number % 5 != 0) {
        tree.delete(key(number)).unwrap();
    }
    txn.commit().unwrap();
    let (before, _) = pages(&second);
    let (mut round, mut held) = (1, Vec::new());
    let report = first
        .compact(&mut |_, _| {
            let snapshot = second.snapshot().unwrap();
            let shown = contents(&snapshot).unwrap();
            held.push((snapshot, shown));
            put(&second, (0..50).map(|number| number * 7), round, |_| 1_500);
            second.sync().unwrap();
            round += 1;
            true
        })
        .unwrap();
    assert!(round > 2, "{report:?}");
    for (snapshot, shown) in &held {
        assert!(contents(snapshot).unwrap() == *shown);
    }
    assert!(state(&first) == state(&second));
    drop(held);
    let report = first.compact(&mut |_, _| true).unwrap();
    let (file, live) = pages(&first);
    assert!(file <= live * 11 / 10 + 256 && file < before / 2, "{before}, then {file} pages: {report:?}");
    put(&second, 0..100, 99, |_| 1_500);
    assert!(state(&first).len() == 1);
    assert_sound(&second);
    first.close().unwrap();
    second.close().unwrap();
    assert_sound(&Engine::open(&path, Options::default()).unwrap());
}
