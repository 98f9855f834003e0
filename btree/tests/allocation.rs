//! Reading allocates nothing: no lookup, no step of a cursor or a range.
#![expect(unsafe_code, reason = "an allocator that counts can only be written this way")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    ops::Bound,
};

use common::Random;
use llmdb_base::TreeId;
use llmdb_btree::{Cursor, NewValue, Range, Tree, testing::VecPages};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: both methods do what `System` does; the counter is no memory of the allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_in<T>(work: impl FnOnce() -> T) -> u64 {
    let before = ALLOCATIONS.get();
    std::hint::black_box(work());
    ALLOCATIONS.get() - before
}

#[test]
fn reading_does_not_allocate() {
    let (mut tree, mut pages, mut random) = (Tree::empty(TreeId::new(1)), VecPages::default(), Random(1));
    let keys: Vec<[u8; 8]> = (0..20_000).map(|_| random.next().to_be_bytes()).collect();
    for key in &keys {
        tree.insert(&mut pages, key, NewValue::Bytes(&[7; 300])).unwrap();
    }
    let wanted: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    let mut found = vec![None; wanted.len()];
    assert_eq!(
        allocations_in(|| wanted.iter().filter(|key| tree.get(&pages, key).unwrap().is_some()).count()),
        0
    );
    assert_eq!(allocations_in(|| tree.multi_get(&pages, &wanted, &mut found).unwrap()), 0);
    assert!(found.iter().all(Option::is_some));
    let steps = allocations_in(|| {
        let mut cursor = tree.cursor(&pages);
        while cursor.next().unwrap().is_some() {}
        while cursor.prev().unwrap().is_some() {}
        cursor.seek(b"m").unwrap().is_some() && tree.first_from(&pages, b"m").unwrap().is_some()
    });
    assert_eq!(steps, 0);
    let iterated = allocations_in(|| {
        let forward = tree.range(&pages, Bound::Included(b"a"), Bound::Unbounded).unwrap().count();
        forward + tree.range(&pages, Bound::Unbounded, Bound::Excluded(b"m")).unwrap().rev().count()
    });
    assert_eq!(iterated, 0);
    assert!(allocations_in(|| vec![1_u8; 100]) > 0, "the counter counts");
}

#[test]
fn cursors_can_be_sent() {
    fn is_send<T: Send>() {}
    is_send::<Cursor<'static, VecPages>>();
    is_send::<Range<'static, VecPages>>();
}
