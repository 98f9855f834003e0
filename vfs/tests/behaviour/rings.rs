//! Writes under way: buffers go in, are written durably, and come back.

use std::{collections::BTreeSet, io::ErrorKind};

use llmdb_vfs::{MemoryVfs, OsOptions, OsVfs, Ring, RingChoice, RingKind};

use crate::*;

#[test]
fn a_write_comes_back_with_its_buffer_and_is_there() {
    on_every_disk(|disk| {
        let file = disk.create("log");
        let mut ring = disk.vfs.ring(1).unwrap();
        assert_eq!(ring.in_flight(), 0);
        assert!(ring.wait().is_none());
        let mut buffer = filled(4, 0);
        for round in 1..=8u8 {
            buffer.fill(round);
            ring.submit(&file, buffer, 3 * BLOCK_SIZE, at(3 * u64::from(round - 1)), u64::from(round))
                .unwrap();
            assert_eq!(ring.in_flight(), 1);
            let completion = ring.wait().unwrap();
            completion.result.unwrap();
            assert_eq!(completion.token, u64::from(round));
            assert_eq!(completion.buffer[..], filled(4, round)[..]);
            buffer = completion.buffer;
            assert_eq!(ring.in_flight(), 0);
        }
        let expected: Vec<u8> = (1..=8).flat_map(|round| vec![round; 3 * BLOCK_SIZE]).collect();
        assert_eq!(contents(&*file), expected);
        let mut media = filled(24, 0);
        file.read_media_at(&mut media, 0).unwrap();
        assert_eq!(media[..], expected);
    });
}

#[test]
fn many_writes_are_under_way_at_once() {
    on_every_disk(|disk| {
        let file = disk.create("log");
        file.allocate(0, at(200)).unwrap();
        let mut ring = disk.vfs.ring(5).unwrap();
        let mut waiting = BTreeSet::new();
        for token in 0..100 {
            if ring.in_flight() == 5 {
                let completion = ring.wait().unwrap();
                completion.result.unwrap();
                assert!(waiting.remove(&completion.token), "each write completes once");
            }
            let fill = u8::try_from(token).unwrap() + 1;
            ring.submit(&file, filled(2, fill), 2 * BLOCK_SIZE, at(token * 2), token).unwrap();
            waiting.insert(token);
        }
        ring.kick();
        while let Some(completion) = ring.wait() {
            completion.result.unwrap();
            assert!(waiting.remove(&completion.token), "each write completes once");
        }
        assert!(waiting.is_empty());
        assert_eq!(ring.in_flight(), 0);
        let expected: Vec<u8> = (1..=100).flat_map(|fill| vec![fill; 2 * BLOCK_SIZE]).collect();
        assert_eq!(contents(&*file), expected);
    });
}

#[test]
fn writes_to_several_files_share_a_ring() {
    on_every_disk(|disk| {
        let files = ["a", "b", "c"].map(|name| disk.create(name));
        let mut ring = disk.vfs.ring(3).unwrap();
        for (file, fill) in files.iter().zip(1..) {
            ring.submit(file, filled(1, fill), BLOCK_SIZE, 0, u64::from(fill)).unwrap();
        }
        while let Some(completion) = ring.wait() {
            completion.result.unwrap();
        }
        for (file, fill) in files.iter().zip(1..) {
            assert_eq!(contents(&**file), [fill; BLOCK_SIZE]);
        }
    });
}

#[test]
fn a_ring_refuses_what_it_has_no_room_for_and_what_is_not_whole_blocks() {
    on_every_disk(|disk| {
        let file = disk.create("log");
        let mut ring = disk.vfs.ring(2).unwrap();
        for (len, offset) in [(100, 0), (BLOCK_SIZE, 100), (2 * BLOCK_SIZE, 0), (0, 0)] {
            let error = ring.submit(&file, filled(1, 1), len, offset, 0).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{len} bytes at {offset}");
        }
        for token in 0..2 {
            ring.submit(&file, filled(1, 1), BLOCK_SIZE, at(token), token).unwrap();
        }
        assert_eq!(ring.in_flight(), 2);
        let error = ring.submit(&file, filled(1, 1), BLOCK_SIZE, at(2), 2).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        for _ in 0..2 {
            ring.wait().unwrap().result.unwrap();
        }
        assert_eq!(file.len().unwrap(), at(2));
    });
}

