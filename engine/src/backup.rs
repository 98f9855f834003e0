//! Hot backup: a snapshot written as a new, compact store, while the original goes on.

use std::{path::Path, path::PathBuf, sync::Arc};

use llmdb_base::{Lsn, ReadPages, RunRef, TreeId, TxnId, WritePages};
use llmdb_btree::{Loader, NewValue, Tree, Value};
use llmdb_pager::{PageTxn, Pager, PagerOptions, RootRecord, RootState};
use llmdb_vfs::{Create, Open, Vfs};

use crate::{
    Commit, Engine, Error, Result, Snapshot,
    catalog::Catalog,
    open::{Places, force_names, open_file, random_id},
};

/// What a backup holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BackupReport {
    /// The last commit that it holds.
    pub commit: Commit,
    /// Number of trees.
    pub tree_count: u64,
    /// Number of keys in all trees.
    pub key_count: u64,
    /// Size of the new data file in bytes.
    pub file_bytes: u64,
}

/// Keys copied so far and keys in all. Answering `false` stops the copy.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

impl Engine {
    /// Writes the newest durable state to a new data file at `to`, compact and in key order, while readers and
    /// writers go on. The file appears under its name only once it is whole and durable.
    ///
    /// The copy is a store of its own: another identity, the same trees, keys, values, transaction id and time.
    /// Cost: reads every page of the snapshot, verifying it; writes about as much as the live data.
    ///
    /// # Errors
    /// [`Error::Misuse`] if `to` exists; [`Error::Cancelled`]; [`Error::Corruption`] if the store is damaged
    /// (see [`crate::SalvageReport`] for saving the rest); [`Error::Io`], [`Error::NoSpace`].
    pub fn backup(&self, to: impl AsRef<Path>, progress: Progress<'_>) -> Result<BackupReport> {
        let snapshot = self.snapshot()?;
        let mut copy = Copy::create(&self.shared.vfs, to.as_ref())?;
        copy_trees(&snapshot, &mut copy, progress)?;
        snapshot.check_intact()?;
        copy.finish(*snapshot.pages().root())
    }
}

fn copy_trees(snapshot: &Snapshot, copy: &mut Copy, progress: Progress<'_>) -> Result<()> {
    let trees = snapshot.catalog().list(snapshot.pages())?;
    let total = trees.iter().fold(0_u64, |sum, (_, tree)| sum.saturating_add(tree.entries));
    for (name, tree) in trees {
        let mut sink = copy.begin_tree(tree.id);
        let mut cursor = tree.cursor(snapshot.pages());
        let mut entry = cursor.first()?;
        while let Some((key, value)) = entry {
            copy.push(&mut sink, snapshot.pages(), key, &value)?;
            if copy.keys.is_multiple_of(1024) && !progress(copy.keys, total) {
                return Err(Error::Cancelled);
            }
            entry = cursor.next()?;
        }
        copy.end_tree(sink, &name)?;
    }
    progress(copy.keys, total);
    Ok(())
}

/// A new data file being filled, under a name of its own until it is whole. Dropping it removes the file.
pub(crate) struct Copy {
    vfs: Arc<dyn Vfs>,
    draft: PathBuf,
    places: Places,
    pager: Arc<Pager>,
    pages: Option<PageTxn>,
    catalog: Catalog,
    pub(crate) keys: u64,
    trees: u64,
    finished: bool,
}

impl Copy {
    /// Begins a new data file for `to`, which must not exist.
    pub(crate) fn create(vfs: &Arc<dyn Vfs>, to: &Path) -> Result<Self> {
        let places = Places::of(to);
        if vfs.exists(to).map_err(|error| Error::io("look for the new file", error))? {
            return Err(Error::Misuse(format!("{} exists already", to.display())));
        }
        let mut name = to.as_os_str().to_owned();
        name.push("-new");
        let draft = PathBuf::from(name);
        let file = open_file(&**vfs, &draft, Open { write: true, create: Create::IfMissing, direct: true })?;
        file.set_len(0).map_err(|error| Error::io("create the new file", error))?;
        let pager = Pager::create(&**vfs, file, random_id(&**vfs), PagerOptions::default())?;
        let pages = Some(pager.begin_write());
        let catalog = Catalog::empty();
        Ok(Self {
            vfs: vfs.clone(),
            draft,
            places,
            pager,
            pages,
            catalog,
            keys: 0,
            trees: 0,
            finished: false,
        })
    }

    pub(crate) fn begin_tree(&self, id: TreeId) -> Loader {
        Tree::loader(id)
    }

    /// Adds a row; keys must ascend.
    pub(crate) fn push<P: ReadPages>(
        &mut self,
        tree: &mut Loader,
        from: &P,
        key: &[u8],
        value: &Value<'_>,
    ) -> Result<()> {
        let pages = self.pages.as_mut().expect("taken only by finish");
        match value {
            Value::Inline(bytes) => tree.push(pages, key, NewValue::Bytes(bytes))?,
            Value::Run(run) => {
                let copied = copy_run(from, pages, run)?;
                tree.push(pages, key, NewValue::Run(copied))?;
            }
        }
        self.keys += 1;
        Ok(())
    }

    pub(crate) fn end_tree(&mut self, tree: Loader, name: &str) -> Result<()> {
        let pages = self.pages.as_mut().expect("taken only by finish");
        let tree = tree.finish(pages)?;
        self.catalog.set(pages, name, &tree)?;
        self.trees += 1;
        Ok(())
    }

    /// Makes the file whole and durable, and gives it its name. `root` says which commit it holds.
    pub(crate) fn finish(mut self, root: RootRecord) -> Result<BackupReport> {
        let pages = self.pages.take().expect("taken only here");
        let roots = self.catalog.encode();
        let mut state = RootState { txid: root.txid, timestamp: root.timestamp, lsn: root.lsn, roots };
        if state.check_room().is_err() {
            // Numbers that no store gets to by itself: the copy counts from the beginning.
            (state.txid, state.lsn) = (TxnId::new(0), Lsn::new(0));
        }
        let root = pages.commit(state);
        self.pager.publish(&root);
        let mut checkpoint = self.pager.begin_checkpoint()?;
        checkpoint.write(&mut |_| ())?;
        checkpoint.finish_clean()?;
        let file_bytes = self.pager.stats().file_pages * llmdb_base::PAGE_SIZE as u64;
        let renamed = self.vfs.rename(&self.draft, &self.places.data);
        renamed.map_err(|error| Error::io("create the new file", error))?;
        force_names(&*self.vfs, &self.places.folder)?;
        self.finished = true;
        Ok(BackupReport {
            commit: Commit::of(&root),
            tree_count: self.trees,
            key_count: self.keys,
            file_bytes,
        })
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.finished {
            // The draft is nobody's data; if it cannot be removed, the next backup overwrites it.
            let _ = self.vfs.remove_file(&self.draft);
        }
    }
}

pub(crate) fn copy_run<P: ReadPages>(from: &P, to: &mut PageTxn, run: &RunRef) -> Result<RunRef> {
    const CHUNK_BYTES: usize = 1 << 20;
    // A damaged page may name a run that is not there, of any length: no room is made for such.
    from.run_part(run, 0, 0)?;
    let mut writer = to.begin_run(run.len)?;
    while writer.written < run.len {
        let want = CHUNK_BYTES.min(usize::try_from(run.len - writer.written).unwrap_or(CHUNK_BYTES));
        let piece = from.run_part(run, writer.written, want)?;
        to.append_run(&mut writer, piece)?;
    }
    Ok(to.finish_run(writer)?)
}
