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
    /// Windows that another pass over the segment will want again.
    kept: Kept,
}

/// Windows of a segment that stay in memory, in ascending order.
#[derive(Debug, Default)]
pub(super) struct Kept {
    windows: Vec<(u64, AlignedBuf)>,
    /// Nothing before this is wanted.
    from: u64,
    /// Bytes that may be kept yet.
    room: u64,
}

impl Kept {
    /// Will keep up to `room` bytes from `from` on.
    pub(super) fn up_to(room: u64, from: u64) -> Self {
        Self { windows: Vec::new(), from, room }
    }

    /// Bytes kept.
    pub(super) fn len(&self) -> u64 {
        self.windows.iter().map(|(_, window)| window.len() as u64).sum()
    }

    fn take(&mut self, start: u64, window: AlignedBuf) {
        let len = window.len() as u64;
        if start + len > self.from && len <= self.room {
            self.room -= len;
            self.windows.push((start, window));
        }
    }

    /// Fills `buf` with what stands at `offset`, if all of it is kept.
    fn copy(&self, mut buf: &mut [u8], mut offset: u64) -> bool {
        while !buf.is_empty() {
            let behind = self.windows.partition_point(|(start, _)| *start <= offset);
            let window = behind.checked_sub(1).and_then(|index| self.windows.get(index));
            let rest = window.and_then(|(start, window)| window.get(in_memory(offset - start)..));
            let Some(rest) = rest.filter(|rest| !rest.is_empty()) else { return false };
            let len = rest.len().min(buf.len());
            let (head, tail) = buf.split_at_mut(len);
            head.copy_from_slice(&rest[..len]);
            (buf, offset) = (tail, offset + len as u64);
        }
        true
    }
}

impl Media {
    pub(super) fn new(file: Arc<dyn File>, segment_index: u64) -> LogResult<Self> {
        let len = file.len().map_err(LogError::during("ask for the length of a log segment"))?;
        let len = len - len % BLOCK_SIZE as u64;
        Ok(Self {
            file,
            segment_index,
            len,
            window: None,
            window_start: 0,
            ahead_end: u64::MAX,
            kept: Kept::default(),
        })
    }

    pub(super) fn segment_index(&self) -> u64 {
        self.segment_index
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Keeps what is read from now on as `kept` says, and reads what it holds already from there.
    pub(super) fn keep(&mut self, kept: Kept) {
        self.kept = kept;
    }

    /// What was kept; nothing more is.
    pub(super) fn take_kept(&mut self) -> Kept {
        // The last window is still needed here.
        let window = self.window.as_ref().map(|window| {
            let mut copy = AlignedBuf::new(window.len());
            copy.copy_from_slice(window);
            copy
        });
        if let Some(window) = window {
            self.kept.take(self.window_start, window);
        }
        Kept { room: 0, ..std::mem::take(&mut self.kept) }
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
        let mut window = match self.window.take() {
            Some(window) if self.kept.room > 0 => {
                self.kept.take(self.window_start, window);
                AlignedBuf::new(len)
            }
            Some(window) if window.len() == len => window,
            _ => AlignedBuf::new(len),
        };
        self.read_into(&mut window, offset)?;
        self.window_start = offset;
        self.window = Some(window);
        Ok(())
    }

    fn read_into(&self, buf: &mut AlignedBuf, offset: u64) -> LogResult<()> {
        if self.kept.copy(buf, offset) {
            return Ok(());
        }
        self.file.read_media_at(buf, offset).map_err(|error| {
            let (len, index) = (buf.len(), self.segment_index);
            LogError::io(format!("read {len} bytes at {offset} of log segment {index:016x}"), error)
        })
    }
}

fn in_memory(len: u64) -> usize {
    usize::try_from(len).expect("a window is small")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(byte: u8) -> AlignedBuf {
        let mut window = AlignedBuf::new(BLOCK_SIZE);
        window.fill(byte);
        window
    }

    #[test]
    fn what_is_kept_is_found_again_and_nothing_else() {
        let unit = BLOCK_SIZE as u64;
        let mut kept = Kept::up_to(3 * unit, 2 * unit);
        for index in [0_u8, 1, 2, 3, 5, 6] {
            kept.take(u64::from(index) * unit, window(index));
        }
        assert_eq!(kept.len(), 3 * unit, "not what lies before, and not more than there is room for");
        let mut found = vec![0; 2 * BLOCK_SIZE];
        assert!(kept.copy(&mut found, 2 * unit));
        assert_eq!((found[0], found[BLOCK_SIZE], found[2 * BLOCK_SIZE - 1]), (2, 3, 3));
        assert!(!kept.copy(&mut found, 3 * unit), "there is a gap");
        assert!(!kept.copy(&mut found, unit));
        assert!(kept.copy(&mut found[..BLOCK_SIZE], 5 * unit));
        assert!(!kept.copy(&mut found, 5 * unit), "it ends there");
        assert!(!Kept::default().copy(&mut found, 0));
    }
}
