//! A whole store with arbitrary damage: every call on it ends, with an answer or an error, in bounded memory.

use std::{
    path::Path,
    sync::{Arc, LazyLock},
};

use arbitrary::Arbitrary;
use llmdb_base::{ChildRef, Epoch, PAGE_SIZE, PageBytes, Pgno, StoreId, checksum, codec, header};
use llmdb_engine::{Background, Durability, Engine, LogTail, Options, Result, StartFrom};
use llmdb_vfs::{MemoryVfs, Vfs};

use crate::{
    disk::{Files, disk, noise, read_file, read_folder},
    meta,
};

const DATA: &str = "store";
const LOG: &str = "store-wal";
const ROWS_MAX: usize = 1_000_000;
const META_PAGES: [usize; 4] = [0, 1, 16, 17];

/// What is wrong with the store, and how it is opened.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    damages: Vec<Damage<'a>>,
    /// Checksums of changed pages stay wrong.
    unrepaired: bool,
    without_log: bool,
    read_only: bool,
    older: bool,
    cut_at_damage: bool,
    key: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum Damage<'a> {
    Header {
        page: u8,
        offset: u8,
        byte: u8,
    },
    Bytes {
        page: u8,
        offset: u16,
        bytes: &'a [u8],
    },
    /// A slot of a node: where its cell lies, and how long its key is.
    Slot {
        page: u8,
        slot: u8,
        offset: u16,
        key_len: u16,
    },
    /// A field of both copies of a meta page.
    Meta {
        odd: bool,
        field: u8,
        value: u64,
    },
    /// A child of a branch, or of the index of the map, becomes another page, tag and all.
    Child {
        page: u8,
        slot: u8,
        child: u8,
    },
    Copy {
        from: u8,
        to: u8,
    },
    Swap {
        one: u8,
        other: u8,
    },
    Cut {
        pages: u8,
        bytes: u16,
    },
    Log {
        file: u8,
        offset: u16,
        byte: u8,
    },
}

struct Sample {
    files: Files,
    log_files: Files,
    store: StoreId,
    /// Pages whose checksum stands in their header.
    nodes: Vec<bool>,
}

fn options() -> Options {
    let mut options = Options::default();
    options.background = Background::Manual;
    options.segment_bytes_max = 64 << 10;
    options.log_window_bytes = 16 << 10;
    options
}

/// Several trees of several levels, short and long runs, two generations, and a log behind them.
static SAMPLE: LazyLock<Sample> = LazyLock::new(|| build().expect("nothing is damaged yet"));

fn build() -> Result<Sample> {
    let vfs: Arc<dyn Vfs> = Arc::new(MemoryVfs::new(1));
    let engine = Engine::open_on(vfs.clone(), DATA, options())?;
    for round in 0..3_u64 {
        let mut txn = engine.begin_write()?;
        for number in 0..60 {
            txn.put(noise(number * 3 + round, 12), noise(number, 100))?;
            let long = [&[b'q'; 700], &noise(number + round, 4)[..]].concat();
            if number % 3 == 0 {
                txn.tree("long keys")?.put(long, noise(number, 20))?;
            }
        }
        txn.tree("values")?.put([u8::try_from(round).expect("small")], noise(round, 9_000))?;
        if round == 1 {
            // So long that it has a table of checksums.
            txn.tree("values")?.put([9, 0], noise(round, 67_000))?;
        }
        txn.tree("values")?.put([7], noise(round, 5_000))?;
        txn.tree(&format!("round {round}"))?.put("a", "b")?;
        txn.commit()?;
        if round < 2 {
            engine.checkpoint()?;
        }
    }
    let mut files = vec![(DATA.to_owned(), read_file(&*vfs, DATA))];
    // What lies behind the last page in use says nothing.
    files[0].1.truncate(256 * PAGE_SIZE);
    let log_files = read_folder(&*vfs, LOG);
    let store = StoreId::new(codec::get_u128(&files[0].1, 16));
    let nodes = files[0].1.chunks(PAGE_SIZE).zip(0..).map(|(page, pgno)| {
        let page: &PageBytes = page.try_into().expect("whole pages");
        header::kind(page).is_some() && header::checksum(page) == node_checksum(store, pgno, page)
    });
    let nodes = nodes.collect();
    Ok(Sample { files, log_files, store, nodes })
}

