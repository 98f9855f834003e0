//! The meta page: where everything else begins. The layout is described in `docs/format/file.md`.
//!
//! Even generations live in pages 0 and 16, odd ones in pages 1 and 17, so that writing one generation never
//! touches the other.

use std::fmt;

use llmdb_base::{
    ChildRef, Corruption, Epoch, Lsn, PAGE_SIZE, PageResult, Pgno, StoreId, Timestamp, TxnId,
    checksum::{crc32c, page_seed},
    codec::{get_i64, get_u32, get_u64, get_u128, put_i64, put_u32, put_u64, put_u128},
};

use crate::{
    map::INDEX_LEVELS_MAX,
    roots::{ROOTS_LEN, RootRecord, RootState},
};

/// Pages that hold meta data: two copies of the even generation, two of the odd one.
pub(crate) const FIXED_PAGES: [Pgno; 4] = [Pgno::new(0), Pgno::new(1), Pgno::new(16), Pgno::new(17)];
/// Pages of the smallest file.
pub(crate) const FILE_PAGES_MIN: u64 = 18;

const MAGIC_BYTES: [u8; 8] = *b"LLMDB\r\n\x1A";
/// Version of the data file that this program writes.
pub const FORMAT_VERSION: u32 = 1;

const PAGE_BYTES: u32 = 4096;
const _: () = assert!(PAGE_BYTES as usize == PAGE_SIZE);

const MAGIC: usize = 0;
const VERSION: usize = MAGIC + 8;
const PAGE_LEN: usize = VERSION + 4;
const STORE: usize = PAGE_LEN + 4;
const GENERATION: usize = STORE + 16;
const EPOCH: usize = GENERATION + 8;
const TXID: usize = EPOCH + 8;
const TIMESTAMP: usize = TXID + 8;
const LSN: usize = TIMESTAMP + 8;
const PAGE_COUNT: usize = LSN + 8;
const MAP_ROOT: usize = PAGE_COUNT + 8;
const MAP_LEVELS: usize = MAP_ROOT + 8;
const ROOTS: usize = MAP_LEVELS + 8;
const LOG_MARK: usize = ROOTS + ROOTS_LEN;
const GIVEN_UP_AFTER: usize = LOG_MARK + 8;
const GIVEN_UP_UNTIL: usize = GIVEN_UP_AFTER + 8;
const RESERVED: usize = GIVEN_UP_UNTIL + 8;
const CHECKSUM: usize = META_LEN - 4;
/// Bytes of a meta page that are used.
pub(crate) const META_LEN: usize = 512;

const _: () = assert!(RESERVED == 184 && RESERVED < CHECKSUM && META_LEN <= PAGE_SIZE);

/// What a meta page says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Meta {
    pub store: StoreId,
    /// Counts checkpoints. The newest intact one is current.
    pub generation: u64,
    pub root: RootRecord,
    /// Where the allocation map begins; none if only the meta pages are used.
    pub map_root: ChildRef,
    /// Levels of index pages above the pieces of the map.
    pub map_levels: u8,
    /// What the log must hold at least, in words of whoever keeps it; 0 if no log is needed.
    pub log_mark: u64,
    /// Which checkpoints were given up.
    pub given_up: GivenUp,
}

/// Checkpoints that the store went back behind, so that their pages say nothing of later ones: those with an epoch after
/// `after`, up to `until`. None if both are 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct GivenUp {
    pub after: Epoch,
    pub until: Epoch,
}

impl GivenUp {
    /// These, and those between `kept`, which the store goes on from, and `until`, behind which its epochs go on.
    pub fn and(self, kept: Epoch, until: Epoch) -> Self {
        let after = if self == Self::default() { kept } else { self.after.min(kept) };
        Self { after, until }
    }

    pub fn contains(self, epoch: Epoch) -> bool {
        self.after < epoch && epoch <= self.until
    }
}

impl Meta {
    /// Whether two pages describe the same generation. They may differ in how much of the log they know of, and of what was
    /// given up.
    fn is_same(&self, other: &Self) -> bool {
        let plain = |meta: &Self| Self { log_mark: 0, given_up: GivenUp::default(), ..*meta };
        plain(self) == plain(other)
    }

