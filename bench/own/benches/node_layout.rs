//! The chosen node layout against two others, for the decision in `docs/adr/0005-node-layout.md`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use llmdb_bench_own::{
    Aligned, Layout, Ours,
    classic::Classic,
    dense::Dense,
    rows::{Random, separator, sorted_keys, sum},
};

/// Leaves of the large set: 256 MiB, more than any cache.
const LEAVES: usize = 65_536;
/// Pages of the hot set: 256 KiB.
const HOT: usize = 64;

struct Leaves {
    pages: Vec<Aligned>,
    /// Page and key, in random order.
    probes: Vec<(usize, [u8; 24])>,
}

fn leaves<L: Layout>(count: usize) -> Leaves {
    let keys = sorted_keys(count * 14, 7);
    let value = [0x5A; 256];
    let (mut pages, mut probes, mut random) = (Vec::new(), Vec::new(), Random(3));
    let mut rest = &keys[..];
    while pages.len() < count {
        let rows: Vec<(&[u8], &[u8])> = rest.iter().take(16).map(|key| (&key[..], &value[..])).collect();
        let (page, taken) = L::leaf(&rows);
        probes.push((pages.len(), rest[random.below(taken)]));
        pages.push(Aligned(page));
        rest = &rest[taken..];
    }
    for index in (1..probes.len()).rev() {
        probes.swap(index, random.below(index + 1));
    }
    Leaves { pages, probes }
}

fn search<L: Layout>(c: &mut Criterion) {
    for (name, count) in [("leaf search, 256 KiB", HOT), ("leaf search, 256 MiB", LEAVES)] {
        let leaves = leaves::<L>(count);
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        let mut at = 0;
        group.bench_function(BenchmarkId::from_parameter(L::NAME), |b| {
            b.iter(|| {
                let (page, key) = &leaves.probes[at];
                at = (at + 1) % leaves.probes.len();
                L::get(&leaves.pages[*page].0, black_box(key)).map(|value| value[0])
            });
        });
    }
}

/// Full branches over random keys, as a tree of 64 Ki leaves would have them; and over keys with a long prefix.
fn branches<L: Layout>(c: &mut Criterion) {
    for (name, prefix_len) in [("branch search, random keys", 0), ("branch search, 16 bytes shared", 16)] {
        let mut keys = sorted_keys(HOT * 300, 9);
        for key in &mut keys {
            key.rotate_right(prefix_len);
            key[..prefix_len].fill(b'p');
        }
        let (mut pages, mut probes, mut random) = (Vec::new(), Vec::new(), Random(3));
        let mut rest = &keys[..];
        while pages.len() < HOT {
            let separators: Vec<&[u8]> =
                rest.windows(2).take(299).map(|pair| separator(&pair[0], &pair[1])).collect();
            let (page, taken) = L::branch(&separators);
            for _ in 0..64 {
                probes.push((pages.len(), rest[random.below(taken)]));
            }
            pages.push(Aligned(page));
            rest = &rest[taken..];
        }
        for index in (1..probes.len()).rev() {
            probes.swap(index, random.below(index + 1));
        }
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        let mut at = 0;
        group.bench_function(BenchmarkId::from_parameter(L::NAME), |b| {
            b.iter(|| {
                let (page, key) = &probes[at];
                at = (at + 1) % probes.len();
                L::child(&pages[*page].0, black_box(key))
            });
        });
    }
}

fn scan<L: Layout>(c: &mut Criterion) {
    let leaves = leaves::<L>(LEAVES);
    let mut group = c.benchmark_group("scan 256 MiB, whole values");
    group.sample_size(20);
    group.throughput(Throughput::Elements(LEAVES as u64 * 14));
    group.bench_function(BenchmarkId::from_parameter(L::NAME), |b| {
        b.iter(|| {
            let mut total = 0;
            for page in &leaves.pages {
                L::values(&page.0, |value| total += sum(value));
            }
            total
        });
    });
}

fn all(c: &mut Criterion) {
    search::<Ours>(c);
    search::<Classic>(c);
    search::<Dense>(c);
    branches::<Ours>(c);
    branches::<Classic>(c);
    branches::<Dense>(c);
    scan::<Ours>(c);
    scan::<Classic>(c);
    scan::<Dense>(c);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2));
    targets = all
}
criterion_main!(benches);
