//! Damaged files: every answer is the right one or names the damaged page; nothing panics.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::common::{Directory, Model, NODE_SLOTS, RUN_SLOTS, Rng, disk::Disk, value};
use llmdb_base::{
    ChildRef, Corruption, PageErrorKind, PageResult, Pgno, ReadPages, RunRef, StoreId, WritePages, checksum,
};
use llmdb_pager::{Access, OpenError, Pager, PagerOptions, Pick, SlotState, Visible};

const OPTIONS: PagerOptions = PagerOptions { private_bytes_max: 256 << 20, reserve_pages: 16 };

/// A store with nodes, short and long values, closed after two checkpoints.
fn store() -> (Disk, Model) {
    let disk = Disk::default();
    let pager = Pager::create(&disk, disk.file(), StoreId::new(3), OPTIONS).unwrap();
    let mut model = Model::default();
    let mut directory = Directory::decode(&pager.tip().roots);
    for round in 0..2 {
        let mut txn = pager.begin_write();
        for slot in 0..NODE_SLOTS {
            directory.put(&mut txn, slot, round).unwrap();
            model.nodes.insert(slot, round);
        }
        for (slot, len) in [(0, 10), (1, 4096 * 3), (2, 65_536), (3, 65_537), (4, 70_000), (5, 300_001)] {
            directory.put_run(&mut txn, slot, len, round).unwrap();
            model.runs.insert(slot, (len, round));
        }
        pager.publish(&txn.commit(directory.state(round + 1)));
        pager.begin_checkpoint().unwrap().finish().unwrap();
    }
    (disk, model)
}

fn open(disk: &Disk, access: Access, pick: Pick) -> Result<Arc<Pager>, OpenError> {
    Pager::open(disk, disk.file(), OPTIONS, access, pick)
}

fn corruption<T>(result: PageResult<T>) -> Corruption {
    match result.map_err(llmdb_base::PageError::into_kind) {
        Err(PageErrorKind::Corruption(corruption)) => corruption,
        Err(other) => panic!("expected corruption, not {other:?}"),
        Ok(_) => panic!("expected corruption"),
    }
}

/// Reads everything; collects what is damaged. Values that come back must be right.
fn read_all(pager: &Arc<Pager>, model: &Model) -> Vec<Corruption> {
    let guard = pager.begin_read(Visible::Published);
    let directory = Directory::decode(&guard.root().roots);
    let mut damage = Vec::new();
    let mut note = |result: PageResult<bool>| match result {
        Ok(right) => assert!(right, "a wrong answer"),
        Err(error) => match error.into_kind() {
            PageErrorKind::Corruption(corruption) => damage.push(corruption),
            other => panic!("{other:?}"),
        },
    };
    for slot in 0..NODE_SLOTS {
        note(directory.node(&guard, slot).and_then(|node| guard.page(node)).map(|_| true));
        note(directory.node(&guard, slot).and_then(|node| guard.verify_page(node)).map(|()| true));
    }
    for slot in 0..RUN_SLOTS {
        let Some((len, seed)) = model.runs.get(&slot) else { continue };
        let expected = value(*len, *seed);
        let run = |read: &dyn Fn(RunRef) -> PageResult<bool>| {
            directory.run(&guard, slot).and_then(|run| read(run.expect("it was stored")))
        };
        let last = *len - 1;
        note(run(&|run| Ok(guard.run_part(&run, last, 1)?[0] == expected[usize::try_from(last).unwrap()])));
        note(run(&|run| Ok(guard.run(&run)? == expected)));
        note(run(&|run| guard.verify_run(&run).map(|()| true)));
    }
    damage
}

#[test]
fn every_flipped_bit_is_found_or_harmless() {
    let (disk, model) = store();
    let intact = open(&disk, Access::ReadOnly, Pick::Newest).unwrap();
    assert_eq!(read_all(&intact, &model), []);
    let map = open(&disk, Access::ReadWrite, Pick::Newest).unwrap().own_pages();
    let live: Vec<u64> =
        intact.live_ranges().flat_map(|(first, count)| first.get()..first.get() + count).collect();
    drop(intact);
    let mut rng = Rng::new(1);
    for pgno in live.into_iter().filter(|pgno| ![0, 1, 16, 17].contains(pgno)) {
        for offset in [0, 4, 8, 100, 4095, rng.below(4096)] {
            let (at, mask) = (pgno * 4096 + offset, 1 << rng.below(8));
            disk.damage(at, mask);
            match open(&disk, Access::ReadWrite, Pick::Newest) {
                Ok(pager) => {
                    assert!(!map.contains(&Pgno::new(pgno)), "a flip in the map went unnoticed");
                    let damage = read_all(&pager, &model);
                    // The slack behind a value may rot unnoticed, the newest map and every node may not.
                    let first = damage.iter().map(|damage| damage.pgno.get()).min();
                    assert!(first.is_none_or(|first| first <= pgno), "{damage:?} for a flip in pg{pgno}");
                }
                Err(OpenError::Corruption(damage)) => assert_eq!(damage.pgno.get(), pgno),
                Err(other) => panic!("{other}"),
            }
            disk.damage(at, mask);
        }
    }
}

