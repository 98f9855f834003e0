//! Shrinking a live file, step by step: live pages are moved from its end into free pages at its beginning, and what
//! has become free at the end is cut off.
//!
//! ```text
//!   before   |xx.x...x..x|..x.x..x.|       x live   . free   | goal: what lives, and some room
//!   moving   |xxxxxxxx..x|.........|       copy on write, in small transactions, below the goal
//!   after    |xxxxxxxx..x|                 two checkpoints make the end free; it is cut off
//! ```
//!
//! A step changes no row and writes no log: after a crash the file is as some checkpoint left it, and how far the
//! moving has come can be seen from where the live pages are. So it can be stopped at any time and begun again.

use std::sync::Arc;

use llmdb_base::{ChildRef, PAGE_SIZE, RunRef, sync::lock};
use llmdb_btree::{MoveLimits, Moves};
use llmdb_pager::{PageTxn, run_page_count};

use crate::{Engine, Result, WriteTxn, engine::Shared, gate::Permit};

/// What one step does at most: short enough that writers hardly notice.
const LIMITS: MoveLimits = MoveLimits { pages: 256, looks: 4_096 };
/// Free pages that there must be below the goal for a step: what it moves, and the branches above.
const ROOM_PAGES: u64 = 2 * LIMITS.pages;
/// Passes over all trees. Writers that go on put pages behind the goal; what is left then is as good as it gets.
const PASSES_MAX: usize = 8;

/// What compaction has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct CompactReport {
    /// Size of the data file before.
    pub bytes_before: u64,
    /// Size of the data file now.
    pub file_bytes: u64,
    /// Bytes that the live data takes now.
    pub live_bytes: u64,
    /// Pages moved.
    pub moved_pages: u64,
    /// Bytes at the end of the file that could not be moved: no gap is long enough for a long value, or a snapshot
    /// holds what is there.
    pub left_bytes: u64,
    /// Whether the caller's progress function stopped it. Calling again goes on.
    pub stopped: bool,
}

/// Pages moved so far, and pages to be moved in all. Answering `false` stops the compaction.
pub type CompactProgress<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

impl Engine {
    /// Shrinks the data file to what lives in it and some room, while readers and writers go on. A writer waits for
    /// one step at most: some 256 pages, or one long value.
    ///
    /// Cost: copies the pages that lie behind the new end; reads the leaves of all trees if long values lie there;
    /// four checkpoints or more.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`] if a page to be moved is damaged; [`crate::Error::Io`],
    /// [`crate::Error::NoSpace`], [`crate::Error::Poisoned`], [`crate::Error::ReadOnly`]. What has been moved stays
    /// moved.
    pub fn compact(&self, progress: CompactProgress<'_>) -> Result<CompactReport> {
        self.shared.compact(progress)
    }
}

impl Shared {
    /// See [`Engine::compact`].
    pub(crate) fn compact(self: &Arc<Self>, progress: CompactProgress<'_>) -> Result<CompactReport> {
        self.check_writable()?;
        let _alone = lock(&self.compacting);
        let before = self.pager.stats().file_pages;
        let mut work = Work { shared: self, progress, total: 0, moved: 0, stopped: false };
        let worked = if self.log.is_some() { work.run() } else { Ok(()) };
        // Also after an error: whoever writes next takes pages where it likes.
        if let Ok(_permit) = work.enter() {
            self.pager.aim_at(None);
        }
        self.hand_over_by_hand();
        worked?;
        let (pages, bytes) = (self.pager.stats(), PAGE_SIZE as u64);
        let left_pages = pages.file_pages.saturating_sub(self.pager.goal_pages());
        Ok(CompactReport {
            bytes_before: before * bytes,
            file_bytes: pages.file_pages * bytes,
            live_bytes: pages.live_pages * bytes,
            moved_pages: work.moved,
            left_bytes: left_pages * bytes,
            stopped: work.stopped,
        })
    }
}

struct Work<'a, 'p> {
    shared: &'a Arc<Shared>,
    progress: CompactProgress<'p>,
    total: u64,
    moved: u64,
    stopped: bool,
}

