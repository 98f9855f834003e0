//! Making a store, and opening one.

mod attach;
pub(crate) mod load;

use std::{fmt, io, sync::Arc};

use llmdb_base::{
    ChildRef, Corruption, Epoch, PAGE_SIZE, PageError, PageErrorKind, PageResult, Pgno, StoreId, sync::lock,
};
use llmdb_vfs::{AlignedBuf, File, Vfs};

use self::load::Loaded;
pub(crate) use self::load::check_ranges;
use crate::{
    allocator::grow,
    checkpoint::write_meta,
    durable::Durable,
    map::MapPages,
    meta::{
        self, FILE_PAGES_MIN, FIXED_PAGES, Generations, GivenUp, META_LEN, Meta, MetaReport, SlotState,
        generation_after, select,
    },
    options::{Access, PagerOptions, Pick},
    pager::{Pager, Parts, first_root},
    range::PageRange,
    retention::{Batch, Freed, Retention},
    space::Space,
    store::Store,
    view::View,
    writer::{Unknown, Writer, WriterSlot},
};

/// Epochs skipped at open, at least: a run that was lost may have used that many since its last checkpoint.
pub(crate) const EPOCHS_SKIPPED: u64 = 1 << 20;

/// Epochs since the last checkpoint at which one should begin: see [`Pager::epochs_since_checkpoint`].
pub const CHECKPOINT_EPOCHS: u64 = EPOCHS_SKIPPED / 2;

/// Epochs since the last checkpoint from which on nobody should begin to write before the next one. The rest is for
/// savepoints of the transaction under way.
pub const STALL_EPOCHS: u64 = EPOCHS_SKIPPED / 4 * 3;

