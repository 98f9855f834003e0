//! What happens to a store, one subject in each module, its story at the top. One program, for each that is linked costs as much as it tests.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]

#[path = "../common/mod.rs"]
mod common;

mod archive;
mod backup_set;
mod cut_while_open;
mod exhaustive;
mod failing_calls;
mod feed;
mod flipped_bits;
mod full_disk;
mod kill_nine;
mod long_reader;
mod long_replay;
mod mended;
mod orphans;
mod read_only_medium;
mod rotten;
mod scrub;
mod second_writer;
mod sharing;
mod sharing_damage;
mod sharing_deaths;
mod sharing_places;
mod sharing_stuck;
mod torn_log;
mod torn_meta;
mod transactions;
mod wrong_files;
