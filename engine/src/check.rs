//! A full check: every page of every tree read and verified again, compared with the allocation map, and the log.

use std::collections::BTreeSet;

use llmdb_base::{PageError, PageErrorKind, Pgno, ReadPages};
use llmdb_btree::{PageUse, Tree};
use llmdb_pager::{ReadGuard, Visible};
use llmdb_wal::{Replay, TailPolicy};

use crate::{
    Engine, Error, LogTail, Result,
    catalog::Catalog,
    engine::Shared,
    open::{Places, log_options},
};

/// What a check looked at and found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CheckReport {
    /// Trees walked.
    pub tree_count: u64,
    /// Keys counted.
    pub key_count: u64,
    /// Leaves, branches and pages of long values read.
    pub page_count: u64,
    /// Bytes of the log that a recovery would need, all of them verified.
    pub log_bytes: u64,
    /// What is wrong; empty if the store is sound.
    pub problems: Vec<Problem>,
}

/// Something that is wrong.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Problem {
    /// Name of the tree, `None` for the allocation map, the catalog and the log.
    pub tree: Option<String>,
    /// The page, if it is one.
    pub page: Option<Pgno>,
    /// Keys that need the page are at or above this one; `None` if that is not known.
    pub from: Option<Vec<u8>>,
    /// Keys that need the page are below this one; `None` if there is no bound, or it is not known.
    pub below: Option<Vec<u8>>,
    /// What is wrong, and where.
    pub what: String,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn add(&mut self, tree: Option<&str>, what: impl ToString) {
        let problem = Problem { tree: tree.map(str::to_owned), what: what.to_string(), ..Problem::default() };
        self.problems.push(problem);
    }
}

impl Engine {
    /// Checks the newest committed state: reads every page from the media where it is there, verifies checksums,
    /// births, order, bounds and counts, compares what the trees use with the allocation map, and verifies the log as
    /// far as a recovery would need it. Readers and writers go on, but for checkpoints. `progress` gets pages read and
    /// pages in all, and answers `false` to stop.
    ///
    /// Damage is reported, not an error. Cost: reads the whole store.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn check(&self, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<CheckReport> {
        let pager = &self.shared.pager;
        let mut own: Vec<(Pgno, u64)> = Vec::new();
        let mut live: Vec<(Pgno, u64)> = Vec::new();
        let guard = {
            // Under the gate: the map and the root must be of the same moment.
            let _permit = self.shared.gate.enter();
            if !self.shared.options.read_only {
                self.shared.take_turn(self.shared.options.lock_timeout_us)?;
                live.extend(pager.live_ranges());
                own.extend(pager.own_pages().into_iter().map(|pgno| (pgno, 1)));
            }
            pager.try_begin_read(Visible::Tip)?
        };
        let total = pager.stats().live_pages;
        let catalog = match Catalog::decode(&guard.root().roots) {
            Ok(catalog) => catalog,
            Err(error) => {
                let mut report = CheckReport::default();
                report.add(None, error);
                return Ok(report);
            }
        };
        let (mut report, mut used) =
            walk(&guard, &catalog, Some(&guard), &mut |pages| progress(pages, total))?;
        used.append(&mut own);
        // A store opened for reading only has not loaded its map.
        if !self.shared.options.read_only {
            compare(used, &live, &mut report);
        }
        self.shared.check_log(&mut report);
        self.shared.hand_over_by_hand();
        if let Err(error) = ReadPages::check_intact(&guard) {
            report.add(None, error);
        }
        Ok(report)
    }
}

impl Shared {
    /// Verifies the log from where a recovery from the older checkpoint begins.
    fn check_log(&self, report: &mut CheckReport) {
        if self.log.is_none() || self.options.read_only || !self.is_open() {
            return;
        }
        // A checkpoint would give up segments while they are read.
        let _one = self.checkpointing.enter();
        let verified = self.verify_log().or_else(|_| {
            // What is being written right now looks like damage. Without writers, damage is what it looks like.
            let _permit = self.gate.enter();
            self.take_turn(self.options.lock_timeout_us)?;
            self.sync_to(self.pager.tip().lsn).and_then(|()| self.verify_log())
        });
        match verified {
            Ok(bytes) => report.log_bytes = bytes,
            Err(error) => report.add(None, error),
        }
    }

