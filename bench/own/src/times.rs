//! Layouts for facts that change: what each reads and writes, counted in pages and bytes, not in time.
//!
//! A commit is one put of one key "from now on". All layouts stand on the trees of the database, over pages in memory.

mod base;
mod beside;
mod counting;
mod one_tree;
mod plain;
mod roots;

pub use base::Epochs;
pub use beside::Beside;
pub use counting::{Count, Pages};
pub use one_tree::OneTree;
pub use plain::Plain;
pub use roots::Roots;

/// Bytes of the log's begin and commit, which every transaction pays.
pub const LOG_FRAME_BYTES: u64 = 32;
/// Bytes of the log's header of one put.
pub const LOG_PUT_BYTES: u64 = 16;

/// A key of 16 bytes.
pub fn key(number: u32) -> [u8; 16] {
    let mut key = *b"memory/fact/....";
    key[12..].copy_from_slice(&number.to_be_bytes());
    key
}

/// A layout of a collection whose every version can be asked for.
pub trait Layout {
    /// Name in the report.
    const NAME: &'static str;

    /// The collection before the first commit.
    fn new() -> Self;

    /// Commit number `commit`, above all before: `key` is `value` from now on.
    fn put(&mut self, commit: u64, key: u32, value: &[u8]);

    /// Whether `key` is there now.
    fn get(&self, pages: &Count<'_>, key: u32) -> bool;

    /// Whether `key` was there after `commit`, the value of which begins with the number of its own commit.
    fn get_as_of(&self, pages: &Count<'_>, key: u32, commit: u64) -> Option<u64>;

    /// Number of keys now.
    fn scan(&self, pages: &Count<'_>) -> usize;

    /// Number of keys after `commit`.
    fn scan_as_of(&self, pages: &Count<'_>, commit: u64) -> usize;

    /// The pages, and how many bytes the log took for the puts.
    fn pages(&self) -> &Pages;

    /// The same, to begin an interval.
    fn pages_mut(&mut self) -> &mut Pages;

    /// Bytes of the log that no put paid for, but work behind it.
    fn work_bytes(&self) -> u64 {
        0
    }
}
