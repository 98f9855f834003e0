//! What transactions promise while nothing goes wrong, on a disk in memory. The same on the real disk: `portable.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
mod common;

use common::behaviour::{Disk, rows};
use llmdb_engine::Engine;

behaviour_on!(Disk::memory());

#[test]
fn in_memory_stores_work_like_others() {
    let engine = Engine::in_memory().unwrap();
    for round in 0..20u32 {
        let mut txn = engine.begin_write().unwrap();
        for key in 0..100u32 {
            txn.put(key.to_be_bytes(), round.to_le_bytes()).unwrap();
        }
        txn.commit().unwrap();
    }
    assert_eq!(rows(&engine).len(), 100);
    engine.checkpoint().unwrap();
    engine.close().unwrap();
}
