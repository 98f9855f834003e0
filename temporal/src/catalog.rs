//! What the store keeps about itself, in one tree: collections, epochs, commits, and which rows each commit changed.

use llmdb_base::{Timestamp, TxnId, codec};
use llmdb_engine::{TreeMut, TreeRef, WriteTxn};

use crate::{BEGINNING, Error, Result, record::ascending};

/// The tree with all of it.
pub(crate) const META: &str = "_time";
const COLLECTION: u8 = b'c';
const EPOCH: u8 = b'e';
const NEXT_ID: u8 = b'n';
const SPARSE_TIME: u8 = b's';
const COMMIT: u8 = b't';
const CHANGE: u8 = b'x';
/// Commits whose numbers agree in all but the lowest bits share an entry that leads from times to numbers.
const SPARSE_BITS: u32 = 6;

/// What a collection remembers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum History {
    /// Everything, in both times.
    Bitemporal {
        /// The state of the collection is copied each time it has changed by this many percent, so that a scan as of an
        /// old commit finds what was believed then side by side. Fewer: faster scans, more copies. `None`: no copies.
        copy_percent: Option<u16>,
    },
    /// Nothing: each row has the value that was put last.
    Plain,
}

impl Default for History {
    fn default() -> Self {
        Self::Bitemporal { copy_percent: Some(100) }
    }
}

/// A collection, as the catalog knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Info {
    pub id: u32,
    pub name: String,
    pub history: History,
    /// Whether writes need a guard.
    pub is_guarded: bool,
}

const ID: usize = 0;
const FLAGS: usize = ID + 4;
const PERCENT: usize = FLAGS + 1;
const INFO_LEN: usize = PERCENT + 2;

const BITEMPORAL: u8 = 1;
const GUARDED: u8 = 2;

impl Info {
    /// Name of one of its trees.
    pub(crate) fn tree(&self, part: Part) -> String {
        let part = match part {
            Part::Now => "now",
            Part::Past => "past",
            Part::Closed => "closed",
            Part::Copy => "copy",
        };
        [META, "/", &self.id.to_string(), "/", part].concat()
    }

    pub(crate) fn parts(&self) -> &'static [Part] {
        match self.history {
            History::Plain => &[Part::Now],
            History::Bitemporal { .. } => &[Part::Now, Part::Past, Part::Closed, Part::Copy],
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; INFO_LEN];
        codec::put_u32(&mut bytes, ID, self.id);
        if let History::Bitemporal { copy_percent } = self.history {
            bytes[FLAGS] = BITEMPORAL;
            codec::put_u16(&mut bytes, PERCENT, copy_percent.unwrap_or_default());
        }
        if self.is_guarded {
            bytes[FLAGS] |= GUARDED;
        }
        bytes
    }

    pub(crate) fn decode(name: &str, bytes: &[u8]) -> Result<Self> {
        if bytes.len() != INFO_LEN || bytes[FLAGS] > BITEMPORAL | GUARDED {
            return Err(damaged(format!("the record of collection {name:?}")));
        }
        let percent = codec::get_u16(bytes, PERCENT);
        let history = match bytes[FLAGS] & BITEMPORAL {
            0 => History::Plain,
            _ => History::Bitemporal { copy_percent: (percent > 0).then_some(percent) },
        };
        let is_guarded = bytes[FLAGS] & GUARDED != 0;
        Ok(Self { id: codec::get_u32(bytes, ID), name: name.to_owned(), history, is_guarded })
    }
}

/// The trees of a collection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// What is believed of the present and the future, as of each moment.
    Now,
    /// What was asserted of times that had passed, and is still believed.
    Past,
    /// What is no longer believed, of both.
    Closed,
    /// Copies of the first tree.
    Copy,
}

/// A stretch of system time of a collection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Epoch {
    pub number: u32,
    /// The copy shows what was believed at this moment; what ended later belongs to this epoch.
    pub begin: Timestamp,
    pub copy: CopyState,
    /// Closed records and present ones when it began.
    pub closed_at_begin: u64,
    pub now_at_begin: u64,
}

/// How far the copy at the beginning of an epoch is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum CopyState {
    Complete,
    /// Copied up to this row.
    UpTo(Vec<u8>),
}

const NUMBER: usize = 0;
const CLOSED_AT_BEGIN: usize = NUMBER + 4;
const NOW_AT_BEGIN: usize = CLOSED_AT_BEGIN + 8;
const IS_COMPLETE: usize = NOW_AT_BEGIN + 8;
const CURSOR: usize = IS_COMPLETE + 1;

impl Epoch {
    /// The epoch that every collection begins with.
    pub(crate) fn first() -> Self {
        let copy = CopyState::Complete;
        Self { number: 1, begin: BEGINNING, copy, closed_at_begin: 0, now_at_begin: 0 }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; CURSOR];
        codec::put_u32(&mut bytes, NUMBER, self.number);
        codec::put_u64(&mut bytes, CLOSED_AT_BEGIN, self.closed_at_begin);
        codec::put_u64(&mut bytes, NOW_AT_BEGIN, self.now_at_begin);
        match &self.copy {
            CopyState::Complete => bytes[IS_COMPLETE] = 1,
            CopyState::UpTo(row) => bytes.extend_from_slice(row),
        }
        bytes
    }

    pub(crate) fn decode(key: &[u8], bytes: &[u8]) -> Result<Self> {
        let begin = key.get(5..).and_then(|raw| <[u8; 8]>::try_from(raw).ok());
        let (Some(begin), Some((head, cursor))) = (begin, bytes.split_at_checked(CURSOR)) else {
            return Err(damaged("the record of an epoch".into()));
        };
        let copy = match head[IS_COMPLETE] {
            1 => CopyState::Complete,
            _ => CopyState::UpTo(cursor.to_vec()),
        };
        Ok(Self {
            number: codec::get_u32(head, NUMBER),
            begin: Timestamp::new((u64::from_be_bytes(begin) ^ 1 << 63).cast_signed()),
            copy,
            closed_at_begin: codec::get_u64(head, CLOSED_AT_BEGIN),
            now_at_begin: codec::get_u64(head, NOW_AT_BEGIN),
        })
    }
}

