//! Edits of the data file: fields of pages, of meta pages, and of what pages name.

use llmdb_base::{
    ChildRef, Epoch, PAGE_SIZE, PageBytes, Pgno, codec,
    header::{self, PageKind},
};

use super::{
    Notes, Source, log_edits,
    sample::{Files, Sample},
    seal, wrong,
};

const EDITS_MAX: u64 = 8;

/// Which files were edited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Touched {
    pub data: bool,
    pub log: bool,
}

/// Edits the files of `sample`, and makes their checksums right.
pub(super) fn apply(
    source: &mut dyn Source,
    sample: &Sample,
    files: &mut Files,
    notes: &mut Notes,
) -> Touched {
    let has_log = files.len() > 1;
    let (of_data, of_log) = match source.below(8) {
        0..4 => (true, false),
        4..6 if has_log => (false, true),
        _ => (true, has_log),
    };
    if of_log {
        let count = 1 + source.below(EDITS_MAX / 2);
        log_edits::apply(source, sample, files, count, notes);
    }
    if of_data {
        let mut nodes = sample.nodes.clone();
        let count = 1 + source.below(EDITS_MAX);
        (0..count).for_each(|_| edit(source, sample, &mut files[0].1, &mut nodes, notes));
        // Rarely, what is wrong is left to be seen by its checksum.
        if source.below(16) < 15 {
            seal::seal_data(sample.store, &mut files[0].1, &nodes);
        }
        resize(source, &mut files[0].1, notes);
    }
    Touched { data: of_data, log: of_log }
}

fn resize(source: &mut dyn Source, data: &mut Vec<u8>, notes: &mut Notes) {
    let len = match source.below(16) {
        14 => data.len() - index(source, data.len().min(80 * PAGE_SIZE)),
        15 => data.len() + index(source, 40 * PAGE_SIZE),
        _ => return,
    };
    notes.add(format_args!("data file of {len} bytes"));
    data.resize(len, 0);
}

pub(super) fn index(source: &mut dyn Source, count: usize) -> usize {
    usize::try_from(source.below(count as u64)).expect("below a usize")
}

fn node(source: &mut dyn Source, nodes: &[usize], data: &[u8], kind: Option<PageKind>) -> Option<usize> {
    let fits = |pgno: &usize| kind.is_none_or(|kind| header::kind(page(data, *pgno)) == Some(kind));
    let fitting: Vec<usize> = nodes.iter().copied().filter(fits).collect();
    (!fitting.is_empty()).then(|| fitting[index(source, fitting.len())])
}

fn page(data: &[u8], pgno: usize) -> &PageBytes {
    data[pgno * PAGE_SIZE..(pgno + 1) * PAGE_SIZE].try_into().expect("a page")
}

fn edit(
    source: &mut dyn Source,
    sample: &Sample,
    data: &mut [u8],
    nodes: &mut Vec<usize>,
    notes: &mut Notes,
) {
    let done = match source.below(11) {
        0 => edit_header(source, data, nodes, notes),
        1 => edit_slot(source, data, nodes, notes),
        2 => edit_cell(source, data, nodes, notes),
        3 | 4 => edit_child(source, data, nodes, notes),
        5 => edit_run(source, data, nodes, notes),
        6 => edit_record(source, data, nodes, notes),
        7 => edit_map(source, data, nodes, notes),
        8 => edit_meta(source, data, notes),
        9 => copy_page(source, data, nodes, notes),
        _ => edit_bytes(source, data, notes),
    };
    if done.is_none() {
        notes.add(format_args!("nothing, in a store of {}", sample.store));
    }
}

/// Fields of the page header: offset and width in bytes.
const HEADER_FIELDS: [(usize, u32); 8] =
    [(4, 1), (5, 1), (8, 8), (16, 4), (20, 2), (22, 2), (24, 2), (26, 2)];

fn edit_header(source: &mut dyn Source, data: &mut [u8], nodes: &[usize], notes: &mut Notes) -> Option<()> {
    let pgno = node(source, nodes, data, None)?;
    let (offset, width) = HEADER_FIELDS[index(source, HEADER_FIELDS.len())];
    put_wrong(source, data, pgno * PAGE_SIZE + offset, width, notes, "header")
}

fn edit_slot(source: &mut dyn Source, data: &mut [u8], nodes: &[usize], notes: &mut Notes) -> Option<()> {
    let pgno = node(source, nodes, data, None)?;
    let entry = slot_entry(source, page(data, pgno));
    let (offset, width) = [(0, 4), (4, 2), (6, 2)][index(source, 3)];
    put_wrong(source, data, pgno * PAGE_SIZE + entry + offset, width, notes, "slot")
}

fn slot_entry(source: &mut dyn Source, page: &PageBytes) -> usize {
    header::PAYLOAD_END - 8 * (1 + index(source, header::count(page).clamp(1, 500)))
}

/// Cell of a random slot: where it begins, and where its payload does.
fn cell(source: &mut dyn Source, page: &PageBytes) -> Option<(usize, usize)> {
    let entry = slot_entry(source, page);
    let start = usize::from(codec::get_u16(page, entry + 4));
    let payload = start + usize::from(codec::get_u16(page, entry + 6) & 0x7FFF);
    (payload + 32 <= PAGE_SIZE).then_some((start, payload))
}

fn edit_cell(source: &mut dyn Source, data: &mut [u8], nodes: &[usize], notes: &mut Notes) -> Option<()> {
    let pgno = node(source, nodes, data, None)?;
    let (start, payload) = cell(source, page(data, pgno))?;
    let place = start + index(source, payload + 32 - start);
    put_wrong(source, data, pgno * PAGE_SIZE + place, 1, notes, "cell")
}

