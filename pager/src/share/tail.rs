//! What stands behind the words of the area: the note about suspects, and behind it the record of the last hand-over.
//!
//! Only the holder of the turn writes here. While a turn is under way there is no record, and the note alone is written anew.

use std::{io, sync::atomic::Ordering};

use llmdb_base::checksum::crc32c;

use super::{Commons, layout};

impl Commons {
    /// The bytes behind the note, among them the record of the last hand-over, if there is one.
    ///
    /// # Errors
    /// Those of reading a file.
    pub fn read_record(&self) -> io::Result<Vec<u8>> {
        let mut tail = self.area.read_tail()?;
        let note_len = self.note_len().min(tail.len());
        tail.drain(..note_len);
        Ok(tail)
    }

    /// Writes the record of a hand-over behind the note.
    ///
    /// # Errors
    /// Those of writing a file.
    pub fn write_record(&self, record: &[u8]) -> io::Result<()> {
        let note = self.note();
        if note.is_empty() {
            self.store(layout::NOTE_LEN, 0);
        }
        // A process that dies meanwhile leaves the note as it is: its bytes are written over by themselves.
        self.area.write_tail(&[&note[..], record].concat())
    }

    /// The note; empty if there is none to be believed.
    pub(crate) fn note(&self) -> Vec<u8> {
        let note_len = self.note_len();
        if note_len == 0 {
            return Vec::new();
        }
        let mut tail = self.area.read_tail().unwrap_or_default();
        let is_long_enough = note_len <= tail.len();
        tail.truncate(note_len);
        let checksum = self.area.words()[layout::NOTE_CHECKSUM].load(Ordering::Acquire);
        if is_long_enough && u64::from(crc32c(0, &tail)) == checksum { tail } else { Vec::new() }
    }

    /// Replaces the note; there is none if it is empty. Whether there is the note that was wanted: if not, there is none.
    pub(crate) fn set_note(&self, note: &[u8]) -> bool {
        self.store(layout::NOTE_LEN, 0);
        if note.is_empty() {
            return true;
        }
        if let Err(error) = self.area.write_tail(note) {
            log::warn!("free pages rest for longer should this process die: {error}");
            return false;
        }
        self.area.step();
        self.store(layout::NOTE_CHECKSUM, crc32c(0, note).into());
        self.store(layout::NOTE_LEN, note.len() as u64);
        true
    }

    fn note_len(&self) -> usize {
        let len = self.area.words()[layout::NOTE_LEN].load(Ordering::Acquire);
        usize::try_from(len).unwrap_or(usize::MAX)
    }

    fn store(&self, word: usize, value: u64) {
        self.area.words()[word].store(value, Ordering::SeqCst);
        self.area.step();
    }
}
