//! The pager: roots, readers and the writer of one data file.

use std::{
    fmt, mem,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use llmdb_base::{
    Corruption, Epoch, Lsn, PageResult, Pgno, StoreId, Timestamp, TxnId,
    plant::{Bug, planted},
    sync::{Mutex, lock},
};
use llmdb_vfs::Vfs;

use crate::{
    allocator::grow,
    durable::Durable,
    lost::Losses,
    map::MapPages,
    meta::{FILE_PAGES_MIN, FIXED_PAGES, MetaReport, SlotReport, SlotState},
    options::{PagerOptions, Visible},
    range::{PageRange, runs_of_ones},
    read::{Held, ReadGuard},
    readers::{Note, ReaderTable},
    retention::Retention,
    roots::{ROOTS_LEN, RootCell, RootRecord, RootState},
    share::Commons,
    space::Space,
    stats::{Counters, PagerStats},
    store::Store,
    txn::PageTxn,
    view::View,
    writer::{Writer, WriterSlot},
};

/// The pages of a data file, or of memory, and the roots that name them.
///
/// Any number of threads may read; one at a time writes; a checkpoint may be written at the same time.
///
/// ```text
///            PageTxn::commit          publish             begin_checkpoint .. finish
///   writer ------------------> tip ------------> published            tip ------------> durable
///                              readers with       readers with
///                              Visible::Tip       Visible::Published
/// ```
pub struct Pager {
    pub(crate) store: Store,
    pub(crate) space: Space,
    pub(crate) options: PagerOptions,
    pub(crate) published: RootCell,
    pub(crate) tip: RootCell,
    /// Held while `published` changes.
    pub(crate) publishing: Mutex<()>,
    pub(crate) readers: ReaderTable,
    /// Set while other processes may have the store open too: then roots are published, and readers stand, there.
    pub(crate) commons: OnceLock<Commons>,
    /// Pages below this can be read: they are mapped, and were in the file when a root that has them was entered.
    pub(crate) reached: AtomicU64,
    pub(crate) writer: Mutex<WriterSlot>,
    /// What was freed and cannot be used yet. Only the writer changes it.
    pub(crate) retention: Mutex<Retention>,
    /// `None` without a file.
    pub(crate) durable: Option<Mutex<Durable>>,
    /// Pages that an abandoned checkpoint did not write.
    pub(crate) given_back: Mutex<Vec<PageRange>>,
    pub(crate) checkpoint_is_open: AtomicBool,
    /// Pages below this one are to be taken first; 0 if nobody has asked for that.
    pub(crate) goal: AtomicU64,
    /// Held while meta pages are written.
    pub(crate) meta_writing: Mutex<()>,
    pub(crate) poison: OnceLock<String>,
    pub(crate) losses: Losses,
    pub(crate) meta_report: MetaReport,
    pub(crate) map_damage: OnceLock<Corruption>,
    pub(crate) counters: Counters,
}

/// Everything that opening and creating find out.
pub(crate) struct Parts {
    pub store: Store,
    pub space: Space,
    pub options: PagerOptions,
    pub root: RootRecord,
    pub writer: WriterSlot,
    pub retention: Retention,
    pub durable: Option<Durable>,
    pub meta_report: MetaReport,
    pub map_damage: Option<Corruption>,
}

impl Pager {
    pub(crate) fn assemble(parts: Parts) -> Arc<Self> {
        let Parts { store, space, options, root, writer, retention, durable, meta_report, map_damage } =
            parts;
        let known_damage = OnceLock::new();
        if let Some(damage) = map_damage {
            known_damage.get_or_init(|| damage);
        }
        Arc::new(Self {
            store,
            space,
            options,
            published: RootCell::new(&root),
            tip: RootCell::new(&root),
            publishing: Mutex::new(()),
            readers: ReaderTable::new(),
            commons: OnceLock::new(),
            reached: AtomicU64::new(0),
            writer: Mutex::new(writer),
            retention: Mutex::new(retention),
            durable: durable.map(Mutex::new),
            given_back: Mutex::new(Vec::new()),
            checkpoint_is_open: AtomicBool::new(false),
            goal: AtomicU64::new(0),
            meta_writing: Mutex::new(()),
            poison: OnceLock::new(),
            losses: Losses::new(),
            meta_report,
            map_damage: known_damage,
            counters: Counters::default(),
        })
    }

    /// A store in memory, gone with the last reference to it. It has no checkpoints.
    ///
    /// # Errors
    /// I/O errors of making the mapping; `NoSpace` if there is no memory for the first pages.
    pub fn in_memory(vfs: &dyn Vfs, options: PagerOptions) -> PageResult<Arc<Self>> {
        let mapping = vfs.map(None).map_err(|source| llmdb_base::PageError::io("map memory", source))?;
        let id = u128::from(vfs.random_u64()) << 64 | u128::from(vfs.random_u64());
        let store = Store::new(View::new(mapping), None, StoreId::new(id), false);
        let space = Space::new(0);
        grow(&space, &store, FILE_PAGES_MIN + options.reserve_pages)?;
        let root = first_root(space.file_pages());
        let writer = Writer::new(root.epoch, MapPages::new(space.file_pages(), 0));
        let slots = FIXED_PAGES.map(|pgno| SlotReport { pgno, state: SlotState::Foreign });
        Ok(Self::assemble(Parts {
            store,
            space,
            options,
            root,
            writer: WriterSlot::Idle(Box::new(writer)),
            retention: Retention::default(),
            durable: None,
            meta_report: MetaReport { slots },
            map_damage: None,
        }))
    }

    /// Identity of the store.
    pub fn store_id(&self) -> StoreId {
        self.store.id
    }

    /// The state of the newest durable checkpoint; of the published root, if the store has no file.
    pub fn durable(&self) -> RootRecord {
        self.durable.as_ref().map_or_else(|| self.published(), |durable| lock(durable).newest.root)
    }

    /// The state of the durable checkpoint before that one. The log must be kept from its LSN on.
    pub fn older_durable(&self) -> RootRecord {
        self.durable.as_ref().map_or_else(|| self.published(), |durable| lock(durable).older.root)
    }

    /// What the meta pages held when the store was opened.
    pub fn meta_report(&self) -> &MetaReport {
        &self.meta_report
    }

    /// What is wrong with the allocation map, if it could not be read when the store was opened: of the newest
    /// generation, which keeps the store from being written; or of the older one, which then is no longer
    /// protected from being overwritten.
    pub fn map_damage(&self) -> Option<&Corruption> {
        self.map_damage.get()
    }

    /// Whether a damaged page was met since this was last asked.
    pub fn take_damage_met(&self) -> bool {
        self.store.damage_met.swap(false, Ordering::AcqRel)
    }

    /// Why no checkpoint can be made any more: writing to the file failed, and nobody knows what reached the disk.
    /// The log still has everything; opening the store anew recovers it.
    pub fn poisoned(&self) -> Option<&str> {
        self.poison.get().map(String::as_str)
    }

    /// The state that readers see.
    pub fn published(&self) -> RootRecord {
        // What was last published here, if the area is damaged: whoever begins to read is told.
        let elsewhere = self.commons.get().filter(|commons| !commons.holds_turn());
        elsewhere.and_then(|commons| commons.published().ok()).unwrap_or_else(|| self.published.load())
    }

    /// The newest committed state; of those that are published, if another process may write.
    pub fn tip(&self) -> RootRecord {
        match self.commons.get() {
            Some(commons) if !commons.holds_turn() => self.published(),
            _ => self.tip.load(),
        }
    }

    /// Takes a snapshot: its pages stay as they are until the guard is dropped. Takes no lock, and allocates only
    /// when there are more readers at once than ever before.
    ///
    /// # Errors
    /// Only if processes share the store: an I/O error if every slot for readers is taken, corruption if somebody
    /// else has written to the shared area.
    pub fn try_begin_read(self: &Arc<Self>, visible: Visible) -> PageResult<ReadGuard> {
        self.try_begin_read_as(visible, Note::default())
    }

    /// As [`Pager::try_begin_read`], by a reader that says who it is.
    ///
    /// # Errors
    /// As [`Pager::try_begin_read`].
    pub fn try_begin_read_as(self: &Arc<Self>, visible: Visible, note: Note) -> PageResult<ReadGuard> {
        let Some(commons) = self.commons.get() else { return Ok(self.begin_here(visible, note)) };
        let (slot, root) = match visible {
            Visible::Tip if commons.holds_turn() => commons.enter_tip(&self.tip, &note)?,
            _ => commons.enter(&note)?,
        };
        let guard = ReadGuard::new(Arc::clone(self), Held::InCommon(slot), root);
        self.reach(root.page_count)?;
        Ok(guard)
    }

    /// As [`Pager::try_begin_read`], of a store that this process has for itself.
    ///
    /// # Panics
    /// If processes share the store.
    pub fn begin_read(self: &Arc<Self>, visible: Visible) -> ReadGuard {
        assert!(self.commons.get().is_none(), "beginning to read may fail where processes share a store");
        self.begin_here(visible, Note::default())
    }

    fn begin_here(self: &Arc<Self>, visible: Visible, note: Note) -> ReadGuard {
        let cell = match visible {
            Visible::Published => &self.published,
            Visible::Tip => &self.tip,
        };
        let (slot, root) = cell.enter(&self.readers, note);
        ReadGuard::new(Arc::clone(self), Held::Here(slot), root)
    }

    /// Begins a write transaction from the tip, and makes freed pages usable that no root needs any more.
    ///
    /// # Panics
    /// If another one is under way: the caller sees to it that there is only one. If the store was opened for
    /// reading, or its allocation map has yet to be rebuilt.
    pub fn begin_write(self: &Arc<Self>) -> PageTxn {
        let mut slot = lock(&self.writer);
        let idle = matches!(*slot, WriterSlot::Idle(_));
        assert!(idle, "one write transaction at a time, on a store opened for writing with its map intact");
        let WriterSlot::Idle(mut writer) = mem::replace(&mut *slot, WriterSlot::Lent) else {
            unreachable!("asserted above")
        };
        drop(slot);
        self.reclaim(&mut writer);
        PageTxn::new(Arc::clone(self), writer)
    }

    fn reclaim(&self, writer: &mut Writer) {
        // An abandoned checkpoint gives its pages back before its root ceases to be retained. So either the root is
        // among these, or the pages have been given back already.
        let (published, retained) = self.retained();
        let checkpoints = self.checkpoint_epochs();
        mem::take(&mut *lock(&self.given_back)).into_iter().for_each(|range| self.space.mark_dirty(range));
        let mut retention = lock(&self.retention);
        // Readers of other processes whose slots are lost are not among the retained: then nothing is used again.
        let readers_are_known = self.commons.get().is_none_or(|commons| commons.check_whole().is_ok());
        if readers_are_known && !planted(Bug::NeverReuse) {
            writer.reclaim(&self.space, &mut retention, published, &retained);
        }
        self.counters.note_holder(retention.oldest());
        self.counters.settling_pages.store(retention.settling(&checkpoints), Ordering::Relaxed);
    }

    /// Counts the pages that wait for checkpoints again, after one.
    pub(crate) fn recount_settling(&self) {
        let checkpoints = self.checkpoint_epochs();
        let retention = lock(&self.retention);
        self.counters.settling_pages.store(retention.settling(&checkpoints), Ordering::Relaxed);
    }

    /// The epochs of the durable checkpoints, and of one under way, in ascending order.
    pub(crate) fn checkpoint_epochs(&self) -> Vec<Epoch> {
        let mut epochs: Vec<Epoch> =
            self.durable.iter().flat_map(|durable| lock(durable).retained().collect::<Vec<_>>()).collect();
        epochs.sort_unstable();
        epochs
    }

    /// Held pages that two checkpoints make free. Cost: one load.
    pub fn settling_pages(&self) -> u64 {
        self.counters.settling_pages.load(Ordering::Relaxed)
    }

    /// Nodes that a replay of the log would have to read. Cost: two loads.
    pub fn replaced_pages(&self) -> u64 {
        self.counters.replaced()
    }

    /// Epochs given away since the last checkpoint, or since the store was opened: transactions and savepoints, ended in
    /// whatever way. The next opening skips some more than a crash may lose, so checkpoints must come before
    /// there are too many. Cost: two loads.
    pub fn epochs_since_checkpoint(&self) -> u64 {
        self.counters.epochs()
    }

    /// Pages of the data file. Cost: one load.
    pub fn file_pages(&self) -> u64 {
        self.space.file_pages()
    }

    /// Pages reachable from the newest committed root, and the meta pages. Cost: one load.
    pub fn live_pages(&self) -> u64 {
        self.space.live_pages()
    }

    /// The published epoch, and the epochs of all roots that must stay whole, in ascending order.
    fn retained(&self) -> (Epoch, Vec<Epoch>) {
        // Before the scan: a reader that the scan misses reads this root or a later one.
        let published = self.published.epoch();
        let mut retained = vec![published];
        if !planted(Bug::IgnoreReaders) {
            self.scan_readers(&mut retained);
        }
        if let Some(durable) = &self.durable {
            retained.extend(lock(durable).retained());
        }
        retained.sort_unstable();
        retained.dedup();
        (published, retained)
    }

    /// Lets readers see `root`, a state that was committed. Does nothing if a later one is published already.
    pub fn publish(&self, root: &RootRecord) {
        let _publishing = lock(&self.publishing);
        let tip = self.tip.load();
        // A checkpoint gives the state of the tip a new name; publishing the old one would leave what the
        // checkpoint freed waiting for the next commit.
        let root = if tip.state() == root.state() { &tip } else { root };
        if root.epoch > self.published.epoch() {
            // The others first: a writer that knows of this root must not use again what a reader may still come to hold,
            // who finds the root before it in what they share.
            if let Some(commons) = self.commons.get() {
                commons.publish(root);
                commons.tell_figures([
                    self.space.live_pages(),
                    self.space.held_pages(),
                    self.space.file_pages(),
                ]);
            }
            self.published.store(root);
        }
    }

    /// Adds the epochs of all roots that readers hold, of this process and of all others, to `held`.
    pub(crate) fn scan_readers(&self, held: &mut Vec<Epoch>) {
        match self.commons.get() {
            Some(commons) => commons.scan(held),
            None => self.readers.scan(held),
        }
    }

    /// Figures. Cost: a look at every reader slot.
    pub fn stats(&self) -> PagerStats {
        let mut readers = Vec::new();
        self.scan_readers(&mut readers);
        let mut stats = PagerStats {
            file_pages: self.space.file_pages(),
            live_pages: self.space.live_pages(),
            held_pages: self.space.held_pages(),
            free_pages: self.space.free_pages(),
            dirty_pages: self.space.dirty_pages(),
            private_pages: self.space.private_pages(),
            readers: readers.len() as u64,
            oldest_reader: readers.into_iter().min(),
            ..PagerStats::default()
        };
        self.counters.fill(&mut stats);
        if let Some(commons) = self.commons.get().filter(|commons| !commons.holds_turn()) {
            // What is known here is what was known when this process wrote last.
            let [live, held, file] = commons.figures();
            (stats.live_pages, stats.held_pages, stats.file_pages) = (live, held, file);
            stats.free_pages = file.saturating_sub(live).saturating_sub(held);
        }
        stats
    }

    /// Whether the newest state uses page `pgno`. Exact while no write transaction is under way.
    pub fn is_live(&self, pgno: Pgno) -> bool {
        self.space.live.contains(pgno.get())
    }

    /// All pages that the newest state uses, as ascending ranges of first page and count: those of trees and values,
    /// of the stored allocation map, and the meta pages. Exact while no write transaction is under way.
    pub fn live_ranges(&self) -> impl Iterator<Item = (Pgno, u64)> {
        runs_of_ones(0, self.space.file_pages(), |index| self.space.live.word(index))
            .map(|range| (Pgno::new(range.first()), range.count()))
    }

    /// The live pages that belong to the pager itself: the stored allocation map and the meta pages. What
    /// [`Pager::live_ranges`] has beyond these must be found by walking the trees. In no order.
    ///
    /// # Panics
    /// If a write transaction is under way, or the store was not opened for writing.
    pub fn own_pages(&self) -> Vec<Pgno> {
        let slot = lock(&self.writer);
        let WriterSlot::Idle(writer) = &*slot else { unreachable!("asked between write transactions") };
        let map = writer.map.levels.iter().flatten().flatten().map(|page| page.pgno);
        FIXED_PAGES.into_iter().chain(map).collect()
    }
}

/// The state of a store that nothing has been put in.
pub(crate) fn first_root(page_count: u64) -> RootRecord {
    let state = RootState {
        txid: TxnId::new(0),
        timestamp: Timestamp::new(0),
        lsn: Lsn::new(0),
        roots: [0; ROOTS_LEN],
    };
    RootRecord::new(Epoch::new(1), page_count, state)
}

impl fmt::Debug for Pager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pager(store {}, {} pages)", self.store.id, self.space.file_pages())
    }
}
