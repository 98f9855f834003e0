//! Coming in: the first process recovers the store and makes the area, later ones join.

use std::sync::{
    Arc,
    atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
};

use llmdb_base::{StoreId, sync::Mutex};
use llmdb_pager::{Access, Commons, Pager, share::layout};
use llmdb_vfs::{AREA_WORDS, LockKind, ShareError, SharedArea, Vfs};
use llmdb_wal::Log;

use super::{COUNT_MAX, Company, MAGIC, PROCESS, SLICE_US, VERSION, door::Door, header_checksum, note_of};
use crate::{
    Background, Error, Options, RecoveryReport, Result,
    engine::Shared,
    mend::at_open,
    open::{self, Places},
    recovery,
};

/// Opens or makes a store for this process beside others. `None` if the medium cannot be written: then nobody else can
/// write it either.
///
/// # Errors
/// [`Error::CannotShare`] where processes cannot share files; [`Error::Locked`] if somebody has the store for itself;
/// [`Error::Busy`] if the others do not make room in time; and those of opening a store.
pub(crate) fn open(
    vfs: &Arc<dyn Vfs>,
    places: &Places,
    options: &Options,
) -> Result<Option<(Shared, RecoveryReport)>> {
    let entrance = Entrance { vfs, places, options };
    loop {
        let area = match vfs.share(&places.share) {
            Ok(area) => area,
            Err(ShareError::ReadOnlyMedium) if options.read_only => return Ok(None),
            Err(error) => return Err(Error::from_share(error, &places.share)),
        };
        let _door = Door::wait(&area, &**vfs, options.lock_timeout_us)?;
        copy_rights(&**vfs, places);
        // The last process to go takes the file with it: those who opened it before have to begin anew.
        let is_current = area.is_current();
        if is_current.map_err(|error| Error::io("look for the file that processes share", error))?
            && let Some(opened) = entrance.come_in(area)?
        {
            return Ok(Some(opened));
        }
    }
}

/// Refuses if any process shares the store. For those who want it for themselves, once they have its lock: who wants to
/// share it looks for that lock, once it is there.
pub(crate) fn refuse_company(vfs: &dyn Vfs, places: &Places) -> Result<()> {
    let failed = |error| Error::io("look for processes that share the store", error);
    if !vfs.exists(&places.share).map_err(failed)? {
        return Ok(());
    }
    let area = match vfs.share(&places.share) {
        Ok(area) => area,
        Err(ShareError::Io(error)) => return Err(failed(error)),
        // Then nobody else can share it either.
        Err(_) => return Ok(()),
    };
    for process in 0..layout::PROCESS_COUNT {
        if area.is_locked_elsewhere(PROCESS + process as u64).map_err(failed)? {
            return Err(Error::Locked { path: places.share.clone(), holder: note_of(&*area, process) });
        }
    }
    Ok(())
}

/// Whoever may use the data file must be able to share it. If the area belongs to somebody else, that one sees to it.
fn copy_rights(vfs: &dyn Vfs, places: &Places) {
    if vfs.exists(&places.data).unwrap_or(false)
        && let Err(error) = vfs.copy_rights(&places.data, &places.share)
    {
        log::debug!("the rights of the file that processes share stay as they are: {error}");
    }
}

struct Entrance<'a> {
    vfs: &'a Arc<dyn Vfs>,
    places: &'a Places,
    options: &'a Options,
}

