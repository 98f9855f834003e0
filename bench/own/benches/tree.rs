//! Whole trees over pages in memory: what is left when files, logs and checksums are taken away.

use std::{hint::black_box, ops::Bound};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use llmdb_base::TreeId;
use llmdb_bench_own::rows::{Random, sorted_keys, sum};
use llmdb_btree::{NewValue, Tree, Value, testing::VecPages};

const ROWS: usize = 1_000_000;
const BATCH: usize = 4_000;
const VALUE: [u8; 256] = [0x5A; 256];

struct Store {
    tree: Tree,
    pages: VecPages,
    keys: Vec<[u8; 24]>,
    /// Indexes into `keys`, in random order.
    order: Vec<usize>,
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
    let order = (0..ROWS).map(|_| random.below(ROWS)).collect();
    Store { tree, pages, keys, order }
}

fn bytes_of(value: Value<'_>) -> u64 {
    match value {
        Value::Inline(bytes) => sum(bytes),
        Value::Run(run) => run.len,
    }
}

fn reads(c: &mut Criterion) {
    let store = store();
    let Store { tree, pages, keys, order } = &store;
    let mut group = c.benchmark_group("1 M rows of 24 + 256 bytes");
    group.throughput(Throughput::Elements(1));
    let mut at = 0;
    let mut next = || {
        at = (at + 1) % ROWS;
        &keys[order[at]]
    };
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
            let mut cursor = tree.cursor(pages);
            let mut total = 0;
            while let Ok(Some((_, Value::Inline(bytes)))) = cursor.next() {
                total += u64::from(bytes[0]);
            }
            total
        });
    });
    group.finish();
    writes(c, store);
}

fn writes(c: &mut Criterion, store: Store) {
    let Store { mut tree, mut pages, keys, order } = store;
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
                tree.insert(&mut pages, &keys[order[at]], NewValue::Bytes(&VALUE)).expect("memory suffices");
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
