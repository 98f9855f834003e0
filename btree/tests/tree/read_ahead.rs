//! Which pages are asked for ahead of many changes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    ops::Bound,
};

use llmdb_base::{ChildRef, PageBytes, PageResult, ReadPages, RunRef, TreeId};
use llmdb_btree::{
    NewValue, Tree,
    testing::{VecPages, Verify},
};

/// Notes what is asked for, and what is read.
struct Noted<'a> {
    pages: &'a VecPages,
    asked: RefCell<BTreeSet<u64>>,
    read: RefCell<BTreeSet<u64>>,
    /// How often something was asked for.
    count: Cell<usize>,
    /// Read before they were asked for.
    surprises: RefCell<BTreeSet<u64>>,
}

impl<'a> Noted<'a> {
    fn new(pages: &'a VecPages) -> Self {
        let (asked, read, surprises) = Default::default();
        Self { pages, asked, read, count: Cell::new(0), surprises }
    }

    fn has_few_surprises(&self) -> bool {
        self.surprises.borrow().len() * 10 < self.read.borrow().len()
    }
}

impl ReadPages for Noted<'_> {
    fn page(&self, child: ChildRef) -> PageResult<&PageBytes> {
        let pgno = child.pgno().get();
        if self.read.borrow_mut().insert(pgno) && !self.asked.borrow().contains(&pgno) {
            self.surprises.borrow_mut().insert(pgno);
        }
        self.pages.page(child)
    }

    fn run(&self, run: &RunRef) -> PageResult<&[u8]> {
        self.pages.run(run)
    }

    fn run_part(&self, run: &RunRef, offset: u64, len: usize) -> PageResult<&[u8]> {
        self.pages.run_part(run, offset, len)
    }

    fn read_ahead(&self, child: ChildRef) {
        self.asked.borrow_mut().insert(child.pgno().get());
        self.count.set(self.count.get() + 1);
    }

    fn read_ahead_all(&self, children: &[ChildRef]) {
        children.iter().for_each(|child| self.read_ahead(*child));
    }
}

fn key(number: u32) -> Vec<u8> {
    format!("{number:08}").into_bytes()
}

fn noted<'a>(tree: &Tree, pages: &'a VecPages, numbers: impl Iterator<Item = u32>) -> (Noted<'a>, u64) {
    let noted = Noted::new(pages);
    let keys: Vec<Vec<u8>> = numbers.map(key).collect();
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let node_count = tree.read_ahead(&noted, &keys).unwrap();
    (noted, node_count)
}

#[test]
fn leaves_are_asked_for_and_not_read() {
    let mut pages = VecPages::new(Verify::Header);
    let mut tree = Tree::empty(TreeId::new(1));
    let (asked, node_count) = noted(&tree, &pages, 0..10);
    assert_eq!((asked.asked.borrow().len(), node_count), (0, 0), "an empty tree has no node");
    for number in 0..20_000 {
        tree.insert(&mut pages, &key(number), NewValue::Bytes(&[7; 100])).unwrap();
    }
    assert!(tree.height >= 3);
    let (all, node_count) = noted(&tree, &pages, 0..20_000);
    assert_eq!(all.asked.borrow().len() + 1, pages.live_page_count(), "every page but the root");
    assert_eq!(node_count, pages.live_page_count() as u64);
    let (one, node_count) = noted(&tree, &pages, 5_000..5_003);
    assert!((3..=2 * u64::from(tree.height)).contains(&node_count), "{node_count}");
    // The leaf that a later lookup reads is among those asked for.
    let reader = Noted::new(&pages);
    tree.get(&reader, &key(5_001)).unwrap().unwrap();
    let mut wanted = reader.read.borrow().clone();
    wanted.remove(&tree.root.pgno().get());
    assert!(wanted.is_subset(&one.asked.borrow()));
}

/// The leaf behind the end is not read for a hint.
#[test]
fn a_short_range_reads_no_more_than_its_leaves() {
    let mut pages = VecPages::new(Verify::Header);
    let mut tree = Tree::empty(TreeId::new(1));
    for number in 0..20_000 {
        tree.insert(&mut pages, &key(number), NewValue::Bytes(&[7; 100])).unwrap();
    }
    let noted = Noted::new(&pages);
    let rows = tree.range(&noted, Bound::Included(&key(5_000)), Bound::Unbounded).unwrap();
    let at_the_end = noted.read.borrow().len();
    assert_eq!(rows.take(150).filter(Result::is_ok).count(), 150);
    let leaf_rows = tree.entries / tree.check(&pages, &mut |_| ()).leaves;
    let leaves = 150 / usize::try_from(leaf_rows).unwrap() + 1;
    let read = noted.read.borrow().len();
    assert!(read <= at_the_end + leaves, "{read} pages, {at_the_end} of them before the first row");
}

/// Leaves of a long walk are asked for before they are read, both ways; a short walk asks for none.
#[test]
fn a_long_walk_asks_ahead() {
    let mut pages = VecPages::new(Verify::Header);
    let mut tree = Tree::empty(TreeId::new(1));
    for number in 0..20_000 {
        tree.insert(&mut pages, &key(number), NewValue::Bytes(&[7; 100])).unwrap();
    }
    for is_forward in [true, false] {
        let noted = Noted::new(&pages);
        let mut rows = tree.range(&noted, Bound::Unbounded, Bound::Unbounded).unwrap();
        let mut step = || if is_forward { rows.next() } else { rows.next_back() };
        (0..200).for_each(|_| assert!(step().unwrap().is_ok()));
        assert!(noted.asked.borrow().is_empty(), "{:?}", noted.asked);
        (200..20_000).for_each(|_| assert!(step().unwrap().is_ok()));
        // The root, branch and leaf at both ends, and the leaves before the walk is a long one.
        let surprises = noted.surprises.borrow().len();
        assert!(surprises <= 1 + 4 + 8, "{surprises} of {}", noted.read.borrow().len());
        // What was asked for is what was read: no leaf beyond, none twice.
        assert!(noted.asked.borrow().is_subset(&noted.read.borrow()));
        assert_eq!(noted.asked.borrow().len(), noted.count.get());
    }
    let walked = Noted::new(&pages);
    tree.walk(&walked, &mut |_| Ok::<_, llmdb_base::PageError>(true)).unwrap();
    assert!(walked.has_few_surprises());
}
