//! What the benches share: rows, pages side by side in memory, and the node layouts that were not chosen.
//!
//! Holds nothing that a room of the database uses.

pub mod classic;
pub mod dense;
pub mod prefetching;
pub mod rows;
pub mod times;

use llmdb_base::PageBytes;

/// A page at an address that a page of a mapping could have.
#[derive(Clone)]
#[repr(align(4096))]
pub struct Aligned(pub PageBytes);

/// A layout of nodes: a leaf with rows, a branch with separators and child numbers.
pub trait Layout {
    /// Name in the report.
    const NAME: &'static str;
    /// A leaf with as many of `rows` as fit, and how many those are.
    fn leaf(rows: &[(&[u8], &[u8])]) -> (PageBytes, usize);
    /// A branch with as many of `separators` as fit, and how many those are. The child left of them has number 1.
    fn branch(separators: &[&[u8]]) -> (PageBytes, usize);
    /// The value of `key` in a leaf.
    fn get<'p>(page: &'p PageBytes, key: &[u8]) -> Option<&'p [u8]>;
    /// Number of the child of a branch in whose range `key` falls.
    fn child(page: &PageBytes, key: &[u8]) -> Option<u64>;
    /// Calls `each` with the values of a leaf in key order.
    fn values(page: &PageBytes, each: impl FnMut(&[u8]));
}

/// The layout of the trees: cells ascending, slots of 8 bytes with heads.
pub struct Ours;

/// The longest part of `items` from which `build` makes a page, and that page.
pub fn fullest<T>(items: &[T], build: impl Fn(&[T]) -> Option<PageBytes>) -> (PageBytes, usize) {
    let mut best = ([0; llmdb_base::PAGE_SIZE], 0);
    for count in 1..=items.len() {
        let Some(page) = build(&items[..count]) else {
            break;
        };
        best = (page, count);
    }
    best
}

impl Layout for Ours {
    const NAME: &'static str = "heads in slots, cells up";

    fn leaf(rows: &[(&[u8], &[u8])]) -> (PageBytes, usize) {
        fullest(rows, llmdb_btree::testing::layout::leaf)
    }

    fn branch(separators: &[&[u8]]) -> (PageBytes, usize) {
        fullest(separators, llmdb_btree::testing::layout::branch)
    }

    #[inline]
    fn get<'p>(page: &'p PageBytes, key: &[u8]) -> Option<&'p [u8]> {
        llmdb_btree::testing::layout::leaf_get(page, key).ok().flatten()
    }

    #[inline]
    fn child(page: &PageBytes, key: &[u8]) -> Option<u64> {
        llmdb_btree::testing::layout::branch_child(page, key).ok().map(|child| child.pgno().get())
    }

    #[inline]
    fn values(page: &PageBytes, each: impl FnMut(&[u8])) {
        let _ = llmdb_btree::testing::layout::leaf_values(page, each);
    }
}
