//! What stays of an erased row. The bytes are described in `docs/format/time.md`.

use llmdb_base::{Timestamp, TxnId, codec};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// The tree of tombstones.
pub(crate) const ERASED: &str = "_erased";
pub(super) const SALT: u8 = b's';
pub(super) const TOMBSTONE: u8 = b'e';
pub(super) const PENDING: u8 = b'p';

/// That a row was erased, without saying which.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Erasure {
    /// Counts erasures from 1.
    pub number: u64,
    /// Name of the collection.
    pub collection: String,
    /// SHA-256 of a salt of the store, the number of the collection, and the row: who knows the row can find it again.
    pub key_hash: [u8; 32],
    /// The commit that erased it.
    pub txid: TxnId,
    /// When that was.
    pub timestamp: Timestamp,
    /// Records and notes that were removed.
    pub removed: u64,
    /// When nothing was left of it in the data file and the log; `None` if that is not so yet.
    pub scrubbed: Option<Timestamp>,
    pub(super) collection_id: u32,
}

const COLLECTION: usize = 0;
const TXID: usize = COLLECTION + 4;
const TIMESTAMP: usize = TXID + 8;
const REMOVED: usize = TIMESTAMP + 8;
const IS_SCRUBBED: usize = REMOVED + 8;
const SCRUBBED: usize = IS_SCRUBBED + 1;
const HASH: usize = SCRUBBED + 8;
const NAME: usize = HASH + 32;

impl Erasure {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; NAME];
        codec::put_u32(&mut bytes, COLLECTION, self.collection_id);
        codec::put_u64(&mut bytes, TXID, self.txid.get());
        codec::put_u64(&mut bytes, TIMESTAMP, self.timestamp.get().cast_unsigned());
        codec::put_u64(&mut bytes, REMOVED, self.removed);
        bytes[IS_SCRUBBED] = u8::from(self.scrubbed.is_some());
        let scrubbed = self.scrubbed.unwrap_or(Timestamp::new(0));
        codec::put_u64(&mut bytes, SCRUBBED, scrubbed.get().cast_unsigned());
        bytes[HASH..NAME].copy_from_slice(&self.key_hash);
        bytes.extend_from_slice(self.collection.as_bytes());
        bytes
    }

    pub(super) fn decode(key: &[u8], bytes: &[u8]) -> Result<Self> {
        let Some((head, name)) = bytes.split_at_checked(NAME).filter(|(head, _)| head[IS_SCRUBBED] <= 1)
        else {
            return Err(damaged("a tombstone".into()));
        };
        let key_hash = head[HASH..].first_chunk().copied().ok_or_else(|| damaged("a tombstone".into()))?;
        let scrubbed = Timestamp::new(codec::get_i64(head, SCRUBBED));
        Ok(Self {
            number: number_in(key)?,
            collection: String::from_utf8_lossy(name).into_owned(),
            key_hash,
            txid: TxnId::new(codec::get_u64(head, TXID)),
            timestamp: Timestamp::new(codec::get_i64(head, TIMESTAMP)),
            removed: codec::get_u64(head, REMOVED),
            scrubbed: (head[IS_SCRUBBED] == 1).then_some(scrubbed),
            collection_id: codec::get_u32(head, COLLECTION),
        })
    }
}

pub(super) fn numbered(kind: u8, number: u64) -> Vec<u8> {
    [&[kind][..], &number.to_be_bytes()].concat()
}

pub(super) fn number_in(key: &[u8]) -> Result<u64> {
    let raw = key.get(1..).and_then(|rest| rest.first_chunk());
    raw.map(|raw| u64::from_be_bytes(*raw)).ok_or_else(|| damaged("the number of a tombstone".into()))
}

pub(super) fn salt(stored: Option<&[u8]>) -> Result<[u8; 16]> {
    stored.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| damaged("the salt of the hashes".into()))
}

pub(super) fn hash(salt: &[u8; 16], collection: u32, row: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(collection.to_le_bytes());
    hash.update(row);
    hash.finalize().into()
}

pub(super) fn damaged(what: String) -> Error {
    Error::Corruption { tree: ERASED.into(), what }
}
