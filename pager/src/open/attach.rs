//! Opening a store that other processes have open already, and taking it over from one that died while it wrote.

use std::sync::{
    Arc,
    atomic::Ordering::{Acquire, Release},
};

use llmdb_base::{Corruption, Epoch, PageError, PageResult, sync::lock};
use llmdb_vfs::{File, Vfs};

use super::{EPOCHS_SKIPPED, OpenError, check_length, load, map, read_metas, replace_stale, writer};
use crate::{
    durable::Durable,
    meta::Generations,
    options::{Access, PagerOptions, Pick},
    pager::{Pager, Parts},
    range::runs_of_ones,
    retention::{Batch, Retention},
    roots::RootRecord,
    share::Commons,
    space::Space,
    store::Store,
    writer::{Writer, WriterSlot},
};

/// A checkpoint of the process that holds the turn may be writing the meta pages while they are read.
const META_LOOKS_MAX: usize = 8;

impl Pager {
    /// As [`Pager::open`] with [`Pick::Newest`], of a store that nobody else has open, but others may come to. The next
    /// thing is to recover it, then [`Pager::join`].
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_shared(
        vfs: &dyn Vfs,
        file: Arc<dyn File>,
        options: PagerOptions,
        access: Access,
    ) -> Result<Arc<Self>, OpenError> {
        Self::open_for(vfs, file, options, access, Pick::Newest, true)
    }

    /// From now on other processes may have the store open too: roots are published to them, and their readers are
    /// respected. What is published here is what was recovered; its pages may be private.
    pub fn join(&self, commons: Commons) {
        let commons = self.commons.get_or_init(|| commons);
        commons.publish(&self.published.load());
        let space = &self.space;
        commons.tell_figures([space.live_pages(), space.held_pages(), space.file_pages()]);
    }

