//! The files that hold a log: segments in the log's own folder, copies of them in an archive.
//!
//! ```text
//!   archive  0000000000000000-0000000000401000.log     from and to which LSN, hexadecimal
//!            0000000000401000-0000000000c02000.log     begins where the one before ends, or there is a gap
//!   log      0000000000000009.seg                       its header says where it begins; it ends where the next begins
//!            000000000000000a.seg                       the newest: ends where the log is durable
//! ```

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use llmdb_base::{Lsn, StoreId};
use llmdb_vfs::{Create, Open, Vfs};

use super::media::Media;
use crate::{
    LogError, LogResult,
    folder::Name,
    segment::{HeaderFault, SEGMENT_HEADER_LEN, SegmentHeader},
};

/// A file that holds a part of a log.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub path: PathBuf,
    pub header: SegmentHeader,
    pub header_checksum: u32,
    /// Where it ends; `None` for the newest segment of a log in use.
    pub end: Option<Lsn>,
}

impl Part {
    /// Where it begins: the end of what came before.
    pub fn from(&self) -> Lsn {
        self.header.previous_end
    }

    pub(super) fn open(&self, vfs: &dyn Vfs) -> LogResult<Media> {
        Media::new(open(vfs, &self.path)?, self.header.index)
    }

    /// Offset in the file of the position `lsn`, which may lie before or behind the part.
    pub fn offset_of(&self, lsn: Lsn) -> u64 {
        SEGMENT_HEADER_LEN + lsn.get().saturating_sub(self.header.first_lsn.get())
    }
}

/// Opens a file for reading past the page cache.
pub(crate) fn open(vfs: &dyn Vfs, path: &Path) -> LogResult<Arc<dyn llmdb_vfs::File>> {
    let how = Open { write: false, create: Create::Never, direct: true };
    vfs.open(path, how).map_err(|error| LogError::io("open a part of the log", error))
}

/// Name of an archived part.
pub(crate) fn archive_name(from: Lsn, end: Lsn) -> String {
    format!("{:016x}-{:016x}.log", from.get(), end.get())
}

/// Where the archived part of this name begins and ends; `None` if it is no such name.
pub(crate) fn decode_archive_name(text: &str) -> Option<(Lsn, Lsn)> {
    let (from, end) = text.strip_suffix(".log")?.split_once('-')?;
    let number = |digits: &str| {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let whole = digits.len() == 16 && digits.bytes().all(is_hex);
        whole.then(|| u64::from_str_radix(digits, 16).ok()).flatten().map(Lsn::new)
    };
    Some((number(from)?, number(end)?)).filter(|(from, end)| from <= end)
}

/// The archived parts in the folder `dir`, in the order of the log; none if there is no folder.
///
/// # Errors
/// Corruption if a part is not what its name says, or belongs to another store.
pub(crate) fn archived(vfs: &dyn Vfs, dir: &Path, store: StoreId) -> LogResult<Vec<Part>> {
    let mut parts = Vec::new();
    for name in list(vfs, dir)? {
        let Some((from, end)) = decode_archive_name(&name) else { continue };
        parts.push(archived_part(vfs, dir.join(name), store, (from, end))?);
    }
    parts.sort_by_key(|part| (part.from(), part.end));
    Ok(parts)
}

fn archived_part(vfs: &dyn Vfs, path: PathBuf, store: StoreId, (from, end): (Lsn, Lsn)) -> LogResult<Part> {
    let damage = |index: u64, what: String| {
        Err(LogError::corruption(index, 0, format!("{} in the archive: {what}", path.display())))
    };
    let media = Media::new(open(vfs, &path)?, 0)?;
    let unit = media.first_unit()?;
    let unit = unit.as_deref().unwrap_or(&[]);
    let index = SegmentHeader::claimed_index(unit);
    let (header, header_checksum) = match SegmentHeader::decode(unit, store, index) {
        Ok(found) => found,
        Err(fault) => return damage(index, fault.to_string()),
    };
    if header.previous_end != from || end < header.first_lsn {
        return damage(
            index,
            format!("it begins at {}, and its name says {from} to {end}", header.previous_end),
        );
    }
    let part = Part { path: path.clone(), header, header_checksum, end: Some(end) };
    let (found, expected) = (media.file_len()?, part.offset_of(end).next_multiple_of(SEGMENT_HEADER_LEN));
    if found != expected {
        return damage(index, format!("{found} bytes, expected {expected}"));
    }
    Ok(part)
}

/// The segments of the log in the folder `dir`, in the order of the log; none if there is no folder. Files without
/// a valid header are left out: they are being made, or being used again.
///
/// # Errors
/// Corruption if a segment belongs to another store or was written by a newer version.
pub(crate) fn live(vfs: &dyn Vfs, dir: &Path, store: StoreId) -> LogResult<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    for name in list(vfs, dir)? {
        let Some(Name::Segment(index)) = Name::decode(&name) else { continue };
        let path = dir.join(name);
        // Who gives segments up may be at work beside us.
        let file = match open(vfs, &path) {
            Err(LogError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        let unit = Media::new(file, index)?.first_unit()?;
        match SegmentHeader::decode(unit.as_deref().unwrap_or(&[]), store, index) {
            Ok((header, header_checksum)) => parts.push(Part { path, header, header_checksum, end: None }),
            Err(HeaderFault::Invalid(_)) => {}
            Err(fault) => return Err(LogError::corruption(index, 0, fault.to_string())),
        }
    }
    parts.sort_by_key(|part| part.header.index);
    for index in 1..parts.len() {
        parts[index - 1].end = Some(parts[index].from());
    }
    Ok(parts)
}

fn list(vfs: &dyn Vfs, dir: &Path) -> LogResult<Vec<String>> {
    match vfs.list_dir(dir) {
        Ok(names) => Ok(names),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(LogError::io(format!("list {}", dir.display()), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_archived_parts_come_back_and_others_are_left_alone() {
        let name = archive_name(Lsn::new(0x1FF0), Lsn::new(0x4000));
        assert_eq!(name, "0000000000001ff0-0000000000004000.log");
        assert_eq!(decode_archive_name(&name), Some((Lsn::new(0x1FF0), Lsn::new(0x4000))));
        for other in [
            "a-b.log",
            "0000000000004000-0000000000001ff0.log",
            "0000000000001FF0-0000000000004000.log",
            "x.log",
        ] {
            assert_eq!(decode_archive_name(other), None, "{other}");
        }
    }
}
