//! Checksums made right: of whatever stands in the files now. Formulas as in `docs/format/`.

use llmdb_base::{
    Lsn, PAGE_SIZE, PageBytes, Pgno, StoreId,
    checksum::{crc32c, log_seed, page_seed},
    codec,
    header::{self, PageKind},
};

const META_PAGES: [usize; 4] = [0, 1, 16, 17];
const META_LEN: usize = 512;
/// Longer values are left alone.
const RUN_LEN_MAX: u64 = 1 << 20;
const SHORT_RUN_PAGES: u64 = 16;
/// Of the segment header: its length is a unit too.
pub(super) const UNIT: usize = 4096;
const SEGMENT_CHECKSUM: usize = 12;
pub(super) const BATCH_HEADER: usize = 64;

pub(super) fn node_checksum(store: StoreId, pgno: u64, page: &PageBytes) -> u32 {
    crc32c(page_seed(store, Pgno::new(pgno)), &page[header::CHECKED..])
}

/// Seals the data file: values, then the pages `nodes`, then meta pages. Twice, since a value may lie where a node is.
pub(super) fn seal_data(store: StoreId, data: &mut [u8], nodes: &[usize]) {
    for _ in 0..2 {
        nodes.iter().for_each(|pgno| seal_runs(store, data, *pgno));
        for pgno in nodes {
            let Some(page) = page_mut(data, *pgno) else { continue };
            let checksum = node_checksum(store, *pgno as u64, page);
            header::set_checksum(page, checksum);
        }
    }
    for pgno in META_PAGES {
        let Some(page) = page_mut(data, pgno) else { continue };
        let seed = page_seed(StoreId::new(codec::get_u128(&page[..], 16)), Pgno::new(pgno as u64));
        let checksum = crc32c(seed, &page[..META_LEN - 4]);
        codec::put_u32(&mut page[..], META_LEN - 4, checksum);
    }
}

fn page_mut(data: &mut [u8], pgno: usize) -> Option<&mut PageBytes> {
    data.get_mut(pgno * PAGE_SIZE..(pgno + 1) * PAGE_SIZE)?.try_into().ok()
}

/// Where the run references of a leaf stand, from the beginning of the page.
pub(super) fn runs_of(page: &PageBytes) -> Vec<usize> {
    if header::kind(page) != Some(PageKind::Leaf) {
        return Vec::new();
    }
    let count = header::count(page).min((header::PAYLOAD_END - header::PAYLOAD) / 8);
    let place = |slot: usize| {
        let entry = header::PAYLOAD_END - 8 * (slot + 1);
        let (offset, raw_len) = (codec::get_u16(page, entry + 4), codec::get_u16(page, entry + 6));
        let place = usize::from(offset) + usize::from(raw_len & 0x7FFF);
        (raw_len >> 15 == 1 && place + 32 <= PAGE_SIZE).then_some(place)
    };
    (0..count).filter_map(place).collect()
}

/// Makes the checksums of the values right that a leaf names.
fn seal_runs(store: StoreId, data: &mut [u8], pgno: usize) {
    let Some(page) = page_mut(data, pgno) else { return };
    for place in runs_of(page) {
        let at = pgno * PAGE_SIZE + place;
        let (first, len) = (codec::get_u64(data, at), codec::get_u64(data, at + 8));
        if let Some(checksum) = seal_run(store, data, first, len) {
            codec::put_u32(data, at + 24, checksum);
        }
    }
}

fn seal_run(store: StoreId, data: &mut [u8], first: u64, len: u64) -> Option<u32> {
    if len == 0 || len > RUN_LEN_MAX || first > 1 << 30 {
        return None;
    }
    let start = usize::try_from(first).ok()? * PAGE_SIZE;
    let value_pages = len.div_ceil(PAGE_SIZE as u64);
    let seed = |index: u64| page_seed(store, Pgno::new(first + index));
    let value_len = usize::try_from(len).ok()?;
    if value_pages <= SHORT_RUN_PAGES {
        return Some(crc32c(seed(0), data.get(start..start + value_len)?));
    }
    let table_at = start + value_len.next_multiple_of(4);
    let table_len = usize::try_from(value_pages).ok()? * 4;
    data.get(start..table_at + table_len)?;
    let checksums: Vec<u32> = data[start..start + value_len]
        .chunks(PAGE_SIZE)
        .zip(0..)
        .map(|(piece, index)| crc32c(seed(index), piece))
        .collect();
    for (index, checksum) in checksums.into_iter().enumerate() {
        codec::put_u32(data, table_at + index * 4, checksum);
    }
    Some(crc32c(seed(0), &data[table_at..table_at + table_len]))
}

/// Where the batches of a segment begin, following their lengths.
pub(super) fn batches_of(segment: &[u8]) -> Vec<usize> {
    let (mut at, mut found) = (UNIT, Vec::new());
    while let Some(batch) = segment.get(at..).filter(|batch| batch.len() >= UNIT) {
        let len = codec::get_u32(batch, 32) as usize;
        if batch[4..8] != *b"LBAT" || len == 0 || !len.is_multiple_of(UNIT) || len > batch.len() {
            break;
        }
        found.push(at);
        at += len;
    }
    found
}

/// Seals a segment: its header, and the chain of the batches that begin at `batches`.
pub(super) fn seal_segment(store: StoreId, segment: &mut [u8], batches: &[usize]) {
    if segment.len() < UNIT {
        return;
    }
    codec::put_u32(segment, SEGMENT_CHECKSUM, 0);
    let mut previous = crc32c(0, &segment[..UNIT]);
    codec::put_u32(segment, SEGMENT_CHECKSUM, previous);
    for at in batches {
        let Some(batch) = segment.get_mut(*at..).filter(|batch| batch.len() >= BATCH_HEADER) else { break };
        let len = (codec::get_u32(batch, 32) as usize).clamp(BATCH_HEADER, batch.len());
        let (index, lsn) = (codec::get_u64(batch, 8), codec::get_u64(batch, 16));
        let seed = log_seed(store, index, Lsn::new(lsn));
        let body = crc32c(seed, &batch[BATCH_HEADER..len]);
        codec::put_u32(batch, 40, body);
        codec::put_u32(batch, 44, previous);
        previous = crc32c(seed, &batch[4..BATCH_HEADER]);
        codec::put_u32(batch, 0, previous);
    }
}
