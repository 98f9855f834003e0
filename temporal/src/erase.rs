//! Erasing a row: everything that was ever asserted of it goes, everywhere, and a note without its content stays.
//!
//! ```text
//!   one commit    records of the row from all trees, notes of changes; a tombstone, and where the records stood
//!   separators    that were made of the row are made anew
//!   one commit    where they stood is forgotten
//!   scrub         checkpoints; zeros over the old log and over free pages
//!   one commit    the tombstone says that it is done
//! ```
//!
//! After a crash, or where a reader held pages, [`Store::finish_erasures`] goes on.

use llmdb_base::{Timestamp, TxnId, codec};
use llmdb_engine::{ErasureNote, ScrubReport, Traces};
use sha2::{Digest, Sha256};

use crate::{
    AsOf, Error, Result, RowKey, Store,
    catalog::{self, CopyState, Info, META, Part},
    epochs,
    record::ROW_END,
    write::PAST_EPOCH,
};

/// The tree of tombstones.
pub(crate) const ERASED: &str = "_erased";
const SALT: u8 = b's';
const TOMBSTONE: u8 = b'e';
const PENDING: u8 = b'p';

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
    collection_id: u32,
}

/// What erasing did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Erased {
    /// The note that stays.
    pub erasure: Erasure,
    /// What was destroyed in data file and log. If it is not complete, a reader holds pages: see
    /// [`Store::finish_erasures`].
    pub scrub: ScrubReport,
}

/// What is left of a row that should be gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErasedCheck {
    /// The erasures of the row, the last one last.
    pub erasures: Vec<Erasure>,
    /// Records that the newest state has of the row: it was never erased, or was put again.
    pub records: u64,
    /// Where its bytes were found.
    pub traces: Traces,
}

impl ErasedCheck {
    /// Whether nothing is left.
    pub fn is_clean(&self) -> bool {
        self.records == 0 && self.traces.count == 0
    }
}

