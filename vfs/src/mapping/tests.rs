use std::{path::Path, sync::Barrier};

use super::*;
use crate::{Create, MemoryVfs, Open, Vfs, write_all_at};

const SMALL: u64 = 16 * BLOCK_SIZE as u64;

fn memory_file(len: usize, fill: u8) -> Arc<dyn File> {
    let how = Open { write: true, create: Create::New, direct: false };
    let file = MemoryVfs::default().open(Path::new("data"), how).unwrap();
    write_all_at(&*file, &vec![fill; len], 0).unwrap();
    file
}

fn read(mapping: &Mapping, offset: u64, len: usize) -> Vec<u8> {
    // SAFETY: the tests that read while others store do so in ranges of their own.
    unsafe { mapping.bytes(offset, len) }.to_vec()
}

fn store(mapping: &Mapping, offset: u64, len: usize, fill: u8) {
    // SAFETY: no test keeps a reference while it stores.
    unsafe { mapping.bytes_mut(offset, len) }.fill(fill);
}

#[test]
fn a_heap_without_a_file_is_zero_and_keeps_what_is_stored() {
    let mapping = Mapping::heap(None).unwrap();
    mapping.load(BLOCK_SIZE as u64, BLOCK_SIZE).unwrap();
    assert_eq!(read(&mapping, 0, 3 * BLOCK_SIZE), vec![0; 3 * BLOCK_SIZE]);
    store(&mapping, BLOCK_SIZE as u64, BLOCK_SIZE, 7);
    mapping.discard(0, 3 * BLOCK_SIZE).unwrap();
    assert_eq!(read(&mapping, BLOCK_SIZE as u64, BLOCK_SIZE), vec![7; BLOCK_SIZE]);
    assert!(!mapping.is_private_file());
}

#[test]
fn regions_appear_when_reserved_and_never_move() {
    let mapping = Mapping::heap_of_regions(None, SMALL).unwrap();
    assert_eq!(mapping.region_bytes(), SMALL);
    assert_eq!(mapping.reserved(), SMALL);
    store(&mapping, 0, BLOCK_SIZE, 1);
    let first = mapping.regions.address(0, 1);
    mapping.reserve(SMALL * 5 + 1).unwrap();
    assert_eq!(mapping.reserved(), SMALL * 6);
    assert_eq!(mapping.regions.address(0, 1), first);
    store(&mapping, SMALL * 5, BLOCK_SIZE, 5);
    assert_eq!(read(&mapping, SMALL * 5, 1), [5]);
    assert_eq!(read(&mapping, 0, 1), [1]);
    mapping.reserve(1).unwrap();
    assert_eq!(mapping.reserved(), SMALL * 6);
    for offset in [0, SMALL, SMALL * 7, u64::MAX] {
        mapping.prefetch(offset);
    }
}

#[test]
fn a_mapping_longer_than_the_address_space_is_refused() {
    let mapping = Mapping::heap_of_regions(None, SMALL).unwrap();
    mapping.reserve(SMALL * 2).unwrap();
    assert_eq!(mapping.reserve(u64::MAX).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
    assert_eq!(mapping.reserved(), SMALL * 2, "what was reserved stays so, and no more");
}

#[test]
fn many_threads_may_reserve_and_store_at_once() {
    let mapping = Mapping::heap_of_regions(None, SMALL).unwrap();
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let (mapping, start) = (&mapping, &start);
            scope.spawn(move || {
                start.wait();
                for region in 0..64 {
                    mapping.reserve((region + 1) * SMALL).unwrap();
                    store(
                        mapping,
                        region * SMALL + u64::from(thread) * BLOCK_SIZE as u64,
                        BLOCK_SIZE,
                        thread + 1,
                    );
                }
            });
        }
    });
    for region in 0..64 {
        for thread in 0..4u8 {
            let bytes = read(&mapping, region * SMALL + u64::from(thread) * BLOCK_SIZE as u64, BLOCK_SIZE);
            assert_eq!(bytes, vec![thread + 1; BLOCK_SIZE]);
        }
    }
}

#[test]
fn a_heap_over_a_file_shows_it_once_loaded_and_stores_shadow_it() {
    let file = memory_file(40 * BLOCK_SIZE, 1);
    let mapping = Mapping::heap_of_regions(Some(Arc::clone(&file)), SMALL).unwrap();
    mapping.reserve(40 * BLOCK_SIZE as u64).unwrap();
    mapping.load(0, 40 * BLOCK_SIZE).unwrap();
    assert_eq!(read(&mapping, SMALL, BLOCK_SIZE), vec![1; BLOCK_SIZE]);

    store(&mapping, SMALL, BLOCK_SIZE, 2);
    mapping.load(0, 40 * BLOCK_SIZE).unwrap();
    assert_eq!(read(&mapping, SMALL, BLOCK_SIZE), vec![2; BLOCK_SIZE], "a load leaves stores alone");

    write_all_at(&*file, &[3; BLOCK_SIZE], SMALL).unwrap();
    mapping.discard(SMALL, BLOCK_SIZE).unwrap();
    mapping.load(SMALL, BLOCK_SIZE).unwrap();
    assert_eq!(read(&mapping, SMALL, BLOCK_SIZE), vec![3; BLOCK_SIZE]);

    let beyond = mapping.load(40 * BLOCK_SIZE as u64 - 1, 2).unwrap_err();
    assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
}

