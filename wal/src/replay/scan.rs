//! The validating pass: follows the log once, decides where it ends, and tells a torn tail from damage.

use llmdb_base::{Lsn, StoreId};

use super::{
    debris,
    media::Kept,
    survey::{Access, Headless, Known, Survey, open},
    tracker::Tracker,
    walk::{Batch, Position, Walk},
};
use crate::{
    LogError, LogResult, TailPolicy,
    batch::BATCH_HEADER_LEN,
    folder::{Folder, Name},
    fragment::Fragment,
    segment::SEGMENT_HEADER_LEN,
};

/// A segment that a replay goes through, and where.
#[derive(Debug)]
pub(super) struct Step {
    pub segment: Known,
    /// End of its last whole batch that belongs to the log.
    pub until: Lsn,
    /// Parts of it that were kept in memory.
    pub kept: Kept,
}

/// Memory for log that is read once: the tail that checkpoints leave mostly fits.
const KEPT_BYTES_MAX: u64 = 64 << 20;

/// What the validating pass found.
#[derive(Debug)]
pub(super) struct Scan {
    pub steps: Vec<Step>,
    pub tracker: Tracker,
    /// End of the last batch that belongs to the log; `from` if there is none behind it.
    pub chain_end: Lsn,
    /// End of everything that was written, whole or not.
    pub written_end: Lsn,
    /// Behind every position that a segment found has room for.
    pub room_end: Lsn,
    /// How many of the surveyed segments belong to the log; those behind are cut off.
    pub kept: usize,
    /// Whether there was damage, at which the log ends now.
    pub is_cut: bool,
}

struct Scanner<'a> {
    folder: &'a Folder,
    store: StoreId,
    from: Lsn,
    policy: TailPolicy,
    scan: Scan,
}

/// Whether a scan goes on behind a segment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Whole,
    Damage,
}

/// Goes through the segments of `survey` that a replay from `from` needs.
///
/// # Errors
/// Corruption where there is damage, under [`TailPolicy::Strict`]; I/O errors.
pub(super) fn scan(
    folder: &Folder,
    store: StoreId,
    from: Lsn,
    policy: TailPolicy,
    survey: &Survey,
) -> LogResult<Scan> {
    let room_end = survey.known.iter().map(Known::room_end).fold(from, Lsn::max);
    let scan = Scan {
        steps: Vec::new(),
        tracker: Tracker::new(from),
        chain_end: from,
        written_end: from,
        room_end,
        kept: survey.known.len(),
        is_cut: false,
    };
    let mut scanner = Scanner { folder, store, from, policy, scan };
    scanner.run(survey)?;
    Ok(scanner.scan)
}

