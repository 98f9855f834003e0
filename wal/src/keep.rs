//! What somebody who wants to keep the log must know of it: which segments there are, and where they end.

use std::path::PathBuf;

use llmdb_base::{Lsn, sync::lock};
use llmdb_vfs::{AlignedBuf, BLOCK_SIZE, Create};

use crate::{
    Log, LogError, LogResult,
    folder::{Name, SpareFile},
    segment::lsn_at,
};

/// Zeros written at once.
const WIPE_BYTES: usize = 1 << 20;

/// A segment of a log in use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentInfo {
    /// Its number.
    pub index: u64,
    /// Its file.
    pub path: PathBuf,
    /// Where it ends; `None` for the one in use.
    pub end: Option<Lsn>,
    /// Length of the file in bytes.
    pub file_bytes: u64,
}

impl Log {
    /// The segments, from the oldest to the newest, without spares.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let info = |segment: &crate::folder::LiveSegment| SegmentInfo {
            index: segment.index,
            path: self.folder.path_of(Name::Segment(segment.index)),
            end: segment.end,
            file_bytes: segment.file_bytes,
        };
        let mut segments: Vec<SegmentInfo> = lock(&self.files).live.iter().map(info).collect();
        // One that `finish_segment` has ended stays in use until the next record, and so in the books.
        let tail = lock(&self.tail);
        if let (Some(newest), Some(segment)) = (segments.last_mut(), &tail.segment)
            && newest.index == segment.index
            && segment.next >= segment.end
        {
            newest.end = Some(lsn_at(segment.first_lsn, segment.next));
        }
        segments
    }

    /// End of the last batch: where the newest segment ends, or ended when the log was opened.
    pub fn chain_end(&self) -> Lsn {
        match &lock(&self.tail).segment {
            Some(segment) => lsn_at(segment.first_lsn, segment.next),
            None => lock(&self.start).previous_end.max(self.appended()),
        }
    }

    /// Ends the segment in use, so that it can be copied: the next record begins another. Nothing happens if there
    /// is none. Called while no record is being appended.
    ///
    /// # Errors
    /// As [`Log::sync_to`]; [`LogError::Misuse`] if a record is open.
    pub fn finish_segment(&self) -> LogResult<()> {
        self.sync_to(self.appended())?;
        if lock(&self.tail).segment.is_none() {
            return Ok(());
        }
        self.drain()?;
        let mut tail = lock(&self.tail);
        if tail.is_busy() {
            return Err(LogError::Misuse("a segment cannot end inside a record"));
        }
        tail.drop_empty_batch();
        if let Some(segment) = &mut tail.segment {
            segment.end = segment.next;
        }
        Ok(())
    }

    /// As [`Log::retire`], but of what is given up, now or before, no byte is left in any file: it is overwritten with
    /// zeros. Returns how many bytes that were.
    ///
    /// # Errors
    /// As [`Log::retire`]; it can be tried again.
    pub fn wipe(&self, before: Lsn) -> LogResult<u64> {
        self.check_usable()?;
        let mut files = lock(&self.files);
        // The newest one stays, as in `retire`.
        while files.live.len() > 1
            && let Some(segment) = files.oldest_ending_by(before)
        {
            let (index, file_bytes) = (segment.index, segment.file_bytes);
            self.folder.rename(Name::Segment(index), Name::Spare(index))?;
            files.spares.push(SpareFile { index, file_bytes });
            files.live.pop_front();
        }
        let mut wiped = 0;
        for spare in &files.spares {
            wiped += self.wipe_file(Name::Spare(spare.index))?;
        }
        while files.spares.len() > self.options.spare_segments_max
            && let Some(spare) = files.spares.pop()
        {
            self.folder.remove(Name::Spare(spare.index))?;
        }
        self.folder.sync().map_err(|error| self.poison(error))?;
        Ok(wiped)
    }

    fn wipe_file(&self, name: Name) -> LogResult<u64> {
        let file = self.folder.open(name, Create::Never, true)?;
        let len = file.len().map_err(LogError::during("ask for the length of a log segment"))?;
        let zeros = AlignedBuf::new(WIPE_BYTES);
        let mut offset = 0;
        while offset < len {
            let left = (len - offset).next_multiple_of(BLOCK_SIZE as u64);
            let piece = AlignedBuf::new(zeros.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
            let whole = if piece.len() == zeros.len() { &zeros } else { &piece };
            file.write_durable_at(whole, offset).map_err(LogError::during("write zeros over old log"))?;
            offset += whole.len() as u64;
        }
        Ok(len)
    }

    /// Ends the use of the log, and leaves its files: for a clean close when somebody still wants to read them.
    ///
    /// # Errors
    /// [`LogError::Io`] if a write failed; [`LogError::Poisoned`].
    pub fn leave(&self) -> LogResult<()> {
        self.check_usable()?;
        let mut flight = lock(&self.flight);
        while !flight.is_empty() {
            self.reap(&mut flight)?;
        }
        drop(flight);
        self.queue.fail("it was left when the store was closed".into());
        Ok(())
    }
}
