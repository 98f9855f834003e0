//! A disk whose power can fail at any call, and whose every call can fail.
//!
//! The disk is in memory and repeats exactly: what it does follows from its seed and from the calls made. It is
//! harsher than real ones, so that what survives here survives there:
//!
//! | what the process did | what a power failure may leave |
//! |---|---|
//! | `write_at` | each 512-byte sector in any version since it was last forced, each for itself |
//! | `write_durable_at`, a ring's write | the same, until the call returns or `wait` delivers the completion |
//! | `sync_data` returned | all that was written before; not what a ring has under way |
//! | the file grew or was cut | any of its lengths since the last sync; what was never written reads as zeros |
//! | created, renamed, removed a file | each change kept or lost for itself, each atomic, until `sync_dir` |
//! | stored into a [`crate::Mapping`] | nothing |
//!
//! A failed `sync_data` leaves some sectors forced and some not, marks all of them clean and keeps them visible;
//! the next one succeeds. A failed direct write leaves some sectors written. A planned failure may also be one that
//! nobody is told of: a write or sync that is lost, a block that is written to or read from the wrong place
//! ([`Failure::Lost`], [`Failure::Misdirected`]).
//!
//! Several processes can use one disk: [`CrashVfs::process`] begins one, [`CrashVfs::kill`] ends it at any call.
//!
//! The power fails on a *copy*: [`CrashVfs::crash_point`] takes the moment, [`CrashPoint::crash`] makes a disk as
//! it may be found afterwards, and the running disk goes on. An observer is told of every call that is about to
//! change something, so that one run of a program shows all moments at which its power may fail.

mod chooser;
mod fault;
mod file;
mod image;
mod inode;
mod names;
mod point;
mod ring;
mod share;
mod state;
mod volume;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use chooser::{Chooser, mix};
pub use fault::{Failure, Fault, OpKind};
pub use point::{CrashPoint, CrashStates, Preset};

use image::{PAGE, SECTOR};
use inode::Inode;
use state::State;

/// A call that is about to change something.
#[derive(Clone, Copy, Debug)]
pub struct Op<'a> {
    /// Number of the call, counted over the whole disk from 0.
    pub index: u64,
    /// What it does.
    pub kind: OpKind,
    /// The file or folder that it changes.
    pub path: &'a Path,
    /// Where in the file, in bytes; 0 for calls that have no place.
    pub offset: u64,
    /// How many bytes; 0 for calls that have no length.
    pub len: u64,
    /// The process that calls; the first one is 0.
    pub process: u32,
}

