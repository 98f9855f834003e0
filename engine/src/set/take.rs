//! Taking a backup of a store in use.
//!
//! A backup holds the state of a checkpoint that is made for it. Were it any other, a crash could go back behind that
//! state, and the pages born since would not follow from those that the backup has: the next backup that stands on
//! this one would leave out pages that it needs.

use std::path::Path;

use llmdb_base::{ChildRef, Epoch, PAGE_SIZE, Pgno, ReadPages, RunRef, header};
use llmdb_btree::{PageUse, Tree};
use llmdb_pager::{ReadGuard, Visible};
use llmdb_vfs::{Create, Open, Vfs, write_all_at};

use super::{
    PageProgress, SetBackup,
    chain::{Chain, Link, paths},
    manifest::Manifest,
    pages::PagesWriter,
};
use crate::{
    Engine, Error, Result,
    catalog::Catalog,
    engine::Shared,
    open::{open_file, random_id},
};

impl Engine {
    /// Begins a backup set in the folder `set`, which is made if it is missing, with a full backup: every page of the
    /// newest state. Readers and writers go on; the backup is whole and durable, or nothing, when this returns.
    ///
    /// Cost: a checkpoint, for which the log is forced, and reading and writing every live page. What changes
    /// meanwhile takes new pages, since those of the backup are held until it ends.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the set has a backup already; [`Error::Cancelled`]; [`Error::Corruption`];
    /// [`Error::Io`], [`Error::NoSpace`], [`Error::Poisoned`].
    pub fn backup_full(&self, set: impl AsRef<Path>, progress: PageProgress<'_>) -> Result<SetBackup> {
        let set = set.as_ref();
        let vfs = &*self.shared.vfs;
        if !Chain::open(vfs, set)?.links.is_empty() {
            let what = format!(
                "{} has a full backup already: add an incremental one, or begin another set",
                set.display()
            );
            return Err(Error::Misuse(what));
        }
        vfs.create_dir(set).map_err(|error| Error::io("make the folder of the backup set", error))?;
        let parent = set.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        vfs.sync_dir(parent).map_err(|error| Error::io("make the folder of the backup set", error))?;
        take(&self.shared, set, None, progress)
    }

    /// Adds a backup to the set in the folder `set` that holds only the pages born since the last one in it.
    ///
    /// Cost: as [`Engine::backup_full`], but only branches that changed are entered, and only pages that are new
    /// are read and written.
    ///
    /// # Errors
    /// [`Error::Missing`] if the set has no full backup; [`Error::BrokenBackup`] if the chain of manifests is
    /// broken; [`Error::Misuse`] if the set is of another store, or knows of commits that this one has not, or its last backup
    /// shows a checkpoint that the store may have given up since, for the older one: then begin another set; the rest
    /// as [`Engine::backup_full`].
    pub fn backup_incremental(&self, set: impl AsRef<Path>, progress: PageProgress<'_>) -> Result<SetBackup> {
        let set = set.as_ref();
        let chain = Chain::open_existing(&*self.shared.vfs, set)?;
        take(&self.shared, set, chain.links.last(), progress)
    }
}

fn take(shared: &Shared, set: &Path, base: Option<&Link>, progress: PageProgress<'_>) -> Result<SetBackup> {
    let store = shared.pager.store_id();
    if let Some(base) = base
        && base.manifest.store != store
    {
        let other = base.manifest.store;
        return Err(Error::Misuse(format!("{} is a set of store {other}, not of {store}", set.display())));
    }
    let guard = shared.hold_checkpoint()?;
    let root = *guard.root();
    if let Some(base) = base
        && (base.manifest.root.txid > root.txid || base.manifest.root.epoch > root.epoch)
    {
        let what = format!(
            "{} holds {}, and the store is at {}: it was set back since; begin another set",
            set.display(),
            base.manifest.root.txid,
            root.txid
        );
        return Err(Error::Misuse(what));
    }
    if let Some(base) = base
        && shared.pager.has_given_up(base.manifest.root.epoch)
    {
        let what = format!(
            "{} holds {} in a checkpoint that the store may have gone back behind since (it was damaged, or the older one \
             was asked for): what was changed since it cannot be told; begin another set with a full backup",
            set.display(),
            base.manifest.root.txid
        );
        return Err(Error::Misuse(what));
    }
    let vfs = &*shared.vfs;
    let number = base.map_or(0, |base| base.manifest.number + 1);
    let backup = random_id(vfs).get();
    let (manifest_path, pages_path) = paths(set, number);
    let (manifest_draft, pages_draft) =
        (manifest_path.with_extension("json-new"), pages_path.with_extension("pages-new"));
    let drafts = Drafts { vfs, paths: [&manifest_draft, &pages_draft] };
    let writer = PagesWriter::create(vfs, &pages_draft, store, backup, number)?;
    let since = base.map(|base| base.manifest.root.epoch);
    let total = shared.pager.stats().live_pages;
    let writer = Walk { guard: &guard, since, writer, total, progress }.store()?;
    guard.check_intact()?;
    let pages = writer.pages;
    let file = writer.finish()?;
    let base = base.map(Link::as_base);
    let taken_us = vfs.now().get();
    let manifest = Manifest { backup, store, number, base, root, pages, taken_us, file };
    write_text(vfs, &manifest_draft, &manifest.encode())?;
    // The manifest last: without it, the pages are nothing.
    let name = || {
        vfs.rename(&pages_draft, &pages_path)?;
        vfs.sync_dir(set)?;
        vfs.rename(&manifest_draft, &manifest_path)?;
        vfs.sync_dir(set)
    };
    name().map_err(|error| Error::io("name the backup", error))?;
    drop(drafts);
    let chain = Chain::open_existing(vfs, set)?;
    let taken = chain.links.last().filter(|link| link.manifest == manifest);
    taken.map(Link::describe).ok_or_else(|| {
        Error::BrokenBackup(format!("{} was changed while the backup was written", manifest_path.display()))
    })
}

