//! The area of a simulated disk: real words between openings of one program, locks kept in a table.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::fs::SeekFrom;

use super::{AREA_BYTES, Words, mirror::memory_file};
use crate::{BLOCK_SIZE, crash::Chooser};

/// What all openings of an area share.
#[derive(Debug)]
pub(crate) struct SimulatedArea {
    words: File,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    tail: Vec<u8>,
    /// Which opening holds which lock.
    locks: BTreeMap<u64, u64>,
    opened_count: u64,
}

/// The contents of an area at some moment: the blocks of the words that are not zero, and the tail.
#[derive(Clone, Debug, Default)]
pub(crate) struct AreaImage {
    blocks: BTreeMap<u64, Arc<[u8]>>,
    tail: Vec<u8>,
}

impl AreaImage {
    /// What an area shows of the bytes of a file.
    pub(crate) fn of_file(mut bytes: Vec<u8>) -> Self {
        let tail = bytes.split_off(bytes.len().min(usize::try_from(AREA_BYTES).unwrap_or(usize::MAX)));
        let blocks = (0..).step_by(BLOCK_SIZE).zip(bytes.chunks(BLOCK_SIZE).map(Arc::from)).collect();
        Self { blocks, tail }
    }

    /// What a crash of the machine may leave: some of the blocks, and the tail or not.
    pub(crate) fn after_crash(&self, chooser: &mut Chooser) -> Self {
        let mut left = self.clone();
        left.blocks.retain(|_, _| chooser.coin());
        if chooser.coin() {
            left.tail.clear();
        }
        left
    }
}

impl SimulatedArea {
    pub(crate) fn new(image: &AreaImage) -> io::Result<Self> {
        let words = memory_file("llmdb-area")?;
        words.set_len(AREA_BYTES)?;
        for (offset, block) in &image.blocks {
            words.write_all_at(block, *offset)?;
        }
        let table = Table { tail: image.tail.clone(), ..Table::default() };
        Ok(Self { words, table: Mutex::new(table) })
    }

    /// The contents as they are now.
    pub(crate) fn image(&self) -> io::Result<AreaImage> {
        let mut image = AreaImage { blocks: BTreeMap::new(), tail: self.table().tail.clone() };
        let mut next = 0;
        while let Some(offset) = self.first_block_from(next)? {
            let mut block = vec![0; BLOCK_SIZE];
            self.words.read_exact_at(&mut block, offset)?;
            image.blocks.insert(offset, block.into());
            next = offset + BLOCK_SIZE as u64;
        }
        Ok(image)
    }

    /// The first block at or behind `offset` that somebody has touched.
    fn first_block_from(&self, offset: u64) -> io::Result<Option<u64>> {
        match rustix::fs::seek(&self.words, SeekFrom::Data(offset)) {
            Ok(found) => Ok(Some(found / BLOCK_SIZE as u64 * BLOCK_SIZE as u64)),
            Err(rustix::io::Errno::NXIO) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One opening of an area.
#[derive(Debug)]
pub(crate) struct SimulatedHandle {
    area: Arc<SimulatedArea>,
    number: u64,
    words: Words,
}

impl SimulatedHandle {
    pub(crate) fn open(area: Arc<SimulatedArea>) -> io::Result<Self> {
        let words = Words::map(&area.words)?;
        let mut table = area.table();
        table.opened_count += 1;
        let number = table.opened_count;
        drop(table);
        Ok(Self { area, number, words })
    }

    pub(crate) fn words(&self) -> &Words {
        &self.words
    }

    pub(crate) fn try_lock(&self, byte: u64) -> bool {
        *self.area.table().locks.entry(byte).or_insert(self.number) == self.number
    }

    pub(crate) fn unlock(&self, byte: u64) {
        let mut table = self.area.table();
        if table.locks.get(&byte) == Some(&self.number) {
            table.locks.remove(&byte);
        }
    }

    pub(crate) fn is_locked_elsewhere(&self, byte: u64) -> bool {
        self.area.table().locks.get(&byte).is_some_and(|holder| *holder != self.number)
    }

    pub(crate) fn read_tail(&self) -> Vec<u8> {
        self.area.table().tail.clone()
    }

    /// Writes the first `count` bytes of a new tail, as a process does that may die on the way.
    pub(crate) fn write_tail(&self, bytes: &[u8], count: usize) {
        let mut table = self.area.table();
        if count == bytes.len() {
            table.tail.truncate(count);
        }
        let old_len = table.tail.len();
        table.tail.resize(old_len.max(count), 0);
        table.tail[..count].copy_from_slice(&bytes[..count]);
    }

    /// The locks end, and nothing that is stored through this opening is seen by others any more.
    pub(crate) fn sever(&self) {
        self.words.sever(&self.area.words).expect("a map can be replaced by one of the same length");
        self.release_all();
    }

    fn release_all(&self) {
        self.area.table().locks.retain(|_, holder| *holder != self.number);
    }
}

impl Drop for SimulatedHandle {
    fn drop(&mut self) {
        self.release_all();
    }
}

/// Whether the word is still what somebody expected who was about to wait for it.
pub(crate) fn is_as_expected(word: &AtomicU64, expected: u64) -> bool {
    (word.load(Ordering::SeqCst) ^ expected) << 32 == 0
}
