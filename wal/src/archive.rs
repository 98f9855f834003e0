//! An archive: copies of segments in another folder, named by what they hold, so that a gap can be seen.
//!
//! A copy is the segment byte for byte, without what lies behind its end. Its own checksums cover every byte.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use llmdb_base::{Lsn, StoreId};
use llmdb_vfs::{AlignedBuf, BLOCK_SIZE, Create, File, Open, Vfs, write_all_at};

use crate::{
    LogError, LogResult, SegmentInfo,
    replay::{
        parts::{self, Part},
        verify_part,
    },
    segment::{SEGMENT_HEADER_LEN, SegmentHeader},
};

/// Bytes copied at a time.
const COPY_BYTES: u64 = 1 << 20;

/// A folder of archived segments of one store.
#[derive(Debug)]
pub struct Archive {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    store: StoreId,
    end: Option<Lsn>,
}

impl Archive {
    /// The archive in the folder `dir`, which is made if it is missing.
    ///
    /// # Errors
    /// Corruption if a part is not what its name says, or belongs to another store; I/O errors.
    pub fn open(vfs: Arc<dyn Vfs>, dir: &Path, store: StoreId) -> LogResult<Self> {
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        vfs.create_dir(dir)
            .and_then(|()| vfs.sync_dir(parent))
            .map_err(|error| refusal("make the folder for", error))?;
        let end = parts::archived(&*vfs, dir, store)?.last().and_then(|part| part.end);
        Ok(Self { vfs, dir: dir.to_owned(), store, end })
    }

    /// How far the archive reaches; `None` if it is empty.
    pub fn end(&self) -> Option<Lsn> {
        self.end
    }

    /// Copies `segment`, which has ended, if the archive does not have it yet. It appears under its name once it is
    /// whole, verified and durable. Says whether there is a gap between what the archive had and this segment.
    ///
    /// # Errors
    /// - Corruption if the segment is damaged, or begins before the archive ends without being part of it: the store
    ///   went on from an earlier position than the archive knows, and needs an archive of its own.
    /// - I/O errors, `NoSpace`: the archive is as it was.
    pub fn add(&mut self, segment: &SegmentInfo) -> LogResult<Added> {
        let Some(end) = segment.end else {
            return Err(LogError::Misuse("a segment in use cannot be archived"));
        };
        if self.end.is_some_and(|known| known >= end) {
            return Ok(Added::Known);
        }
        let source = parts::open(&*self.vfs, &segment.path)?;
        let part = self.part(segment, &*source, end)?;
        if let Some(known) = self.end.filter(|known| *known > part.from()) {
            let what = format!(
                "it begins at {}, and {} reaches to {known}: the store has gone on from an earlier position, and \
                 needs an archive of its own",
                part.from(),
                self.dir.display()
            );
            return Err(LogError::corruption(segment.index, 0, what));
        }
        let gap = self.end.is_some_and(|known| known < part.from());
        self.write(&part, |draft| copy(&*source, draft, part.offset_of(end)))?;
        Ok(if gap { Added::BehindGap } else { Added::Next })
    }

    /// Notes that the log has no records between the end of the archive and `to`: it was opened and closed without
    /// a record, and goes on there.
    ///
    /// # Errors
    /// I/O errors, `NoSpace`.
    pub fn skip(&mut self, index: u64, to: Lsn) -> LogResult<()> {
        let Some(from) = self.end.filter(|end| *end < to) else { return Ok(()) };
        let header = SegmentHeader { store: self.store, index, first_lsn: to, previous_end: from };
        let (unit, header_checksum) = header.encode();
        let part = Part { path: PathBuf::new(), header, header_checksum, end: Some(to) };
        self.write(&part, |draft| write_all_at(draft, &unit, 0).map_err(|error| refusal("write", error)))
    }

