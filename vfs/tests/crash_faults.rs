//! Calls that fail, disks that are full, disks that lie, and bytes that rot.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    path::Path,
    sync::{Arc, Mutex},
};

use llmdb_vfs::{
    AlignedBuf, Create, File, Open, Vfs,
    crash::{Chooser, CrashVfs, Failure, Fault, OpKind, Preset},
};

const MAKE: Open = Open { write: true, create: Create::IfMissing, direct: true };

fn disk(seed: u64) -> (CrashVfs, Arc<dyn File>) {
    let vfs = CrashVfs::new(seed);
    let file = vfs.open(Path::new("/a"), MAKE).unwrap();
    file.write_at(&[1; 4096], 0).unwrap();
    file.sync_data().unwrap();
    vfs.sync_dir(Path::new("/")).unwrap();
    (vfs, file)
}

fn sectors(file: &dyn File) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    llmdb_vfs::read_exact_at(file, &mut bytes, 0).unwrap();
    bytes.iter().step_by(512).copied().collect()
}

fn media(file: &dyn File) -> Vec<u8> {
    let mut bytes = AlignedBuf::new(4096);
    file.read_media_at(&mut bytes, 0).unwrap();
    bytes.iter().step_by(512).copied().collect()
}

fn fault(kind: OpKind, after_count: u64, fail_count: u64, failure: Failure) -> Fault {
    Fault { kind, after_count, fail_count, failure }
}

fn block(byte: u8) -> AlignedBuf {
    let mut buffer = AlignedBuf::new(4096);
    buffer.fill(byte);
    buffer
}

#[test]
fn a_failed_sync_keeps_the_bytes_visible_and_forgets_to_write_them() {
    let mut left = BTreeSet::new();
    for seed in 0..40 {
        let (vfs, file) = disk(seed);
        file.write_at(&[2; 2048], 0).unwrap();
        vfs.plan(fault(OpKind::Sync, 0, 1, Failure::Io));
        file.sync_data().unwrap_err();
        file.sync_data().expect("the second sync finds nothing to do");
        assert!(vfs.is_settled());
        assert_eq!(sectors(&*file), [2, 2, 2, 2, 1, 1, 1, 1]);
        let kept = media(&*file);
        let after = vfs.crash(&mut Chooser::new(1));
        assert_eq!(sectors(&*after.open(Path::new("/a"), MAKE).unwrap()), kept);
        vfs.drop_cache();
        assert_eq!(sectors(&*file), kept);
        // Written again, the same bytes are on their way again.
        file.write_at(&[2; 2048], 0).unwrap();
        file.sync_data().unwrap();
        assert_eq!(media(&*file), [2, 2, 2, 2, 1, 1, 1, 1]);
        left.insert(kept);
    }
    assert!(left.len() > 8, "any subset of the sectors may have arrived");
}

#[test]
fn a_failed_direct_write_leaves_some_of_its_sectors() {
    for seed in 0..20 {
        let (vfs, file) = disk(seed);
        vfs.plan(fault(OpKind::Arrival, 0, 1, Failure::Io));
        file.write_durable_at(&block(2), 0).unwrap_err();
        assert!(vfs.is_settled());
        assert!(media(&*file).iter().all(|byte| [1, 2].contains(byte)));
        file.write_durable_at(&block(3), 0).unwrap();
        assert_eq!(media(&*file), [3; 8]);
        let mut ring = vfs.ring(2).unwrap();
        vfs.plan(fault(OpKind::Completion, 0, 1, Failure::Io));
        ring.submit(&file, block(4), 4096, 0, 1).unwrap();
        ring.submit(&file, block(5), 4096, 4096, 2).unwrap();
        let results = [ring.wait().unwrap().result.is_ok(), ring.wait().unwrap().result.is_ok()];
        assert_eq!(results, [false, true]);
    }
}