impl Scanner<'_> {
    fn run(&mut self, survey: &Survey) -> LogResult<()> {
        let found = match survey.start(self.from) {
            Some(start) => self.segments(survey, start)?,
            None => self.no_start(survey)?,
        };
        for headless in survey.newest_headless() {
            self.headless(headless, found)?;
        }
        Ok(())
    }

    fn no_start(&mut self, survey: &Survey) -> LogResult<Found> {
        let Some(first) = survey.known.first() else { return Ok(Found::Whole) };
        let (begins, needed) = (first.header.previous_end, self.from);
        self.scan.kept = 0;
        self.damage(
            first.header.index,
            0,
            format!("the log begins at {begins}, but is needed from {needed} on"),
        )
    }

    fn segments(&mut self, survey: &Survey, start: usize) -> LogResult<Found> {
        for (index, segment) in survey.known.iter().enumerate().skip(start) {
            let found = match survey.known.get(index + 1) {
                Some(next) => self.old_segment(segment, next.header.previous_end)?,
                None => self.newest_segment(segment)?,
            };
            if found == Found::Damage {
                self.scan.kept = index + 1;
                for cut in &survey.known[index + 1..] {
                    self.scan.written_end = self.scan.written_end.max(cut.room_end());
                }
                return Ok(found);
            }
        }
        Ok(Found::Whole)
    }

    /// A segment with a successor, which says where this one ends.
    fn old_segment(&mut self, segment: &Known, end: Lsn) -> LogResult<Found> {
        let (found, walk) = self.follow(segment, Some(end), Access::Read)?;
        if found == Found::Damage || walk.end() == end {
            return Ok(found);
        }
        let what = format!("no whole batch at {}, but the log goes on until {end}", walk.end());
        self.damage(segment.header.index, walk.end_offset(), what)
    }

    /// The newest segment: the only one that may be torn.
    fn newest_segment(&mut self, segment: &Known) -> LogResult<Found> {
        if segment.room_end() <= self.from {
            // Left over from a log that was being removed.
            return Ok(Found::Whole);
        }
        let (found, walk) = self.follow(segment, None, Access::Sync)?;
        let (end, offset) = (walk.end(), walk.end_offset());
        let debris = debris::search(&mut walk.into_media(), self.store, offset)?;
        self.scan.written_end = self.scan.written_end.max(debris.end);
        if found == Found::Whole && debris.durable > end {
            let what =
                format!("no whole batch at {end}, though everything before {} was durable", debris.durable);
            return self.damage(segment.header.index, offset, what);
        }
        Ok(found)
    }

    /// Walks along whole batches, at most up to `until`.
    fn follow(&mut self, segment: &Known, until: Option<Lsn>, access: Access) -> LogResult<(Found, Walk)> {
        let mut media = open(self.folder, Name::Segment(segment.header.index), access)?;
        if access == Access::Sync {
            media.sync()?;
        }
        let known: u64 = self.scan.steps.iter().map(|step| step.kept.len()).sum();
        let wanted = self.from.get().saturating_sub(segment.header.first_lsn.get());
        media.keep(Kept::up_to(KEPT_BYTES_MAX.saturating_sub(known), wanted));
        let mut walk = Walk::new(media, segment.header, Position::first(segment.header_checksum));
        let step = self.scan.steps.len();
        let mut reached = walk.end();
        let mut found = Found::Whole;
        while until.is_none_or(|until| walk.end() < until) {
            let Some(batch) = walk.advance()? else { break };
            if let Err(what) = self.see_fragments(step, &batch, walk.bytes()) {
                found = self.damage(segment.header.index, batch.at.offset, what.to_owned())?;
                break;
            }
            reached = walk.end();
            self.scan.written_end = self.scan.written_end.max(batch.lsn.plus(batch.used as u64));
        }
        let kept = walk.take_kept();
        self.scan.steps.push(Step { segment: *segment, until: reached, kept });
        self.scan.chain_end = reached;
        Ok((found, walk))
    }

    fn see_fragments(&mut self, step: usize, batch: &Batch, bytes: &[u8]) -> Result<(), &'static str> {
        let mut at = BATCH_HEADER_LEN;
        while let Some(fragment) = Fragment::decode(bytes, at) {
            self.scan.tracker.see(step, batch, at, fragment)?;
            at = fragment.end;
        }
        Ok(())
    }

    /// A file behind the last segment, without a header: it was being made, unless it holds batches.
    fn headless(&mut self, headless: &Headless, found: Found) -> LogResult<()> {
        let mut media = open(self.folder, Name::Segment(headless.index), Access::Read)?;
        let debris = debris::search(&mut media, self.store, SEGMENT_HEADER_LEN)?;
        let Some(first_lsn) = debris.first_lsn.filter(|_| debris.end > self.from) else { return Ok(()) };
        self.scan.room_end = self.scan.room_end.max(first_lsn.plus(media.len()));
        self.scan.written_end = self.scan.written_end.max(debris.end);
        if found == Found::Whole {
            self.damage(headless.index, 0, headless.why.clone())?;
        }
        Ok(())
    }

    fn damage(&mut self, segment: u64, offset: u64, what: String) -> LogResult<Found> {
        self.scan.is_cut = true;
        match self.policy {
            TailPolicy::Strict => Err(LogError::corruption(segment, offset, what)),
            TailPolicy::CutAtDamage => Ok(Found::Damage),
        }
    }
}
