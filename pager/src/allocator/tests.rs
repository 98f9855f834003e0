use llmdb_base::StoreId;
use llmdb_vfs::Mapping;

use super::*;
use crate::view::View;

const REGION_PAGES: u64 = 256;

/// Memory in regions of 1 MiB, with `page_count` pages.
fn ground(page_count: u64) -> (Space, Store) {
    let mapping = Mapping::heap_of_regions(None, REGION_PAGES * PAGE_SIZE as u64).unwrap();
    let store = Store::new(View::new(mapping), None, StoreId::new(1), false);
    let space = Space::new(0);
    extend(&store, 0, page_count).unwrap();
    space.set_file_pages(page_count);
    (space, store)
}

fn take(allocator: &mut Allocator, space: &Space, store: &Store) -> u64 {
    let pgno = allocator.page(space, store, 0).unwrap();
    space.take(PageRange::one(pgno));
    pgno.get()
}

#[test]
fn fixed_pages_are_never_handed_out_and_the_file_grows_in_steps() {
    let (space, store) = ground(64);
    let mut allocator = Allocator::default();
    let mut pages: Vec<u64> = (0..60).map(|_| take(&mut allocator, &space, &store)).collect();
    pages.sort_unstable();
    assert_eq!(pages, (0..64).filter(|pgno| ![0, 1, 16, 17].contains(pgno)).collect::<Vec<_>>());
    assert_eq!(space.file_pages(), 64);
    take(&mut allocator, &space, &store);
    assert_eq!(space.file_pages(), 128);
}

#[test]
fn long_files_grow_to_where_huge_pages_end() {
    assert_eq!((growth(0), growth(10_000)), (64, 156));
    // 64 MiB: the least growth of which a huge page is not too large a part.
    assert_eq!(growth(HUGE_PAGES / 2 * 64 + 1), 511);
    for file_pages in [100_000, 100_352, 262_144, 262_145] {
        let grown = growth(file_pages);
        assert!((file_pages + grown).is_multiple_of(HUGE_PAGES));
        assert!((file_pages / 64..file_pages / 64 + HUGE_PAGES).contains(&grown), "{file_pages} by {grown}");
    }
}

/// On a full disk a file grows by what is needed, which is nothing if its free end holds a run already.
#[test]
fn a_file_may_grow_by_nothing() {
    let vfs = llmdb_vfs::MemoryVfs::default();
    let how = llmdb_vfs::Open { write: true, create: llmdb_vfs::Create::New, direct: false };
    let file = llmdb_vfs::Vfs::open(&vfs, "data".as_ref(), how).unwrap();
    let view = View::new(Mapping::heap(Some(std::sync::Arc::clone(&file))).unwrap());
    let store = Store::new(view, Some(file), StoreId::new(1), false);
    extend(&store, 0, 64).unwrap();
    extend(&store, 64, 0).unwrap();
}

#[test]
fn the_reserve_is_left_alone() {
    let (space, store) = ground(64);
    let mut allocator = Allocator::default();
    for _ in 0..40 {
        let pgno = allocator.page(&space, &store, 20).unwrap();
        space.take(PageRange::one(pgno));
    }
    assert_eq!((space.free_pages(), space.file_pages()), (20, 64));
    allocator.page(&space, &store, 20).unwrap();
    assert_eq!(space.file_pages(), 128);
}

#[test]
fn dense_words_come_first_so_that_checkpoints_write_long_runs() {
    let (space, store) = ground(64 * 200);
    let mut allocator = Allocator::default();
    while space.free_pages() > 0 {
        take(&mut allocator, &space, &store);
    }
    // One free page in most words, and a few words that are free altogether.
    for word in 1..200 {
        let free =
            if word % 20 == 7 { PageRange::new(word * 64, 64) } else { PageRange::new(word * 64 + 5, 1) };
        space.release(free);
    }
    for _ in 0..3 {
        let pages: Vec<u64> = (0..64 * 3).map(|_| take(&mut allocator, &space, &store)).collect();
        let steps = pages.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
        assert!(steps <= 8, "{steps} gaps in {pages:?}");
    }
}

