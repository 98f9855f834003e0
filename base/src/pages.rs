//! How a tree sees pages: two traits, so that it can be built and broken over a `Vec` as well as over a file.

use crate::{ChildRef, Epoch, PageResult, Pgno, TreeId, header::PageKind};

/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;

/// A page.
pub type PageBytes = [u8; PAGE_SIZE];

/// Largest value: 4 GiB.
pub const VALUE_LEN_MAX: u64 = 1 << 32;

/// A finished out-of-line value: `len` bytes from the first byte of page `first` on, in consecutive pages that
/// have no header. 32 bytes when stored, see `docs/format/tree.md`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunRef {
    /// First page of the run.
    pub first: Pgno,
    /// Length of the value in bytes.
    pub len: u64,
    /// Epoch that wrote the run.
    pub birth: Epoch,
    /// Checksum of the value, or of its table of checksums if the run is long. The pager's business.
    pub checksum: u32,
}

/// An out-of-line value while it is being written, see [`WritePages::begin_run`].
#[derive(Debug)]
pub struct RunWriter {
    /// First page of the run.
    pub first: Pgno,
    /// Length that was announced.
    pub len: u64,
    /// Bytes appended so far.
    pub written: u64,
    /// Checksum of the bytes appended since the last entry of `page_checksums`.
    pub checksum: u32,
    /// Checksums of the finished pages, for long runs.
    pub page_checksums: Vec<u32>,
}

/// Pages that can be read. A page is immutable for as long as the reader can name it.
pub trait ReadPages {
    /// The node that `child` names. Its checksum, its birth tag and its kind (leaf or branch) have been
    /// verified, once per page since the store was opened; what lies behind the header has not.
    ///
    /// # Errors
    /// Corruption that names the page; an I/O error.
    fn page(&self, child: ChildRef) -> PageResult<&PageBytes>;

    /// The node that `child` names, if looking at it takes neither a wait nor a check: for hints about what lies in it.
    /// `None` says nothing about the node.
    fn ready_page(&self, child: ChildRef) -> Option<&PageBytes> {
        let _ = child;
        None
    }

    /// The whole value in `run`, verified. Cost: reads every page of the run the first time it is touched.
    ///
    /// # Errors
    /// Corruption that names the page, also if `run` lies outside the store; an I/O error.
    fn run(&self, run: &RunRef) -> PageResult<&[u8]>;

    /// At most `len` bytes of the value in `run` from byte `offset` on; only the pages touched are verified.
    ///
    /// # Errors
    /// As [`ReadPages::run`]. `offset + len` must not exceed the length of the run.
    fn run_part(&self, run: &RunRef, offset: u64, len: usize) -> PageResult<&[u8]>;

    /// Says whether every byte that was read so far was there: a file that somebody cuts, or a device that fails, can
    /// take pages away while they are read, and zeros are read in their place. Whoever answers from pages asks this
    /// last. Bytes that were given out and are looked at later are covered by asking again then.
    ///
    /// # Errors
    /// Corruption that names a page that was lost.
    fn check_intact(&self) -> PageResult<()> {
        Ok(())
    }

    /// Says that `child` will be read soon. Free to do nothing.
    fn prefetch(&self, child: ChildRef) {
        let _ = child;
    }

    /// Says that the last bytes of `child`, where a node has its slots, will be read soon. Free to do nothing.
    fn prefetch_end(&self, child: ChildRef) {
        let _ = child;
    }

    /// Asks for `child` to be fetched from the disk, if it is not in memory, while the caller goes on. Free to do
    /// nothing.
    fn read_ahead(&self, child: ChildRef) {
        let _ = child;
    }

    /// As [`ReadPages::read_ahead`], for nodes that will be read one after the other. What lies side by side is fetched
    /// as one. Free to do nothing.
    fn read_ahead_all(&self, children: &[ChildRef]) {
        let _ = children;
    }

    /// Says that `bytes`, a part of a page that this gave out, will be read soon. Free to do nothing.
    fn prefetch_bytes(&self, bytes: &[u8]) {
        let _ = bytes;
    }
}

/// Pages of one write transaction: what it allocates has its epoch as birth and may be changed in place; what is
/// older is copied first.
pub trait WritePages: ReadPages {
    /// Birth of the pages that are allocated now. A page with this birth belongs to the transaction alone.
    fn epoch(&self) -> Epoch;

    /// Says that nothing is half done: whoever holds pages of the current epoch asks for them again by
    /// [`WritePages::own`] before changing them. Operations on trees begin with this; a transaction that has outgrown
    /// its memory writes pages early then, and goes on in the next epoch, so that no page is written twice with one
    /// birth.
    ///
    /// # Errors
    /// An I/O error. The pages stay in memory.
    fn rest(&mut self) -> PageResult<()> {
        Ok(())
    }

    /// A new page, empty but for its header.
    ///
    /// # Errors
    /// [`crate::PageErrorKind::NoSpace`] if the file cannot grow.
    fn allocate(&mut self, kind: PageKind, level: u8, tree: TreeId) -> PageResult<ChildRef>;

    /// A copy of the node `child` with the current epoch as birth; `child` itself is freed. If `child` was
    /// born in the current epoch, it is returned as it is.
    ///
    /// # Errors
    /// As [`WritePages::allocate`] and [`ReadPages::page`].
    fn own(&mut self, child: ChildRef) -> PageResult<ChildRef>;

    /// The bytes of a page born in the current epoch.
    ///
    /// # Errors
    /// A corruption error if the page was not allocated in this epoch: only damaged bytes can name such a page.
    fn page_mut(&mut self, child: ChildRef) -> PageResult<&mut PageBytes>;

    /// Gives a node back. Snapshots that can see it keep it alive.
    ///
    /// # Errors
    /// Corruption if the page is not allocated, or is not what `child` says: a damaged tree must not free pages
    /// of another.
    fn free(&mut self, child: ChildRef) -> PageResult<()>;

    /// Reserves consecutive pages for a value of `len` bytes (1 to [`VALUE_LEN_MAX`]).
    ///
    /// # Errors
    /// [`crate::PageErrorKind::NoSpace`] if the file cannot grow.
    fn begin_run(&mut self, len: u64) -> PageResult<RunWriter>;

    /// Appends `bytes` to the value. No more than the announced length may be appended in all.
    ///
    /// # Errors
    /// An I/O error.
    fn append_run(&mut self, writer: &mut RunWriter, bytes: &[u8]) -> PageResult<()>;

    /// Ends the value, of which exactly the announced length must have been appended.
    ///
    /// # Errors
    /// An I/O error.
    fn finish_run(&mut self, writer: RunWriter) -> PageResult<RunRef>;

    /// Gives back the pages of a value.
    ///
    /// # Errors
    /// Corruption if the pages are not all allocated.
    fn free_run(&mut self, run: &RunRef) -> PageResult<()>;

    /// Gives back the pages of a value that was begun and will not be finished.
    ///
    /// # Errors
    /// Corruption if the pages are not all allocated.
    fn abandon_run(&mut self, writer: RunWriter) -> PageResult<()>;
}
