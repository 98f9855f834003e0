//! Pages as stored: read, and verified the first time they are touched.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering, fence},
    },
};

use llmdb_base::{
    ChildRef, Corruption, PAGE_SIZE, PageBytes, PageError, PageResult, Pgno, StoreId,
    checksum::{crc32c, page_seed},
    header::{self, PageKind},
    plant::{Bug, planted},
    sync::{Mutex, lock},
};
use llmdb_vfs::{File, write_all_at};

use crate::{range::PageRange, verified::Verified, view::View};

/// The file, its mapping, and what of it has been verified.
///
/// What is verified is not looked at again until the store is opened anew, except by `verify_page` and `verify_run`
/// of a reader.
#[derive(Debug)]
pub(crate) struct Store {
    pub view: View,
    pub file: Option<Arc<dyn File>>,
    pub id: StoreId,
    pub verified: Verified,
    /// Whether a page was found damaged since it was last asked.
    pub damage_met: AtomicBool,
    /// Held while bytes are copied from the file into memory that does not show it by itself.
    loading: Mutex<()>,
}

impl Store {
    /// `shared` says that other processes may write the file too.
    pub fn new(view: View, file: Option<Arc<dyn File>>, id: StoreId, shared: bool) -> Self {
        Self {
            view,
            file,
            id,
            verified: Verified::new(shared),
            damage_met: AtomicBool::new(false),
            loading: Mutex::new(()),
        }
    }

    /// The file, which every store has but those in memory.
    pub fn file(&self) -> &dyn File {
        self.file.as_deref().expect("only a store with a file is written to one")
    }

    /// The node that `child` names, which must lie below `page_count`.
    ///
    /// Beyond the first touch this costs the look at one bit, and at the header, which the caller needs anyway:
    /// tag and kind are compared every time, so that not even a mistake in the reuse of pages can pass off
    /// one node as another.
    #[inline]
    pub fn node(&self, child: ChildRef, page_count: u64) -> PageResult<&PageBytes> {
        let pgno = child.pgno();
        if pgno.get() >= page_count {
            return Err(outside(pgno, page_count));
        }
        if !self.verified.contains(pgno.get(), child.tag()) {
            self.verify_node(child)?;
        }
        let page = self.view.page(pgno);
        if !is_node(page, child) {
            return Err(other_node(page, child));
        }
        Ok(page)
    }

    /// As [`Store::node`], if nothing has to be read or verified for it.
    #[inline]
    pub fn ready_node(&self, child: ChildRef, page_count: u64) -> Option<&PageBytes> {
        let pgno = child.pgno();
        let is_ready = pgno.get() < page_count && self.verified.contains(pgno.get(), child.tag());
        is_ready.then(|| self.view.page(pgno)).filter(|page| is_node(page, child))
    }

    #[cold]
    fn verify_node(&self, child: ChildRef) -> PageResult<()> {
        let pgno = child.pgno();
        self.load(PageRange::one(pgno), child.tag(), || {
            check_node(self.id, child, self.view.page(pgno))?;
            self.verified.insert(pgno.get(), child.tag());
            Ok(())
        })
    }

    /// Makes the pages of `range` visible that are not verified with the tag `birth`, and verifies them by `verify`.
    pub fn load(
        &self,
        range: PageRange,
        birth: u32,
        verify: impl FnOnce() -> PageResult<()>,
    ) -> PageResult<()> {
        if self.file.is_none() {
            let missing =
                range.pages().find(|pgno| !self.verified.contains(*pgno, birth)).unwrap_or(range.first());
            return Err(Corruption::new(Pgno::new(missing), "never written").into());
        }
        if range.count() > 1 {
            self.view.read_ahead(range);
        }
        let _loading = (!self.view.shows_file()).then(|| lock(&self.loading));
        let losses = self.view.losses();
        for pgno in range.pages().filter(|pgno| !self.verified.contains(*pgno, birth)) {
            let pgno = Pgno::new(pgno);
            self.view.load(pgno.offset(), PAGE_SIZE).map_err(|source| unreadable(pgno, source))?;
        }
        let verified = verify();
        if verified.is_err() {
            self.damage_met.store(true, Ordering::Release);
        }
        // The bits before the losses: see `lost`.
        fence(Ordering::SeqCst);
        if self.view.losses() == losses {
            return verified;
        }
        self.verified.remove_range(range);
        let what = "the device cannot read it, or the file was cut";
        Err(Corruption::new(Pgno::new(range.first()), what).into())
    }

    /// Puts zeros into the file where nothing is kept, so that the page cache holds the pages. At most a word of them.
    pub fn blank(&self, range: PageRange) {
        static ZEROS: [u8; 64 * PAGE_SIZE] = [0; 64 * PAGE_SIZE];
        let len = usize::try_from(range.count() * PAGE_SIZE as u64).unwrap_or(usize::MAX);
        if let Some((file, zeros)) = self.file.as_deref().zip(ZEROS.get(..len))
            && let Err(error) = write_all_at(file, zeros, Pgno::new(range.first()).offset())
        {
            log::debug!("{range:?} is not prepared: {error}");
        }
    }

