//! Opening: lock, data file, newest valid root, replay of the log.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
};

use llmdb_base::{StoreId, sync::Mutex};
use llmdb_pager::{Access, OpenError, Pager, PagerOptions, Pick};
use llmdb_vfs::{Create, File, FileLock, LockKind, Open, Vfs};
use llmdb_wal::{LogOptions, Replay, TailPolicy};

use crate::{
    Background, Error, LogTail, Options, RecoveryReport, Result, Sharing, StartFrom, background::Workers,
    calm::Calm, checkpoint::Turnstile, commit::Unpublished, engine::Shared, feed::Pins, gate::Gate,
    keeping::Keeping, last_main::LastMain, long_readers::Watch, mend::at_open, overlay, pace::Pace, recovery,
    share,
};

/// Where a store keeps its files.
pub(crate) struct Places {
    pub data: PathBuf,
    pub log: PathBuf,
    pub lock: PathBuf,
    /// What processes share that have the store open together.
    pub share: PathBuf,
    pub folder: PathBuf,
}

impl Places {
    pub(crate) fn of(path: &Path) -> Self {
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (log, lock, share) = (beside("-wal"), beside("-lock"), beside("-share"));
        Self { data: path.to_owned(), log, lock, share, folder: folder.to_owned() }
    }
}

/// Opens or makes the store at `path`.
pub(crate) fn open(vfs: Arc<dyn Vfs>, path: &Path, options: Options) -> Result<(Shared, RecoveryReport)> {
    let places = Places::of(path);
    if !exists(&*vfs, path)? && (options.read_only || !options.create) {
        return Err(Error::Missing(path.to_owned()));
    }
    if options.sharing == Sharing::Shared && options.start_from != StartFrom::Newest {
        return Err(Error::Misuse(
            "going back to the older checkpoint cannot be shared: open the store exclusively".into(),
        ));
    }
    if options.sharing == Sharing::Shared {
        return match share::open(&vfs, &places, &options)? {
            Some(opened) => Ok(opened),
            None => overlay::open(vfs, &places, options),
        };
    }
    let lock = take_lock(&*vfs, &places, options.read_only)?;
    let fresh = !exists(&*vfs, path)?;
    if fresh {
        create(&vfs, &places)?;
    }
    let began_us = vfs.monotonic_us();
    let (pager, log, report) = at_open::open(&vfs, &places, &options)?;
    let replay_us = vfs.monotonic_us().saturating_sub(began_us);
    let shared = shared(vfs, path.to_owned(), pager, Some(log), options, Some(lock), report.replayed_bytes);
    shared.pace.count_ops(report.replayed_ops);
    if report.replayed_ops > 0 {
        shared.pace.note_applied(report.replayed_ops, replay_us);
    }
    if report.needs_checkpoint && !shared.options.read_only {
        shared.repair_meta()?;
    }
    Ok((shared, report))
}

/// A store without files.
pub(crate) fn in_memory(vfs: Arc<dyn Vfs>, options: Options) -> Result<Shared> {
    let pager = Pager::in_memory(&*vfs, pager_options(&options))?;
    Ok(shared(vfs, PathBuf::new(), pager, None, options, None, 0))
}

pub(crate) fn shared(
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    pager: Arc<Pager>,
    log: Option<llmdb_wal::Log>,
    options: Options,
    lock: Option<Box<dyn FileLock>>,
    replayed_bytes: u64,
) -> Shared {
    let workers = Workers::new(options.background == Background::Threads);
    if let Some(log) = &log {
        // So that the loss of the log, or of its end, is noticed whatever else is left.
        let pager = Arc::clone(&pager);
        log.on_segment(move |index| pager.mark_log(index + 1).map_err(std::io::Error::other));
    }
    Shared {
        vfs,
        path,
        pager,
        log,
        options,
        gate: Gate::default(),
        unpublished: Unpublished::default(),
        last_main: LastMain::new(),
        checkpointing: Turnstile::default(),
        checkpoint_count: AtomicU64::new(0),
        replayed_bytes,
        checkpointed_bytes: AtomicU64::new(0),
        pace: Pace::default(),
        calm: Calm::default(),
        compacting: Mutex::new(()),
        watch: Watch::default(),
        closed: AtomicBool::new(false),
        pins: Pins::default(),
        keeping: Keeping::default(),
        mending_is_vain: AtomicBool::new(false),
        workers,
        foreign_bytes: AtomicU64::new(0),
        company: None,
        _lock: lock,
    }
}

