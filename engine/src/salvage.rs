//! Salvage: what can still be read of a damaged store, written to a new one, with a list of what was lost.

mod orphans;

use std::{cell::RefCell, path::Path, sync::Arc};

use llmdb_base::{Pgno, TreeId};
use llmdb_btree::{Loader, Lost, Tree, Value};
use llmdb_pager::{ReadGuard, Visible};
use llmdb_vfs::{OsVfs, Vfs};

use self::orphans::{Leaves, Orphans};
use crate::{
    BackupReport, Error, Result, StartFrom,
    backup::Copy,
    catalog::{Catalog, decode_entry},
    engine::Engine,
    open,
};

/// What a salvage saved and what it could not.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SalvageReport {
    /// The new store.
    pub saved: BackupReport,
    /// Which checkpoint it was taken from.
    pub from: StartFrom,
    /// Why the commits since that checkpoint could not be applied from the log, if they could not: they are lost.
    pub log_lost: Option<String>,
    /// What could not be read.
    pub lost: Vec<LostRange>,
    /// Trees of which leaves were found that no branch leads to.
    pub orphans: Vec<OrphanReport>,
}

/// A tree that lost branches, or its name, and the rows of it that were found in leaves all the same. The new store holds
/// them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OrphanReport {
    /// Name of the tree; a made-up one, `lost tree N`, if the list of trees lost it.
    pub tree: String,
    /// Rows that were found.
    pub key_count: u64,
    /// How many more the tree counted than were saved of it, if the list of trees still says so.
    pub missing_keys: Option<u64>,
    /// The allocation map cannot be read, so that nobody knows which leaves were in use: rows among these may have been
    /// deleted, changed, or never committed. The newest leaf that spans a key was taken.
    pub may_be_stale: bool,
}

/// Keys of a tree that could not be read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LostRange {
    /// Name of the tree; empty for the catalog itself.
    pub tree: String,
    /// The damaged page.
    pub pgno: Pgno,
    /// Lost keys are at or above this one; empty for no lower bound.
    pub from: Vec<u8>,
    /// Lost keys are below this one, if it is known.
    pub to: Option<Vec<u8>>,
    /// What is wrong with the page.
    pub why: String,
    /// Keys of the range that were found in leaves without a branch, and saved. The others are lost.
    pub found_keys: u64,
}

impl Engine {
    /// Saves what can be read of the store at `from` into a new store at `to`. No page of `from` is written.
    ///
    /// Starts from the newest checkpoint whose catalog can be read, and applies the log's tail in memory if the
    /// damage allows it. Where branches are lost, every page is looked at, and the leaves below them are found by what
    /// they say of themselves; so a tree is saved even if its root, or the catalog, is lost.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Locked`], [`Error::NotADatabase`]; [`Error::Unopenable`] if neither
    /// checkpoint has a readable catalog; [`Error::Io`], [`Error::NoSpace`] for the new store.
    pub fn salvage(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<SalvageReport> {
        Self::salvage_on(&(Arc::new(OsVfs::new()) as Arc<dyn Vfs>), from.as_ref(), to.as_ref())
    }

    /// As [`Engine::salvage`], on a disk of the caller's.
    ///
    /// # Errors
    /// As [`Engine::salvage`].
    pub fn salvage_on(vfs: &Arc<dyn Vfs>, from: &Path, to: &Path) -> Result<SalvageReport> {
        let mut first_error = None;
        for (start, catalog) in [
            (StartFrom::Newest, NeededCatalog::Readable),
            (StartFrom::Older, NeededCatalog::Readable),
            (StartFrom::Newest, NeededCatalog::None),
            (StartFrom::Older, NeededCatalog::None),
        ] {
            let attempt = salvage_from(vfs, from, to, start, catalog);
            match attempt {
                Err(error) if may_differ_in_older(&error) => first_error = first_error.or(Some(error)),
                other => return other,
            }
        }
        Err(first_error.expect("the loop ends early unless both attempts failed"))
    }
}

/// Whether the older checkpoint may be readable though the newest was not.
fn may_differ_in_older(error: &Error) -> bool {
    matches!(error, Error::Corruption(_) | Error::Unopenable(_) | Error::BadRecord(_))
}

/// How much of the list of trees there must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum NeededCatalog {
    /// Names are read, or found in leaves that are in use.
    Readable,
    /// Trees without names are saved under made-up ones.
    None,
}

