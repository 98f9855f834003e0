//! Several processes on one crashable disk: one ends at any call, the others go on, and what they share outlives it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

use std::{
    path::Path,
    sync::{Arc, Mutex, atomic::Ordering::SeqCst},
};

use llmdb_vfs::{
    AlignedBuf, BLOCK_SIZE, Create, File, LockError, LockKind, Open, SharedArea, Vfs,
    crash::{Chooser, CrashVfs, Failure, Fault, OpKind},
    write_all_at,
};

const NEW: Open = Open { write: true, create: Create::New, direct: true };
const WRITE: Open = Open { write: true, create: Create::Never, direct: true };

fn share(disk: &CrashVfs) -> Arc<dyn SharedArea> {
    disk.share(Path::new("area")).unwrap()
}

fn contents(file: &dyn File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    llmdb_vfs::read_exact_at(file, &mut bytes, 0).unwrap();
    bytes
}

#[test]
fn a_killed_process_loses_its_locks_and_its_stores_reach_nobody() {
    let first = CrashVfs::new(1);
    let second = first.process();
    assert_eq!((first.process_number(), second.process_number()), (0, 1));
    let (ours, theirs) = (share(&first), share(&second));
    let _lock = second.lock(Path::new("lock"), LockKind::Exclusive, "the second").unwrap();
    assert!(theirs.try_lock(4).unwrap());
    theirs.words()[8].store(1, SeqCst);
    assert!(!ours.try_lock(4).unwrap());
    assert!(matches!(
        first.lock(Path::new("lock"), LockKind::Exclusive, ""),
        Err(LockError::Held { note }) if note == "the second"
    ));

    second.kill();
    second.kill();
    assert!(second.is_killed() && !first.is_killed());
    assert!(ours.try_lock(4).unwrap());
    drop(first.lock(Path::new("lock"), LockKind::Exclusive, "").unwrap());
    assert_eq!(ours.words()[8].load(SeqCst), 1, "what it stored in time stays");

    // Its code goes on, and nobody notices.
    theirs.words()[8].store(2, SeqCst);
    assert_eq!(ours.words()[8].load(SeqCst), 1);
    theirs.try_lock(5).unwrap_err();
    theirs.unlock(4).unwrap_err();
    theirs.write_tail(b"late").unwrap_err();
    assert!(second.share(Path::new("area")).is_err());
    drop(theirs);
    assert!(share(&first).is_locked_elsewhere(4).unwrap(), "the lock is ours now");
    assert_eq!(ours.read_tail().unwrap(), b"");
}

#[test]
fn a_killed_process_changes_no_file_any_more() {
    let first = CrashVfs::new(2);
    let second = first.process();
    let ours = first.open(Path::new("data"), NEW).unwrap();
    write_all_at(&*ours, &[1; 2 * BLOCK_SIZE], 0).unwrap();
    let theirs = second.open(Path::new("data"), WRITE).unwrap();
    second.kill();
    let mut block = AlignedBuf::new(BLOCK_SIZE);
    theirs.write_at(&[2; 10], 0).unwrap_err();
    theirs.write_durable_at(&block, 0).unwrap_err();
    theirs.set_len(0).unwrap_err();
    theirs.allocate(0, 1 << 20).unwrap_err();
    theirs.sync_data().unwrap_err();
    theirs.read_at(&mut [0], 0).unwrap_err();
    theirs.read_media_at(&mut block, 0).unwrap_err();
    second.open(Path::new("data"), WRITE).unwrap_err();
    second.remove_file(Path::new("data")).unwrap_err();
    second.rename(Path::new("data"), Path::new("other")).unwrap_err();
    second.sync_dir(Path::new("")).unwrap_err();
    second.ring(1).unwrap().submit(&theirs, block, BLOCK_SIZE, 0, 0).unwrap_err();
    assert_eq!(contents(&*ours), [1; 2 * BLOCK_SIZE]);
    ours.sync_data().unwrap();
    assert_eq!(second.op_count(), first.op_count());
}

/// Its writes under way arrive in part, those of the others arrive whole.
#[test]
fn writes_under_way_end_with_their_process() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let first = CrashVfs::new(seed);
        let second = first.process();
        let ours = first.open(Path::new("data"), NEW).unwrap();
        write_all_at(&*ours, &[1; 4 * BLOCK_SIZE], 0).unwrap();
        ours.sync_data().unwrap();
        let theirs = second.open(Path::new("data"), WRITE).unwrap();
        let (mut our_ring, mut their_ring) = (first.ring(2).unwrap(), second.ring(2).unwrap());
        let mut buffer = AlignedBuf::new(BLOCK_SIZE);
        buffer.fill(2);
        their_ring.submit(&theirs, buffer, BLOCK_SIZE, 0, 0).unwrap();
        let mut buffer = AlignedBuf::new(BLOCK_SIZE);
        buffer.fill(3);
        our_ring.submit(&ours, buffer, BLOCK_SIZE, 2 * BLOCK_SIZE as u64, 1).unwrap();
        second.kill();
        their_ring.wait().unwrap().result.unwrap_err();
        our_ring.wait().unwrap().result.unwrap();
        let found = contents(&*ours);
        assert!(found[..BLOCK_SIZE].iter().all(|byte| matches!(byte, 1 | 2)));
        assert_eq!(found[2 * BLOCK_SIZE..3 * BLOCK_SIZE], [3; BLOCK_SIZE]);
        seen.insert(found[..BLOCK_SIZE].to_vec());
    }
    assert!(seen.len() > 10, "{} ways for the writes to arrive", seen.len());
}

