//! The worked example of `docs/format/log.md` is what the log really writes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::{Place, append, commit, read_all};
use llmdb_base::{Lsn, StoreId};
use llmdb_wal::{Log, LogOptions, Replay, TailPolicy};

const DOCUMENT: &str = include_str!("../../../docs/format/log.md");

/// A segment that a program wrote which knew only version 1.
const VERSION_1: &str = include_str!("../fixtures/segment-1.txt");

/// The example's lines, behind "```hex".
fn example() -> Vec<(usize, Vec<u8>)> {
    let (_, text) = DOCUMENT.split_once("```hex\n").unwrap();
    let (text, _) = text.split_once("```").unwrap();
    bytes_of(text)
}

/// Pairs of offset and bytes, from lines of hexadecimal with remarks behind "|".
fn bytes_of(text: &str) -> Vec<(usize, Vec<u8>)> {
    let line = |line: &str| {
        let (offset, rest) = line.split_once(':')?;
        let bytes = rest.split('|').next()?;
        let bytes = bytes.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        Some((usize::from_str_radix(offset.trim(), 16).unwrap(), bytes))
    };
    text.lines().filter_map(line).collect()
}

#[test]
fn the_worked_example_is_what_is_written() {
    let place = Place::in_memory(LogOptions::default());
    let store = StoreId::new(0x0F0E_0D0C_0B0A_0908_0706_0504_0302_0100);
    let log = Log::create(place.vfs.clone(), &place.dir, store, Lsn::new(100), place.options).unwrap();
    append(&log, b"one").unwrap();
    commit(&log, b"");
    commit(&log, b"three");
    assert_eq!(place.segments(), ["0000000000000000.seg"]);
    let mut written = place.file("0000000000000000.seg");
    let example = example();
    assert!(example.len() > 10);
    for (offset, bytes) in example {
        let real = &mut written[offset..offset + bytes.len()];
        assert_eq!(real, bytes, "at {offset:x}: {real:02x?}");
        real.fill(0);
    }
    assert!(written.iter().all(|byte| *byte == 0), "the example leaves out zeros only");
}

#[test]
fn a_segment_of_version_1_is_read_and_gone_on_behind() {
    let place = Place::in_memory(LogOptions::default());
    let store = StoreId::new(0x0F0E_0D0C_0B0A_0908_0706_0504_0302_0100);
    let (_, lines) = VERSION_1.split_once("\n\n").unwrap();
    place.vfs.create_dir(&place.dir).unwrap();
    place.overwrite("0000000000000000.seg", 0, &[0; 0x4000]);
    for (offset, bytes) in bytes_of(lines) {
        place.overwrite("0000000000000000.seg", offset as u64, &bytes);
    }
    let open = || {
        let vfs = place.vfs.clone();
        Replay::open(vfs, &place.dir, store, Lsn::new(100), place.options, TailPolicy::Strict).unwrap()
    };
    let records = |replay: &mut Replay| -> Vec<Vec<u8>> {
        read_all(replay).unwrap().into_iter().map(|(_, bytes)| bytes).collect()
    };
    let mut replay = open();
    assert_eq!(records(&mut replay), [&b"one"[..], b"", b"three"]);
    commit(&replay.into_log().unwrap(), b"four");
    assert_eq!(place.file("0000000000000001.seg")[8], 2);
    assert_eq!(records(&mut open()), [&b"one"[..], b"", b"three", b"four"]);
}
