//! The operations that are counted. What they need is made before counting begins.

use std::{hint::black_box, io, path::Path, sync::Arc};

use llmdb_bench_own::rows::{Random, sorted_keys, sum};
use llmdb_engine::{Background, Durability, Engine, MAIN_TREE, Options};
use llmdb_vfs::{Create, MemoryVfs, Open, Vfs};

/// Rows of 256 bytes: three levels of pages.
const ROWS: usize = 40_000;
const VALUE: [u8; 256] = [0x5A; 256];
const PATH: &str = "counted.llmdb";

/// Something that is counted.
pub struct Operation {
    pub name: &'static str,
    /// How often `run` does it, inside [`counted`].
    pub times: u64,
    pub run: fn(u64),
}

/// All of them.
pub const OPERATIONS: &[Operation] = &[
    Operation { name: "get", times: 20_000, run: get },
    Operation { name: "get from a fresh snapshot", times: 20_000, run: get_fresh },
    Operation { name: "get of 16 at once", times: 1_000, run: multi_get },
    Operation { name: "scan step, value read", times: ROWS as u64, run: scan },
    Operation { name: "range of 100", times: 500, run: range },
    Operation { name: "put in a large transaction", times: 20_000, run: put },
    Operation { name: "put in order in a large transaction", times: 20_000, run: put_in_order },
    Operation { name: "commit of one put, durable", times: 2_000, run: commit_durable },
    Operation { name: "commit of one put, not forced", times: 2_000, run: commit_unforced },
    Operation { name: "replay of one put", times: 20_000, run: replay },
];

/// What happens in here is counted, and nothing else.
#[inline(never)]
pub fn counted(work: &mut dyn FnMut()) {
    work();
}

fn options() -> Options {
    let mut options = Options::default();
    options.background = Background::Manual;
    options
}

/// A store in memory, with a log, so that no system call is between us and the count.
fn loaded(keys: &[[u8; 24]]) -> Engine {
    let engine = Engine::open_on(Arc::new(MemoryVfs::new(1)), PATH, options()).expect("a new store");
    load(&engine, keys);
    engine
}

fn load(engine: &Engine, keys: &[[u8; 24]]) {
    let mut txn = engine.begin_write().expect("the first writer");
    let rows = keys.iter().map(|key| (key, VALUE));
    txn.tree(MAIN_TREE).and_then(|mut tree| tree.bulk_load(rows)).expect("room for the rows");
    txn.commit().expect("a commit");
    engine.checkpoint().expect("a checkpoint");
    // Pages are verified when they are first touched: that is not what is counted.
    let rows = engine
        .snapshot()
        .expect("a snapshot")
        .iter()
        .expect("a range")
        .map(|row| row.expect("sound pages").1.len())
        .sum::<usize>();
    black_box(rows);
}

fn get(times: u64) {
    let keys = sorted_keys(ROWS, 5);
    let engine = loaded(&keys);
    let snapshot = engine.snapshot().expect("a snapshot");
    let tree = snapshot.main().expect("the tree");
    let mut random = Random(3);
    counted(&mut || {
        for _ in 0..times {
            black_box(tree.get(keys[random.below(ROWS)]).expect("sound pages"));
        }
    });
}

fn get_fresh(times: u64) {
    let keys = sorted_keys(ROWS, 5);
    let engine = loaded(&keys);
    let mut random = Random(3);
    counted(&mut || {
        for _ in 0..times {
            let snapshot = engine.snapshot().expect("a snapshot");
            black_box(snapshot.get(keys[random.below(ROWS)]).expect("sound pages"));
        }
    });
}

fn multi_get(times: u64) {
    let keys = sorted_keys(ROWS, 5);
    let engine = loaded(&keys);
    let snapshot = engine.snapshot().expect("a snapshot");
    let tree = snapshot.main().expect("the tree");
    let mut random = Random(3);
    counted(&mut || {
        for _ in 0..times {
            let wanted: [&[u8]; 16] = std::array::from_fn(|_| &keys[random.below(ROWS)][..]);
            black_box(tree.multi_get(&wanted).expect("sound pages"));
        }
    });
}

