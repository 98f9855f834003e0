//! The write transaction on pages: what it allocated, what it freed, and how that is undone.

mod nodes;
mod pages;
mod runs;
mod sweep;

use std::{mem, sync::Arc};

use llmdb_base::{Epoch, PageResult, Pgno, sync::lock};

use crate::{
    map::MapPages,
    pager::Pager,
    range::PageRange,
    retention::Batch,
    roots::{RootRecord, RootState},
    stats::Counters,
    writer::{Writer, WriterSlot},
};

/// A write transaction on pages. Dropping it undoes it.
///
/// Invariants:
/// 1. `levels` is never empty while the transaction lives. Level 0 is the transaction; each savepoint opens
///    another level. The last level is the current one, and its epoch is the birth of what is allocated now.
/// 2. `Writer::fresh` holds exactly the live pages that the current level allocated.
/// 3. A page that some level freed, and that was not fresh, is held, so that undoing finds it untouched.
#[derive(Debug)]
pub struct PageTxn {
    pager: Arc<Pager>,
    /// `Some` until the transaction ends.
    writer: Option<Box<Writer>>,
    root: RootRecord,
    levels: Vec<Level>,
    open_runs: Vec<PageRange>,
    reserve: Reserve,
    /// Losses of pages before it began.
    losses: u64,
}

/// Which of the pages that are kept for a full disk allocations may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reserve {
    /// None.
    Kept,
    /// Half of them: for removing something, which copies a few pages before it gives back more.
    Shared,
    /// All: for checkpoints, without which nothing is given back.
    Open,
}

/// What was done since a savepoint.
#[derive(Debug)]
struct Level {
    /// Names the savepoint that opened the level; kept when the level is rolled back and begins anew.
    savepoint: Epoch,
    epoch: Epoch,
    /// In order of allocation. A page that was freed while fresh is still here, and may be here again.
    allocated: Vec<PageRange>,
    freed: Batch,
    /// Nodes freed that the last checkpoint begun still names.
    replaced: u64,
}

impl Level {
    fn new(savepoint: Epoch, epoch: Epoch) -> Self {
        Self { savepoint, epoch, allocated: Vec::new(), freed: Batch::new(epoch), replaced: 0 }
    }

    fn push_allocated(&mut self, range: PageRange) {
        match self.allocated.last_mut().and_then(|last| Some((last.joined(range)?, last))) {
            Some((joined, last)) => *last = joined,
            None => self.allocated.push(range),
        }
    }
}

/// A point within a transaction that [`PageTxn::rollback_to`] goes back to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Savepoint {
    level: usize,
    savepoint: Epoch,
}

impl PageTxn {
    pub(crate) fn new(pager: Arc<Pager>, mut writer: Box<Writer>) -> Self {
        let epoch = writer.next_epoch();
        Counters::add(&pager.counters.epochs, 1);
        let root = pager.tip();
        let losses = pager.losses();
        Self {
            pager,
            losses,
            writer: Some(writer),
            root,
            levels: vec![Level::new(epoch, epoch)],
            open_runs: Vec::new(),
            reserve: Reserve::Kept,
        }
    }

    /// The state it started from.
    pub fn root(&self) -> &RootRecord {
        &self.root
    }

    /// The pager that it changes.
    pub fn pager(&self) -> &Arc<Pager> {
        &self.pager
    }

    /// From now on allocations may use the pages that are kept for a full disk. For transactions that make room.
    pub fn use_reserve(&mut self) {
        self.reserve = Reserve::Open;
    }

    /// What allocations may take from now on of the pages that are kept for a full disk.
    pub fn set_reserve(&mut self, reserve: Reserve) {
        self.reserve = reserve;
    }

