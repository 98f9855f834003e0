//! The worked example of `docs/format/log.md` is what the log really writes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Place, append, commit};
use llmdb_base::{Lsn, StoreId};
use llmdb_wal::{Log, LogOptions};

const DOCUMENT: &str = include_str!("../../docs/format/log.md");

/// The example's bytes, as pairs of offset and bytes: lines of hexadecimal behind "```hex", remarks behind
/// "|".
fn example() -> Vec<(usize, Vec<u8>)> {
    let (_, text) = DOCUMENT.split_once("```hex\n").unwrap();
    let (text, _) = text.split_once("```").unwrap();
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
