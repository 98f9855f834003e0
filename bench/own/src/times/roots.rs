//! A plain tree whose root is kept after every commit: reading an old state is reading an old root.

use llmdb_btree::Tree;

use super::{Count, Layout, Pages, counting::number, key};

/// The roots of all commits over shared pages.
pub struct Roots {
    pages: Pages,
    roots: Vec<(u64, Tree)>,
}

impl Roots {
    fn root(&self, commit: u64) -> Tree {
        let index = self.roots.partition_point(|(begin, _)| *begin <= commit);
        self.roots[index - 1].1
    }
}

impl Layout for Roots {
    const NAME: &'static str = "a root kept per commit";

    fn new() -> Self {
        Self { pages: Pages::default(), roots: vec![(0, Pages::tree(1))] }
    }

    fn put(&mut self, commit: u64, number: u32, value: &[u8]) {
        self.pages.begin_interval();
        let mut tree = self.root(u64::MAX);
        self.pages.put(&mut tree, &key(number), &[&commit.to_be_bytes(), value].concat());
        self.roots.push((commit, tree));
    }

    fn get(&self, pages: &Count<'_>, number: u32) -> bool {
        pages.contains(&self.root(u64::MAX), &key(number))
    }

    fn get_as_of(&self, pages: &Count<'_>, key_number: u32, commit: u64) -> Option<u64> {
        pages.get(&self.root(commit), &key(key_number)).map(|value| number(&value, 0))
    }

    fn scan(&self, pages: &Count<'_>) -> usize {
        self.scan_as_of(pages, u64::MAX)
    }

    fn scan_as_of(&self, pages: &Count<'_>, commit: u64) -> usize {
        pages.range(&self.root(commit), &[], None).count()
    }

    fn pages(&self) -> &Pages {
        &self.pages
    }

    fn pages_mut(&mut self) -> &mut Pages {
        &mut self.pages
    }
}
