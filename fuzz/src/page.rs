//! Trees over pages of arbitrary bytes: every call ends, with an answer or an error; and what `check` calls sound
//! can be read to its end, both ways, and changed.

use std::{ops::Bound, sync::LazyLock};

use arbitrary::Arbitrary;
use llmdb_base::{ChildRef, Epoch, PAGE_SIZE, PageBytes, Pgno, RunRef, TreeId, codec, header};
use llmdb_btree::{
    Entry, NewValue, Tree, TreeResult, Value,
    testing::{VecPages, Verify},
};

use crate::disk::noise;

/// More than any way through the trees below takes, if it ends.
const STEPS_MAX: usize = 1_000_000;
const PAGES_MAX: usize = 12;
const TREE: TreeId = TreeId::new(2);

/// Pages, and what to look for in them.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    source: Source<'a>,
    key: &'a [u8],
    value_len: u16,
}

#[derive(Arbitrary, Debug)]
enum Source<'a> {
    /// Pages as they come.
    Raw { height: u8, entries: u16, bytes: &'a [u8] },
    /// Pages with headers that can be true.
    Drafts { height: u8, entries: u16, pages: Vec<Draft<'a>> },
    /// A sound tree, damaged.
    Damaged(Vec<Damage>),
}

#[derive(Arbitrary, Debug)]
struct Draft<'a> {
    level: u8,
    heap_end: Option<u16>,
    skip_len: u8,
    ascent: u16,
    cells: Vec<Cell<'a>>,
    bytes: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum Cell<'a> {
    /// A key and a value, or a child, with a slot that fits.
    Fitting { key: &'a [u8], child: u8 },
    /// A slot as it comes.
    Wild { head: u32, offset: u16, key_len: u16 },
}

#[derive(Arbitrary, Debug)]
enum Damage {
    Header { page: u8, offset: u8, byte: u8 },
    Slot { page: u8, slot: u8, offset: u8, byte: u8 },
    Anywhere { page: u8, offset: u16, byte: u8 },
    Copy { from: u8, to: u8 },
}

/// Runs one input.
///
/// # Panics
/// At a finding.
pub fn run(input: &Input<'_>) {
    let (tree, pages) = match &input.source {
        Source::Raw { height, entries, bytes } => {
            let bytes = &bytes[..bytes.len().min(PAGES_MAX * PAGE_SIZE)];
            (tree(*height, *entries), VecPages::from_bytes(bytes, Verify::Nothing))
        }
        Source::Drafts { height, entries, pages } => {
            let drafts = &pages[..pages.len().min(PAGES_MAX)];
            let mut pages = VecPages::from_bytes(&vec![0; drafts.len() * PAGE_SIZE], Verify::Nothing);
            for (draft, pgno) in drafts.iter().zip(1..) {
                draft.write(pages.raw_mut(Pgno::new(pgno)).expect("made above"));
            }
            (tree(*height, *entries), pages)
        }
        Source::Damaged(damages) => {
            let (tree, mut pages) = SAMPLE.clone();
            damages.iter().take(16).for_each(|damage| damage.apply(&mut pages));
            (tree, pages)
        }
    };
    let keys: [&[u8]; 4] = [&input.key[..input.key.len().min(2_000)], b"", b"q", &[0xFF; 40]];
    let is_sound = read_all(&tree, &pages, &keys);
    change_all(&tree, &pages, &keys[..2], usize::from(input.value_len) % 9_000, is_sound);
}

fn tree(height: u8, entries: u16) -> Tree {
    // Higher trees than allowed, too.
    let root = ChildRef::new(Pgno::new(1), Epoch::new(1));
    Tree { id: TREE, root, height: height % 40, entries: u64::from(entries) }
}

static SAMPLE: LazyLock<(Tree, VecPages)> = LazyLock::new(|| {
    let (mut tree, mut pages) = (Tree::empty(TREE), VecPages::default());
    for number in 0..90_u64 {
        let mut key = noise(number, 1 + usize::try_from(number * 7 % 25).expect("small"));
        key[0] = b'a' + key[0] % 26;
        if number % 4 == 0 {
            // Long separators make a high tree.
            key = [&[b'q'; 900], &key[..]].concat();
        }
        let value = noise(number, if number % 20 == 0 { 6_000 } else { 60 });
        tree.insert(&mut pages, &key, NewValue::Bytes(&value)).expect("nothing is damaged yet");
    }
    assert!(tree.height >= 3 && tree.check(&pages, &mut |_| {}).is_sound());
    pages.set_verify(Verify::Nothing);
    (tree, pages)
});

impl Draft<'_> {
    fn write(&self, page: &mut PageBytes) {
        let kind = if self.level == 0 { header::PageKind::Leaf } else { header::PageKind::Branch };
        header::init(page, kind, self.level, TREE, Epoch::new(1));
        let payload = &self.bytes[..self.bytes.len().min(header::PAYLOAD_END - header::PAYLOAD)];
        page[header::PAYLOAD..header::PAYLOAD + payload.len()].copy_from_slice(payload);
        let mut end = header::PAYLOAD;
        let cells = &self.cells[..self.cells.len().min(300)];
        let slots = header::PAYLOAD_END - 8 * cells.len();
        for (cell, index) in cells.iter().zip(1..) {
            let (head, offset, key_len) = match cell {
                Cell::Wild { head, offset, key_len } => (*head, *offset, *key_len),
                Cell::Fitting { key, child } => {
                    let key = &key[..key.len().min(slots.saturating_sub(end + 8)).min(1_900)];
                    let child = ChildRef::new(Pgno::new(u64::from(*child % 16)), Epoch::new(1));
                    let mut head = [0; 4];
                    let seen = key.get(usize::from(self.skip_len)..).unwrap_or_default();
                    head[..seen.len().min(4)].copy_from_slice(&seen[..seen.len().min(4)]);
                    let offset = end;
                    if end + key.len() + 8 <= slots {
                        page[end..end + key.len()].copy_from_slice(key);
                        end += key.len();
                        codec::put_u64(page, end, child.raw());
                        end += 8;
                    }
                    (u32::from_be_bytes(head), narrow(offset), narrow(key.len()))
                }
            };
            let slot = header::PAYLOAD_END - 8 * index;
            codec::put_u32(page, slot, head);
            codec::put_u16(page, slot + 4, offset);
            codec::put_u16(page, slot + 6, key_len);
        }
        header::set_count(page, cells.len());
        header::set_heap_end(page, self.heap_end.map_or(end, |end| usize::from(end) % header::PAYLOAD_END));
        header::set_skip_len(page, usize::from(self.skip_len));
        header::set_ascent(page, self.ascent);
    }
}