#[test]
fn every_flip_in_a_node_or_a_value_is_found() {
    let (disk, model) = store();
    let pager = open(&disk, Access::ReadOnly, Pick::Newest).unwrap();
    let guard = pager.begin_read(Visible::Published);
    let directory = Directory::decode(&guard.root().roots);
    let mut places: Vec<(u64, u64)> =
        (0..NODE_SLOTS).map(|slot| (directory.node(&guard, slot).unwrap().pgno().offset(), 4096)).collect();
    places.push((directory.0.pgno().offset(), 4096));
    places.extend((0..6).map(|slot| directory.run(&guard, slot).unwrap().unwrap()).map(|run| {
        let table = if run.len > 65_536 {
            run.len.next_multiple_of(4) - run.len + run.len.div_ceil(4096) * 4
        } else {
            0
        };
        (run.first.offset(), run.len + table)
    }));
    drop((guard, pager));
    let mut rng = Rng::new(2);
    for (start, len) in places {
        for _ in 0..12 {
            let at = start + rng.below(len);
            disk.damage(at, 0x40);
            let pager = open(&disk, Access::ReadOnly, Pick::Newest).unwrap();
            let damage = read_all(&pager, &model);
            // Between a long value and its table lie up to three bytes that nobody reads.
            let bytes = disk.bytes();
            let padding = len > 65_536 && bytes[usize::try_from(at).unwrap()] == 0x40;
            assert!(!damage.is_empty() || padding, "a flip at {at} went unnoticed");
            disk.damage(at, 0x40);
        }
    }
}

#[test]
fn a_value_with_a_table_that_belongs_to_other_bytes_is_found() {
    let (disk, model) = store();
    let pager = open(&disk, Access::ReadOnly, Pick::Newest).unwrap();
    let guard = pager.begin_read(Visible::Published);
    let run = Directory::decode(&guard.root().roots).run(&guard, 4).unwrap().unwrap();
    drop((guard, pager));
    // As if the run had been written whole, by somebody else: another byte, and its checksum in the table.
    disk.damage(run.first.offset(), 1);
    let start = usize::try_from(run.first.offset()).unwrap();
    let page = &disk.bytes()[start..start + 4096];
    let checksum = checksum::crc32c(checksum::page_seed(StoreId::new(3), run.first), page);
    let table = run.first.offset() + run.len.next_multiple_of(4);
    llmdb_vfs::write_all_at(&*disk.file(), &checksum.to_le_bytes(), table).unwrap();
    let pager = open(&disk, Access::ReadOnly, Pick::Newest).unwrap();
    let damage = read_all(&pager, &model);
    assert_eq!(damage.len(), 3, "one for every way of reading: {damage:?}");
    assert!(damage.iter().all(|damage| damage.pgno == run.first));
}

#[test]
fn a_damaged_map_is_no_obstacle_to_reading_and_can_be_rebuilt() {
    let (disk, model) = store();
    let pager = open(&disk, Access::ReadWrite, Pick::Newest).unwrap();
    let map = *pager.own_pages().last().unwrap();
    let live: Vec<_> = pager.live_ranges().collect();
    drop(pager);
    disk.damage(map.offset() + 1000, 1);
    assert!(matches!(
        open(&disk, Access::ReadWrite, Pick::Newest),
        Err(OpenError::Corruption(damage)) if damage.pgno == map
    ));
    let reading = open(&disk, Access::ReadOnly, Pick::Newest).unwrap();
    assert_eq!(reading.map_damage().unwrap().pgno, map);
    assert_eq!(read_all(&reading, &model), []);
    drop(reading);

    let pager = open(&disk, Access::Rebuild, Pick::Newest).unwrap();
    let guard = pager.begin_read(Visible::Published);
    let used = Directory::decode(&guard.root().roots).check(&guard, &model);
    drop(guard);
    let twice = [(Pgno::new(20), 2), (Pgno::new(21), 1)];
    corruption(pager.rebuild_map(twice));
    corruption(pager.rebuild_map([(Pgno::new(20), 1 << 50)]));
    corruption(pager.rebuild_map([(Pgno::new(10), 10)]));
    pager.rebuild_map(used.iter().map(|pgno| (Pgno::new(*pgno), 1))).unwrap();
    let held = pager.stats().held_pages;
    assert!(held > 0, "the older generation is protected");
    pager.begin_checkpoint().unwrap().finish().unwrap();
    drop(pager);
    let pager = open(&disk, Access::ReadWrite, Pick::Newest).unwrap();
    let guard = pager.begin_read(Visible::Published);
    Directory::decode(&guard.root().roots).check(&guard, &model);
    let now: u64 = pager.live_ranges().map(|(_, count)| count).sum();
    assert_eq!(now, live.iter().map(|(_, count)| count).sum::<u64>());
}

