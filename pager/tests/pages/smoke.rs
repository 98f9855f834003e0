//! The shortest way through everything.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use crate::common::{Directory, Model, disk::Disk};
use llmdb_base::{StoreId, WritePages};
use llmdb_pager::{Access, Pager, PagerOptions, Pick, Visible};

#[test]
fn what_is_committed_and_checkpointed_is_found_again() {
    let disk = Disk::default();
    let pager = Pager::create(&disk, disk.file(), StoreId::new(1), PagerOptions::default()).unwrap();
    let mut directory = Directory::decode(&pager.tip().roots);
    let mut txn = pager.begin_write();
    directory.put(&mut txn, 3, 77).unwrap();
    directory.put_run(&mut txn, 1, 100_000, 5).unwrap();
    directory.put_run(&mut txn, 2, 400_000, 6).unwrap();
    let root = txn.commit(directory.state(1));
    pager.publish(&root);
    let mut model = Model::default();
    model.nodes.insert(3, 77);
    model.runs.insert(1, (100_000, 5));
    model.runs.insert(2, (400_000, 6));
    let guard = pager.begin_read(Visible::Published);
    directory.check(&guard, &model);
    let mut checkpoint = pager.begin_checkpoint().unwrap();
    checkpoint.write(&mut |_| ()).unwrap();
    checkpoint.finish().unwrap();
    directory.check(&guard, &model);
    assert_eq!(pager.stats().dirty_pages, 0);
    drop(guard);
    assert_eq!(Arc::strong_count(&pager), 1);
    drop(pager);

    let pager =
        Pager::open(&disk, disk.file(), PagerOptions::default(), Access::ReadWrite, Pick::Newest).unwrap();
    let guard = pager.begin_read(Visible::Published);
    let directory = Directory::decode(&guard.root().roots);
    directory.check(&guard, &model);
    assert_eq!(guard.root().txid.get(), 1);
    let skipped = pager.begin_write().epoch().get() - guard.root().epoch.get();
    assert!(skipped > 1 << 20, "births of a run that was lost must not come again");
}
