//! Which segments there are, and which of them a replay goes through.

use llmdb_base::{Lsn, StoreId};
use llmdb_vfs::{BLOCK_SIZE, Create};

use super::media::Media;
use crate::{
    LogError, LogResult,
    folder::{Folder, Name, SpareFile},
    segment::{HeaderFault, SEGMENT_HEADER_LEN, SegmentHeader, lsn_at},
};

/// A segment whose header is valid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub header: SegmentHeader,
    pub header_checksum: u32,
    pub file_bytes: u64,
}

impl Known {
    /// No batch of this segment can end behind this.
    pub(super) fn room_end(&self) -> Lsn {
        lsn_at(self.header.first_lsn, self.file_bytes.max(SEGMENT_HEADER_LEN))
    }
}

/// A file with the name of a segment, but without its header.
#[derive(Clone, Debug)]
pub(super) struct Headless {
    pub index: u64,
    pub why: String,
}

/// What the folder holds; everything in the order of the indexes.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub known: Vec<Known>,
    pub headless: Vec<Headless>,
    pub spares: Vec<SpareFile>,
    /// Above every index in the folder.
    pub next_index: u64,
}

impl Survey {
    /// Reads the header of every file.
    ///
    /// # Errors
    /// Corruption if a segment belongs to another store or was written by a newer version; I/O errors.
    pub(super) fn of(folder: &Folder, store: StoreId) -> LogResult<Self> {
        let mut survey = Self::default();
        let mut names = folder.list()?;
        names.sort_by_key(|name| match name {
            Name::Segment(index) | Name::Spare(index) => *index,
        });
        for name in names {
            let (Name::Segment(index) | Name::Spare(index)) = name;
            survey.next_index = survey.next_index.max(index + 1);
            let mut media = open(folder, name, Access::Read)?;
            match name {
                Name::Spare(index) => survey.spares.push(SpareFile { index, file_bytes: media.len() }),
                Name::Segment(index) => survey.add(index, store, &mut media)?,
            }
        }
        Ok(survey)
    }

    fn add(&mut self, index: u64, store: StoreId, media: &mut Media) -> LogResult<()> {
        let file_bytes = media.len();
        let unit = media.first_unit()?;
        match SegmentHeader::decode(unit.as_deref().unwrap_or(&[]), store, index) {
            Ok((header, header_checksum)) => self.known.push(Known { header, header_checksum, file_bytes }),
            Err(HeaderFault::Invalid(why)) => self.headless.push(Headless { index, why }),
            Err(fault) => return Err(LogError::corruption(index, 0, fault.to_string())),
        }
        Ok(())
    }

    /// Position in `known` of the segment where a replay from `from` begins. `None` if the log begins later.
    pub(super) fn start(&self, from: Lsn) -> Option<usize> {
        self.known.iter().rposition(|segment| segment.header.previous_end <= from)
    }

    /// Files without header behind the last segment: being made when the log was left, or damaged.
    pub(super) fn newest_headless(&self) -> impl Iterator<Item = &Headless> {
        let last = self.known.last().map(|segment| segment.header.index);
        self.headless.iter().filter(move |file| Some(file.index) > last)
    }
}

/// How a segment is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    Read,
    /// For syncing what is there already.
    Sync,
}

pub(super) fn open(folder: &Folder, name: Name, access: Access) -> LogResult<Media> {
    let (Name::Segment(index) | Name::Spare(index)) = name;
    let opened = match folder.open(name, Create::Never, access == Access::Sync) {
        // What lies on a medium that cannot be written is as durable as it will ever be.
        Err(LogError::Io { source, .. }) if source.kind() == std::io::ErrorKind::ReadOnlyFilesystem => {
            folder.open(name, Create::Never, false)
        }
        opened => opened,
    };
    Media::new(opened?, index)
}

const _: () = assert!(SEGMENT_HEADER_LEN == BLOCK_SIZE as u64);
