//! Reading: snapshots, and what a write transaction sees.

use std::sync::Arc;

use llmdb_base::{
    ChildRef, Corruption, Epoch, PAGE_SIZE, PageBytes, PageError, PageResult, Pgno, ReadPages, RunRef,
    VALUE_LEN_MAX,
    checksum::crc32c,
    codec::get_u32,
    header,
    plant::{Bug, planted},
};
use llmdb_vfs::{AlignedBuf, File};

use crate::{
    pager::Pager,
    readers::SlotId,
    roots::RootRecord,
    run::{RunLayout, seed, to_len},
    store::{announcements, check_node, outside},
};

/// Bytes read from the media at once when a value is verified.
const MEDIA_READ_BYTES: usize = 256 << 10;

/// A snapshot: the pages of one state, as they were, until it is dropped.
///
/// While it lives, pages that its state names are not used again, so a guard that is kept for long lets the file
/// grow.
#[derive(Debug)]
pub struct ReadGuard {
    pager: Arc<Pager>,
    held: Held,
    root: RootRecord,
    /// Losses of pages before it began.
    losses: u64,
}

/// Where the reader stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Held {
    /// In the table of this process.
    Here(SlotId),
    /// In the area that several processes share.
    InCommon(usize),
}

impl ReadGuard {
    pub(crate) fn new(pager: Arc<Pager>, held: Held, root: RootRecord) -> Self {
        let losses = pager.losses();
        Self { pager, held, root, losses }
    }

    /// The state that it sees.
    pub fn root(&self) -> &RootRecord {
        &self.root
    }

    pub(crate) fn held(&self) -> Held {
        self.held
    }

    /// The pager that it reads from.
    pub fn pager(&self) -> &Arc<Pager> {
        &self.pager
    }

    /// Reads the node that `child` names from the media, past all caches, and verifies it. A page that is in
    /// private memory only is right by definition.
    ///
    /// # Errors
    /// Corruption that names the page; an I/O error.
    pub fn verify_page(&self, child: ChildRef) -> PageResult<()> {
        let pgno = child.pgno();
        if pgno.get() >= self.root.page_count {
            return Err(outside(pgno, self.root.page_count));
        }
        match &self.pager.store.file {
            Some(file) if !self.pager.space.is_private(pgno.get()) => {
                let page = read_media(&**file, pgno.offset(), PAGE_SIZE)?;
                let page: &PageBytes = (&*page).try_into().expect("a page was read");
                check_node(self.pager.store.id, child, page)?;
                self.check_birth(pgno, header::birth(page))
            }
            _ => Ok(()),
        }
    }

    /// No page was born after the state that names it.
    fn check_birth(&self, pgno: Pgno, birth: Epoch) -> PageResult<()> {
        if birth <= self.root.epoch || planted(Bug::BelieveBirths) {
            return Ok(());
        }
        let what = format!("born in {birth}, and named by a state of {}", self.root.epoch);
        Err(Corruption::new(pgno, what).into())
    }

    /// Reads the value in `run` from the media, past all caches, and verifies it, as [`ReadGuard::verify_page`].
    ///
    /// # Errors
    /// Corruption that names the first page; an I/O error.
    pub fn verify_run(&self, run: &RunRef) -> PageResult<()> {
        let store = &self.pager.store;
        let layout = RunLayout::checked(run, self.root.page_count, store.view.region_pages())?;
        self.check_birth(run.first, run.birth)?;
        let in_memory = layout.range().pages().any(|pgno| self.pager.space.is_private(pgno));
        let Some(file) = store.file.as_deref().filter(|_| !in_memory) else { return Ok(()) };
        let mut whole = seed(store.id, run.first, 0);
        let mut checksums = Vec::new();
        let mut table = Vec::new();
        let mut offset = 0;
        let end = layout.pages * PAGE_SIZE as u64;
        while offset < end {
            let len = to_len((end - offset).min(MEDIA_READ_BYTES as u64));
            let bytes = read_media(file, run.first.offset() + offset, len)?;
            for (page, index) in bytes.chunks_exact(PAGE_SIZE).zip(offset / PAGE_SIZE as u64..) {
                if index < layout.value_pages {
                    let value = &page[..layout.len_in_page(index)];
                    whole = crc32c(whole, value);
                    checksums.push(crc32c(seed(store.id, run.first, index), value));
                }
                table.extend_from_slice(table_part(&layout, index, page));
            }
            offset += len as u64;
        }
        check_media(run, &layout, whole, &checksums, &table, seed(store.id, run.first, 0))
    }
}

