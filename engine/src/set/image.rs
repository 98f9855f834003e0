//! A data file made of the pages of backups.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use llmdb_base::{ChildRef, PAGE_SIZE, PageError, PageErrorKind, PageResult, Pgno, StoreId, TreeId};
use llmdb_btree::{PageUse, Tree, reseal_leaf};
use llmdb_pager::{
    Access, Pager, PagerOptions, Pick, ReadGuard, Visible, reseal_node, reseal_run, run_page_count,
    write_image_meta,
};
use llmdb_vfs::{Create, File, Open, Vfs, read_exact_at, write_all_at};

use super::{Finish, PageProgress, RestoreReport, chain::Link};
use crate::{
    Background, Engine, Error, Options, Result,
    catalog::Catalog,
    open::{Places, open_file, random_id},
};

/// The new data file under a name of its own until it is whole. Dropping it removes the file.
pub(super) struct Draft {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    places: Places,
    file: Arc<dyn File>,
    finished: bool,
}

impl Draft {
    pub fn create(vfs: &Arc<dyn Vfs>, to: &Path) -> Result<Self> {
        let places = Places::of(to);
        let exists =
            |path: &Path| vfs.exists(path).map_err(|error| Error::io("look for the new file", error));
        for path in [&places.data, &places.log] {
            if exists(path)? {
                return Err(Error::Misuse(format!("{} exists already", path.display())));
            }
        }
        let mut name = to.as_os_str().to_owned();
        name.push("-new");
        let path = PathBuf::from(name);
        let file = open_file(&**vfs, &path, Open { write: true, create: Create::IfMissing, direct: true })?;
        file.set_len(0).map_err(|error| Error::io("create the new file", error))?;
        Ok(Self { vfs: vfs.clone(), path, places, file, finished: false })
    }

    /// Puts the pages of every backup to their places, the later ones over the earlier.
    pub fn place(&self, links: &[Link], progress: PageProgress<'_>) -> Result<()> {
        let total = links.iter().fold(0_u64, |sum, link| sum.saturating_add(link.manifest.pages));
        let mut done = 0;
        for link in links {
            link.pages(&*self.vfs)?.read_all(&mut |first, bytes| {
                write_all_at(&*self.file, bytes, first.offset())
                    .map_err(|error| Error::io("write the restored file", error))?;
                done += (bytes.len() / PAGE_SIZE) as u64;
                if progress(done, total) { Ok(()) } else { Err(Error::Cancelled) }
            })?;
        }
        let page_count = links.last().map_or(0, |link| link.manifest.root.page_count);
        let len = page_count * PAGE_SIZE as u64;
        self.file.set_len(len).map_err(|error| Error::io("write the restored file", error))
    }

    /// Makes the file a store with an identity of its own, which shows the state of `link`.
    pub fn adopt(&self, link: &Link) -> Result<Arc<Pager>> {
        let (original, root) = (link.manifest.store, &link.manifest.root);
        let page_error = |error: PageError| broken(link, error);
        write_image_meta(&*self.file, original, root)?;
        let pages = used_pages(&self.open_pager(Access::ReadOnly)?.begin_read(Visible::Published), link)?;
        let store = random_id(&*self.vfs);
        for page in &pages {
            if let Used::Node { tree, child, level } = *page {
                self.reseal(tree, child, level, original, store).map_err(page_error)?;
            }
        }
        write_image_meta(&*self.file, store, root)?;
        let pager = self.open_pager(Access::Rebuild)?;
        pager.rebuild_map(pages.iter().map(Used::range)).map_err(page_error)?;
        Ok(pager)
    }

    fn open_pager(&self, access: Access) -> Result<Arc<Pager>> {
        let file = Arc::clone(&self.file);
        Ok(Pager::open(&*self.vfs, file, PagerOptions::default(), access, Pick::Newest)?)
    }

