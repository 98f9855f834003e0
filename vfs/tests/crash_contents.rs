//! What a power failure leaves of the contents and the lengths of files.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex},
};

use llmdb_vfs::{
    AlignedBuf, Create, File, Open, Vfs,
    crash::{Chooser, CrashVfs, Preset},
};

const NEW: Open = Open { write: true, create: Create::New, direct: true };
const OLD: Open = Open { write: false, create: Create::Never, direct: false };

/// A disk with one durable file of `len` bytes, all 1.
fn disk(len: usize) -> (CrashVfs, Arc<dyn File>) {
    let vfs = CrashVfs::new(1);
    let file = vfs.open(Path::new("/a"), NEW).unwrap();
    llmdb_vfs::write_all_at(&*file, &vec![1; len], 0).unwrap();
    file.sync_data().unwrap();
    vfs.sync_dir(Path::new("/")).unwrap();
    assert!(vfs.is_settled());
    (vfs, file)
}

fn contents(vfs: &CrashVfs) -> Vec<u8> {
    let file = vfs.open(Path::new("/a"), OLD).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    llmdb_vfs::read_exact_at(&*file, &mut bytes, 0).unwrap();
    bytes
}

/// The first byte of each sector.
fn sectors(vfs: &CrashVfs) -> Vec<u8> {
    contents(vfs).iter().step_by(512).copied().collect()
}

fn all_states(vfs: &CrashVfs) -> BTreeSet<Vec<u8>> {
    vfs.crash_states(100_000).unwrap().map(|state| sectors(&state)).collect()
}

fn expected<const N: usize>(states: [&[u8]; N]) -> BTreeSet<Vec<u8>> {
    states.map(<[u8]>::to_vec).into()
}

fn block(byte: u8) -> AlignedBuf {
    let mut buffer = AlignedBuf::new(4096);
    buffer.fill(byte);
    buffer
}

#[test]
fn each_sector_takes_any_of_its_versions() {
    let (vfs, file) = disk(2048);
    file.write_at(&[2; 1024], 0).unwrap();
    file.write_at(&[3; 1024], 512).unwrap();
    // Sector 0: 1 or 2. Sector 1: 1, 2 or 3. Sector 2: 1 or 3. Sector 3: 1.
    assert_eq!(vfs.crash_point().state_count(), 2 * 3 * 2);
    assert_eq!(vfs.crash_states(12).unwrap().count(), 12);
    assert!(vfs.crash_states(11).is_none());
    let states = all_states(&vfs);
    assert_eq!(states.len(), 12);
    assert!(states.contains(&vec![1, 3, 1, 1]) && states.contains(&vec![2, 2, 3, 1]));
    assert_eq!(sectors(&vfs), [2, 3, 3, 1], "the process sees the newest");
}

#[test]
fn sync_leaves_one_version() {
    let (vfs, file) = disk(1024);
    file.write_at(&[2; 700], 100).unwrap();
    file.write_at(&[3; 10], 0).unwrap();
    file.sync_data().unwrap();
    assert!(vfs.is_settled());
    let mut left = vec![1; 1024];
    left[100..800].fill(2);
    left[..10].fill(3);
    assert_eq!(contents(&vfs.crash(&mut Chooser::new(5))), left);
}

#[test]
fn writing_equal_bytes_is_no_choice() {
    let (vfs, file) = disk(4096);
    file.write_at(&[1; 4096], 0).unwrap();
    assert!(vfs.is_settled());
    file.write_at(&[2; 100], 600).unwrap();
    file.write_at(&[2; 100], 600).unwrap();
    assert_eq!(vfs.crash_point().state_count(), 2);
}

#[test]
fn the_length_is_durable_with_the_file_only() {
    let (vfs, file) = disk(512);
    file.write_at(&[2; 512], 512).unwrap();
    file.allocate(0, 2048).unwrap();
    // Each of three lengths; the new sector is there or a hole.
    assert_eq!(all_states(&vfs), expected([&[1], &[1, 0], &[1, 2], &[1, 0, 0, 0], &[1, 2, 0, 0]]));
    file.sync_data().unwrap();
    assert_eq!(all_states(&vfs), expected([&[1, 2, 0, 0]]));
}

#[test]
fn a_cut_is_kept_or_undone_as_a_whole() {
    let (vfs, file) = disk(1024);
    file.set_len(512).unwrap();
    file.write_at(&[2; 512], 1024).unwrap();
    // Undone: as before. Kept: cut, and perhaps extended again, never with the old bytes behind the cut.
    assert_eq!(all_states(&vfs), expected([&[1, 1], &[1], &[1, 0, 0], &[1, 0, 2]]));
    file.sync_data().unwrap();
    assert_eq!(all_states(&vfs), expected([&[1, 0, 2]]));
}

