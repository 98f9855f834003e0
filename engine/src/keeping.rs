//! Which log is kept beyond what recovery needs, for whom, and how much of it at most.
//!
//! ```text
//!   segments   [ 4 ][ 5 ][ 6 ][ 7 ][ 8 ]
//!                              ^ recovery needs the log from here on
//!                    ^ the slowest reader of the feed is here: kept, as long as the limits allow
//!              ^ not archived yet: kept, as long as the backlog allows
//! ```

use std::{collections::VecDeque, path::Path, sync::atomic::Ordering};

use llmdb_base::{
    Lsn, StoreId, Timestamp,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64},
        lock,
    },
};
use llmdb_pager::Visible;
use llmdb_vfs::{OsVfs, Vfs};
use llmdb_wal::{Added, Archive, ArchiveSpan, Log, LogError, SegmentInfo};

use crate::{Commit, Engine, Error, LogTail, Result, engine::Shared, feed};

/// What the store knows about who needs its log.
#[derive(Debug, Default)]
pub(crate) struct Keeping {
    /// `None` until it was opened; it may be out of reach.
    archive: Mutex<Option<Archive>>,
    archive_failed: AtomicBool,
    pub archived_lsn: AtomicU64,
    pub archive_failures: AtomicU64,
    pub archive_gaps: AtomicU64,
    /// When the log was how long, at the latest checkpoints.
    samples: Mutex<VecDeque<(Lsn, Timestamp)>>,
}

/// How far an archive has come, see [`Engine::archive_now`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ArchiveReport {
    /// The last commit in the archive.
    pub commit: Commit,
    /// The archive holds the log up to here.
    pub archived_lsn: Lsn,
}

impl Engine {
    /// Brings the archive up to the last commit, ending the segment of the log that is in use. Writers wait for the
    /// moment in which it ends.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the store has no archive, see [`crate::Options::archive`]; [`Error::Io`],
    /// [`Error::NoSpace`], [`Error::LogCorruption`] if the archive refuses: the log is kept, and tried again.
    pub fn archive_now(&self) -> Result<ArchiveReport> {
        let shared = &self.shared;
        shared.check_writable()?;
        let Some(log) = shared.log.as_ref().filter(|_| shared.options.archive.is_some()) else {
            return Err(Error::Misuse("the store was opened without an archive".into()));
        };
        let one = shared.checkpointing.enter();
        let tip = {
            let _permit = shared.gate.enter();
            shared.take_turn(shared.options.lock_timeout_us)?;
            shared.sync_to(shared.pager.tip().lsn)?;
            log.finish_segment()?;
            shared.pager.tip()
        };
        let archived = shared.archive_ended(log);
        drop(one);
        shared.hand_over_by_hand();
        archived?;
        let archived_lsn = Lsn::new(shared.keeping.archived_lsn.load(Ordering::Acquire));
        Ok(ArchiveReport { commit: Commit::of(&tip), archived_lsn })
    }
}

impl Engine {
    /// Reads all of the archive in the folder `archive`, and says what it holds.
    ///
    /// # Errors
    /// [`Error::LogCorruption`] if a part is damaged or belongs to another store; [`Error::OutOfReach`] if there is a
    /// gap; [`Error::Missing`] if there is no archive; [`Error::Io`].
    pub fn verify_archive(archive: impl AsRef<Path>, store: StoreId) -> Result<ArchiveSpan> {
        Self::verify_archive_on(&OsVfs::new(), archive.as_ref(), store)
    }

    /// As [`Engine::verify_archive`], on a disk of the caller's.
    ///
    /// # Errors
    /// As [`Engine::verify_archive`].
    pub fn verify_archive_on(vfs: &dyn Vfs, archive: &Path, store: StoreId) -> Result<ArchiveSpan> {
        match ArchiveSpan::verify(vfs, archive, store) {
            Err(gap @ LogError::Gap { .. }) => {
                Err(Error::OutOfReach(format!("{} has a gap: {gap}", archive.display())))
            }
            found => found?.ok_or_else(|| Error::Missing(archive.to_owned())),
        }
    }
}

impl Shared {
    /// Gives up the log before `before`, which recovery does not need any more, but for what others need.
    pub(crate) fn give_up_log(&self, log: &Log, before: Lsn) -> Result<()> {
        let before = self.wanted_by_feed(log, before)?.min(before);
        let before = self.wanted_by_archive(log).map_or(before, |wanted| before.min(wanted));
        Ok(log.retire(before)?)
    }

    /// Whether a clean close leaves the log where it is. A log that was cut at damage is not what readers expect.
    pub(crate) fn log_outlives_close(&self, log: &Log) -> Result<bool> {
        if self.options.log_tail != LogTail::Strict {
            return Ok(false);
        }
        let consumers = feed::stored(&self.pager.try_begin_read(Visible::Published)?)?;
        let is_unarchived =
            |wanted: Lsn| log.segments().iter().any(|segment| segment.end.is_none_or(|end| end > wanted));
        Ok(!consumers.is_empty() || self.wanted_by_archive(log).is_some_and(is_unarchived))
    }

