//! How large the pieces of the log are.

use llmdb_vfs::BLOCK_SIZE;

use crate::{batch::BATCH_LEN_MAX, segment::SEGMENT_HEADER_LEN};

/// Bytes that may have been given LSNs without having been written: a new opening jumps over that many.
pub(crate) const UNWRITTEN_BYTES_MAX: u64 = 64 << 20;

/// Memory for batches, in bytes, must stay far below [`UNWRITTEN_BYTES_MAX`].
const BUFFER_BYTES_MAX: usize = 32 << 20;

/// Sizes and limits of a log. Values out of range are moved into it, see [`LogOptions::normalized`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogOptions {
    /// Largest segment, in bytes. Segments begin at one window and double until they are this large. Larger
    /// ones change seldom; smaller ones give space back sooner, and leave less to be read in vain when the log is
    /// opened: the first and the last are read as a whole. Default 16 MiB.
    pub segment_bytes_max: u64,
    /// How far ahead of the write position a new segment is filled with zeros, in bytes. Default 1 MiB.
    pub window_bytes: u64,
    /// Largest batch, in bytes; a longer record is written while it is still being appended. Default 1 MiB,
    /// at most 8 MiB.
    pub batch_bytes_max: usize,
    /// Full batches being written at once. The log holds two buffers more than this, each `batch_bytes_max`
    /// long, of which only what is used becomes resident. Default 4.
    pub in_flight_max: usize,
    /// Retired segments kept for later use. Default 8.
    pub spare_segments_max: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes_max: 16 << 20,
            window_bytes: 1 << 20,
            batch_bytes_max: 1 << 20,
            in_flight_max: 4,
            spare_segments_max: 8,
        }
    }
}

impl LogOptions {
    /// The options that are in force: sizes are multiples of 4,096 bytes, a window is at least one such unit
    /// and at most 64 MiB, a segment has room for one window behind its header and is at most 4 GiB, and the
    /// buffers take at most 32 MiB.
    #[must_use]
    pub fn normalized(self) -> Self {
        let unit = BLOCK_SIZE as u64;
        let batch_bytes_max =
            self.batch_bytes_max.clamp(BLOCK_SIZE, BATCH_LEN_MAX).next_multiple_of(BLOCK_SIZE);
        let window_bytes = self.window_bytes.clamp(unit, 64 << 20).next_multiple_of(unit);
        let segment_bytes_max =
            self.segment_bytes_max.clamp(unit + window_bytes, 4 << 30).next_multiple_of(unit);
        let in_flight_max = self.in_flight_max.clamp(1, BUFFER_BYTES_MAX / batch_bytes_max - 2).min(64);
        Self { segment_bytes_max, window_bytes, batch_bytes_max, in_flight_max, ..self }
    }

    /// Length of a segment that is to have `wanted` bytes. The options are normalized.
    pub(crate) fn segment_bytes(&self, wanted: u64) -> u64 {
        wanted.clamp(SEGMENT_HEADER_LEN + self.window_bytes, self.segment_bytes_max)
    }
}

/// What replay does when it finds damage, as opposed to the torn tail that a crash leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TailPolicy {
    /// Damage is an error: something acknowledged has been lost.
    Strict,
    /// The log ends at the last whole record before the damage. Whatever came later is lost.
    CutAtDamage,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_options_are_moved_into_range() {
        for options in [
            LogOptions {
                segment_bytes_max: 0,
                window_bytes: 0,
                batch_bytes_max: 0,
                in_flight_max: 0,
                spare_segments_max: 0,
            },
            LogOptions {
                segment_bytes_max: u64::MAX,
                window_bytes: u64::MAX,
                batch_bytes_max: usize::MAX,
                in_flight_max: usize::MAX,
                spare_segments_max: usize::MAX,
            },
        ] {
            let real = options.normalized();
            assert!(real.segment_bytes_max > real.window_bytes);
            assert!(real.segment_bytes_max.is_multiple_of(BLOCK_SIZE as u64));
            assert!(real.batch_bytes_max.is_multiple_of(BLOCK_SIZE) && real.batch_bytes_max <= BATCH_LEN_MAX);
            assert!(real.in_flight_max >= 1);
            let buffers = (real.in_flight_max + 2) * real.batch_bytes_max;
            assert!((buffers as u64) < UNWRITTEN_BYTES_MAX);
        }
        assert_eq!(LogOptions::default().normalized(), LogOptions::default());
    }
}