    fn part(&self, segment: &SegmentInfo, file: &dyn File, end: Lsn) -> LogResult<Part> {
        let mut unit = AlignedBuf::new(BLOCK_SIZE);
        file.read_media_at(&mut unit, 0).map_err(LogError::during("read the header of a log segment"))?;
        let (header, header_checksum) = SegmentHeader::decode(&unit, self.store, segment.index)
            .map_err(|fault| LogError::corruption(segment.index, 0, fault.to_string()))?;
        Ok(Part { path: segment.path.clone(), header, header_checksum, end: Some(end) })
    }

    fn write(&mut self, part: &Part, fill: impl FnOnce(&dyn File) -> LogResult<()>) -> LogResult<()> {
        let end = part.end.unwrap_or(part.header.first_lsn);
        let path = self.dir.join(parts::archive_name(part.from(), end));
        let draft = path.with_extension("log-new");
        let written = self.write_draft(part, &draft, fill).and_then(|()| {
            self.vfs.rename(&draft, &path).map_err(|error| refusal("rename", error))?;
            self.vfs.sync_dir(&self.dir).map_err(|error| refusal("sync the folder of the archive", error))
        });
        if written.is_err() {
            // A draft is nothing to anybody; if it cannot be removed, the next attempt overwrites it.
            let _ = self.vfs.remove_file(&draft);
        } else {
            self.end = Some(end);
        }
        written
    }

    fn write_draft(
        &self,
        part: &Part,
        draft: &Path,
        fill: impl FnOnce(&dyn File) -> LogResult<()>,
    ) -> LogResult<()> {
        let how = Open { write: true, create: Create::IfMissing, direct: true };
        let file = self.vfs.open(draft, how).map_err(|error| refusal("open", error))?;
        file.set_len(0).map_err(|error| refusal("empty", error))?;
        fill(&*file)?;
        file.sync_data().map_err(|error| refusal("sync", error))?;
        // What has been copied is what counts from now on: it is read back before the original can go.
        verify_part(&*self.vfs, &Part { path: draft.to_owned(), ..part.clone() })
    }
}

/// What an archive holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ArchiveSpan {
    /// Where its log begins.
    pub from: Lsn,
    /// Where it ends.
    pub end: Lsn,
    /// Number of files.
    pub part_count: u64,
}

impl ArchiveSpan {
    /// Reads every part of the archive in the folder `dir`. `None` if there is none.
    ///
    /// # Errors
    /// Corruption if a part is damaged, or belongs to another store; [`LogError::Gap`] if something is missing between
    /// two; I/O errors.
    pub fn verify(vfs: &dyn Vfs, dir: &Path, store: StoreId) -> LogResult<Option<Self>> {
        let mut span: Option<Self> = None;
        for part in parts::archived(vfs, dir, store)? {
            verify_part(vfs, &part)?;
            let end = part.end.unwrap_or(part.header.first_lsn);
            if let Some(before) = span.filter(|before| before.end != part.from()) {
                return Err(LogError::Gap { wanted: before.end, oldest: Some(part.from()) });
            }
            let (from, part_count) = span.map_or((part.from(), 0), |span| (span.from, span.part_count));
            span = Some(Self { from, end, part_count: part_count + 1 });
        }
        Ok(span)
    }
}

/// What became of a segment that was to be archived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Added {
    /// It was there already.
    Known,
    /// It follows what was there.
    Next,
    /// It is there now, but something is missing before it.
    BehindGap,
}

fn copy(from: &dyn File, to: &dyn File, len: u64) -> LogResult<()> {
    let len = len.next_multiple_of(SEGMENT_HEADER_LEN);
    let mut offset = 0;
    while offset < len {
        let count = usize::try_from(COPY_BYTES.min(len - offset)).expect("a piece is small");
        let mut piece = AlignedBuf::new(count);
        from.read_media_at(&mut piece, offset).map_err(LogError::during("read a log segment"))?;
        write_all_at(to, &piece, offset).map_err(|error| refusal("write", error))?;
        offset += count as u64;
    }
    Ok(())
}

/// A failed call in the folder of the archive.
fn refusal(what: &str, error: std::io::Error) -> LogError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            LogError::NoSpace { needed_bytes: BLOCK_SIZE as u64 }
        }
        _ => LogError::io(format!("{what} a part of the archive"), error),
    }
}
