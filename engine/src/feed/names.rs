//! Names of trees: records carry ids.

use std::{collections::BTreeMap, sync::Arc};

use llmdb_base::{Lsn, TreeId};
use llmdb_pager::Visible;
use llmdb_wal::{LogError, LogReader};

use super::outline::Outline;
use crate::{Error, Result, catalog::Catalog, engine::Shared};

/// Names that were found so far. An id never gets another name.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<TreeId, String>);

impl Names {
    /// The name of `tree`, which [`Names::learn`] has made known.
    pub fn get(&self, tree: TreeId) -> &str {
        self.0.get(&tree).map_or("", String::as_str)
    }

    /// Makes the names known of all trees that the transaction names, whose record begins behind `from`.
    ///
    /// A tree that the catalog does not have any more was dropped later, by a transaction that says its name; it is
    /// looked for ahead, up to `until`. Cost then: one reading of the log from there on.
    pub fn learn(
        &mut self,
        outline: &Outline,
        shared: &Arc<Shared>,
        mut ahead: LogReader,
        until: Lsn,
    ) -> Result<()> {
        self.0.extend(outline.named.iter().cloned());
        if self.knows_all(outline) {
            return Ok(());
        }
        // Taken before the search: what is not in it was dropped by then, and no later than `until`.
        let until = until.max(shared.feed_end());
        let guard = shared.pager.try_begin_read(Visible::Published)?;
        let trees = Catalog::decode(&guard.root().roots)?.list(&guard)?;
        self.0.extend(trees.into_iter().map(|(name, tree)| (tree.id, name)));
        while !self.knows_all(outline) {
            let record = ahead.next_record(until).map_err(|error: LogError| Error::from(error))?;
            let Some(record) = record else {
                return Err(Error::BadRecord(format!("{} changes a tree that never was", outline.txid)));
            };
            self.note_dropped(Outline::of(ahead.open(&record)?)?);
        }
        Ok(())
    }

    fn note_dropped(&mut self, later: Outline) {
        for (tree, name) in later.named {
            self.0.entry(tree).or_insert(name);
        }
    }

    fn knows_all(&self, outline: &Outline) -> bool {
        outline.trees.iter().all(|tree| self.0.contains_key(tree))
    }
}