/// Removes what is left of drafts: nobody's data. What cannot be removed is overwritten by the next backup.
struct Drafts<'a> {
    vfs: &'a dyn Vfs,
    paths: [&'a Path; 2],
}

impl Drop for Drafts<'_> {
    fn drop(&mut self) {
        for path in self.paths {
            let _ = self.vfs.remove_file(path);
        }
    }
}

pub(super) fn write_text(vfs: &dyn Vfs, path: &Path, text: &str) -> Result<()> {
    let file = open_file(vfs, path, Open { write: true, create: Create::IfMissing, direct: false })?;
    let write = || {
        file.set_len(0)?;
        write_all_at(&*file, text.as_bytes(), 0)?;
        file.sync_data()
    };
    write().map_err(|error| Error::io("write the manifest", error))
}

/// Goes through the pages of a state and writes those that are new.
struct Walk<'a, 'p> {
    guard: &'a ReadGuard,
    /// Pages born later are new; all, if there is no base.
    since: Option<Epoch>,
    writer: PagesWriter,
    total: u64,
    progress: PageProgress<'p>,
}

impl Walk<'_, '_> {
    fn store(mut self) -> Result<PagesWriter> {
        let guard = self.guard;
        let catalog = Catalog::decode(&guard.root().roots)?;
        self.tree(&catalog.tree)?;
        for (_, tree) in catalog.list(guard)? {
            self.tree(&tree)?;
        }
        let done = self.writer.pages;
        if (self.progress)(done, done) { Ok(self.writer) } else { Err(Error::Cancelled) }
    }

    fn tree(&mut self, tree: &Tree) -> Result<()> {
        tree.walk(self.guard, &mut |page| match page {
            PageUse::Node { child, .. } => self.node(child),
            PageUse::Run(run) => self.run(&run).map(|()| true),
        })
    }

    /// Writes a node if it is new. What is not new has no new page below it, for a child is never younger than its
    /// parent.
    fn node(&mut self, child: ChildRef) -> Result<bool> {
        if !self.may_be_new(child) {
            return Ok(false);
        }
        let page = self.guard.stored_node(child)?;
        if self.since.is_some_and(|since| header::birth(&page) <= since) {
            return Ok(false);
        }
        self.writer.push(child.pgno(), &*page)?;
        self.tell().map(|()| true)
    }

    fn run(&mut self, run: &RunRef) -> Result<()> {
        if self.since.is_some_and(|since| run.birth <= since) {
            return Ok(());
        }
        let Self { guard, writer, .. } = self;
        guard.stored_run(run, &mut |first: Pgno, pages: &[u8]| {
            debug_assert!(pages.len().is_multiple_of(PAGE_SIZE));
            writer.push(first, pages)
        })?;
        self.tell()
    }

    /// Whether the page can have been born after `since`, going by the 24 bits of its birth in the reference: no
    /// page is younger than the state.
    fn may_be_new(&self, child: ChildRef) -> bool {
        self.since.is_none_or(|since| youngest_birth(child.tag(), self.guard.root().epoch) > since)
    }

    fn tell(&mut self) -> Result<()> {
        let done = self.writer.pages;
        if (self.progress)(done, self.total.max(done)) { Ok(()) } else { Err(Error::Cancelled) }
    }
}

/// The latest epoch up to `newest` that has this tag; `newest`, if none has: then the page is looked at.
fn youngest_birth(tag: u32, newest: Epoch) -> Epoch {
    const WINDOW: u64 = 1 << 24;
    let same_window = newest.get() - newest.get() % WINDOW + u64::from(tag);
    let latest =
        if same_window <= newest.get() { Some(same_window) } else { same_window.checked_sub(WINDOW) };
    Epoch::new(latest.unwrap_or(newest.get()))
}

impl Shared {
    /// Makes a checkpoint, and holds the state that it made durable.
    fn hold_checkpoint(&self) -> Result<ReadGuard> {
        if self.log.is_none() {
            // A store without a log has no crash to go back by.
            return Ok(self.pager.try_begin_read(Visible::Published)?);
        }
        if self.options.read_only {
            let guard = self.pager.try_begin_read(Visible::Published)?;
            let is_checkpoint = guard.root().epoch == self.pager.durable().epoch && self.company.is_none();
            let why = "a backup makes a checkpoint, and others may write beside this opening";
            return if is_checkpoint { Ok(guard) } else { Err(Error::ReadOnly(why)) };
        }
        let held = {
            let _one = self.checkpointing.enter();
            self.checkpoint_with(|| self.pager.try_begin_read(Visible::Tip))?
        };
        self.hand_over_by_hand();
        Ok(held.ok_or_else(|| Error::Misuse("the store has no log".into()))??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn births_are_told_from_tags_as_far_as_they_can_be() {
        let birth = |tag, newest| youngest_birth(tag, Epoch::new(newest)).get();
        assert_eq!(birth(5, 5), 5);
        assert_eq!(birth(5, 0x100_0004), 5);
        assert_eq!(birth(5, 0x100_0005), 0x100_0005);
        assert_eq!(birth(0xFF_FFFF, 0x300_0000), 0x2FF_FFFF);
        assert_eq!(birth(9, 5), 5, "no birth at all: it is looked at");
    }
}