#[test]
fn a_durable_write_forces_its_own_range_only() {
    let (vfs, file) = disk(8192);
    file.write_at(&[2; 512], 512).unwrap();
    file.write_at(&[2; 512], 4096).unwrap();
    file.write_durable_at(&block(3), 0).unwrap();
    let states = all_states(&vfs);
    assert_eq!(states.len(), 2);
    for state in states {
        assert_eq!(state[..8], [3; 8]);
        assert!([1, 2].contains(&state[8]));
    }
}

#[test]
fn a_durable_write_can_be_torn_by_a_crash_inside_it() {
    let (vfs, file) = disk(4096);
    let seen: Arc<Mutex<Vec<u64>>> = Arc::default();
    let counts = Arc::clone(&seen);
    vfs.observe(Some(Arc::new(move |vfs, op| {
        assert_eq!((op.path, op.len), (Path::new("/a"), 4096));
        counts.lock().unwrap().push(vfs.crash_point().state_count());
    })));
    file.write_durable_at(&block(2), 0).unwrap();
    assert_eq!(*seen.lock().unwrap(), [1, 256], "before the write, and in the middle of it");
    assert!(vfs.is_settled());
}

#[test]
fn writes_of_a_ring_arrive_in_any_order_and_are_durable_when_delivered() {
    let mut orders = BTreeSet::new();
    for seed in 0..48 {
        let vfs = CrashVfs::new(seed);
        let file = vfs.open(Path::new("/a"), NEW).unwrap();
        vfs.sync_dir(Path::new("/")).unwrap();
        file.allocate(0, 3 * 4096).unwrap();
        file.sync_data().unwrap();
        let mut ring = vfs.ring(3).unwrap();
        for token in 0..3 {
            ring.submit(&file, block(7), 4096, token * 4096, token).unwrap();
        }
        assert!(ring.submit(&file, block(7), 4096, 0, 9).is_err(), "the ring is full");
        file.sync_data().unwrap();
        assert_eq!(vfs.crash_point().state_count(), 1 << 24, "a sync does not wait for a ring");
        let first = ring.wait().unwrap();
        first.result.unwrap();
        let at = usize::try_from(first.token).unwrap() * 4096;
        for choice in 0..20 {
            let state = contents(&vfs.crash(&mut Chooser::new(choice)));
            assert!(state[at..at + 4096].iter().all(|byte| *byte == 7));
        }
        orders.insert([first.token, ring.wait().unwrap().token, ring.wait().unwrap().token]);
        assert!(ring.wait().is_none() && vfs.is_settled());
    }
    assert_eq!(orders.len(), 6, "every order happens");
}

#[test]
fn a_direct_write_forces_equal_bytes_that_wait_in_the_cache() {
    let (vfs, file) = disk(4096);
    file.write_at(&[2; 4096], 0).unwrap();
    file.write_durable_at(&block(2), 0).unwrap();
    assert_eq!(all_states(&vfs), expected([&[2; 8]]));
}

#[test]
fn a_ring_refuses_what_no_program_can_want() {
    let (vfs, file) = disk(8192);
    let mut ring = vfs.ring(4).unwrap();
    ring.submit(&file, block(2), 4096, 0, 0).unwrap();
    assert!(ring.submit(&file, block(2), 4096, 0, 1).is_err(), "two writes to one place under way");
    assert!(ring.submit(&file, block(2), 4096, 512, 2).is_err(), "not aligned");
    let stranger = CrashVfs::new(9).open(Path::new("/a"), NEW).unwrap();
    assert!(ring.submit(&stranger, block(2), 4096, 4096, 3).is_err(), "a file of another disk");
    assert_eq!(ring.in_flight(), 1);
}

