//! Wrong bytes lead to errors or wrong answers, never to a panic or a walk without end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::ops::Bound;

use crate::common::{Random, value_bytes};
use llmdb_base::{ChildRef, Epoch, PAGE_SIZE, Pgno, TreeId, WritePages, header};
use llmdb_btree::{
    Entry, NewValue, Tree, TreeResult, Value,
    testing::{VecPages, Verify},
};
use proptest::prelude::*;

/// Far more than any way through the trees below can take if it ends.
const STEPS_MAX: usize = 2_000_000;

fn walk<'p>(mut step: impl FnMut() -> TreeResult<Option<Entry<'p>>>) -> usize {
    let mut steps = 0;
    while let Ok(Some(_)) = step() {
        steps += 1;
        assert!(steps < STEPS_MAX, "a walk without end");
    }
    steps
}

/// Everything that reads.
fn read_all(tree: &Tree, pages: &VecPages, keys: &[&[u8]]) {
    let mut cursor = tree.cursor(pages);
    walk(|| cursor.next());
    walk(|| cursor.prev());
    let _ = cursor.seek_last();
    walk(|| cursor.prev());
    for key in keys {
        let _ = tree.get(pages, key);
        let _ = tree.first_from(pages, key);
        let mut cursor = tree.cursor(pages);
        if cursor.seek(key).is_ok() {
            let _ = (cursor.prev(), cursor.next(), cursor.next());
        }
    }
    let _ = tree.multi_get(pages, keys, &mut vec![None; keys.len()]);
    if let Ok(mut range) = tree.range(pages, Bound::Unbounded, Bound::Excluded(b"m")) {
        walk(|| range.next_back().transpose());
    }
    if let Ok(mut range) = tree.range(pages, Bound::Excluded(b"c"), Bound::Unbounded) {
        walk(|| match range.next_inline() {
            Some((key, value)) => Ok(Some((key, Value::Inline(value)))),
            None => range.next().transpose(),
        });
    }
    let mut uses = 0;
    tree.check(pages, &mut |_| uses += 1);
    assert!(uses < STEPS_MAX);
    let mut last: Option<Vec<u8>> = None;
    tree.salvage(
        pages,
        &mut |key: &[u8], _: Value<'_>| {
            assert!(last.as_deref().is_none_or(|last| last < key), "salvaged keys ascend");
            last = Some(key.to_vec());
        },
        &mut |_| {},
    );
}

/// Everything that changes, each on a copy.
fn change_all(tree: &Tree, pages: &VecPages, keys: &[&[u8]]) {
    let mut fresh = pages.clone();
    fresh.advance_epoch();
    for key in keys {
        for len in [0, 40, 1_500, 5_000] {
            let (mut tree, mut pages) = (*tree, fresh.clone());
            let _ = tree.insert(&mut pages, key, NewValue::Bytes(&value_bytes(1, len)));
        }
        let (mut tree, mut pages) = (*tree, fresh.clone());
        let _ = tree.remove(&mut pages, key);
        let _ = tree.remove_range(&mut pages, Bound::Included(key), Bound::Unbounded);
        let _ = tree.clear(&mut pages);
    }
}

fn sample() -> (Tree, VecPages, Vec<Vec<u8>>) {
    let (mut tree, mut pages) = (Tree::empty(TreeId::new(2)), VecPages::default());
    let mut random = Random(3);
    let mut keys = Vec::new();
    for number in 0..150 {
        let len = 1 + random.below(30);
        let mut key = value_bytes(random.next(), len);
        key[0] = b'a' + key[0] % 26;
        if number % 4 == 0 {
            // Long separators make a high tree.
            key = [&[b'q'; 900], &key[..]].concat();
        }
        let value_len = random.below(if number % 20 == 0 { 6_000 } else { 120 });
        tree.insert(&mut pages, &key, NewValue::Bytes(&value_bytes(number, value_len))).unwrap();
        keys.push(key);
    }
    assert!(tree.height >= 3, "{}", tree.height);
    (tree, pages, keys)
}

