//! Taking a snapshot and reading pages take no memory, once everything has been touched.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use common::{Directory, NODE_SLOTS, disk::Disk};
use llmdb_base::{ReadPages, StoreId};
use llmdb_pager::{Access, Pager, PagerOptions, Pick, Visible};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[expect(unsafe_code, reason = "the only way to count allocations")]
// SAFETY: every call goes to the allocator of the system, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn reading_takes_no_memory() {
    let disk = Disk::default();
    let pager = Pager::create(&disk, disk.file(), StoreId::new(1), PagerOptions::default()).unwrap();
    let mut directory = Directory::decode(&pager.tip().roots);
    let mut txn = pager.begin_write();
    (0..NODE_SLOTS).for_each(|slot| directory.put(&mut txn, slot, 1).unwrap());
    directory.put_run(&mut txn, 0, 10_000, 1).unwrap();
    directory.put_run(&mut txn, 1, 100_000, 1).unwrap();
    txn.commit(directory.state(1));
    pager.begin_checkpoint().unwrap().finish().unwrap();
    drop(pager);
    let pager =
        Pager::open(&disk, disk.file(), PagerOptions::default(), Access::ReadOnly, Pick::Newest).unwrap();
    let read_all = || {
        let guard = pager.begin_read(Visible::Published);
        let directory = Directory::decode(&guard.root().roots);
        for slot in 0..NODE_SLOTS {
            guard.page(directory.node(&guard, slot).unwrap()).unwrap();
        }
        for slot in 0..2 {
            let run = directory.run(&guard, slot).unwrap().unwrap();
            guard.run(&run).unwrap();
            guard.run_part(&run, run.len - 5, 5).unwrap();
        }
    };
    read_all();
    let before = ALLOCATIONS.load(Relaxed);
    (0..100).for_each(|_| read_all());
    assert_eq!(ALLOCATIONS.load(Relaxed), before);
}
