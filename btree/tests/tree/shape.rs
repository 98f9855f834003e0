//! How full pages are, how evenly they split, how short separators are.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, ops::Bound};

use crate::common::{Random, assert_same, assert_sound, value_bytes};
use llmdb_base::{ReadPages, TreeId, header};
use llmdb_btree::{CheckReport, NewValue, PageUse, Tree, TreeError, testing::VecPages};

/// Bytes of a page that cells and slots share.
const CAPACITY: u64 = 4036;

fn store(keys: impl IntoIterator<Item = Vec<u8>>, value_len: usize) -> (Tree, VecPages) {
    let (mut tree, mut pages) = (Tree::empty(TreeId::new(3)), VecPages::default());
    for key in keys {
        tree.insert(&mut pages, &key, NewValue::Bytes(&vec![0xAB; value_len])).unwrap();
    }
    (tree, pages)
}

fn leaf_fill(report: &CheckReport) -> f64 {
    report.leaf_bytes_used as f64 / (report.leaves * CAPACITY) as f64
}

fn random_key(random: &mut Random) -> Vec<u8> {
    (0..3).flat_map(|_| random.next().to_be_bytes()).collect()
}

#[test]
fn ascending_keys_leave_full_leaves() {
    let (tree, pages) =
        store((0..20_000_u64).map(|number| [&[b'k'; 16], &number.to_be_bytes()[..]].concat()), 256);
    let report = assert_sound(&tree, &pages);
    assert!(leaf_fill(&report) >= 0.95, "{report:?}");
    assert_eq!(report.leaves, 20_000_u64.div_ceil(14), "14 rows of 24 + 256 bytes fill a leaf");
}

#[test]
fn descending_keys_leave_full_leaves() {
    let (tree, pages) =
        store((0..20_000_u64).rev().map(|number| [&[b'k'; 16], &number.to_be_bytes()[..]].concat()), 256);
    assert!(leaf_fill(&assert_sound(&tree, &pages)) >= 0.95);
}

/// Several ascending runs that take turns, as rows of many devices do.
#[test]
fn ascending_runs_in_the_middle_leave_full_leaves() {
    let rows = (0..2_000_u64)
        .flat_map(|time| (0..16_u8).map(move |device| [&[device; 8], &time.to_be_bytes()[..]].concat()));
    let report = {
        let (tree, pages) = store(rows, 100);
        assert_sound(&tree, &pages)
    };
    assert!(leaf_fill(&report) >= 0.90, "{}", leaf_fill(&report));
}

#[test]
fn random_keys_split_evenly() {
    let mut random = Random(5);
    let (tree, pages) = store((0..20_000).map(|_| random_key(&mut random)), 256);
    let report = assert_sound(&tree, &pages);
    let fill = leaf_fill(&report);
    assert!((0.64..0.75).contains(&fill), "ln 2 is what even splits give, found {fill}");
}

#[test]
fn separators_of_random_keys_are_short() {
    let mut random = Random(6);
    let (tree, pages) = store((0..50_000).map(|_| random_key(&mut random)), 256);
    let report = assert_sound(&tree, &pages);
    let per_child = report.branch_bytes_used as f64 / report.leaves as f64;
    // A slot, a child reference, and a separator that needs about log256 of the number of leaves.
    assert!(per_child < 8.0 + 8.0 + 4.0, "{per_child} bytes for each child");
}

#[test]
fn separators_do_not_carry_what_follows_the_first_difference() {
    let (tree, pages) = store((0..=255_u8).map(|number| [&[number], &[7; 1_000][..]].concat()), 10);
    assert_eq!(tree.height, 2);
    let root = pages.page(tree.root).unwrap();
    assert!(header::heap_end(root) < 32 + header::count(root) * 9, "a separator of more than one byte");
}