    #[inline]
    pub fn prefetch(&self, child: ChildRef) {
        self.view.prefetch(child.pgno());
    }

    #[inline]
    pub fn prefetch_end(&self, child: ChildRef) {
        self.view.prefetch_end(child.pgno());
    }

    /// Asks for a page to be fetched from the disk that nobody has touched in this run.
    pub fn read_ahead(&self, child: ChildRef) {
        if !self.verified.contains(child.pgno().get(), child.tag()) {
            self.view.read_ahead(PageRange::one(child.pgno()));
        }
    }

    /// As [`Store::read_ahead`], for nodes that will be read one after the other. What was touched in this run is taken
    /// to be in memory still, unless a look at the last one says otherwise.
    pub fn read_ahead_all(&self, children: &[ChildRef]) {
        let Some((file, last)) = self.file.as_deref().zip(children.last()) else { return };
        let is_known = |child: &ChildRef| self.verified.contains(child.pgno().get(), child.tag());
        let was_dropped = is_known(last) && !file.is_cached(last.pgno().offset());
        let mut run: Option<PageRange> = None;
        for child in children.iter().filter(|child| was_dropped || !is_known(child)) {
            let page = PageRange::one(child.pgno());
            let joined = run.and_then(|run| run.joined(page));
            if let Some(done) = run.filter(|_| joined.is_none()) {
                self.view.read_ahead(done);
            }
            run = joined.or(Some(page));
        }
        if let Some(rest) = run {
            self.view.read_ahead(rest);
        }
    }
}

/// The announcements of [`llmdb_base::ReadPages`], which go to the store whoever reads from it.
macro_rules! announcements {
    () => {
        #[inline]
        fn prefetch(&self, child: ChildRef) {
            self.pager.store.prefetch(child);
        }

        #[inline]
        fn prefetch_end(&self, child: ChildRef) {
            self.pager.store.prefetch_end(child);
        }

        #[inline]
        fn prefetch_bytes(&self, bytes: &[u8]) {
            self.pager.store.view.prefetch_bytes(bytes);
        }

        fn read_ahead(&self, child: ChildRef) {
            self.pager.store.read_ahead(child);
        }

        fn read_ahead_all(&self, children: &[ChildRef]) {
            self.pager.store.read_ahead_all(children);
        }
    };
}
pub(crate) use announcements;

/// Whether `page` is a node with the birth tag that `child` expects.
#[inline]
fn is_node(page: &PageBytes, child: ChildRef) -> bool {
    let kind = matches!(header::kind(page), Some(PageKind::Leaf | PageKind::Branch));
    kind && header::birth(page).tag() == child.tag()
}

/// A page that is not in the file is damage; a file that cannot be read now may be readable later.
#[cold]
fn unreadable(pgno: Pgno, source: io::Error) -> PageError {
    if source.kind() == io::ErrorKind::UnexpectedEof {
        return Corruption::new(pgno, format!("the data file ends before it: {source}")).into();
    }
    PageError::io(format!("read {pgno} of the data file"), source)
}

#[cold]
fn other_node(page: &PageBytes, child: ChildRef) -> PageError {
    let (kind, birth) = (header::kind(page), header::birth(page));
    let kind = kind.map_or_else(|| "no node".to_owned(), |kind| format!("{kind:?}"));
    Corruption::new(
        child.pgno(),
        format!("{kind} born in {birth}, expected a node with tag {:06x}", child.tag()),
    )
    .into()
}

#[cold]
pub(crate) fn outside(pgno: Pgno, page_count: u64) -> PageError {
    Corruption::new(pgno, format!("named by a damaged page: the store has {page_count} pages")).into()
}

/// Checks a node as it is in the file.
pub(crate) fn check_node(store: StoreId, child: ChildRef, page: &PageBytes) -> PageResult<()> {
    let (found, expected) = (header::checksum(page), node_checksum(store, child.pgno(), page));
    if found != expected && !planted(Bug::SkipChecksum) {
        let what = format!("checksum {found:08x}, expected {expected:08x}");
        return Err(Corruption::new(child.pgno(), what).into());
    }
    if !is_node(page, child) {
        return Err(other_node(page, child));
    }
    if !header::reserved_is_zero(page) {
        return Err(Corruption::new(child.pgno(), "reserved bytes are not zero").into());
    }
    Ok(())
}

/// The checksum of a page with a header.
pub(crate) fn node_checksum(store: StoreId, pgno: Pgno, page: &PageBytes) -> u32 {
    crc32c(page_seed(store, pgno), &page[header::CHECKED..])
}