pub(crate) fn damaged(what: String) -> Error {
    Error::Corruption { tree: META.into(), what }
}

pub(crate) fn collection_key(name: &str) -> Vec<u8> {
    [&[COLLECTION][..], name.as_bytes()].concat()
}

pub(crate) fn epoch_key(id: u32, begin: Timestamp) -> Vec<u8> {
    [&[EPOCH][..], &id.to_be_bytes(), &ascending(begin)].concat()
}

fn commit_key(txid: TxnId) -> Vec<u8> {
    [&[COMMIT][..], &txid.get().to_be_bytes()].concat()
}

fn sparse_key(timestamp: Timestamp) -> Vec<u8> {
    [&[SPARSE_TIME][..], &ascending(timestamp)].concat()
}

pub(crate) fn change_key(txid: TxnId, id: u32, row: &[u8]) -> Vec<u8> {
    [&[CHANGE][..], &txid.get().to_be_bytes(), &id.to_be_bytes(), row].concat()
}

/// Length of what stands before the row in the key of a change.
pub(crate) const CHANGE_ROW: usize = 1 + 8 + 4;

/// Transaction and collection of a change, from its key.
pub(crate) fn decode_change(key: &[u8]) -> Result<(TxnId, u32, &[u8])> {
    let parts = key.get(1..9).zip(key.get(9..CHANGE_ROW)).and_then(|(txid, id)| {
        Some((u64::from_be_bytes(txid.try_into().ok()?), u32::from_be_bytes(id.try_into().ok()?)))
    });
    let (txid, id) = parts.ok_or_else(|| damaged("the record of a change".into()))?;
    Ok((TxnId::new(txid), id, &key[CHANGE_ROW..]))
}

/// The catalog in a transaction that changes it.
pub(crate) fn take_id(txn: &mut WriteTxn<'_>) -> Result<u32> {
    let mut meta = txn.tree(META)?;
    let last = match meta.get([NEXT_ID])? {
        Some(bytes) if bytes.len() == 4 => codec::get_u32(bytes, 0),
        Some(_) => return Err(damaged("the number of the next collection".into())),
        None => 0,
    };
    let id = last + 1;
    meta.put([NEXT_ID], id.to_le_bytes())?;
    Ok(id)
}

/// Notes a commit: its number, its time.
pub(crate) fn note_commit(txn: &mut WriteTxn<'_>, txid: TxnId, timestamp: Timestamp) -> Result<()> {
    let mut meta = txn.tree(META)?;
    let last = last_commit(&meta)?;
    meta.put(commit_key(txid), timestamp.get().to_le_bytes())?;
    if last.is_none_or(|last| last.get() >> SPARSE_BITS != txid.get() >> SPARSE_BITS) {
        meta.put(sparse_key(timestamp), txid.get().to_le_bytes())?;
    }
    Ok(())
}

fn last_commit(meta: &TreeMut<'_, '_>) -> Result<Option<TxnId>> {
    let last = meta.range(commit_key(TxnId::new(0))..=commit_key(TxnId::new(u64::MAX)))?.next_back();
    last.map(|row| decode_commit(row?).map(|(txid, _)| txid)).transpose()
}

fn decode_commit((key, value): (&[u8], &[u8])) -> Result<(TxnId, Timestamp)> {
    match (key.get(1..).and_then(|raw| <[u8; 8]>::try_from(raw).ok()), value.len()) {
        (Some(txid), 8) => {
            Ok((TxnId::new(u64::from_be_bytes(txid)), Timestamp::new(codec::get_i64(value, 0))))
        }
        _ => Err(damaged("the record of a commit".into())),
    }
}

/// The last commit of facts up to `txid`.
pub(crate) fn commit_up_to(meta: TreeRef<'_>, txid: TxnId) -> Result<Option<(TxnId, Timestamp)>> {
    let row = meta.range(commit_key(TxnId::new(0))..=commit_key(txid))?.next_back();
    row.map(|row| decode_commit(row?)).transpose()
}

/// The last commit of facts at `moment` or before. Cost: two seeks and at most 64 rows.
pub(crate) fn commit_at(meta: TreeRef<'_>, moment: Timestamp) -> Result<Option<(TxnId, Timestamp)>> {
    let Some(row) = meta.range(sparse_key(BEGINNING)..=sparse_key(moment))?.next_back() else {
        return Ok(None);
    };
    let (_, value) = row?;
    if value.len() != 8 {
        return Err(damaged("the record of a time".into()));
    }
    let mut found = None;
    for row in
        meta.range(commit_key(TxnId::new(codec::get_u64(value, 0)))..=commit_key(TxnId::new(u64::MAX)))?
    {
        let commit = decode_commit(row?)?;
        if commit.1 > moment {
            break;
        }
        found = Some(commit);
    }
    Ok(found)
}
