//! Cutting off the free end of the file, and seeing to it that there is one.

use std::sync::{Arc, atomic::Ordering};

use llmdb_base::{PageError, PageResult, Pgno, sync::thread};

use crate::{meta::FILE_PAGES_MIN, pager::Pager, range::PageRange, txn::PageTxn};

/// A free end of fewer pages stays: growing the file again would cost more than it is worth.
const CUT_PAGES_MIN: u64 = 64;
/// As does one that is a smaller part of the file than this.
const CUT_PART: u64 = 64;
/// The file is let be while this part of what is used is free: the writer needs some room.
const ROOM_PART: u64 = 64;
/// How often a cut looks whether the readers that began before it have gone. Most of them read for microseconds.
const READER_LOOKS: u32 = 50;

impl Pager {
    /// Shortens the file to what is in use, unless a reader is left that might name pages behind the new end.
    ///
    /// # Errors
    /// An I/O error; the file is then as long as before, which harms nobody.
    pub(super) fn cut_free_end(self: &Arc<Self>) -> PageResult<()> {
        let txn = self.begin_write();
        let end = self.space.used_end().max(FILE_PAGES_MIN);
        self.cut_at(txn, end).map(drop)
    }

    /// Gives the free end of the file back to the disk if it is long, and returns how many pages that were. Called
    /// under the writer gate, between transactions. Leaves the reserve alone. Does nothing while a reader may name
    /// pages behind the new end, or a commit has not been published: later will do.
    ///
    /// # Errors
    /// An I/O error; the file is then as long as before, which harms nobody.
    ///
    /// # Panics
    /// If a transaction or a checkpoint is under way, or the store was not opened for writing.
    pub fn give_end_back(self: &Arc<Self>) -> PageResult<u64> {
        if self.store.file.is_none() || self.poisoned().is_some() {
            return Ok(0);
        }
        assert!(!self.checkpoint_is_open.load(Ordering::Acquire), "no checkpoint is under way");
        let txn = self.begin_write();
        let (file_pages, used_end) = (self.space.file_pages(), self.space.used_end());
        let used = self.space.live_pages() + self.space.held_pages();
        let free_inside = used_end.saturating_sub(used);
        let reserve = self.options.reserve_pages + txn.writer().map_pages;
        let end = (used_end + reserve.saturating_sub(free_inside)).max(FILE_PAGES_MIN);
        if file_pages.saturating_sub(end) < CUT_PAGES_MIN.max(file_pages / CUT_PART) {
            return Ok(0);
        }
        self.cut_at(txn, end)
    }

    /// Whether the live pages leave an end of the file free that is worth cutting off, as far as one can tell without
    /// the writer gate. Cost: a look at the map from its end to the last live page.
    pub fn has_free_end(&self) -> bool {
        let file_pages = self.space.file_pages();
        let free = file_pages.saturating_sub(self.space.live_end());
        self.store.file.is_some() && free >= CUT_PAGES_MIN.max(file_pages / CUT_PART)
    }

    /// How long the file has to be for what lives in it: the live pages, the reserve, and room to move.
    pub fn goal_pages(&self) -> u64 {
        self.roomy(self.space.live_pages())
    }

    /// From now on pages below `goal` are taken first, until the next call with `None`. While there is no goal, every
    /// checkpoint sets one of its own if the file is longer than it has to be. Called under the writer gate, between
    /// transactions.
    ///
    /// # Panics
    /// If a transaction is under way, or the store was not opened for writing.
    pub fn aim_at(self: &Arc<Self>, goal: Option<u64>) {
        self.goal.store(goal.unwrap_or(0), Ordering::Relaxed);
        let mut txn = self.begin_write();
        txn.writer_mut().allocator.set_ceiling(goal);
    }

    /// Free pages below `goal`: what can be moved there.
    pub fn free_pages_below(&self, goal: u64) -> u64 {
        (0..goal.min(self.space.file_pages()) / 64)
            .map(|word| u64::from(self.space.free_word(word).count_ones()))
            .sum()
    }

    /// Live pages at `goal` and behind it: what has to be moved.
    pub fn live_pages_from(&self, goal: u64) -> u64 {
        let end = self.space.file_pages();
        crate::range::runs_of_ones(goal, end, |word| self.space.live.word(word)).map(PageRange::count).sum()
    }

    /// Lets the next checkpoint store those pages of the allocation map anew that lie at `goal` or behind it. Called
    /// under the writer gate, between transactions.
    ///
    /// # Panics
    /// If a transaction is under way, or the store was not opened for writing.
    pub fn move_map_below(self: &Arc<Self>, goal: u64) {
        let txn = self.begin_write();
        for (level, index) in txn.map().pages_from(goal) {
            // An index page is stored anew with any piece below it.
            if let Some(piece) = txn.map().first_piece(level, index) {
                self.space.changed_pieces.insert(piece);
            }
        }
    }

    /// Lets the writer prefer the low end of the file if that is longer than it has to be.
    pub(super) fn aim_low(&self, txn: &mut PageTxn) {
        let goal = match self.goal.load(Ordering::Relaxed) {
            0 => self.roomy(self.space.live_pages() + self.space.held_pages()),
            goal => goal,
        };
        let ceiling = (self.space.file_pages() > goal).then_some(goal);
        txn.writer_mut().allocator.set_ceiling(ceiling);
    }

    fn roomy(&self, used: u64) -> u64 {
        used + used / ROOM_PART + self.options.reserve_pages + CUT_PAGES_MIN
    }

    /// Shortens the file to `end`, behind which nothing is in use; returns by how many pages.
    fn cut_at(self: &Arc<Self>, mut txn: PageTxn, end: u64) -> PageResult<u64> {
        let old_end = self.space.file_pages();
        let tip = *txn.root();
        if end >= old_end || self.published.epoch() != tip.epoch {
            return Ok(0);
        }
        // The same state under a new name, with fewer pages. Who begins to read from now on names none of those that
        // go, and the scan sees who began before.
        self.space.set_file_pages(end);
        let root = txn.seal(tip.state());
        self.publish(&root);
        if !self.readers_leave(root.epoch) {
            self.space.set_file_pages(old_end);
            return Ok(0);
        }
        txn.writer_mut().allocator.forget_warm();
        self.discard_cut(end, old_end);
        let cut = self.store.file().set_len(Pgno::new(end).offset());
        cut.map_err(|source| PageError::io("shorten the data file", source))?;
        Ok(old_end - end)
    }

    /// Waits a moment for the readers of roots before `epoch`. `false` if one stays.
    fn readers_leave(&self, epoch: llmdb_base::Epoch) -> bool {
        let mut readers = Vec::new();
        (0..READER_LOOKS).any(|look| {
            if look > 0 {
                thread::yield_now();
            }
            readers.clear();
            self.scan_readers(&mut readers);
            let are_known = self.commons.get().is_none_or(|commons| commons.check_whole().is_ok());
            are_known && readers.iter().all(|reader| *reader >= epoch)
        })
    }

    /// Memory behind the end of a file cannot even be looked at.
    fn discard_cut(&self, end: u64, old_end: u64) {
        let mut first = end;
        while first < old_end {
            let range = PageRange::new(first, PageRange::COUNT_MAX.min(old_end - first));
            // What stays private beyond the end is unreachable, and goes with the mapping.
            drop(self.store.view.discard(range));
            self.space.forget_private(range);
            first = range.end();
        }
    }
}
