//! Sequences of operations against a `BTreeMap`: same entries, sound pages, no page lost or freed twice, older
//! states untouched.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, ops::Bound};

use crate::common::{assert_same, assert_sound, fill, value_bytes};
use llmdb_base::TreeId;
use llmdb_btree::{Finger, NewValue, Tree, testing::VecPages};
use proptest::{collection::vec, prelude::*};

type Key = Vec<u8>;
type Model = BTreeMap<Key, Vec<u8>>;

#[derive(Clone, Debug)]
enum Op {
    Insert(Key, usize),
    /// Removes the first key at or behind this one.
    Remove(Key),
    RemoveRange(Bound<Key>, Bound<Key>),
    NextEpoch,
    Savepoint,
    Rollback,
    ForgetOldRoots,
    /// Ascending inserts behind this key.
    Run(Key, u8),
    Clear,
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        4 => any::<u16>().prop_map(|number| (number % 700).to_be_bytes().to_vec()),
        4 => vec(prop_oneof![Just(0), Just(1), Just(0xFF)], 0..9),
        2 => (0..4_u8, any::<u8>()).prop_map(|(group, number)| {
            let mut key = vec![group; 40];
            key.push(number);
            key
        }),
        1 => (vec(b'a'..b'c', 1..3), 0..1_900_usize).prop_map(|(end, len)| {
            let mut key = vec![b'k'; len.saturating_sub(end.len())];
            key.extend(end);
            key
        }),
        1 => (any::<u8>(), 1_800..=1_976_usize).prop_map(|(number, len)| {
            let mut key = vec![b'z'; len];
            key.push(number);
            key
        }),
    ]
}

fn bound() -> impl Strategy<Value = Bound<Key>> {
    prop_oneof![
        2 => key().prop_map(Bound::Included),
        2 => key().prop_map(Bound::Excluded),
        1 => Just(Bound::Unbounded),
    ]
}

fn value_len() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 0..60_usize, 4 => 200..500_usize, 2 => 1_000..2_100_usize, 1 => 2_000..20_000_usize]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        40 => (key(), value_len()).prop_map(|(key, len)| Op::Insert(key, len)),
        18 => key().prop_map(Op::Remove),
        2 => (bound(), bound()).prop_map(|(from, to)| Op::RemoveRange(from, to)),
        4 => Just(Op::NextEpoch),
        1 => Just(Op::Savepoint),
        1 => Just(Op::Rollback),
        1 => Just(Op::ForgetOldRoots),
        3 => (key(), any::<u8>()).prop_map(|(key, count)| Op::Run(key, count)),
        1 => Just(Op::Clear),
    ]
}

fn as_ref(bound: &Bound<Key>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

/// Whether `BTreeMap::range` takes these bounds.
fn in_order(from: &Bound<Key>, to: &Bound<Key>) -> bool {
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
        (Bound::Excluded(from), Bound::Excluded(to)) => from < to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
            from <= to
        }
    }
}

#[derive(Clone)]
struct World {
    pages: VecPages,
    tree: Tree,
    /// Every insert uses it, and whatever else changes the tree lifts it.
    finger: Finger,
    model: Model,
    seed: u64,
}

impl World {
    fn insert(&mut self, key: &[u8], len: usize) {
        self.seed += 1;
        let value = value_bytes(self.seed, len);
        let new = NewValue::Bytes(&value);
        let was_there = self.tree.insert_near(&mut self.pages, key, new, &mut self.finger).unwrap();
        assert_eq!(self.model.insert(key.to_vec(), value).is_some(), was_there);
    }

    fn remove(&mut self, key: &[u8]) {
        let key = self.model.range(key.to_vec()..).next().map_or(key.to_vec(), |(key, _)| key.clone());
        self.finger.lift();
        let was_there = self.tree.remove(&mut self.pages, &key).unwrap();
        assert_eq!(self.model.remove(&key).is_some(), was_there);
    }

    fn remove_range(&mut self, from: &Bound<Key>, to: &Bound<Key>) {
        let inside: Vec<Key> = if in_order(from, to) {
            self.model.range((from.clone(), to.clone())).map(|(key, _)| key.clone()).collect()
        } else {
            Vec::new()
        };
        self.finger.lift();
        let removed = self.tree.remove_range(&mut self.pages, as_ref(from), as_ref(to)).unwrap();
        assert_eq!(removed, inside.len() as u64);
        for key in inside {
            self.model.remove(&key);
        }
    }

    fn run(&mut self, key: &[u8], count: u8) {
        let key = &key[..key.len().min(1_900)];
        for number in 0..count {
            self.insert(&[key, &[number]].concat(), 30);
        }
    }
}

