//! The newest state once more, from the older checkpoint and the log, in memory: nothing on the disk is changed.

use std::{path::Path, sync::Arc};

use llmdb_base::{TreeId, TxnId};
use llmdb_btree::Tree;
use llmdb_pager::{Access, OpenError, ReadGuard, Visible};
use llmdb_vfs::{OverlayVfs, Vfs};

use super::at_open::{open_pager_as, rebuild_map};
use crate::{
    Error, LogTail, Options, Result, StartFrom, catalog::Catalog, check::walk, open::Places, recovery,
};

/// The state that the older checkpoint and the log lead to.
pub(crate) struct Aside {
    guard: ReadGuard,
    catalog: Catalog,
    /// The newest transaction that any meta page names.
    newest: TxnId,
}

impl Aside {
    /// Replays the log over the older checkpoint of the store at `path`, of which the caller has the lock.
    pub(crate) fn open(vfs: &Arc<dyn Vfs>, path: &Path, options: &Options) -> Result<Self> {
        let places = Places::of(path);
        let above: Arc<dyn Vfs> = Arc::new(OverlayVfs::new(Arc::clone(vfs)));
        let options = Options {
            start_from: StartFrom::Older,
            log_tail: LogTail::Strict,
            read_only: false,
            ..options.clone()
        };
        let pager = match open_pager_as(&above, path, &options, Access::ReadWrite)? {
            Ok(pager) => pager,
            Err(OpenError::Corruption(_)) => {
                let pager = open_pager_as(&above, path, &options, Access::Rebuild)?.map_err(Error::from)?;
                rebuild_map(&pager)?;
                pager
            }
            Err(error) => return Err(error.into()),
        };
        recovery::replay(&above, &places.log, &pager, &options)?;
        let newest = pager.meta_report().newest_txid();
        let guard = pager.begin_read(Visible::Tip);
        let catalog = Catalog::decode(&guard.root().roots)?;
        Ok(Self { guard, catalog, newest })
    }

    /// Refuses unless this is the state after transaction `txid`.
    pub(crate) fn must_show(&self, txid: TxnId) -> Result<()> {
        let found = self.guard.root().txid;
        if found == txid {
            return Ok(());
        }
        Err(Error::LogCorruption(format!(
            "the older checkpoint and the log lead to {found}, and the newest commit is {txid}"
        )))
    }

    /// Refuses unless nothing is missing: every page can be read, and no checkpoint knows more.
    pub(crate) fn must_be_whole(&self) -> Result<()> {
        if self.guard.root().txid < self.newest {
            return self.must_show(self.newest);
        }
        let (found, _) = walk(&self.guard, &self.catalog, None, &mut |_| true)?;
        match found.problems.into_iter().next() {
            None => Ok(()),
            Some(problem) => {
                Err(Error::Unopenable(format!("the older checkpoint is damaged too: {}", problem.what)))
            }
        }
    }

    pub(super) fn pages(&self) -> &ReadGuard {
        &self.guard
    }

    /// The tree called `name`.
    pub(super) fn tree(&self, name: &str, id: TreeId) -> Result<Tree> {
        let found = self.catalog.find(&self.guard, name)?.filter(|tree| tree.id == id);
        found.ok_or_else(|| {
            Error::BadRecord(format!("the older checkpoint and the log know of no tree {name:?} ({id})"))
        })
    }

    pub(super) fn trees(&self) -> Result<Vec<(String, Tree)>> {
        self.catalog.list(&self.guard)
    }
}