/// A ring that is dropped has to keep its buffers until the kernel has read them; here they would be freed, and
/// filled with other bytes, at once.
#[test]
fn a_dropped_ring_finishes_its_writes() {
    on_every_disk(|disk| {
        let file = disk.create("log");
        for round in 1..=20u8 {
            let mut ring = disk.vfs.ring(4).unwrap();
            for token in 0..4 {
                ring.submit(&file, filled(64, round), 64 * BLOCK_SIZE, at(token * 64), token).unwrap();
            }
            drop(ring);
            let other = filled(64, 255);
            assert_eq!(contents(&*file), vec![round; 256 * BLOCK_SIZE]);
            assert_eq!(other[0], 255);
        }
    });
}

#[test]
fn a_ring_outlives_the_thread_that_submitted_and_the_handle_of_the_file() {
    on_every_disk(|disk| {
        let mut ring = disk.vfs.ring(4).unwrap();
        let mut ring = std::thread::scope(|scope| {
            let submitting = scope.spawn(|| {
                let file = disk.create("log");
                for token in 0..4 {
                    ring.submit(&file, filled(8, 1), 8 * BLOCK_SIZE, at(token * 8), token).unwrap();
                }
                ring
            });
            submitting.join().unwrap()
        });
        for _ in 0..4 {
            ring.wait().unwrap().result.unwrap();
        }
        let file = disk.vfs.open(&disk.path("log"), READ).unwrap();
        assert_eq!(contents(&*file), vec![1; 32 * BLOCK_SIZE]);
    });
}

#[test]
fn a_ring_writes_files_of_another_disk_too() {
    on_every_disk(|disk| {
        let stranger = MemoryVfs::default();
        let file = stranger.open(Path::new("log"), NEW).unwrap();
        let mut ring = disk.vfs.ring(1).unwrap();
        ring.submit(&file, filled(1, 4), BLOCK_SIZE, 0, 0).unwrap();
        ring.wait().unwrap().result.unwrap();
        assert_eq!(contents(&*file), [4; BLOCK_SIZE]);
    });
}

#[test]
fn the_kind_tells_how_writes_are_done() {
    let write_once = |disk: &Disk| -> RingKind {
        let mut ring: Box<dyn Ring> = disk.vfs.ring(1).unwrap();
        ring.submit(&disk.create("log"), filled(1, 1), BLOCK_SIZE, 0, 0).unwrap();
        ring.wait().unwrap().result.unwrap();
        ring.kind()
    };
    on_every_disk(|disk| match disk.name {
        "memory" => assert_eq!(write_once(disk), RingKind::Simulated),
        "best means" => println!("the best means here: {:?}", write_once(disk)),
        _ => assert_eq!(write_once(disk), RingKind::Portable),
    });
    let asked = OsOptions { ring: RingChoice::IoUring, ..OsOptions::default() };
    match OsVfs::with_options(asked).ring(1) {
        Ok(ring) => assert_eq!(ring.kind(), RingKind::IoUring),
        Err(error) => println!("no io_uring here: {error}"),
    }
}

/// A ring of this depth is more than any kernel gives, so that asking for it stands for a kernel that gives none.
#[test]
fn where_io_uring_is_refused_the_portable_way_is_taken() {
    let depth = 1 << 17;
    let asked = OsOptions { ring: RingChoice::IoUring, ..OsOptions::default() };
    OsVfs::with_options(asked).ring(depth).unwrap_err();

    let disk = Disk::real("best means", OsOptions::default());
    let mut ring = disk.vfs.ring(depth).unwrap();
    assert_eq!(ring.kind(), RingKind::Portable);
    let file = disk.create("log");
    for token in 0..3 {
        ring.submit(&file, filled(1, 1), BLOCK_SIZE, at(token), token).unwrap();
    }
    while let Some(completion) = ring.wait() {
        completion.result.unwrap();
    }
    assert_eq!(contents(&*file), [1; 3 * BLOCK_SIZE]);
}