    /// Gives a node, and the values that it names, the checksums that they have in the store `to`.
    fn reseal(&self, tree: TreeId, child: ChildRef, level: u8, from: StoreId, to: StoreId) -> PageResult<()> {
        let pgno = child.pgno();
        let io = |source| PageError::io(format!("renew the checksum of {pgno}"), source);
        let mut page = Box::new([0; PAGE_SIZE]);
        read_exact_at(&*self.file, &mut *page, pgno.offset()).map_err(io)?;
        if level == 0 {
            reseal_leaf(&mut page, tree, pgno, &mut |run| reseal_run(&*self.file, run, from, to))?;
        }
        reseal_node(&mut page, pgno, to);
        write_all_at(&*self.file, &*page, pgno.offset()).map_err(io)
    }

    /// Makes the file whole and durable.
    pub fn make_whole(&self, pager: &Arc<Pager>, report: &mut RestoreReport) -> Result<()> {
        let mut checkpoint = pager.begin_checkpoint()?;
        checkpoint.write(&mut |_| ())?;
        checkpoint.finish_clean()?;
        let guard = pager.begin_read(Visible::Tip);
        let trees = Catalog::decode(&guard.root().roots)?.list(&guard)?;
        report.key_count = trees.iter().map(|(_, tree)| tree.entries).sum();
        report.file_bytes = pager.stats().file_pages * PAGE_SIZE as u64;
        Ok(())
    }

    /// Opens the whole file under the name that it has for now, and closes it again.
    pub fn change(&self, finish: Finish<'_>, report: &mut RestoreReport) -> Result<()> {
        let options = Options { background: Background::Manual, ..Options::default() };
        let engine = Engine::open_on(self.vfs.clone(), &self.path, options)?;
        let finished = finish(&engine);
        let keys = engine.snapshot().and_then(|snapshot| snapshot.trees());
        engine.close()?;
        finished?;
        report.key_count = keys?.iter().map(|(_, count)| count).sum();
        report.file_bytes =
            self.file.len().map_err(|error| Error::io("ask for the length of the new file", error))?;
        // The lock file of that name is of no use to anybody.
        let _ = self.vfs.remove_file(&Places::of(&self.path).lock);
        Ok(())
    }

    /// Gives the file its name.
    pub fn name(&mut self) -> Result<()> {
        let name = || {
            self.vfs.rename(&self.path, &self.places.data)?;
            self.vfs.sync_dir(&self.places.folder)
        };
        name().map_err(|error| Error::io("name the restored file", error))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.finished {
            // The draft is nobody's data; if it cannot be removed, the next restore overwrites it.
            let _ = self.vfs.remove_file(&self.path);
        }
    }
}

/// A page, or the pages of a value, that the restored state uses.
enum Used {
    Node { tree: TreeId, child: ChildRef, level: u8 },
    Run { first: Pgno, count: u64 },
}

impl Used {
    fn range(&self) -> (Pgno, u64) {
        match *self {
            Self::Node { child, .. } => (child.pgno(), 1),
            Self::Run { first, count } => (first, count),
        }
    }
}

/// Walks every tree of the state as the original had it, verifying every node, and returns what is used. Values are
/// verified when their checksums are renewed.
fn used_pages(guard: &ReadGuard, link: &Link) -> Result<Vec<Used>> {
    let mut used = Vec::new();
    let catalog = Catalog::decode(&guard.root().roots)?;
    walk(guard, &catalog.tree, link, &mut used)?;
    for (_, tree) in catalog.list(guard)? {
        walk(guard, &tree, link, &mut used)?;
    }
    Ok(used)
}

fn walk(guard: &ReadGuard, tree: &Tree, link: &Link, used: &mut Vec<Used>) -> Result<()> {
    let report = tree.check(guard, &mut |page| {
        used.push(match page {
            PageUse::Node { child, level } => Used::Node { tree: tree.id, child, level },
            PageUse::Run(run) => Used::Run { first: run.first, count: run_page_count(run.len) },
        });
    });
    report.problems.into_iter().next().map_or(Ok(()), |problem| Err(broken(link, problem)))
}

/// Files that are each what they should be, and together are not: says so of damage.
fn broken(link: &Link, error: PageError) -> Error {
    match error.kind() {
        PageErrorKind::Corruption(damage) => Error::BrokenBackup(format!(
            "{} does not fit those that it stands on: {damage}",
            link.manifest_path.display()
        )),
        _ => error.into(),
    }
}
