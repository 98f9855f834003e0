//! Looking for bytes wherever the store keeps any: in all pages of the data file, used or not, and in the log.

use std::path::{Path, PathBuf};

use llmdb_base::{Lsn, PAGE_SIZE, Pgno};
use llmdb_vfs::{Create, Open};
use llmdb_wal::{LogFolders, LogReader};
use memchr::memmem::Finder;

use crate::{Engine, Error, Result, engine::Shared, open::Places};

/// Bytes searched at a time.
const PIECE_BYTES: usize = 1 << 20;
/// More traces than these are counted, but not told.
const TOLD_MAX: usize = 1_000;

/// Where bytes were found.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TracePlace {
    /// In a page of the data file.
    Page {
        /// Its number.
        pgno: Pgno,
        /// Whether the newest state uses it.
        is_live: bool,
    },
    /// In a file of the log, or of its archive.
    Log {
        /// The file.
        path: PathBuf,
        /// Offset in it, of the first.
        offset: u64,
    },
    /// In a record of the log that lies in pieces.
    Record {
        /// Position behind the record.
        end: Lsn,
    },
}

impl TracePlace {
    /// Whether it is the same page, file or record.
    fn is_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Log { path, .. }, Self::Log { path: other, .. }) => path == other,
            _ => self == other,
        }
    }
}

/// Bytes that were looked for, found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// Which of them, counted from 0.
    pub needle: usize,
    /// Where.
    pub place: TracePlace,
}

/// What a search found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Traces {
    /// Where something was found: each page and each file of the log once, at most a thousand in all.
    pub found: Vec<Trace>,
    /// How much was found.
    pub count: u64,
    /// Bytes searched.
    pub searched_bytes: u64,
}

impl Traces {
    fn add(&mut self, needle: usize, place: TracePlace) {
        self.count += 1;
        let is_told = self.found.iter().rev().take_while(|trace| trace.place.is_with(&place));
        if self.found.len() < TOLD_MAX && !is_told.into_iter().any(|trace| trace.needle == needle) {
            self.found.push(Trace { needle, place });
        }
    }
}

impl Engine {
    /// Looks for each of `needles` in every byte that the store keeps: all pages of the data file as they are on the
    /// media, free ones too; the segments of the log, used or spare, and its records; the archive, if the store has
    /// one. What is in memory only is not looked at, and a store in memory has nothing to look at.
    /// `progress` gets bytes searched and about how many there are in all, and answers `false` to stop.
    ///
    /// Cost: reads everything once.
    ///
    /// # Errors
    /// [`Error::Misuse`] for an empty needle; [`Error::Cancelled`]; [`Error::Io`].
    pub fn find_traces(
        &self,
        needles: &[Vec<u8>],
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Traces> {
        if needles.iter().any(Vec::is_empty) {
            return Err(Error::Misuse("nothing is everywhere: name the bytes to look for".into()));
        }
        let shared = &*self.shared;
        if shared.log.is_none() {
            return Ok(Traces::default());
        }
        if !shared.options.read_only {
            // Which pages are in use is known to who may write.
            let _permit = shared.gate.enter();
            shared.take_turn(shared.options.lock_timeout_us)?;
        }
        // Segments must not go away while they are read.
        let _one = shared.checkpointing.enter();
        let total = shared.pager.stats().file_pages * PAGE_SIZE as u64;
        let finders: Vec<Finder<'_>> = needles.iter().map(Finder::new).collect();
        let longest = needles.iter().map(Vec::len).max().unwrap_or(0);
        let mut search = Search { finders, longest, total, progress, traces: Traces::default() };
        search.data_file(shared)?;
        let mut folders = vec![Places::of(&shared.path).log];
        folders.extend(shared.options.archive.clone());
        for folder in &folders {
            search.folder(shared, folder)?;
        }
        search.records(shared, &folders[0])?;
        shared.hand_over_by_hand();
        Ok(search.traces)
    }
}

struct Search<'n, 'p> {
    finders: Vec<Finder<'n>>,
    longest: usize,
    total: u64,
    progress: &'p mut dyn FnMut(u64, u64) -> bool,
    traces: Traces,
}

impl Search<'_, '_> {
    fn data_file(&mut self, shared: &Shared) -> Result<()> {
        let pager = &shared.pager;
        self.through(&mut |offset, buf| Ok(pager.read_stored(offset, buf)?), &mut |offset| {
            let pgno = Pgno::new(offset / PAGE_SIZE as u64);
            TracePlace::Page { pgno, is_live: pager.is_live(pgno) }
        })
    }

