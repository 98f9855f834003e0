//! The data file: pages, the roots that name them, the allocation map, checkpoints, and the readers that keep
//! pages alive.
//!
//! Knows which page belongs to which moment. Does not know key order, tree shapes, log records or time; the
//! roots that it stores are opaque bytes to it.
#![allow(clippy::unimplemented, clippy::missing_errors_doc, unused_variables, dead_code)]

use std::{fmt, io, sync::Arc};

use llmdb_base::{
    ChildRef, Corruption, Epoch, Lsn, PageBytes, PageResult, Pgno, ReadPages, RunRef, RunWriter, StoreId, Timestamp,
    TreeId, TxnId, WritePages, header::PageKind,
};
use llmdb_vfs::{File, Vfs};

/// A committed state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RootRecord {
    /// Epoch of the last change: the name of the state.
    pub epoch: Epoch,
    /// Last transaction in it.
    pub txid: TxnId,
    /// Commit time of that transaction.
    pub timestamp: Timestamp,
    /// Position in the log behind the record of that transaction.
    pub lsn: Lsn,
    /// Pages of the file: every page that the state names lies below.
    pub page_count: u64,
    /// Roots of trees, opaque here.
    pub roots: [u8; 64],
}

/// What a commit says about the new state; the pager adds epoch and page count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RootState {
    /// Last transaction in it.
    pub txid: TxnId,
    /// Commit time of that transaction.
    pub timestamp: Timestamp,
    /// Position in the log behind the record of that transaction.
    pub lsn: Lsn,
    /// Roots of trees, opaque here.
    pub roots: [u8; 64],
}

/// Limits of a pager.
#[derive(Clone, Copy, Debug)]
pub struct PagerOptions {
    /// Private dirty memory above which a transaction writes pages early. Default 256 MiB.
    pub private_bytes_max: u64,
    /// Pages kept for checkpoints and deletes on a full disk. Default 64.
    pub reserve_pages: u64,
}

impl Default for PagerOptions {
    fn default() -> Self {
        Self { private_bytes_max: 256 << 20, reserve_pages: 64 }
    }
}

/// What an opened pager may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read only.
    ReadOnly,
    /// Read and write; the allocation map must be intact.
    ReadWrite,
    /// Read; write after [`Pager::rebuild_map`].
    Rebuild,
}

/// Which durable generation to open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pick {
    /// The newest.
    Newest,
    /// The one before.
    Older,
}

/// Which committed state a reader sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Visible {
    /// The published one.
    Published,
    /// The newest committed one, durable or not.
    Tip,
}

/// Why a data file could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// No meta page carries the magic.
    NotADatabase,
    /// Written by a newer version.
    NewerVersion {
        /// The version found.
        found: u32,
    },
    /// The file is shorter than its meta page says.
    Truncated {
        /// Pages there should be.
        page_count: u64,
        /// Bytes there are.
        file_bytes: u64,
    },
    /// No meta page is intact.
    NoValidMeta(MetaReport),
    /// [`Pick::Older`] was asked for, and there is no intact older generation.
    NoOlderGeneration(MetaReport),
    /// The allocation map is damaged. Reading and [`Access::Rebuild`] work.
    Corruption(Corruption),
    /// The world refused.
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

/// What the four meta slots held at open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetaReport {
    /// In the order of pages 0, 1, 16, 17.
    pub slots: [SlotReport; 4],
}

/// What a meta slot held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotReport {
    /// Its page.
    pub pgno: Pgno,
    /// What it held.
    pub state: SlotState,
}

/// State of a meta slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SlotState {
    /// Intact.
    Valid {
        /// Generation it describes.
        generation: u64,
        /// Epoch of its root.
        epoch: Epoch,
    },
    /// No magic: never written, or something else altogether.
    Foreign,
    /// Intact, of a newer version.
    Newer {
        /// The version.
        version: u32,
    },
    /// Unreadable, torn or rotten.
    Damaged {
        /// What is wrong.
        what: String,
    },
}

