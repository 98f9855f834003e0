//! Reading allocates nothing: not per get, not per step of a cursor or a range.
#![expect(unsafe_code, reason = "a counting allocator has to be one")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use llmdb::Db;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches a thread-local without a
// destructor, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

const ROWS: u32 = 20_000;

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn gets_cursor_steps_and_range_steps_allocate_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path().join("a.llmdb"), llmdb::Options::new()).unwrap();
    let mut txn = db.begin_write().unwrap();
    for number in 0..ROWS {
        txn.put(number.to_be_bytes(), [1; 100]).unwrap();
    }
    txn.put("long", vec![2; 1 << 20]).unwrap();
    txn.commit().unwrap();
    db.checkpoint().unwrap();

    let snapshot = db.snapshot().unwrap();
    let tree = snapshot.main().unwrap();
    let gets = allocations(|| {
        for number in 0..ROWS {
            assert!(tree.get(number.to_be_bytes()).unwrap().is_some());
            assert!(snapshot.get(number.to_be_bytes()).unwrap().is_some());
        }
        assert_eq!(tree.get("long").unwrap().map(<[u8]>::len), Some(1 << 20));
    });
    let steps = allocations(|| {
        let mut cursor = tree.cursor();
        assert!(cursor.first().unwrap().is_some());
        while cursor.next().unwrap().is_some() {}
        while cursor.prev().unwrap().is_some() {}
        for number in (0..ROWS).step_by(7) {
            assert!(cursor.seek(number.to_be_bytes()).unwrap().is_some());
        }
    });
    let ranges = allocations(|| {
        assert_eq!(tree.iter().unwrap().count(), ROWS as usize + 1);
        assert_eq!(tree.iter().unwrap().rev().count(), ROWS as usize + 1);
    });
    assert_eq!([gets, steps, ranges], [0, 0, 0]);
}
