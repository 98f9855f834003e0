//! A small data file with arbitrary meta pages: opening ends with an error or with a store that can be used.

use std::{path::Path, sync::Arc, sync::LazyLock};

use arbitrary::Arbitrary;
use llmdb_base::{
    Lsn, PAGE_SIZE, Pgno, StoreId, Timestamp, TreeId, TxnId, WritePages, checksum, codec, header,
};
use llmdb_pager::{Access, Pager, PagerOptions, Pick, RootState, Visible};
use llmdb_vfs::{Create, MemoryVfs, Open, Vfs};

use crate::disk::{Files, disk, read_file};

const NAME: &str = "data";
/// Where meta pages lie, and how long their used part is: `docs/format/file.md`.
const SLOTS: [usize; 4] = [0, 1, 16, 17];
const META_LEN: usize = 512;
const STORE_AT: usize = 16;

/// What to do to the meta pages, and how to open the file.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    edits: Vec<Edit<'a>>,
    /// Which of the slots get their checksum right again.
    repaired: u8,
    cut_pages: Option<u8>,
    access: u8,
    older: bool,
}

#[derive(Arbitrary, Debug)]
enum Edit<'a> {
    Bytes {
        slot: u8,
        offset: u16,
        bytes: &'a [u8],
    },
    /// All copies of a generation at once.
    Both {
        odd: bool,
        offset: u8,
        value: u64,
    },
    Copy {
        from: u8,
        to: u8,
    },
}

/// A file with pages of two generations.
static SAMPLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let vfs = MemoryVfs::new(1);
    let file =
        vfs.open(Path::new(NAME), Open { write: true, create: Create::New, direct: true }).expect("memory");
    let pager = Pager::create(&vfs, file, StoreId::new(7), PagerOptions::default()).expect("memory");
    for round in 1..=3 {
        let mut txn = pager.begin_write();
        for _ in 0..10 {
            txn.allocate(header::PageKind::Leaf, 0, TreeId::new(1)).expect("memory");
        }
        let root = txn.commit(state(round));
        pager.publish(&root);
        let mut checkpoint = pager.begin_checkpoint().expect("memory");
        checkpoint.write(&mut |_| ()).expect("memory");
        checkpoint.finish().expect("memory");
    }
    read_file(&vfs, NAME)
});

fn state(round: u64) -> RootState {
    let roots = [7; 64];
    RootState { txid: TxnId::new(round), timestamp: Timestamp::new(5), lsn: Lsn::new(round * 4096), roots }
}

/// Runs one input.
///
/// # Panics
/// At a finding.
pub fn run(input: &Input<'_>) {
    let files = vec![(NAME.to_owned(), damaged(input))];
    let access = match input.access % 4 {
        0 => Access::ReadOnly,
        1 => Access::Rebuild,
        2 => Access::Scratch,
        _ => Access::ReadWrite,
    };
    let pick = if input.older { Pick::Older } else { Pick::Newest };
    let vfs = disk(&[], &files);
    let Some(pager) = open(&vfs, access, pick) else { return };
    look(&pager, &files);
    match access {
        Access::ReadOnly => return,
        Access::Rebuild if pager.rebuild_map([(Pgno::new(20), 3)]).is_err() => return,
        Access::Scratch => {
            (0..3).for_each(|round| write(&pager, round));
            let stored = &files[0].1;
            return assert!(read_file(&*vfs, NAME).starts_with(stored), "what was there before stays");
        }
        Access::Rebuild | Access::ReadWrite => {}
    }
    for round in 0..3 {
        write(&pager, round);
        let mut checkpoint = pager.begin_checkpoint().expect("memory has room");
        checkpoint.write(&mut |_| ()).expect("memory");
        checkpoint.finish().expect("memory");
    }
    let expected = pager.published();
    drop(pager);
    let again = open(&vfs, Access::ReadWrite, Pick::Newest).expect("what was opened and written opens again");
    // A checkpoint may know of fewer pages than the run that made it.
    let found = again.published();
    assert_eq!((found.epoch, found.state()), (expected.epoch, expected.state()));
    assert!(found.page_count <= expected.page_count);
}