    fn verify_log(&self) -> Result<u64> {
        let from = self.pager.older_durable().lsn;
        // What was accepted as lost at the opening stays in the log until a checkpoint gives it up.
        let tail = match self.options.log_tail {
            LogTail::Strict => TailPolicy::Strict,
            LogTail::CutAtDamage => TailPolicy::CutAtDamage,
        };
        let (folder, options) = (Places::of(&self.path).log, log_options(&self.options));
        let replay = Replay::open(self.vfs.clone(), &folder, self.pager.store_id(), from, options, tail)?;
        Ok(replay.end().get() - from.get())
    }
}

/// Walks every tree that `catalog` names: what is wrong, and which pages are used, as ranges of first page and count.
/// With `media`, pages are also read past all caches.
pub(crate) fn walk<P: ReadPages>(
    pages: &P,
    catalog: &Catalog,
    media: Option<&ReadGuard>,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<(CheckReport, Vec<(Pgno, u64)>)> {
    let mut walk = Walk { pages, media, report: CheckReport::default(), used: Vec::new(), progress };
    walk.tree(None, &catalog.tree)?;
    match catalog.list(pages) {
        Ok(trees) => trees.iter().try_for_each(|(name, tree)| walk.tree(Some(name), tree))?,
        Err(error) => walk.report.add(None, error),
    }
    Ok((walk.report, walk.used))
}

struct Walk<'a, P> {
    pages: &'a P,
    media: Option<&'a ReadGuard>,
    report: CheckReport,
    used: Vec<(Pgno, u64)>,
    progress: &'a mut dyn FnMut(u64) -> bool,
}

impl<P: ReadPages> Walk<'_, P> {
    fn tree(&mut self, name: Option<&str>, tree: &Tree) -> Result<()> {
        let Self { pages, media, used, progress, .. } = self;
        let media = *media;
        let mut count = self.report.page_count;
        let mut stopped = false;
        let mut unreadable: Vec<PageError> = Vec::new();
        let found = tree.check(*pages, &mut |page| {
            let (range, verified) = match (&page, media) {
                (PageUse::Node { child, .. }, Some(media)) => ((child.pgno(), 1), media.verify_page(*child)),
                (PageUse::Node { child, .. }, None) => ((child.pgno(), 1), Ok(())),
                (PageUse::Run(run), media) => {
                    let verified = match media {
                        Some(media) => media.verify_run(run),
                        None => pages.run(run).map(drop),
                    };
                    ((run.first, llmdb_pager::run_page_count(run.len)), verified)
                }
            };
            // What cannot be read may claim to be of any length.
            count += if verified.is_ok() { range.1 } else { 1 };
            used.push(range);
            unreadable.extend(verified.err());
            stopped |= !progress(count);
        });
        if stopped {
            return Err(Error::Cancelled);
        }
        self.report.page_count = count;
        self.report.key_count += if name.is_some() { found.entries } else { 0 };
        self.report.tree_count += u64::from(name.is_some());
        let known = self.report.problems.len();
        for problem in unreadable.into_iter().chain(found.problems) {
            let problem = problem.in_tree(tree.id);
            if !self.report.problems.iter().any(|known| known.what == problem.to_string()) {
                self.report.add(name, &problem);
                let page = match problem.kind() {
                    PageErrorKind::Corruption(damage) => Some(damage.pgno),
                    _ => None,
                };
                self.report.problems.last_mut().expect("added in the line above").page = page;
            }
        }
        if found.problems_left_off > 0 {
            self.report.add(name, format!("{} further problems", found.problems_left_off));
        }
        place(*pages, tree, &mut self.report.problems[known..]);
        Ok(())
    }
}