fn narrow(len: usize) -> u16 {
    u16::try_from(len).expect("inside a page")
}

impl Damage {
    fn apply(&self, pages: &mut VecPages) {
        let count = pages.page_count() as u64 - 1;
        let pick = |page: u8| Pgno::new(1 + u64::from(page) % count);
        let (page, offset, byte) = match *self {
            Self::Header { page, offset, byte } => (page, usize::from(offset) % header::PAYLOAD, byte),
            Self::Slot { page, slot, offset, byte } => {
                (page, header::PAYLOAD_END - 8 * (usize::from(slot) + 1) + usize::from(offset) % 8, byte)
            }
            Self::Anywhere { page, offset, byte } => (page, usize::from(offset) % PAGE_SIZE, byte),
            Self::Copy { from, to } => {
                let bytes = *pages.raw_mut(pick(from)).expect("inside");
                *pages.raw_mut(pick(to)).expect("inside") = bytes;
                return;
            }
        };
        pages.raw_mut(pick(page)).expect("inside")[offset] = byte;
    }
}

/// Steps until the end or an error; how many there were if it was the end.
fn walk<'p>(mut step: impl FnMut() -> TreeResult<Option<Entry<'p>>>) -> Option<usize> {
    for steps in 0..STEPS_MAX {
        match step() {
            Ok(Some(_)) => {}
            Ok(None) => return Some(steps),
            Err(_) => return None,
        }
    }
    panic!("a walk without end");
}