    /// Says that about `count` pages will be allocated soon. The system reads what a page of the file held before it
    /// lets anybody store to it, unless the page cache has it. What will be made anew needs nothing of that: so zeros
    /// are written there, which costs a copy and no wait for the disk. No root names these pages. A hint: what cannot
    /// be written is read.
    pub fn expect_allocations(&mut self, count: u64) {
        let pager = Arc::clone(&self.pager);
        let is_mapped = pager.store.file.is_some() && pager.store.view.shows_file();
        if !is_mapped || pager.check_not_cut().is_err() {
            return;
        }
        let allocator = &mut self.writer_mut().allocator;
        allocator.announce(&pager.space, count, |range| pager.store.blank(range));
    }

    /// Remembers this moment. Takes the next epoch: pages allocated so far are copied before they change again.
    ///
    /// # Panics
    /// If a value was begun and neither finished nor abandoned.
    pub fn savepoint(&mut self) -> Savepoint {
        assert!(self.open_runs.is_empty(), "no value is being written when a savepoint is set");
        self.forget_fresh(self.levels.len() - 1);
        let epoch = self.next_epoch();
        self.levels.push(Level::new(epoch, epoch));
        Savepoint { level: self.levels.len() - 1, savepoint: epoch }
    }

    /// Undoes what was done since `savepoint`, which stays valid; savepoints set later do not. Values being written
    /// are gone.
    ///
    /// # Panics
    /// If the savepoint belongs to another transaction or was rolled back itself.
    pub fn rollback_to(&mut self, savepoint: &Savepoint) {
        let known =
            self.levels.get(savepoint.level).is_some_and(|level| level.savepoint == savepoint.savepoint);
        assert!(known && savepoint.level > 0, "a savepoint of this transaction that was not rolled back");
        while self.levels.len() > savepoint.level {
            self.undo_level();
        }
        self.open_runs.clear();
        let epoch = self.next_epoch();
        self.levels.push(Level::new(savepoint.savepoint, epoch));
    }

    /// Writes the pages that are in private memory only, so that other processes see them once the transaction is
    /// published. No root names them yet.
    ///
    /// # Errors
    /// An I/O error. The pages stay private.
    pub fn write_early(&self) -> PageResult<()> {
        self.pager.spill()
    }

    /// Whether a value of `len` bytes would find consecutive free pages below the goal of [`Pager::aim_at`]. The next
    /// value of that length is stored there.
    pub fn has_place_below(&mut self, len: u64) -> bool {
        let pages = crate::run_page_count(len);
        let Self { pager, writer, .. } = self;
        let writer = writer.as_mut().expect("a transaction has the writer until it ends");
        writer.allocator.has_low_run(&pager.space, pages, pager.store.view.region_pages())
    }

    /// Makes the changes the tip. Values that were begun and not finished are gone. Nothing is durable, and readers
    /// of the published state see nothing of it.
    pub fn commit(mut self, state: RootState) -> RootRecord {
        self.seal(state)
    }

    /// Undoes everything, as dropping does.
    pub fn abort(self) {}

    /// Ends the transaction with a new tip; what is left for `drop` is to return the writer.
    pub(crate) fn seal(&mut self, state: RootState) -> RootRecord {
        let root = RootRecord::new(self.current().epoch, self.pager.space.file_pages(), state);
        for run in mem::take(&mut self.open_runs) {
            self.release(run);
        }
        self.forget_fresh(self.levels.len() - 1);
        let counters = &self.pager.counters;
        let mut retention = lock(&self.pager.retention);
        for level in self.levels.drain(..) {
            Counters::add(&counters.replaced_pages, level.replaced);
            Counters::add(&counters.settling_pages, level.freed.page_count());
            retention.push(level.freed);
        }
        drop(retention);
        self.pager.tip.store(&root);
        root
    }

    /// Undoes the last level.
    fn undo_level(&mut self) {
        self.forget_fresh(self.levels.len() - 1);
        let Some(level) = self.levels.pop() else { return };
        level.freed.pages.iter().for_each(|page| self.pager.space.restore(page.range));
        for range in level.allocated {
            // What was freed meanwhile, being fresh, is not live any more.
            self.release(range);
        }
    }

