//! The bytes of a new store are those of the example in `docs/format/file.md`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{path::Path, sync::Arc};

use llmdb_base::StoreId;
use llmdb_pager::{Pager, PagerOptions};
use llmdb_vfs::{Create, MemoryVfs, Open, Vfs, read_exact_at};

/// The bytes that the example shows, all others zero.
fn documented() -> [u8; 512] {
    let text = include_str!("../../../docs/format/file.md");
    let example = text.split("## Example").nth(1).unwrap().split("```").nth(1).unwrap();
    let mut bytes = [0; 512];
    for line in example.lines().filter(|line| !line.is_empty()) {
        let offset = usize::from_str_radix(&line[..3], 16).unwrap();
        for (index, byte) in line[3..54].split_whitespace().enumerate() {
            bytes[offset + index] = u8::from_str_radix(byte, 16).unwrap();
        }
    }
    bytes
}

#[test]
fn a_new_store_is_the_worked_example() {
    let vfs: Arc<dyn Vfs> = Arc::new(MemoryVfs::default());
    let how = Open { write: true, create: Create::New, direct: true };
    let file = vfs.open(Path::new("example"), how).unwrap();
    let store = StoreId::new(0x0011_2233_4455_6677_8899_AABB_CCDD_EEFF);
    Pager::create(&*vfs, Arc::clone(&file), store, PagerOptions::default()).unwrap();
    let mut found = [0; 512];
    read_exact_at(&*file, &mut found, 0).unwrap();
    let expected = documented();
    let wrong: Vec<_> = (0..512).filter(|index| found[*index] != expected[*index]).collect();
    assert!(wrong.is_empty(), "bytes {wrong:03X?} differ; found {:02X?}", &found[0x1F0..]);
}