/// Why a data file could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// None of its meta pages begins like one.
    NotADatabase,
    /// It was written in a format that this program does not know.
    NewerVersion {
        /// Version of the format found.
        found: u32,
    },
    /// It is shorter than its meta page says.
    Truncated {
        /// Pages that there should be.
        page_count: u64,
        /// Bytes that there are.
        file_bytes: u64,
    },
    /// No meta page is intact.
    NoValidMeta(Box<MetaReport>),
    /// [`Pick::Older`] was asked for, and only one generation is intact.
    NoOlderGeneration(Box<MetaReport>),
    /// The allocation map is damaged. [`Access::ReadOnly`] and [`Access::Rebuild`] still work.
    Corruption(Corruption),
    /// The world refused.
    Io {
        /// What was tried.
        what: String,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Pager {
    /// Makes an empty store in `file`, which may not hold anything worth keeping. Durable on return, but for the
    /// name of the file in its folder.
    ///
    /// # Errors
    /// `NoSpace`; I/O errors.
    pub fn create(
        vfs: &dyn Vfs,
        file: Arc<dyn File>,
        store_id: StoreId,
        options: PagerOptions,
    ) -> PageResult<Arc<Self>> {
        file.set_len(0).map_err(|source| PageError::io("empty the data file", source))?;
        let store = Store::new(map(vfs, &file)?, Some(Arc::clone(&file)), store_id, false);
        let space = Space::new(0);
        grow(&space, &store, FILE_PAGES_MIN + options.reserve_pages)?;
        let root = first_root(FILE_PAGES_MIN);
        let generation = |generation| Meta {
            store: store_id,
            generation,
            root,
            map_root: ChildRef::NONE,
            map_levels: 0,
            log_mark: 0,
            given_up: GivenUp::default(),
        };
        let (older, newest) = (generation(1), generation(2));
        file.sync_data().map_err(|source| PageError::io("force the new data file to the media", source))?;
        for meta in [older, newest] {
            meta.slots().into_iter().try_for_each(|pgno| write_meta(&*file, &meta, pgno))?;
        }
        let (_, meta_report) = select([Ok(newest), Ok(older), Ok(newest), Ok(older)]);
        let writer = Writer::new(root.epoch, MapPages::new(space.file_pages(), 0));
        Ok(Self::assemble(Parts {
            store,
            space,
            options,
            root,
            writer: WriterSlot::Idle(Box::new(writer)),
            retention: Retention::default(),
            durable: Some(Durable::new(Generations { newest, older: Some(older) })),
            meta_report,
            map_damage: None,
        }))
    }

    /// Opens the store in `file`. Reads the meta pages and the allocation map: one page in 32,288.
    ///
    /// The published state and the tip are that of the generation picked; replaying the log from its LSN on is up
    /// to the caller. Opened for writing, the file may grow to hold the reserve.
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing was written, except with [`Pick::Older`], and meta pages of a generation that a crash
    /// left half overwritten.
    pub fn open(
        vfs: &dyn Vfs,
        file: Arc<dyn File>,
        options: PagerOptions,
        access: Access,
        pick: Pick,
    ) -> Result<Arc<Self>, OpenError> {
        Self::open_for(vfs, file, options, access, pick, false)
    }

    fn open_for(
        vfs: &dyn Vfs,
        file: Arc<dyn File>,
        options: PagerOptions,
        access: Access,
        pick: Pick,
        shared: bool,
    ) -> Result<Arc<Self>, OpenError> {
        let (found, meta_report) = read_metas(&*file)?;
        let mut chosen = choose(found, pick, access, &meta_report)?;
        if access != Access::ReadOnly {
            [Some(found.newest), found.older].iter().flatten().try_for_each(Meta::check_room)?;
        }
        let file_pages = check_length(&*file, &chosen)?;
        let view = map(vfs, &file)?;
        view.reserve(file_pages).map_err(|source| PageError::io("reserve address space", source))?;
        let store = Store::new(view, Some(Arc::clone(&file)), chosen.newest.store, shared);
        store.verified.reserve(file_pages);
        let space = Space::new(file_pages);
        let loaded = load::load(&*file, &space, &chosen)?;
        // The older generation may have the later epoch: if it was being given up when the power failed.
        let epochs = [Some(found.newest), found.older].into_iter().flatten().map(|meta| meta.root.epoch);
        let newest_epoch = epochs.fold(chosen.newest.root.epoch, Epoch::max);
        let skipped = EPOCHS_SKIPPED + vfs.random_u64() % EPOCHS_SKIPPED;
        let last_epoch = Epoch::new(newest_epoch.get() + skipped);
        match pick {
            Pick::Newest => chosen.note_lost(&meta_report, last_epoch),
            Pick::Older => {
                let Meta { root, given_up, .. } = chosen.newest;
                chosen.newest.given_up = given_up.and(root.epoch, last_epoch);
            }
        }
        let mut retention = Retention::default();
        let (writer, map_damage) = writer(access, last_epoch, loaded, &space, &chosen, &mut retention)?;
        let durable = match (pick, access) {
            (Pick::Older, Access::ReadWrite | Access::Rebuild) => {
                give_up(&*file, &found.newest, chosen.newest)?
            }
            _ => chosen,
        };
        if matches!(access, Access::ReadWrite | Access::Rebuild) {
            replace_stale(&*file, &durable, &meta_report)?;
        }
        if matches!(writer, WriterSlot::Idle(_)) && space.free_pages() < options.reserve_pages {
            // A full disk must not keep the store from being opened, least of all by those who want to delete.
            drop(grow(&space, &store, options.reserve_pages));
        }
        Ok(Self::assemble(Parts {
            store,
            space,
            options,
            root: chosen.newest.root,
            writer,
            retention,
            durable: Some(Durable::new(durable)),
            meta_report,
            map_damage,
        }))
    }

    /// Replaces the allocation map of a store opened with [`Access::Rebuild`] by what walking every tree of the
    /// published root has found: ranges of pages, as first page and count, in any order. Meta pages need not be
    /// among them. From then on the store can be written. Make a checkpoint soon: until then the file holds the damaged map.
    ///
    /// # Errors
    /// Corruption if a range lies outside the file, or two overlap; the store then stays as it was.
    ///
    /// # Panics
    /// If the store was opened otherwise, or has been rebuilt already.
    pub fn rebuild_map(&self, live: impl IntoIterator<Item = (Pgno, u64)>) -> PageResult<()> {
        let mut slot = lock(&self.writer);
        let WriterSlot::MapUnknown(unknown) = &*slot else { panic_not_rebuilding() };
        let ranges = check_ranges(live, self.published().page_count)?;
        self.space.clear_live();
        FIXED_PAGES.into_iter().for_each(|pgno| self.space.take(PageRange::one(pgno)));
        ranges.iter().for_each(|range| self.space.take(*range));
        let writer = Writer::new(unknown.last_epoch, MapPages::new(self.space.file_pages(), 0));
        if let Some((older, image)) = &unknown.older {
            let freed = self.published().epoch;
            hold_older(&mut lock(&self.retention), &self.space, *older, freed, image);
        }
        *slot = WriterSlot::Idle(Box::new(writer));
        Ok(())
    }
}

#[expect(clippy::panic, reason = "documented: asked of a store that was not opened to be rebuilt")]
fn panic_not_rebuilding() -> ! {
    panic!("only a store opened with Access::Rebuild is rebuilt, and only once")
}

fn map(vfs: &dyn Vfs, file: &Arc<dyn File>) -> PageResult<View> {
    let mapping =
        vfs.map(Some(Arc::clone(file))).map_err(|source| PageError::io("map the data file", source))?;
    Ok(View::new(mapping))
}

/// Reads the four meta pages from the media.
fn read_metas(file: &dyn File) -> Result<(Generations, MetaReport), OpenError> {
    let (generations, report) = select(FIXED_PAGES.map(|pgno| read_meta(file, pgno)));
    let newer = report.slots.iter().find_map(|slot| match slot.state {
        SlotState::Newer { version } => Some(version),
        _ => None,
    });
    if let Some(found) = newer {
        return Err(OpenError::NewerVersion { found });
    }
    match generations {
        Some(generations) => Ok((generations, report)),
        None if report.slots.iter().all(|slot| slot.state == SlotState::Foreign) => {
            Err(OpenError::NotADatabase)
        }
        None => Err(OpenError::NoValidMeta(Box::new(report))),
    }
}

fn read_meta(file: &dyn File, pgno: Pgno) -> Result<Meta, SlotState> {
    let mut page = AlignedBuf::new(PAGE_SIZE);
    match file.read_media_at(&mut page, pgno.offset()) {
        Ok(()) => {
            let bytes: &[u8; META_LEN] = page[..META_LEN].try_into().expect("a page is longer than that");
            Meta::decode(bytes, pgno)
        }
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(SlotState::Foreign),
        Err(error) => Err(meta::damaged(format_args!("cannot be read: {error}"))),
    }
}

/// What to start from, as the newest, and what else to protect.
fn choose(
    found: Generations,
    pick: Pick,
    access: Access,
    report: &MetaReport,
) -> Result<Generations, OpenError> {
    match (pick, found.older) {
        (Pick::Newest, _) => Ok(found),
        (Pick::Older, Some(older)) if access == Access::Scratch => {
            Ok(Generations { newest: older, older: Some(found.newest) })
        }
        (Pick::Older, Some(older)) => Ok(Generations { newest: older, older: None }),
        (Pick::Older, None) => Err(OpenError::NoOlderGeneration(Box::new(report.clone()))),
    }
}

/// Gives the newest generation up by writing the older state over it, so that a crash does not bring it back
/// after its pages have been used again.
fn give_up(file: &dyn File, newest: &Meta, kept: Meta) -> PageResult<Generations> {
    let generation = generation_after(newest.generation, kept.generation);
    let again = Meta { generation, ..kept };
    again.slots().into_iter().try_for_each(|pgno| write_meta(file, &again, pgno))?;
    Ok(Generations { newest: again, older: Some(kept) })
}

/// Writes over meta pages of a generation before the older one: a crash came between the copies of the newest. Its
/// pages are about to be used again, and it must not come back as the older one should the only copy of the newest rot.
fn replace_stale(file: &dyn File, known: &Generations, report: &MetaReport) -> PageResult<()> {
    for slot in report.damaged() {
        let is_stale = read_meta(file, slot.pgno).is_ok_and(|meta| meta.store == known.newest.store);
        let right = [Some(known.newest), known.older].into_iter().flatten();
        let right = right.filter(|meta| meta.slots().contains(&slot.pgno)).max_by_key(|meta| meta.generation);
        if let Some(meta) = right.filter(|_| is_stale) {
            write_meta(file, &meta, slot.pgno)?;
        }
    }
    Ok(())
}

/// Checks that the file is long enough; returns its length in pages.
fn check_length(file: &dyn File, chosen: &Generations) -> Result<u64, OpenError> {
    let file_bytes =
        file.len().map_err(|source| PageError::io("ask for the length of the data file", source))?;
    let page_count = chosen.newest.root.page_count;
    let file_pages = file_bytes / PAGE_SIZE as u64;
    if file_pages < page_count {
        return Err(OpenError::Truncated { page_count, file_bytes });
    }
    Ok(file_pages.min(Pgno::MAX.get()))
}

/// Who may write, and what is wrong with the map.
fn writer(
    access: Access,
    last_epoch: Epoch,
    loaded: Loaded,
    space: &Space,
    chosen: &Generations,
    retention: &mut Retention,
) -> Result<(WriterSlot, Option<Corruption>), OpenError> {
    let Loaded { map, older, damage } = loaded;
    let slot = match (access, map) {
        (Access::ReadOnly, _) => WriterSlot::ReadOnly,
        (Access::Rebuild, _) => WriterSlot::MapUnknown(Box::new(Unknown { last_epoch, older })),
        (Access::ReadWrite | Access::Scratch, None) => {
            return Err(OpenError::Corruption(damage.expect("a map that is missing is damaged")));
        }
        (Access::Scratch, _) if damage.is_some() => {
            return Err(OpenError::Corruption(damage.expect("looked at in the line above")));
        }
        (Access::ReadWrite | Access::Scratch, Some(map)) => {
            let writer = Writer::new(last_epoch, map);
            if let Some((older, image)) = older {
                // The other generation may be the newer one, in a scratch.
                let freed = chosen.newest.root.epoch.max(older.next());
                hold_older(retention, space, older, freed, &image);
            }
            WriterSlot::Idle(Box::new(writer))
        }
    };
    Ok((slot, damage))
}

/// Holds the pages that only the older generation uses: born nobody knows when, freed by the newest one.
fn hold_older(retention: &mut Retention, space: &Space, older: Epoch, freed: Epoch, image: &[PageRange]) {
    let mut batch = Batch::new(freed);
    for range in image.iter().flat_map(|range| space.free_part(*range)) {
        space.hold_free(range);
        batch.pages.push(Freed { range, born: Epoch::new(0) });
    }
    retention.park(older, batch);
}

impl From<PageError> for OpenError {
    fn from(error: PageError) -> Self {
        let text = error.to_string();
        match error.into_kind() {
            PageErrorKind::Corruption(corruption) => Self::Corruption(corruption),
            PageErrorKind::Io { what, source } => Self::Io { what, source },
            _ => Self::Io { what: text, source: io::ErrorKind::StorageFull.into() },
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotADatabase => f.write_str("not a data file of LLMDB"),
            Self::NewerVersion { found } => {
                let known = meta::FORMAT_VERSION;
                write!(f, "written in version {found} of the format; this program knows version {known}")
            }
            Self::Truncated { page_count, file_bytes } => {
                write!(f, "the data file has {file_bytes} bytes, expected {page_count} pages of {PAGE_SIZE}")
            }
            Self::NoValidMeta(report) => write!(f, "no meta page is intact: {report}"),
            Self::NoOlderGeneration(report) => write!(f, "there is no older generation: {report}"),
            Self::Corruption(corruption) => write!(f, "the allocation map is damaged: {corruption}"),
            Self::Io { what, source } => write!(f, "{what}: {source}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