    /// What tells the better of two copies: they are written one after the other.
    fn rank(&self) -> (u64, u64, Epoch) {
        (self.generation, self.log_mark, self.given_up.until)
    }

    /// The pages where this generation is stored.
    pub fn slots(&self) -> [Pgno; 2] {
        slots_of(self.generation)
    }

    /// The bytes of this generation for its page `pgno`.
    pub fn encode(&self, pgno: Pgno) -> [u8; META_LEN] {
        let mut bytes = [0; META_LEN];
        bytes[MAGIC..VERSION].copy_from_slice(&MAGIC_BYTES);
        put_u32(&mut bytes, VERSION, FORMAT_VERSION);
        put_u32(&mut bytes, PAGE_LEN, PAGE_BYTES);
        put_u128(&mut bytes, STORE, self.store.get());
        put_u64(&mut bytes, GENERATION, self.generation);
        put_u64(&mut bytes, EPOCH, self.root.epoch.get());
        put_u64(&mut bytes, TXID, self.root.txid.get());
        put_i64(&mut bytes, TIMESTAMP, self.root.timestamp.get());
        put_u64(&mut bytes, LSN, self.root.lsn.get());
        put_u64(&mut bytes, PAGE_COUNT, self.root.page_count);
        put_u64(&mut bytes, MAP_ROOT, self.map_root.raw());
        bytes[MAP_LEVELS] = self.map_levels;
        bytes[ROOTS..LOG_MARK].copy_from_slice(&self.root.roots);
        put_u64(&mut bytes, LOG_MARK, self.log_mark);
        put_u64(&mut bytes, GIVEN_UP_AFTER, self.given_up.after.get());
        put_u64(&mut bytes, GIVEN_UP_UNTIL, self.given_up.until.get());
        let checksum = crc32c(page_seed(self.store, pgno), &bytes[..CHECKSUM]);
        put_u32(&mut bytes, CHECKSUM, checksum);
        bytes
    }

    /// What the bytes found in page `pgno` say.
    ///
    /// # Errors
    /// Why they say nothing.
    pub fn decode(bytes: &[u8; META_LEN], pgno: Pgno) -> Result<Self, SlotState> {
        if bytes[MAGIC..VERSION] != MAGIC_BYTES {
            return Err(SlotState::Foreign);
        }
        let store = StoreId::new(get_u128(bytes, STORE));
        let (found, expected) =
            (get_u32(bytes, CHECKSUM), crc32c(page_seed(store, pgno), &bytes[..CHECKSUM]));
        if found != expected {
            return Err(damaged(format_args!("checksum {found:08x}, expected {expected:08x}")));
        }
        match get_u32(bytes, VERSION) {
            FORMAT_VERSION => {}
            version if version > FORMAT_VERSION => return Err(SlotState::Newer { version }),
            version => return Err(damaged(format_args!("version {version} never existed"))),
        }
        let meta = Self {
            store,
            generation: get_u64(bytes, GENERATION),
            root: decode_root(bytes),
            map_root: ChildRef::from_raw(get_u64(bytes, MAP_ROOT)),
            map_levels: bytes[MAP_LEVELS],
            log_mark: get_u64(bytes, LOG_MARK),
            given_up: GivenUp {
                after: Epoch::new(get_u64(bytes, GIVEN_UP_AFTER)),
                until: Epoch::new(get_u64(bytes, GIVEN_UP_UNTIL)),
            },
        };
        meta.check(bytes, pgno).map(|()| meta)
    }

