//! What somebody who wants to keep the log must know of it: which segments there are, and where they end.

use std::path::PathBuf;

use llmdb_base::{Lsn, sync::lock};

use crate::{Log, LogError, LogResult, folder::Name, segment::lsn_at};

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
