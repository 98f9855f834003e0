//! Several processes on one store: who is there, whose turn it is to write, and what passes from hand to hand.
//!
//! ```text
//!   door        who opens or closes the store holds it: one at a time
//!   processes   each holds the lock of its slot for as long as it lives
//!   turn        the right to write: one lock, and a queue of tickets for it
//!
//!   one process alone         pages in private memory, the turn kept: no system call for it
//!   others are there          a commit writes its pages before it is published; the turn goes round
//!   a holder hands over       log forced, pages written, record left in the area: the next one goes on from there
//!   a holder dies             the next one recovers, as at opening, and leaves alone what readers hold
//! ```
//!
//! The protocol is described in `docs/format/lock.md`, the reasons in `docs/adr/0006-several-processes.md`.

mod close;
mod door;
mod open;
mod record;
mod serve;
mod turn;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release, SeqCst},
        },
    },
    thread::JoinHandle,
};

use llmdb_base::{Lsn, checksum::crc32c, sync::Mutex};
use llmdb_pager::share::layout;
use llmdb_vfs::{ShareError, SharedArea, Vfs};

pub(crate) use self::open::{open, refuse_company};
use crate::{Error, Result};

/// Locks of the area.
const DOOR: u64 = 0;
const TURN: u64 = 1;
const PROCESS: u64 = 16;

/// "LLMDBSHR", as a word is stored.
const MAGIC: u64 = u64::from_le_bytes(*b"LLMDBSHR");
const VERSION: u64 = 1;
/// Sessions and tickets stay below: what is above was not stored by us.
const COUNT_MAX: u64 = 1 << 60;
/// How long one wait for another process lasts before it is looked whether that one still lives.
const SLICE_US: u64 = 20_000;

/// What this process knows of the others that have the store open, and they of it.
pub(crate) struct Company {
    area: Arc<dyn SharedArea>,
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    /// Slot of this process.
    process: usize,
    session: u64,
    /// Held together with the lock of the door: threads of one process do not exclude each other by that.
    door: Mutex<()>,
    /// Roots are published whose pages are in memory of this process only.
    private: AtomicBool,
    /// Number of the last hand-over by this process.
    handed_over: AtomicU64,
    /// When the turn began, and the last write transaction in it.
    began_us: AtomicU64,
    busy_us: AtomicU64,
    /// When slots of dead readers were last looked for.
    freed_us: AtomicU64,
    /// Whether the note says that this process cannot write.
    stuck: AtomicBool,
    stopping: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Company {
    /// Whether roots are published that other processes could not read yet.
    pub(crate) fn is_private(&self) -> bool {
        self.private.load(Acquire)
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        &self.area.words()[index]
    }

    fn load(&self, index: usize) -> u64 {
        self.word(index).load(Acquire)
    }

    /// Stores a word that others go by. The process may die behind it.
    fn store(&self, index: usize, value: u64) {
        self.word(index).store(value, SeqCst);
        self.area.step();
    }

    fn now_us(&self) -> u64 {
        self.vfs.monotonic_us()
    }

    /// Tells the others how far the log is durable.
    pub(crate) fn tell_durable(&self, lsn: Lsn) {
        self.word(layout::DURABLE).fetch_max(lsn.get(), Release);
    }

    /// How far the log is durable at least, as far as the others have told.
    pub(crate) fn durable(&self) -> Lsn {
        Lsn::new(self.load(layout::DURABLE))
    }

    /// Asks the holder of the turn to look at the others.
    fn ring(&self) {
        self.word(layout::DOORBELL).fetch_add(1, SeqCst);
        self.area.wake(layout::DOORBELL);
    }

    /// Takes a lock of the area.
    fn try_lock(&self, byte: u64) -> Result<bool> {
        self.area.try_lock(byte).map_err(|error| Error::io("lock a part of the shared area", error))
    }

    fn unlock(&self, byte: u64) -> Result<()> {
        self.area.unlock(byte).map_err(|error| Error::io("unlock a part of the shared area", error))
    }

    fn is_locked_elsewhere(&self, byte: u64) -> Result<bool> {
        let locked = self.area.is_locked_elsewhere(byte);
        locked.map_err(|error| Error::io("ask for a lock of the shared area", error))
    }

    /// Whether the process of a slot lives; this one does not count.
    fn is_alive(&self, process: usize) -> Result<bool> {
        self.is_locked_elsewhere(PROCESS + process as u64)
    }

    /// Whether any other process has the store open. Asks the locks, and nothing that could be overwritten.
    fn has_company(&self) -> Result<bool> {
        for process in 0..layout::PROCESS_COUNT {
            if self.is_alive(process)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the holder of the turn says of itself.
    fn holder(&self) -> String {
        let process = usize::try_from(self.load(layout::TURN_HOLDER).wrapping_sub(1)).ok();
        match process.filter(|process| *process < layout::PROCESS_COUNT) {
            Some(process) => note_of(&*self.area, process),
            None => "a process that is about to give it up".into(),
        }
    }
}

impl Company {
    /// Says who this is, to those who wait for it; and that it cannot write what they wait for, if so.
    fn tell_stuck(&self, is_stuck: bool) {
        if self.stuck.swap(is_stuck, SeqCst) != is_stuck {
            self.introduce();
        }
    }

    fn introduce(&self) {
        let program = std::env::args_os().next().unwrap_or_default();
        let program = Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (pid, since) = (std::process::id(), self.vfs.now().get());
        let note = match self.stuck.load(SeqCst) {
            false => format!("process {pid} ({program}), since {since} us after 1970"),
            // First what matters: there is room for 112 bytes.
            true => {
                format!("process {pid}, which cannot write its pages: close it if that lasts ({program})")
            }
        };
        store_note(&*self.area, self.process, &note);
    }
}

/// What a process says of itself.
fn note_of(area: &dyn SharedArea, process: usize) -> String {
    let words = &area.words()[layout::process(process)..][layout::NOTE];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let note = String::from_utf8_lossy(&bytes[..end]);
    note.chars().filter(|c| !c.is_control()).collect()
}

fn store_note(area: &dyn SharedArea, process: usize, note: &str) {
    let words = &area.words()[layout::process(process)..][layout::NOTE];
    let mut bytes = note.bytes().chain(std::iter::repeat(0));
    for word in words {
        let mut raw = [0; 8];
        raw.fill_with(|| bytes.next().unwrap_or(0));
        word.store(u64::from_le_bytes(raw), Relaxed);
    }
}

/// Checksum of the words of the header before it.
fn header_checksum(area: &dyn SharedArea) -> u64 {
    let words = &area.words()[..layout::HEADER_CHECKSUM];
    words.iter().fold(0, |seed, word| crc32c(seed, &word.load(Relaxed).to_le_bytes())).into()
}

impl Error {
    fn from_share(error: ShareError, path: &Path) -> Self {
        match error {
            ShareError::Io(source) => Self::io("open the file that processes share", source),
            other => Self::CannotShare(format!("{}: {other}", path.display())),
        }
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        // Whoever waits for this process need not wait for the end of a slice.
        self.word(layout::RELEASED).fetch_add(1, Release);
        self.area.wake(layout::RELEASED);
    }
}

impl fmt::Debug for Company {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Company(process {}, session {})", self.process, self.session)
    }
}
