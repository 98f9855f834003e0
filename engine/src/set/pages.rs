//! The file with the pages of one backup: written in one go, read in one go, hashed on the way.
//!
//! ```text
//!   0  magic "LLMDBPGS", version u32, number u32, store 16 bytes, backup 16 bytes, 16 bytes zero
//!  64  extent: number of the first page u64, count u64, then the pages; and so on
//!      extent: 0, 0                                                           the end
//! ```

use std::{io, path::Path, sync::Arc};

use llmdb_base::{PAGE_SIZE, Pgno, StoreId, codec};
use llmdb_vfs::{Create, File, Open, Vfs, read_exact_at, write_all_at};
use sha2::{Digest, Sha256};

use super::manifest::{Manifest, PagesFile, hex};
use crate::{Error, Result, open::open_file};

const MAGIC: [u8; 8] = *b"LLMDBPGS";
const VERSION: u32 = 1;
const HEADER_LEN: usize = 64;
const EXTENT_LEN: usize = 16;
/// Bytes gathered before they are written, and read at once.
const BUFFER_BYTES: usize = 1 << 20;

/// What must be in the header.
fn header(store: StoreId, backup: u128, number: u64) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    bytes[..8].copy_from_slice(&MAGIC);
    codec::put_u32(&mut bytes, 8, VERSION);
    codec::put_u32(&mut bytes, 12, u32::try_from(number).unwrap_or(u32::MAX));
    codec::put_u128(&mut bytes, 16, store.get());
    codec::put_u128(&mut bytes, 32, backup);
    bytes
}

/// Writes pages into a new file.
pub(super) struct PagesWriter {
    file: Arc<dyn File>,
    buffer: Vec<u8>,
    written: u64,
    hasher: Sha256,
    pub pages: u64,
}

impl PagesWriter {
    pub fn create(vfs: &dyn Vfs, draft: &Path, store: StoreId, backup: u128, number: u64) -> Result<Self> {
        let file = open_file(vfs, draft, Open { write: true, create: Create::IfMissing, direct: false })?;
        file.set_len(0).map_err(|error| Error::io("create the backup", error))?;
        let mut writer = Self {
            file,
            buffer: Vec::with_capacity(BUFFER_BYTES + EXTENT_LEN),
            written: 0,
            hasher: Sha256::new(),
            pages: 0,
        };
        writer.put(&header(store, backup, number))?;
        Ok(writer)
    }

    /// Adds consecutive pages.
    pub fn push(&mut self, first: Pgno, bytes: &[u8]) -> Result<()> {
        let count = (bytes.len() / PAGE_SIZE) as u64;
        self.extent(first.get(), count)?;
        self.put(bytes)?;
        self.pages += count;
        Ok(())
    }

    fn extent(&mut self, first: u64, count: u64) -> Result<()> {
        let mut bytes = [0; EXTENT_LEN];
        codec::put_u64(&mut bytes, 0, first);
        codec::put_u64(&mut bytes, 8, count);
        self.put(&bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.hasher.update(&self.buffer);
        write_all_at(&*self.file, &self.buffer, self.written)
            .map_err(|error| Error::io("write the backup", error))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Makes the file durable under its present name.
    pub fn finish(mut self) -> Result<PagesFile> {
        self.extent(0, 0)?;
        self.flush()?;
        self.file.sync_data().map_err(|error| Error::io("force the backup to the media", error))?;
        Ok(PagesFile { bytes: self.written, sha256: hex(&self.hasher.finalize()) })
    }
}

/// Reads the pages of a backup, comparing the file with its manifest.
pub(super) struct PagesReader<'a> {
    file: Arc<dyn File>,
    path: &'a Path,
    manifest: &'a Manifest,
    offset: u64,
    hasher: Sha256,
}

impl<'a> PagesReader<'a> {
    pub fn open(vfs: &dyn Vfs, path: &'a Path, manifest: &'a Manifest) -> Result<Self> {
        let how = Open { write: false, create: Create::Never, direct: false };
        let file = match open_file(vfs, path, how) {
            Err(Error::Missing(path)) => {
                return Err(Error::BrokenBackup(format!("{} is missing", path.display())));
            }
            file => file?,
        };
        Ok(Self { file, path, manifest, offset: 0, hasher: Sha256::new() })
    }

    /// Hands every extent to `take`, in pieces: number of the first page, and the pages. What was handed out may be
    /// believed only if this returns without an error.
    ///
    /// # Errors
    /// [`Error::BrokenBackup`] if the file is not what the manifest says; errors of `take`.
    pub fn read_all(mut self, take: &mut dyn FnMut(Pgno, &[u8]) -> Result<()>) -> Result<()> {
        let len = self.file.len().map_err(|error| Error::io("ask for the length of a backup", error))?;
        if len != self.manifest.file.bytes {
            return Err(self.broken(format!("has {len} bytes, expected {}", self.manifest.file.bytes)));
        }
        let mut bytes = [0; HEADER_LEN];
        self.fill(&mut bytes)?;
        if bytes != header(self.manifest.store, self.manifest.backup, self.manifest.number) {
            return Err(self.broken("does not belong to its manifest".into()));
        }
        let (mut pages, mut piece) = (0, vec![0; BUFFER_BYTES]);
        loop {
            let mut extent = [0; EXTENT_LEN];
            self.fill(&mut extent)?;
            let (first, count) = (codec::get_u64(&extent, 0), codec::get_u64(&extent, 8));
            if count == 0 {
                break;
            }
            if first.checked_add(count).is_none_or(|end| end > self.manifest.root.page_count) {
                return Err(self.broken(format!("holds {count} pages from {} on", Pgno::new(first))));
            }
            self.extent(first, count, &mut piece, take)?;
            pages += count;
        }
        self.compare(pages)
    }

    fn extent(
        &mut self,
        mut first: u64,
        mut count: u64,
        piece: &mut [u8],
        take: &mut dyn FnMut(Pgno, &[u8]) -> Result<()>,
    ) -> Result<()> {
        while count > 0 {
            let pages = count.min((BUFFER_BYTES / PAGE_SIZE) as u64);
            let bytes = &mut piece[..usize::try_from(pages).expect("a piece is small") * PAGE_SIZE];
            self.fill(bytes)?;
            take(Pgno::new(first), bytes)?;
            (first, count) = (first + pages, count - pages);
        }
        Ok(())
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        match read_exact_at(&*self.file, bytes, self.offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(self.broken("ends inside a page".into()));
            }
            read => read.map_err(|error| Error::io("read the backup", error))?,
        }
        self.hasher.update(&bytes);
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn compare(self, pages: u64) -> Result<()> {
        let found = hex(&self.hasher.clone().finalize());
        let expected = &self.manifest.file.sha256;
        if self.offset != self.manifest.file.bytes || found != *expected {
            return Err(self.broken(format!("was changed: its SHA-256 is {found}, expected {expected}")));
        }
        if pages != self.manifest.pages {
            return Err(self.broken(format!("holds {pages} pages, expected {}", self.manifest.pages)));
        }
        Ok(())
    }

    fn broken(&self, what: String) -> Error {
        Error::BrokenBackup(format!("{} {what}", self.path.display()))
    }
}
