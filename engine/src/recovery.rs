//! Recovery: from the newest valid root, reapply the whole, committed records of the log.

mod applier;
mod pending;
mod scout;

use std::{io, path::Path, sync::Arc};

use llmdb_base::plant::{Bug, planted};
use llmdb_pager::Pager;
use llmdb_vfs::Vfs;
use llmdb_wal::{Log, LogError, Replay};

use crate::{Background, Error, LogTail, Options, Result, open::open_replay};

pub(crate) use self::applier::Applier;

/// What opening a store had to do.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Transactions reapplied from the log.
    pub replayed_txns: u64,
    /// Bytes of log reapplied.
    pub replayed_bytes: u64,
    /// Operations in them.
    pub replayed_ops: u64,
    /// Bytes behind the last whole record, which were never acknowledged and were left out.
    pub cut_bytes: u64,
    /// Meta pages that were damaged; the others held what was needed.
    pub damaged_meta_pages: Vec<String>,
    /// What was damaged and could be made again: the allocation map, or what the newest checkpoint held.
    pub mended: Vec<String>,
    /// How long it took.
    pub took: RecoveryTook,
    /// Whether a checkpoint should restore what the damage took.
    pub(crate) needs_checkpoint: bool,
}

/// How long the parts of an opening took, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct RecoveryTook {
    /// Opening the data file: meta pages and allocation map.
    pub pages_us: u64,
    /// Reading the log until its end was known.
    pub log_us: u64,
    /// Applying it.
    pub replay_us: u64,
}

/// Replays the log over the pager's root and returns the log, ready to be appended to.
pub(crate) fn recover(
    vfs: &Arc<dyn Vfs>,
    folder: &Path,
    pager: &Arc<Pager>,
    options: &Options,
) -> Result<(Log, RecoveryReport)> {
    let (replay, report) = replay(vfs, folder, pager, options)?;
    let is_accepted = is_short(&replay, pager);
    if options.read_only {
        return Ok((replay.into_log()?, report));
    }
    let log = into_log(replay)?;
    if is_accepted {
        // The loss was accepted, once and for good.
        pager.mark_log(0)?;
    }
    Ok((log, report))
}

/// Takes the log into use. If it was cut at damage, that was accepted for good: a new segment says where the log ended, so
/// that nobody asks again, whenever this process dies.
pub(crate) fn into_log(replay: Replay) -> Result<Log> {
    let is_cut = replay.is_cut_at_damage();
    let log = replay.into_log()?;
    match if is_cut { log.begin_anew() } else { Ok(()) } {
        // A full disk must not keep a store from being opened. The first commit begins the segment.
        Err(LogError::NoSpace { .. }) => {
            log::warn!("there is no room to note that the log was cut at damage")
        }
        begun => begun?,
    }
    Ok(log)
}

/// Replays the log over the pager's root, and leaves its files as they are.
pub(crate) fn replay(
    vfs: &Arc<dyn Vfs>,
    folder: &Path,
    pager: &Arc<Pager>,
    options: &Options,
) -> Result<(Replay, RecoveryReport)> {
    let began_us = vfs.monotonic_us();
    let mut replay = open_replay(vfs, folder, pager, options)?;
    let scanned_us = vfs.monotonic_us();
    let mut report = RecoveryReport { cut_bytes: replay.cut_bytes(), ..RecoveryReport::default() };
    report.took.log_us = scanned_us.saturating_sub(began_us);
    report.damaged_meta_pages =
        pager.meta_report().damaged().map(|slot| format!("{}: {}", slot.pgno, slot.state)).collect();
    report.needs_checkpoint = !report.damaged_meta_pages.is_empty();
    let from = pager.durable().lsn;
    // A clean close was interrupted between the two generations. What is written from now on comes behind a hole that
    // a replay from the older one could not cross: so it must not stay the older one.
    report.needs_checkpoint |= from > pager.older_durable().lsn && replay.is_left_behind();
    if options.log_tail == LogTail::Strict && from > pager.older_durable().lsn && is_missing(&**vfs, folder)?
    {
        return Err(Error::LogCorruption(format!(
            "{} is missing, though the store was not closed, and with it the last commits: put it back, or open \
             with LogTail::CutAtDamage to go on without them",
            folder.display()
        )));
    }
    if options.log_tail == LogTail::Strict && is_short(&replay, pager) {
        let newest = replay.newest_segment().map_or_else(|| "none".into(), |index| format!("{index:016x}"));
        return Err(Error::LogCorruption(format!(
            "{}: segment {:016x} is missing or has lost its header ({newest} is the newest), though the store was not \
             closed, and with it the last commits: put it back, or open with LogTail::CutAtDamage to go on without them",
            folder.display(),
            pager.log_mark() - 1,
        )));
    }
    if replay.end() > from {
        if options.read_only {
            return Err(Error::ReadOnly(
                "it was not closed and must be recovered first: open it once with the right to write",
            ));
        }
        let replayed = replay_all(&mut replay, pager, options, &mut report);
        replayed?;
        report.took.replay_us = vfs.monotonic_us().saturating_sub(scanned_us);
        log::info!("recovered {} transactions, {} bytes of log", report.replayed_txns, report.replayed_bytes);
    }
    Ok((replay, report))
}

/// Whether the newest segment that the meta pages know of is gone. They know of it before anything in it is
/// acknowledged, and forget it at a clean close, before it is removed.
fn is_short(replay: &Replay, pager: &Pager) -> bool {
    let mark = pager.log_mark();
    mark > 0 && replay.newest_segment().is_none_or(|newest| newest + 1 < mark)
}

/// Whether there is no log. A clean close removes it, after making both generations show the same position.
fn is_missing(vfs: &dyn Vfs, folder: &Path) -> Result<bool> {
    match vfs.list_dir(folder) {
        Ok(names) => Ok(names.is_empty()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Error::io("list the log", error)),
    }
}

/// Applies every record.
fn replay_all(
    replay: &mut Replay,
    pager: &Arc<Pager>,
    options: &Options,
    report: &mut RecoveryReport,
) -> Result<()> {
    let mut applier = Applier::new(pager)?;
    if options.background == Background::Threads {
        applier.look_ahead(pager);
    }
    let last = replay.end();
    while let Some(record) = replay.next_record()? {
        let (end, len) = (record.end(), record.len());
        if planted(Bug::DropTailRecord) && end == last {
            break;
        }
        applier.apply(record, len, end)?;
        report.replayed_txns += 1;
        report.replayed_bytes += len;
    }
    report.replayed_ops = applier.ops;
    applier.finish(pager)
}