#[test]
fn the_planned_call_fails_and_no_other() {
    let (vfs, file) = disk(1);
    vfs.plan(fault(OpKind::Write, 2, 1, Failure::Io));
    vfs.plan(fault(OpKind::Read, 0, 2, Failure::Interrupted));
    let writes: Vec<bool> = (0..4).map(|_| file.write_at(&[9; 16], 0).is_ok()).collect();
    assert_eq!(writes, [true, true, false, true]);
    assert_eq!(file.read_at(&mut [0; 8], 0).unwrap_err().kind(), ErrorKind::Interrupted);
    assert_eq!(sectors(&*file)[0], 9, "reading goes on after an interruption");
    assert_eq!((vfs.failed_count(), vfs.call_count(OpKind::Write)), (3, 5));
    vfs.plan(fault(OpKind::Open, 0, 1, Failure::NoSpace));
    assert_eq!(vfs.open(Path::new("/b"), MAKE).unwrap_err().kind(), ErrorKind::StorageFull);
    assert!(!vfs.exists(Path::new("/b")).unwrap());
    vfs.plan(fault(OpKind::Rename, 0, 1, Failure::Io));
    vfs.rename(Path::new("/a"), Path::new("/c")).unwrap_err();
    vfs.plan(fault(OpKind::Sync, 0, 1, Failure::Io));
    vfs.clear_faults();
    file.sync_data().unwrap();
}

#[test]
fn short_reads_and_writes_are_gone_on_with() {
    let (vfs, file) = disk(1);
    vfs.plan(fault(OpKind::Write, 0, 3, Failure::Short));
    vfs.plan(fault(OpKind::Read, 0, 3, Failure::Short));
    llmdb_vfs::write_all_at(&*file, &[2; 3000], 0).unwrap();
    let mut bytes = [0; 3000];
    llmdb_vfs::read_exact_at(&*file, &mut bytes, 0).unwrap();
    assert_eq!(bytes, [2; 3000]);
}

#[test]
fn a_full_disk_takes_what_fits() {
    let (vfs, file) = disk(1);
    vfs.set_capacity(Some(3 * 4096));
    assert_eq!(file.write_at(&[2; 4 * 4096], 0).unwrap(), 3 * 4096);
    assert_eq!(file.write_at(&[2; 1], 3 * 4096).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.allocate(0, 4 * 4096).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 3 * 4096, "what failed did not grow the file");
    file.write_at(&[3; 4096], 4096).expect("space that is taken can be written again");
    assert_eq!(file.write_durable_at(&block(1), 3 * 4096).unwrap_err().kind(), ErrorKind::StorageFull);
    file.set_len(4096).unwrap();
    assert_eq!(vfs.used_bytes(), 4096);
    file.allocate(0, 3 * 4096).unwrap();
}

#[test]
fn a_lying_disk_forces_nothing() {
    let (vfs, file) = disk(1);
    vfs.set_sync_lies(true);
    file.write_at(&[2; 512], 0).unwrap();
    file.sync_data().unwrap();
    file.write_durable_at(&block(3), 0).unwrap();
    let lost = vfs.crash_point().crash_as(Preset::Nothing, &mut Chooser::new(1));
    assert_eq!(sectors(&*lost.open(Path::new("/a"), MAKE).unwrap()), [1; 8]);
    assert_eq!(sectors(&*file), [3; 8]);
}

#[test]
fn damage_is_on_the_media() {
    let (vfs, file) = disk(1);
    vfs.flip_bit(Path::new("/a"), 512, 1).unwrap();
    vfs.overwrite(Path::new("/a"), 1024, &[9; 512]).unwrap();
    assert_eq!(sectors(&*file), [1, 3, 9, 1, 1, 1, 1, 1]);
    assert_eq!(media(&*file), sectors(&*file));
    assert!(vfs.is_settled());
    assert!(vfs.flip_bit(Path::new("/a"), 4096, 0).is_err());
    assert!(vfs.flip_bit(Path::new("/b"), 0, 0).is_err());
}

