//! Reading a segment in large pieces.

use std::sync::Arc;

use llmdb_vfs::{AlignedBuf, BLOCK_SIZE, File};

use crate::{LogError, LogResult};

/// Bytes read at a time; more only for a longer batch.
const WINDOW_BYTES: u64 = 2 << 20;

/// The bytes of a segment file as they are on the media, through one window of memory.
#[derive(Debug)]
pub(super) struct Media {
    file: Arc<dyn File>,
    segment_index: u64,
    /// Whole units that the file holds.
    len: u64,
    window: Option<AlignedBuf>,
    window_start: u64,
    /// Where reading ahead ends.
    ahead_end: u64,
}

impl Media {
    pub(super) fn new(file: Arc<dyn File>, segment_index: u64) -> LogResult<Self> {
        let len = file.len().map_err(LogError::during("ask for the length of a log segment"))?;
        let len = len - len % BLOCK_SIZE as u64;
        Ok(Self { file, segment_index, len, window: None, window_start: 0, ahead_end: u64::MAX })
    }

    pub(super) fn segment_index(&self) -> u64 {
        self.segment_index
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Length of the file now.
    pub(super) fn file_len(&self) -> LogResult<u64> {
        self.file.len().map_err(LogError::during("ask for the length of a log segment"))
    }

    /// Reads ahead no further than `offset`, rounded up to a unit: what lies behind may still change, and must not
    /// stand in the window when it does. Takes note of how long the file has become.
    pub(super) fn read_ahead_to(&mut self, offset: u64) -> LogResult<()> {
        let len = self.file_len()?;
        self.len = len - len % BLOCK_SIZE as u64;
        self.ahead_end = offset.next_multiple_of(BLOCK_SIZE as u64);
        Ok(())
    }

    /// Forces to the media what an earlier process may have left in the page cache: what is read from now on
    /// will be there after a power failure as well.
    pub(super) fn sync(&self) -> LogResult<()> {
        self.file.sync_data().map_err(LogError::during("sync the newest log segment"))
    }

    /// The `len` bytes at `offset`, both whole units. `None` if the file ends before.
    pub(super) fn bytes(&mut self, offset: u64, len: usize) -> LogResult<Option<&[u8]>> {
        let end = offset.checked_add(len as u64).filter(|end| *end <= self.len);
        let Some(end) = end else { return Ok(None) };
        let window_len = self.window.as_ref().map_or(0, |window| window.len() as u64);
        if offset < self.window_start || end > self.window_start + window_len {
            let ahead = WINDOW_BYTES.min(self.ahead_end.saturating_sub(offset));
            self.read(offset, ahead.max(len as u64).min(self.len - offset))?;
        }
        let window = self.window.as_ref().expect("it has just been read");
        let start = in_memory(offset - self.window_start);
        Ok(Some(&window[start..start + len]))
    }

    /// The first unit of the file, read by itself. `None` if the file is shorter.
    pub(super) fn first_unit(&self) -> LogResult<Option<AlignedBuf>> {
        if self.len == 0 {
            return Ok(None);
        }
        let mut unit = AlignedBuf::new(BLOCK_SIZE);
        self.read_into(&mut unit, 0)?;
        Ok(Some(unit))
    }

    /// The bytes of a range that [`Media::bytes`] has just returned.
    pub(super) fn seen(&self, offset: u64, len: usize) -> &[u8] {
        let window = self.window.as_ref().expect("something has been read");
        let start = in_memory(offset - self.window_start);
        &window[start..start + len]
    }

    fn read(&mut self, offset: u64, len: u64) -> LogResult<()> {
        let len = in_memory(len);
        let reusable = self.window.take().filter(|window| window.len() == len);
        let mut window = reusable.unwrap_or_else(|| AlignedBuf::new(len));
        self.read_into(&mut window, offset)?;
        self.window_start = offset;
        self.window = Some(window);
        Ok(())
    }

    fn read_into(&self, buf: &mut AlignedBuf, offset: u64) -> LogResult<()> {
        self.file.read_media_at(buf, offset).map_err(|error| {
            let (len, index) = (buf.len(), self.segment_index);
            LogError::io(format!("read {len} bytes at {offset} of log segment {index:016x}"), error)
        })
    }
}

fn in_memory(len: u64) -> usize {
    usize::try_from(len).expect("a window is small")
}
