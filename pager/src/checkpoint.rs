//! Making a committed state durable in the data file.
//!
//! ```text
//!   begin_checkpoint   under the writer gate: store the allocation map in new pages, name the state by a new
//!                      epoch, take the dirty set                          from here on the root is retained
//!   write              beside other transactions: pages, then a sync      no durable root names these pages
//!   finish             the meta page, twice                               durable from the first copy on
//!                      private copies go                                  the older root is forgotten
//! ```

mod cut;
mod place;

pub(crate) use place::store_map;

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use llmdb_base::{
    ChildRef, PAGE_SIZE, PageError, PageResult, Pgno, StoreId,
    plant::{Bug, planted},
    sync::lock,
};
use llmdb_vfs::{AlignedBuf, File};

use crate::{
    durable::Durable,
    meta::{FILE_PAGES_MIN, Meta},
    pager::Pager,
    range::PageRange,
    roots::RootRecord,
    stats::Counters,
    writeback::Pace,
};

/// A checkpoint under way. Dropping it before it is finished abandons it: its pages are dirty again, and the next
/// checkpoint writes them.
pub struct Checkpoint {
    pager: Arc<Pager>,
    root: RootRecord,
    map_root: ChildRef,
    map_levels: u8,
    /// What `begin_checkpoint` found dirty.
    pages: Vec<PageRange>,
    is_written: bool,
}

/// Whether the log is needed beside a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LogNeeded {
    Yes,
    No,
}

/// How far a checkpoint has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Pages written.
    pub written_pages: u64,
    /// Pages to be written in all.
    pub total_pages: u64,
}

/// The most free pages whose private memory one checkpoint gives back: under the writer gate, time is short.
const IDLE_PAGES_MAX: u64 = 4096;

impl Pager {
    /// Begins to make the tip durable. Called under the writer gate, between transactions; what follows may run
    /// beside other transactions. Cost: grows with the pieces of the allocation map that have changed.
    ///
    /// # Errors
    /// `NoSpace` if not even the reserve has room for the allocation map; nothing has changed then, and it may be
    /// tried again. An I/O error if an earlier checkpoint failed to write, see [`Pager::poisoned`].
    ///
    /// # Panics
    /// If a transaction or another checkpoint is under way, or the store has no file or is read-only.
    pub fn begin_checkpoint(self: &Arc<Self>) -> PageResult<Checkpoint> {
        self.refuse_if_poisoned()?;
        let durable = self.durable.as_ref().expect("only a store with a file has checkpoints");
        let was_open = self.checkpoint_is_open.swap(true, Ordering::AcqRel);
        assert!(!was_open, "one checkpoint at a time");
        let begun = self.begin_alone(|epoch| lock(durable).started = Some(epoch));
        if begun.is_err() {
            self.checkpoint_is_open.store(false, Ordering::Release);
        }
        begun
    }

    fn begin_alone(self: &Arc<Self>, retain: impl FnOnce(llmdb_base::Epoch)) -> PageResult<Checkpoint> {
        let mut txn = self.begin_write();
        txn.use_reserve();
        let map = place::store_map(&mut txn)?;
        let tip = *txn.root();
        let (map_root, map_levels) = (map.root(), map.index_levels());
        txn.writer_mut().set_map(map);
        txn.writer_mut().checkpointed = llmdb_base::WritePages::epoch(&txn);
        self.counters.begin_checkpoint();
        // In one step, as far as the writer can tell: the root is retained, the tip, and its dirty pages are ours.
        retain(llmdb_base::WritePages::epoch(&txn));
        let mut root = txn.seal(tip.state());
        let pages = self.space.take_dirty();
        self.give_idle_memory_back(&mut txn);
        self.aim_low(&mut txn);
        root.page_count = self.space.live_end().max(FILE_PAGES_MIN);
        drop(txn);
        if self.published.epoch() == tip.epoch {
            self.publish(&root);
        }
        Ok(Checkpoint { pager: Arc::clone(self), root, map_root, map_levels, pages, is_written: false })
    }