    /// After a clean close has removed the log: it goes on behind `end`, and no record lies between.
    pub(crate) fn note_skip(&self, log: &Log, end: Lsn) {
        let mut archive = lock(&self.keeping.archive);
        if let Some(archive) = archive.as_mut().filter(|archive| archive.end() == Some(log.chain_end()))
            && let Err(error) = archive.skip(0, end)
        {
            log::warn!("the archive of {} will show a gap: {error}", self.path.display());
        }
    }

    /// From where on readers of the feed want the log, within the limits; `before` if none wants it.
    fn wanted_by_feed(&self, log: &Log, before: Lsn) -> Result<Lsn> {
        let positions = match feed::stored(&self.pager.try_begin_read(Visible::Published)?) {
            Ok(consumers) => consumers.into_iter().map(|(_, (position, _))| position.lsn).min(),
            Err(error) => {
                log::warn!("{}: {error}; the log is not kept for consumers", self.path.display());
                None
            }
        };
        let too_old = self.note_age(log.appended(), self.vfs.now());
        let Some(wanted) = positions.into_iter().chain(self.pins.oldest()).min() else { return Ok(before) };
        let limit = too_many(&log.segments(), self.options.feed_log_bytes).max(too_old);
        if wanted < limit.min(before) {
            log::warn!(
                "{}: the log before {limit} is given up though it is wanted from {wanted} on: a reader of changes has \
                 fallen behind",
                self.path.display()
            );
        }
        Ok(wanted.max(limit))
    }

    /// Notes how long the log is now, and returns the position before which it is older than the limit.
    fn note_age(&self, end: Lsn, now: Timestamp) -> Lsn {
        const SAMPLES_MAX: usize = 4096;
        let mut samples = lock(&self.keeping.samples);
        let oldest = now.get().saturating_sub_unsigned(self.options.feed_log_us);
        let mut too_old = Lsn::new(0);
        while let Some((lsn, _)) = samples.pop_front_if(|(_, at)| at.get() < oldest) {
            too_old = lsn;
        }
        // A sample that is left out only makes the log stay a little longer.
        if samples.len() < SAMPLES_MAX {
            samples.push_back((end, now));
        }
        too_old
    }

    /// From where on the log is not archived, within the limit of the backlog; `None` if there is no archive.
    fn wanted_by_archive(&self, log: &Log) -> Option<Lsn> {
        self.options.archive.as_ref()?;
        if let Err(error) = self.archive_ended(log) {
            log::warn!("archiving the log of {}: {error}; the log is kept for now", self.path.display());
        }
        let archived = Lsn::new(self.keeping.archived_lsn.load(Ordering::Acquire));
        let limit = too_many(&log.segments(), self.options.archive_backlog_bytes);
        if limit > archived {
            self.keeping.archive_gaps.fetch_add(1, Ordering::Relaxed);
            log::error!(
                "{}: the log before {limit} is given up, though the archive has it up to {archived} only: nothing between \
                 can be restored but by a backup",
                self.path.display()
            );
        }
        Some(archived.max(limit))
    }

    /// Copies every segment that has ended to the archive.
    pub(crate) fn archive_ended(&self, log: &Log) -> Result<()> {
        let Some(folder) = &self.options.archive else { return Ok(()) };
        let mut slot = lock(&self.keeping.archive);
        let copied = (|| {
            let archive = match &mut *slot {
                Some(archive) => archive,
                none => none.insert(Archive::open(self.vfs.clone(), folder, self.pager.store_id())?),
            };
            for segment in log.segments().iter().filter(|segment| segment.end.is_some()) {
                if archive.add(segment)? == Added::BehindGap {
                    self.keeping.archive_gaps.fetch_add(1, Ordering::Relaxed);
                    log::warn!("the archive of {} has a gap before {:?}", self.path.display(), segment.path);
                }
                let end = segment.end.unwrap_or_default();
                self.keeping.archived_lsn.fetch_max(end.get(), Ordering::AcqRel);
            }
            Ok::<(), Error>(())
        })();
        self.keeping.archive_failed.store(copied.is_err(), Ordering::Release);
        if copied.is_err() {
            self.keeping.archive_failures.fetch_add(1, Ordering::Relaxed);
            // It may have become another one: it is looked at anew.
            *slot = None;
        }
        copied
    }
}

impl Keeping {
    /// Whether the last attempt to archive failed.
    pub(crate) fn archive_failed(&self) -> bool {
        self.archive_failed.load(Ordering::Acquire)
    }
}

/// Position before which segments must go so that no more than `bytes_max` are left.
fn too_many(segments: &[SegmentInfo], bytes_max: u64) -> Lsn {
    let mut bytes = 0_u64;
    for segment in segments.iter().rev() {
        bytes = bytes.saturating_add(segment.file_bytes);
        if bytes > bytes_max
            && let Some(end) = segment.end
        {
            return end;
        }
    }
    Lsn::new(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_segments_that_fit_are_kept() {
        let segment = |index: u64, end| SegmentInfo { index, path: "x".into(), end, file_bytes: 100 };
        let segments = [segment(1, Some(Lsn::new(10))), segment(2, Some(Lsn::new(20))), segment(3, None)];
        assert_eq!(too_many(&segments, 300), Lsn::new(0));
        assert_eq!(too_many(&segments, 299), Lsn::new(10));
        assert_eq!(too_many(&segments, 100), Lsn::new(20));
        assert_eq!(too_many(&segments, 0), Lsn::new(20), "the one in use stays");
    }
}
