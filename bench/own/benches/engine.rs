//! The engine as a whole, on the disk that holds the temporary folder: what a transaction, a get, a scan step, a
//! snapshot and a recovery cost.

use std::{hint::black_box, path::Path};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use llmdb_bench_own::rows::{Random, sorted_keys, sum};
use llmdb_engine::{Durability, Engine, MAIN_TREE, Options};

const ROWS: usize = 200_000;
const VALUE: [u8; 256] = [0x5A; 256];

fn open(folder: &Path) -> Engine {
    Engine::open(folder.join("bench.llmdb"), Options::default()).expect("a store in a temporary folder")
}

fn loaded(folder: &Path, keys: &[[u8; 24]]) -> Engine {
    let engine = open(folder);
    let mut txn = engine.begin_write().expect("the first writer");
    let rows = keys.iter().map(|key| (key, VALUE));
    txn.tree(MAIN_TREE).and_then(|mut tree| tree.bulk_load(rows)).expect("room for the rows");
    txn.commit().expect("a commit");
    engine
}

fn reads(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keys = sorted_keys(ROWS, 5);
    let engine = loaded(folder.path(), &keys);
    let snapshot = engine.snapshot().expect("a snapshot");
    let tree = snapshot.main().expect("the tree");
    let mut random = Random(3);
    let mut group = c.benchmark_group("engine reads");
    group.bench_function("get", |b| {
        b.iter(|| sum(tree.get(keys[random.below(ROWS)]).expect("sound pages").expect("the key is there")));
    });
    group.bench_function("get from a fresh snapshot", |b| {
        b.iter(|| {
            let snapshot = engine.snapshot().expect("a snapshot");
            sum(snapshot.get(keys[random.below(ROWS)]).expect("sound pages").expect("the key is there"))
        });
    });
    group.throughput(Throughput::Elements(16));
    group.bench_function("multi_get of 16", |b| {
        b.iter(|| {
            let wanted: [&[u8]; 16] = std::array::from_fn(|_| &keys[random.below(ROWS)][..]);
            tree.multi_get(&wanted).expect("sound pages").into_iter().flatten().map(sum).sum::<u64>()
        });
    });
    group.throughput(Throughput::Elements(ROWS as u64));
    group.sample_size(20);
    group.bench_function("full scan, values read", |b| {
        b.iter(|| tree.iter().expect("a range").map(|row| sum(row.expect("sound pages").1)).sum::<u64>());
    });
    group.finish();
}

fn writes(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keys = sorted_keys(ROWS, 5);
    let engine = loaded(folder.path(), &keys);
    let mut random = Random(4);
    let mut group = c.benchmark_group("engine writes");
    for (name, durability) in [("not forced", Durability::Off), ("durable", Durability::Sync)] {
        group.bench_function(format!("one put and commit, {name}"), |b| {
            b.iter(|| {
                let mut txn = engine.begin_write().expect("the writer");
                txn.put(keys[random.below(ROWS)], VALUE).expect("room");
                black_box(txn.commit_with(durability).expect("a commit"));
            });
        });
    }
    group.sample_size(20);
    group.throughput(Throughput::Elements(4_000));
    group.bench_function("4000 random puts, durable", |b| {
        b.iter(|| {
            let mut txn = engine.begin_write().expect("the writer");
            let mut tree = txn.tree(MAIN_TREE).expect("the tree");
            for _ in 0..4_000 {
                tree.put(keys[random.below(ROWS)], VALUE).expect("room");
            }
            txn.commit().expect("a commit");
        });
    });
    group.finish();
}

/// Opening after a kill: 20,000 random puts since the last checkpoint, about 6 MB of log.
fn recovery(c: &mut Criterion) {
    let keys = sorted_keys(ROWS, 5);
    let mut group = c.benchmark_group("engine recovery");
    group.sample_size(10);
    group.bench_function("open with 20,000 puts to replay", |b| {
        b.iter_batched(|| crashed(&keys), |folder| open(folder.path()), BatchSize::PerIteration);
    });
    group.finish();
}

fn crashed(keys: &[[u8; 24]]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let engine = loaded(folder.path(), keys);
    engine.checkpoint().expect("a checkpoint");
    let mut random = Random(9);
    for _ in 0..20 {
        let mut txn = engine.begin_write().expect("the writer");
        for _ in 0..1_000 {
            txn.put(keys[random.below(ROWS)], VALUE).expect("room");
        }
        txn.commit().expect("a commit");
    }
    let left = tempfile::tempdir().expect("a temporary folder");
    copy(folder.path(), left.path());
    left
}

/// The files as a kill would leave them: copied while the store is open.
fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a kind").is_dir() {
            std::fs::create_dir(&target).expect("a new folder");
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("room for a copy");
        }
    }
}

criterion_group!(benches, reads, writes, recovery);
criterion_main!(benches);