/// Figures of a pager.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct PagerStats {
    /// Pages of the file.
    pub file_pages: u64,
    /// Pages reachable from the newest root.
    pub live_pages: u64,
    /// Freed pages that a retained root still needs.
    pub held_pages: u64,
    /// Pages that can be allocated without growing the file.
    pub free_pages: u64,
    /// Live pages that are not in the file yet.
    pub dirty_pages: u64,
    /// Live readers.
    pub readers: u64,
    /// Epoch of the oldest reader.
    pub oldest_reader: Option<Epoch>,
}

/// The data file.
pub struct Pager {
    _private: (),
}

impl Pager {
    /// Makes an empty store in `file`.
    pub fn create(vfs: &dyn Vfs, file: Arc<dyn File>, store: StoreId, options: PagerOptions) -> PageResult<Arc<Self>> {
        unimplemented!()
    }
    /// Opens a store.
    pub fn open(
        vfs: &dyn Vfs,
        file: Arc<dyn File>,
        options: PagerOptions,
        access: Access,
        pick: Pick,
    ) -> Result<Arc<Self>, OpenError> {
        unimplemented!()
    }
    /// A store in memory.
    pub fn in_memory(vfs: &dyn Vfs, options: PagerOptions) -> PageResult<Arc<Self>> {
        unimplemented!()
    }
    /// Identity of the store.
    pub fn store_id(&self) -> StoreId {
        unimplemented!()
    }
    /// Newest durable checkpoint.
    pub fn durable(&self) -> RootRecord {
        unimplemented!()
    }
    /// The durable checkpoint before; the log is kept from its LSN on.
    pub fn older_durable(&self) -> RootRecord {
        unimplemented!()
    }
    /// What the meta slots held at open.
    pub fn meta_report(&self) -> &MetaReport {
        unimplemented!()
    }
    /// Writes the meta slots that were damaged at open again.
    pub fn repair_meta(&self) -> PageResult<()> {
        unimplemented!()
    }
    /// Damage of the allocation map, for a pager opened to read or to rebuild.
    pub fn map_damage(&self) -> Option<Corruption> {
        unimplemented!()
    }
    /// Replaces the allocation map by ranges of pages (first, count) found by walking every tree.
    pub fn rebuild_map(&self, live: impl IntoIterator<Item = (Pgno, u64)>) -> PageResult<()> {
        unimplemented!()
    }
    /// The published state.
    pub fn published(&self) -> RootRecord {
        unimplemented!()
    }
    /// The newest committed state.
    pub fn tip(&self) -> RootRecord {
        unimplemented!()
    }
    /// Takes a snapshot.
    pub fn begin_read(self: &Arc<Self>, visible: Visible) -> ReadGuard {
        unimplemented!()
    }
    /// Begins a write transaction.
    pub fn begin_write(self: &Arc<Self>) -> PageTxn {
        unimplemented!()
    }
    /// Makes `root` visible to readers.
    pub fn publish(&self, root: &RootRecord) {
        unimplemented!()
    }
    /// Begins a checkpoint of the tip.
    pub fn begin_checkpoint(self: &Arc<Self>) -> PageResult<Checkpoint> {
        unimplemented!()
    }
    /// Why no checkpoint is possible any more.
    pub fn poisoned(&self) -> Option<&str> {
        unimplemented!()
    }
    /// Figures.
    pub fn stats(&self) -> PagerStats {
        unimplemented!()
    }
    /// Whether the newest state uses page `pgno`.
    pub fn is_live(&self, pgno: Pgno) -> bool {
        unimplemented!()
    }
    /// Every page that the newest state uses, as ranges (first, count) in ascending order.
    pub fn live_ranges(&self) -> impl Iterator<Item = (Pgno, u64)> + '_ {
        std::iter::empty()
    }
}

/// A snapshot: pages of one state, alive until it is dropped.
#[derive(Debug)]
pub struct ReadGuard {
    root: RootRecord,
}

impl ReadGuard {
    /// The state it sees.
    pub fn root(&self) -> &RootRecord {
        &self.root
    }
    /// Reads the node again from the media.
    pub fn verify_page(&self, child: ChildRef) -> PageResult<()> {
        unimplemented!()
    }
    /// Reads the run again from the media.
    pub fn verify_run(&self, run: &RunRef) -> PageResult<()> {
        unimplemented!()
    }
    /// Pages of the map that the newest durable checkpoint and the older one use.
    pub fn pager(&self) -> &Arc<Pager> {
        unimplemented!()
    }
}