impl<'a> Work<'a, '_> {
    fn run(&mut self) -> Result<()> {
        self.settle()?;
        for _ in 0..PASSES_MAX {
            let pager = &self.shared.pager;
            let (before, goal) = (pager.stats().file_pages, pager.goal_pages());
            if before <= goal {
                return Ok(());
            }
            self.aim(goal)?;
            self.total = self.total.max(self.moved + pager.live_pages_from(goal));
            self.pass(goal, Runs::Stay)?;
            if self.is_left(goal)? {
                self.pass(goal, Runs::Move)?;
            }
            self.settle()?;
            if self.stopped || self.shared.pager.stats().file_pages >= before {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Makes the next pages come from below `goal`, and the next checkpoint move the allocation map there.
    fn aim(&self, goal: u64) -> Result<()> {
        let _permit = self.enter()?;
        self.shared.pager.aim_at(Some(goal));
        self.shared.pager.move_map_below(goal);
        Ok(())
    }

    /// The right to write.
    fn enter(&self) -> Result<Permit<'a>> {
        let permit = self.shared.gate.enter();
        self.shared.take_turn(self.shared.options.lock_timeout_us)?;
        Ok(permit)
    }

    /// Whether more lives behind the goal than the allocation map, which checkpoints move.
    fn is_left(&self, goal: u64) -> Result<bool> {
        let pager = &self.shared.pager;
        let _permit = self.enter()?;
        let map_pages = pager.own_pages().into_iter().filter(|pgno| pgno.get() >= goal).count() as u64;
        Ok(!self.stopped && pager.live_pages_from(goal) > map_pages)
    }

    /// Two checkpoints: what was moved is free after them, and the free end is cut off.
    fn settle(&self) -> Result<()> {
        self.shared.checkpoint_now()?;
        self.shared.checkpoint_now()
    }

    /// Goes through all trees once.
    fn pass(&mut self, goal: u64, runs: Runs) -> Result<()> {
        let trees = crate::Snapshot::new(self.shared, llmdb_pager::Visible::Tip)?.trees()?;
        let names = trees.iter().map(|(name, _)| Some(name.as_str())).chain([None]);
        for name in names {
            let mut from = Some(Vec::new());
            while let Some(key) = from {
                if self.stopped || !self.has_room(goal)? {
                    return Ok(());
                }
                from = self.step(name, &key, goal, runs)?;
            }
        }
        Ok(())
    }

    /// Whether a step finds room, if need be after two checkpoints.
    fn has_room(&self, goal: u64) -> Result<bool> {
        let pager = &self.shared.pager;
        if pager.free_pages_below(goal) >= ROOM_PAGES {
            return Ok(true);
        }
        self.settle()?;
        // The store may be smaller than a step.
        let has_room = pager.free_pages_below(goal) > ROOM_PAGES.min(pager.live_pages_from(goal));
        if has_room {
            self.aim(goal)?;
        }
        Ok(has_room)
    }

    /// Moves some pages of one tree in one transaction; returns the key to go on from.
    fn step(&mut self, name: Option<&str>, from: &[u8], goal: u64, runs: Runs) -> Result<Option<Vec<u8>>> {
        self.shared.check_writable()?;
        self.shared.wait_for_checkpoint();
        let mut txn = WriteTxn::begin(self.shared, self.enter()?)?;
        let moved = txn.relocate(name, from, LIMITS, &mut Behind { goal, runs })?;
        if moved.pages > 0 {
            txn.commit_moved()?;
        } else {
            txn.abort();
        }
        self.moved += moved.pages;
        self.total = self.total.max(self.moved);
        self.stopped = !(self.progress)(self.moved, self.total);
        Ok(moved.next)
    }
}

/// Whether a pass moves long values, for which it has to read every leaf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Runs {
    Stay,
    Move,
}

/// Moves what lies behind the goal.
struct Behind {
    goal: u64,
    runs: Runs,
}

impl Moves<PageTxn> for Behind {
    fn node(&mut self, child: ChildRef) -> bool {
        child.pgno().get() >= self.goal
    }

    fn has_runs(&self) -> bool {
        self.runs == Runs::Move
    }

    fn run(&mut self, pages: &mut PageTxn, run: &RunRef) -> bool {
        run.first.get() + run_page_count(run.len) > self.goal && pages.has_place_below(run.len)
    }
}