pub(crate) fn exists(vfs: &dyn Vfs, path: &Path) -> Result<bool> {
    vfs.exists(path).map_err(|error| Error::io("look for the data file", error))
}

fn take_lock(vfs: &dyn Vfs, places: &Places, read_only: bool) -> Result<Box<dyn FileLock>> {
    let kind = if read_only { LockKind::Shared } else { LockKind::Exclusive };
    let note = format!("process {}, since {} us after 1970", std::process::id(), vfs.now().get());
    let lock =
        vfs.lock(&places.lock, kind, &note).map_err(|error| Error::from_lock(error, places.lock.clone()))?;
    share::refuse_company(vfs, places)?;
    Ok(lock)
}

/// Makes a new store under another name and renames it: a crash on the way leaves no half-made store.
///
/// A log that lies beside a data file that does not exist is not ours to judge: it may be all that is left of a
/// store whose data file was moved away.
pub(crate) fn create(vfs: &Arc<dyn Vfs>, places: &Places) -> Result<()> {
    let stray = vfs.list_dir(&places.log).is_ok_and(|names| !names.is_empty());
    if stray {
        return Err(Error::Unopenable(format!(
            "{} does not exist, but its log {} does: put the data file back, or move the log away to begin anew",
            places.data.display(),
            places.log.display()
        )));
    }
    let mut name = places.data.as_os_str().to_owned();
    name.push("-new");
    let draft = PathBuf::from(name);
    make_empty(vfs, &draft, random_id(&**vfs))?;
    vfs.rename(&draft, &places.data).map_err(|error| Error::io("create the data file", error))?;
    force_names(&**vfs, &places.folder)
}

/// Makes names in a folder survive a crash. Whatever the error, they may have changed.
pub(crate) fn force_names(vfs: &dyn Vfs, folder: &Path) -> Result<()> {
    let what = "force the names in the folder to the media";
    vfs.sync_dir(folder).map_err(|source| Error::Io { what: what.into(), source })
}

fn make_empty(vfs: &Arc<dyn Vfs>, path: &Path, store: StoreId) -> Result<()> {
    let file = open_file(&**vfs, path, Open { write: true, create: Create::IfMissing, direct: true })?;
    file.set_len(0).map_err(|error| Error::io("create the data file", error))?;
    Pager::create(&**vfs, file, store, PagerOptions::default())?;
    Ok(())
}

/// A random identity for a new store.
pub(crate) fn random_id(vfs: &dyn Vfs) -> StoreId {
    StoreId::new(u128::from(vfs.random_u64()) << 64 | u128::from(vfs.random_u64()))
}

/// Opens a file, naming it if that fails.
pub(crate) fn open_file(vfs: &dyn Vfs, path: &Path, how: Open) -> Result<Arc<dyn File>> {
    vfs.open(path, how).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::Missing(path.to_owned()),
        _ => Error::io("open the data file", error),
    })
}

/// Opens an existing data file.
pub(crate) fn open_data(vfs: &dyn Vfs, path: &Path, write: bool) -> Result<Arc<dyn File>> {
    open_file(vfs, path, Open { write, create: Create::Never, direct: write })
}

