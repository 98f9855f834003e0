//! Sound stores, as files: what is crafted begins with one of them.

use std::{
    path::Path,
    sync::{Arc, LazyLock},
};

use llmdb_base::{PAGE_SIZE, PageBytes, StoreId, codec, header};
use llmdb_engine::{Background, Durability, Engine, Options, Result};
use llmdb_vfs::{Create, MemoryVfs, Open, Vfs, crash::Chooser, read_exact_at, write_all_at};

use super::{Source, seal};

pub(super) const DATA: &str = "store";
pub(super) const LOG: &str = "store-wal";
pub(super) const SHARE: &str = "store-share";

/// Path and bytes of each file; the data file first.
pub(super) type Files = Vec<(String, Vec<u8>)>;

/// A sound store.
pub(super) struct Sample {
    pub files: Files,
    pub store: StoreId,
    /// Pages whose checksum stands in their header.
    pub nodes: Vec<usize>,
    /// Last transaction in it.
    pub txid: u64,
}

pub(super) fn options() -> Options {
    let mut options = Options::default();
    options.background = Background::Manual;
    options.segment_bytes_max = 32 << 10;
    options.log_window_bytes = 8 << 10;
    options
}

/// One of the sound stores.
pub(super) fn pick(source: &mut dyn Source) -> &'static Sample {
    static SAMPLES: LazyLock<[Sample; 3]> = LazyLock::new(|| {
        [take(several_trees), take(closed), take(long_log)].map(|made| made.expect("nothing is damaged yet"))
    });
    let samples = &*SAMPLES;
    &samples[usize::try_from(source.below(samples.len() as u64)).expect("few")]
}

/// Bytes that follow from `seed`.
pub(super) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut chooser = Chooser::new(seed);
    let mut bytes: Vec<u8> = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&chooser.next_u64().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Several trees of several levels, short and long runs, two generations, and a log behind them.
fn several_trees(engine: Engine) -> Result<Option<Engine>> {
    for round in 0..3_u64 {
        let mut txn = engine.begin_write()?;
        for number in 0..90 {
            txn.put(noise(number * 3 + round, 12), noise(number, 60))?;
            let long = [&[b'q'; 700], &noise(number + round, 4)[..]].concat();
            if number % 4 == 0 {
                txn.tree("long keys")?.put(long, noise(number, 20))?;
            }
        }
        let mut values = txn.tree("values")?;
        values.put([0, u8::try_from(round).expect("small")], noise(round, 9_000))?;
        if round == 1 {
            // So long that it has a table of checksums.
            values.put([9, 0], noise(round, 67_000))?;
        }
        values.put([7], noise(round, 5_000))?;
        txn.tree(&format!("round {round}"))?.put("a", "b")?;
        txn.commit()?;
        if round < 2 {
            engine.checkpoint()?;
        }
    }
    Ok(Some(engine))
}

/// So many trees that the catalog has branches; closed, so that no log is left.
fn closed(engine: Engine) -> Result<Option<Engine>> {
    for round in 0..2_u64 {
        let mut txn = engine.begin_write()?;
        for number in 0..90 {
            let name = format!("tree {number} {}", "n".repeat(60));
            txn.tree(&name)?.put(noise(number + round, 3), noise(number, 30))?;
        }
        txn.drop_tree(&format!("tree 7 {}", "n".repeat(60)))?;
        txn.commit()?;
    }
    engine.close()?;
    Ok(None)
}

/// A log of several segments, with every kind of operation in it, over almost nothing.
fn long_log(engine: Engine) -> Result<Option<Engine>> {
    for round in 0..12_u64 {
        let mut txn = engine.begin_write()?;
        let mut tree = txn.tree("rows")?;
        for number in 0..40 {
            tree.put(noise(number + round * 7, 8), noise(number, 100))?;
        }
        tree.put("long", noise(round, 12_000))?;
        let savepoint = txn.savepoint()?;
        txn.tree("passing")?.put([1], [2])?;
        txn.tree("rows")?.delete_range(&[40_u8][..]..&[90_u8][..])?;
        if round % 2 == 0 {
            txn.rollback_to(savepoint)?;
        } else {
            txn.drop_tree("passing")?;
        }
        txn.put(noise(round, 5), "main")?;
        txn.delete(noise(round / 2, 5))?;
        txn.commit_with(if round % 3 == 0 { Durability::Off } else { Durability::Sync })?;
    }
    Ok(Some(engine))
}

fn take(fill: fn(Engine) -> Result<Option<Engine>>) -> Result<Sample> {
    let vfs: Arc<dyn Vfs> = Arc::new(MemoryVfs::new(1));
    let engine = Engine::open_on(Arc::clone(&vfs), DATA, options())?;
    let open = fill(engine)?;
    let mut files = vec![(DATA.to_owned(), read_file(&*vfs, DATA))];
    files.extend(read_folder(&*vfs, LOG));
    drop(open);
    let txid = Engine::open_on(disk(&files), DATA, options())?.last_commit().txid.get();
    let store = StoreId::new(codec::get_u128(&files[0].1, 16));
    let nodes = files[0].1.chunks_exact(PAGE_SIZE).zip(0..).filter(|(page, pgno)| {
        let page: &PageBytes = (*page).try_into().expect("whole pages");
        header::kind(page).is_some() && header::checksum(page) == seal::node_checksum(store, *pgno, page)
    });
    let nodes: Vec<usize> = nodes.map(|(_, pgno)| usize::try_from(pgno).expect("small")).collect();
    // What lies behind the last page in use says nothing.
    let used = nodes.last().map_or(18, |last| last + 24) * PAGE_SIZE;
    files[0].1.truncate(used);
    Ok(Sample { files, store, nodes, txid })
}

/// A disk with these files.
pub(super) fn disk(files: &Files) -> Arc<dyn Vfs> {
    let vfs = MemoryVfs::new(1);
    vfs.create_dir(Path::new(LOG)).expect("memory");
    for (path, bytes) in files {
        let file = vfs.open(Path::new(path), Open { write: true, create: Create::IfMissing, direct: false });
        write_all_at(&*file.expect("memory"), bytes, 0).expect("memory");
    }
    Arc::new(vfs)
}

/// The bytes of a file.
pub(super) fn read_file(vfs: &dyn Vfs, path: &str) -> Vec<u8> {
    let how = Open { write: false, create: Create::Never, direct: false };
    let file = vfs.open(Path::new(path), how).expect("the file is there");
    let mut bytes = vec![0; usize::try_from(file.len().expect("memory")).expect("it is in memory")];
    read_exact_at(&*file, &mut bytes, 0).expect("memory");
    bytes
}

fn read_folder(vfs: &dyn Vfs, folder: &str) -> Files {
    let names = vfs.list_dir(Path::new(folder)).unwrap_or_default();
    let path = |name: String| format!("{folder}/{name}");
    names.into_iter().map(path).map(|path| (path.clone(), read_file(vfs, &path))).collect()
}