/// The bytes of the table of checksums that lie in page `index` of a run.
fn table_part<'p>(layout: &RunLayout, index: u64, page: &'p [u8]) -> &'p [u8] {
    if !layout.is_long() {
        return &[];
    }
    let page_start = index * PAGE_SIZE as u64;
    let in_page = |offset: u64| to_len(offset.saturating_sub(page_start).min(PAGE_SIZE as u64));
    &page[in_page(layout.table_start())..in_page(layout.table_start() + layout.table_len())]
}

fn check_media(
    run: &RunRef,
    layout: &RunLayout,
    whole: u32,
    checksums: &[u32],
    table: &[u8],
    table_seed: u32,
) -> PageResult<()> {
    let damage = |pgno, what: &str| Err(Corruption::new(pgno, what).into());
    if !layout.is_long() {
        return if whole == run.checksum { Ok(()) } else { damage(run.first, "value with a wrong checksum") };
    }
    if crc32c(table_seed, table) != run.checksum {
        return damage(run.first, "value whose table of checksums is wrong");
    }
    for (index, checksum) in checksums.iter().enumerate() {
        if get_u32(table, index * 4) != *checksum {
            return damage(run.first.plus(index as u64), "part of a value with a wrong checksum");
        }
    }
    Ok(())
}

fn read_media(file: &dyn File, offset: u64, len: usize) -> PageResult<AlignedBuf> {
    let mut bytes = AlignedBuf::new(len);
    file.read_media_at(&mut bytes, offset)
        .map_err(|source| PageError::io(format!("read {len} bytes at {offset} of the data file"), source))?;
    Ok(bytes)
}

impl Drop for ReadGuard {
    fn drop(&mut self) {
        match self.held {
            Held::Here(slot) => self.pager.readers.leave(slot),
            Held::InCommon(slot) => {
                if let Some(commons) = self.pager.commons.get() {
                    commons.leave(slot);
                }
            }
        }
    }
}

impl ReadPages for ReadGuard {
    #[inline]
    fn page(&self, child: ChildRef) -> PageResult<&PageBytes> {
        self.pager.store.node(child, self.root.page_count)
    }

    #[inline]
    fn ready_page(&self, child: ChildRef) -> Option<&PageBytes> {
        self.pager.store.ready_node(child, self.root.page_count)
    }

    fn run(&self, run: &RunRef) -> PageResult<&[u8]> {
        self.pager.store.run(run, self.root.page_count)
    }

    fn run_part(&self, run: &RunRef, offset: u64, len: usize) -> PageResult<&[u8]> {
        self.pager.store.run_part(run, offset, len, self.root.page_count)
    }

    #[inline]
    fn check_intact(&self) -> PageResult<()> {
        self.pager.check_intact(self.losses)
    }

    announcements!();
}

impl crate::store::Store {
    /// The whole value in `run`, verified.
    pub fn run(&self, run: &RunRef, page_count: u64) -> PageResult<&[u8]> {
        // Of an impossible length nothing is asked for: the part is refused for it first.
        let len = usize::try_from(run.len.min(VALUE_LEN_MAX)).unwrap_or(usize::MAX);
        self.run_part(run, 0, len, page_count)
    }
}