    /// Opens a store that another process has open: it can be read at once, and written after [`Pager::resume`] or
    /// [`Pager::take_over`]. Reads the meta pages.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn attach(
        vfs: &dyn Vfs,
        file: Arc<dyn File>,
        options: PagerOptions,
        commons: Commons,
    ) -> Result<Arc<Self>, OpenError> {
        let mut looks = 1;
        let (found, meta_report) = loop {
            match read_metas(&*file) {
                Err(OpenError::NoValidMeta(_)) if looks < META_LOOKS_MAX => looks += 1,
                read => break read?,
            }
        };
        let (mut root, mut file_pages) = (commons.published()?, check_length(&*file, &found)?);
        while root.page_count > file_pages && looks < META_LOOKS_MAX {
            // The holder of the turn may have cut the file after a shorter root was published.
            looks += 1;
            (root, file_pages) = (commons.published()?, check_length(&*file, &found)?);
        }
        if root.page_count > file_pages {
            return Err(OpenError::Truncated {
                page_count: root.page_count,
                file_bytes: file_pages * llmdb_base::PAGE_SIZE as u64,
            });
        }
        let view = map(vfs, &file)?;
        view.reserve(file_pages).map_err(|source| PageError::io("reserve address space", source))?;
        let store = Store::new(view, Some(file), found.newest.store, true);
        let pager = Self::assemble(Parts {
            store,
            space: Space::new(file_pages),
            options,
            root,
            writer: WriterSlot::Away,
            retention: Retention::default(),
            durable: Some(Durable::new(found)),
            meta_report,
            map_damage: None,
        });
        pager.commons.get_or_init(|| commons);
        Ok(pager)
    }

    /// Makes the pages below `page_count` readable: another process may have made the file longer.
    pub(crate) fn reach(&self, page_count: u64) -> PageResult<()> {
        // Not the pages of the file as the writer knows them: it may be about to cut them, and must not be told of more.
        if page_count <= self.reached.load(Acquire) {
            return Ok(());
        }
        let file = self.store.file();
        let len =
            file.len().map_err(|source| PageError::io("ask for the length of the data file", source))?;
        let file_pages = len / llmdb_base::PAGE_SIZE as u64;
        if file_pages < page_count {
            let what = format!("{page_count} pages are published, of a file of {file_pages}");
            return Err(Corruption::new(llmdb_base::Pgno::new(file_pages), what).into());
        }
        let reserved = self.store.view.reserve(page_count);
        reserved.map_err(|source| PageError::io("reserve address space", source))?;
        self.reached.fetch_max(page_count, Release);
        Ok(())
    }

    /// Goes back to the newest durable state, because the process that had the turn died and what it knew of the use of
    /// pages is lost. The tip is that state under a new name; replaying the log is up to the caller, and publishing the
    /// result. Readers go on reading what they hold: every page that the durable states do not use is held until nobody
    /// can see what it may have been used for meanwhile.
    ///
    /// # Errors
    /// See [`OpenError`]; it may be tried again.
    pub fn take_over(self: &Arc<Self>, vfs: &dyn Vfs) -> Result<(), OpenError> {
        let commons = self.commons.get().expect("a turn is taken over in a store that is shared");
        let file = self.store.file();
        let (mut found, report) = read_metas(file)?;
        if found.newest.store != self.store.id {
            return Err(OpenError::NotADatabase);
        }
        replace_stale(file, &found, &report)?;
        let file_pages = check_length(file, &found)?;
        let reserved = self.store.view.reserve(file_pages);
        reserved.map_err(|source| PageError::io("reserve address space", source))?;
        let published = commons.published()?;
        let seen = self.published().epoch;
        if published.epoch < seen {
            let what = format!("{} is published, and {seen} was before", published.epoch);
            return Err(OpenError::Corruption(Corruption::new(llmdb_base::Pgno::new(0), what)));
        }
        // What an attempt to take over left in private memory means nothing.
        self.forget_private()?;
        self.space.empty(file_pages);
        let loaded = load::load(file, &self.space, &found)?;
        let last_epoch = last_epoch(&found, &published, self.tip().epoch, vfs);
        found.note_lost(&report, last_epoch);
        let mut retention = Retention::default();
        let (slot, damage) =
            writer(Access::ReadWrite, last_epoch, loaded, &self.space, &found, &mut retention)?;
        let WriterSlot::Idle(mut writer) = slot else { unreachable!("asked for the right to write") };
        if let Some(damage) = damage {
            self.map_damage.get_or_init(|| damage);
        }
        let epoch = writer.next_epoch();
        self.hold_suspects(&mut retention, epoch, &found, &published);
        *lock(&self.retention) = retention;
        let root = RootRecord::new(epoch, file_pages, found.newest.root.state());
        self.begin_turn(writer, Durable::new(found), root, &published, 0);
        Ok(())
    }

    /// Holds every free page: the turn that was lost may have used it for a root that somebody reads. Freed by the first
    /// root of this turn; born before every root that a reader may hold, and if possible after the durable ones, which
    /// are known not to use it.
    fn hold_suspects(
        &self,
        retention: &mut Retention,
        epoch: Epoch,
        found: &Generations,
        published: &RootRecord,
    ) {
        let mut roots = vec![published.epoch, found.newest.root.epoch.next()];
        self.scan_readers(&mut roots);
        let born = roots.into_iter().min().unwrap_or_default();
        let mut suspects = Batch::new(epoch);
        let free: Vec<_> =
            runs_of_ones(0, self.space.file_pages(), |index| self.space.free_word(index)).collect();
        for range in free {
            self.space.hold_free(range);
            suspects.push(range, born);
        }
        retention.push(suspects);
    }

    /// This process is the one that writes.
    pub(crate) fn begin_turn(
        &self,
        mut writer: Box<Writer>,
        durable: Durable,
        tip: RootRecord,
        published: &RootRecord,
        epochs: u64,
    ) {
        lock(&self.given_back).clear();
        // What the turns before replaced since the last checkpoint is held for it.
        writer.checkpointed = durable.newest.root.epoch;
        self.counters.begin_turn(lock(&self.retention).pages_seen_by(writer.checkpointed), epochs);
        if let Some(known) = &self.durable {
            *lock(known) = durable;
        }
        self.published.store(published);
        self.tip.store(&tip);
        *lock(&self.writer) = WriterSlot::Idle(writer);
        self.recount_settling();
    }
}

/// Behind every epoch that anybody can have seen.
fn last_epoch(found: &Generations, published: &RootRecord, tip: Epoch, vfs: &dyn Vfs) -> Epoch {
    let metas = [Some(found.newest), found.older].into_iter().flatten().map(|meta| meta.root.epoch);
    let newest = metas.fold(published.epoch.max(tip), Epoch::max);
    Epoch::new(newest.get() + EPOCHS_SKIPPED + vfs.random_u64() % EPOCHS_SKIPPED)
}
