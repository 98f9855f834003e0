//! Memory over a file: shows it, takes stores, and never writes them.
#![expect(unsafe_code, reason = "looking into a mapping is unsafe for whoever does it")]

use std::io::ErrorKind;

use llmdb_vfs::{BLOCK_SIZE, Mapping, write_all_at};

use crate::*;

fn read(mapping: &Mapping, block: u64) -> Vec<u8> {
    // SAFETY: every test reads what it has reserved and loaded, and nobody stores meanwhile.
    unsafe { mapping.bytes(at(block), BLOCK_SIZE) }.to_vec()
}

fn store(mapping: &Mapping, block: u64, fill: u8) {
    // SAFETY: no test keeps a reference into the mapping.
    unsafe { mapping.bytes_mut(at(block), BLOCK_SIZE) }.fill(fill);
}

/// A file of `blocks` blocks filled with 1, and a map of it that was loaded.
fn mapped(disk: &Disk, blocks: u64) -> (Arc<dyn File>, Mapping) {
    let file = disk.create("data");
    let len = usize::try_from(at(blocks)).unwrap();
    write_all_at(&*file, &vec![1; len], 0).unwrap();
    let mapping = disk.vfs.map(Some(Arc::clone(&file))).unwrap();
    mapping.reserve(at(blocks)).unwrap();
    mapping.load(0, len).unwrap();
    (file, mapping)
}

#[test]
fn a_store_stays_in_memory() {
    on_every_disk(|disk| {
        let (file, mapping) = mapped(disk, 4);
        assert_eq!(mapping.is_private_file(), disk.is_real() && cfg!(target_os = "linux"));
        assert!(mapping.region_bytes().is_power_of_two() && mapping.reserved() >= at(4));
        assert_eq!(read(&mapping, 2), [1; BLOCK_SIZE]);
        store(&mapping, 2, 9);
        assert_eq!(read(&mapping, 2), [9; BLOCK_SIZE]);
        drop(mapping);
        file.sync_data().unwrap();
        assert_eq!(contents(&*file), vec![1; 4 * BLOCK_SIZE]);
    });
}

#[test]
fn what_was_written_shows_through_once_the_copy_is_discarded() {
    on_every_disk(|disk| {
        let (file, mapping) = mapped(disk, 4);
        for fill in [2, 3, 4] {
            store(&mapping, 1, fill);
            store(&mapping, 2, fill);
            write_all_at(&*file, &[fill; 2 * BLOCK_SIZE], at(1)).unwrap();
            mapping.discard(at(1), 2 * BLOCK_SIZE).unwrap();
            assert_eq!(read(&mapping, 1), [fill; BLOCK_SIZE]);
            assert_eq!(read(&mapping, 2), [fill; BLOCK_SIZE]);
            assert_eq!(read(&mapping, 3), [1; BLOCK_SIZE]);
        }
    });
}

#[test]
fn bytes_written_past_the_map_are_seen_after_discard_and_load() {
    on_every_disk(|disk| {
        let (file, mapping) = mapped(disk, 4);
        store(&mapping, 1, 9);
        write_all_at(&*file, &[5; BLOCK_SIZE], at(1)).unwrap();
        mapping.load(at(1), BLOCK_SIZE).unwrap();
        assert_eq!(read(&mapping, 1), [9; BLOCK_SIZE], "a load leaves stores alone");
        mapping.discard(at(1), BLOCK_SIZE).unwrap();
        mapping.load(at(1), BLOCK_SIZE).unwrap();
        assert_eq!(read(&mapping, 1), [5; BLOCK_SIZE]);

        file.write_durable_at(&filled(1, 6), at(2)).unwrap();
        mapping.load(at(2), BLOCK_SIZE).unwrap();
        assert_eq!(read(&mapping, 2), [6; BLOCK_SIZE]);
    });
}

