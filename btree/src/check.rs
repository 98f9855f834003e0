//! Checking a whole tree: every invariant of nodes and trees, for every page that can be reached.

use llmdb_base::{
    ChildRef, Epoch, PageError, PageResult, ReadPages, RunRef, header,
    plant::{Bug, planted},
};

use crate::{
    KEY_LEN_MAX, Tree,
    fence::Fence,
    merge,
    node::{CHILD_LEN, Form, Node, fetch, head},
    search,
};

/// Most problems that a report holds; the rest is counted.
const PROBLEMS_MAX: usize = 1000;

/// Pages that a tree uses, as a check meets them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageUse {
    /// A node: reported before it is read, so whether or not it can be read.
    Node {
        /// The page.
        child: ChildRef,
        /// Its height above the leaves.
        level: u8,
    },
    /// An out-of-line value. Its bytes are not read by the check.
    Run(RunRef),
}

/// What a check found.
#[derive(Debug, Default)]
pub struct CheckReport {
    /// What is wrong, each with its page; at most 1000.
    pub problems: Vec<PageError>,
    /// Further problems.
    pub problems_left_off: u64,
    /// Entries reached.
    pub entries: u64,
    /// Leaves that could be read.
    pub leaves: u64,
    /// Branches that could be read.
    pub branches: u64,
    /// Out-of-line values.
    pub runs: u64,
    /// Leaves and branches, the root left out, that are less than a third full. Legal, but space lost.
    pub underfull: u64,
    /// Bytes in leaves that cells and slots take.
    pub leaf_bytes_used: u64,
    /// Bytes in branches that cells and slots take.
    pub branch_bytes_used: u64,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn add(&mut self, problem: PageError) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        } else {
            self.problems_left_off += 1;
        }
    }

    fn note(&mut self, result: PageResult<()>) {
        if let Err(problem) = result {
            self.add(problem);
        }
    }
}

/// Where in its tree a page is used: keys of a node are at or above `from` and below `below`, as far as they are known; a
/// run is the value of the key `from`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UsedAt<'a> {
    /// Lower bound of the keys of a node; the key of a run.
    pub from: Option<&'a [u8]>,
    /// Upper bound of the keys of a node.
    pub below: Option<&'a [u8]>,
}

impl Tree {
    /// Checks every page that can be reached, and goes on behind a bad one. Calls `uses` for every node and run, so
    /// that the caller can compare with the allocation map, read the runs, and find what is reached twice.
    ///
    /// Cost: reads every node once. Ends on arbitrary bytes: subtrees are entered only if their separators leave
    /// them keys of their own.
    pub fn check<P: ReadPages>(&self, pages: &P, uses: &mut dyn FnMut(PageUse)) -> CheckReport {
        self.check_with_keys(pages, &mut |page, _| uses(page))
    }

    /// As [`Tree::check`]; `uses` also hears where in the tree each page is used.
    pub fn check_with_keys<P: ReadPages>(
        &self,
        pages: &P,
        uses: &mut dyn FnMut(PageUse, UsedAt<'_>),
    ) -> CheckReport {
        let mut checker = Checker { tree: self, pages, uses, report: CheckReport::default() };
        if !self.is_empty() {
            match self.root_ref() {
                Ok(root) => checker.visit(root, self.height - 1, Fence::ALL, Epoch::new(u64::MAX)),
                Err(problem) => checker.report.add(problem),
            }
        }
        let mut report = checker.report;
        if report.entries != self.entries {
            let what = format!("{} entries, but the tree counts {}", report.entries, self.entries);
            report.add(PageError::from(llmdb_base::Corruption::new(self.root.pgno(), what)).in_tree(self.id));
        }
        report
    }
}

struct Checker<'a, 'p, P> {
    tree: &'a Tree,
    pages: &'p P,
    uses: &'a mut dyn FnMut(PageUse, UsedAt<'_>),
    report: CheckReport,
}

