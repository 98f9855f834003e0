//! Readers that stay long: who they are, what they keep from being used again, and what is done about it.

use std::{
    fmt,
    sync::atomic::{AtomicI64, Ordering::Relaxed},
};

use llmdb_base::{
    PAGE_SIZE, Timestamp, TxnId,
    sync::{Mutex, lock},
};
use llmdb_pager::{Holder, Note, READER_NAME_LEN};

use crate::{Engine, Error, LongReaders, Result, Snapshot, engine::Shared, snapshot::Resting};

/// Shortest and longest time between two looks at the readers.
const LOOK_US: std::ops::RangeInclusive<i64> = 10_000..=1_000_000;

/// A snapshot that somebody holds.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Reader {
    /// What it was called, or the thread that took it.
    pub name: String,
    /// When it was taken, give or take some milliseconds.
    pub since: Timestamp,
    /// Last transaction that it shows.
    pub txid: TxnId,
    /// Bytes of the file that would be free without it.
    pub held_bytes: u64,
    /// Bytes of the file that it keeps from being used together with other snapshots or checkpoints.
    pub shared_bytes: u64,
    /// Whether it is a [`crate::LeasedSnapshot`], which may be ended.
    pub is_leased: bool,
    /// Whether it belongs to another process that shares the store.
    pub is_elsewhere: bool,
    /// Whether something is borrowed from it at this moment. A leased one is ended only while there is not.
    pub is_busy: bool,
}

impl Reader {
    fn of(holder: &Holder) -> Self {
        Self {
            name: decode_name(&holder.note.name),
            since: Timestamp::new(holder.note.since),
            txid: holder.txid,
            held_bytes: holder.alone_pages * PAGE_SIZE as u64,
            shared_bytes: holder.shared_pages * PAGE_SIZE as u64,
            is_leased: holder.may_end,
            is_elsewhere: !holder.is_here,
            is_busy: !holder.is_resting,
        }
    }
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, txid, held_bytes, shared_bytes, .. } = self;
        write!(
            f,
            "the snapshot of {name}, of {txid}, holds back {held_bytes} bytes alone, and {shared_bytes} with others"
        )
    }
}

impl Engine {
    /// Every snapshot that somebody holds, with what it keeps from being used again: exactly, as of the last commit.
    /// Cost: looks at every range of freed pages.
    pub fn readers(&self) -> Vec<Reader> {
        self.shared.pager.holders().iter().map(Reader::of).collect()
    }
}

/// What is remembered between two looks at the readers.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    next_look: AtomicI64,
    warned: Mutex<Vec<Holder>>,
}

impl Shared {
    /// Looks for readers that stay too long, if it is time to: `now` is when the last transaction was committed.
    pub(crate) fn look_at_readers(&self, now: Timestamp) {
        let (after_us, held_bytes_max) = match self.options.long_readers {
            LongReaders::Wait => return,
            LongReaders::Warn { after_us } => (after_us, u64::MAX),
            LongReaders::End { after_us, held_bytes_max } => (after_us, held_bytes_max),
        };
        let next = self.watch.next_look.load(Relaxed);
        let pause = i64::try_from(after_us / 4).unwrap_or(i64::MAX).clamp(*LOOK_US.start(), *LOOK_US.end());
        let later = now.get().saturating_add(pause);
        // The clock may have been set back: a look too many harms nobody.
        let is_time = now.get() >= next || next > later;
        let mine = is_time && self.watch.next_look.compare_exchange(next, later, Relaxed, Relaxed).is_ok();
        if mine && self.pager.stats().readers > 0 {
            self.judge_readers(now, after_us, held_bytes_max);
        }
    }

    /// Looks for leases that hold too much: after a checkpoint, when it can be told.
    pub(crate) fn look_at_leases(&self) {
        if let LongReaders::End { after_us, held_bytes_max } = self.options.long_readers {
            self.judge_readers(self.vfs.coarse_now(), after_us, held_bytes_max);
        }
    }

    fn judge_readers(&self, now: Timestamp, after_us: u64, held_bytes_max: u64) {
        let age_us =
            |holder: &Holder| u64::try_from(now.get().saturating_sub(holder.note.since)).unwrap_or(0);
        let is_long = |holder: &Holder| {
            let loose_bytes = holder.loose_pages.saturating_mul(PAGE_SIZE as u64);
            age_us(holder) >= after_us || loose_bytes > held_bytes_max
        };
        let may_end = matches!(self.options.long_readers, LongReaders::End { .. });
        // The oldest first, and then a look at what the others hold without it.
        while let Some(holder) = may_end.then(|| self.oldest_to_end(is_long)).flatten() {
            if !self.pager.end_reader(&holder) {
                // It has just woken up: next time.
                break;
            }
            let (path, age_us, reader) = (self.path.display(), age_us(&holder), Reader::of(&holder));
            log::warn!("{path}: ended after {age_us} us: {reader}");
        }
        let mut warned = lock(&self.watch.warned);
        let holders = self.pager.holders();
        warned.retain(|known| holders.iter().any(|holder| holder.is_same(known)));
        for holder in holders.into_iter().filter(|holder| age_us(holder) >= after_us) {
            if !warned.iter().any(|known| known.is_same(&holder)) {
                log::warn!("{}: for {} us, {}", self.path.display(), age_us(&holder), Reader::of(&holder));
                warned.push(holder);
            }
        }
    }

