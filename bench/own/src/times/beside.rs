//! The newest versions in one tree, closed ones in another, ordered by key and by when they ended.

use std::collections::BTreeMap;

use llmdb_btree::Tree;

use super::{Count, Layout, Pages, counting::number, key};

/// Two trees: key to commit and newest value; key and end to begin and old value.
pub struct Beside {
    pages: Pages,
    current: Tree,
    closed: Tree,
}

impl Layout for Beside {
    const NAME: &'static str = "current beside history";

    fn new() -> Self {
        Self { pages: Pages::default(), current: Pages::tree(1), closed: Pages::tree(2) }
    }

    fn put(&mut self, commit: u64, number: u32, value: &[u8]) {
        let key = key(number);
        if let Some(old) = self.pages.get(&self.current, &key) {
            self.pages.put(&mut self.closed, &[&key[..], &commit.to_be_bytes()].concat(), &old);
        }
        self.pages.put(&mut self.current, &key, &[&commit.to_be_bytes(), value].concat());
    }

    fn get(&self, pages: &Count<'_>, number: u32) -> bool {
        pages.contains(&self.current, &key(number))
    }

    fn get_as_of(&self, pages: &Count<'_>, key_number: u32, commit: u64) -> Option<u64> {
        let key = key(key_number);
        let current = pages.get(&self.current, &key).map(|value| number(&value, 0));
        if current.is_some_and(|begin| begin <= commit) {
            return current;
        }
        let (found, value) = pages.seek(&self.closed, &[&key[..], &(commit + 1).to_be_bytes()].concat())?;
        let begin = number(&value, 0);
        (found.starts_with(&key) && begin <= commit).then_some(begin)
    }

    fn scan(&self, pages: &Count<'_>) -> usize {
        pages.range(&self.current, &[], None).count()
    }

    fn scan_as_of(&self, pages: &Count<'_>, commit: u64) -> usize {
        let mut found = BTreeMap::new();
        for (key, value) in pages.range(&self.current, &[], None) {
            let begin = number(value, 0);
            if begin <= commit {
                found.insert(key.to_vec(), begin);
                continue;
            }
            let row = pages.seek(&self.closed, &[key, &(commit + 1).to_be_bytes()].concat());
            if row.is_some_and(|(closed, value)| closed.starts_with(key) && number(&value, 0) <= commit) {
                found.insert(key.to_vec(), commit);
            }
        }
        found.len()
    }

    fn pages(&self) -> &Pages {
        &self.pages
    }

    fn pages_mut(&mut self) -> &mut Pages {
        &mut self.pages
    }
}
