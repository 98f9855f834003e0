//! Changes as bytes.

use crate::Change;

use llmdb_base::codec::{get_u32, put_u32};

/// The changes that remain when those behind a savepoint that was gone back to are taken out.
pub(super) fn without_savepoints(changes: &[Change]) -> Vec<Change> {
    let mut kept = Vec::new();
    let mut savepoints = Vec::new();
    for change in changes {
        match change {
            Change::Savepoint => savepoints.push(kept.len()),
            Change::RollbackTo { index } => {
                savepoints.truncate(index + 1);
                kept.truncate(savepoints.last().copied().unwrap_or(kept.len()));
            }
            change => kept.push(change.clone()),
        }
    }
    kept
}

/// The changes of the tree that the first change is about.
pub(super) fn of_one_tree(changes: Vec<Change>) -> Vec<Change> {
    let first = changes.first().map(|change| parts(change).1.to_owned());
    changes.into_iter().filter(|change| first.as_deref() == Some(parts(change).1)).collect()
}

/// A change as a number for its kind, its tree, and two strings of bytes.
fn parts(change: &Change) -> (u8, &str, &[u8], &[u8]) {
    match change {
        Change::Put { tree, key, value } => (1, tree, key, value),
        Change::Delete { tree, key } => (2, tree, key, &[]),
        Change::DeleteRange { tree, from, to } => (3, tree, from, to),
        Change::DropTree { tree } => (4, tree, &[], &[]),
        Change::Savepoint | Change::RollbackTo { .. } => (5, "", &[], &[]),
    }
}

pub(super) fn encode_changes(changes: &[Change]) -> Vec<u8> {
    let mut out = Vec::new();
    for (kind, tree, first, second) in changes.iter().map(parts) {
        out.push(kind);
        [tree.as_bytes(), first, second].into_iter().for_each(|bytes| encode_bytes(&mut out, bytes));
    }
    out
}

pub(super) fn encode_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut len = [0; 4];
    put_u32(&mut len, 0, u32::try_from(bytes.len()).expect("nobody stores 4 GiB in a toy"));
    out.extend_from_slice(&len);
    out.extend_from_slice(bytes);
}

/// The changes that `bytes` begin with, and whether that was all of the bytes.
pub(super) fn decode_changes(mut bytes: &[u8]) -> (Vec<Change>, bool) {
    let mut changes = Vec::new();
    while let Some((&kind, rest)) = bytes.split_first() {
        let mut rest = rest;
        let Some(change) = decode_change(kind, &mut rest) else { return (changes, false) };
        changes.push(change);
        bytes = rest;
    }
    (changes, true)
}

fn decode_change(kind: u8, bytes: &mut &[u8]) -> Option<Change> {
    let tree = std::str::from_utf8(decode_bytes(bytes)?).ok()?;
    let tree = crate::workload::known_tree(tree)?;
    let (first, second) = (decode_bytes(bytes)?.to_vec(), decode_bytes(bytes)?);
    match kind {
        1 => Some(Change::Put { tree, key: first, value: second.into() }),
        2 => Some(Change::Delete { tree, key: first }),
        3 => Some(Change::DeleteRange { tree, from: first, to: second.to_vec() }),
        4 => Some(Change::DropTree { tree }),
        _ => None,
    }
}

/// Takes a string of bytes off the front.
pub(super) fn decode_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = bytes.split_at_checked(4)?;
    let (string, rest) = rest.split_at_checked(usize::try_from(get_u32(len, 0)).ok()?)?;
    *bytes = rest;
    Some(string)
}
