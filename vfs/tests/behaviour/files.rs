//! Bytes go in at an offset and come out again.

use std::io::ErrorKind;

use llmdb_vfs::{BLOCK_SIZE, Create, Open, read_exact_at, write_all_at};

use crate::*;

#[test]
fn what_is_written_is_read_by_every_handle() {
    on_every_disk(|disk| {
        let file = disk.create("data");
        assert!(file.is_empty().unwrap());
        write_all_at(&*file, b"hello", 3).unwrap();
        assert_eq!(file.len().unwrap(), 8);
        assert_eq!(contents(&*file), b"\0\0\0hello");

        let other = disk.vfs.open(&disk.path("data"), READ).unwrap();
        assert_eq!(contents(&*other), b"\0\0\0hello");
        file.sync_data().unwrap();
        file.start_writeback(0, 8);
    });
}

#[test]
fn reads_end_with_the_file() {
    on_every_disk(|disk| {
        let file = disk.create("data");
        write_all_at(&*file, &[1; 10], 0).unwrap();
        let mut buf = [9; 16];
        assert_eq!(file.read_at(&mut buf, 4).unwrap(), 6);
        assert_eq!(buf[..7], [1, 1, 1, 1, 1, 1, 9]);
        assert_eq!(file.read_at(&mut buf, 10).unwrap(), 0);
        assert_eq!(file.read_at(&mut buf, 1 << 40).unwrap(), 0);
        assert_eq!(read_exact_at(&*file, &mut buf, 0).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn durable_writes_and_media_reads_agree_with_the_others() {
    on_every_disk(|disk| {
        let file = disk.create("data");
        write_all_at(&*file, &[1; 4 * BLOCK_SIZE], 0).unwrap();
        file.write_durable_at(&filled(2, 2), at(1)).unwrap();
        let mut expected = vec![1; 4 * BLOCK_SIZE];
        expected[BLOCK_SIZE..3 * BLOCK_SIZE].fill(2);
        assert_eq!(contents(&*file), expected);

        file.sync_data().unwrap();
        let mut media = filled(4, 0);
        file.read_media_at(&mut media, 0).unwrap();
        assert_eq!(media[..], expected);

        file.write_durable_at(&filled(1, 3), at(9)).unwrap();
        assert_eq!(file.len().unwrap(), at(10));
    });
}

#[test]
fn media_reads_know_the_end_of_the_file() {
    on_every_disk(|disk| {
        let file = disk.create("data");
        write_all_at(&*file, &[1; BLOCK_SIZE + 100], 0).unwrap();
        file.sync_data().unwrap();
        file.read_media_at(&mut filled(1, 0), 0).unwrap();
        for (blocks, offset) in [(2, 0), (1, 1), (1, 2), (3, 0)] {
            let error = file.read_media_at(&mut filled(blocks, 0), at(offset)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{blocks} blocks at block {offset}");
        }
    });
}

#[test]
fn durable_writes_ask_for_whole_blocks() {
    on_every_disk(|disk| {
        let file = disk.create("data");
        for offset in [1, 512, 4095] {
            let error = file.write_durable_at(&filled(1, 1), offset).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let error = file.read_media_at(&mut filled(1, 1), offset).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
        assert!(file.is_empty().unwrap());
    });
}

#[test]
fn allocated_space_is_zero_and_keeps_what_was_there() {
    on_every_disk(|disk| {
        let file = disk.create("data");
        write_all_at(&*file, &[1; 100], 0).unwrap();
        file.allocate(0, at(3)).unwrap();
        file.allocate(at(1), at(1)).unwrap();
        file.allocate(at(7), 0).unwrap();
        assert_eq!(file.len().unwrap(), at(3));
        let bytes = contents(&*file);
        assert_eq!(bytes[..100], [1; 100]);
        assert!(bytes[100..].iter().all(|byte| *byte == 0));
    });
}

#[test]
fn the_length_can_be_set_both_ways() {
    on_every_disk(|disk| {
        let file = disk.create("data");
        write_all_at(&*file, &[1; 100], 0).unwrap();
        file.set_len(10).unwrap();
        file.set_len(20).unwrap();
        assert_eq!(contents(&*file), [[1; 10], [0; 10]].concat());
    });
}

#[test]
fn opening_makes_files_only_when_told() {
    on_every_disk(|disk| {
        let path = disk.path("data");
        let maybe = Open { write: true, create: Create::IfMissing, direct: false };
        assert_eq!(disk.vfs.open(&path, WRITE).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(!disk.vfs.exists(&path).unwrap());
        write_all_at(&*disk.vfs.open(&path, maybe).unwrap(), b"kept", 0).unwrap();
        assert_eq!(contents(&*disk.vfs.open(&path, maybe).unwrap()), b"kept");
        assert_eq!(disk.vfs.open(&path, NEW).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(contents(&*disk.vfs.open(&path, WRITE).unwrap()), b"kept");
    });
}

#[test]
fn a_removed_file_lives_on_for_those_who_have_it_open() {
    on_every_disk(|disk| {
        let file = disk.create("data");
        write_all_at(&*file, b"still here", 0).unwrap();
        disk.vfs.remove_file(&disk.path("data")).unwrap();
        assert!(!disk.vfs.exists(&disk.path("data")).unwrap());
        assert_eq!(contents(&*file), b"still here");
    });
}

#[test]
fn many_threads_write_in_places_of_their_own() {
    on_every_disk(|disk| {
        let file = disk.create("data");
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let file = &file;
                scope.spawn(move || {
                    for round in 0..16 {
                        let offset = at(round * 4 + u64::from(thread));
                        write_all_at(&**file, &[thread + 1; BLOCK_SIZE], offset).unwrap();
                    }
                });
            }
        });
        for (block, bytes) in contents(&*file).chunks(BLOCK_SIZE).enumerate() {
            assert_eq!(usize::from(bytes[0]), block % 4 + 1);
            assert!(bytes.iter().all(|byte| *byte == bytes[0]));
        }
    });
}
