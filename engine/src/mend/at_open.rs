//! Opening a store whose newest state is damaged: by a new allocation map, or by the older checkpoint and the log.

use std::{path::Path, sync::Arc};

use llmdb_pager::{Access, OpenError, Pager, Pick, Visible};
use llmdb_vfs::{Create, Open, Vfs};
use llmdb_wal::Log;

use super::aside::Aside;
use crate::{
    Background, Error, Options, RecoveryReport, Result, StartFrom,
    catalog::Catalog,
    check::walk,
    open::{self, Places, open_error, open_file, pager_options},
    recovery,
};

/// Opens the pages and the log, recovers, and mends what keeps it from that if it can be mended.
pub(crate) fn open(
    vfs: &Arc<dyn Vfs>,
    places: &Places,
    options: &Options,
) -> Result<(Arc<Pager>, Log, RecoveryReport)> {
    let access = if options.read_only { Access::ReadOnly } else { Access::ReadWrite };
    let error = match attempt(vfs, places, options, access) {
        Err(error) if may_mend(&error, options) => error,
        opened => return opened,
    };
    let what = format!("{}: {error}", places.data.display());
    log::warn!("{what}; trying to mend it");
    if let Ok(opened) = with_new_map(vfs, places, options) {
        return Ok(opened);
    }
    if options.start_from == StartFrom::Newest {
        match from_older(vfs, places, options, &error) {
            Ok(opened) => return Ok(opened),
            Err(why) => log::warn!("{what}; the older checkpoint cannot take its place: {why}"),
        }
    }
    Err(error)
}

/// Whether a store that could not be opened for this reason may be mended.
pub(crate) fn may_mend(error: &Error, options: &Options) -> bool {
    !options.read_only && is_damage(error)
}

/// Mends a store that nobody has open, and closes it again. Says what was done.
pub(crate) fn mend_and_close(vfs: &Arc<dyn Vfs>, places: &Places, options: &Options) -> Result<Vec<String>> {
    let (pager, log, report) = open(vfs, places, options)?;
    let options = Options { background: Background::Manual, ..options.clone() };
    let data = places.data.clone();
    let shared = open::shared(Arc::clone(vfs), data, pager, Some(log), options, None, report.replayed_bytes);
    shared.close_cleanly()?;
    Ok(report.mended)
}

fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Corruption(_) | Error::Unopenable(_) | Error::BadRecord(_))
}

fn attempt(
    vfs: &Arc<dyn Vfs>,
    places: &Places,
    options: &Options,
    access: Access,
) -> Result<(Arc<Pager>, Log, RecoveryReport)> {
    let began_us = vfs.monotonic_us();
    let opened = open_pager_as(vfs, &places.data, options, access)?;
    let pager = opened.map_err(|error| open_error(error, &places.data))?;
    let pages_us = vfs.monotonic_us().saturating_sub(began_us);
    let (log, mut report) = recovery::recover(vfs, &places.log, &pager, options)?;
    report.took.pages_us = pages_us;
    if let Some(damage) = pager.map_damage().filter(|_| access == Access::ReadWrite) {
        report.mended.push(format!("the allocation map of the older checkpoint was damaged ({damage})"));
        report.needs_checkpoint = true;
    }
    Ok((pager, log, report))
}

/// Opens a store of which the allocation map alone is damaged.
fn with_new_map(
    vfs: &Arc<dyn Vfs>,
    places: &Places,
    options: &Options,
) -> Result<(Arc<Pager>, Log, RecoveryReport)> {
    let opened = open_pager_as(vfs, &places.data, options, Access::Rebuild)?;
    let pager = opened.map_err(|error| open_error(error, &places.data))?;
    let damage = pager.map_damage().map(ToString::to_string).unwrap_or_default();
    rebuild_map(&pager)?;
    let (log, mut report) = recovery::recover(vfs, &places.log, &pager, options)?;
    let what = format!("the allocation map was damaged ({damage}), and was made again by walking the trees");
    log::warn!("{}: {what}", places.data.display());
    report.mended.push(what);
    report.needs_checkpoint = true;
    Ok((pager, log, report))
}

/// Gives a pager opened with [`Access::Rebuild`] the map that its trees ask for.
pub(super) fn rebuild_map(pager: &Arc<Pager>) -> Result<()> {
    let guard = pager.begin_read(Visible::Published);
    let catalog = Catalog::decode(&guard.root().roots)?;
    let (found, used) = walk(&guard, &catalog, None, &mut |_| true)?;
    if let Some(problem) = found.problems.first() {
        return Err(Error::Unopenable(format!("the allocation map cannot be made again: {}", problem.what)));
    }
    Ok(pager.rebuild_map(used)?)
}

/// Opens a store from its older checkpoint, once it is sure that nothing is lost by it: this gives the newest one up.
fn from_older(
    vfs: &Arc<dyn Vfs>,
    places: &Places,
    options: &Options,
    error: &Error,
) -> Result<(Arc<Pager>, Log, RecoveryReport)> {
    Aside::open(vfs, &places.data, options)?.must_be_whole()?;
    let older = Options { start_from: StartFrom::Older, ..options.clone() };
    let (pager, log, mut report) = match attempt(vfs, places, &older, Access::ReadWrite) {
        Err(error) if is_damage(&error) => with_new_map(vfs, places, &older)?,
        opened => opened?,
    };
    let what = format!(
        "the newest checkpoint was damaged ({error}); its state was made again from the older one and the log"
    );
    log::warn!("{}: {what}", places.data.display());
    report.mended.push(what);
    report.needs_checkpoint = true;
    Ok((pager, log, report))
}

/// Opens the pager of an existing data file. The outer error is about the file, the inner one about what is in it.
pub(super) fn open_pager_as(
    vfs: &Arc<dyn Vfs>,
    path: &Path,
    options: &Options,
    access: Access,
) -> Result<std::result::Result<Arc<Pager>, OpenError>> {
    let write = access != Access::ReadOnly;
    let file = open_file(&**vfs, path, Open { write, create: Create::Never, direct: write })?;
    let pick = match options.start_from {
        StartFrom::Newest => Pick::Newest,
        StartFrom::Older => Pick::Older,
    };
    Ok(Pager::open(&**vfs, file, pager_options(options), access, pick))
}