fn play(ops: &[Op], rests_alike: u32) {
    let tree = Tree::empty(TreeId::new(7));
    let (pages, finger) = (VecPages::default(), Finger::default());
    let mut world = World { pages, tree, finger, model: Model::new(), seed: 0 };
    world.pages.outgrow_memory(rests_alike);
    let mut saved: Option<World> = None;
    let mut old: Option<(Tree, Model)> = None;
    for op in ops {
        match op {
            Op::Insert(key, len) => world.insert(key, *len),
            Op::Remove(key) => world.remove(key),
            Op::RemoveRange(from, to) => world.remove_range(from, to),
            Op::Run(key, count) => world.run(key, *count),
            Op::NextEpoch => {
                old = Some((world.tree, world.model.clone()));
                world.pages.advance_epoch();
            }
            Op::Savepoint => {
                world.pages.advance_epoch();
                saved = Some(world.clone());
            }
            Op::Rollback => {
                if let Some(saved) = saved.take() {
                    world = saved;
                    old = None;
                }
            }
            Op::ForgetOldRoots => {
                world.pages.forget_old_roots();
                old = None;
            }
            Op::Clear => {
                world.finger.lift();
                world.tree.clear(&mut world.pages).unwrap();
                world.model.clear();
            }
        }
        assert_sound(&world.tree, &world.pages);
        assert_eq!(world.tree.entries, world.model.len() as u64);
    }
    assert_same(&world.tree, &world.pages, &world.model);
    if let Some((tree, model)) = &old {
        assert_same(tree, &world.pages, model);
    }
    world.tree.clear(&mut world.pages).unwrap();
    assert_eq!(world.pages.live(), [], "pages are left behind");
}

/// A branch on the right edge of what is removed is mended with one on the left edge of which nothing is left: its first
/// child is then the first of the two, and has no separator.
#[test]
fn a_branch_is_mended_with_one_without_children() {
    let long = |len: usize, end: u8| [vec![b'z'; len], vec![end]].concat();
    play(
        &[
            Op::Insert(vec![0, 0], 0),
            Op::Insert(long(1_800, 0), 0),
            Op::Run(vec![], 133),
            Op::Run(vec![0xFF, 0xFF], 44),
            Op::Insert(vec![0xFF], 428),
            Op::Insert(long(1_801, 0), 0),
            Op::Insert(long(1_802, 0), 26),
            Op::Insert(long(1_803, 0), 0),
            Op::RemoveRange(Bound::Included(vec![]), Bound::Excluded(vec![0xFF])),
        ],
        u32::MAX,
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_map(ops in vec(op(), 1..120), rests_alike in prop_oneof![Just(u32::MAX), 1..4_u32]) {
        play(&ops, rests_alike);
    }

    #[test]
    fn ranges_agree_with_a_map(keys in vec(key(), 0..200), from in bound(), to in bound(), turns in vec(0..3_u8, 0..200)) {
        let mut model = Model::new();
        let mut pages = VecPages::default();
        let mut tree = Tree::empty(TreeId::new(1));
        for key in keys {
            // Some in the page and some out of line.
            let value = vec![1; if key.last().is_some_and(|last| last % 5 == 0) { 3_000 } else { 150 }];
            tree.insert(&mut pages, &key, NewValue::Bytes(&value)).unwrap();
            model.insert(key, value);
        }
        let mut expected: std::collections::VecDeque<Key> = if in_order(&from, &to) {
            model.range((from.clone(), to.clone())).map(|(key, _)| key.clone()).collect()
        } else {
            Default::default()
        };
        let mut range = tree.range(&pages, as_ref(&from), as_ref(&to)).unwrap();
        // Both ends in turn, until they meet; the front also by what is at hand.
        for turn in turns.into_iter().chain(std::iter::repeat_n(0, 250)) {
            if turn == 0 && let Some((key, value)) = range.next_inline() {
                prop_assert_eq!(Some(key.to_vec()), expected.pop_front());
                prop_assert_eq!(value, &model[key][..]);
                continue;
            }
            let (found, expected) = match turn {
                2 => (range.next_back(), expected.pop_back()),
                _ => (range.next(), expected.pop_front()),
            };
            prop_assert_eq!(found.map(|entry| entry.unwrap().0.to_vec()), expected);
        }
    }
}

#[test]
fn prefixes_agree_with_a_map() {
    let mut model = Model::new();
    let mut pages = VecPages::default();
    let mut tree = Tree::empty(TreeId::new(1));
    fill(&mut tree, &mut pages, &mut model, 3_000, |seed| {
        let [a, b, c, ..] = seed.to_le_bytes();
        vec![a | 0xF0, b | 0xFE, c].into_iter().take(1 + usize::from(c % 3)).collect()
    });
    for prefix in
        [&b""[..], &[0xFF], &[0xFF, 0xFF], &[0xF3], &[0xF3, 0xFE], &[0x01], &[0xFF; 4], &[b'x'; 2_500]]
    {
        let found: Vec<Key> =
            tree.prefix(&pages, prefix).unwrap().map(|entry| entry.unwrap().0.to_vec()).collect();
        let expected: Vec<Key> = model.keys().filter(|key| key.starts_with(prefix)).cloned().collect();
        assert_eq!(found, expected, "{prefix:?}");
    }
}
