//! Edits of the log: fields of segments, batches and fragments, bytes of records, and records made up.

use std::ops::Bound;

use llmdb_base::{Timestamp, TreeId, TxnId, codec};
use llmdb_engine::record::{Op, encode};

use super::{
    Notes, Source,
    edits::{index, put_wrong},
    sample::{Files, LOG, Sample, noise},
    seal::{self, BATCH_HEADER, UNIT},
    wrong,
};

/// Edits the log in `files`, and makes its checksums right.
pub(super) fn apply(
    source: &mut dyn Source,
    sample: &Sample,
    files: &mut Files,
    count: u64,
    notes: &mut Notes,
) {
    let mut chains: Vec<Vec<usize>> = files[1..].iter().map(|(_, bytes)| seal::batches_of(bytes)).collect();
    for _ in 0..count {
        match source.below(8) {
            0..3 => append(source, sample, files, &mut chains, notes),
            3 => move_file(source, files, &mut chains, notes),
            _ => {
                let _ = edit(source, files, &chains, notes);
            }
        }
    }
    for ((_, bytes), batches) in files[1..].iter_mut().zip(&chains) {
        seal::seal_segment(sample.store, bytes, batches);
    }
}

/// Fields of a segment header, and of a batch header: offset and width in bytes.
const SEGMENT_FIELDS: [(usize, u32); 6] = [(0, 1), (8, 4), (16, 8), (32, 8), (40, 8), (48, 8)];
const BATCH_FIELDS: [(usize, u32); 7] = [(4, 1), (8, 8), (16, 8), (24, 8), (32, 4), (36, 4), (48, 4)];

fn edit(source: &mut dyn Source, files: &mut Files, chains: &[Vec<usize>], notes: &mut Notes) -> Option<()> {
    let file = index(source, chains.len());
    let bytes = &mut files.get_mut(1 + file)?.1;
    if source.below(4) == 0 {
        let (offset, width) = SEGMENT_FIELDS[index(source, SEGMENT_FIELDS.len())];
        return put_wrong(source, bytes, offset, width, notes, &format!("segment {file}"));
    }
    let batch = *chains[file].get(index(source, chains[file].len()))?;
    if source.below(3) == 0 {
        let (offset, width) = BATCH_FIELDS[index(source, BATCH_FIELDS.len())];
        return put_wrong(source, bytes, batch + offset, width, notes, &format!("segment {file}, batch"));
    }
    let fragment = fragment(source, bytes, batch)?;
    let (offset, width) = match source.below(4) {
        0 => (0, 4),
        1 => (4, 1),
        _ => (5 + record_field(source), 1),
    };
    put_wrong(source, bytes, fragment + offset, width, notes, &format!("segment {file}, fragment"))
}

/// Mostly in the first operations of a record: their headers are what counts.
fn record_field(source: &mut dyn Source) -> usize {
    if source.below(2) == 0 { index(source, 64) } else { index(source, 4_000) }
}

/// Where one of the fragments of a batch begins.
fn fragment(source: &mut dyn Source, bytes: &[u8], batch: usize) -> Option<usize> {
    let used = codec::get_u32(bytes.get(batch..batch + BATCH_HEADER)?, 36) as usize;
    let end = batch.checked_add(used).filter(|end| *end <= bytes.len())?;
    let (mut at, mut found) = (batch + BATCH_HEADER, Vec::new());
    while at + 5 <= end {
        found.push(at);
        at += 5 + codec::get_u32(bytes, at) as usize;
    }
    (!found.is_empty()).then(|| found[index(source, found.len())])
}

/// Another name, the bytes of another segment, or nothing.
fn move_file(source: &mut dyn Source, files: &mut Files, chains: &mut Vec<Vec<usize>>, notes: &mut Notes) {
    let file = index(source, chains.len());
    match source.below(4) {
        0 if chains.len() > 1 => {
            notes.add(format_args!("segment {file} removed"));
            files.remove(1 + file);
            chains.remove(file);
        }
        1 => {
            let name = format!("{LOG}/{:016x}.seg", wrong(source, file as u64, 64));
            if files.iter().all(|(path, _)| *path != name) {
                notes.add(format_args!("segment {file} called {name}"));
                files[1 + file].0 = name;
            }
        }
        2 => {
            let from = index(source, chains.len());
            notes.add(format_args!("segment {file} with the bytes of {from}"));
            files[1 + file].1 = files[1 + from].1.clone();
            chains[file] = chains[from].clone();
        }
        _ => {
            let bytes = &mut files[1 + file].1;
            let len = index(source, bytes.len() + UNIT);
            notes.add(format_args!("segment {file} of {len} bytes"));
            bytes.resize(len, 0);
        }
    }
}