    /// Free pages in private memory are good for the next transactions, in moderation.
    fn give_idle_memory_back(&self, txn: &mut crate::txn::PageTxn) {
        if self.space.private_pages() * PAGE_SIZE as u64 > self.options.private_bytes_max / 2 {
            self.discard_written(&self.space.idle_private(IDLE_PAGES_MAX));
            txn.writer_mut().allocator.forget_warm();
        }
    }

    /// Writes the meta pages again that were found damaged when the store was opened, and are still of use.
    ///
    /// # Errors
    /// An I/O error.
    pub fn repair_meta(&self) -> PageResult<()> {
        let Some(durable) = &self.durable else { return Ok(()) };
        let durable = lock(durable);
        if durable.started.is_some() {
            // The checkpoint under way writes one pair itself; the next one the other.
            return Ok(());
        }
        for damaged in self.meta_report.damaged() {
            for meta in [durable.newest, durable.older] {
                if meta.slots().contains(&damaged.pgno) {
                    write_meta(self.store.file(), &meta, damaged.pgno)?;
                }
            }
        }
        Ok(())
    }

    /// What the log must hold at least, by the newest meta page; 0 if no log is needed: the store was closed, or is new.
    pub fn log_mark(&self) -> u64 {
        self.durable.as_ref().map_or(0, |durable| lock(durable).newest.log_mark)
    }

    /// Notes in the meta pages of the newest generation what the log must hold from now on, in words of whoever keeps
    /// it. Later generations take it over; a clean close sets it to 0. Durable on return. Cost: two durable writes, in
    /// place, the second after the first, so that one copy is whole at any time.
    ///
    /// # Errors
    /// An I/O error; the pager is poisoned then.
    pub fn mark_log(&self, mark: u64) -> PageResult<()> {
        let Some(durable) = &self.durable else { return Ok(()) };
        let _writing = lock(&self.meta_writing);
        let marked = Meta { log_mark: mark, ..lock(durable).newest };
        self.refuse_if_poisoned()?;
        for pgno in marked.slots() {
            write_meta(self.store.file(), &marked, pgno).or_else(|error| self.fail(error))?;
        }
        lock(durable).newest = marked;
        Ok(())
    }

    /// Whether the checkpoint of `epoch` may have been given up: the store went back behind it, since it was damaged, or because
    /// somebody asked for the older one.
    pub fn has_given_up(&self, epoch: llmdb_base::Epoch) -> bool {
        self.durable.as_ref().is_some_and(|durable| lock(durable).newest.given_up.contains(epoch))
    }

    fn refuse_if_poisoned(&self) -> PageResult<()> {
        self.poisoned().map_or(Ok(()), |why| {
            let source = std::io::Error::other(why.to_owned());
            Err(PageError::io("make a checkpoint after something that failed", source))
        })
    }

    fn fail<T>(&self, error: PageError) -> PageResult<T> {
        self.poison.get_or_init(|| error.to_string());
        Err(error)
    }
}

impl Checkpoint {
    /// The state that is becoming durable. The log must be durable up to its LSN before [`Checkpoint::finish`], or
    /// else the data file would know more than the log.
    pub fn root(&self) -> &RootRecord {
        &self.root
    }

    /// Pages to be written.
    pub fn page_count(&self) -> u64 {
        self.pages.iter().map(|range| range.count()).sum()
    }

    /// Writes the pages and forces them to the media. Other transactions may go on meanwhile.
    ///
    /// # Errors
    /// An I/O error. What reached the disk is unknown, so the pager is poisoned: no checkpoint can be made until the
    /// store is opened anew. Reading and writing in memory go on, and the meta pages are untouched.
    pub fn write(&mut self, progress: &mut dyn FnMut(Progress)) -> PageResult<()> {
        let total_pages = self.page_count();
        let pager = &self.pager;
        let written = pager.write_back(&self.pages, Pace::steady(), &mut |written_pages| {
            progress(Progress { written_pages, total_pages });
        });
        // What was lost on the way was written as zeros, which no root must come to name.
        let written = written.and_then(|()| pager.check_not_cut()).and_then(|()| pager.refuse_if_poisoned());
        let synced = written.and_then(|()| {
            if planted(Bug::PublishBeforeWrite) {
                return Ok(());
            }
            let synced = pager.store.file().sync_data();
            synced.map_err(|source| PageError::io("force the data file to the media", source))
        });
        synced.or_else(|error| pager.fail(error))?;
        Counters::add(&pager.counters.checkpoint_pages, total_pages);
        self.is_written = true;
        Ok(())
    }