#[test]
fn the_observer_hears_of_every_change_before_it_happens() {
    let vfs = CrashVfs::new(1);
    let heard: Arc<Mutex<Vec<(u64, OpKind)>>> = Arc::default();
    let ears = Arc::clone(&heard);
    vfs.observe(Some(Arc::new(move |_, op| ears.lock().unwrap().push((op.index, op.kind)))));
    let file = vfs.open(Path::new("/a"), MAKE).unwrap();
    let mut ring = vfs.ring(1).unwrap();
    file.write_at(&[1; 10], 0).unwrap();
    file.sync_data().unwrap();
    file.read_at(&mut [0; 10], 0).unwrap();
    ring.submit(&file, block(1), 4096, 0, 0).unwrap();
    ring.wait().unwrap();
    file.allocate(0, 8192).unwrap();
    file.set_len(4096).unwrap();
    vfs.rename(Path::new("/a"), Path::new("/b")).unwrap();
    vfs.create_dir(Path::new("/d")).unwrap();
    vfs.sync_dir(Path::new("/")).unwrap();
    vfs.remove_dir(Path::new("/d")).unwrap();
    let kinds = [
        OpKind::Open,
        OpKind::Write,
        OpKind::Sync,
        OpKind::Submit,
        OpKind::Completion,
        OpKind::Allocate,
        OpKind::SetLen,
        OpKind::Rename,
        OpKind::CreateDir,
        OpKind::SyncDir,
        OpKind::Remove,
    ];
    let expected: Vec<_> = (0..).zip(kinds).collect();
    assert_eq!(*heard.lock().unwrap(), expected);
    assert_eq!(vfs.op_count(), 11);
}

#[test]
fn time_is_virtual() {
    let vfs = CrashVfs::new(1);
    let (start, wall) = (vfs.monotonic_us(), vfs.now());
    vfs.advance_us(5_000_000);
    assert!(vfs.monotonic_us() >= start + 5_000_000 && vfs.now().get() >= wall.get() + 5_000_000);
    assert_eq!(CrashVfs::new(4).random_u64(), CrashVfs::new(4).random_u64());
}