    /// Pages of a level must be copied from now on before they change.
    fn forget_fresh(&mut self, level: usize) {
        let fresh = &self.writer.as_ref().expect("a transaction has the writer until it ends").fresh;
        self.levels[level].allocated.iter().for_each(|range| fresh.remove_range(*range));
    }

    /// Makes live pages free that nobody else may have named.
    fn release(&mut self, range: PageRange) {
        let writer = self.writer.as_mut().expect("a transaction has the writer until it ends");
        writer.release(&self.pager.space, range);
    }

    fn next_epoch(&mut self) -> Epoch {
        Counters::add(&self.pager.counters.epochs, 1);
        self.writer_mut().next_epoch()
    }

    fn current(&self) -> &Level {
        self.levels.last().expect("a transaction has a level (1)")
    }

    fn current_mut(&mut self) -> &mut Level {
        self.levels.last_mut().expect("a transaction has a level (1)")
    }

    pub(crate) fn writer(&self) -> &Writer {
        self.writer.as_ref().expect("a transaction has the writer until it ends")
    }

    pub(crate) fn writer_mut(&mut self) -> &mut Writer {
        self.writer.as_mut().expect("a transaction has the writer until it ends")
    }

    /// Pages that this transaction must leave free.
    fn reserve(&self) -> u64 {
        let (reserve_pages, map_pages) = (self.pager.options.reserve_pages, self.writer().map_pages);
        match self.reserve {
            Reserve::Kept => reserve_pages + map_pages,
            Reserve::Shared => reserve_pages / 2 + map_pages,
            Reserve::Open => 0,
        }
    }

    /// Takes free pages for the current level.
    fn take(
        &mut self,
        choose: impl FnOnce(&mut Writer, &Pager, u64) -> PageResult<PageRange>,
    ) -> PageResult<PageRange> {
        let reserve = self.reserve();
        let pager = &*self.pager;
        let writer = self.writer.as_mut().expect("a transaction has the writer until it ends");
        let range = choose(writer, pager, reserve)?;
        pager.space.take(range);
        writer.fresh.insert_range(range);
        Counters::add(&pager.counters.allocated_pages, range.count());
        self.pager.store.verified.insert_range(range, self.current().epoch.tag());
        self.current_mut().push_allocated(range);
        Ok(range)
    }

    fn take_page(&mut self) -> PageResult<Pgno> {
        let range = self.take(|writer, pager, reserve| {
            writer.allocator.page(&pager.space, &pager.store, reserve).map(PageRange::one)
        })?;
        Ok(Pgno::new(range.first()))
    }

    /// Gives pages back: at once if they are fresh, and by the reuse rule otherwise.
    fn give(&mut self, range: PageRange, born: Epoch) {
        if self.writer().fresh.contains(range.first()) {
            self.writer().fresh.remove_range(range);
            self.release(range);
        } else {
            self.pager.space.hold(range);
            self.current_mut().freed.push(range, born);
        }
    }

    /// Writes dirty pages early if they take more private memory than they may. What was written is copied before it
    /// changes again: of two writings of a page with one birth, a disk that loses the second would show the first.
    fn spill_if_due(&mut self) -> PageResult<()> {
        let private_bytes = self.pager.space.dirty_pages() * llmdb_base::PAGE_SIZE as u64;
        if private_bytes <= self.pager.options.private_bytes_max || !self.open_runs.is_empty() {
            return Ok(());
        }
        self.pager.spill()?;
        let epoch = self.next_epoch();
        self.current_mut().epoch = epoch;
        Ok(())
    }

    /// The allocation map as the writer knows it.
    pub(crate) fn map(&self) -> &MapPages {
        &self.writer().map
    }
}

impl Drop for PageTxn {
    fn drop(&mut self) {
        while !self.levels.is_empty() {
            self.undo_level();
        }
        if let Some(writer) = self.writer.take() {
            *lock(&self.pager.writer) = WriterSlot::Idle(writer);
        }
    }
}