fn salvage_from(
    vfs: &Arc<dyn Vfs>,
    from: &Path,
    to: &Path,
    start: StartFrom,
    needed: NeededCatalog,
) -> Result<SalvageReport> {
    let damaged = open::for_salvage(vfs, from, start)?;
    let guard = damaged.pager.begin_read(Visible::Published);
    let orphans = Orphans::new(&guard, damaged.map_is_known);
    let catalog = match (Catalog::decode(&guard.root().roots), needed) {
        (Err(_), NeededCatalog::None) => Catalog::empty(),
        (catalog, _) => catalog?,
    };
    let mut salvage = Salvage { guard: &guard, orphans: &orphans, lost: Vec::new(), reports: Vec::new() };
    let trees = salvage.readable_trees(&catalog, needed)?;
    let names_are_lost = !salvage.lost.is_empty() || catalog == Catalog::empty();
    let mut copy = Copy::create(vfs, to)?;
    for (name, tree) in &trees {
        salvage.save_tree(&mut copy, name, tree)?;
    }
    if names_are_lost && (needed == NeededCatalog::None || !orphans.may_be_stale()) {
        salvage.save_nameless(&mut copy, &trees)?;
    }
    if copy.keys == 0 && needed == NeededCatalog::None {
        return Err(Error::Unopenable("no entry of the catalog can be read, and no leaf is left".into()));
    }
    let saved = copy.finish(*guard.root())?;
    let Salvage { lost, reports, .. } = salvage;
    Ok(SalvageReport { saved, from: start, log_lost: damaged.log_lost.clone(), lost, orphans: reports })
}

/// One salvage under way.
struct Salvage<'g> {
    guard: &'g ReadGuard,
    orphans: &'g Orphans<'g>,
    lost: Vec<LostRange>,
    reports: Vec<OrphanReport>,
}

impl Salvage<'_> {
    fn readable_trees(&mut self, catalog: &Catalog, needed: NeededCatalog) -> Result<Vec<(String, Tree)>> {
        let mut trees = Vec::new();
        let mut unreadable_entries = Vec::new();
        // An old list of trees is worth less than the whole older checkpoint.
        let with_orphans = needed == NeededCatalog::None || !self.orphans.may_be_stale();
        let mut take = |name: &[u8], value: &Value<'_>| {
            let name = String::from_utf8_lossy(name).into_owned();
            match decode_entry(&name, value) {
                // Two branches may lead to one leaf.
                Ok(tree) if trees.contains(&(name.clone(), tree)) => {}
                Ok(tree) => trees.push((unused(name, &trees), tree)),
                Err(error) => {
                    unreadable_entries.push(unreadable(&name, &[], Pgno::new(0), error.to_string()))
                }
            }
            Ok(())
        };
        if *catalog == Catalog::empty() && needed == NeededCatalog::None {
            self.orphans.of(catalog.tree).fill((None, None), &mut |name, value| take(name, &value))?;
        } else {
            self.walk(&catalog.tree, "", with_orphans, &mut take)?;
        }
        self.lost.append(&mut unreadable_entries);
        if trees.is_empty() && !self.lost.is_empty() && needed == NeededCatalog::Readable {
            return Err(Error::Unopenable("no entry of the catalog can be read".into()));
        }
        Ok(trees)
    }

    /// Hands out every row of a tree that can be read, in order, and fills what cannot be walked from leaves without a
    /// branch. How many rows these gave.
    fn walk(
        &mut self,
        tree: &Tree,
        name: &str,
        with_orphans: bool,
        sink: &mut dyn FnMut(&[u8], &Value<'_>) -> Result<()>,
    ) -> Result<u64> {
        let walking =
            RefCell::new(Walking { leaves: self.orphans.of(*tree), sink, failed: Ok(()), found: 0 });
        let lost = &mut self.lost;
        tree.salvage(self.guard, &mut |key, value| walking.borrow_mut().take(key, &value), &mut |gap| {
            let found = if with_orphans { walking.borrow_mut().fill(&gap) } else { 0 };
            lost.push(LostRange { found_keys: found, ..lost_range(name, &gap) });
        });
        let Walking { failed, found, .. } = walking.into_inner();
        failed.map(|()| found)
    }

    fn save_tree(&mut self, copy: &mut Copy, name: &str, tree: &Tree) -> Result<()> {
        let (before, guard) = (copy.keys, self.guard);
        let mut loader: Loader = copy.begin_tree(tree.id);
        let mut values = Vec::new();
        let found = self.walk(tree, name, true, &mut |key, value| {
            save_row(guard, copy, &mut loader, (name, tree.id), key, value, &mut values)
        })?;
        self.lost.append(&mut values);
        copy.end_tree(loader, name)?;
        if found > 0 {
            let missing_keys = Some(tree.entries.saturating_sub(copy.keys - before));
            self.report(name, found, missing_keys);
        }
        Ok(())
    }

    /// Trees of which there are leaves, and no name.
    fn save_nameless(&mut self, copy: &mut Copy, named: &[(String, Tree)]) -> Result<()> {
        let is_known = |id: &TreeId| id.get() == 0 || named.iter().any(|(_, tree)| tree.id == *id);
        let (guard, orphans) = (self.guard, self.orphans);
        for id in orphans.trees().filter(|id| !is_known(id)) {
            let name = unused(format!("lost tree {}", id.get()), named);
            let mut loader: Loader = copy.begin_tree(id);
            let mut values = Vec::new();
            let found = orphans.of(Tree::empty(id)).fill((None, None), &mut |key, value| {
                save_row(guard, copy, &mut loader, (&name, id), key, &value, &mut values)
            })?;
            self.lost.append(&mut values);
            copy.end_tree(loader, &name)?;
            self.report(&name, found, None);
        }
        Ok(())
    }

    fn report(&mut self, name: &str, key_count: u64, missing_keys: Option<u64>) {
        let may_be_stale = self.orphans.may_be_stale();
        self.reports.push(OrphanReport { tree: name.into(), key_count, missing_keys, may_be_stale });
    }
}