impl<'e> Store<'e> {
    /// Erases a row with its whole history: what is believed of it and what ever was, in both times, copies, notes of
    /// changes; then the bytes of all that, in the data file and in the log. It commits by itself. What stays is an
    /// [`Erasure`], which says when, and the hash of the row. Nothing tells afterwards that the row was there: reads
    /// at any point of both times find nothing.
    ///
    /// Backups and archived log that were made before hold it still; they cannot be changed from here. The list of
    /// erasures goes with later backups of the set, and restoring applies it.
    ///
    /// `progress` gets pages looked at and all pages, and stops by answering `false`: then the row is gone for every
    /// reader, and [`Store::finish_erasures`] does the rest.
    ///
    /// Cost: a look at every note of a change; what [`llmdb_engine::Engine::scrub`] costs.
    ///
    /// # Errors
    /// [`Error::NoCollection`]: nothing happened. [`Error::Engine`], [`Error::Corruption`]: if it was erased and not
    /// scrubbed, [`Store::erasures`] says so.
    pub fn erase(
        &self,
        collection: &str,
        row: impl Into<RowKey>,
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Erased> {
        let number = self.erase_rows(collection, &[row.into().encode()])?;
        self.engine.note_erasures_in_archive(&self.erasure_notes()?)?;
        let scrub = self.finish_erasures(progress)?;
        let erasure = self.erasures()?.into_iter().find(|erasure| erasure.number == number);
        let erasure = erasure.ok_or_else(|| damaged("the tombstone that was just written is gone".into()))?;
        Ok(Erased { erasure, scrub })
    }

    /// Goes on with erasures that are not through: after a crash, or when a reader held pages. Does nothing, and says
    /// that it is complete, if there are none.
    ///
    /// # Errors
    /// [`Error::Engine`], [`Error::Corruption`].
    pub fn finish_erasures(&self, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<ScrubReport> {
        let open: Vec<Erasure> =
            self.erasures()?.into_iter().filter(|erasure| erasure.scrubbed.is_none()).collect();
        let Some(last) = open.last().map(|erasure| erasure.number) else { return Ok(ScrubReport::default()) };
        self.engine.renew_separators(&self.pending(last)?)?;
        let mut txn = self.engine.begin_write()?;
        txn.tree(ERASED)?.delete_range(numbered(PENDING, 0)..numbered(PENDING, last + 1))?;
        txn.commit()?;
        let report = self.engine.scrub(progress)?;
        if report.is_complete() {
            let mut txn = self.engine.begin_write()?;
            let now = txn.timestamp();
            let mut tree = txn.tree(ERASED)?;
            for erasure in open {
                let done = Erasure { scrubbed: Some(now), ..erasure };
                tree.put(numbered(TOMBSTONE, done.number), done.encode())?;
            }
            txn.commit()?;
        }
        Ok(report)
    }

    /// The notes of all erasures, in their order.
    ///
    /// # Errors
    /// [`Error::Engine`], [`Error::Corruption`].
    pub fn erasures(&self) -> Result<Vec<Erasure>> {
        let snapshot = self.engine.snapshot_latest()?;
        let Some(tree) = snapshot.tree(ERASED)? else { return Ok(Vec::new()) };
        let rows = tree.range(numbered(TOMBSTONE, 0)..=numbered(TOMBSTONE, u64::MAX))?;
        rows.map(|row| {
            let (key, value) = row?;
            Erasure::decode(key, value)
        })
        .collect()
    }

    /// The notes as they go with backups.
    ///
    /// # Errors
    /// As [`Store::erasures`].
    pub fn erasure_notes(&self) -> Result<Vec<ErasureNote>> {
        let erasures = self.erasures()?;
        if erasures.is_empty() {
            return Ok(Vec::new());
        }
        let snapshot = self.engine.snapshot_latest()?;
        let tree = snapshot.tree(ERASED)?.ok_or_else(|| damaged("the tree is missing".into()))?;
        let salt = salt(tree.get([SALT])?)?;
        let note = |erasure: Erasure| ErasureNote {
            collection: erasure.collection_id,
            name: erasure.collection,
            salt,
            key_hash: erasure.key_hash,
            txid: erasure.txid,
            timestamp: erasure.timestamp,
        };
        Ok(erasures.into_iter().map(note).collect())
    }

    /// Erases again what `notes` say, in a store that was restored to a commit before them. Notes of commits that the
    /// store has are passed by: it has erased what they say. Returns how many rows were erased.
    ///
    /// Cost: a hash for every row that was ever there, and for every note of a change.
    ///
    /// # Errors
    /// [`Error::Engine`], [`Error::Corruption`].
    pub fn erase_again(
        &self,
        notes: &[ErasureNote],
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<u64> {
        let last = self.engine.last_commit().txid;
        let later: Vec<&ErasureNote> = notes.iter().filter(|note| note.txid > last).collect();
        let mut erased = 0;
        if !later.is_empty() {
            for (info, rows) in self.rows_of_notes(&later)? {
                erased += rows.len() as u64;
                for row in rows {
                    self.erase_rows(&info.name, &[row])?;
                }
            }
        }
        self.finish_erasures(progress)?;
        // Pages of the backups that no state uses are in the file, too.
        if !notes.is_empty() {
            self.engine.scrub(progress)?;
        }
        Ok(erased)
    }

    /// Looks for what is left of a row: in the newest state, in all pages of the data file as they are on the media,
    /// in the log and in the archive, if there is one. `also` are other bytes to look for, such as what its values
    /// said.
    ///
    /// Cost: reads everything once.
    ///
    /// # Errors
    /// [`Error::NoCollection`]; [`Error::Engine`], which may be that `progress` stopped it; [`Error::Corruption`].
    pub fn check_erased(
        &self,
        collection: &str,
        row: impl Into<RowKey>,
        also: &[Vec<u8>],
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<ErasedCheck> {
        let row = row.into().encode();
        let view = self.view()?;
        let meta = view.meta()?.ok_or_else(|| Error::NoCollection(collection.into()))?;
        let info = meta.get(catalog::collection_key(collection))?;
        let info = Info::decode(collection, info.ok_or_else(|| Error::NoCollection(collection.into()))?)?;
        let mut records = 0;
        for part in info.parts() {
            let Some(tree) = view.snapshot().tree(&info.tree(*part))? else { continue };
            for prefix in prefixes(*part, epochs::numbers(meta, info.id)?) {
                let from = [&prefix[..], &row].concat();
                let to = [&from[..], ROW_END].concat();
                for entry in tree.range(from..to)? {
                    entry?;
                    records += 1;
                }
            }
        }
        let mut erasures = self.erasures()?;
        if !erasures.is_empty() {
            let tree = view.snapshot().tree(ERASED)?;
            let salt = salt(tree.map(|tree| tree.get([SALT])).transpose()?.flatten())?;
            let hash = hash(&salt, info.id, &row);
            erasures.retain(|erasure| erasure.key_hash == hash);
        }
        drop(view);
        let needles: Vec<Vec<u8>> = [row].into_iter().chain(also.iter().cloned()).collect();
        let traces = self.engine.find_traces(&needles, progress)?;
        Ok(ErasedCheck { erasures, records, traces })
    }

    /// Removes everything of some rows in one commit, and notes it; returns the number of the last note.
    fn erase_rows(&self, collection: &str, rows: &[Vec<u8>]) -> Result<u64> {
        let store = self.engine.store_id();
        let mut txn = self.engine.begin_write()?;
        let meta = txn.tree(META)?;
        let info = meta.get(catalog::collection_key(collection))?;
        let info = Info::decode(collection, info.ok_or_else(|| Error::NoCollection(collection.into()))?)?;
        let (txid, timestamp) = (txn.txid(), txn.timestamp());
        let mut number = 0;
        for row in rows {
            let removed = remove_row(&mut txn, &info, row)?;
            let mut tree = txn.tree(ERASED)?;
            let salt = match tree.get([SALT])? {
                Some(bytes) => salt(Some(bytes))?,
                None => {
                    let salt = store.get().to_le_bytes();
                    tree.put([SALT], salt)?;
                    salt
                }
            };
            let last = tree
                .range(numbered(TOMBSTONE, 0)..=numbered(TOMBSTONE, u64::MAX))?
                .next_back()
                .transpose()?;
            number = 1 + last.map_or(Ok(0), |(key, _)| number_in(key))?;
            let erasure = Erasure {
                number,
                collection: info.name.clone(),
                key_hash: hash(&salt, info.id, row),
                txid,
                timestamp,
                removed: removed.count,
                scrubbed: None,
                collection_id: info.id,
            };
            tree.put(numbered(TOMBSTONE, number), erasure.encode())?;
            for (index, (name, key)) in (0_u32..).zip(removed.places) {
                let at = [&numbered(PENDING, number)[..], &index.to_be_bytes()].concat();
                tree.put(at, [&[u8::try_from(name.len()).unwrap_or(0)], name.as_bytes(), &key].concat())?;
            }
        }
        txn.commit()?;
        Ok(number)
    }

    /// Where removed records stood, of erasures up to number `last`.
    fn pending(&self, last: u64) -> Result<Vec<(String, Vec<u8>)>> {
        let snapshot = self.engine.snapshot_latest()?;
        let Some(tree) = snapshot.tree(ERASED)? else { return Ok(Vec::new()) };
        let rows = tree.range(numbered(PENDING, 0)..numbered(PENDING, last + 1))?;
        rows.map(|row| {
            let (_, value) = row?;
            let parts = value.split_first().and_then(|(len, rest)| rest.split_at_checked(usize::from(*len)));
            let (name, key) = parts.ok_or_else(|| damaged("where a record stood".into()))?;
            Ok((String::from_utf8_lossy(name).into_owned(), key.to_vec()))
        })
        .collect()
    }

    /// Rows whose hashes the notes name, collection by collection.
    fn rows_of_notes(&self, notes: &[&ErasureNote]) -> Result<Vec<(Info, Vec<Vec<u8>>)>> {
        let view = self.view()?;
        let mut found = Vec::new();
        for (name, _) in view.collections()? {
            let collection = view.collection(&name)?;
            let of_it: Vec<&&ErasureNote> = notes
                .iter()
                .filter(|note| note.collection == collection.info.id && note.name == name)
                .collect();
            if of_it.is_empty() {
                continue;
            }
            let mut rows = Vec::new();
            let mut look_at = |row: &[u8]| {
                let is_named = |note: &&&ErasureNote| hash(&note.salt, note.collection, row) == note.key_hash;
                if of_it.iter().any(is_named) {
                    rows.push(row.to_vec());
                }
            };
            collection.each_row(&mut look_at)?;
            if collection.trees().is_ok() {
                for change in collection.changes_kept(AsOf::Time(crate::BEGINNING), AsOf::Now)? {
                    look_at(&change?.row.encode());
                }
            }
            rows.sort_unstable();
            rows.dedup();
            found.push((collection.info.clone(), rows));
        }
        Ok(found)
    }
}

/// What was removed of a row.
#[derive(Debug, Default)]
struct Removed {
    count: u64,
    /// Trees, and keys in them that were removed, or with which removed ones began.
    places: Vec<(String, Vec<u8>)>,
}

fn remove_row(txn: &mut llmdb_engine::WriteTxn<'_>, info: &Info, row: &[u8]) -> Result<Removed> {
    let mut removed = Removed::default();
    let numbers = epochs::numbers_in(txn, info.id)?;
    let mut closed_before = 0;
    let last = numbers.last().copied();
    for part in info.parts() {
        let name = info.tree(*part);
        for prefix in prefixes(*part, numbers.clone()) {
            let from = [&prefix[..], row].concat();
            let to = [&from[..], ROW_END].concat();
            let count = txn.tree(&name)?.delete_range(from.clone()..to)?;
            if *part == Part::Closed && prefix.first_chunk().copied().map(u32::from_be_bytes) != last {
                closed_before += count;
            }
            if count > 0 {
                removed.places.push((name.clone(), from));
            }
            removed.count += count;
        }
    }
    let mut meta = txn.tree(META)?;
    for key in notes_of(&meta, info.id, row)? {
        meta.delete(&key)?;
        removed.count += 1;
        removed.places.push((META.into(), key));
    }
    for place in crate::beside::remove_row(txn, info.id, row)? {
        removed.count += 1;
        removed.places.push(place);
    }
    forget_positions(txn, info, row, closed_before)?;
    crate::purge::forget_row(txn, info.id, row)?;
    Ok(removed)
}

/// Keys of the notes that the row was changed.
fn notes_of(meta: &llmdb_engine::TreeMut<'_, '_>, id: u32, row: &[u8]) -> Result<Vec<Vec<u8>>> {
    let all =
        catalog::change_key(TxnId::new(0), 0, &[])..catalog::change_key(TxnId::new(u64::MAX), u32::MAX, &[]);
    let mut keys = Vec::new();
    for entry in meta.range(all)? {
        let (key, _) = entry?;
        let (_, collection, changed) = catalog::decode_change(key)?;
        if collection == id && changed == row {
            keys.push(key.to_vec());
        }
    }
    Ok(keys)
}

/// How far copies and purges have come is told by a row: not by one that was erased.
fn forget_positions(
    txn: &mut llmdb_engine::WriteTxn<'_>,
    info: &Info,
    row: &[u8],
    closed_before: u64,
) -> Result<()> {
    if info.parts().len() == 1 {
        return Ok(());
    }
    let mut epoch = epochs::last(txn, info.id)?;
    let is_named = matches!(&epoch.copy, CopyState::UpTo(done) if done == row);
    if is_named {
        // The row before it, in either tree that is copied from: between the two there is none.
        let number = epoch.number.to_be_bytes();
        let in_now = row_before(txn, &info.tree(Part::Now), &[], row)?;
        let in_closed = row_before(txn, &info.tree(Part::Closed), &number, row)?;
        epoch.copy = CopyState::UpTo(in_now.max(in_closed).unwrap_or_default());
    }
    epoch.closed_at_begin = epoch.closed_at_begin.saturating_sub(closed_before);
    txn.tree(META)?.put(catalog::epoch_key(info.id, epoch.begin), epoch.encode())?;
    Ok(())
}

/// The last row before `row` in a tree, among those that begin with `prefix`.
fn row_before(
    txn: &mut llmdb_engine::WriteTxn<'_>,
    name: &str,
    prefix: &[u8],
    row: &[u8],
) -> Result<Option<Vec<u8>>> {
    let tree = txn.tree(name)?;
    let last = tree.range(prefix.to_vec()..[prefix, row].concat())?.next_back().transpose()?;
    let Some((key, _)) = last else { return Ok(None) };
    let split = key.strip_prefix(prefix).and_then(RowKey::split);
    let (row, _) = split.ok_or_else(|| crate::write::damaged_row(name, key))?;
    Ok(Some(row.to_vec()))
}

/// What stands before a row in the trees of a part.
pub(crate) fn prefixes(part: Part, epochs: Vec<u32>) -> Vec<Vec<u8>> {
    match part {
        Part::Now | Part::Past => vec![Vec::new()],
        Part::Closed => {
            [PAST_EPOCH].into_iter().chain(epochs).map(|epoch| epoch.to_be_bytes().to_vec()).collect()
        }
        Part::Copy => epochs.into_iter().map(|epoch| epoch.to_be_bytes().to_vec()).collect(),
    }
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
    fn encode(&self) -> Vec<u8> {
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

    fn decode(key: &[u8], bytes: &[u8]) -> Result<Self> {
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

fn numbered(kind: u8, number: u64) -> Vec<u8> {
    [&[kind][..], &number.to_be_bytes()].concat()
}

fn number_in(key: &[u8]) -> Result<u64> {
    let raw = key.get(1..).and_then(|rest| rest.first_chunk());
    raw.map(|raw| u64::from_be_bytes(*raw)).ok_or_else(|| damaged("the number of a tombstone".into()))
}

fn salt(stored: Option<&[u8]>) -> Result<[u8; 16]> {
    stored.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| damaged("the salt of the hashes".into()))
}

fn hash(salt: &[u8; 16], collection: u32, row: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(collection.to_le_bytes());
    hash.update(row);
    hash.finalize().into()
}

fn damaged(what: String) -> Error {
    Error::Corruption { tree: ERASED.into(), what }
}