#[cfg(target_os = "linux")]
#[test]
fn a_private_map_follows_the_file_except_where_stores_shadow_it() {
    use std::{os::unix::fs::FileExt, sync::atomic::AtomicU64};

    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&[1; 4 * BLOCK_SIZE], 0).unwrap();
    let length = Arc::new(AtomicU64::new(0));
    let mapping =
        Mapping::private_file(file.try_clone().unwrap().into(), Arc::clone(&length), BusErrors::Catch)
            .unwrap();
    assert!(mapping.is_private_file());
    mapping.load(0, 4 * BLOCK_SIZE).unwrap();
    store(&mapping, 4096, BLOCK_SIZE, 2);
    assert_eq!(read(&mapping, 4096, BLOCK_SIZE), vec![2; BLOCK_SIZE]);
    let mut block = [0; BLOCK_SIZE];
    file.read_exact_at(&mut block, 4096).unwrap();
    assert_eq!(block, [1; BLOCK_SIZE], "a store must not reach the file");

    file.write_all_at(&[2; BLOCK_SIZE], 4096).unwrap();
    mapping.discard(4096, BLOCK_SIZE).unwrap();
    file.write_all_at(&[3; BLOCK_SIZE], 4096).unwrap();
    assert_eq!(read(&mapping, 4096, BLOCK_SIZE), vec![3; BLOCK_SIZE], "the file shows through again");

    let beyond = mapping.load(4 * BLOCK_SIZE as u64, 1).unwrap_err();
    assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
    file.set_len(8 * BLOCK_SIZE as u64).unwrap();
    mapping.load(7 * BLOCK_SIZE as u64, BLOCK_SIZE).unwrap();
    assert_eq!(length.load(std::sync::atomic::Ordering::Relaxed), 8 * BLOCK_SIZE as u64);
}

/// Whether the page tables name memory for `address`. `None` where the kernel does not say.
#[cfg(target_os = "linux")]
#[expect(clippy::disallowed_methods, reason = "the kernel's page tables are no file of a store")]
fn is_in_page_tables(address: usize) -> Option<bool> {
    use std::os::unix::fs::FileExt;
    let mut entry = [0; 8];
    let tables = std::fs::File::open("/proc/self/pagemap").ok()?;
    tables.read_exact_at(&mut entry, (address / BLOCK_SIZE * size_of::<u64>()) as u64).ok()?;
    Some(u64::from_le_bytes(entry) >> 63 == 1)
}

#[cfg(target_os = "linux")]
#[test]
fn what_was_discarded_is_in_the_page_tables_once_it_is_mapped_ahead() {
    use std::{os::unix::fs::FileExt, sync::atomic::AtomicU64};

    use super::private::many::refuse;

    let len = 8 * BLOCK_SIZE as u64;
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&[1; 8 * BLOCK_SIZE], 0).unwrap();
    let mapping =
        Mapping::private_file(file.into(), Arc::new(AtomicU64::new(len)), BusErrors::Catch).unwrap();
    let ranges = [1, 3, 6].map(|block| (block * BLOCK_SIZE as u64, BLOCK_SIZE));
    let are_there =
        || ranges.map(|(offset, _)| is_in_page_tables(mapping.regions.address(offset, 1).as_ptr().addr()));
    // In few calls, and one by one, as where the kernel takes no advice about many ranges.
    for is_refused in [false, true] {
        refuse(is_refused);
        for (offset, len) in ranges {
            store(&mapping, offset, len, 1);
        }
        mapping.discard_all(&ranges).unwrap();
        assert!(are_there().iter().all(|is_there| *is_there != Some(true)), "they were given back");
        mapping.map_ahead(&ranges);
        assert!(are_there().iter().all(|is_there| *is_there != Some(false)), "nobody has touched them");
        assert_eq!(read(&mapping, ranges[2].0, BLOCK_SIZE), vec![1; BLOCK_SIZE]);
    }
    refuse(false);
}

/// Whether the kernel may take large pages at `address`: flag `hg` of its map. `None` where it knows none, or does not say.
#[cfg(target_os = "linux")]
fn allows_large_pages(address: usize) -> Option<bool> {
    std::fs::metadata("/sys/kernel/mm/transparent_hugepage").ok()?;
    let maps = std::fs::read_to_string("/proc/self/smaps").ok()?;
    let mut is_inside = false;
    for line in maps.lines() {
        let bounds = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
        if let Some((Ok(start), Ok(end))) =
            bounds.map(|(start, end)| (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16)))
        {
            is_inside = (start..end).contains(&address);
        } else if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| is_inside) {
            return Some(flags.split_whitespace().any(|flag| flag == "hg"));
        }
    }
    None
}