    /// The files of a folder; there need not be one.
    fn folder(&mut self, shared: &Shared, folder: &Path) -> Result<()> {
        let names = match shared.vfs.list_dir(folder) {
            Ok(names) => names,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("list the log", error)),
        };
        for name in names {
            let path = folder.join(&name);
            let open = Open { write: false, create: Create::Never, direct: false };
            let file =
                shared.vfs.open(&path, open).map_err(|error| Error::io("open a file of the log", error))?;
            self.total += file.len().map_err(|error| Error::io("ask for the length of the log", error))?;
            let mut read = |offset: u64, buf: &mut [u8]| {
                let mut got = 0;
                while got < buf.len() {
                    let read = file.read_at(&mut buf[got..], offset + got as u64);
                    match read.map_err(|error| Error::io("read the log", error))? {
                        0 => break,
                        count => got += count,
                    }
                }
                Ok(got)
            };
            self.through(&mut read, &mut |offset| TracePlace::Log { path: path.clone(), offset })?;
        }
        Ok(())
    }

    /// The records of the log, for those that the end of a batch cuts in two.
    fn records(&mut self, shared: &Shared, log: &Path) -> Result<()> {
        let folders = LogFolders { archive: None, log: Some(log.to_owned()) };
        let store = shared.pager.store_id();
        let oldest = LogReader::new(shared.vfs.clone(), folders.clone(), store, Lsn::new(0)).oldest()?;
        let Some(oldest) = oldest else { return Ok(()) };
        let mut reader = LogReader::new(shared.vfs.clone(), folders, store, oldest);
        let until = shared.feed_end();
        loop {
            // The rest of a record whose beginning is gone, or a hole: the files were searched all the same.
            let Ok(Some(record)) = reader.next_record(until) else { return Ok(()) };
            let mut source = reader.open(&record)?;
            let mut at = 0;
            let mut read = |offset: u64, buf: &mut [u8]| {
                debug_assert_eq!(offset, at, "a record is read in its order");
                let mut got = 0;
                while got < buf.len() {
                    let read = std::io::Read::read(&mut source, &mut buf[got..]);
                    match read.map_err(|error| Error::io("read the log", error))? {
                        0 => break,
                        count => got += count,
                    }
                }
                at += got as u64;
                Ok(got)
            };
            self.through(&mut read, &mut |_| TracePlace::Record { end: record.end() })?;
        }
    }

    /// Searches what `read` gives from offset 0 on, until it gives no more.
    fn through(
        &mut self,
        read: &mut dyn FnMut(u64, &mut [u8]) -> Result<usize>,
        place: &mut dyn FnMut(u64) -> TracePlace,
    ) -> Result<()> {
        let overlap = self.longest.saturating_sub(1);
        let mut buffer = vec![0; overlap + PIECE_BYTES];
        // Bytes at the beginning of the buffer that were searched before, as far as they go.
        let (mut kept, mut offset) = (0, 0);
        loop {
            let got = read(offset, &mut buffer[kept..kept + PIECE_BYTES])?;
            if got == 0 {
                return Ok(());
            }
            let bytes = &buffer[..kept + got];
            let start = offset - kept as u64;
            for (needle, finder) in self.finders.iter().enumerate() {
                for at in finder.find_iter(bytes) {
                    // One that ends in what was kept was told before.
                    if at + finder.needle().len() > kept {
                        self.traces.add(needle, place(start + at as u64));
                    }
                }
            }
            offset += got as u64;
            self.traces.searched_bytes += got as u64;
            if !(self.progress)(self.traces.searched_bytes, self.total.max(self.traces.searched_bytes)) {
                return Err(Error::Cancelled);
            }
            let end = kept + got;
            kept = overlap.min(end);
            buffer.copy_within(end - kept..end, 0);
        }
    }
}
