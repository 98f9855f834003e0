//! A full check: every page of every tree read and verified again, and compared with the allocation map.

use llmdb_base::{PageError, Pgno};
use llmdb_btree::{PageUse, Tree};
use llmdb_pager::{ReadGuard, Visible};

use crate::{Engine, Error, Result, catalog::Catalog};

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
    /// What is wrong; empty if the store is sound.
    pub problems: Vec<Problem>,
}

/// Something that is wrong.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Problem {
    /// Name of the tree, `None` for the allocation map and the catalog.
    pub tree: Option<String>,
    /// What is wrong, and where.
    pub what: String,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn add(&mut self, tree: Option<&str>, what: impl ToString) {
        self.problems.push(Problem { tree: tree.map(str::to_owned), what: what.to_string() });
    }
}

impl Engine {
    /// Checks the newest committed state: reads every page from the media where it is there, verifies checksums,
    /// births, order, bounds and counts, and compares what the trees use with the allocation map. Readers and
    /// writers go on. `progress` gets pages read and pages in all, and answers `false` to stop.
    ///
    /// Damage is reported, not an error. Cost: reads the whole store.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn check(&self, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<CheckReport> {
        let pager = &self.shared.pager;
        let mut used: Vec<(Pgno, u64)> = Vec::new();
        let mut live: Vec<(Pgno, u64)> = Vec::new();
        let guard = {
            // Under the gate: the map and the root must be of the same moment.
            let _permit = self.shared.gate.enter();
            if !self.shared.options.read_only {
                self.shared.take_turn(self.shared.options.lock_timeout_us)?;
                live.extend(pager.live_ranges());
                used.extend(pager.own_pages().into_iter().map(|pgno| (pgno, 1)));
            }
            pager.try_begin_read(Visible::Tip)?
        };
        let total = pager.stats().live_pages;
        let mut walk = Walk { guard: &guard, report: CheckReport::default(), used, total, progress };
        walk.store()?;
        let Walk { mut report, used, .. } = walk;
        // A store opened for reading only has not loaded its map.
        if !self.shared.options.read_only {
            compare(used, &live, &mut report);
        }
        self.shared.hand_over_by_hand();
        Ok(report)
    }
}

struct Walk<'a> {
    guard: &'a ReadGuard,
    report: CheckReport,
    /// Ranges of pages that trees use: first and count.
    used: Vec<(Pgno, u64)>,
    total: u64,
    progress: &'a mut dyn FnMut(u64, u64) -> bool,
}

impl Walk<'_> {
    fn store(&mut self) -> Result<()> {
        let catalog = match Catalog::decode(&self.guard.root().roots) {
            Ok(catalog) => catalog,
            Err(error) => {
                self.report.add(None, error);
                return Ok(());
            }
        };
        self.tree(None, &catalog.tree)?;
        match catalog.list(self.guard) {
            Ok(trees) => trees.iter().try_for_each(|(name, tree)| self.tree(Some(name), tree)),
            Err(error) => {
                self.report.add(None, error);
                Ok(())
            }
        }
    }

    fn tree(&mut self, name: Option<&str>, tree: &Tree) -> Result<()> {
        let Self { guard, used, progress, total, .. } = self;
        let mut pages = self.report.page_count;
        let mut stopped = false;
        let mut unreadable: Vec<PageError> = Vec::new();
        let found = tree.check(*guard, &mut |page| {
            let (range, verified) = match &page {
                PageUse::Node { child, .. } => ((child.pgno(), 1), guard.verify_page(*child)),
                PageUse::Run(run) => {
                    ((run.first, llmdb_pager::run_page_count(run.len)), guard.verify_run(run))
                }
            };
            pages += range.1;
            used.push(range);
            unreadable.extend(verified.err());
            stopped |= !progress(pages, *total);
        });
        if stopped {
            return Err(Error::Cancelled);
        }
        self.report.page_count = pages;
        self.report.key_count += if name.is_some() { found.entries } else { 0 };
        self.report.tree_count += u64::from(name.is_some());
        for problem in unreadable.into_iter().chain(found.problems) {
            let problem = problem.in_tree(tree.id);
            if !self.report.problems.iter().any(|known| known.what == problem.to_string()) {
                self.report.add(name, problem);
            }
        }
        if found.problems_left_off > 0 {
            self.report.add(name, format!("{} further problems", found.problems_left_off));
        }
        Ok(())
    }
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
