//! Mending: what the newest checkpoint lost is made again from the older one and the log.
//!
//! The older checkpoint's pages stay whole until the next one goes over it, and the log is kept from there on. So a
//! page that was written since, and is damaged, says nothing that these two do not say as well:
//!
//! ```text
//!   older checkpoint ---- log ----> the tip, once more, in memory (`aside`)
//!                                      |  rows of the ranges that cannot be read
//!   the tip, with holes ---------------+-> a new tree in place of the damaged one, checked, then a checkpoint
//! ```
//!
//! Nothing is logged: what the store says does not change.

pub(crate) mod aside;
pub(crate) mod at_open;
mod merge;

use std::sync::atomic::Ordering;

use llmdb_base::ReadPages;
use llmdb_btree::{Lost, Tree, Value};
use llmdb_pager::{PageTxn, ReadGuard, RootState, Visible};

use self::{aside::Aside, merge::merge};
use crate::{
    Engine, Error, Result,
    backup::copy_run,
    catalog::{Catalog, decode_entry},
    check::walk,
    engine::Shared,
    tree_ref,
};

/// What mending did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MendReport {
    /// Names of the trees of which parts could not be read, and were made again.
    pub trees: Vec<String>,
    /// Ranges of keys that were made again.
    pub range_count: u64,
    /// Pages given back: of the trees that were replaced, damaged ones among them.
    pub freed_pages: u64,
}

impl MendReport {
    /// Whether nothing had to be mended.
    pub fn is_empty(&self) -> bool {
        self.trees.is_empty()
    }
}

/// Keys that cannot be read: from the first one on, below the second.
pub(crate) type Gap = (Vec<u8>, Option<Vec<u8>>);

/// A tree with parts that cannot be read.
struct Damaged {
    name: String,
    tree: Tree,
    gaps: Vec<Gap>,
}

impl Engine {
    /// Looks through every page of the newest state, and makes again what cannot be read: from the older checkpoint and the
    /// log. That works for pages that were written since the older checkpoint. Readers go on, and get errors for the
    /// damaged pages until then; writers wait.
    ///
    /// The engine does this by itself before a checkpoint, and before a clean close, if a damaged page was met since: both
    /// would go over the older checkpoint. Opening does the like if the newest state cannot be opened at all.
    ///
    /// Cost: reads every page. If something is damaged: replays the log since the older checkpoint in memory, loads the
    /// damaged trees anew, and makes two checkpoints.
    ///
    /// # Errors
    /// [`Error::Corruption`], [`Error::LogCorruption`] if the older checkpoint or the log cannot help: nothing has changed, and
    /// [`Engine::salvage`] saves what can be read. [`Error::NoSpace`]; [`Error::Io`], [`Error::Poisoned`];
    /// [`Error::ReadOnly`].
    pub fn mend(&self) -> Result<MendReport> {
        self.shared.check_writable()?;
        let _one = self.shared.checkpointing.enter();
        let report = {
            let _permit = self.shared.gate.enter();
            self.shared.mend_alone()?
        };
        self.shared.pager.take_damage_met();
        if !report.is_empty() {
            // Twice: neither generation shall be the damaged one.
            self.shared.checkpoint_locked()?;
            self.shared.checkpoint_locked()?;
        }
        self.shared.hand_over_by_hand();
        Ok(report)
    }
}

impl Shared {
    /// Mends what readers have met, before what it could be mended from is given up. Called with `checkpointing` held, and
    /// not the gate. What cannot be mended stays as it is, and is tried no more.
    pub(crate) fn mend_if_met(&self) {
        if self.mending_is_vain.load(Ordering::Acquire) || !self.pager.take_damage_met() {
            return;
        }
        let Some(_permit) = self.gate.try_enter() else { return };
        match self.mend_alone() {
            Ok(report) if report.is_empty() => {}
            Ok(report) => log::warn!(
                "{}: damaged pages of {} were made again from the older checkpoint and the log",
                self.path.display(),
                report.trees.join(", ")
            ),
            Err(error) => {
                self.mending_is_vain.store(true, Ordering::Release);
                log::error!("{}: damaged pages cannot be made again: {error}", self.path.display());
            }
        }
    }

    /// Mends, as the only writer.
    fn mend_alone(&self) -> Result<MendReport> {
        let (Some(_), false) = (&self.log, self.options.read_only) else { return Ok(MendReport::default()) };
        self.check_poison()?;
        self.take_turn(self.options.lock_timeout_us)?;
        self.sync_to(self.pager.tip().lsn)?;
        let guard = self.pager.try_begin_read(Visible::Tip)?;
        let catalog = Catalog::decode(&guard.root().roots)?;
        let (trees, catalog_gaps) = look_through(&guard, &catalog);
        if trees.iter().all(|tree| tree.gaps.is_empty()) && catalog_gaps.is_empty() {
            return Ok(MendReport::default());
        }
        let aside = Aside::open(&self.vfs, &self.path, &self.options)?;
        aside.must_show(guard.root().txid)?;
        let mut mender = Mender {
            guard: &guard,
            aside: &aside,
            pages: self.pager.begin_write(),
            report: MendReport::default(),
        };
        let catalog = mender.run(catalog, trees, &catalog_gaps)?;
        let Mender { pages, report, .. } = mender;
        if self.company.is_some() {
            // Others see what is in the file.
            pages.write_early()?;
        }
        let root = pages.commit(RootState { roots: catalog.encode(), ..guard.root().state() });
        self.pager.publish(&root);
        Ok(report)
    }
}