/// Everything that reads. Whether the tree is sound.
fn read_all(tree: &Tree, pages: &VecPages, keys: &[&[u8]]) -> bool {
    let mut uses = 0_usize;
    let report = tree.check(pages, &mut |_| uses += 1);
    assert!(uses < STEPS_MAX);
    let mut cursor = tree.cursor(pages);
    let forward = walk(|| cursor.next());
    walk(|| cursor.prev());
    let mut cursor = tree.cursor(pages);
    let backward = match cursor.seek_last() {
        Ok(last) => walk(|| cursor.prev()).map(|steps| steps + usize::from(last.is_some())),
        Err(_) => None,
    };
    for key in keys {
        let _ = tree.get(pages, key);
        let mut cursor = tree.cursor(pages);
        if cursor.seek(key).is_ok() {
            let _ = (cursor.prev(), cursor.next(), cursor.next());
        }
    }
    let _ = tree.multi_get(pages, keys, &mut vec![None; keys.len()]);
    for (from, to) in [
        (Bound::Unbounded, Bound::Excluded(keys[0])),
        (Bound::Excluded(keys[0]), Bound::Unbounded),
        (Bound::Included(keys[2]), Bound::Included(keys[3])),
    ] {
        if let Ok(mut range) = tree.range(pages, from, to) {
            walk(|| range.next_back().transpose());
        }
        if let Ok(mut range) = tree.range(pages, from, to) {
            walk(|| range.next().transpose());
        }
    }
    let salvaged = salvage(tree, pages);
    if report.is_sound() {
        let entries = usize::try_from(tree.entries).ok();
        assert_eq!((forward, backward), (entries, entries), "a sound tree is read to its end");
        assert_eq!(Some(salvaged), entries, "a sound tree is saved whole");
        let mut cursor = tree.cursor(pages);
        while let Ok(Some((key, _))) = cursor.next() {
            assert!(matches!(tree.get(pages, key), Ok(Some(_))), "a key of a sound tree is found");
        }
    }
    report.is_sound()
}

fn salvage(tree: &Tree, pages: &VecPages) -> usize {
    let mut last: Option<Vec<u8>> = None;
    let mut count = 0;
    let mut sink = |key: &[u8], _: Value<'_>| {
        assert!(last.as_deref().is_none_or(|last| last < key), "salvaged keys ascend");
        last = Some(key.to_vec());
        count += 1;
    };
    tree.salvage(pages, &mut sink, &mut |_| {});
    count
}

/// Everything that changes, each on a copy. What was sound stays sound.
fn change_all(tree: &Tree, pages: &VecPages, keys: &[&[u8]], value_len: usize, was_sound: bool) {
    let mut fresh = pages.clone();
    fresh.advance_epoch();
    let run = RunRef { first: Pgno::new(1), len: 1, birth: Epoch::new(1), checksum: 0 };
    let value = noise(1, value_len);
    let attempt = |change: &mut dyn FnMut(&mut Tree, &mut VecPages) -> TreeResult<()>| {
        let (mut tree, mut pages) = (*tree, fresh.clone());
        let result = change(&mut tree, &mut pages);
        if was_sound && result.is_ok() {
            let report = tree.check(&pages, &mut |_| {});
            assert!(report.is_sound(), "a change broke a sound tree: {:?}", report.problems);
        }
    };
    for key in keys {
        attempt(&mut |tree, pages| tree.insert(pages, key, NewValue::Bytes(&value)).map(drop));
        attempt(&mut |tree, pages| tree.insert(pages, key, NewValue::Run(run)).map(drop));
        attempt(&mut |tree, pages| {
            tree.remove(pages, key)?;
            tree.remove_range(pages, Bound::Included(key), Bound::Excluded(b"r")).map(drop)
        });
        attempt(&mut |tree, pages| {
            tree.remove_range(pages, Bound::Unbounded, Bound::Excluded(key)).map(drop)
        });
    }
    attempt(&mut |tree, pages| tree.clear(pages));
}
