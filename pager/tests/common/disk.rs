//! A disk with one file that forgets, at a crash, any part of what was not synced.

use std::{
    any::Any,
    collections::HashMap,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use llmdb_base::{PAGE_SIZE, PageBytes, Timestamp, checksum, header};
use llmdb_vfs::{AlignedBuf, File, FileLock, LockError, LockKind, Mapping, MemoryVfs, Open, Ring, Vfs};

use super::Rng;

const SECTOR: usize = 512;

/// One file. Clones show the same one.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What a reader of the file sees.
    seen: Vec<u8>,
    /// What is on the media.
    media: Vec<u8>,
    /// What was written since the last sync, in order.
    unsynced: Vec<(usize, Vec<u8>)>,
    /// Calls that still work; afterwards the machine is off.
    calls_left: Option<u64>,
    /// Length beyond which the file cannot grow.
    pub len_max: Option<u64>,
    fail_syncs: bool,
    fail_writeback: bool,
    /// Parts whose writing back was begun, and how many of them were waited for.
    sent: (u64, u64),
    /// Given away so far.
    random_numbers: u64,
    /// Checksum of each node that was written, by its offset and its birth.
    nodes: HashMap<(usize, u64), u32>,
    pub synced_writes: u64,
}

impl Disk {
    pub fn file(&self) -> Arc<dyn File> {
        Arc::new(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Lets the machine stop after so many more calls that change something.
    pub fn stop_after(&self, calls: u64) {
        self.state().calls_left = Some(calls);
    }

    pub fn limit(&self, len_max: Option<u64>) {
        self.state().len_max = len_max;
    }

    pub fn fail_syncs(&self, fail: bool) {
        self.state().fail_syncs = fail;
    }

    /// The next wait for pages to be written back meets an error; the system tells it once.
    pub fn fail_writeback(&self) {
        self.state().fail_writeback = true;
    }

    /// Parts whose writing back was begun, and how many of them were waited for.
    pub fn sent(&self) -> (u64, u64) {
        self.state().sent
    }

    pub fn len_now(&self) -> u64 {
        self.state().seen.len() as u64
    }

    pub fn damage(&self, offset: u64, mask: u8) {
        let offset = usize::try_from(offset).unwrap();
        let mut state = self.state();
        state.seen[offset] ^= mask;
        state.media[offset] ^= mask;
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.state().seen.clone()
    }

    /// What is left after a crash: of each sector written since the last sync, any one of its versions.
    pub fn crash(&self, rng: &mut Rng) -> Self {
        let state = self.state();
        let mut media = state.media.clone();
        media.resize(media.len().max(state.seen.len()), 0);
        for (offset, bytes) in &state.unsynced {
            let keep = [0, 50, 95, 100][usize::try_from(rng.below(4)).unwrap()];
            for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                if rng.chance(keep) {
                    let start = offset + index * SECTOR;
                    media[start..start + sector.len()].copy_from_slice(sector);
                }
            }
        }
        let state = State { seen: media.clone(), media, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }
}

impl State {
    /// Counts a call that changes something; whether it still happens.
    fn step(&mut self) -> io::Result<()> {
        match &mut self.calls_left {
            Some(0) => Err(io::Error::other("the machine is off")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn write(&mut self, bytes: &[u8], offset: u64) {
        let offset = usize::try_from(offset).unwrap();
        let end = offset + bytes.len();
        if end > self.seen.len() {
            self.seen.resize(end, 0);
        }
        self.seen[offset..end].copy_from_slice(bytes);
        self.note_nodes(bytes, offset);
        self.unsynced.push((offset, bytes.to_vec()));
    }

    /// A disk that loses a write shows what was there before: that must not pass for what was written.
    fn note_nodes(&mut self, bytes: &[u8], offset: usize) {
        for (index, page) in bytes.chunks_exact(PAGE_SIZE).enumerate() {
            let page: &PageBytes = page.try_into().expect("chunks of this size");
            let (place, birth) = (offset + index * PAGE_SIZE, header::birth(page).get());
            if header::kind(page).is_none() {
                continue;
            }
            let now = checksum::crc32c(0, page);
            let before = self.nodes.insert((place, birth), now);
            assert!(
                before.is_none_or(|before| before == now),
                "the page at {place} is written twice, both times as born in {birth}"
            );
        }
    }

    fn sync(&mut self) {
        self.media = self.seen.clone();
        self.unsynced.clear();
    }
}

impl File for Disk {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state();
        let start = usize::try_from(offset).unwrap().min(state.seen.len());
        let count = buf.len().min(state.seen.len() - start);
        buf[..count].copy_from_slice(&state.seen[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state();
        state.step()?;
        state.write(buf, offset);
        Ok(buf.len())
    }

    fn write_durable_at(&self, buf: &AlignedBuf, offset: u64) -> io::Result<()> {
        let mut state = self.state();
        let stopped = state.step();
        state.write(buf, offset);
        stopped?;
        // Only this write is forced; the others stay where they are.
        let (offset, bytes) = state.unsynced.pop().expect("just written");
        let end = offset + bytes.len();
        if state.media.len() < end {
            state.media.resize(end, 0);
        }
        state.media[offset..end].copy_from_slice(&bytes);
        Ok(())
    }

    fn read_media_at(&self, buf: &mut AlignedBuf, offset: u64) -> io::Result<()> {
        llmdb_vfs::read_exact_at(self, buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if state.fail_syncs {
            return Err(io::Error::other("the disk is dying"));
        }
        state.sync();
        Ok(())
    }

    fn start_writeback(&self, _offset: u64, _len: u64) {
        self.state().sent.0 += 1;
    }

    fn await_writeback(&self, _offset: u64, _len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.sent.1 += 1;
        if std::mem::take(&mut state.fail_writeback) {
            return Err(io::Error::other("the disk is dying"));
        }
        Ok(())
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if state.len_max.is_some_and(|len_max| offset + len > len_max) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let end = usize::try_from(offset + len).unwrap();
        if end > state.seen.len() {
            state.seen.resize(end, 0);
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.len_now())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let len = usize::try_from(len).unwrap();
        state.seen.resize(len, 0);
        state.media.resize(len, 0);
        state.unsynced.retain(|(offset, bytes)| offset + bytes.len() <= len);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Vfs for Disk {
    fn map(&self, file: Option<Arc<dyn File>>) -> io::Result<Mapping> {
        Mapping::heap(file)
    }

    fn random_u64(&self) -> u64 {
        let mut state = self.state();
        state.random_numbers += 1;
        state.random_numbers.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    fn open(&self, _path: &Path, _how: Open) -> io::Result<Arc<dyn File>> {
        Ok(self.file())
    }

    fn remove_file(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list_dir(&self, _path: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn exists(&self, _path: &Path) -> io::Result<bool> {
        Ok(true)
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path, kind: LockKind, note: &str) -> Result<Box<dyn FileLock>, LockError> {
        MemoryVfs::default().lock(path, kind, note)
    }

    fn ring(&self, depth: usize) -> io::Result<Box<dyn Ring>> {
        MemoryVfs::default().ring(depth)
    }

    fn now(&self) -> Timestamp {
        Timestamp::new(0)
    }

    fn monotonic_us(&self) -> u64 {
        0
    }
}