fn damaged(input: &Input<'_>) -> Vec<u8> {
    let mut bytes = SAMPLE.clone();
    let at = |slot: u8| SLOTS[usize::from(slot % 4)] * PAGE_SIZE;
    for edit in input.edits.iter().take(16) {
        match edit {
            Edit::Bytes { slot, offset, bytes: new } => {
                let offset = usize::from(*offset) % META_LEN;
                let new = &new[..new.len().min(META_LEN - offset)];
                bytes[at(*slot) + offset..][..new.len()].copy_from_slice(new);
            }
            Edit::Both { odd, offset, value } => {
                for slot in [u8::from(*odd), 2 + u8::from(*odd)] {
                    // Fields of eight bytes, from the generation on.
                    codec::put_u64(&mut bytes, at(slot) + 32 + usize::from(offset % 16) * 8, *value);
                }
            }
            Edit::Copy { from, to } => bytes.copy_within(at(*from)..at(*from) + META_LEN, at(*to)),
        }
    }
    for slot in (0..4).filter(|slot| input.repaired & 1 << slot != 0) {
        repair(&mut bytes, SLOTS[slot]);
    }
    if let Some(pages) = input.cut_pages {
        bytes.truncate(usize::from(pages) * PAGE_SIZE);
    }
    bytes
}

/// Byte offsets of the intact meta pages of the newest generation, if those of another one are intact as well.
pub(crate) fn newest_of_two(file: &[u8]) -> Vec<u64> {
    let generation = |pgno: usize| {
        let meta = file.get(pgno * PAGE_SIZE..pgno * PAGE_SIZE + META_LEN)?;
        let mut repaired = file[..(pgno + 1) * PAGE_SIZE].to_vec();
        repair(&mut repaired, pgno);
        let is_intact = repaired[pgno * PAGE_SIZE..][..META_LEN] == *meta && meta.starts_with(b"LLMDB");
        is_intact.then(|| codec::get_u64(meta, 32))
    };
    let found = SLOTS.map(|pgno| generation(pgno).map(|generation| (generation, (pgno * PAGE_SIZE) as u64)));
    let newest = found.iter().flatten().map(|(generation, _)| *generation).max();
    if found.iter().flatten().all(|(generation, _)| Some(*generation) == newest) {
        return Vec::new();
    }
    found
        .into_iter()
        .flatten()
        .filter(|(generation, _)| Some(*generation) == newest)
        .map(|(_, at)| at)
        .collect()
}

/// Makes the checksum of the meta page `pgno` right.
pub(crate) fn repair(file: &mut [u8], pgno: usize) {
    let Some(meta) = file.get_mut(pgno * PAGE_SIZE..pgno * PAGE_SIZE + META_LEN) else { return };
    let store = StoreId::new(codec::get_u128(meta, STORE_AT));
    let seed = checksum::page_seed(store, Pgno::new(pgno as u64));
    let sum = checksum::crc32c(seed, &meta[..META_LEN - 4]);
    codec::put_u32(meta, META_LEN - 4, sum);
}

fn open(vfs: &Arc<dyn Vfs>, access: Access, pick: Pick) -> Option<Arc<Pager>> {
    let write = access != Access::ReadOnly;
    let file =
        vfs.open(Path::new(NAME), Open { write, create: Create::Never, direct: write }).expect("memory");
    match Pager::open(&**vfs, file, PagerOptions::default(), access, pick) {
        Ok(pager) => Some(pager),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

/// What an opened store says of itself must fit together and fit the file.
fn look(pager: &Arc<Pager>, files: &Files) {
    let root = pager.published();
    assert_eq!(root, pager.tip());
    assert_eq!(root, pager.durable());
    assert_eq!(root, *pager.begin_read(Visible::Published).root());
    let file_pages = (files[0].1.len() / PAGE_SIZE) as u64;
    assert!(root.page_count <= file_pages, "more pages than the file has");
    let _ = (pager.older_durable(), pager.map_damage(), pager.meta_report().to_string());
    let stats = pager.stats();
    assert!(stats.live_pages <= stats.file_pages);
    for (first, count) in pager.live_ranges() {
        assert!(first.get() + count <= stats.file_pages, "live pages behind the end");
    }
}

/// A transaction that allocates and frees.
fn write(pager: &Arc<Pager>, round: u64) {
    let before: Vec<_> = pager.live_ranges().collect();
    let tip = pager.tip();
    let mut txn = pager.begin_write();
    let mut last = None;
    for _ in 0..5 {
        let page = txn.allocate(header::PageKind::Leaf, 0, TreeId::new(1)).expect("memory has room");
        let number = page.pgno().get();
        let taken = before.iter().any(|(first, count)| (first.get()..first.get() + count).contains(&number));
        assert!(!taken && !SLOTS.contains(&usize::try_from(number).expect("small")), "{page:?} was in use");
        txn.page_mut(page).expect("just allocated")[100] = 1;
        last = Some(page);
    }
    txn.free(last.expect("five were allocated")).expect("just allocated");
    let txid = TxnId::new(tip.txid.get() + 1 + round);
    let root = txn.commit(RootState { txid, ..tip.state() });
    pager.publish(&root);
}