/// `name`, or one like it that none of `trees` has: what is damaged may say the same twice.
fn unused(mut name: String, trees: &[(String, Tree)]) -> String {
    while trees.iter().any(|(known, _)| *known == name) {
        name.push('\'');
    }
    name
}

/// A walk through a tree with gaps.
struct Walking<'w, 's> {
    leaves: Leaves<'w>,
    sink: &'s mut dyn FnMut(&[u8], &Value<'_>) -> Result<()>,
    failed: Result<()>,
    found: u64,
}

impl Walking<'_, '_> {
    fn take(&mut self, key: &[u8], value: &Value<'_>) {
        if self.failed.is_ok() {
            self.leaves.pass(key);
            self.failed = (self.sink)(key, value);
        }
    }

    fn fill(&mut self, gap: &Lost<'_>) -> u64 {
        if self.failed.is_err() {
            return 0;
        }
        let Self { leaves, sink, .. } = self;
        match leaves.fill((gap.from, gap.below), &mut |key, value| sink(key, &value)) {
            Ok(found) => {
                self.found += found;
                found
            }
            Err(error) => {
                self.failed = Err(error);
                0
            }
        }
    }
}

/// Adds a row to the new store, if its value can be read.
fn save_row(
    guard: &ReadGuard,
    copy: &mut Copy,
    loader: &mut Loader,
    tree: (&str, TreeId),
    key: &[u8],
    value: &Value<'_>,
    lost: &mut Vec<LostRange>,
) -> Result<()> {
    let (name, id) = tree;
    if let Err(error) = verify(guard, id, value) {
        lost.push(unreadable(name, key, first_page(value), error.to_string()));
        return Ok(());
    }
    copy.push(loader, guard, key, value)
}

fn verify(guard: &ReadGuard, tree: TreeId, value: &Value<'_>) -> Result<()> {
    crate::tree_ref::bytes(guard, tree, value).map(|_| ())
}

fn first_page(value: &Value<'_>) -> Pgno {
    match value {
        Value::Run(run) => run.first,
        Value::Inline(_) => Pgno::new(0),
    }
}

fn unreadable(tree: &str, key: &[u8], pgno: Pgno, why: String) -> LostRange {
    let to = [key, &[0]].concat();
    LostRange { tree: tree.into(), pgno, from: key.to_vec(), to: Some(to), why, found_keys: 0 }
}

fn lost_range(tree: &str, gap: &Lost<'_>) -> LostRange {
    let from = gap.from.unwrap_or_default().to_vec();
    LostRange {
        tree: tree.into(),
        pgno: gap.pgno,
        from,
        to: gap.below.map(<[u8]>::to_vec),
        why: gap.why.to_string(),
        found_keys: 0,
    }
}