/// Told of every call that is about to change something, before it does. It may look at the disk, and take crash
/// points, but must not change it.
pub type Observer = Arc<dyn Fn(&CrashVfs, &Op<'_>) + Send + Sync>;

/// The crashable disk. See [the module](self). Clones show the same disk to the same process; [`CrashVfs::fork`] makes
/// another disk.
///
/// One thread at a time should use it: with more, it stays correct, but does not repeat.
#[derive(Clone)]
pub struct CrashVfs {
    shared: Arc<Shared>,
    /// Which of the processes on this disk uses it through this value.
    process: u32,
}

struct Shared {
    state: Mutex<State>,
    observer: Mutex<Option<Observer>>,
}

impl CrashVfs {
    /// An empty disk. Its own choices (order of completions, what a failed sync leaves) follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self::from_state(State::new(seed))
    }

    fn from_state(state: State) -> Self {
        let shared = Shared { state: Mutex::new(state), observer: Mutex::new(None) };
        Self { shared: Arc::new(shared), process: 0 }
    }

    /// The present moment, as one at which the power may fail. Cost: about a microsecond, and one more for each
    /// dozen of sectors that are not forced.
    pub fn crash_point(&self) -> CrashPoint {
        CrashPoint::new(self.state().clone())
    }

    /// A disk that may be found if the power fails now; `chooser` draws which. No locks are held on it, and no
    /// faults are planned.
    pub fn crash(&self, chooser: &mut Chooser) -> Self {
        self.crash_point().crash(chooser)
    }

    /// All disks that may be found if the power fails now; `None` if they are more than `limit`.
    pub fn crash_states(&self, limit: u64) -> Option<CrashStates> {
        self.crash_point().states(limit)
    }

    /// The disk as another process finds it after this one was killed: the page cache survives, and a crash may
    /// still lose what was not forced. `chooser` draws how far the writes of rings got.
    pub fn process_crash(&self, chooser: &mut Chooser) -> Self {
        let state = self.state().clone();
        let mut inodes = state.inodes.clone();
        let named = state.names.reachable();
        inodes.retain(|ino, _| named.contains(ino));
        for inode in inodes.values_mut() {
            inode.forget_users();
            inode.abandon_direct(|_| true, chooser);
        }
        Self::from_state(state.restarted(state.names.clone(), inodes, chooser.next_u64()))
    }

    /// Another disk with the same contents, forced and not, and no locks, faults or observer.
    pub fn fork(&self) -> Self {
        let state = self.state().clone();
        let seed = state.chooser.clone().next_u64();
        Self::from_state(state.restarted(state.names.clone(), state.inodes.clone(), seed))
    }

    /// Another process on the same disk.
    pub fn process(&self) -> Self {
        let mut state = self.state();
        let process = state.process_count;
        state.process_count += 1;
        drop(state);
        Self { shared: Arc::clone(&self.shared), process }
    }

    /// The number of the process that uses the disk through this value.
    pub fn process_number(&self) -> u32 {
        self.process
    }

    /// Kills this process, as `kill -9` does: its locks end, its writes under way arrive in part, and the others go
    /// on. An observer may do it in the middle of a call, which then is not made; a `write_at` may be made in part.
    ///
    /// The code of the process may go on: every further call fails, and neither it nor a store into a
    /// [`crate::SharedArea`] has any effect on the others.
    pub fn kill(&self) {
        self.state().kill(self.process);
    }

    /// Whether this process was killed.
    pub fn is_killed(&self) -> bool {
        self.state().killed.contains(&self.process)
    }

    fn check_alive(&self) -> io::Result<()> {
        if self.is_killed() { Err(file::killed()) } else { Ok(()) }
    }

    /// Has `observer` told of every call that changes something, from now on; `None` to have nobody told.
    pub fn observe(&self, observer: Option<Observer>) {
        *lock(&self.shared.observer) = observer;
    }

    /// Plans a failure, in addition to those planned before.
    pub fn plan(&self, fault: Fault) {
        self.state().faults.plan(fault);
    }

    /// Takes back all planned failures.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Number of calls of a kind so far.
    pub fn call_count(&self, kind: OpKind) -> u64 {
        self.state().faults.count(kind)
    }

    /// Number of calls that change something so far: the index of the next one.
    pub fn op_count(&self) -> u64 {
        self.state().op_count
    }

    /// Number of calls that failed so far: as planned, or for lack of space.
    pub fn failed_count(&self) -> u64 {
        self.state().faults.failed_count()
    }

    /// Lets every sync and every direct write promise durability without giving it, or be honest again.
    pub fn set_sync_lies(&self, lies: bool) {
        self.state().sync_lies = lies;
    }

    /// Limits the space of all files together, in bytes; `None` for no limit. Space is taken in pages of 4 KiB.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity_pages = bytes.map(|bytes| bytes / PAGE as u64);
    }

    /// Space that all files take together, in bytes.
    pub fn used_bytes(&self) -> u64 {
        let state = self.state();
        state.inodes.values().map(|inode| inode.current.used_pages()).sum::<u64>() * PAGE as u64
    }

    /// Lets virtual time pass.
    pub fn advance_us(&self, us: u64) {
        self.state().clock_us += us;
    }

    /// Names and lengths of all files, sorted by name.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.state();
        state.names.files().map(|(path, ino)| (path.to_path_buf(), state.inodes[&ino].len)).collect()
    }

    /// Inverts one bit of what is stored: the media rots, and the page cache shows it.
    ///
    /// # Errors
    /// `NotFound`; `UnexpectedEof` if the file ends before.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u32) -> io::Result<()> {
        let mut byte = [0];
        self.damage(path, offset, 1, |inode| {
            inode.read(&mut byte, offset);
            byte[0] ^= 1 << (bit % 8);
            byte.to_vec()
        })
    }

    /// Replaces stored bytes: a misdirected write, or somebody else's.
    ///
    /// # Errors
    /// `NotFound`; `UnexpectedEof` if the file ends before.
    pub fn overwrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.damage(path, offset, bytes.len() as u64, |_| bytes.to_vec())
    }

    fn damage(
        &self,
        path: &Path,
        offset: u64,
        len: u64,
        bytes: impl FnOnce(&mut Inode) -> Vec<u8>,
    ) -> io::Result<()> {
        let mut state = self.state();
        let ino = state.names.file(&names::normal(path))?;
        let seq = state.number();
        let inode = state.inode(ino);
        if offset + len > inode.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let bytes = bytes(inode);
        inode.write(seq, offset, &bytes, inode::Route::Direct);
        inode.force(seq, offset, bytes.len());
        Ok(())
    }

    /// Forgets the page cache: what failed syncs lost is no longer visible. What still waits for a sync stays.
    pub fn drop_cache(&self) {
        self.state().inodes.values_mut().for_each(Inode::drop_cache);
    }

    /// Whether nothing would be lost if the power failed now.
    pub fn is_settled(&self) -> bool {
        let state = self.state();
        state.names.pending().next().is_none() && state.inodes.values().all(Inode::is_settled)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    /// Counts a call that changes something, tells the observer, and says how it fails, if it does.
    fn begin(&self, kind: OpKind, path: &Path, offset: u64, len: u64) -> Option<Failure> {
        let (index, failure) = {
            let mut state = self.state();
            if state.killed.contains(&self.process) {
                return Some(Failure::Killed);
            }
            state.tick();
            state.op_count += 1;
            (state.op_count - 1, state.faults.next(kind))
        };
        let observer = lock(&self.shared.observer).clone();
        if let Some(observer) = observer {
            observer(self, &Op { index, kind, path, offset, len, process: self.process });
        }
        self.or_killed(failure)
    }

    /// The same for calls that only look: the observer need not know.
    fn look(&self, kind: OpKind) -> Option<Failure> {
        let failure = {
            let mut state = self.state();
            state.tick();
            if state.killed.contains(&self.process) { None } else { state.faults.next(kind) }
        };
        self.or_killed(failure)
    }

    /// Death comes before any other failure.
    fn or_killed(&self, failure: Option<Failure>) -> Option<Failure> {
        if failure == Some(Failure::Killed) {
            self.kill();
        }
        if self.is_killed() { Some(Failure::Killed) } else { failure }
    }
}

impl fmt::Debug for CrashVfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        write!(f, "CrashVfs({} files, {} calls)", state.names.files().count(), state.op_count)
    }
}

/// Locks a mutex of this disk, which is whole whenever it is not locked, also after a panic elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const _: () = assert!(PAGE.is_multiple_of(SECTOR) && PAGE == crate::BLOCK_SIZE);