#[test]
fn a_mapping_is_lost_with_the_process() {
    let (vfs, file) = disk(1);
    let mapping = vfs.map(Some(Arc::clone(&file))).unwrap();
    mapping.load(0, 4096).unwrap();
    assert!(!mapping.is_private_file());
    assert_eq!(mapping.load(4096, 4096).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert!(vfs.is_settled());
}

/// Pages 0 to 3 hold 1 to 4.
fn four_pages(seed: u64) -> (CrashVfs, Arc<dyn File>) {
    let (vfs, file) = disk(seed);
    for page in 1..4 {
        file.write_at(&[page + 1; 4096], u64::from(page) * 4096).unwrap();
    }
    file.sync_data().unwrap();
    (vfs, file)
}

fn media_pages(file: &dyn File) -> Vec<u8> {
    let mut bytes = AlignedBuf::new(4 * 4096);
    file.read_media_at(&mut bytes, 0).unwrap();
    bytes.iter().step_by(4096).copied().collect()
}

#[test]
fn a_lost_write_is_seen_and_never_arrives() {
    for seed in 0..10 {
        let (vfs, file) = four_pages(seed);
        vfs.plan(fault(OpKind::Write, 0, 1, Failure::Lost));
        file.write_at(&[9; 4096], 4096).unwrap();
        let mut byte = [0];
        file.read_at(&mut byte, 4096).unwrap();
        assert_eq!(byte, [9], "the page cache has it");
        file.sync_data().unwrap();
        assert_eq!(media_pages(&*file), [1, 2, 3, 4]);
        vfs.plan(fault(OpKind::Arrival, 0, 1, Failure::Lost));
        file.write_durable_at(&block(9), 8192).unwrap();
        vfs.drop_cache();
        assert_eq!(media_pages(&*file), [1, 2, 3, 4]);
        assert!(vfs.is_settled());
        file.write_durable_at(&block(9), 8192).unwrap();
        assert_eq!(media_pages(&*file), [1, 2, 9, 4]);
    }
}

#[test]
fn a_lost_sync_forces_a_part_and_says_nothing() {
    let (vfs, file) = four_pages(3);
    for page in 0..4 {
        file.write_at(&[9; 4096], page * 4096).unwrap();
    }
    vfs.plan(fault(OpKind::Sync, 0, 1, Failure::Lost));
    file.sync_data().unwrap();
    assert!(vfs.is_settled());
    let mut bytes = AlignedBuf::new(4 * 4096);
    file.read_media_at(&mut bytes, 0).unwrap();
    let arrived = bytes.iter().step_by(512).filter(|byte| **byte == 9).count();
    assert!((1..32).contains(&arrived), "{arrived} sectors");
}

#[test]
fn a_misdirected_write_lands_on_one_other_page() {
    let mut places = BTreeSet::new();
    for seed in 0..40 {
        for direct in [false, true] {
            let (vfs, file) = four_pages(seed);
            if direct {
                vfs.plan(fault(OpKind::Arrival, 0, 1, Failure::Misdirected));
                file.write_durable_at(&block(9), 4096).unwrap();
            } else {
                vfs.plan(fault(OpKind::Write, 0, 1, Failure::Misdirected));
                file.write_at(&[9; 4096], 4096).unwrap();
                file.sync_data().unwrap();
            }
            let found = media_pages(&*file);
            let hit: Vec<usize> = (0..4).filter(|page| found[*page] == 9).collect();
            assert_eq!(hit.len(), 1, "{found:?}");
            assert!((0..4).filter(|page| *page != hit[0]).all(|page| usize::from(found[page]) == page + 1));
            places.insert(hit[0]);
        }
    }
    assert_eq!(places.len(), 4, "any place will do, by chance also the right one");
}

#[test]
fn a_misdirected_read_shows_another_page_once() {
    let mut wrong = 0;
    for seed in 0..20 {
        let (vfs, file) = four_pages(seed);
        vfs.plan(fault(OpKind::Read, 0, 1, Failure::Misdirected));
        let once = media_pages(&*file);
        let changed = (0..4).filter(|page| usize::from(once[*page]) != page + 1).count();
        assert!(changed <= 1, "{once:?}");
        wrong += changed;
        assert_eq!(media_pages(&*file), [1, 2, 3, 4]);
        vfs.plan(fault(OpKind::Read, 0, 1, Failure::Misdirected));
        let mut bytes = [0; 10];
        assert_eq!(file.read_at(&mut bytes, 4090).unwrap(), 10, "off the blocks, and across two of them");
    }
    assert!(wrong > 5);
}

#[test]
fn a_ring_goes_on_by_itself_when_the_kernel_asks_for_patience() {
    for failure in [Failure::Short, Failure::Interrupted, Failure::Again] {
        for kind in [OpKind::Submit, OpKind::Completion] {
            let (vfs, file) = four_pages(1);
            let mut ring = vfs.ring(2).unwrap();
            vfs.plan(fault(kind, 0, 2, failure));
            let mut buffer = AlignedBuf::new(2 * 4096);
            buffer.fill(9);
            ring.submit(&file, buffer, 2 * 4096, 4096, 7).unwrap();
            ring.submit(&file, block(8), 4096, 0, 8).unwrap();
            for _ in 0..2 {
                ring.wait().unwrap().result.unwrap();
            }
            assert_eq!(media_pages(&*file), [8, 9, 9, 4], "{failure:?} of {kind:?}");
            assert!(vfs.is_settled());
        }
        let (vfs, file) = four_pages(1);
        vfs.plan(fault(OpKind::Arrival, 0, 1, failure));
        file.write_durable_at(&block(9), 0).unwrap();
        assert_eq!(media_pages(&*file), [9, 2, 3, 4]);
    }
}

#[test]
fn errors_name_the_file() {
    let (vfs, file) = disk(1);
    for kind in [OpKind::Read, OpKind::Write, OpKind::Sync, OpKind::Allocate, OpKind::SetLen, OpKind::Len] {
        vfs.plan(fault(kind, 0, 1, Failure::Io));
        let error = match kind {
            OpKind::Read => file.read_at(&mut [0], 0).unwrap_err(),
            OpKind::Write => file.write_at(&[0], 0).unwrap_err(),
            OpKind::Sync => file.sync_data().unwrap_err(),
            OpKind::Allocate => file.allocate(0, 1).unwrap_err(),
            OpKind::SetLen => file.set_len(1).unwrap_err(),
            _ => file.len().unwrap_err(),
        };
        assert_eq!(error.to_string(), "/a: planned device error");
    }
    vfs.plan(fault(OpKind::List, 0, 2, Failure::Again));
    assert_eq!(vfs.exists(Path::new("/b")).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(vfs.list_dir(Path::new("/")).unwrap_err().kind(), ErrorKind::WouldBlock);
    vfs.plan(fault(OpKind::Prepare, 0, 2, Failure::Io));
    vfs.ring(1).unwrap_err();
    vfs.map(None).unwrap_err();
}
