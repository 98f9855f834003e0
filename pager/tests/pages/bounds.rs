//! Meta pages whose checksums are right and whose counters are not what a run without accidents leaves.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{path::Path, sync::Arc};

use llmdb_base::{ChildRef, PAGE_SIZE, Pgno, StoreId, TreeId, WritePages, checksum, codec, header::PageKind};
use llmdb_pager::{Access, OpenError, Pager, PagerOptions, Pick};
use llmdb_vfs::{Create, File, MemoryVfs, Open, Vfs, read_exact_at, write_all_at};

const GENERATION: usize = 32;
const EPOCH: usize = 40;
const TXID: usize = 48;
const LSN: usize = 64;

fn forge(file: &dyn File, pgnos: &[u64], field: usize, value: u64) {
    for pgno in pgnos.iter().copied() {
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
        forge(&*file, &[0, 1, 16, 17], field, u64::MAX - 1);
        let found = open(file);
        assert!(matches!(found, Err(OpenError::NoValidMeta(_))), "field at {field}: {found:?}");
    }
}

fn checkpoint(pager: &Arc<Pager>) {
    let mut checkpoint = pager.begin_checkpoint().unwrap();
    checkpoint.write(&mut |_| ()).unwrap();
    checkpoint.finish().unwrap();
}

/// A transaction that allocates a page and frees `old`, and a checkpoint.
fn replace(pager: &Arc<Pager>, old: Option<ChildRef>) -> ChildRef {
    let mut txn = pager.begin_write();
    let new = txn.allocate(PageKind::Leaf, 0, TreeId::new(1)).unwrap();
    old.into_iter().for_each(|old| txn.free(old).unwrap());
    let state = txn.root().state();
    pager.publish(&txn.commit(state));
    checkpoint(pager);
    new
}

/// While the newest generation is given up its epoch is above that of the state that replaces it, by more than
/// an opening skips if the store was opened in between.
#[test]
fn an_older_generation_with_a_later_epoch_is_outlived() {
    let vfs = MemoryVfs::default();
    let how = Open { write: true, create: Create::New, direct: true };
    let file: Arc<dyn File> = vfs.open(Path::new("data"), how).unwrap();
    let options = PagerOptions::default();
    let pager = Pager::create(&vfs, Arc::clone(&file), StoreId::new(7), options).unwrap();
    let first = replace(&pager, None);
    replace(&pager, Some(first));
    let older = pager.older_durable();
    assert_ne!(older.epoch, pager.durable().epoch);
    drop(pager);
    // Generations 1 and 2 were the first ones, 3 is the older one now.
    forge(&*file, &[1, 17], EPOCH, older.epoch.get() + (1 << 30));
    let pager = Pager::open(&vfs, file, options, Access::ReadWrite, Pick::Newest).unwrap();
    let mut page = None;
    for _ in 0..4 {
        page = Some(replace(&pager, page));
    }
}
