//! Pages that the system took away from under the map: somebody cut the file, or the device fails.
//!
//! They read as zeros from then on (`llmdb_vfs::Mapping`). What was found in them before is not to be trusted, nor
//! is what was found meanwhile:
//! 1. A lost page counts as verified no more. The next look at it fails its checksum, or asks the device again.
//! 2. A snapshot or a transaction that was under way when a verified page was lost may have read zeros. It is told so
//!    by `check_intact`, which whoever answers from pages calls last.
//! 3. What was in private memory only and is lost was lost for good, but for the log: the store then accepts no
//!    writes, so that no checkpoint makes zeros durable.
//!
//! A page that is verified while it is lost: the reader sets its bit and then looks at the number of losses; whoever
//! notes the loss raises the number and then looks at the bit. One of the two sees the other.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release, SeqCst},
    fence,
};

use llmdb_base::{Corruption, PAGE_SIZE, PageError, PageResult, Pgno, sync::Mutex, sync::lock};
use llmdb_vfs::{LossCause, LostPage};

use crate::{pager::Pager, range::PageRange};

/// What is known of lost pages.
#[derive(Debug)]
pub(crate) struct Losses {
    /// How often a page was lost that somebody may have been reading.
    torn: AtomicU64,
    settled: Mutex<Settled>,
}

#[derive(Debug, Default)]
struct Settled {
    /// The mapping's number of losses.
    losses: u64,
    /// The last page that was torn.
    what: Option<Corruption>,
}

impl Losses {
    pub fn new() -> Self {
        Self { torn: AtomicU64::new(0), settled: Mutex::new(Settled::default()) }
    }
}

impl Pager {
    /// What a reader that begins now compares with later. Cost: one load, while nothing was ever lost.
    #[inline]
    pub(crate) fn losses(&self) -> u64 {
        if self.store.view.may_have_lost() { self.settle_losses() } else { 0 }
    }

    /// Says whether every byte that was read since `losses` was asked for was there. Cost: one load, while nothing
    /// was ever lost.
    #[inline]
    pub(crate) fn check_intact(&self, losses: u64) -> PageResult<()> {
        if self.store.view.may_have_lost() { self.compare_losses(losses) } else { Ok(()) }
    }

    #[cold]
    fn compare_losses(&self, losses: u64) -> PageResult<()> {
        if let Some(commons) = self.commons.get() {
            // Who reads is known by words of the area: without them, pages may have been used again meanwhile.
            commons.check_whole()?;
        }
        if self.settle_losses() == losses {
            return Ok(());
        }
        let what = lock(&self.losses.settled).what.clone();
        Err(what.expect("what was torn is known").into())
    }

    /// Refuses if the file is shorter than it was made, before anything is written that would make it longer again.
    ///
    /// # Errors
    /// Corruption; an I/O error if the length cannot be had.
    pub(crate) fn check_not_cut(&self) -> PageResult<()> {
        let file = self.store.file();
        let len =
            file.len().map_err(|source| PageError::io("ask for the length of the data file", source))?;
        self.losses();
        if len >= Pgno::new(self.space.file_pages()).offset() {
            return Ok(());
        }
        self.give_up_cut(len, &mut lock(&self.losses.settled));
        Err(Corruption::new(Pgno::new(len / PAGE_SIZE as u64), self.cut_to(len)).into())
    }

    /// Takes note of what was lost since it was last asked for. Returns how often something was torn.
    #[cold]
    fn settle_losses(&self) -> u64 {
        let mut settled = lock(&self.losses.settled);
        let losses = self.store.view.losses();
        fence(SeqCst);
        if settled.losses != losses {
            settled.losses = losses;
            let cut = self.store.file.as_ref().and_then(|file| file.len().ok());
            if let Some(len) = cut.filter(|len| *len < Pgno::new(self.space.file_pages()).offset()) {
                self.give_up_cut(len, &mut settled);
            }
            match self.store.view.lost_pages() {
                Some(pages) => pages.iter().for_each(|page| self.give_up(page, &mut settled)),
                None => self.give_up_all(&mut settled),
            }
        }
        self.losses.torn.load(Acquire)
    }

    /// A page was lost.
    fn give_up(&self, page: &LostPage, settled: &mut Settled) {
        let pgno = Pgno::new(page.offset / PAGE_SIZE as u64);
        if self.store.verified.remove(pgno.get()) {
            let why = match page.cause {
                LossCause::MemoryFailed => "the memory that held it failed",
                LossCause::Unreadable => "the device cannot read it any more",
            };
            if self.space.is_private(pgno.get()) {
                // Perhaps only the bytes that it was to replace could not be had. Perhaps not.
                self.poison.get_or_init(|| format!("{pgno} was not in the data file yet, and {why}"));
            }
            self.tear(settled, pgno, why.into());
        }
    }

    /// So many pages were lost that nobody knows which.
    fn give_up_all(&self, settled: &mut Settled) {
        let why = "the device cannot read hundreds of pages";
        self.poison.get_or_init(|| why.into());
        for word in 0..self.space.word_count() {
            self.store.verified.remove_mask(word, u64::MAX);
        }
        self.tear(settled, Pgno::new(0), why.into());
    }

    /// The file was cut to `len` bytes, and private copies behind the cut are gone with it.
    fn give_up_cut(&self, len: u64, settled: &mut Settled) {
        let (mut first, end) = (len / PAGE_SIZE as u64, self.space.file_pages());
        let what = self.cut_to(len);
        let is_new = self.poison.set(format!("the data file was cut: {what}")).is_ok();
        let mut was_known = false;
        while first < end {
            let range = PageRange::new(first, PageRange::COUNT_MAX.min(end - first));
            for (word, mask) in range.words() {
                was_known |= self.store.verified.remove_mask(word, mask) != 0;
            }
            first = range.end();
        }
        if was_known || is_new {
            self.tear(settled, Pgno::new(len / PAGE_SIZE as u64), what);
        }
    }

    fn cut_to(&self, len: u64) -> String {
        format!("{len} bytes are left of {} pages", self.space.file_pages())
    }

    fn tear(&self, settled: &mut Settled, pgno: Pgno, why: String) {
        log::error!("{pgno} of the data file was lost while the store was open: {why}");
        let what = format!("lost while this was read, so that it cannot be answered from it any more: {why}");
        settled.what = Some(Corruption::new(pgno, what));
        self.losses.torn.fetch_add(1, Release);
    }
}