    /// Checks what a checksum cannot: that the fields can be true.
    fn check(&self, bytes: &[u8; META_LEN], pgno: Pgno) -> Result<(), SlotState> {
        let page_len = get_u32(bytes, PAGE_LEN);
        if page_len != PAGE_BYTES {
            return Err(damaged(format_args!("pages of {page_len} bytes, expected {PAGE_SIZE}")));
        }
        if !self.slots().contains(&pgno) {
            return Err(damaged(format_args!("generation {} does not belong in {pgno}", self.generation)));
        }
        let (generation, RootRecord { epoch, txid, lsn, .. }) = (self.generation, self.root);
        if [generation, epoch.get(), txid.get(), lsn.get(), self.log_mark]
            .into_iter()
            .any(|count| count > COUNT_MAX)
        {
            return Err(damaged(format_args!(
                "generation {generation}, {epoch}, {txid}, LSN {lsn} or log mark {} is out of bounds",
                self.log_mark
            )));
        }
        let GivenUp { after, until } = self.given_up;
        if after > until || until.get() > COUNT_MAX {
            return Err(damaged(format_args!(
                "checkpoints from {after} to {until} cannot have been given up"
            )));
        }
        let page_count = self.root.page_count;
        if !(FILE_PAGES_MIN..=Pgno::MAX.get() + 1).contains(&page_count) {
            return Err(damaged(format_args!("page count {page_count} is out of bounds")));
        }
        if self.map_levels > INDEX_LEVELS_MAX {
            return Err(damaged(format_args!(
                "map of {} levels, at most {INDEX_LEVELS_MAX}",
                self.map_levels
            )));
        }
        let reserved = bytes[MAP_LEVELS + 1..ROOTS].iter().chain(&bytes[RESERVED..CHECKSUM]);
        if reserved.into_iter().any(|byte| *byte != 0) {
            return Err(damaged(format_args!("reserved bytes are not zero")));
        }
        Ok(())
    }
}

/// What generations, epochs, transactions and LSNs have counted up to at most.
pub(crate) const COUNT_MAX: u64 = 1 << 60;

impl RootState {
    /// Refuses a state from which nobody could count on for ever: no store gets there by itself, and what is written
    /// behind the end would not be found again.
    ///
    /// # Errors
    /// Corruption.
    pub fn check_room(&self) -> PageResult<()> {
        check_room(&format!("{}, LSN {}", self.txid, self.lsn), &[self.txid.get(), self.lsn.get()])
    }
}

impl Meta {
    /// As [`RootState::check_room`], of all that is counted.
    pub fn check_room(&self) -> PageResult<()> {
        self.root.state().check_room()?;
        let (generation, epoch, mark) = (self.generation, self.root.epoch, self.log_mark);
        let what = format!("generation {generation}, {epoch}, log mark {mark}");
        check_room(&what, &[generation, epoch.get(), mark])
    }
}

fn check_room(what: &str, counts: &[u64]) -> PageResult<()> {
    if counts.iter().all(|count| *count <= COUNT_MAX / 2) {
        return Ok(());
    }
    let what = format!("{what}: counted so far that nothing can be written behind it");
    Err(Corruption::new(FIXED_PAGES[0], what).into())
}

fn decode_root(bytes: &[u8; META_LEN]) -> RootRecord {
    let mut roots = [0; ROOTS_LEN];
    roots.copy_from_slice(&bytes[ROOTS..LOG_MARK]);
    let state = RootState {
        txid: TxnId::new(get_u64(bytes, TXID)),
        timestamp: Timestamp::new(get_i64(bytes, TIMESTAMP)),
        lsn: Lsn::new(get_u64(bytes, LSN)),
        roots,
    };
    RootRecord::new(Epoch::new(get_u64(bytes, EPOCH)), get_u64(bytes, PAGE_COUNT), state)
}

/// The pages where `generation` is stored.
pub(crate) fn slots_of(generation: u64) -> [Pgno; 2] {
    if generation.is_multiple_of(2) {
        [FIXED_PAGES[0], FIXED_PAGES[2]]
    } else {
        [FIXED_PAGES[1], FIXED_PAGES[3]]
    }
}

/// The generation after `newest` that lies in other pages than `kept`, which must outlive its writing.
pub(crate) fn generation_after(newest: u64, kept: u64) -> u64 {
    let next = newest + 1;
    if next % 2 == kept % 2 { next + 1 } else { next }
}

/// What the four meta pages held when the store was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetaReport {
    /// Pages 0, 1, 16 and 17, in this order.
    pub slots: [SlotReport; 4],
}

impl MetaReport {
    /// The last transaction that one of them knows of.
    pub fn newest_txid(&self) -> TxnId {
        let known = self.slots.iter().filter_map(|slot| match slot.state {
            SlotState::Valid { txid, .. } => Some(txid),
            _ => None,
        });
        known.max().unwrap_or(TxnId::new(0))
    }