/// Opens the pager of an existing data file.
fn open_pager(vfs: &Arc<dyn Vfs>, path: &Path, options: &Options, access: Access) -> Result<Arc<Pager>> {
    let write = access != Access::ReadOnly;
    let file = open_data(&**vfs, path, write)?;
    let pick = match options.start_from {
        StartFrom::Newest => Pick::Newest,
        StartFrom::Older => Pick::Older,
    };
    Pager::open(&**vfs, file, pager_options(options), access, pick).map_err(|error| open_error(error, path))
}

/// Names the file that could not be opened, and says what can still be done with it.
pub(crate) fn open_error(error: OpenError, path: &Path) -> Error {
    let error = match error {
        OpenError::Corruption(_) => Error::Unopenable(format!(
            "{error}; it can still be opened for reading only, and salvaged into a new store"
        )),
        other => other.into(),
    };
    match error {
        Error::NotADatabase(_) => Error::NotADatabase(path.to_owned()),
        Error::Unopenable(what) => Error::Unopenable(format!("{}: {what}", path.display())),
        other => other,
    }
}

pub(crate) fn pager_options(options: &Options) -> PagerOptions {
    PagerOptions { private_bytes_max: options.dirty_bytes_max, ..PagerOptions::default() }
}

/// How the log is kept.
pub(crate) fn log_options(options: &Options) -> LogOptions {
    LogOptions {
        segment_bytes_max: options.segment_bytes_max,
        window_bytes: options.log_window_bytes,
        ..LogOptions::default()
    }
}

/// Opens the log of a store for replay.
pub(crate) fn open_replay(
    vfs: &Arc<dyn Vfs>,
    folder: &Path,
    pager: &Pager,
    options: &Options,
) -> Result<Replay> {
    let tail = match options.log_tail {
        LogTail::Strict => TailPolicy::Strict,
        LogTail::CutAtDamage => TailPolicy::CutAtDamage,
    };
    let from = pager.durable().lsn;
    let replay = Replay::open(vfs.clone(), folder, pager.store_id(), from, log_options(options), tail);
    replay.map_err(|error| match Error::from(error) {
        Error::LogCorruption(what) => Error::LogCorruption(format!("{}: {what}", folder.display())),
        other => other,
    })
}

/// A damaged store, opened as far as it opens.
pub(crate) struct Damaged {
    pub pager: Arc<Pager>,
    /// Why the log's tail could not be applied, if it could not.
    pub log_lost: Option<String>,
    /// Whether the allocation map could be read: which pages are in use.
    pub map_is_known: bool,
    _lock: Box<dyn FileLock>,
}

/// Opens a store for salvage: with the log's tail applied to pages that no checkpoint names, if that works, else
/// without it. Nothing that either checkpoint or the log holds is changed.
pub(crate) fn for_salvage(vfs: &Arc<dyn Vfs>, path: &Path, start_from: StartFrom) -> Result<Damaged> {
    if !exists(&**vfs, path)? {
        return Err(Error::Missing(path.to_owned()));
    }
    let places = Places::of(path);
    let lock = take_lock(&**vfs, &places, false)?;
    let options = Options { create: false, start_from, log_tail: LogTail::CutAtDamage, ..Options::default() };
    let with_log = open_pager(vfs, path, &options, Access::Scratch).and_then(|pager| {
        // The log is read, not taken into use: that would remove what lies behind damage.
        recovery::replay(vfs, &places.log, &pager, &options)?;
        Ok(pager)
    });
    match with_log {
        Ok(pager) => Ok(Damaged { pager, log_lost: None, map_is_known: true, _lock: lock }),
        Err(error) => {
            // Without the log; with the map, if that is not what is damaged.
            let with_map = open_pager(vfs, path, &options, Access::Scratch);
            let map_is_known = with_map.is_ok();
            let pager = with_map.or_else(|_| open_pager(vfs, path, &options, Access::ReadOnly))?;
            Ok(Damaged { pager, log_lost: Some(error.to_string()), map_is_known, _lock: lock })
        }
    }
}