/// A child of a branch, or of the index of the map, becomes another page, mostly with the right tag.
fn edit_child(source: &mut dyn Source, data: &mut [u8], nodes: &[usize], notes: &mut Notes) -> Option<()> {
    let pgno = node(source, nodes, data, Some(PageKind::Branch))?;
    let (_, payload) = cell(source, page(data, pgno))?;
    let child = child_of(source, data, nodes)?;
    notes.add(format_args!("pg{pgno}+{payload}: child {child:?}"));
    codec::put_u64(data, pgno * PAGE_SIZE + payload, child.raw());
    Some(())
}

fn child_of(source: &mut dyn Source, data: &[u8], nodes: &[usize]) -> Option<ChildRef> {
    let pgno = node(source, nodes, data, None)?;
    let birth = header::birth(page(data, pgno));
    let (number, birth) = match source.below(8) {
        0 => (pgno as u64, Epoch::new(wrong(source, birth.get(), 24))),
        1 => (wrong(source, pgno as u64, 40), birth),
        _ => (pgno as u64, birth),
    };
    Some(ChildRef::new(Pgno::new(number), birth))
}

fn edit_run(source: &mut dyn Source, data: &mut [u8], nodes: &[usize], notes: &mut Notes) -> Option<()> {
    let leaves: Vec<(usize, usize)> = nodes
        .iter()
        .flat_map(|pgno| seal::runs_of(page(data, *pgno)).into_iter().map(|place| (*pgno, place)))
        .collect();
    if leaves.is_empty() {
        return None;
    }
    let (pgno, place) = leaves[index(source, leaves.len())];
    let (offset, width) = [(0, 8), (8, 8), (16, 8), (28, 4)][index(source, 4)];
    put_wrong(source, data, pgno * PAGE_SIZE + place + offset, width, notes, "run")
}

/// A field of a tree record in the catalog.
fn edit_record(source: &mut dyn Source, data: &mut [u8], nodes: &[usize], notes: &mut Notes) -> Option<()> {
    let of_catalog: Vec<usize> =
        nodes.iter().copied().filter(|pgno| header::tree(page(data, *pgno)).get() == 0).collect();
    let pgno = node(source, &of_catalog, data, Some(PageKind::Leaf))?;
    let (_, payload) = cell(source, page(data, pgno))?;
    let at = pgno * PAGE_SIZE + payload;
    if source.below(3) == 0 {
        let child = child_of(source, data, nodes)?;
        notes.add(format_args!("pg{pgno}+{payload}: root {child:?}"));
        codec::put_u64(data, at, child.raw());
        return Some(());
    }
    let (offset, width) = [(0, 8), (8, 8), (16, 4), (20, 1), (21, 1)][index(source, 5)];
    put_wrong(source, data, at + offset, width, notes, "tree record")
}

/// Bits of the allocation map.
fn edit_map(source: &mut dyn Source, data: &mut [u8], nodes: &[usize], notes: &mut Notes) -> Option<()> {
    let pgno = node(source, nodes, data, Some(PageKind::Map))?;
    let byte = index(source, data.len() / PAGE_SIZE / 8 + 8);
    put_wrong(source, data, pgno * PAGE_SIZE + header::PAYLOAD + byte, 1, notes, "map")
}

/// A field of both copies of a meta page.
fn edit_meta(source: &mut dyn Source, data: &mut [u8], notes: &mut Notes) -> Option<()> {
    let copies = if source.below(2) == 0 { [0, 16] } else { [1, 17] };
    let offset = 32 + 8 * index(source, 18);
    let old = codec::get_u64(data, copies[0] * PAGE_SIZE + offset);
    let value = wrong(source, old, 64);
    notes.add(format_args!("meta pages {copies:?}+{offset}: {old:#x} -> {value:#x}"));
    copies.into_iter().for_each(|pgno| codec::put_u64(data, pgno * PAGE_SIZE + offset, value));
    Some(())
}

/// A page stands in two places, or in another one.
fn copy_page(
    source: &mut dyn Source,
    data: &mut [u8],
    nodes: &mut Vec<usize>,
    notes: &mut Notes,
) -> Option<()> {
    let from = node(source, nodes, data, None)?;
    let to = 18 + index(source, data.len() / PAGE_SIZE - 18);
    notes.add(format_args!("pg{from} copied to pg{to}"));
    data.copy_within(from * PAGE_SIZE..(from + 1) * PAGE_SIZE, to * PAGE_SIZE);
    if !nodes.contains(&to) {
        nodes.push(to);
    }
    Some(())
}

fn edit_bytes(source: &mut dyn Source, data: &mut [u8], notes: &mut Notes) -> Option<()> {
    let at = index(source, data.len() - 8);
    let width = [1, 2, 4, 8][index(source, 4)];
    put_wrong(source, data, at, width, notes, "byte")
}

/// Puts a wrong number of `width` bytes in the place of the one at `at`.
pub(super) fn put_wrong(
    source: &mut dyn Source,
    bytes: &mut [u8],
    at: usize,
    width: u32,
    notes: &mut Notes,
    what: &str,
) -> Option<()> {
    let len = width as usize;
    let place = bytes.get_mut(at..at + len)?;
    let mut raw = [0; 8];
    raw[..len].copy_from_slice(place);
    let old = u64::from_le_bytes(raw);
    let value = wrong(source, old, width * 8);
    place.copy_from_slice(&value.to_le_bytes()[..len]);
    notes.add(format_args!("{what}, pg{}+{}: {old:#x} -> {value:#x}", at / PAGE_SIZE, at % PAGE_SIZE));
    Some(())
}