/// A batch behind the last one, with a record that says anything.
fn append(
    source: &mut dyn Source,
    sample: &Sample,
    files: &mut Files,
    chains: &mut [Vec<usize>],
    notes: &mut Notes,
) {
    let file = if source.below(4) == 0 { index(source, chains.len()) } else { chains.len() - 1 };
    let Some((_, bytes)) = files.get_mut(1 + file).filter(|(_, bytes)| bytes.len() >= UNIT) else { return };
    let last = chains[file].last().filter(|at| **at + UNIT <= bytes.len());
    let end = last.map_or(UNIT, |at| at + codec::get_u32(bytes, at + 32) as usize);
    let record = record(source, sample, notes);
    let used = BATCH_HEADER + 5 + record.len();
    let len = used.next_multiple_of(UNIT);
    if end > bytes.len() || len > 1 << 20 {
        return;
    }
    bytes.resize(bytes.len().max(end + len), 0);
    let lsn = codec::get_u64(bytes, 40).wrapping_add((end - UNIT) as u64);
    let segment_index = codec::get_u64(bytes, 32);
    let batch = &mut bytes[end..end + len];
    batch.fill(0);
    batch[4..8].copy_from_slice(b"LBAT");
    codec::put_u64(batch, 8, segment_index);
    codec::put_u64(batch, 16, lsn);
    codec::put_u64(batch, 24, lsn);
    codec::put_u32(batch, 32, u32::try_from(len).expect("small"));
    codec::put_u32(batch, 36, u32::try_from(used).expect("small"));
    codec::put_u32(batch, 48, 1);
    codec::put_u32(batch, BATCH_HEADER, u32::try_from(record.len()).expect("small"));
    batch[BATCH_HEADER + 4] = 1;
    batch[BATCH_HEADER + 5..used].copy_from_slice(&record);
    chains[file].push(end);
}

/// A record of a few operations that are mostly possible.
fn record(source: &mut dyn Source, sample: &Sample, notes: &mut Notes) -> Vec<u8> {
    let txid = if source.below(4) == 0 { wrong(source, sample.txid, 64) } else { sample.txid + 1 };
    let mut bytes = Vec::new();
    add(&mut bytes, &Op::Begin(TxnId::new(txid)), notes);
    for _ in 0..source.below(6) {
        operation(source, &mut bytes, notes);
    }
    let timestamp = if source.below(4) == 0 { wrong(source, 0, 64).cast_signed() } else { 1 << 50 };
    add(&mut bytes, &Op::Commit(Timestamp::new(timestamp)), notes);
    bytes
}

fn operation(source: &mut dyn Source, bytes: &mut Vec<u8>, notes: &mut Notes) {
    let id = if source.below(6) == 0 { wrong(source, 1, 32) } else { 1 + source.below(5) };
    let id = u32::try_from(id).expect("32 bits");
    let tree = TreeId::new(id);
    let (one, other) = (key(source), key(source));
    let name = ["values", "rows", "", "main", "new", &"long".repeat(100)][index(source, 6)].to_owned();
    match source.below(8) {
        0 | 1 => {
            let len = [0, 1, 40, 2_000, 9_000, 70_000][index(source, 6)];
            let told = if source.below(8) == 0 { wrong(source, len as u64, 64) } else { len as u64 };
            add(bytes, &Op::Put { tree, key: &one, value_len: told }, notes);
            bytes.extend(noise(3, len));
        }
        2 => add(bytes, &Op::Delete { tree, key: &one }, notes),
        3 => {
            let from =
                [Bound::Unbounded, Bound::Included(&one[..]), Bound::Excluded(&one[..])][index(source, 3)];
            let to = [Bound::Unbounded, Bound::Included(&other[..]), Bound::Excluded(&other[..])]
                [index(source, 3)];
            add(bytes, &Op::DeleteRange { tree, from, to }, notes);
        }
        4 => add(bytes, &Op::CreateTree { tree, name: &name }, notes),
        5 => add(bytes, &Op::DropTree { tree, name: &name }, notes),
        6 => add(bytes, &Op::Savepoint(id), notes),
        _ => add(bytes, &Op::Rollback(id), notes),
    }
}

fn key(source: &mut dyn Source) -> Vec<u8> {
    let len = [0, 1, 8, 12, 1_978, 1_979, 2_010, 65_535][index(source, 8)];
    noise(source.below(100), len)
}

fn add(bytes: &mut Vec<u8>, op: &Op<'_>, notes: &mut Notes) {
    let text: String = format!("{op:?}").chars().take(100).collect();
    notes.add(format_args!("record: {text}"));
    let (header, key, end) = encode(op);
    bytes.extend([&header[..], key, end].concat());
}