impl ReadPages for ReadGuard {
    fn page(&self, child: ChildRef) -> PageResult<&PageBytes> {
        unimplemented!()
    }
    fn run(&self, run: &RunRef) -> PageResult<&[u8]> {
        unimplemented!()
    }
    fn run_part(&self, run: &RunRef, offset: u64, len: usize) -> PageResult<&[u8]> {
        unimplemented!()
    }
}

/// A write transaction on pages.
#[derive(Debug)]
pub struct PageTxn {
    root: RootRecord,
}

/// A point that [`PageTxn::rollback_to`] goes back to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Savepoint {
    _private: (),
}

impl PageTxn {
    /// The state it started from.
    pub fn root(&self) -> &RootRecord {
        &self.root
    }
    /// Lets allocations use the pages kept for a full disk.
    pub fn use_reserve(&mut self) {
        unimplemented!()
    }
    /// Remembers this moment.
    pub fn savepoint(&mut self) -> Savepoint {
        unimplemented!()
    }
    /// Undoes everything since the savepoint.
    pub fn rollback_to(&mut self, savepoint: &Savepoint) {
        unimplemented!()
    }
    /// Makes the changes the tip.
    pub fn commit(self, state: RootState) -> RootRecord {
        unimplemented!()
    }
    /// Undoes everything, as dropping does.
    pub fn abort(self) {}
}

impl ReadPages for PageTxn {
    fn page(&self, child: ChildRef) -> PageResult<&PageBytes> {
        unimplemented!()
    }
    fn run(&self, run: &RunRef) -> PageResult<&[u8]> {
        unimplemented!()
    }
    fn run_part(&self, run: &RunRef, offset: u64, len: usize) -> PageResult<&[u8]> {
        unimplemented!()
    }
}

impl WritePages for PageTxn {
    fn epoch(&self) -> Epoch {
        unimplemented!()
    }
    fn allocate(&mut self, kind: PageKind, level: u8, tree: TreeId) -> PageResult<ChildRef> {
        unimplemented!()
    }
    fn own(&mut self, child: ChildRef) -> PageResult<ChildRef> {
        unimplemented!()
    }
    fn page_mut(&mut self, child: ChildRef) -> PageResult<&mut PageBytes> {
        unimplemented!()
    }
    fn free(&mut self, child: ChildRef) -> PageResult<()> {
        unimplemented!()
    }
    fn begin_run(&mut self, len: u64) -> PageResult<RunWriter> {
        unimplemented!()
    }
    fn append_run(&mut self, writer: &mut RunWriter, bytes: &[u8]) -> PageResult<()> {
        unimplemented!()
    }
    fn finish_run(&mut self, writer: RunWriter) -> PageResult<RunRef> {
        unimplemented!()
    }
    fn free_run(&mut self, run: &RunRef) -> PageResult<()> {
        unimplemented!()
    }
    fn abandon_run(&mut self, writer: RunWriter) -> PageResult<()> {
        unimplemented!()
    }
}

/// A checkpoint under way.
#[derive(Debug)]
pub struct Checkpoint {
    _private: (),
}

/// How far a checkpoint has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Pages written.
    pub written_pages: u64,
    /// Pages to write in all.
    pub total_pages: u64,
}

impl Checkpoint {
    /// The state that becomes durable. The log must be durable up to its LSN before [`Checkpoint::finish`].
    pub fn root(&self) -> &RootRecord {
        unimplemented!()
    }
    /// Writes the pages and syncs them.
    pub fn write(&mut self, progress: &mut dyn FnMut(Progress)) -> PageResult<()> {
        unimplemented!()
    }
    /// Writes the meta page.
    pub fn finish(self) -> PageResult<()> {
        unimplemented!()
    }
    /// As [`Checkpoint::finish`], into both generations, and cuts the free tail of the file. Needs the writer gate.
    pub fn finish_clean(self) -> PageResult<()> {
        unimplemented!()
    }
}

impl fmt::Debug for Pager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pager")
    }
}
