//! Fetching the ways to many keys from the disk, before they are gone.

use llmdb_base::{ChildRef, ReadPages};

use crate::{Tree, TreeResult};

impl Tree {
    /// Asks for the leaves of `keys`, which ascend, to be fetched from the disk while the caller goes on. The branches
    /// above are read, level by level: those of a level are fetched side by side. Keys need not be in the tree.
    ///
    /// Returns how many nodes these are, leaves and branches. Cost: a way down for each key, without the leaf; a hint to the system for
    /// each page that nobody has touched.
    ///
    /// # Errors
    /// Corruption that names a branch; an I/O error.
    pub fn read_ahead<P: ReadPages>(&self, pages: &P, keys: &[&[u8]]) -> TreeResult<u64> {
        if self.is_empty() {
            return Ok(0);
        }
        let mut node_count = 1;
        let mut children = vec![self.root_ref()?; keys.len()];
        for level in (1..self.height).rev() {
            let mut last = ChildRef::NONE;
            for (child, key) in children.iter_mut().zip(keys) {
                *child = self.step_down(pages, *child, level, key)?;
                if *child != last {
                    pages.read_ahead(*child);
                    last = *child;
                    node_count += 1;
                }
            }
        }
        Ok(node_count)
    }
}
