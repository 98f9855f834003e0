//! Meta pages whose checksum is right and whose counters are at their end: counting on from there must not overflow.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{path::Path, sync::Arc};

use llmdb_base::{PAGE_SIZE, Pgno, StoreId, checksum, codec};
use llmdb_pager::{Access, OpenError, Pager, PagerOptions, Pick};
use llmdb_vfs::{Create, File, MemoryVfs, Open, Vfs, read_exact_at, write_all_at};

const GENERATION: usize = 32;
const EPOCH: usize = 40;
const TXID: usize = 48;
const LSN: usize = 64;

fn forge(file: &dyn File, field: usize, value: u64) {
    for pgno in [0, 1, 16, 17] {
        let mut meta = [0; 512];
        read_exact_at(file, &mut meta, pgno * PAGE_SIZE as u64).unwrap();
        codec::put_u64(&mut meta, field, value);
        let store = StoreId::new(codec::get_u128(&meta, 16));
        let checksum = checksum::crc32c(checksum::page_seed(store, Pgno::new(pgno)), &meta[..508]);
        codec::put_u32(&mut meta, 508, checksum);
        write_all_at(file, &meta, pgno * PAGE_SIZE as u64).unwrap();
    }
}

#[test]
fn counters_at_their_end_are_damage() {
    for field in [GENERATION, EPOCH, TXID, LSN] {
        let vfs = MemoryVfs::default();
        let how = Open { write: true, create: Create::New, direct: true };
        let file: Arc<dyn File> = vfs.open(Path::new("data"), how).unwrap();
        let options = PagerOptions::default();
        Pager::create(&vfs, Arc::clone(&file), StoreId::new(7), options).unwrap();
        let open = |file| Pager::open(&vfs, file, options, Access::ReadOnly, Pick::Newest);
        assert!(open(Arc::clone(&file)).is_ok());
        forge(&*file, field, u64::MAX - 1);
        let found = open(file);
        assert!(matches!(found, Err(OpenError::NoValidMeta(_))), "field at {field}: {found:?}");
    }
}