#[cfg(target_os = "linux")]
#[test]
fn what_has_grown_may_lie_in_large_pages_and_reads_the_same() {
    use std::{os::unix::fs::FileExt, sync::atomic::AtomicU64};

    let len: usize = 5 << 20;
    let file = tempfile::tempfile().unwrap();
    let mapping = Mapping::private_file(
        file.try_clone().unwrap().into(),
        Arc::new(AtomicU64::new(0)),
        BusErrors::Catch,
    )
    .unwrap();
    file.set_len(len as u64).unwrap();
    let at = |offset| mapping.regions.address(offset, 1).as_ptr().addr();
    assert_ne!(allows_large_pages(at(0)), Some(true), "nothing has been said of it");
    mapping.expect_growth(BLOCK_SIZE as u64, len - BLOCK_SIZE);
    assert_ne!(allows_large_pages(at(len as u64 - 1)), Some(false));
    assert_ne!(allows_large_pages(at(0)), Some(true), "what was there before stays in single pages");
    mapping.load(0, len).unwrap();
    // The first store fetches a large page, of zeros; the file gets its bytes, and shows them.
    store(&mapping, 3 << 20, BLOCK_SIZE, 7);
    assert_eq!(read(&mapping, (3 << 20) - BLOCK_SIZE as u64, BLOCK_SIZE), vec![0; BLOCK_SIZE]);
    file.write_all_at(&vec![8; 2 << 20], 2 << 20).unwrap();
    assert_eq!(read(&mapping, 3 << 20, BLOCK_SIZE), vec![7; BLOCK_SIZE], "a store shadows the file");
    mapping.discard(2 << 20, 2 << 20).unwrap();
    assert_eq!(read(&mapping, 2 << 20, 2 << 20), vec![8; 2 << 20]);
    // What is not reserved, and what is no map of a file, is passed over.
    mapping.expect_growth(u64::MAX / 2, BLOCK_SIZE);
    Mapping::heap(None).unwrap().expect_growth(0, BLOCK_SIZE);
}

#[cfg(target_os = "linux")]
#[test]
fn a_discard_may_cross_regions() {
    use std::sync::atomic::AtomicU64;

    let region_bytes = 1u64 << 30;
    let file = tempfile::tempfile().unwrap();
    file.set_len(2 * region_bytes).unwrap();
    let kind =
        Kind::Private(private::PrivateFile::new(file.into(), Arc::new(AtomicU64::new(0)), BusErrors::Catch));
    let mapping = Mapping::with_first_region(kind, region_bytes, region_bytes).unwrap();
    mapping.reserve(2 * region_bytes).unwrap();
    let start = region_bytes - BLOCK_SIZE as u64;
    store(&mapping, start, BLOCK_SIZE, 1);
    store(&mapping, region_bytes, BLOCK_SIZE, 1);
    mapping.discard(start, 2 * BLOCK_SIZE).unwrap();
    assert_eq!(read(&mapping, start, BLOCK_SIZE), vec![0; BLOCK_SIZE]);
    assert_eq!(read(&mapping, region_bytes, BLOCK_SIZE), vec![0; BLOCK_SIZE]);
}

#[test]
fn hints_change_nothing_whatever_they_say() {
    let file = memory_file(3 * BLOCK_SIZE, 5);
    let mapping = Mapping::heap_of_regions(Some(file), SMALL).unwrap();
    mapping.load(0, 3 * BLOCK_SIZE).unwrap();
    hint(&mapping);
    assert_eq!(read(&mapping, 0, 3 * BLOCK_SIZE), vec![5; 3 * BLOCK_SIZE]);
}

#[cfg(target_os = "linux")]
#[test]
fn hints_change_nothing_in_a_private_map() {
    let folder = tempfile::tempdir().unwrap();
    let how = Open { write: true, create: Create::New, direct: false };
    let vfs = crate::OsVfs::new();
    let file = vfs.open(&folder.path().join("data"), how).unwrap();
    write_all_at(&*file, &[5; 3 * BLOCK_SIZE], 0).unwrap();
    let mapping = vfs.map(Some(file)).unwrap();
    mapping.load(0, 3 * BLOCK_SIZE).unwrap();
    store(&mapping, BLOCK_SIZE as u64, BLOCK_SIZE, 7);
    hint(&mapping);
    let expected = [[5; BLOCK_SIZE], [7; BLOCK_SIZE], [5; BLOCK_SIZE]].concat();
    assert_eq!(read(&mapping, 0, 3 * BLOCK_SIZE), expected);
}

fn hint(mapping: &Mapping) {
    for offset in [0, BLOCK_SIZE as u64, mapping.region_bytes() - 1, mapping.reserved(), u64::MAX / 2] {
        mapping.read_ahead(offset / BLOCK_SIZE as u64 * BLOCK_SIZE as u64, 2 * BLOCK_SIZE);
        mapping.prefetch(offset);
    }
}
