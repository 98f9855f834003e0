//! What was removed leaves no byte behind in the pages of the tree: neither between cells and slots, nor in a separator
//! that was made of it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
use std::{collections::BTreeSet, ops::Bound};

use crate::common::{Random, assert_sound};
use llmdb_base::{PAGE_SIZE, PageBytes, TreeId, header};
use llmdb_btree::{NewValue, Tree, testing::VecPages};

/// Bytes of a page behind which there is nothing but the reserved end.
const PAYLOAD_END: usize = PAGE_SIZE - 28;

/// Records of a subject: `who`, and what stands behind it.
fn key(who: &[u8], record: u64) -> Vec<u8> {
    [who, &[0], &record.to_be_bytes()].concat()
}

/// Subjects that share long beginnings, so that separators have to say much. They begin with a byte that is nowhere else.
fn subject(random: &mut Random) -> Vec<u8> {
    let name = ["ada.lovelace@example.", "ada.lovelace@example.org/", "grace.", "g", ""][random.below(5)];
    [b"|", name.as_bytes(), format!("{:04x}", random.next() % 500).as_bytes()].concat()
}

/// The keys that stand in a page, separators too.
fn keys_of(page: &PageBytes) -> impl Iterator<Item = &[u8]> {
    let field = |at: usize| usize::from(u16::from_le_bytes([page[at], page[at + 1]]));
    (0..header::count(page)).map(move |index| {
        let slot = PAYLOAD_END - 8 * (index + 1);
        let (offset, len) = (field(slot + 4), field(slot + 6) & 0x7FFF);
        &page[offset..offset + len]
    })
}

/// The shortest beginning of `who` that no key of the tree has.
fn telling<'a>(who: &'a [u8], keys: &BTreeSet<Vec<u8>>) -> &'a [u8] {
    let is_shared =
        |len: usize| keys.range(who[..len].to_vec()..).next().is_some_and(|key| key.starts_with(&who[..len]));
    let len = (1..=who.len()).find(|len| !is_shared(*len)).unwrap_or(who.len());
    &who[..len]
}

fn assert_no_gap_holds_anything(pages: &VecPages) {
    for pgno in pages.live() {
        let Some(page) = pages.raw(pgno) else { continue };
        let gap = header::heap_end(page)..PAYLOAD_END - 8 * header::count(page);
        assert!(page[gap].iter().all(|byte| *byte == 0), "{pgno} holds what was removed");
    }
}

#[test]
fn nothing_tells_of_who_was_removed() {
    for seed in 0..12 {
        let mut random = Random(seed);
        let (mut tree, mut pages) = (Tree::empty(TreeId::new(3)), VecPages::default());
        let mut keys = BTreeSet::new();
        let mut subjects = BTreeSet::new();
        for _ in 0..900 {
            let who = subject(&mut random);
            for record in 0..=random.next() % 6 {
                let (key, len) = (key(&who, record), random.below(200));
                tree.insert(&mut pages, &key, NewValue::Bytes(&vec![b'v'; len])).unwrap();
                keys.insert(key);
            }
            subjects.insert(who);
            if random.below(40) == 0 {
                pages.advance_epoch();
                pages.forget_old_roots();
            }
        }
        let order: Vec<Vec<u8>> = subjects.into_iter().collect();
        let mut renewed = 0;
        for _ in 0..order.len() * 3 / 4 {
            let who = &order[random.below(order.len())];
            let (from, to) = ([&who[..], &[0]].concat(), [&who[..], &[1]].concat());
            tree.remove_range(&mut pages, Bound::Included(&from), Bound::Excluded(&to)).unwrap();
            renewed += u32::from(tree.renew_separator(&mut pages, &from).unwrap());
            keys.retain(|key| !key.starts_with(&from));
            assert_no_gap_holds_anything(&pages);
            let from_telling = telling(&from, &keys);
            for pgno in pages.live() {
                let Some(page) = pages.raw(pgno) else { continue };
                let tells = keys_of(page).any(|key| key.starts_with(from_telling));
                assert!(!tells, "seed {seed}: {pgno} tells of {}", from.escape_ascii());
            }
        }
        assert!(renewed > 0, "some separator had to be made anew");
        assert_sound(&tree, &pages);
    }
}
