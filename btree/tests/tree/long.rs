//! Long random histories with high trees, deterministic.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, ops::Bound};

use crate::common::{Random, assert_same, assert_sound, value_bytes};
use llmdb_base::{PageErrorKind, TreeId};
use llmdb_btree::{NewValue, Tree, TreeError, testing::VecPages};

struct World {
    random: Random,
    pages: VecPages,
    tree: Tree,
    model: BTreeMap<Vec<u8>, Vec<u8>>,
    key_len: usize,
    value_len_max: usize,
}

impl World {
    fn new(seed: u64, key_len: usize, value_len_max: usize) -> Self {
        let tree = Tree::empty(TreeId::new(1));
        Self {
            random: Random(seed),
            pages: VecPages::default(),
            tree,
            model: BTreeMap::new(),
            key_len,
            value_len_max,
        }
    }

    /// Keys share long prefixes: they differ in the first, the middle and the last bytes.
    fn key(&mut self) -> Vec<u8> {
        let len = self.key_len - self.random.below(3);
        let mut key = vec![b'k'; len];
        for place in [0, len / 2, len - 1] {
            key[place] = u8::try_from(self.random.below(24)).unwrap();
        }
        key
    }

    fn insert(&mut self) -> Result<(), TreeError> {
        let key = self.key();
        let len = self.random.below(self.value_len_max);
        let value = value_bytes(self.random.next(), len);
        self.tree.insert(&mut self.pages, &key, NewValue::Bytes(&value))?;
        self.model.insert(key, value);
        Ok(())
    }

    fn remove(&mut self) -> Result<(), TreeError> {
        let key = self.key();
        let Some((key, _)) = self.model.range(key..).next() else {
            return Ok(());
        };
        let key = key.clone();
        assert!(self.tree.remove(&mut self.pages, &key)?);
        self.model.remove(&key);
        Ok(())
    }

    fn remove_range(&mut self) -> Result<(), TreeError> {
        let from = self.key();
        let inside: Vec<_> = self
            .model
            .range(from.clone()..)
            .take(self.random.below(60) + 1)
            .map(|(key, _)| key.clone())
            .collect();
        let Some(last) = inside.last() else {
            return Ok(());
        };
        let removed =
            self.tree.remove_range(&mut self.pages, Bound::Included(&from), Bound::Included(last))?;
        assert_eq!(removed, inside.len() as u64);
        inside.iter().for_each(|key| drop(self.model.remove(key)));
        Ok(())
    }

    /// One step; `grow` inserts more than it removes.
    fn step(&mut self, grow: bool) -> Result<(), TreeError> {
        match self.random.below(100) {
            0 => {
                self.pages.advance_epoch();
                Ok(())
            }
            1 => {
                self.pages.forget_old_roots();
                Ok(())
            }
            2 => self.remove_range(),
            below => match below < if grow { 80 } else { 20 } {
                true => self.insert(),
                false => self.remove(),
            },
        }
    }
}

#[test]
fn high_trees_grow_and_shrink() {
    let mut highest = 0;
    for (seed, key_len, value_len_max) in [(1, 1_900, 200), (2, 600, 1_500), (3, 30, 40), (4, 1_978, 20)] {
        let mut world = World::new(seed, key_len, value_len_max);
        for phase in 0..6 {
            for _ in 0..2_000 {
                world.step(phase % 2 == 0).unwrap();
            }
            assert_sound(&world.tree, &world.pages);
            highest = highest.max(world.tree.height);
        }
        assert_same(&world.tree, &world.pages, &world.model);
    }
    assert!(highest >= 6, "the trees are not high: {highest}");
}

/// Whatever allocation fails, rolling back to the savepoint leaves a sound tree, and the history goes on.
#[test]
fn failing_allocations_can_be_rolled_back() {
    let mut world = World::new(7, 700, 3_000);
    let mut failures = 0;
    for round in 0..400 {
        world.pages.advance_epoch();
        let saved = (world.pages.clone(), world.tree, world.model.clone());
        world.pages.limit_allocations(Some(world.random.next() % 12));
        let result = (0..8).try_for_each(|_| world.step(round < 300));
        world.pages.limit_allocations(None);
        if let Err(error) = result {
            assert!(
                matches!(&error, TreeError::Page(page) if matches!(page.kind(), PageErrorKind::NoSpace { .. })),
                "{error}"
            );
            (world.pages, world.tree, world.model) = saved;
            failures += 1;
        }
        assert_sound(&world.tree, &world.pages);
    }
    assert!(failures > 50, "{failures}");
    assert_same(&world.tree, &world.pages, &world.model);
}
