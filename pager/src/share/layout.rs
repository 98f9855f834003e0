//! Where everything stands in the shared area, in words of 8 bytes. Described in `docs/format/lock.md`.

use std::ops::Range;

/// Words of a cache line: what different processes change at the same time does not share one.
pub const LINE: usize = 8;

/// "LLMDBSHR".
pub const MAGIC: usize = 0;
/// Version of the layout.
pub const VERSION: usize = 1;
/// Identity of the store, lower and upper half.
pub const STORE: usize = 2;
/// A random number, new each time the area is made anew.
pub const INCARNATION: usize = 4;
/// CRC32C of the words before it.
pub const HEADER_CHECKSUM: usize = 5;

/// How often a root has been published.
pub const PUBLISHED: usize = LINE;
/// How many processes have ever registered.
pub const SESSIONS: usize = 2 * LINE;
/// Rung by whoever wants something of the holder of the turn.
pub const DOORBELL: usize = 3 * LINE;
/// Counts how often the turn was given up.
pub const RELEASED: usize = 4 * LINE;
/// The ticket drawn last.
pub const TICKETS: usize = 5 * LINE;
/// Number of the last clean hand-over; 0 while a turn is under way, and after one that ended by death.
pub const TURN_CLEAN: usize = 6 * LINE;
/// Number of the last hand-over, clean or not begun to be used.
pub const TURN_NUMBER: usize = TURN_CLEAN + 1;
/// Process that holds the turn, plus one; for messages.
pub const TURN_HOLDER: usize = TURN_CLEAN + 2;
/// Length of the record of the last hand-over, in bytes.
pub const TURN_LEN: usize = TURN_CLEAN + 3;
/// Its CRC32C.
pub const TURN_CHECKSUM: usize = TURN_CLEAN + 4;
/// 1 while roots are published whose pages are in the memory of the holder only.
pub const PRIVATE: usize = 7 * LINE;
/// Behind the last reader slot that was ever used.
pub const READERS_END: usize = 8 * LINE;
/// Woken when somebody leaves the door.
pub const DOOR_WAIT: usize = 9 * LINE;
/// Live pages, held pages, and pages of the file, as of the last publication; for people who watch.
pub const FIGURES: usize = 10 * LINE;

/// The log is durable up to this LSN, and further perhaps. Only grows.
pub const DURABLE: usize = 11 * LINE;

/// Published roots, the last few.
pub const RING: usize = 16 * LINE;
/// How many.
pub const RING_LEN: usize = 16;
/// Words of one.
pub const ROOT_WORDS: usize = 2 * LINE;

/// Processes.
pub const PROCESSES: usize = 512;
/// How many there may be at once.
pub const PROCESS_COUNT: usize = 256;
/// Words of one.
pub const PROCESS_WORDS: usize = 2 * LINE;
/// Session of the process in a slot; 0 if it was never used.
pub const SESSION: usize = 0;
/// Its ticket; 0 if it does not wait.
pub const TICKET: usize = 1;
/// What it says of itself, zeros behind it.
pub const NOTE: Range<usize> = 2..PROCESS_WORDS;

/// Slots of readers, to the end of the area.
pub const READERS: usize = 8192;
/// Words of one.
pub const READER_WORDS: usize = LINE;

const _: () = assert!(RING + RING_LEN * ROOT_WORDS <= PROCESSES);
const _: () = assert!(PROCESSES + PROCESS_COUNT * PROCESS_WORDS <= READERS);
const _: () = assert!(READERS < llmdb_vfs::AREA_WORDS);

/// First word of the slot of a process.
pub const fn process(index: usize) -> usize {
    PROCESSES + index * PROCESS_WORDS
}