#[test]
fn presets_choose_as_they_say() {
    let (vfs, file) = disk(4096);
    for (sector, byte) in [(0, 2), (3, 3), (5, 4), (5, 5)] {
        file.write_at(&[byte; 512], sector * 512).unwrap();
    }
    let point = vfs.crash_point();
    let state = |preset, seed| sectors(&point.crash_as(preset, &mut Chooser::new(seed)));
    assert_eq!(state(Preset::Nothing, 1), [1; 8]);
    assert_eq!(state(Preset::Everything, 1), [2, 1, 1, 3, 1, 5, 1, 1]);
    assert_eq!(state(Preset::OnlyNewest, 1), [1, 1, 1, 1, 1, 5, 1, 1]);
    let every = |preset| -> BTreeSet<_> { (0..300).map(|seed| state(preset, seed)).collect() };
    assert_eq!(every(Preset::AllButOne).len(), 4, "sector 5 has two older versions");
    let in_order = every(Preset::InOrder);
    assert!(in_order.contains(&vec![2, 1, 1, 3, 1, 1, 1, 1]));
    assert!(in_order.contains(&vec![2, 1, 1, 3, 1, 4, 1, 1]));
    assert!(!in_order.contains(&vec![1, 1, 1, 3, 1, 1, 1, 1]));
    let reverse = every(Preset::Reverse);
    assert!(reverse.contains(&vec![1, 1, 1, 3, 1, 5, 1, 1]));
    assert!(reverse.iter().all(|state| state[5] == 5));
    let one_call: [&[u8]; 4] = [
        &[2, 1, 1, 1, 1, 1, 1, 1],
        &[1, 1, 1, 3, 1, 1, 1, 1],
        &[1, 1, 1, 1, 1, 4, 1, 1],
        &[1, 1, 1, 1, 1, 5, 1, 1],
    ];
    assert_eq!(every(Preset::OnlyOneCall), expected(one_call));
    assert_eq!(every(Preset::OnlyOneFile), expected([&[2, 1, 1, 3, 1, 5, 1, 1]]));
    assert_eq!(every(Preset::Random).len(), 2 * 2 * 3);
    file.write_at(&[6; 1536], 512).unwrap();
    let last = vfs.crash_point().crash_as(Preset::LastSector, &mut Chooser::new(1));
    assert_eq!(sectors(&last), [1, 1, 1, 6, 1, 1, 1, 1]);
}

#[test]
fn one_file_may_arrive_without_the_other() {
    let (vfs, file) = disk(512);
    let other = vfs.open(Path::new("/b"), NEW).unwrap();
    other.write_at(&[1; 512], 0).unwrap();
    other.sync_data().unwrap();
    vfs.sync_dir(Path::new("/")).unwrap();
    file.write_at(&[2; 512], 0).unwrap();
    other.write_at(&[3; 512], 0).unwrap();
    let first = |vfs: &CrashVfs, path| {
        let mut byte = [0];
        vfs.open(Path::new(path), OLD).unwrap().read_at(&mut byte, 0).unwrap();
        byte[0]
    };
    let found: BTreeSet<_> = (0..50)
        .map(|seed| vfs.crash_point().crash_as(Preset::OnlyOneFile, &mut Chooser::new(seed)))
        .map(|state| (first(&state, "/a"), first(&state, "/b")))
        .collect();
    assert_eq!(found, BTreeSet::from([(2, 1), (1, 3)]));
}

#[test]
fn a_killed_process_leaves_the_page_cache_but_not_its_direct_writes() {
    let (vfs, file) = disk(8192);
    file.write_at(&[2; 512], 0).unwrap();
    let mut ring = vfs.ring(1).unwrap();
    ring.submit(&file, block(3), 4096, 4096, 0).unwrap();
    let survivors: BTreeSet<Vec<u8>> =
        (0..200).map(|seed| sectors(&vfs.process_crash(&mut Chooser::new(seed)))).collect();
    assert!(survivors.len() > 50, "each sector under way arrives or not");
    assert!(survivors.iter().all(|state| state[..8] == [2, 1, 1, 1, 1, 1, 1, 1]));
    let after = vfs.process_crash(&mut Chooser::new(1)).crash_point();
    assert_eq!(sectors(&after.crash_as(Preset::Nothing, &mut Chooser::new(1))), [1; 16]);
}

#[test]
fn the_running_disk_and_its_crash_states_do_not_touch_each_other() {
    let (vfs, file) = disk(4096);
    file.write_at(&[2; 512], 0).unwrap();
    let state = vfs.crash_point().crash_as(Preset::Everything, &mut Chooser::new(1));
    let copy = vfs.fork();
    file.write_at(&[3; 4096], 0).unwrap();
    let theirs = state.open(Path::new("/a"), Open { write: true, ..OLD }).unwrap();
    theirs.write_at(&[4; 512], 512).unwrap();
    assert_eq!(sectors(&state), [2, 4, 1, 1, 1, 1, 1, 1]);
    assert_eq!(sectors(&vfs), [3; 8]);
    assert_eq!((sectors(&copy)[0], copy.crash_point().state_count()), (2, 2));
}

#[test]
fn one_seed_makes_one_disk() {
    let run = |seed| {
        let (vfs, file) = disk(4096);
        for index in 0..20_u8 {
            file.write_at(&[index; 700], u64::from(index) * 100).unwrap();
        }
        contents(&vfs.crash(&mut Chooser::new(seed)))
    };
    assert_eq!(run(3), run(3));
    assert!((0..8).any(|seed| run(seed) != run(seed + 8)));
}