#[test]
fn a_map_follows_a_file_that_grows() {
    on_every_disk(|disk| {
        let (file, mapping) = mapped(disk, 1);
        assert_eq!(mapping.load(at(1), BLOCK_SIZE).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        file.allocate(0, at(100)).unwrap();
        mapping.reserve(at(100)).unwrap();
        mapping.load(at(1), 99 * BLOCK_SIZE).unwrap();
        assert_eq!(read(&mapping, 99), [0; BLOCK_SIZE]);
        store(&mapping, 99, 3);
        assert_eq!(read(&mapping, 99), [3; BLOCK_SIZE]);
        assert_eq!(contents(&*file)[99 * BLOCK_SIZE..], [0; BLOCK_SIZE]);
    });
}

#[test]
fn bytes_that_the_file_does_not_have_are_an_error() {
    on_every_disk(|disk| {
        let (file, mapping) = mapped(disk, 4);
        mapping.reserve(at(1000)).unwrap();
        for (offset, len) in [(at(4), 1), (at(3), 2 * BLOCK_SIZE), (at(900), BLOCK_SIZE), (at(4) - 1, 2)] {
            let error = mapping.load(offset, len).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{len} bytes at {offset}");
        }
        mapping.load(at(3), BLOCK_SIZE).unwrap();
        file.set_len(at(2)).unwrap();
        assert_eq!(mapping.load(at(3), BLOCK_SIZE).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        mapping.load(at(1), BLOCK_SIZE).unwrap();
        mapping.prefetch(at(1));
        mapping.prefetch(u64::MAX);
    });
}

#[test]
fn the_map_keeps_the_file_though_its_handle_and_its_name_are_gone() {
    on_every_disk(|disk| {
        let (file, mapping) = mapped(disk, 2);
        drop(file);
        disk.vfs.remove_file(&disk.path("data")).unwrap();
        mapping.load(0, 2 * BLOCK_SIZE).unwrap();
        assert_eq!(read(&mapping, 1), [1; BLOCK_SIZE]);
    });
}

#[test]
fn a_map_of_a_file_opened_for_reading_takes_stores() {
    on_every_disk(|disk| {
        drop(mapped(disk, 2));
        let file = disk.vfs.open(&disk.path("data"), READ).unwrap();
        let mapping = disk.vfs.map(Some(Arc::clone(&file))).unwrap();
        mapping.load(0, 2 * BLOCK_SIZE).unwrap();
        store(&mapping, 1, 2);
        assert_eq!(read(&mapping, 1), [2; BLOCK_SIZE]);
        assert_eq!(contents(&*file), vec![1; 2 * BLOCK_SIZE]);
    });
}

#[test]
fn a_map_without_a_file_is_zero() {
    on_every_disk(|disk| {
        let mapping = disk.vfs.map(None).unwrap();
        mapping.reserve(at(100_000)).unwrap();
        mapping.load(at(99_999), BLOCK_SIZE).unwrap();
        assert_eq!(read(&mapping, 99_999), [0; BLOCK_SIZE]);
        store(&mapping, 99_999, 1);
        assert_eq!(read(&mapping, 99_999), [1; BLOCK_SIZE]);
        assert!(!mapping.is_private_file());
    });
}

#[test]
fn regions_of_a_large_file_join_without_a_gap() {
    on_every_disk(|disk| {
        let file = disk.create("data");
        let mapping = disk.vfs.map(Some(Arc::clone(&file))).unwrap();
        if !mapping.is_private_file() {
            println!("skipped: the file would take {} bytes of memory", mapping.region_bytes());
            return;
        }
        let first = mapping.region_bytes() / BLOCK_SIZE as u64;
        file.set_len(at(first + 2)).unwrap();
        write_all_at(&*file, &[1; BLOCK_SIZE], at(first - 1)).unwrap();
        write_all_at(&*file, &[2; BLOCK_SIZE], at(first)).unwrap();
        store(&mapping, 0, 7);
        mapping.reserve(at(first + 2)).unwrap();
        assert_eq!(mapping.reserved(), 2 * mapping.region_bytes());
        mapping.load(at(first - 1), 2 * BLOCK_SIZE).unwrap();
        assert_eq!(read(&mapping, first - 1), [1; BLOCK_SIZE]);
        assert_eq!(read(&mapping, first), [2; BLOCK_SIZE]);
        assert_eq!(read(&mapping, 0), [7; BLOCK_SIZE]);
        store(&mapping, first - 1, 3);
        store(&mapping, first, 4);
        mapping.discard(at(first - 1), 2 * BLOCK_SIZE).unwrap();
        assert_eq!(read(&mapping, first - 1), [1; BLOCK_SIZE]);
        assert_eq!(read(&mapping, first), [2; BLOCK_SIZE]);
    });
}

#[test]
fn many_ranges_are_discarded_and_mapped_and_nothing_between_them() {
    on_every_disk(|disk| {
        const BLOCKS: u64 = 2_000;
        let (file, mapping) = mapped(disk, BLOCKS);
        // Of three blocks the first is written to the file, and the second is stored to only.
        let written: Vec<_> = (0..BLOCKS).step_by(3).map(|block| (at(block), BLOCK_SIZE)).collect();
        for block in (0..BLOCKS).filter(|block| block % 3 < 2) {
            store(&mapping, block, 5);
        }
        written.iter().for_each(|(offset, _)| write_all_at(&*file, &[5; BLOCK_SIZE], *offset).unwrap());
        mapping.discard_all(&written).unwrap();
        mapping.map_ahead(&written);
        mapping.load(0, usize::try_from(at(BLOCKS)).unwrap()).unwrap();
        for block in 0..BLOCKS {
            let expected = if block % 3 < 2 { 5 } else { 1 };
            assert_eq!(read(&mapping, block), [expected; BLOCK_SIZE], "block {block}");
        }
        if mapping.is_private_file() {
            // They show the file again.
            write_all_at(&*file, &[6; BLOCK_SIZE], at(1_998)).unwrap();
            write_all_at(&*file, &[6; BLOCK_SIZE], at(1_999)).unwrap();
            assert_eq!(read(&mapping, 1_998), [6; BLOCK_SIZE]);
            assert_eq!(read(&mapping, 1_999), [5; BLOCK_SIZE]);
        }
        mapping.discard_all(&[]).unwrap();
        mapping.map_ahead(&[]);
        // What lies behind the end of the file cannot be mapped, and is left to whoever looks at it.
        mapping.map_ahead(&[(at(BLOCKS), BLOCK_SIZE), (0, BLOCK_SIZE)]);
    });
}

#[test]
fn readers_see_the_same_bytes_while_copies_are_discarded() {
    on_every_disk(|disk| {
        let (file, mapping) = mapped(disk, 64);
        for block in 0..64 {
            store(&mapping, block, 5);
        }
        write_all_at(&*file, &vec![5; 64 * BLOCK_SIZE], 0).unwrap();
        std::thread::scope(|scope| {
            let reader = scope
                .spawn(|| (0..50).all(|_| (0..64).all(|block| read(&mapping, block) == [5; BLOCK_SIZE])));
            for block in 0..64 {
                mapping.discard(at(block), BLOCK_SIZE).unwrap();
            }
            assert!(reader.join().unwrap());
        });
    });
}