impl Entrance<'_> {
    /// Registers, and opens the store; the caller has the door. `None` if the others went meanwhile: to be tried again.
    fn come_in(&self, area: Arc<dyn SharedArea>) -> Result<Option<(Shared, RecoveryReport)>> {
        let mut company = self.register(area)?;
        if company.has_company()? {
            if !self.wait_for_pages(&company)? {
                return Ok(None);
            }
            company.begin_session()?;
            return self.join(company).map(Some);
        }
        self.refuse_holder()?;
        company.clear();
        company.begin_session()?;
        self.found(company).map(Some)
    }

    /// Takes a slot: from here on this process counts as alive.
    fn register(&self, area: Arc<dyn SharedArea>) -> Result<Company> {
        let mut company = Company {
            area,
            vfs: Arc::clone(self.vfs),
            path: self.places.data.clone(),
            process: 0,
            session: 0,
            door: Mutex::new(()),
            private: AtomicBool::new(false),
            handed_over: AtomicU64::new(0),
            began_us: AtomicU64::new(0),
            busy_us: AtomicU64::new(0),
            freed_us: AtomicU64::new(0),
            stuck: AtomicBool::new(false),
            stopping: Arc::default(),
            thread: Mutex::new(None),
        };
        for process in 0..layout::PROCESS_COUNT {
            if company.try_lock(PROCESS + process as u64)? {
                company.process = process;
                return Ok(company);
            }
        }
        Err(Error::CannotShare(format!(
            "{} processes have the store open, which is as many as can",
            layout::PROCESS_COUNT
        )))
    }

    /// Refuses if somebody has the store for itself. Whoever wants that looks for us once it has this lock.
    fn refuse_holder(&self) -> Result<()> {
        let path = &self.places.lock;
        let lock = self.vfs.lock(path, LockKind::Exclusive, "");
        lock.map(drop).map_err(|error| Error::from_lock(error, path.clone()))
    }

    /// Waits until every published page is in the file. `false` if everybody else went.
    fn wait_for_pages(&self, company: &Company) -> Result<bool> {
        let began = company.now_us();
        loop {
            let is_known = company.has_header();
            if is_known && company.load(layout::PRIVATE) == 0 {
                return Ok(true);
            }
            if !company.has_company()? {
                return Ok(false);
            }
            let waited_us = company.now_us().saturating_sub(began);
            let timeout_us = self.options.lock_timeout_us;
            if waited_us >= timeout_us {
                return Err(if is_known {
                    Error::Busy { holder: company.holder(), waited_ms: waited_us / 1000 }
                } else {
                    let path = self.places.share.display();
                    Error::CannotShare(format!("{path} is damaged: let every process close the store"))
                });
            }
            company.ring();
            company.area.wait(layout::PRIVATE, 1, SLICE_US.min(timeout_us - waited_us));
        }
    }

    /// Opens a store that others have open.
    fn join(&self, company: Company) -> Result<(Shared, RecoveryReport)> {
        let Self { vfs, places, options } = *self;
        let file = open::open_data(&**vfs, &places.data, !options.read_only)?;
        let commons = Commons::new(Arc::clone(&company.area), company.process, company.session);
        let pager = Pager::attach(&**vfs, file, open::pager_options(options), commons)
            .map_err(|error| open::open_error(error, &places.data))?;
        if company.store_id() != pager.store_id() {
            return Err(Error::CannotShare(format!(
                "{} belongs to another store than {}: let every process close both, and remove it",
                places.share.display(),
                places.data.display()
            )));
        }
        let end = pager.published().lsn;
        let log_options = open::log_options(options);
        let log = Log::at_rest(Arc::clone(vfs), &places.log, pager.store_id(), end, log_options);
        let shared =
            open::shared(Arc::clone(vfs), places.data.clone(), pager, Some(log), options.clone(), None, 0);
        Ok((Shared { company: Some(company), ..shared }, RecoveryReport::default()))
    }

    /// Opens or makes a store that nobody else has open, and makes the area known.
    fn found(&self, company: Company) -> Result<(Shared, RecoveryReport)> {
        let Self { vfs, places, options } = *self;
        if !open::exists(&**vfs, &places.data)? {
            open::create(vfs, places)?;
            copy_rights(&**vfs, places);
        }
        let (pager, log, report) = match self.recover() {
            Err(error) if at_open::may_mend(&error, options) => {
                // Nobody else is there, so that it can be mended as by whoever has it for himself.
                let mended = at_open::mend_and_close(vfs, places, options)?;
                let (pager, log, mut report) = self.recover()?;
                report.mended = mended;
                (pager, log, report)
            }
            recovered => recovered?,
        };
        if !options.read_only {
            company.begin_first_turn()?;
            if options.background == Background::Threads {
                company.hide_pages();
            } else {
                pager.write_out()?;
            }
        }
        let commons = Commons::new(Arc::clone(&company.area), company.process, company.session);
        commons.set_holds_turn(!options.read_only);
        pager.join(commons);
        company.store_header(pager.store_id());
        let replayed = report.replayed_bytes;
        let shared = open::shared(
            Arc::clone(vfs),
            places.data.clone(),
            pager,
            Some(log),
            options.clone(),
            None,
            replayed,
        );
        let shared = Shared { company: Some(company), ..shared };
        shared.pace.count_ops(report.replayed_ops);
        if report.needs_checkpoint && !options.read_only {
            shared.repair_meta()?;
        }
        if options.background == Background::Manual {
            // Without a thread nobody could ask for the turn while this process does something else.
            shared.hand_over()?;
        }
        Ok((shared, report))
    }
}