fn scan(_: u64) {
    let keys = sorted_keys(ROWS, 5);
    let engine = loaded(&keys);
    let snapshot = engine.snapshot().expect("a snapshot");
    let tree = snapshot.main().expect("the tree");
    counted(&mut || {
        let rows = tree.iter().expect("a range");
        black_box(rows.map(|row| sum(row.expect("sound pages").1)).fold(0, u64::wrapping_add));
    });
}

fn range(times: u64) {
    let keys = sorted_keys(ROWS, 5);
    let engine = loaded(&keys);
    let snapshot = engine.snapshot().expect("a snapshot");
    let tree = snapshot.main().expect("the tree");
    let mut random = Random(3);
    counted(&mut || {
        for _ in 0..times {
            let rows = tree.range(&keys[random.below(ROWS - 100)][..]..).expect("a range");
            black_box(rows.take(100).map(|row| row.expect("sound pages").1.len()).sum::<usize>());
        }
    });
}

fn put(times: u64) {
    let keys = sorted_keys(ROWS, 5);
    let engine = loaded(&keys);
    let mut random = Random(4);
    let mut txn = engine.begin_write().expect("the writer");
    counted(&mut || {
        let mut tree = txn.tree(MAIN_TREE).expect("the tree");
        for _ in 0..times {
            tree.put(keys[random.below(ROWS)], VALUE).expect("room");
        }
    });
    txn.commit().expect("a commit");
}

/// Behind the rows that are there, as a load in order does.
fn put_in_order(times: u64) {
    let engine = loaded(&sorted_keys(ROWS, 5));
    let mut txn = engine.begin_write().expect("the writer");
    counted(&mut || {
        let mut tree = txn.tree(MAIN_TREE).expect("the tree");
        for number in 0..times {
            let mut key = [0xFF; 24];
            key[8..16].copy_from_slice(&number.to_be_bytes());
            tree.put(key, VALUE).expect("room");
        }
    });
    txn.commit().expect("a commit");
}

fn commit_durable(times: u64) {
    commit(times, Durability::Sync);
}

fn commit_unforced(times: u64) {
    commit(times, Durability::Off);
}

fn commit(times: u64, durability: Durability) {
    let keys = sorted_keys(ROWS, 5);
    let engine = loaded(&keys);
    let mut random = Random(4);
    counted(&mut || {
        for _ in 0..times {
            let mut txn = engine.begin_write().expect("the writer");
            txn.put(keys[random.below(ROWS)], VALUE).expect("room");
            black_box(txn.commit_with(durability).expect("a commit"));
        }
    });
}

/// Opening a store that was killed: its files are copied while it is open.
fn replay(times: u64) {
    let keys = sorted_keys(ROWS, 5);
    let disk = MemoryVfs::new(1);
    let engine = Engine::open_on(Arc::new(disk.clone()), PATH, options()).expect("a new store");
    load(&engine, &keys);
    let mut random = Random(9);
    for _ in 0..times / 1_000 {
        let mut txn = engine.begin_write().expect("the writer");
        for _ in 0..1_000 {
            txn.put(keys[random.below(ROWS)], VALUE).expect("room");
        }
        txn.commit().expect("a commit");
    }
    let left = copy(&disk).expect("room for a copy");
    counted(&mut || {
        let engine = Engine::open_on(Arc::new(left.clone()), PATH, options()).expect("a store to recover");
        assert!(engine.recovery().replayed_ops >= times, "it was to be replayed");
        // Closing is not counted.
        std::mem::forget(engine);
    });
}

/// The data file and the log, on a disk of their own.
fn copy(disk: &MemoryVfs) -> io::Result<MemoryVfs> {
    let copy = MemoryVfs::new(2);
    copy_file(disk, &copy, Path::new(PATH))?;
    let log = Path::new("counted.llmdb-wal");
    copy.create_dir(log)?;
    disk.list_dir(log)?.iter().try_for_each(|name| copy_file(disk, &copy, &log.join(name)))?;
    Ok(copy)
}

fn copy_file(from: &MemoryVfs, to: &MemoryVfs, path: &Path) -> io::Result<()> {
    let from = from.open(path, Open { write: false, create: Create::Never, direct: false })?;
    let to = to.open(path, Open { write: true, create: Create::IfMissing, direct: false })?;
    let mut bytes = vec![0; usize::try_from(from.len()?).map_err(io::Error::other)?];
    let got = from.read_at(&mut bytes, 0)?;
    to.write_at(&bytes[..got], 0).map(drop)
}