#[test]
fn meta_pages_may_rot_one_by_one() {
    let (disk, model) = store();
    let metas = [0, 1, 16, 17];
    for (index, pgno) in metas.into_iter().enumerate() {
        disk.damage(pgno * 4096 + 200, 1);
        let pager = open(&disk, Access::ReadWrite, Pick::Newest).unwrap();
        assert!(matches!(pager.meta_report().slots[index].state, SlotState::Damaged { .. }));
        assert_eq!(pager.meta_report().damaged().count(), 1);
        assert_eq!(read_all(&pager, &model), []);
        pager.repair_meta().unwrap();
        drop(pager);
        let pager = open(&disk, Access::ReadWrite, Pick::Newest).unwrap();
        assert_eq!(pager.meta_report().damaged().count(), 0);
    }
    for pgno in metas {
        disk.damage(pgno * 4096 + 200, 1);
    }
    let report = match open(&disk, Access::ReadWrite, Pick::Newest) {
        Err(OpenError::NoValidMeta(report)) => report,
        other => panic!("{other:?}"),
    };
    assert_eq!(report.damaged().count(), 4);
}

#[test]
fn files_that_are_no_stores_are_refused_in_words() {
    let empty = Disk::default();
    assert!(matches!(open(&empty, Access::ReadOnly, Pick::Newest), Err(OpenError::NotADatabase)));
    llmdb_vfs::write_all_at(&*empty.file(), &[7; 90_000], 0).unwrap();
    assert!(matches!(open(&empty, Access::ReadOnly, Pick::Newest), Err(OpenError::NotADatabase)));

    let (disk, _) = store();
    let len = disk.len_now();
    disk.file().set_len(20 * 4096).unwrap();
    let cut = open(&disk, Access::ReadWrite, Pick::Newest).unwrap_err();
    assert!(matches!(cut, OpenError::Truncated { file_bytes: 81_920, .. }), "{cut}, was {len}");
}

#[test]
fn references_to_anywhere_are_errors() {
    let (disk, _) = store();
    let pager = open(&disk, Access::ReadWrite, Pick::Newest).unwrap();
    let guard = pager.begin_read(Visible::Published);
    let directory = Directory::decode(&guard.root().roots);
    let node = directory.node(&guard, 0).unwrap();
    let run = directory.run(&guard, 5).unwrap().unwrap();
    let other_birth = llmdb_base::Epoch::new(0x55_5555);
    let mut txn = pager.begin_write();
    let map = pager.live_ranges().flat_map(|(first, count)| (0..count).map(move |index| first.plus(index)));
    let map: Vec<Pgno> = map.collect();
    let bad = [
        ChildRef::NONE,
        ChildRef::new(Pgno::new(1), other_birth),
        ChildRef::new(Pgno::new(16), txn.epoch()),
        ChildRef::new(Pgno::new(1 << 39), other_birth),
        ChildRef::new(node.pgno(), other_birth),
        ChildRef::new(run.first, run.birth),
    ];
    for child in bad {
        corruption(guard.page(child));
        corruption(txn.page(child));
        corruption(txn.own(child));
        corruption(txn.free(child));
        corruption(txn.page_mut(child).map(|_| ()));
    }
    // A page that is there and was not allocated by this transaction, whatever its birth is said to be.
    corruption(txn.page_mut(node).map(|_| ()));
    for pgno in map {
        corruption(txn.page_mut(ChildRef::new(pgno, txn.epoch())).map(|_| ()));
    }
    for run in [
        RunRef { first: Pgno::new(0), ..run },
        RunRef { first: Pgno::new(1 << 39), ..run },
        RunRef { len: 0, ..run },
        RunRef { len: u64::MAX, ..run },
        RunRef { first: run.first.plus(1), ..run },
    ] {
        corruption(guard.run(&run));
    }
    corruption(txn.free_run(&RunRef { first: Pgno::new(0), ..run }));
    corruption(txn.free_run(&RunRef { birth: txn.epoch(), ..run }));
    corruption(txn.free_run(&RunRef { len: 1 << 30, ..run }));
    // None of this has changed anything.
    let stats = pager.stats();
    txn.abort();
    assert_eq!(pager.stats().live_pages, stats.live_pages);
}

