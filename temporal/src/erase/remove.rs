//! Removing a row from everything that a commit can reach.

use llmdb_base::{
    TxnId,
    plant::{Bug, planted},
};
use llmdb_engine::{TreeMut, WriteTxn};

use crate::{
    Result, RowKey, beside,
    catalog::{self, CopyState, Info, META, Part},
    epochs, purge,
    record::ROW_END,
    write::{PAST_EPOCH, damaged_row},
};

/// What was removed of a row.
#[derive(Debug, Default)]
pub(super) struct Removed {
    pub count: u64,
    /// Trees, and keys in them that were removed, or with which removed ones began.
    pub places: Vec<(String, Vec<u8>)>,
}

pub(super) fn remove_row(txn: &mut WriteTxn<'_>, info: &Info, row: &[u8]) -> Result<Removed> {
    let mut removed = Removed::default();
    let numbers = epochs::numbers_in(txn, info.id)?;
    let mut closed_before = 0;
    let last = numbers.last().copied();
    for part in info.parts().iter().filter(|part| **part != Part::Copy || !planted(Bug::LeaveCopies)) {
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
        if planted(Bug::LeaveChangeNotes) {
            break;
        }
        meta.delete(&key)?;
        removed.count += 1;
        removed.places.push((META.into(), key));
    }
    for place in beside::remove_row(txn, info.id, row)? {
        removed.count += 1;
        removed.places.push(place);
    }
    forget_positions(txn, info, row, closed_before)?;
    purge::forget_row(txn, info.id, row)?;
    Ok(removed)
}

/// Keys of the notes that the row was changed.
fn notes_of(meta: &TreeMut<'_, '_>, id: u32, row: &[u8]) -> Result<Vec<Vec<u8>>> {
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
fn forget_positions(txn: &mut WriteTxn<'_>, info: &Info, row: &[u8], closed_before: u64) -> Result<()> {
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
fn row_before(txn: &mut WriteTxn<'_>, name: &str, prefix: &[u8], row: &[u8]) -> Result<Option<Vec<u8>>> {
    let tree = txn.tree(name)?;
    let last = tree.range(prefix.to_vec()..[prefix, row].concat())?.next_back().transpose()?;
    let Some((key, _)) = last else { return Ok(None) };
    let split = key.strip_prefix(prefix).and_then(RowKey::split);
    let (row, _) = split.ok_or_else(|| damaged_row(name, key))?;
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