fn node_checksum(store: StoreId, pgno: u64, page: &PageBytes) -> u32 {
    checksum::crc32c(checksum::page_seed(store, Pgno::new(pgno)), &page[header::CHECKED..])
}

/// Runs one input.
///
/// # Panics
/// At a finding.
pub fn run(input: &Input<'_>) {
    let files = damaged(input);
    let mut options = options();
    options.create = false;
    options.read_only = input.read_only;
    options.start_from = if input.older { StartFrom::Older } else { StartFrom::Newest };
    options.log_tail = if input.cut_at_damage { LogTail::CutAtDamage } else { LogTail::Strict };
    let vfs = disk(&[LOG], &files);
    if let Ok(engine) = Engine::open_on(vfs.clone(), DATA, options.clone()) {
        let key = &input.key[..input.key.len().min(2_000)];
        let _ = read(&engine, key);
        let _ = engine.check(&mut |_, _| true);
        let _ = engine.backup("backup", &mut |_, _| true);
        let _ = write(&engine, key);
        let _ = engine.checkpoint();
        let _ = read(&engine, key);
        if engine.close().is_ok() {
            // What a clean close leaves opens again, damaged or not.
            drop(Engine::open_on(vfs, DATA, options).map(|engine| read(&engine, key)));
        }
    }
    salvage(&files);
}

/// What can be saved is sound, and the damaged store stays as it was.
fn salvage(files: &Files) {
    let vfs = disk(&[LOG], files);
    let report = Engine::salvage_on(&vfs, Path::new(DATA), Path::new("saved"));
    for (path, bytes) in files {
        assert!(read_file(&*vfs, path).starts_with(bytes), "salvage changed {path}");
    }
    if let Ok(report) = report {
        let saved = Engine::open_on(vfs, "saved", self::options()).expect("what was saved is whole");
        let check = saved.check(&mut |_, _| true).expect("what was saved is whole");
        assert!(check.is_sound(), "what was saved is damaged: {:?}", check.problems);
        assert_eq!(check.key_count, report.saved.key_count);
    }
}

/// Every row of every tree, both ways, and some that are looked for.
fn read(engine: &Engine, key: &[u8]) -> Result<()> {
    let snapshot = engine.snapshot()?;
    for (name, _) in snapshot.trees()? {
        let Ok(Some(tree)) = snapshot.tree(&name) else { continue };
        if let Ok(rows) = tree.iter() {
            assert!(
                rows.take_while(|row| row.is_ok()).take(ROWS_MAX).count() < ROWS_MAX,
                "a walk without end"
            );
        }
        if let Ok(rows) = tree.iter() {
            let rows = rows.rev().take_while(|row| row.is_ok());
            assert!(rows.take(ROWS_MAX).count() < ROWS_MAX, "a walk without end");
        }
        for key in [key, b"", &[9, 0], &[7]] {
            let _ = tree.get(key);
            let _ = tree.cursor().seek(key).map(drop);
        }
        let _ = tree.multi_get(&[key, b"a", &[7]]);
    }
    Ok(())
}

/// Transactions that touch every tree.
fn write(engine: &Engine, key: &[u8]) -> Result<()> {
    let names: Vec<String> = engine.snapshot()?.trees()?.into_iter().map(|(name, _)| name).collect();
    for (name, turn) in names.iter().zip(0..).take(20) {
        let mut txn = engine.begin_write()?;
        let savepoint = txn.savepoint()?;
        if let Ok(mut tree) = txn.tree(name) {
            let _ = tree.put(key, noise(1, 900)).and_then(|_| tree.put([7], noise(1, 9_000)));
            let _ = tree.delete([9, 0]);
            let _ = tree.delete_range(key..&[0xFF_u8][..]);
        }
        match turn % 3 {
            0 => drop(txn.rollback_to(savepoint)),
            1 => drop(txn.drop_tree(name)),
            _ => {}
        }
        let _ = txn.commit_with(if turn % 2 == 0 { Durability::Off } else { Durability::Sync });
    }
    Ok(())
}

