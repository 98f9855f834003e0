//! Reading a log back: one pass that validates and finds the end, then the records as a stream.

mod debris;
mod media;
pub(crate) mod parts;
mod reader;
mod scan;
mod stream;
mod survey;
mod tracker;
mod walk;

use std::{path::Path, sync::Arc};

use llmdb_base::{Lsn, StoreId};
use llmdb_vfs::{BLOCK_SIZE, Vfs};

pub(crate) use self::reader::verify_part;
pub use self::{
    reader::{LogFolders, LogReader, LogRecord, LogRecordReader},
    stream::RecordReader,
};
use self::{scan::Scan, stream::Stream, survey::Survey};
use crate::{
    Log, LogError, LogOptions, LogResult, TailPolicy,
    folder::{Files, Folder, LiveSegment, Name},
    options::UNWRITTEN_BYTES_MAX,
    room::Start,
    segment::LSN_MAX,
};

/// The whole records of a log behind some position.
///
/// Memory: a window of 2 MiB, or one batch if that is longer; up to 64 MiB of log, so that it is read once; and some
/// bytes for every record that is longer than a batch.
#[derive(Debug)]
pub struct Replay {
    folder: Folder,
    store: StoreId,
    options: LogOptions,
    from: Lsn,
    survey: Survey,
    /// What the pass found; its parts that only streaming needs have moved there.
    kept: usize,
    chain_end: Lsn,
    room_end: Lsn,
    end: Lsn,
    cut_bytes: u64,
    is_cut: bool,
    record_count: u64,
    stream: Stream,
}

impl Replay {
    /// Validates the log in the folder `dir` from LSN `from` on, the end of a record that is not needed any
    /// more. No folder is an empty log. What is found whole is durable when this returns: also what an
    /// earlier process left in the page cache.
    ///
    /// Cost: one read of the segments from the one on that holds `from`, and of the newest to the end of its file.
    ///
    /// # Errors
    /// - [`LogError::Corruption`] if there is damage and `tail` is [`TailPolicy::Strict`]; if a segment
    ///   belongs to another store or to a newer version.
    /// - [`LogError::Io`]; [`LogError::Misuse`] if `from` lies beyond 2^59.
    pub fn open(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        store: StoreId,
        from: Lsn,
        options: LogOptions,
        tail: TailPolicy,
    ) -> LogResult<Self> {
        if from >= LSN_MAX {
            return Err(LogError::Misuse("no log reaches beyond LSN 2^59"));
        }
        let folder = Folder::new(vfs, dir);
        let survey = Survey::of(&folder, store)?;
        let Scan { steps, tracker, chain_end, written_end, room_end, kept, is_cut } =
            scan::scan(&folder, store, from, tail, &survey)?;
        let end = tracker.end;
        let stream = Stream::new(folder.clone(), steps, tracker.long_records, from, end, tracker.begin);
        Ok(Self {
            folder,
            store,
            options,
            from,
            survey,
            kept,
            chain_end,
            room_end,
            end,
            cut_bytes: written_end.get().saturating_sub(end.get()),
            is_cut,
            record_count: tracker.record_count,
            stream,
        })
    }

    /// End of the last whole record; `from` if there is none behind it.
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// Index of the newest segment that is there. `None` if there is none.
    pub fn newest_segment(&self) -> Option<u64> {
        self.survey.known.last().map(|segment| segment.header.index)
    }

    /// How far the log had been written behind [`Replay::end`], in bytes: parts of a record that was never
    /// finished, a torn tail, or what lies behind damage that was to be cut. An upper bound in the last case.
    pub fn cut_bytes(&self) -> u64 {
        self.cut_bytes
    }

    /// Whether the log was cut at damage, as [`TailPolicy::CutAtDamage`] asks for. Until a new segment follows
    /// ([`Log::begin_anew`]), the next replay meets the same damage.
    pub fn is_cut_at_damage(&self) -> bool {
        self.is_cut
    }

    /// Whether every segment ends at or before `from`: the position is one that an earlier opening gave away and
    /// wrote nothing behind. The next segment will begin behind a hole, over which nobody may replay.
    pub fn is_left_behind(&self) -> bool {
        let known = &self.survey.known;
        !known.is_empty() && known.iter().all(|segment| segment.room_end() <= self.from)
    }

    /// Whole records behind `from`.
    pub fn record_count(&self) -> u64 {
        self.record_count
    }

    /// The next record, `None` behind the last one.
    ///
    /// # Errors [`LogError::Io`]; [`LogError::Corruption`] if bytes are damaged that were whole when the log
    /// was opened.
    pub fn next_record(&mut self) -> LogResult<Option<RecordReader<'_>>> {
        self.stream.next_record()
    }

    /// Takes the log into use, records read or not. New records go to a new segment, behind everything that
    /// can have been written; files that do not belong to the log any more are removed.
    ///
    /// # Errors
    /// [`LogError::Io`]; [`LogError::Misuse`] if the log has reached LSN 2^59.
    pub fn into_log(self) -> LogResult<Log> {
        self.remove_cut_files()?;
        let unit = BLOCK_SIZE as u64;
        let previous_end = self.chain_end.max(self.end);
        let is_new = self.survey.next_index == 0;
        let jump = if is_new { 0 } else { UNWRITTEN_BYTES_MAX };
        let first_lsn = Lsn::new((self.room_end.max(previous_end).get() + jump).next_multiple_of(unit));
        if first_lsn >= LSN_MAX {
            return Err(LogError::Misuse("the log has reached LSN 2^59"));
        }
        let start = Start { first_lsn, previous_end };
        let end = self.end;
        let (folder, store, options) = (self.folder.clone(), self.store, self.options);
        let files = self.into_files(previous_end);
        Ok(Log::resume(folder, store, start, end, files, options))
    }

    /// Removes the newest first, each durably: whatever a crash leaves is the beginning of what was there, so that
    /// no later segment ever looks like the rest of a log whose beginning is lost. Their absence must also be
    /// durable before a new segment says where the log ended.
    fn remove_cut_files(&self) -> LogResult<()> {
        let cut = self.survey.known[self.kept..].iter().map(|segment| segment.header.index);
        let headless = self.survey.headless.iter().map(|file| file.index);
        let mut unusable: Vec<u64> = cut.chain(headless).collect();
        unusable.sort_unstable_by_key(|index| std::cmp::Reverse(*index));
        for index in unusable {
            self.folder.remove(Name::Segment(index))?;
            self.folder.sync()?;
        }
        Ok(())
    }

    fn into_files(self, end: Lsn) -> Files {
        let known = &self.survey.known[..self.kept];
        let ends = known.iter().skip(1).map(|next| next.header.previous_end).chain([end]);
        let live = known.iter().zip(ends).map(|(segment, end)| LiveSegment {
            index: segment.header.index,
            end: Some(end),
            file_bytes: segment.file_bytes,
        });
        Files {
            live: live.collect(),
            next_index: self.survey.next_index,
            next_bytes: known.last().map_or(0, |segment| segment.file_bytes.saturating_mul(2)),
            folder_is_durable: false,
            spares: self.survey.spares,
        }
    }
}
