//! Epochs: when one ends, and the copy of what was believed then.
//!
//! A state of the present tree that is older than the last epoch is found without reading what came later: it is the copy
//! made when its epoch ended, and what the epoch closed. Copies are made in pieces, by the transactions that follow.

use llmdb_base::Timestamp;
use llmdb_engine::{Place, TreeRef, WriteTxn};

use crate::{
    BEGINNING, FOREVER, History, Result,
    catalog::{self, CopyState, Epoch, Info, META, Part},
    record::{ROW_END, Record},
    rows::RowKey,
    write::damaged_row,
};

/// Changes after which an epoch ends at the earliest: below, copies would cost more than the history they save.
const CHANGES_MIN: u64 = 128;
/// Rows that each put copies while a copy is under way, so that it ends well before the epoch does.
const ROWS_PER_PUT: u64 = 4;

/// The epoch in which records are closed now.
pub(crate) fn last(txn: &mut WriteTxn<'_>, id: u32) -> Result<Epoch> {
    let meta = txn.tree(META)?;
    let row = meta.range(catalog::epoch_key(id, BEGINNING)..=catalog::epoch_key(id, FOREVER))?.next_back();
    let (key, value) = row.ok_or_else(|| catalog::damaged(format!("collection {id} has no epoch")))??;
    Epoch::decode(key, value)
}

/// Numbers of all epochs of a collection, in order; none for a plain one.
pub(crate) fn numbers(meta: TreeRef<'_>, id: u32) -> Result<Vec<u32>> {
    let rows = meta.range(catalog::epoch_key(id, BEGINNING)..=catalog::epoch_key(id, FOREVER))?;
    rows.map(|row| row.map_err(Into::into).and_then(|(key, value)| Ok(Epoch::decode(key, value)?.number)))
        .collect()
}

/// As [`numbers`], in a transaction that writes.
pub(crate) fn numbers_in(txn: &mut WriteTxn<'_>, id: u32) -> Result<Vec<u32>> {
    let meta = txn.tree(META)?;
    let rows = meta.range(catalog::epoch_key(id, BEGINNING)..=catalog::epoch_key(id, FOREVER))?;
    rows.map(|row| row.map_err(Into::into).and_then(|(key, value)| Ok(Epoch::decode(key, value)?.number)))
        .collect()
}

/// Ends the epoch if it has seen enough changes, and goes on with the copy of the last one, after a transaction of `puts`
/// puts at the moment `now`.
pub(crate) fn advance(txn: &mut WriteTxn<'_>, info: &Info, now: Timestamp, puts: u64) -> Result<()> {
    let History::Bitemporal { copy_percent: Some(percent) } = info.history else { return Ok(()) };
    let mut epoch = last(txn, info.id)?;
    if epoch.copy == CopyState::Complete {
        let closed = txn.tree(&info.tree(Part::Closed))?.len();
        let present = txn.tree(&info.tree(Part::Now))?.len();
        let changes = closed.saturating_sub(epoch.closed_at_begin) + present.abs_diff(epoch.now_at_begin);
        if changes < (epoch.now_at_begin.saturating_mul(u64::from(percent)) / 100).max(CHANGES_MIN) {
            return Ok(());
        }
        epoch = Epoch {
            number: epoch.number + 1,
            begin: now,
            copy: CopyState::UpTo(Vec::new()),
            closed_at_begin: closed,
            now_at_begin: present,
        };
    }
    copy_some(txn, info, &mut epoch, puts.saturating_mul(ROWS_PER_PUT))?;
    txn.tree(META)?.put(catalog::epoch_key(info.id, epoch.begin), epoch.encode())?;
    Ok(())
}

/// Rows of a tree: bytes of the row, what stands behind it, value.
type Rows = Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>;

/// Copies about `count` rows behind those that were copied: what is still there, and what was closed since the epoch began.
fn copy_some(txn: &mut WriteTxn<'_>, info: &Info, epoch: &mut Epoch, count: u64) -> Result<()> {
    let CopyState::UpTo(done) = &epoch.copy else { return Ok(()) };
    let behind = [&done[..], if done.is_empty() { &[] } else { ROW_END }].concat();
    let (present, present_end) = read(txn, &info.tree(Part::Now), &[], &behind, count)?;
    let number = epoch.number.to_be_bytes();
    let (closed, closed_end) = read(txn, &info.tree(Part::Closed), &number, &behind, count)?;
    // Rows up to here were read to their ends in both trees.
    let end = [present_end, closed_end].into_iter().flatten().min();
    let is_read = |row: &[u8]| end.as_deref().is_none_or(|end| row <= end);
    for (part, prefix, rows) in [(Part::Now, &[][..], &present), (Part::Closed, &number[..], &closed)] {
        let (from, to) = (info.tree(part), info.tree(Part::Copy));
        for (row, suffix, value) in rows.iter().filter(|entry| is_read(&entry.0)) {
            let record = match part {
                Part::Closed => Record::decode_closed(suffix, value),
                _ => Record::decode_believed(suffix, value),
            };
            let record = record.ok_or_else(|| damaged_row(&from, row))?;
            if record.system.from > epoch.begin {
                continue;
            }
            let source = [prefix, row, suffix].concat();
            let key = [&number[..], row, &record.believed_suffix()].concat();
            let copied = record.believed_value();
            let (cut, tail) = record.retail(value, &copied);
            let (source, target) = (Place { tree: &from, key: &source }, Place { tree: &to, key: &key });
            if !txn.copy(source, target, cut, tail)? {
                return Err(damaged_row(&from, source.key));
            }
        }
    }
    epoch.copy = end.map_or(CopyState::Complete, CopyState::UpTo);
    Ok(())
}

/// At least `count` entries of a tree from `behind` on, up to the end of a row; and that row, unless the tree ended first.
fn read(
    txn: &mut WriteTxn<'_>,
    name: &str,
    prefix: &[u8],
    behind: &[u8],
    count: u64,
) -> Result<(Rows, Option<Vec<u8>>)> {
    let tree = txn.tree(name)?;
    let mut rows: Rows = Vec::new();
    for entry in tree.range([prefix, behind].concat()..)? {
        let (key, value) = entry?;
        let Some(rest) = key.strip_prefix(prefix) else { break };
        let (row, suffix) = RowKey::split(rest).ok_or_else(|| damaged_row(name, key))?;
        if let Some((last, ..)) = rows.last()
            && rows.len() as u64 >= count
            && last != row
        {
            let end = last.clone();
            return Ok((rows, Some(end)));
        }
        rows.push((row.to_vec(), suffix.to_vec(), value.to_vec()));
    }
    Ok((rows, None))
}