impl Entrance<'_> {
    /// Opens the pages and the log of a store that nobody else has open, and recovers it.
    fn recover(&self) -> Result<(Arc<Pager>, Log, RecoveryReport)> {
        let Self { vfs, places, options } = *self;
        let file = open::open_data(&**vfs, &places.data, !options.read_only)?;
        let access = if options.read_only { Access::ReadOnly } else { Access::ReadWrite };
        let pager = Pager::open_shared(&**vfs, file, open::pager_options(options), access)
            .map_err(|error| open::open_error(error, &places.data))?;
        let (log, report) = recovery::recover(vfs, &places.log, &pager, options)?;
        Ok((pager, log, report))
    }
}

impl Company {
    /// Draws a name that no process before has had, and says who this is.
    fn begin_session(&mut self) -> Result<()> {
        let session = self.word(layout::SESSIONS).fetch_add(1, SeqCst).wrapping_add(1);
        if !(1..COUNT_MAX).contains(&session) {
            return Err(Error::CannotShare(
                "the shared area is damaged: let every process close the store".into(),
            ));
        }
        self.session = session;
        self.introduce();
        let slot = layout::process(self.process);
        self.store(slot + layout::TICKET, 0);
        self.store(slot + layout::SESSION, session);
        Ok(())
    }

    /// Makes the area that of nobody: whoever wrote there has gone.
    fn clear(&self) {
        let readers_end = if self.has_header() {
            let used = usize::try_from(self.load(layout::READERS_END)).unwrap_or(usize::MAX);
            layout::READERS.saturating_add(used.saturating_mul(layout::READER_WORDS)).min(AREA_WORDS)
        } else {
            AREA_WORDS
        };
        self.store(layout::MAGIC, 0);
        for word in &self.area.words()[..readers_end] {
            if word.load(Relaxed) != 0 {
                word.store(0, SeqCst);
            }
        }
    }

    /// Whether the header of the area is one of ours.
    fn has_header(&self) -> bool {
        self.load(layout::MAGIC) == MAGIC
            && self.load(layout::VERSION) == VERSION
            && self.load(layout::HEADER_CHECKSUM) == header_checksum(&*self.area)
    }

    fn store_header(&self, store: StoreId) {
        let [low, high] = halves(store);
        for (index, value) in [
            (layout::VERSION, VERSION),
            (layout::STORE, low),
            (layout::STORE + 1, high),
            (layout::INCARNATION, self.vfs.random_u64()),
        ] {
            self.store(index, value);
        }
        self.store(layout::MAGIC, MAGIC);
        self.store(layout::HEADER_CHECKSUM, header_checksum(&*self.area));
    }

    fn store_id(&self) -> StoreId {
        let (low, high) = (self.load(layout::STORE), self.load(layout::STORE + 1));
        StoreId::new(u128::from(high) << 64 | u128::from(low))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a number")]
fn halves(store: StoreId) -> [u64; 2] {
    [store.get() as u64, (store.get() >> 64) as u64]
}