#[test]
fn warm_pages_come_first_and_only_while_they_are_free() {
    let (space, store) = ground(640);
    let mut allocator = Allocator::default();
    let pages: Vec<u64> = (0..10).map(|_| take(&mut allocator, &space, &store)).collect();
    pages.iter().for_each(|pgno| space.mark_dirty(PageRange::new(*pgno, 1)));
    for pgno in [pages[3], pages[7]] {
        space.release(PageRange::new(pgno, 1));
        allocator.give(&space, PageRange::new(pgno, 1));
    }
    // Somebody else takes one of them.
    space.take(PageRange::new(pages[7], 1));
    assert_eq!(take(&mut allocator, &space, &store), pages[3]);
    assert!(!pages.contains(&take(&mut allocator, &space, &store)));
}

#[test]
fn runs_are_consecutive_and_stay_inside_a_region() {
    let (space, store) = ground(64);
    let mut allocator = Allocator::default();
    for count in [1, 2, 40, 100, 3, 256, 7, 255, 30, 200] {
        let run = allocator.run(&space, &store, count, 0).unwrap();
        assert_eq!(run.count(), count);
        assert_eq!(run.first() / REGION_PAGES, (run.end() - 1) / REGION_PAGES, "{run:?}");
        assert_eq!(space.free_part(run), [run]);
        space.take(run);
    }
    let too_long = allocator.run(&space, &store, REGION_PAGES + 1, 0);
    assert!(too_long.is_err());
    // What the boundaries left over is used by shorter runs.
    let before = space.file_pages();
    let run = allocator.run(&space, &store, 10, 0).unwrap();
    space.take(run);
    assert_eq!(space.file_pages(), before);
}

#[test]
fn a_search_in_vain_is_not_repeated_before_enough_has_been_freed() {
    let (space, store) = ground(256);
    let mut allocator = Allocator::default();
    while space.free_pages() > 0 {
        take(&mut allocator, &space, &store);
    }
    for pgno in (20..240).step_by(2) {
        space.release(PageRange::new(pgno, 1));
        allocator.give(&space, PageRange::new(pgno, 1));
    }
    assert_eq!(allocator.find_run(&space, 4, REGION_PAGES), None);
    assert_eq!(allocator.run_missed.0, Some((4, 0)));
    for pgno in [101, 103, 105] {
        space.release(PageRange::new(pgno, 1));
        allocator.give(&space, PageRange::new(pgno, 1));
        assert_eq!(allocator.find_run(&space, 4, REGION_PAGES), None);
    }
    space.release(PageRange::new(107, 1));
    allocator.give(&space, PageRange::new(107, 1));
    assert_eq!(allocator.find_run(&space, 4, REGION_PAGES), Some(100));
}

#[test]
fn pages_below_the_ceiling_come_first_and_then_any() {
    let (space, store) = ground(64 * 10);
    let mut allocator = Allocator::default();
    allocator.set_ceiling(Some(128));
    let low: Vec<u64> = (0..124).map(|_| take(&mut allocator, &space, &store)).collect();
    assert!(low.iter().all(|pgno| *pgno < 128), "{low:?}");
    assert!(take(&mut allocator, &space, &store) >= 128, "there is none left below");
    // What is warm behind the ceiling stays where it is.
    let (near, far) = (low[5], 500);
    space.take(PageRange::new(far, 1));
    for pgno in [near, far] {
        space.mark_dirty(PageRange::new(pgno, 1));
        space.release(PageRange::new(pgno, 1));
    }
    allocator.set_ceiling(Some(128));
    [near, far].into_iter().for_each(|pgno| allocator.give(&space, PageRange::new(pgno, 1)));
    assert_eq!(take(&mut allocator, &space, &store), near);
}

#[test]
fn runs_below_the_ceiling_come_first_and_then_any() {
    let (space, store) = ground(64 * 10);
    let mut allocator = Allocator::default();
    space.take(PageRange::new(18, 82));
    allocator.set_ceiling(Some(128));
    assert!(allocator.has_low_run(&space, 20, REGION_PAGES));
    let run = allocator.run(&space, &store, 20, 0).unwrap();
    assert_eq!(run, PageRange::new(100, 20));
    space.take(run);
    assert!(!allocator.has_low_run(&space, 20, REGION_PAGES));
    let run = allocator.run(&space, &store, 20, 0).unwrap();
    assert!(run.first() >= 120, "{run:?}");
}