/// Says of each problem which keys it is about, by a second walk.
fn place<P: ReadPages>(pages: &P, tree: &Tree, problems: &mut [Problem]) {
    let places: BTreeSet<u64> = problems.iter().filter_map(|problem| Some(problem.page?.get())).collect();
    if places.is_empty() {
        return;
    }
    tree.check_with_keys(pages, &mut |page, at| {
        let (first, count, below) = match &page {
            PageUse::Node { child, .. } => (child.pgno().get(), 1, at.below.map(<[u8]>::to_vec)),
            PageUse::Run(run) => {
                let below = at.from.map(|key| [key, &[0]].concat());
                (run.first.get(), llmdb_pager::run_page_count(run.len), below)
            }
        };
        let end = first.saturating_add(count);
        if places.range(first..end).next().is_none() {
            return;
        }
        let hit =
            |problem: &&mut Problem| problem.page.is_some_and(|page| (first..end).contains(&page.get()));
        for problem in problems.iter_mut().filter(hit).filter(|problem| problem.from.is_none()) {
            problem.from = Some(at.from.unwrap_or_default().to_vec());
            problem.below.clone_from(&below);
        }
    });
}

/// Compares the pages that are used with those that the map says are live.
fn compare(mut used: Vec<(Pgno, u64)>, live: &[(Pgno, u64)], report: &mut CheckReport) {
    used.sort_unstable();
    for pair in used.windows(2) {
        let (first, count) = pair[0];
        if first.get().saturating_add(count) > pair[1].0.get() {
            report.add(None, format!("{} is used twice", pair[1].0));
        }
    }
    let used = merged(&used);
    let live = merged(live);
    for (first, count) in without(&used, &live) {
        report.add(None, format!("{count} pages from {first} on are used, but free in the allocation map"));
    }
    // If a tree cannot be walked to its end, what lies behind is not lost space.
    if report.is_sound() {
        for (first, count) in without(&live, &used) {
            report.add(None, format!("{count} pages from {first} on are allocated, but nothing uses them"));
        }
    }
}

/// Joins neighbouring and overlapping ranges of a sorted list.
fn merged(ranges: &[(Pgno, u64)]) -> Vec<(u64, u64)> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (first, count) in ranges {
        let (start, end) = (first.get(), first.get().saturating_add(*count));
        match joined.last_mut() {
            Some((_, last)) if *last >= start => *last = end.max(*last),
            _ => joined.push((start, end)),
        }
    }
    joined
}

/// The parts of `ranges` that `others` does not cover, as first page and count. Both are sorted and disjoint.
fn without(ranges: &[(u64, u64)], others: &[(u64, u64)]) -> Vec<(Pgno, u64)> {
    let mut left = Vec::new();
    let mut others = others.iter().peekable();
    for &(mut start, end) in ranges {
        while others.next_if(|other| other.1 <= start).is_some() {}
        let mut covering = others.clone();
        while let Some(other) = covering.next_if(|other| other.0 < end) {
            if start < other.0 {
                left.push((Pgno::new(start), other.0 - start));
            }
            start = start.max(other.1);
        }
        if start < end {
            left.push((Pgno::new(start), end - start));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_subtracted() {
        let left = without(&[(0, 10), (20, 30)], &[(2, 4), (8, 22), (29, 40)]);
        let left: Vec<_> = left.into_iter().map(|(first, count)| (first.get(), count)).collect();
        assert_eq!(left, [(0, 2), (4, 4), (22, 7)]);
        assert!(without(&[(3, 5)], &[(0, 9)]).is_empty());
    }

    #[test]
    fn double_use_leaks_and_ghosts_are_found() {
        let page = |first, count| (Pgno::new(first), count);
        let problems = |used: Vec<_>, live: &[_]| {
            let mut report = CheckReport::default();
            compare(used, live, &mut report);
            report.problems.into_iter().map(|problem| problem.what).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(problems(vec![page(0, 2), page(2, 1)], &[page(0, 3)]), "");
        assert!(problems(vec![page(0, 2), page(1, 1)], &[page(0, 2)]).contains("pg1 is used twice"));
        assert!(problems(vec![page(0, 2)], &[page(0, 1)]).contains("free in the allocation map"));
        assert!(problems(vec![page(0, 1)], &[page(0, 3)]).contains("2 pages from pg1"));
    }
}
