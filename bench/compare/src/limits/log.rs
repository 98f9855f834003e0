//! A log and nothing else: what commits would cost if there were no tree.
//!
//! Group commit: threads hand a record to a log thread, which writes all it has with one synced write and wakes each
//! of them. Pipelined: one thread copies and checksums records into buffers; several writes are in flight.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::engine::Outcome;
use crate::histogram::Histogram;
use crate::job::Record;
use crate::limits::direct::{self, ALIGN, Aligned, Sync};
use crate::workloads::threads_name;

/// Bytes of a record: key, value and a small header.
const RECORD_BYTES: usize = 296;
const FILE_BYTES: u64 = 64 << 20;
/// Buffer of a pipelined write, and how many are in flight.
const BUFFER_BYTES: usize = 64 << 10;
const IN_FLIGHT: usize = 4;

/// Every log probe on a file in `dir`, which is removed afterwards.
pub fn probe(dir: &Path, time: Duration) -> Outcome<Vec<Record>> {
    let path = dir.join("log-probe");
    direct::preallocate(&path, FILE_BYTES)?;
    let mut records = Vec::new();
    for threads in [1, 16, 64] {
        records.push(group_commit(&path, threads, time)?);
    }
    records.push(pipelined(&path, time)?);
    std::fs::remove_file(&path)?;
    Ok(records)
}

/// Commits that wait for the log thread.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
}

#[derive(Default)]
struct Waiting {
    threads: Vec<(Thread, Arc<Mutex<bool>>)>,
    closed: bool,
}

fn group_commit(path: &Path, threads: usize, time: Duration) -> Outcome<Record> {
    let (file, queue) = (direct::open(path, Sync::Each)?, Queue::default());
    let start = Instant::now();
    let (latencies, log) = std::thread::scope(|scope| {
        let log = scope.spawn(|| serve(&file, &queue));
        let committers: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| commit_until(&queue, start + time))).collect();
        let mut latencies = Histogram::default();
        committers.into_iter().filter_map(|it| it.join().ok()).for_each(|part| latencies.merge(&part));
        lock(&queue.waiting).closed = true;
        queue.filled.notify_one();
        (latencies, log.join().unwrap_or_else(|_| Err("the log thread panicked".into())))
    });
    log?;
    let mut record = Record::new("limits", format!("log with group commit, {}", threads_name(threads)));
    record.threads = Some(threads);
    record.metric("ops_s", latencies.count() as f64 / start.elapsed().as_secs_f64()).latencies(&latencies);
    Ok(record)
}

/// Writes what waits, wakes who waited, until the queue is closed and empty.
fn serve(file: &File, queue: &Queue) -> Outcome<()> {
    let mut buffer = Aligned::random(64 * RECORD_BYTES * 2);
    let source = [7; RECORD_BYTES];
    let (mut at, mut result) = (0, Ok(()));
    loop {
        let mut waiting = lock(&queue.waiting);
        while waiting.threads.is_empty() && !waiting.closed {
            waiting = queue.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.threads.is_empty() {
            return result;
        }
        let group = std::mem::take(&mut waiting.threads);
        drop(waiting);
        let len = (group.len() * RECORD_BYTES).next_multiple_of(ALIGN);
        buffer
            .bytes_mut()
            .chunks_exact_mut(RECORD_BYTES)
            .take(group.len())
            .for_each(|it| it.copy_from_slice(&source));
        let checksum = crc32c::crc32c(&buffer.bytes()[4..len]);
        buffer.bytes_mut()[..4].copy_from_slice(&checksum.to_le_bytes());
        // Waiters are woken even after a failure, or they would never return.
        result = result.and(file.write_all_at(&buffer.bytes()[..len], at).map_err(Into::into));
        at = (at + len as u64) % (FILE_BYTES - (1 << 20));
        for (thread, durable) in group {
            *lock(&durable) = true;
            thread.unpark();
        }
    }
}

fn commit_until(queue: &Queue, end: Instant) -> Histogram {
    let mut latencies = Histogram::default();
    let durable = Arc::new(Mutex::new(false));
    let mut before = Instant::now();
    while before < end {
        *lock(&durable) = false;
        lock(&queue.waiting).threads.push((std::thread::current(), Arc::clone(&durable)));
        queue.filled.notify_one();
        while !*lock(&durable) {
            std::thread::park();
        }
        let after = Instant::now();
        latencies.add(after - before);
        before = after;
    }
    latencies
}

fn pipelined(path: &Path, time: Duration) -> Outcome<Record> {
    let file = direct::open(path, Sync::Each)?;
    let (full, to_write) = mpsc::sync_channel::<Aligned>(IN_FLIGHT);
    let (empty, to_fill) = mpsc::channel::<Aligned>();
    for _ in 0..=IN_FLIGHT {
        empty.send(Aligned::random(BUFFER_BYTES))?;
    }
    let (to_write, at) = (Mutex::new(to_write), Mutex::new(0));
    let start = Instant::now();
    let records = std::thread::scope(|scope| {
        for _ in 0..IN_FLIGHT {
            let (file, empty, to_write, at) = (&file, empty.clone(), &to_write, &at);
            scope.spawn(move || write_buffers(file, to_write, at, &empty));
        }
        drop(empty);
        fill_buffers(&to_fill, full, start + time)
    });
    let took = start.elapsed().as_secs_f64();
    let mut record = Record::new("limits", "log, pipelined commits of one writer");
    record
        .metric("ops_s", records as f64 / took)
        .metric("mb_s", records as f64 * RECORD_BYTES as f64 / 1e6 / took);
    Ok(record)
}

/// Writes full buffers and hands them back, until there are no more or a write fails.
fn write_buffers(
    file: &File,
    full: &Mutex<mpsc::Receiver<Aligned>>,
    next: &Mutex<u64>,
    empty: &mpsc::Sender<Aligned>,
) {
    loop {
        let received = lock(full).recv();
        let Ok(buffer) = received else { return };
        let at = {
            let mut next = lock(next);
            let at = *next;
            *next = (at + BUFFER_BYTES as u64) % FILE_BYTES;
            at
        };
        if file.write_all_at(buffer.bytes(), at).is_err() || empty.send(buffer).is_err() {
            return;
        }
    }
}

fn fill_buffers(to_fill: &mpsc::Receiver<Aligned>, full: mpsc::SyncSender<Aligned>, end: Instant) -> u64 {
    let source = [9; RECORD_BYTES];
    let mut records = 0;
    while Instant::now() < end {
        let Ok(mut buffer) = to_fill.recv() else { break };
        for slot in buffer.bytes_mut().chunks_exact_mut(RECORD_BYTES) {
            slot.copy_from_slice(&source);
            let checksum = crc32c::crc32c(&slot[4..]);
            slot[..4].copy_from_slice(&checksum.to_le_bytes());
            records += 1;
        }
        if full.send(buffer).is_err() {
            break;
        }
    }
    records
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
