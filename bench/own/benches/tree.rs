//! Whole trees over pages in memory: what is left when files, logs and checksums are taken away.

use std::{hint::black_box, ops::Bound};

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use llmdb_base::TreeId;
use llmdb_bench_own::{
    prefetching::{ALL, ENDS, Prefetching},
    rows::{Random, sorted_keys, sum},
};
use llmdb_btree::{NewValue, Tree, Value, testing::VecPages};

const ROWS: usize = 1_000_000;
const BATCH: usize = 4_000;
const VALUE: [u8; 256] = [0x5A; 256];

struct Store {
    tree: Tree,
    pages: VecPages,
    keys: Vec<[u8; 24]>,
    /// The same, in random order.
    shuffled: Vec<[u8; 24]>,
}

fn store() -> Store {
    let keys = sorted_keys(ROWS, 5);
    let mut pages = VecPages::default();
    let mut loader = Tree::loader(TreeId::new(1));
    for key in &keys {
        loader.push(&mut pages, key, NewValue::Bytes(&VALUE)).expect("memory suffices");
    }
    let tree = loader.finish(&mut pages).expect("memory suffices");
    let mut random = Random(2);
    let shuffled = (0..ROWS).map(|_| keys[random.below(ROWS)]).collect();
    Store { tree, pages, keys, shuffled }
}

fn bytes_of(value: Value<'_>) -> u64 {
    match value {
        Value::Inline(bytes) => sum(bytes),
        Value::Run(run) => run.len,
    }
}

fn first_byte(value: Value<'_>) -> u64 {
    match value {
        Value::Inline(bytes) => bytes.first().copied().map_or(0, u64::from),
        Value::Run(run) => run.len,
    }
}

/// Reads, without prefetch and with some of the lines of announced pages.
fn reads(c: &mut Criterion) {
    let store = store();
    for (name, lines) in
        [("no prefetch", &[][..]), ("prefetch of both ends", ENDS), ("prefetch of all lines", ALL)]
    {
        let pages = Prefetching { pages: &store.pages, lines };
        let mut group = c.benchmark_group(format!("1 M rows of 24 + 256 bytes, {name}"));
        lookups(&mut group, &store, &pages);
        scans(&mut group, &store, &pages);
        group.finish();
    }
    writes(c, store);
}

fn lookups(group: &mut BenchmarkGroup<'_, WallTime>, store: &Store, pages: &Prefetching<'_>) {
    let Store { tree, shuffled, .. } = store;
    let mut at = 0;
    let mut next = || {
        at = (at + 1) % ROWS;
        &shuffled[at]
    };
    group.throughput(Throughput::Elements(1));
    group.bench_function("get, random", |b| {
        b.iter(|| tree.get(pages, black_box(next())).ok().flatten().map(bytes_of));
    });
    group.throughput(Throughput::Elements(16));
    group.bench_function("multi_get of 16, random", |b| {
        let mut out = [None; 16];
        b.iter(|| {
            let wanted: [&[u8]; 16] = std::array::from_fn(|_| &next()[..]);
            tree.multi_get(pages, &wanted, &mut out)
                .map(|()| out.iter().flatten().copied().map(bytes_of).sum::<u64>())
                .ok()
        });
    });
    group.throughput(Throughput::Elements(100));
    group.bench_function("range of 100, random start", |b| {
        b.iter(|| {
            let range = tree.range(pages, Bound::Included(next()), Bound::Unbounded).into_iter().flatten();
            range.take(100).flatten().map(|(_, value)| bytes_of(value)).sum::<u64>()
        });
    });
}

fn scans(group: &mut BenchmarkGroup<'_, WallTime>, store: &Store, pages: &Prefetching<'_>) {
    let tree = &store.tree;
    group.sample_size(20);
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("scan, whole values", |b| {
        b.iter(|| {
            let range = tree.range(pages, Bound::Unbounded, Bound::Unbounded).into_iter().flatten();
            range.flatten().map(|(_, value)| bytes_of(value)).sum::<u64>()
        });
    });
    group.bench_function("scan, one byte of each value", |b| {
        b.iter(|| {
            let range = tree.range(pages, Bound::Unbounded, Bound::Unbounded).into_iter().flatten();
            range.flatten().map(|(_, value)| first_byte(value)).sum::<u64>()
        });
    });
    group.bench_function("scan with a cursor, whole values", |b| {
        b.iter(|| {
            let (mut cursor, mut total) = (tree.cursor(pages), 0);
            while let Ok(Some((_, value))) = cursor.next() {
                total += bytes_of(value);
            }
            total
        });
    });
}

fn writes(c: &mut Criterion, store: Store) {
    let Store { mut tree, mut pages, keys, shuffled } = store;
    let mut group = c.benchmark_group("batches of 4000 in 1 M rows");
    group.sample_size(20);
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut at = 0;
    group.bench_function("overwrite, random", |b| {
        b.iter(|| {
            pages.forget_old_roots();
            pages.advance_epoch();
            for _ in 0..BATCH {
                at = (at + 1) % ROWS;
                tree.insert(&mut pages, &shuffled[at], NewValue::Bytes(&VALUE)).expect("memory suffices");
            }
        });
    });
    let mut random = Random(99);
    group.bench_function("insert, random", |b| {
        b.iter(|| {
            pages.forget_old_roots();
            pages.advance_epoch();
            for _ in 0..BATCH {
                tree.insert(&mut pages, &random.key(), NewValue::Bytes(&VALUE)).expect("memory suffices");
            }
        });
    });
    let mut number = 0_u64;
    group.bench_function("insert, ascending", |b| {
        b.iter(|| {
            pages.forget_old_roots();
            pages.advance_epoch();
            for _ in 0..BATCH {
                number += 1;
                let key = [&[0xFF; 16], &number.to_be_bytes()[..]].concat();
                tree.insert(&mut pages, &key, NewValue::Bytes(&VALUE)).expect("memory suffices");
            }
        });
    });
    group.bench_function("load", |b| {
        b.iter(|| {
            let (mut loader, mut pages) = (Tree::loader(TreeId::new(2)), VecPages::default());
            for key in &keys[..BATCH] {
                loader.push(&mut pages, key, NewValue::Bytes(&VALUE)).expect("memory suffices");
            }
            loader.finish(&mut pages).expect("memory suffices")
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2));
    targets = reads
}
criterion_main!(benches);
