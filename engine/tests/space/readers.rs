//! Long readers: who holds back how much, and leases that are ended.

use llmdb_engine::{Engine, ErrorKind, LongReaders, Options, Reader};

use crate::{
    common::{assert_sound, contents, options, script::key},
    store::{open_new, put, value},
};

fn reader(engine: &Engine, name: &str) -> Option<Reader> {
    engine.readers().into_iter().find(|reader| reader.name == name)
}

#[test]
fn each_reader_is_told_with_what_it_alone_holds() {
    let (_, engine) = open_new(options());
    put(&engine, 0..3_000, 0, |_| 300);
    let first = engine.snapshot_named("first").unwrap();
    let unnamed = engine.snapshot().unwrap();
    assert_eq!(engine.readers().len(), 2);
    let own = engine.readers().into_iter().find(|reader| reader.name != "first").unwrap();
    assert!(own.name.contains("each_reader_is_told"), "the name of the thread: {}", own.name);
    drop(unnamed);
    // Everything is replaced, and forgotten by both checkpoints.
    put(&engine, 0..3_000, 1, |_| 300);
    (0..2).for_each(|_| engine.checkpoint().unwrap());
    let live = engine.stats().unwrap().pages.live_pages;
    let alone = reader(&engine, "first").unwrap();
    assert!(alone.held_bytes / 4096 > live * 9 / 10, "{alone:?} of {live} pages");
    assert_eq!((alone.txid, alone.is_leased, alone.is_busy), (first.txid(), false, true));
    // A second one on the same state: now neither holds anything alone.
    let second = engine.snapshot_named("second").unwrap();
    put(&engine, 0..10, 2, |_| 300);
    (0..2).for_each(|_| engine.checkpoint().unwrap());
    let (one, two) = (reader(&engine, "first").unwrap(), reader(&engine, "second").unwrap());
    assert_eq!(one.held_bytes, alone.held_bytes, "the pages of the first state are not those of the second");
    assert!(two.held_bytes > 0 && two.held_bytes < 40 * 4096, "{two:?}");
    assert!(one.since <= two.since && one.txid < two.txid);
    let twin = engine.snapshot_named("twin").unwrap();
    let twin_too = engine.snapshot_named("twin too").unwrap();
    put(&engine, 0..3_000, 3, |_| 300);
    (0..2).for_each(|_| engine.checkpoint().unwrap());
    let shared = reader(&engine, "twin").unwrap();
    assert!(shared.held_bytes == 0 && shared.shared_bytes / 4096 > live * 9 / 10, "{shared:?}");
    // What goes when a reader goes is what was said.
    let held = |engine: &Engine| engine.stats().unwrap().pages.held_pages;
    let before = held(&engine);
    drop(first);
    put(&engine, 0..1, 4, |_| 300);
    (0..2).for_each(|_| engine.checkpoint().unwrap());
    let gone = before - held(&engine);
    assert!(gone.abs_diff(one.held_bytes / 4096) <= 8, "{gone} pages, told {one:?}");
    drop((second, twin, twin_too));
    assert_eq!(engine.readers(), []);
}

fn ending(after_us: u64, held_bytes_max: u64) -> Options {
    let mut options = options();
    options.long_readers = LongReaders::End { after_us, held_bytes_max };
    options
}

fn get(lease: &mut llmdb_engine::LeasedSnapshot, number: u64) -> llmdb_engine::Result<Option<Vec<u8>>> {
    lease.read(|snapshot| {
        let tree = snapshot.tree("rows").unwrap().unwrap();
        tree.get(key(number)).unwrap().map(<[u8]>::to_vec)
    })
}