/// Every tree that the catalog can name, with what cannot be read of it; and what cannot be read of the catalog.
fn look_through(guard: &ReadGuard, catalog: &Catalog) -> (Vec<Damaged>, Vec<Gap>) {
    let (mut found, mut gaps) = (Vec::new(), Vec::new());
    let mut unreadable = Vec::new();
    catalog.tree.salvage(
        guard,
        &mut |name, value| match decode_entry(&String::from_utf8_lossy(name), &value) {
            Ok(tree) => found.push((String::from_utf8_lossy(name).into_owned(), tree)),
            Err(_) => unreadable.push(gap_of_key(name)),
        },
        &mut |lost| gaps.push(gap(&lost)),
    );
    gaps.append(&mut unreadable);
    let trees = found.into_iter().map(|(name, tree)| Damaged { gaps: gaps_of(guard, &tree), name, tree });
    (trees.collect(), gaps)
}

/// What cannot be read of a tree: nodes, and long values.
fn gaps_of(guard: &ReadGuard, tree: &Tree) -> Vec<Gap> {
    let gaps = std::cell::RefCell::new(Vec::new());
    tree.salvage(
        guard,
        &mut |key, value| {
            if tree_ref::bytes(guard, tree.id, &value).is_err() {
                gaps.borrow_mut().push(gap_of_key(key));
            }
        },
        &mut |lost| gaps.borrow_mut().push(gap(&lost)),
    );
    merge::joined(gaps.into_inner())
}

fn gap(lost: &Lost<'_>) -> Gap {
    (lost.from.unwrap_or_default().to_vec(), lost.below.map(<[u8]>::to_vec))
}

fn gap_of_key(key: &[u8]) -> Gap {
    (key.to_vec(), Some([key, &[0]].concat()))
}

/// One mending under way.
struct Mender<'a> {
    guard: &'a ReadGuard,
    aside: &'a Aside,
    pages: PageTxn,
    report: MendReport,
}

impl Mender<'_> {
    /// Replaces every damaged tree, and the catalog if it has to be, and gives back what is referred to no more.
    fn run(&mut self, mut catalog: Catalog, trees: Vec<Damaged>, catalog_gaps: &[Gap]) -> Result<Catalog> {
        let mut replaced = Vec::new();
        for damaged in &trees {
            if !damaged.gaps.is_empty() {
                replaced.push((damaged.name.clone(), self.replace(damaged)?));
            }
        }
        if catalog_gaps.is_empty() {
            for (name, tree) in &replaced {
                catalog.set(&mut self.pages, name, tree)?;
            }
        } else {
            catalog = self.list_anew(catalog, &trees, replaced)?;
        }
        let (found, used) = walk(&self.pages, &catalog, None, &mut |_| true)?;
        if let Some(problem) = found.problems.first() {
            return Err(Error::BadRecord(format!("what was made again is not whole: {}", problem.what)));
        }
        self.report.freed_pages = self.pages.free_all_but(used)?;
        self.pages.check_intact()?;
        self.guard.check_intact()?;
        Ok(catalog)
    }

    /// A new tree with the rows of the damaged one, and those of its gaps.
    fn replace(&mut self, damaged: &Damaged) -> Result<Tree> {
        let whole = self.aside.tree(&damaged.name, damaged.tree.id)?;
        let tree =
            merge(self.guard, &damaged.tree, &damaged.gaps, self.aside.pages(), &whole, &mut self.pages)?;
        if tree.entries != whole.entries {
            let what = format!(
                "tree {:?} has {} keys once mended, and {} by the older checkpoint and the log",
                damaged.name, tree.entries, whole.entries
            );
            return Err(Error::BadRecord(what));
        }
        self.report.trees.push(damaged.name.clone());
        self.report.range_count += damaged.gaps.len() as u64;
        Ok(tree)
    }

    /// A new catalog: of the trees that are here, and of those that only the other one names, which are copied whole.
    fn list_anew(
        &mut self,
        old: Catalog,
        trees: &[Damaged],
        mut replaced: Vec<(String, Tree)>,
    ) -> Result<Catalog> {
        let mut catalog = old.emptied();
        for (name, whole) in self.aside.trees()? {
            let known = trees.iter().find(|tree| tree.name == name && tree.tree.id == whole.id);
            let tree = match (replaced.iter().position(|(replaced, _)| *replaced == name), known) {
                (Some(index), _) => replaced.swap_remove(index).1,
                (None, Some(known)) => known.tree,
                (None, None) => {
                    let nothing = Damaged {
                        name: name.clone(),
                        tree: Tree::empty(whole.id),
                        gaps: vec![(Vec::new(), None)],
                    };
                    self.replace(&nothing)?
                }
            };
            catalog.set(&mut self.pages, &name, &tree)?;
        }
        self.report.trees.push("the list of trees".into());
        Ok(catalog)
    }
}

/// A value of another store's pages, as one of ours.
pub(crate) enum Copied<'v> {
    Bytes(&'v [u8]),
    Run(llmdb_base::RunRef),
}

pub(crate) fn copied<'v, P: ReadPages>(from: &P, to: &mut PageTxn, value: &Value<'v>) -> Result<Copied<'v>> {
    Ok(match value {
        Value::Inline(bytes) => Copied::Bytes(bytes),
        Value::Run(run) => Copied::Run(copy_run(from, to, run)?),
    })
}
