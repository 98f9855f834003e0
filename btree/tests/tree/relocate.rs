//! Pages are moved, bit by bit or at once, and the tree says the same as before, in old snapshots too.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{Random, assert_same, assert_sound, fill, value_bytes};
use llmdb_base::{ChildRef, Pgno, RunRef, TreeId};
use llmdb_btree::{MoveLimits, Moves, NewValue, Tree, testing::VecPages};

/// Moves the pages of a set, and all runs or none.
struct These {
    nodes: BTreeSet<Pgno>,
    runs: Option<BTreeSet<Pgno>>,
}

impl Moves<VecPages> for These {
    fn node(&mut self, child: ChildRef) -> bool {
        self.nodes.contains(&child.pgno())
    }

    fn has_runs(&self) -> bool {
        self.runs.is_some()
    }

    fn run(&mut self, _: &mut VecPages, run: &RunRef) -> bool {
        self.runs.as_ref().is_some_and(|runs| runs.contains(&run.first))
    }
}

const LIMITS: MoveLimits = MoveLimits { pages: 20, looks: 200 };

/// A tree of several levels in which every seventh value is a run.
fn store() -> (Tree, VecPages, BTreeMap<Vec<u8>, Vec<u8>>) {
    let (mut tree, mut pages, mut model) =
        (Tree::empty(TreeId::new(3)), VecPages::default(), BTreeMap::new());
    fill(&mut tree, &mut pages, &mut model, 3_000, |random| [&[7; 120], &random.to_be_bytes()[..]].concat());
    for (index, (key, value)) in model.iter_mut().enumerate().filter(|(index, _)| index % 7 == 0) {
        *value = value_bytes(index as u64, 5_000);
        tree.insert(&mut pages, key, NewValue::Bytes(value)).unwrap();
    }
    assert!(tree.height >= 3);
    (tree, pages, model)
}

/// Moves until nothing is left to do; in how many calls.
fn move_all(tree: &mut Tree, pages: &mut VecPages, these: &mut These) -> usize {
    let (mut from, mut calls) = (Vec::new(), 0);
    loop {
        pages.advance_epoch();
        let moved = tree.relocate(pages, &from, LIMITS, these).unwrap();
        calls += 1;
        assert!(moved.pages <= LIMITS.pages + 2 * u64::from(tree.height) + 40, "{}", moved.pages);
        match moved.next {
            Some(next) => {
                assert!(next > from);
                from = next;
            }
            None => return calls,
        }
    }
}

#[test]
fn what_is_named_is_moved_and_nothing_is_changed() {
    let (mut tree, mut pages, model) = store();
    let (before, old) = (pages.clone(), tree);
    let mut random = Random(9);
    let chosen: BTreeSet<Pgno> = pages.live().into_iter().filter(|_| random.below(3) == 0).collect();
    // Runs of these pages have numbers of their own.
    let (runs, nodes): (BTreeSet<_>, BTreeSet<_>) =
        chosen.into_iter().partition(|pgno| pgno.get() >= 1 << 32);
    assert!(nodes.len() > 30 && runs.len() > 30, "{} nodes, {} runs", nodes.len(), runs.len());
    let mut these = These { nodes, runs: Some(runs) };
    assert!(move_all(&mut tree, &mut pages, &mut these) > 5);
    assert_sound(&tree, &pages);
    assert_same(&tree, &pages, &model);
    let live: BTreeSet<Pgno> = pages.live().into_iter().collect();
    assert!(live.is_disjoint(&these.nodes) && live.is_disjoint(these.runs.as_ref().unwrap()));
    assert_same(&old, &before, &model);
}

#[test]
fn without_runs_only_branches_are_read() {
    let (mut tree, mut pages, model) = store();
    let mut nobody = These { nodes: BTreeSet::new(), runs: None };
    let root = tree.root;
    let moved = tree.relocate(&mut pages, &[], LIMITS, &mut nobody).unwrap();
    assert_eq!((moved.pages, moved.next, tree.root), (0, None, root));
    assert_same(&tree, &pages, &model);
}

#[test]
fn an_empty_tree_has_nothing_to_move() {
    let (mut tree, mut pages) = (Tree::empty(TreeId::new(3)), VecPages::default());
    let mut these = These { nodes: BTreeSet::new(), runs: Some(BTreeSet::new()) };
    assert_eq!(tree.relocate(&mut pages, &[], LIMITS, &mut these).unwrap().next, None);
}
