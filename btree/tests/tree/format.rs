//! The example of `docs/format/tree.md`, byte by byte.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use llmdb_base::{PAGE_SIZE, ReadPages, TreeId, header};
use llmdb_btree::{NewValue, Tree, testing::VecPages};

const DOCUMENT: &str = include_str!("../../../docs/format/tree.md");

/// The bytes of the lines "offset: hex  | text" of the example under `title`.
fn example(title: &str) -> Vec<(usize, Vec<u8>)> {
    let (_, rest) = DOCUMENT.split_once(title).expect("the document has the example");
    let (_, rest) = rest.split_once("```text\n").expect("the example has a listing");
    let (listing, _) = rest.split_once("```").expect("the listing ends");
    listing
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(offset, rest)| {
            let hex = rest.split('|').next().unwrap();
            (
                offset.trim().parse().unwrap(),
                hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect(),
            )
        })
        .collect()
}

fn page(rows: &[(&[u8], &[u8])]) -> [u8; PAGE_SIZE] {
    let (mut tree, mut pages) = (Tree::empty(TreeId::new(3)), VecPages::default());
    for _ in 1..5 {
        pages.advance_epoch();
    }
    for (key, value) in rows {
        tree.insert(&mut pages, key, NewValue::Bytes(value)).unwrap();
    }
    *pages.page(tree.root).unwrap()
}

#[test]
fn a_leaf_with_three_rows_is_as_documented() {
    let page = page(&[(b"user/ann", b"A"), (b"user/bob", b""), (b"user/bobby", b"CC")]);
    let listing = example("## Example: a leaf with three rows");
    let mut documented = [false; PAGE_SIZE];
    for (offset, bytes) in listing {
        assert_eq!(
            page[offset..offset + bytes.len()],
            bytes,
            "at {offset}: {:02x?}",
            &page[offset..offset + bytes.len()]
        );
        documented[offset..offset + bytes.len()].fill(true);
    }
    for (offset, (byte, documented)) in page.iter().zip(documented).enumerate() {
        assert!(documented || *byte == 0, "byte {offset} is {byte} and not in the document");
    }
    assert!(header::reserved_is_zero(&page));
}