#[test]
fn loaded_trees_are_full_and_sound_at_any_height() {
    for (count, key_len) in
        [(0, 8), (1, 8), (2, 1_900), (14, 24), (15, 24), (400, 1_900), (20_000, 24), (3_000, 700)]
    {
        let mut pages = VecPages::default();
        let mut loader = Tree::loader(TreeId::new(9));
        let mut model = BTreeMap::new();
        for number in 0..count as u64 {
            if number % 1_000 == 999 {
                pages.advance_epoch();
            }
            // The number stands last, so separators of long keys are long, and the tree is high.
            let key = [&vec![b'x'; key_len - 8], &number.to_be_bytes()[..]].concat();
            let value = value_bytes(number, 50);
            loader.push(&mut pages, &key, NewValue::Bytes(&value)).unwrap();
            model.insert(key, value);
        }
        let tree = loader.finish(&mut pages).unwrap();
        let report = assert_sound(&tree, &pages);
        assert_eq!(report.entries, count as u64);
        assert_same(&tree, &pages, &model);
        if key_len == 24 && count > 1_000 {
            assert!(leaf_fill(&report) > 0.97, "{}", leaf_fill(&report));
        }
        if count > 0 {
            let mut last = pages.clone();
            let mut loader = Tree::loader(TreeId::new(9));
            loader.push(&mut last, b"b", NewValue::Bytes(b"")).unwrap();
            assert!(matches!(
                loader.push(&mut last, b"b", NewValue::Bytes(b"")),
                Err(TreeError::NotAscending)
            ));
            loader.push(&mut last, b"c", NewValue::Bytes(b"")).unwrap();
        }
    }
}

#[test]
fn removing_most_entries_merges_pages() {
    let keys: Vec<Vec<u8>> = (0..10_000_u32).map(|number| number.to_be_bytes().to_vec()).collect();
    let (mut tree, mut pages) = store(keys.clone(), 100);
    let mut random = Random(8);
    for key in &keys {
        if random.below(20) > 0 {
            assert!(tree.remove(&mut pages, key).unwrap());
        }
    }
    let report = assert_sound(&tree, &pages);
    assert_eq!(report.underfull, 0, "{report:?}");
    assert!(leaf_fill(&report) > 0.4, "{}", leaf_fill(&report));
}

#[test]
fn shrinking_values_merges_pages() {
    let keys: Vec<Vec<u8>> = (0..3_000_u32).map(|number| number.to_be_bytes().to_vec()).collect();
    let (mut tree, mut pages) = store(keys.clone(), 500);
    for key in &keys {
        tree.insert(&mut pages, key, NewValue::Bytes(b"x")).unwrap();
    }
    assert!(leaf_fill(&assert_sound(&tree, &pages)) > 0.4);
}

#[test]
fn range_deletes_free_what_lies_between_and_leave_no_waste() {
    let keys: Vec<Vec<u8>> = (0..40_000_u32).map(|number| number.to_be_bytes().to_vec()).collect();
    let (mut tree, mut pages) = store(keys, 100);
    pages.advance_epoch();
    let mut random = Random(4);
    for _ in 0..300 {
        let from = u32::try_from(random.below(40_000)).unwrap();
        let (from, to) = (from.to_be_bytes(), (from + 120).to_be_bytes());
        tree.remove_range(&mut pages, Bound::Included(&from), Bound::Excluded(&to)).unwrap();
        assert_sound(&tree, &pages);
    }
    let report = assert_sound(&tree, &pages);
    assert!(report.underfull * 20 < report.leaves, "{report:?}");
}

#[test]
fn an_untouched_page_is_not_copied() {
    let mut random = Random(9);
    let (mut tree, mut pages) = store((0..5_000).map(|_| random_key(&mut random)), 256);
    assert_eq!(tree.height, 3);
    pages.advance_epoch();
    let before = pages.page_count();
    assert!(!tree.remove(&mut pages, b"not there").unwrap());
    assert_eq!(tree.remove_range(&mut pages, Bound::Included(b"not"), Bound::Excluded(b"nou")).unwrap(), 0);
    assert_eq!(pages.page_count(), before);
    tree.insert(&mut pages, b"key", NewValue::Bytes(b"value")).unwrap();
    assert_eq!(pages.page_count(), before + 3, "one copy for each level");
    for number in 0..10 {
        tree.insert(&mut pages, &[b'k', b'e', b'y', number], NewValue::Bytes(b"value")).unwrap();
    }
    assert!(pages.page_count() <= before + 4, "pages of this epoch change in place");
    let mut nodes = 0;
    tree.check(&pages, &mut |page_use| nodes += usize::from(matches!(page_use, PageUse::Node { .. })));
    assert_eq!(nodes, pages.live_page_count());
}
