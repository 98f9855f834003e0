//! How fast the disk takes direct writes: synced overwrites at several sizes and depths, and a plain stream.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::engine::Outcome;
use crate::histogram::Histogram;
use crate::job::Record;
use crate::limits::direct::{self, Aligned, Sync};

const FILE_BYTES: u64 = 256 << 20;

/// Every disk probe on a file in `dir`, which is removed afterwards.
pub fn probe(dir: &Path, time: Duration) -> Outcome<Vec<Record>> {
    let path = dir.join("disk-probe");
    direct::preallocate(&path, FILE_BYTES)?;
    let cases = [
        ("synced overwrite 4 KiB, depth 1", 4 << 10, 1, Sync::Each),
        ("synced overwrite 4 KiB, depth 8", 4 << 10, 8, Sync::Each),
        ("synced overwrite 1 MiB, depth 1", 1 << 20, 1, Sync::Each),
        ("synced overwrite 1 MiB, depth 4", 1 << 20, 4, Sync::Each),
        ("direct write 1 MiB, depth 1", 1 << 20, 1, Sync::Later),
        ("direct write 1 MiB, depth 4", 1 << 20, 4, Sync::Later),
    ];
    // The first writes after preallocation still wait for the device to come to rest.
    overwrite(&path, "warm-up", 4 << 10, 1, Sync::Each, time / 2)?;
    let mut records = Vec::new();
    for (name, len, depth, sync) in cases {
        records.push(overwrite(&path, name, len, depth, sync, time)?);
    }
    std::fs::remove_file(&path)?;
    Ok(records)
}

/// Writes ascending pieces of `len` bytes from `depth` threads, around the file.
fn overwrite(
    path: &Path,
    name: &str,
    len: usize,
    depth: usize,
    sync: Sync,
    time: Duration,
) -> Outcome<Record> {
    let file = direct::open(path, sync)?;
    let (next, start) = (AtomicU64::new(0), Instant::now());
    let write_alone = || -> Outcome<Histogram> {
        let buffer = Aligned::random(len);
        let mut latencies = Histogram::default();
        while start.elapsed() < time {
            let at = next.fetch_add(len as u64, Ordering::Relaxed) % FILE_BYTES;
            let before = Instant::now();
            file.write_all_at(buffer.bytes(), at)?;
            latencies.add(before.elapsed());
        }
        Ok(latencies)
    };
    let parts: Vec<Outcome<Histogram>> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..depth).map(|_| scope.spawn(write_alone)).collect();
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap_or_else(|_| Err("a writer panicked".into())))
            .collect()
    });
    let took = start.elapsed().as_secs_f64();
    let mut latencies = Histogram::default();
    for part in parts {
        latencies.merge(&part?);
    }
    let mut record = Record::new("limits", name);
    record.threads = Some(depth);
    record
        .metric("ops_s", latencies.count() as f64 / took)
        .metric("mb_s", latencies.count() as f64 * len as f64 / 1e6 / took)
        .latencies(&latencies);
    Ok(record)
}