impl<'p, P: ReadPages> Checker<'_, 'p, P> {
    fn visit(&mut self, child: ChildRef, level: u8, fence: Fence<'p>, parent: Epoch) {
        (self.uses)(PageUse::Node { child, level }, UsedAt { from: fence.low, below: fence.high });
        let node = match fetch(self.pages, self.tree.id, child, level) {
            Ok(node) => node,
            Err(problem) => return self.report.add(problem),
        };
        self.report.note(check_page(&node));
        if header::birth(node.page()) > parent {
            self.report.add(node.damaged("it is younger than the page that names it"));
        }
        if child != self.tree.root && merge::is_underfull(&node) {
            self.report.underfull += 1;
        }
        if level == 0 {
            self.report.leaves += 1;
            self.report.leaf_bytes_used += node.used() as u64;
            self.visit_entries(&node, fence);
        } else {
            self.report.branches += 1;
            self.report.branch_bytes_used += node.used() as u64;
            self.visit_children(&node, level, fence);
        }
    }

    fn visit_entries(&mut self, leaf: &Node<'p>, fence: Fence<'p>) {
        self.report.entries += leaf.count() as u64;
        for index in 0..leaf.count() {
            self.report.note(check_cell(leaf, index, fence));
            match leaf.run(index) {
                Ok(Some(run)) => {
                    self.report.runs += 1;
                    if run.birth > header::birth(leaf.page()) && !planted(Bug::BelieveBirths) {
                        self.report.add(leaf.damaged(&format!("the value of cell {index} is younger")));
                    }
                    (self.uses)(PageUse::Run(run), UsedAt { from: leaf.key(index).ok(), below: None });
                }
                Ok(None) => {}
                Err(problem) => self.report.add(problem),
            }
        }
    }

    fn visit_children(&mut self, branch: &Node<'p>, level: u8, fence: Fence<'p>) {
        for index in 0..branch.count() {
            // The first key is the empty one, whatever keys the branch may have.
            let fence = if index == 0 { Fence::ALL } else { fence };
            self.report.note(check_cell(branch, index, fence));
        }
        let birth = header::birth(branch.page());
        fence.divide(branch, |index, part| match (branch.child(index), part) {
            (Ok(child), Some(part)) => self.visit(child, level - 1, part, birth),
            (Ok(_), None) => {
                self.report.add(branch.damaged(&format!("child {index} has no keys of its own")))
            }
            (Err(problem), _) => self.report.add(problem),
        });
    }
}

/// What holds for the page as a whole.
fn check_page(node: &Node<'_>) -> PageResult<()> {
    if !header::reserved_is_zero(node.page()) {
        return Err(node.damaged("reserved bytes are in use"));
    }
    if node.is_branch() && header::ascent(node.page()) != 0 {
        return Err(node.damaged("a branch with the hint of a leaf"));
    }
    if node.slot(0)?.offset() != header::PAYLOAD {
        return Err(node.damaged("the first cell is not at byte 32"));
    }
    if !search::skip_len_is_exact(node)? {
        return Err(node.damaged("skip_len is not the length of the shared prefix"));
    }
    Ok(())
}

/// What holds for cell `index`: place, lengths, head, order, and that its key is inside `fence`.
fn check_cell(node: &Node<'_>, index: usize, fence: Fence<'_>) -> PageResult<()> {
    let (cell, slot) = (node.cell(index)?, node.slot(index)?);
    node.cell_range(index)?;
    let bad = |what: &str| Err(node.damaged(&format!("cell {index}: {what}")));
    if cell.key.len() > KEY_LEN_MAX {
        return bad("the key is too long");
    }
    let first = node.keys_from();
    if index < first && !cell.key.is_empty() {
        return bad("the first key of a branch is not empty");
    }
    let expected = if index < first { 0 } else { head(cell.key, header::skip_len(node.page())) };
    if slot.head() != expected {
        return bad("the head is not the one of the key");
    }
    if index > 0 && node.key(index - 1)? >= cell.key {
        return bad("the key is not above the one before");
    }
    if !fence.contains(cell.key) {
        return bad("the key is outside what the parent allows");
    }
    if node.is_branch() && (cell.payload.len() != CHILD_LEN || cell.form == Form::Run) {
        return bad("no child reference");
    }
    Ok(())
}