#[test]
fn a_process_can_be_killed_in_the_middle_of_a_call() {
    let mut arrived = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let first = CrashVfs::new(seed);
        let second = first.process();
        let ours = first.open(Path::new("data"), NEW).unwrap();
        let theirs = second.open(Path::new("data"), WRITE).unwrap();
        let area = share(&second);
        area.write_tail(&[1; 100]).unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&calls);
        first.observe(Some(Arc::new(move |disk, op| {
            told.lock().unwrap().push((op.process, op.kind));
            if op.process == 1 && op.kind == OpKind::Write {
                disk.kill();
            }
        })));
        area.step();
        write_all_at(&*ours, b"ours", 0).unwrap();
        if seed % 2 == 0 {
            theirs.write_at(&[5; 1000], 100).unwrap_err();
            arrived.insert(contents(&*ours).len());
        } else {
            area.write_tail(&[2; 100]).unwrap_err();
            let tail = share(&first).read_tail().unwrap();
            assert!(
                tail.len() == 100 && tail.is_sorted_by(|one, next| one >= next),
                "new first, then old: {tail:?}"
            );
            arrived.insert(tail.iter().filter(|byte| **byte == 2).count());
        }
        assert!(second.is_killed());
        area.step();
        let calls = calls.lock().unwrap();
        assert_eq!(calls[..3], [(1, OpKind::Area), (0, OpKind::Write), (1, OpKind::Write)]);
        assert!(calls[3..].iter().all(|(process, _)| *process == 0), "the dead make no calls");
    }
    assert!(arrived.len() > 10, "{arrived:?}");
}

#[test]
fn a_planned_failure_can_be_death() {
    let first = CrashVfs::new(3);
    let second = first.process();
    let file = second.open(Path::new("data"), NEW).unwrap();
    second.plan(Fault { kind: OpKind::Sync, after_count: 1, fail_count: 1, failure: Failure::Killed });
    file.sync_data().unwrap();
    file.sync_data().unwrap_err();
    assert!(second.is_killed() && !first.is_killed());
    first.open(Path::new("data"), WRITE).unwrap().sync_data().unwrap();
}

#[test]
fn an_area_outlives_all_processes_and_a_crash_leaves_any_part_of_it() {
    let disk = CrashVfs::new(4);
    let area = share(&disk);
    disk.sync_dir(Path::new("")).unwrap();
    area.words()[0].store(1, SeqCst);
    area.words()[4096].store(2, SeqCst);
    area.write_tail(b"tail").unwrap();
    assert!(area.try_lock(1).unwrap());
    let point = disk.crash_point();
    let next = disk.process_crash(&mut Chooser::new(1));
    // The running disk goes on, which the others do not see.
    area.words()[0].store(9, SeqCst);

    let found = share(&next);
    assert_eq!((found.words()[0].load(SeqCst), found.words()[4096].load(SeqCst)), (1, 2));
    assert_eq!(found.read_tail().unwrap(), b"tail");
    assert!(found.try_lock(1).unwrap(), "its holder is gone");

    let mut ways = std::collections::BTreeSet::new();
    let mut chooser = Chooser::new(5);
    for _ in 0..60 {
        let found = share(&point.crash(&mut chooser));
        let words = [0, 4096].map(|index: usize| found.words()[index].load(SeqCst));
        assert!(matches!(words, [0 | 1, 0 | 2]));
        assert!(!found.is_locked_elsewhere(1).unwrap());
        ways.insert((words, found.read_tail().unwrap()));
    }
    assert_eq!(ways.len(), 8, "each of the three is lost or kept for itself: {ways:?}");
    assert_eq!(area.words()[0].load(SeqCst), 9);
}

#[test]
fn virtual_time_passes_while_somebody_waits() {
    let disk = CrashVfs::new(6);
    let area = share(&disk);
    let before = disk.monotonic_us();
    area.wait(3, 0, 5_000_000);
    assert!((5_000_000..5_001_000).contains(&(disk.monotonic_us() - before)));
    area.words()[3].store(1, SeqCst);
    let before = disk.monotonic_us();
    area.wait(3, 0, 5_000_000);
    assert!(disk.monotonic_us() - before < 1000);

    let other = disk.process();
    let theirs = share(&other);
    other.kill();
    let before = (disk.monotonic_us(), other.monotonic_us());
    assert!(before.1 - before.0 > 1_000_000_000_000, "whatever the dead wait for comes to an end");
    theirs.wait(4, 0, 5_000_000);
    assert!(disk.monotonic_us() - before.0 < 1000);
}