    /// Writes the meta page; the pages first, if that has not been done. When this returns, the state survives
    /// a crash without the log, and the log is needed only from [`Pager::older_durable`] on.
    ///
    /// # Errors
    /// As [`Checkpoint::write`]. If the meta page could not be written, the state may be durable or not.
    pub fn finish(mut self) -> PageResult<()> {
        if !self.is_written {
            self.write(&mut |_| ())?;
        }
        self.write_generation(LogNeeded::Yes)?;
        let pages = std::mem::take(&mut self.pages);
        self.pager.replace_written(&pages);
        self.pager.counters.finish_checkpoint();
        self.pager.recount_settling();
        Ok(())
    }

    /// As [`Checkpoint::finish`], for a clean close: both generations show this state, so that the log is no longer
    /// needed, and the free end of the file is cut off unless a reader is left. Called under the writer gate.
    ///
    /// # Errors
    /// As [`Checkpoint::finish`].
    ///
    /// # Panics
    /// If a transaction is under way.
    pub fn finish_clean(mut self) -> PageResult<()> {
        if !self.is_written {
            self.write(&mut |_| ())?;
        }
        self.write_generation(LogNeeded::No)?;
        self.write_generation(LogNeeded::No)?;
        self.pager.discard_written(&self.pages);
        let pager = Arc::clone(&self.pager);
        pager.counters.finish_checkpoint();
        drop(self);
        pager.cut_free_end()
    }

    /// Writes both copies of the next generation, and makes it the newest.
    fn write_generation(&self, log: LogNeeded) -> PageResult<()> {
        let durable = self.durable();
        let _writing = lock(&self.pager.meta_writing);
        let (generation, newest) = {
            let durable = lock(durable);
            (durable.next_generation(), durable.newest)
        };
        let meta = Meta {
            store: self.pager.store.id,
            generation,
            root: self.root,
            map_root: self.map_root,
            map_levels: self.map_levels,
            log_mark: if log == LogNeeded::Yes { newest.log_mark } else { 0 },
            given_up: newest.given_up,
        };
        for pgno in meta.slots() {
            write_meta(self.pager.store.file(), &meta, pgno).or_else(|error| self.pager.fail(error))?;
        }
        lock(durable).advance(meta);
        Ok(())
    }

    fn durable(&self) -> &llmdb_base::sync::Mutex<Durable> {
        self.pager.durable.as_ref().expect("only a store with a file has checkpoints")
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        // After a failure nobody knows which root the disk holds: this one stays retained for good.
        if self.pager.poisoned().is_none() {
            // A finished checkpoint has nothing to give back.
            let is_durable = lock(self.durable()).newest.root.epoch == self.root.epoch;
            if !is_durable {
                lock(&self.pager.given_back).append(&mut self.pages);
            }
            lock(self.durable()).started = None;
        }
        self.pager.checkpoint_is_open.store(false, Ordering::Release);
    }
}

/// Writes one copy of a generation.
pub(crate) fn write_meta(file: &dyn File, meta: &Meta, pgno: Pgno) -> PageResult<()> {
    let mut page = AlignedBuf::new(PAGE_SIZE);
    let bytes = meta.encode(pgno);
    page[..bytes.len()].copy_from_slice(&bytes);
    file.write_durable_at(&page, pgno.offset())
        .map_err(|source| PageError::io(format!("write the meta page {pgno}"), source))
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store: StoreId = self.pager.store.id;
        write!(f, "Checkpoint({} of store {store}, {} pages)", self.root.epoch, self.page_count())
    }
}
