//! Which pages are asked for ahead of many changes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{cell::RefCell, collections::BTreeSet};

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
}

impl ReadPages for Noted<'_> {
    fn page(&self, child: ChildRef) -> PageResult<&PageBytes> {
        self.read.borrow_mut().insert(child.pgno().get());
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
    }
}

fn key(number: u32) -> Vec<u8> {
    format!("{number:08}").into_bytes()
}

fn noted<'a>(tree: &Tree, pages: &'a VecPages, numbers: impl Iterator<Item = u32>) -> (Noted<'a>, u64) {
    let noted = Noted { pages, asked: RefCell::default(), read: RefCell::default() };
    let keys: Vec<Vec<u8>> = numbers.map(key).collect();
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let leaf_count = tree.read_ahead(&noted, &keys).unwrap();
    (noted, leaf_count)
}

#[test]
fn leaves_are_asked_for_and_not_read() {
    let mut pages = VecPages::new(Verify::Header);
    let mut tree = Tree::empty(TreeId::new(1));
    let (asked, leaf_count) = noted(&tree, &pages, 0..10);
    assert_eq!((asked.asked.borrow().len(), leaf_count), (0, 0), "an empty tree has no leaf");
    for number in 0..20_000 {
        tree.insert(&mut pages, &key(number), NewValue::Bytes(&[7; 100])).unwrap();
    }
    assert!(tree.height >= 3);
    let (all, leaf_count) = noted(&tree, &pages, 0..20_000);
    assert_eq!(all.asked.borrow().len() + 1, pages.live_page_count(), "every page but the root");
    assert_eq!(all.read.borrow().len() as u64 + leaf_count, pages.live_page_count() as u64);
    let (one, leaf_count) = noted(&tree, &pages, 5_000..5_003);
    assert!((1..=2).contains(&leaf_count));
    // The leaf that a later lookup reads is among those asked for.
    let reader = Noted { pages: &pages, asked: RefCell::default(), read: RefCell::default() };
    tree.get(&reader, &key(5_001)).unwrap().unwrap();
    let mut wanted = reader.read.borrow().clone();
    wanted.remove(&tree.root.pgno().get());
    assert!(wanted.is_subset(&one.asked.borrow()));
}