    /// Of the leases that are long and at rest, the oldest.
    fn oldest_to_end(&self, is_long: impl Fn(&Holder) -> bool) -> Option<Holder> {
        let holders = self.pager.holders().into_iter();
        holders.filter(|holder| holder.is_resting && is_long(holder)).min_by_key(|holder| holder.epoch)
    }

    /// What a snapshot called `name`, or after its thread, says of itself.
    pub(crate) fn note(&self, name: Option<&str>) -> Note {
        let name = name.map_or_else(thread_name, encode_name);
        Note { since: self.vfs.coarse_now().get(), name }
    }
}

type Name = [u8; READER_NAME_LEN];

fn encode_name(name: &str) -> Name {
    let mut bytes = [0; READER_NAME_LEN];
    let mut len = name.len().min(READER_NAME_LEN);
    while !name.is_char_boundary(len) {
        len -= 1;
    }
    bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
    bytes
}

fn decode_name(bytes: &Name) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

/// The name of this thread, found out once.
fn thread_name() -> Name {
    thread_local! {
        static NAME: Name = {
            let thread = std::thread::current();
            let id = format!("{:?}", thread.id());
            encode_name(thread.name().unwrap_or(&id))
        };
    }
    // A thread that is ending has no name any more.
    NAME.try_with(|name| *name).unwrap_or_default()
}

/// A snapshot that may be ended when it has been held for too long, see [`LongReaders::End`]: for readers that come
/// back again and again, such as a report that is written for an hour.
///
/// What it shows can be looked at only inside [`LeasedSnapshot::read`], so that nothing is borrowed from it in
/// between. Between two calls its lease may be ended; then the next call says so, and no call ever sees anything but
/// the state of its one commit.
#[derive(Debug)]
pub struct LeasedSnapshot {
    /// `None` when it was ended, or a reading function panicked.
    resting: Option<Resting>,
    txid: TxnId,
    timestamp: Timestamp,
}

impl LeasedSnapshot {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        let (txid, timestamp) = (snapshot.txid(), snapshot.timestamp());
        Self { resting: Some(snapshot.rest()), txid, timestamp }
    }

    /// Id of the last transaction that it shows.
    pub fn txid(&self) -> TxnId {
        self.txid
    }

    /// When that transaction was committed.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Reads. Nothing that is borrowed from the snapshot can leave `read`; copy what is needed. The lease is not ended
    /// while `read` runs, so it should not run for long. Cost: two atomic operations more than reading a snapshot.
    ///
    /// # Errors
    /// [`Error::SnapshotTooOld`] if the lease was ended; `read` is not called then. What `read` returns is passed on
    /// as it is.
    pub fn read<R>(&mut self, read: impl FnOnce(&Snapshot) -> R) -> Result<R> {
        let snapshot = self.wake()?;
        let result = read(&snapshot);
        self.rest(snapshot);
        Ok(result)
    }

    /// Takes the snapshot out, so that its lease cannot be ended.
    ///
    /// # Errors
    /// As [`LeasedSnapshot::read`].
    #[doc(hidden)]
    pub fn wake(&mut self) -> Result<Snapshot> {
        let too_old = Error::SnapshotTooOld { txid: self.txid };
        self.resting.take().and_then(Resting::wake).ok_or(too_old)
    }

    /// Puts the snapshot back. Its lease may be ended from here on.
    #[doc(hidden)]
    pub fn rest(&mut self, snapshot: Snapshot) {
        self.resting = Some(snapshot.rest());
    }
}

impl Engine {
    /// As [`Engine::snapshot`], under a name that [`Engine::readers`] and warnings show. 32 bytes of it are kept.
    ///
    /// # Errors
    /// As [`Engine::snapshot`].
    pub fn snapshot_named(&self, name: &str) -> Result<Snapshot> {
        let note = self.shared.note(Some(name));
        Snapshot::with_note(&self.shared, llmdb_pager::Visible::Published, note)
    }

    /// The newest durable state, under a lease that may be ended, see [`LeasedSnapshot`].
    ///
    /// # Errors
    /// As [`Engine::snapshot`].
    pub fn leased_snapshot(&self, name: &str) -> Result<LeasedSnapshot> {
        Ok(LeasedSnapshot::new(self.snapshot_named(name)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(decode_name(&encode_name("report")), "report");
        let long = "ä".repeat(20);
        assert_eq!(decode_name(&encode_name(&format!("x{long}"))), format!("x{}", "ä".repeat(15)));
        assert_eq!(decode_name(&encode_name("")), "");
        let named = std::thread::Builder::new().name("nightly".into()).spawn(thread_name).unwrap();
        assert_eq!(decode_name(&named.join().unwrap()), "nightly");
        let unnamed = std::thread::spawn(thread_name).join().unwrap();
        assert!(decode_name(&unnamed).starts_with("ThreadId"), "{}", decode_name(&unnamed));
    }
}
