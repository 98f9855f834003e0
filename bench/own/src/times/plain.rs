//! A collection that forgets: what the others are compared with.

use llmdb_btree::Tree;

use super::{Count, Layout, Pages, counting::number, key};

/// Key to newest value.
pub struct Plain {
    pages: Pages,
    tree: Tree,
}

impl Layout for Plain {
    const NAME: &'static str = "plain";

    fn new() -> Self {
        Self { pages: Pages::default(), tree: Pages::tree(1) }
    }

    fn put(&mut self, commit: u64, number: u32, value: &[u8]) {
        let value = [&commit.to_be_bytes(), value].concat();
        // A plain value does not say when it was written: the eight bytes stand for eight of the value.
        self.pages.put(&mut self.tree, &key(number), &value[..value.len().max(16) - 8]);
    }

    fn get(&self, pages: &Count<'_>, number: u32) -> bool {
        pages.contains(&self.tree, &key(number))
    }

    fn get_as_of(&self, pages: &Count<'_>, key_number: u32, _: u64) -> Option<u64> {
        pages.get(&self.tree, &key(key_number)).map(|value| number(&value, 0))
    }

    fn scan(&self, pages: &Count<'_>) -> usize {
        pages.range(&self.tree, &[], None).count()
    }

    fn scan_as_of(&self, pages: &Count<'_>, _: u64) -> usize {
        self.scan(pages)
    }

    fn pages(&self) -> &Pages {
        &self.pages
    }

    fn pages_mut(&mut self) -> &mut Pages {
        &mut self.pages
    }
}