#[test]
fn flipped_bits_do_no_harm() {
    let (tree, mut pages, keys) = sample();
    pages.set_verify(Verify::Nothing);
    let keys: Vec<&[u8]> = keys.iter().step_by(12).map(Vec::as_slice).collect();
    let page_count = pages.page_count();
    let mut random = Random(11);
    for _ in 0..1_500 {
        let mut damaged = pages.clone();
        for _ in 0..1 + random.below(3) {
            let pgno = Pgno::new(1 + random.below(page_count - 1) as u64);
            let page = damaged.raw_mut(pgno).unwrap();
            // Mostly where structure is: the header, or the slots at the end.
            let bytes = header::count(page).min(500) * 8;
            let place = match random.below(4) {
                0 => random.below(header::PAYLOAD),
                1 => random.below(PAGE_SIZE),
                _ => header::PAYLOAD_END - 1 - random.below(bytes.max(1)),
            };
            page[place] ^= 1 << random.below(8);
        }
        read_all(&tree, &damaged, &keys[..4]);
        change_all(&tree, &damaged, &keys[..3]);
    }
}

#[test]
fn swapped_pages_do_no_harm() {
    let (tree, mut pages, keys) = sample();
    pages.set_verify(Verify::Nothing);
    let keys: Vec<&[u8]> = keys.iter().step_by(12).map(Vec::as_slice).collect();
    let page_count = pages.page_count();
    let mut random = Random(12);
    for _ in 0..300 {
        let mut damaged = pages.clone();
        let from = *damaged.raw_mut(Pgno::new(1 + random.below(page_count - 1) as u64)).unwrap();
        *damaged.raw_mut(Pgno::new(1 + random.below(page_count - 1) as u64)).unwrap() = from;
        read_all(&tree, &damaged, &keys[..4]);
        change_all(&tree, &damaged, &keys[..3]);
    }
}

/// Branches whose children are all the same page, on every level: 400^7 ways down.
#[test]
fn a_tree_that_shares_its_pages_is_left_soon() {
    let mut pages = VecPages::new(Verify::Nothing);
    let tree_id = TreeId::new(2);
    let mut tree = Tree::empty(tree_id);
    tree.insert(&mut pages, b"key", NewValue::Bytes(b"value")).unwrap();
    tree.insert(&mut pages, b"kez", NewValue::Bytes(b"value")).unwrap();
    let mut child = tree.root;
    for level in 1..8 {
        let branch = pages.allocate(header::PageKind::Branch, level, tree_id).unwrap();
        write_branch(pages.page_mut(branch).unwrap(), child, 200);
        child = branch;
    }
    let tree = Tree { root: child, height: 8, ..tree };
    assert!(!tree.check(&pages, &mut |_| {}).is_sound());
    read_all(&tree, &pages, &[b"key", b"a"]);
    change_all(&tree, &pages, &[b"key", b"a"]);
}

/// A branch with `count` children, all of them `child`, and separators of two bytes.
fn write_branch(page: &mut [u8; PAGE_SIZE], child: ChildRef, count: usize) {
    let mut end = header::PAYLOAD;
    for index in 0..count {
        let key = u16::try_from(index).unwrap().to_be_bytes();
        let key = if index == 0 { &key[..0] } else { &key[..] };
        page[end..end + key.len()].copy_from_slice(key);
        page[end + key.len()..end + key.len() + 8].copy_from_slice(&child.raw().to_le_bytes());
        let slot = header::PAYLOAD_END - 8 * (index + 1);
        let head = if index == 0 { 0 } else { u32::try_from(index << 16).unwrap() };
        page[slot..slot + 4].copy_from_slice(&head.to_le_bytes());
        page[slot + 4..slot + 6].copy_from_slice(&u16::try_from(end).unwrap().to_le_bytes());
        page[slot + 6..slot + 8].copy_from_slice(&u16::try_from(key.len()).unwrap().to_le_bytes());
        end += key.len() + 8;
    }
    header::set_count(page, count);
    header::set_heap_end(page, end);
}

