//! What the pager promises, one subject in each module. One program, for each that is linked costs as much as it tests.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]

#[path = "../common/mod.rs"]
mod common;

mod bounds;
mod crash;
mod damage;
mod format;
mod mapped;
mod model;
mod reuse_model;
mod smoke;