#[test]
fn what_is_freed_twice_is_damage() {
    let (disk, _) = store();
    let pager = open(&disk, Access::ReadWrite, Pick::Newest).unwrap();
    let mut txn = pager.begin_write();
    let directory = Directory::decode(&txn.root().roots);
    let (node, run) = (directory.node(&txn, 0).unwrap(), directory.run(&txn, 5).unwrap().unwrap());
    txn.free(node).unwrap();
    txn.free_run(&run).unwrap();
    let before = pager.stats();
    assert_eq!(corruption(txn.free(node)).pgno, node.pgno());
    corruption(txn.own(node));
    assert_eq!(corruption(txn.free_run(&run)).pgno, run.first);
    assert_eq!(pager.stats(), before);
    let fresh = txn.allocate(llmdb_base::header::PageKind::Leaf, 0, llmdb_base::TreeId::new(1)).unwrap();
    txn.free(fresh).unwrap();
    corruption(txn.free(fresh));
    corruption(txn.page_mut(fresh).map(|_| ()));
}

#[test]
fn a_failed_sync_poisons_and_harms_nobody() {
    let (disk, model) = store();
    let pager = open(&disk, Access::ReadWrite, Pick::Newest).unwrap();
    let mut directory = Directory::decode(&pager.tip().roots);
    let mut txn = pager.begin_write();
    directory.put(&mut txn, 0, 99).unwrap();
    pager.publish(&txn.commit(directory.state(3)));
    disk.fail_syncs(true);
    let durable = pager.durable();
    let mut checkpoint = pager.begin_checkpoint().unwrap();
    assert!(checkpoint.write(&mut |_| ()).is_err());
    drop(checkpoint);
    assert!(pager.poisoned().unwrap().contains("the disk is dying"));
    assert_eq!(pager.durable(), durable);
    disk.fail_syncs(false);
    assert!(pager.begin_checkpoint().is_err(), "nobody knows what a second sync would mean");
    let mut newer = model.clone();
    newer.nodes.insert(0, 99);
    let guard = pager.begin_read(Visible::Published);
    directory.check(&guard, &newer);
    drop((guard, pager));
    let pager = open(&disk, Access::ReadWrite, Pick::Newest).unwrap();
    let guard = pager.begin_read(Visible::Published);
    Directory::decode(&guard.root().roots).check(&guard, &model);
}

/// Commits 8 MiB of new pages.
fn commit_many_pages(pager: &std::sync::Arc<Pager>) {
    let mut txn = pager.begin_write();
    for _ in 0..2_048 {
        txn.allocate(llmdb_base::header::PageKind::Leaf, 0, llmdb_base::TreeId::new(1)).unwrap();
    }
    let state = txn.root().state();
    pager.publish(&txn.commit(state));
}

#[test]
fn a_checkpoint_gives_the_disk_a_few_parts_at_a_time() {
    let (disk, _) = store();
    let pager = open(&disk, Access::ReadWrite, Pick::Newest).unwrap();
    commit_many_pages(&pager);
    pager.begin_checkpoint().unwrap().finish().unwrap();
    let (begun, awaited) = disk.sent();
    assert!((3..=4).contains(&begun), "8 MiB in {begun} parts of 2 MiB, and a rest for the sync");
    assert_eq!(awaited, begun - 2, "all but two have been waited for");
}

/// The system tells of a write that failed once, to whoever asks first: the sync that follows succeeds.
#[test]
fn an_error_of_writing_back_is_one_of_the_checkpoint() {
    let (disk, model) = store();
    let pager = open(&disk, Access::ReadWrite, Pick::Newest).unwrap();
    let durable = pager.durable();
    commit_many_pages(&pager);
    disk.fail_writeback();
    let error = pager.begin_checkpoint().unwrap().finish().unwrap_err();
    assert!(error.to_string().contains("write back"), "{error}");
    assert!(pager.poisoned().unwrap().contains("the disk is dying"));
    assert_eq!(pager.durable(), durable);
    drop(pager);
    let pager = open(&disk, Access::ReadWrite, Pick::Newest).unwrap();
    let guard = pager.begin_read(Visible::Published);
    Directory::decode(&guard.root().roots).check(&guard, &model);
}

#[test]
fn one_writer_at_a_time() {
    let (disk, _) = store();
    let pager = open(&disk, Access::ReadWrite, Pick::Newest).unwrap();
    let txn = pager.begin_write();
    assert!(catch_unwind(AssertUnwindSafe(|| pager.begin_write())).is_err());
    drop(txn);
    drop(pager.begin_write());
    let reading = open(&disk, Access::ReadOnly, Pick::Newest).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| reading.begin_write())).is_err());
}