    /// The pages that do not hold what they should. Repair with [`crate::Pager::repair_meta`].
    pub fn damaged(&self) -> impl Iterator<Item = &SlotReport> {
        self.slots.iter().filter(|slot| !matches!(slot.state, SlotState::Valid { .. }))
    }
}

/// What one meta page held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotReport {
    /// The page.
    pub pgno: Pgno,
    /// What it held.
    pub state: SlotState,
}

/// State of a meta page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SlotState {
    /// Intact.
    Valid {
        /// The generation it describes.
        generation: u64,
        /// Epoch of the root of that generation.
        epoch: Epoch,
        /// Last transaction in it.
        txid: TxnId,
    },
    /// It does not begin like a meta page.
    Foreign,
    /// Intact, and of a version that this program does not know.
    Newer {
        /// The version.
        version: u32,
    },
    /// Torn, rotten, unreadable, or not of this store.
    Damaged {
        /// What is wrong.
        what: String,
    },
}

impl fmt::Display for MetaReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, slot) in self.slots.iter().enumerate() {
            let comma = if index == 0 { "" } else { "; " };
            write!(f, "{comma}{}: {}", slot.pgno, slot.state)?;
        }
        Ok(())
    }
}

impl fmt::Display for SlotState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Valid { generation, epoch, .. } => write!(f, "generation {generation}, {epoch}"),
            Self::Foreign => f.write_str("not a meta page"),
            Self::Newer { version } => write!(f, "version {version}"),
            Self::Damaged { what } => f.write_str(what),
        }
    }
}

pub(crate) fn damaged(what: impl fmt::Display) -> SlotState {
    SlotState::Damaged { what: what.to_string() }
}

/// The generations to work with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Generations {
    pub newest: Meta,
    /// The one before, if an intact copy of it is left.
    pub older: Option<Meta>,
}

impl Generations {
    /// Notes that a checkpoint may have been lost, and the store with it gone back, if no intact copy of a generation is left:
    /// nobody knows whether that was the newer one. A crash damages one copy at most. `last_epoch` lies behind every epoch
    /// of the lost one.
    pub fn note_lost(&mut self, report: &MetaReport, last_epoch: Epoch) {
        if self.older.is_none() && report.damaged().next().is_some() {
            self.newest.given_up = self.newest.given_up.and(self.newest.root.epoch, last_epoch);
        }
    }
}

/// Chooses among what the four pages hold: the newest generation with an intact copy, and the one before. Says
/// in the report what was wrong with the others.
pub(crate) fn select(slots: [Result<Meta, SlotState>; 4]) -> (Option<Generations>, MetaReport) {
    let newest = slots.iter().flatten().copied().max_by_key(Meta::rank);
    let of_this_store = |meta: &&Meta| newest.is_some_and(|newest| newest.store == meta.store);
    let older = slots.iter().flatten().filter(of_this_store).copied();
    let older = older.filter(|meta| Some(meta.generation) < newest.map(|newest| newest.generation));
    let generations = newest.map(|newest| Generations { newest, older: older.max_by_key(Meta::rank) });
    let mut index = 0;
    let slots = slots.map(|slot| {
        let pgno = FIXED_PAGES[index];
        index += 1;
        let state = slot.map_or_else(|state| state, |meta| judge(&meta, generations.as_ref()));
        SlotReport { pgno, state }
    });
    (generations, MetaReport { slots })
}

/// An intact page is still wrong if it describes neither of the two generations.
fn judge(meta: &Meta, generations: Option<&Generations>) -> SlotState {
    let known = generations.is_some_and(|known| {
        known.newest.is_same(meta) || known.older.is_some_and(|older| older.is_same(meta))
    });
    if known {
        let RootRecord { epoch, txid, .. } = meta.root;
        return SlotState::Valid { generation: meta.generation, epoch, txid };
    }
    damaged(format_args!(
        "generation {} of store {}, which is not one of the last two",
        meta.generation, meta.store
    ))
}

#[cfg(test)]
mod tests;