#[test]
fn a_lease_that_holds_too_much_is_ended_and_nobody_else() {
    let (_, engine) = open_new(ending(u64::MAX, 400 << 10));
    put(&engine, 0..3_000, 0, |_| 300);
    let plain = engine.snapshot_named("plain").unwrap();
    let shown = contents(&plain).unwrap();
    put(&engine, 0..3_000, 1, |_| 300);
    let mut lease = engine.leased_snapshot("lease").unwrap();
    // Another lease of the same state: neither holds anything alone.
    let mut other = engine.leased_snapshot("other").unwrap();
    assert!(reader(&engine, "lease").unwrap().is_leased);
    let mut ended_in = None;
    for round in 2..40 {
        put(&engine, 0..3_000, round, |_| 300);
        engine.checkpoint().unwrap();
        match get(&mut lease, 1) {
            Ok(found) => assert_eq!(found, Some(value(1, 1, 300)), "round {round}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::SnapshotTooOld);
                assert!(error.to_string().contains(&lease.txid().to_string()), "{error}");
                ended_in = Some(round);
                break;
            }
        }
    }
    assert!(ended_in.is_some(), "{:?}", engine.readers());
    assert_eq!(get(&mut lease, 1).unwrap_err().kind(), ErrorKind::SnapshotTooOld, "and it stays ended");
    assert_eq!(get(&mut other, 1).unwrap_err().kind(), ErrorKind::SnapshotTooOld);
    assert_eq!(engine.readers().len(), 1);
    assert!(contents(&plain).unwrap() == shown, "a snapshot without a lease is never ended");
    drop(lease);
    // A lease that sees what a snapshot without one sees is let be: ending it would free nothing.
    let plain = engine.snapshot().unwrap();
    let mut lease = engine.leased_snapshot("lease").unwrap();
    for round in 50..54 {
        put(&engine, 0..3_000, round, |_| 300);
        engine.checkpoint().unwrap();
    }
    assert!(get(&mut lease, 1).is_ok());
    drop(plain);
    engine.checkpoint().unwrap();
    assert_eq!(get(&mut lease, 1).unwrap_err().kind(), ErrorKind::SnapshotTooOld);
    assert_sound(&engine);
}

#[test]
fn a_lease_is_ended_by_age_but_not_while_it_reads() {
    // The clock of the disk goes on with every look at it.
    let (_, engine) = open_new(ending(20_000, u64::MAX));
    put(&engine, 0..500, 0, |_| 300);
    let mut lease = engine.leased_snapshot("lease").unwrap();
    let rounds = |engine: &Engine, rounds: std::ops::Range<u64>| {
        rounds.for_each(|round| put(engine, 0..500, round, |_| 300));
    };
    let found = lease.read(|snapshot| {
        rounds(&engine, 1..50);
        assert!(reader(&engine, "lease").unwrap().is_busy);
        snapshot.tree("rows").unwrap().unwrap().get(key(3)).unwrap().map(<[u8]>::to_vec)
    });
    assert_eq!(found.unwrap(), Some(value(3, 0, 300)), "nobody ends a lease under a read");
    assert!(!reader(&engine, "lease").unwrap().is_busy);
    rounds(&engine, 50..100);
    assert_eq!(get(&mut lease, 3).unwrap_err().kind(), ErrorKind::SnapshotTooOld);
}

#[test]
fn by_default_nothing_is_ended() {
    let (_, engine) = open_new(options());
    assert!(matches!(Options::default().long_readers, LongReaders::Warn { .. }));
    put(&engine, 0..500, 0, |_| 300);
    let mut lease = engine.leased_snapshot("lease").unwrap();
    (1..200).for_each(|round| put(&engine, 0..100, round, |_| 300));
    assert_eq!(get(&mut lease, 3).unwrap(), Some(value(3, 0, 300)));
}

/// A reader comes and goes while leases are being ended: it sees its state, or is told.
#[test]
fn ended_under_the_eyes_of_a_reading_thread() {
    let (_, engine) = open_new(ending(0, 0));
    put(&engine, 0..300, 0, |_| 300);
    let (mut read, mut told) = (0_u64, 0_u64);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..400).for_each(|round| put(&engine, 0..300, round, |_| 300)));
        while !writer.is_finished() {
            let mut lease = engine.leased_snapshot("lease").unwrap();
            let first = get(&mut lease, 7);
            for _ in 0..20 {
                match (get(&mut lease, 7), &first) {
                    (Ok(found), Ok(first)) => {
                        assert_eq!(found, *first);
                        read += 1;
                    }
                    (Err(error), _) => {
                        assert_eq!(error.kind(), ErrorKind::SnapshotTooOld);
                        told += 1;
                        break;
                    }
                    (Ok(_), Err(_)) => panic!("an ended lease came back"),
                }
            }
        }
        writer.join().unwrap();
    });
    assert!(read > 0, "{read} reads, {told} times told");
    assert_sound(&engine);
}
