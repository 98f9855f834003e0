//! One tree of all versions, the newest of each key first; a scan seeks from key to key.

use llmdb_btree::Tree;

use super::{Count, Layout, Pages, counting::number, key};

/// Key and commit, descending, to value.
pub struct OneTree {
    pages: Pages,
    tree: Tree,
}

fn version(key_number: u32, commit: u64) -> Vec<u8> {
    [&key(key_number)[..], &(!commit).to_be_bytes()].concat()
}

impl OneTree {
    fn find(&self, pages: &Count<'_>, key_number: u32, commit: u64) -> Option<u64> {
        let (found, _) = pages.seek(&self.tree, &version(key_number, commit))?;
        found.starts_with(&key(key_number)).then(|| !number(&found, 16))
    }
}

impl Layout for OneTree {
    const NAME: &'static str = "one tree, newest first";

    fn new() -> Self {
        Self { pages: Pages::default(), tree: Pages::tree(1) }
    }

    fn put(&mut self, commit: u64, number: u32, value: &[u8]) {
        self.pages.put(&mut self.tree, &version(number, commit), value);
    }

    fn get(&self, pages: &Count<'_>, number: u32) -> bool {
        self.find(pages, number, u64::MAX).is_some()
    }

    fn get_as_of(&self, pages: &Count<'_>, number: u32, commit: u64) -> Option<u64> {
        self.find(pages, number, commit)
    }

    fn scan(&self, pages: &Count<'_>) -> usize {
        self.scan_as_of(pages, u64::MAX)
    }

    fn scan_as_of(&self, pages: &Count<'_>, commit: u64) -> usize {
        let (mut count, mut from) = (0, Vec::new());
        while let Some((found, _)) = pages.seek(&self.tree, &from) {
            let wanted = [&found[..16], &(!commit).to_be_bytes()].concat();
            let at = if wanted <= found {
                Some(found.clone())
            } else {
                pages.seek(&self.tree, &wanted).map(|row| row.0)
            };
            count += usize::from(at.is_some_and(|at| at[..16] == found[..16]));
            from = [&found[..16], &[0xFF; 9]].concat();
        }
        count
    }

    fn pages(&self) -> &Pages {
        &self.pages
    }

    fn pages_mut(&mut self) -> &mut Pages {
        &mut self.pages
    }
}
