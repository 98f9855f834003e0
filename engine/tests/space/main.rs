//! Room and time: what overwriting costs in room, compaction, long readers, and how long recovery would take.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
#[path = "../common/mod.rs"]
mod common;

mod churn;
mod compact;
mod readers;
mod recovery_time;
mod shared;
mod store;
