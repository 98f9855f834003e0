//! Salvage: what can still be read of a damaged store, written to a new one, with a list of what was lost.

use std::{cell::RefCell, path::Path, sync::Arc};

use llmdb_base::{Pgno, TreeId};
use llmdb_btree::{Loader, Tree, Value};
use llmdb_pager::{ReadGuard, Visible};
use llmdb_vfs::{OsVfs, Vfs};

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
}

impl Engine {
    /// Saves what can be read of the store at `from` into a new store at `to`. No page of `from` is written.
    ///
    /// Starts from the newest checkpoint whose catalog can be read, and applies the log's tail in memory if the
    /// damage allows it.
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
        for start in [StartFrom::Newest, StartFrom::Older] {
            let attempt = salvage_from(vfs, from, to, start);
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

fn salvage_from(vfs: &Arc<dyn Vfs>, from: &Path, to: &Path, start: StartFrom) -> Result<SalvageReport> {
    let damaged = open::for_salvage(vfs, from, start)?;
    let guard = damaged.pager.begin_read(Visible::Published);
    let catalog = Catalog::decode(&guard.root().roots)?;
    let lost = RefCell::new(Vec::new());
    let trees = readable_trees(&guard, &catalog, &lost)?;
    let mut copy = Copy::create(vfs, to)?;
    for (name, tree) in &trees {
        save_tree(&guard, &mut copy, name, tree, &lost)?;
    }
    let saved = copy.finish(*guard.root())?;
    Ok(SalvageReport { saved, from: start, log_lost: damaged.log_lost.clone(), lost: lost.into_inner() })
}

fn readable_trees(
    guard: &ReadGuard,
    catalog: &Catalog,
    lost: &RefCell<Vec<LostRange>>,
) -> Result<Vec<(String, Tree)>> {
    let mut trees = Vec::new();
    catalog.tree.salvage(
        guard,
        &mut |name, value| {
            let name = String::from_utf8_lossy(name).into_owned();
            match decode_entry(&name, &value) {
                Ok(tree) => trees.push((name, tree)),
                Err(error) => lost.borrow_mut().push(unreadable(&name, &[], Pgno::new(0), error.to_string())),
            }
        },
        &mut |gap| lost.borrow_mut().push(lost_range("", &gap)),
    );
    if trees.is_empty() && !lost.borrow().is_empty() {
        return Err(Error::Unopenable("no entry of the catalog can be read".into()));
    }
    Ok(trees)
}

fn save_tree(
    guard: &ReadGuard,
    copy: &mut Copy,
    name: &str,
    tree: &Tree,
    lost: &RefCell<Vec<LostRange>>,
) -> Result<()> {
    let mut sink: Loader = copy.begin_tree(tree.id);
    let mut failed = None;
    tree.salvage(
        guard,
        &mut |key, value| {
            if let Err(error) = verify(guard, tree.id, &value) {
                lost.borrow_mut().push(unreadable(name, key, first_page(&value), error.to_string()));
                return;
            }
            if let Err(error) = copy.push(&mut sink, guard, key, &value) {
                failed.get_or_insert(error);
            }
        },
        &mut |gap| lost.borrow_mut().push(lost_range(name, &gap)),
    );
    failed.map_or_else(|| copy.end_tree(sink, name), Err)
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
    LostRange { tree: tree.into(), pgno, from: key.to_vec(), to: Some(to), why }
}

fn lost_range(tree: &str, gap: &llmdb_btree::Lost<'_>) -> LostRange {
    let from = gap.from.unwrap_or_default().to_vec();
    LostRange {
        tree: tree.into(),
        pgno: gap.pgno,
        from,
        to: gap.below.map(<[u8]>::to_vec),
        why: gap.why.to_string(),
    }
}
