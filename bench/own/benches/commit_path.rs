//! Two ways of getting new pages from a writer to readers and to the file, measured against each other.
//!
//! - `private map`: the writer makes pages in a private mapping of the file, readers see them there; a checkpoint
//!   copies the live ones to a buffer and writes them in runs, then the private copies are dropped.
//! - `arena`: the writer makes pages in memory of its own and writes each to the file before it is published, so
//!   that readers see it through the mapping; a checkpoint has nothing to write.
//!
//! Both are without forcing the file, which costs the same in both. A round is a checkpoint interval: epochs that
//! each change some pages, most of them freshly allocated, some of them (branches) again and again.
#![expect(unsafe_code, reason = "stores into the mapping; the benches of a room may open its door")]

use std::{hint::black_box, sync::Arc};

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use llmdb_base::PAGE_SIZE;
use llmdb_bench_own::rows::Random;
use llmdb_vfs::{Create, File, Mapping, Open, OsVfs, Vfs, read_exact_at, write_all_at};

const FILE_PAGES: usize = 64 << 10;
const RUN_PAGES: usize = 64;

struct Place {
    file: Arc<dyn File>,
    map: Mapping,
    _folder: tempfile::TempDir,
}

/// A file of 256 MiB in a temporary folder, written in small pieces so that it lies in small folios.
fn place() -> Place {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let vfs = OsVfs::new();
    let how = Open { write: true, create: Create::New, direct: false };
    let file = vfs.open(&folder.path().join("pages"), how).expect("a new file");
    for page in 0..FILE_PAGES {
        write_all_at(&*file, &[1; PAGE_SIZE], (page * PAGE_SIZE) as u64).expect("room for 256 MiB");
    }
    file.sync_data().expect("a sync");
    let map = vfs.map(Some(Arc::clone(&file))).expect("a mapping");
    map.reserve((FILE_PAGES * PAGE_SIZE) as u64).expect("address space");
    Place { file, map, _folder: folder }
}

/// What the epochs of a round write: page numbers.
struct Round {
    epochs: Vec<Vec<usize>>,
    /// The pages that are live at the end, ascending.
    live: Vec<usize>,
}

/// `epochs` epochs that each rewrite one of `leaves` pages and the same `branches`: what is left of small transactions
/// once the pages that they free are used again within the interval.
fn hot_round(epochs: usize, leaves: usize, branches: usize, random: &mut Random) -> Round {
    let epochs: Vec<Vec<usize>> = (0..epochs)
        .map(|_| {
            let leaf = branches + random.below(leaves) * 97;
            (0..branches).chain([leaf]).collect()
        })
        .collect();
    let mut live: Vec<usize> = epochs.iter().flatten().copied().collect();
    live.sort_unstable();
    live.dedup();
    Round { epochs, live }
}

/// `epochs` epochs that each write `leaves` fresh pages, scattered or side by side, and rewrite the same `branches`.
fn round(epochs: usize, leaves: usize, branches: usize, scattered: bool, random: &mut Random) -> Round {
    let mut all: Vec<usize> = (branches..FILE_PAGES).collect();
    if scattered {
        for index in (1..all.len()).rev() {
            all.swap(index, random.below(index + 1));
        }
    }
    let mut fresh = all.into_iter();
    let epochs: Vec<Vec<usize>> =
        (0..epochs).map(|_| fresh.by_ref().take(leaves).chain(0..branches).collect()).collect();
    let mut live: Vec<usize> = epochs.iter().flatten().copied().collect();
    live.sort_unstable();
    live.dedup();
    Round { epochs, live }
}

fn offset(page: usize) -> u64 {
    (page * PAGE_SIZE) as u64
}

fn private_map(place: &Place, round: &Round, source: &[u8]) {
    for page in round.epochs.iter().flatten() {
        // SAFETY: the page is reserved and inside the file, and this thread holds no other reference into it.
        let bytes = unsafe { place.map.bytes_mut(offset(*page), PAGE_SIZE) };
        bytes.copy_from_slice(source);
    }
    let mut buffer = Vec::with_capacity(RUN_PAGES * PAGE_SIZE);
    for run in round.live.chunk_by(|a, b| a + 1 == *b).flat_map(|run| run.chunks(RUN_PAGES)) {
        buffer.clear();
        for page in run {
            // SAFETY: the page is reserved and inside the file, and nobody stores to it now.
            buffer.extend_from_slice(unsafe { place.map.bytes(offset(*page), PAGE_SIZE) });
        }
        write_all_at(&*place.file, &buffer, offset(run[0])).expect("the file has its blocks");
        place.map.discard(offset(run[0]), run.len() * PAGE_SIZE).expect("private copies are dropped");
    }
}

fn arena(place: &Place, round: &Round, source: &[u8], memory: &mut [u8]) {
    for epoch in &round.epochs {
        for (slot, page) in epoch.iter().enumerate() {
            let bytes = &mut memory[slot * PAGE_SIZE..][..PAGE_SIZE];
            bytes.copy_from_slice(source);
            black_box(page);
        }
        let mut at = 0;
        for run in epoch.chunk_by(|a, b| a + 1 == *b) {
            write_all_at(&*place.file, &memory[at..at + run.len() * PAGE_SIZE], offset(run[0]))
                .expect("the file has its blocks");
            at += run.len() * PAGE_SIZE;
        }
    }
}

fn compare(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, place: &Place, round: &Round) {
    let source = vec![7; PAGE_SIZE];
    let written: usize = round.epochs.iter().map(Vec::len).sum();
    let mut memory = vec![0; round.epochs.iter().map(Vec::len).max().unwrap_or(0) * PAGE_SIZE];
    group.throughput(Throughput::Elements(written as u64));
    group.bench_function(format!("{name}/private map"), |b| b.iter(|| private_map(place, round, &source)));
    group.bench_function(format!("{name}/arena"), |b| b.iter(|| arena(place, round, &source, &mut memory)));
    // The file must hold what both wrote last, or one of them measured something else.
    let mut page = [0; PAGE_SIZE];
    read_exact_at(&*place.file, &mut page, offset(round.live[0])).expect("the page is in the file");
    assert_eq!(page[..], source[..]);
}

fn commit_path(c: &mut Criterion) {
    let (place, mut random) = (place(), Random(7));
    let mut group = c.benchmark_group("commit path, pages written by transactions");
    group.sample_size(10);
    let small = round(2_000, 1, 3, true, &mut random);
    compare(&mut group, "one put each: 1 leaf, 3 branches", &place, &small);
    let hot = hot_round(8_000, 200, 3, &mut random);
    compare(&mut group, "one put each: 200 leaves again and again, 3 branches", &place, &hot);
    let scattered = round(8, 2_000, 500, true, &mut random);
    compare(&mut group, "1 MB of random keys: 2000 leaves, 500 branches", &place, &scattered);
    let ascending = round(8, 2_000, 8, false, &mut random);
    compare(&mut group, "8 MB of ascending keys: 2000 leaves, 8 branches", &place, &ascending);
    group.finish();
}

criterion_group!(benches, commit_path);
criterion_main!(benches);