fn damaged(input: &Input<'_>) -> Files {
    let sample = &*SAMPLE;
    let mut files = sample.files.clone();
    if !input.without_log {
        files.extend(sample.log_files.iter().cloned());
    }
    let damages = &input.damages[..input.damages.len().min(24)];
    damages.iter().for_each(|damage| damage.apply(&mut files));
    let data = &mut files[0].1;
    if !input.unrepaired {
        repair(sample, data);
    }
    for damage in damages {
        if let Damage::Cut { pages, bytes } = *damage {
            data.truncate(usize::from(pages) * PAGE_SIZE + usize::from(bytes) % PAGE_SIZE);
        }
    }
    files
}

/// Makes checksums right where they stand in the page itself.
fn repair(sample: &Sample, data: &mut [u8]) {
    META_PAGES.into_iter().for_each(|pgno| meta::repair(data, pgno));
    for ((page, pgno), _) in
        data.chunks_exact_mut(PAGE_SIZE).zip(0..).zip(&sample.nodes).filter(|(_, node)| **node)
    {
        let page: &mut PageBytes = page.try_into().expect("whole pages");
        let checksum = node_checksum(sample.store, pgno, page);
        header::set_checksum(page, checksum);
    }
}

impl Damage<'_> {
    fn apply(&self, files: &mut Files) {
        let data = &mut files[0].1;
        let count = data.len() / PAGE_SIZE;
        let at = |page: u8| usize::from(page) % count * PAGE_SIZE;
        match *self {
            Self::Header { page, offset, byte } => {
                data[at(page) + usize::from(offset) % header::PAYLOAD] = byte
            }
            Self::Bytes { page, offset, bytes } => {
                let place = at(page) + usize::from(offset) % PAGE_SIZE;
                let len = bytes.len().min(data.len() - place);
                data[place..place + len].copy_from_slice(&bytes[..len]);
            }
            Self::Slot { page, slot, offset, key_len } => {
                let place = at(page) + header::PAYLOAD_END - 8 * (usize::from(slot) + 1);
                codec::put_u16(data, place + 4, offset);
                codec::put_u16(data, place + 6, key_len);
            }
            Self::Meta { odd, field, value } => {
                for pgno in [usize::from(odd), 16 + usize::from(odd)] {
                    codec::put_u64(data, pgno * PAGE_SIZE + 32 + usize::from(field % 16) * 8, value);
                }
            }
            Self::Child { page, slot, child } => {
                let number = usize::from(child) % count;
                let birth = Epoch::new(codec::get_u64(data, number * PAGE_SIZE + 8));
                let child = ChildRef::new(Pgno::new(number as u64), birth);
                let start = at(page);
                let place = child_place(&data[start..start + PAGE_SIZE], usize::from(slot));
                if let Some(place) = place {
                    codec::put_u64(data, start + place, child.raw());
                }
            }
            Self::Copy { from, to } => data.copy_within(at(from)..at(from) + PAGE_SIZE, at(to)),
            Self::Swap { one, other } => {
                let kept = data[at(one)..at(one) + PAGE_SIZE].to_vec();
                data.copy_within(at(other)..at(other) + PAGE_SIZE, at(one));
                data[at(other)..at(other) + PAGE_SIZE].copy_from_slice(&kept);
            }
            Self::Cut { .. } => {}
            Self::Log { file, offset, byte } => {
                let logs = &mut files[1..];
                let count = logs.len().max(1);
                let byte_of = logs.get_mut(usize::from(file) % count);
                if let Some(place) = byte_of.and_then(|(_, bytes)| bytes.get_mut(usize::from(offset))) {
                    *place = byte;
                }
            }
        }
    }
}

/// Where a page keeps its child number `slot`: `docs/format/tree.md`, `docs/format/file.md`.
fn child_place(page: &[u8], slot: usize) -> Option<usize> {
    let page: &PageBytes = page.try_into().ok()?;
    match header::kind(page)? {
        header::PageKind::Branch => {
            let slot = slot % header::count(page).clamp(1, 500);
            let entry = header::PAYLOAD_END - 8 * (slot + 1);
            let place =
                usize::from(codec::get_u16(page, entry + 4)) + usize::from(codec::get_u16(page, entry + 6));
            (place + 8 <= PAGE_SIZE).then_some(place)
        }
        header::PageKind::MapIndex => Some(header::PAYLOAD + 8 * (slot % 504)),
        header::PageKind::Leaf | header::PageKind::Map => None,
    }
}