#[test]
fn salvage_gets_everything_but_what_is_lost() {
    let (tree, mut pages, keys) = sample();
    let leaf = {
        let mut leaves = Vec::new();
        tree.check(&pages, &mut |page_use| {
            if let llmdb_btree::PageUse::Node { child, level: 0 } = page_use {
                leaves.push(child);
            }
        });
        leaves[leaves.len() / 2]
    };
    let mut below = Vec::new();
    tree.salvage_leaf(&pages, leaf, &mut |key, _| below.push(key.to_vec()), &mut |lost| panic!("{lost:?}"));
    pages.raw_mut(leaf.pgno()).unwrap().fill(0);
    let (mut found, mut losses) = (Vec::new(), Vec::new());
    tree.salvage(&pages, &mut |key, _| found.push(key.to_vec()), &mut |lost| {
        losses.push((lost.pgno, lost.from.map(<[u8]>::to_vec), lost.below.map(<[u8]>::to_vec)));
    });
    let [(pgno, from, to)] = &losses[..] else { panic!("{losses:?}") };
    assert_eq!(*pgno, leaf.pgno());
    assert!(below.iter().all(|key| from.as_ref().unwrap() <= key && key < to.as_ref().unwrap()));
    let mut expected: Vec<_> = keys.into_iter().filter(|key| !below.contains(key)).collect();
    expected.sort();
    assert_eq!(found, expected);
    let report = tree.check(&pages, &mut |_| {});
    assert_eq!(report.problems.len(), 2, "the page, and the count of entries: {:?}", report.problems);
    assert!(report.problems[0].to_string().starts_with(&leaf.pgno().to_string()), "{}", report.problems[0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Pages of noise behind headers that pass for nodes.
    #[test]
    fn arbitrary_pages_do_no_harm(seed in any::<u64>(), height in 1..5_u8, dense in any::<bool>()) {
        let mut random = Random(seed);
        let mut pages = VecPages::from_bytes(&vec![0; 12 * PAGE_SIZE], Verify::Nothing);
        for pgno in 1..=12 {
            scribble(pages.raw_mut(Pgno::new(pgno)).unwrap(), &mut random, height, dense);
        }
        let tree = Tree { id: TreeId::new(2), root: ChildRef::new(Pgno::new(1), Epoch::new(1)), height, entries: 100 };
        read_all(&tree, &pages, &[b"", b"key", &[0xFF; 50]]);
        change_all(&tree, &pages, &[b"", b"key", &[0xFF; 50]]);
    }
}

fn scribble(page: &mut [u8; PAGE_SIZE], random: &mut Random, height: u8, dense: bool) {
    for byte in page.iter_mut() {
        // Small numbers make more sense as page numbers, offsets and lengths.
        *byte = if random.below(3) == 0 {
            random.next().to_le_bytes()[0]
        } else {
            u8::try_from(random.below(13)).unwrap()
        };
    }
    let level = u8::try_from(random.below(usize::from(height))).unwrap();
    let kind = if level == 0 { header::PageKind::Leaf } else { header::PageKind::Branch };
    let noise = *page;
    header::init(page, kind, level, TreeId::new(2), Epoch::new(1));
    page[header::PAYLOAD..].copy_from_slice(&noise[header::PAYLOAD..]);
    let count = 1 + random.below(if dense { 400 } else { 8 });
    header::set_count(page, count);
    let slots_start = header::PAYLOAD_END - 8 * count;
    header::set_heap_end(page, header::PAYLOAD + random.below(slots_start - header::PAYLOAD));
    header::set_skip_len(page, random.below(4));
    if dense {
        for index in 0..count {
            let slot = header::PAYLOAD_END - 8 * (index + 1);
            let offset =
                u16::try_from(header::PAYLOAD + index * (slots_start - header::PAYLOAD) / count).unwrap();
            page[slot + 4..slot + 6].copy_from_slice(&offset.to_le_bytes());
            page[slot + 6..slot + 8].copy_from_slice(&u16::try_from(random.below(6)).unwrap().to_le_bytes());
        }
    }
}
