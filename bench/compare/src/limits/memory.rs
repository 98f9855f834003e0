//! How fast memory is: copies, dependent random reads, checksums, and rows laid out in pages without an engine.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::data::{KEY_LEN, Random};
use crate::job::Record;
use crate::rows::every_word;
use crate::workloads::threads_name;

const PAGE_BYTES: usize = 4096;
/// Larger than any cache of the processor.
const FAR_BYTES: usize = 256 << 20;
/// Where the rows of the layout probe begin in their page, and how long key and value are.
const ROWS_START: usize = 32;
const ROW_BYTES: usize = KEY_LEN + 256;

/// Every memory probe. `rows` is the number of rows of the base store.
pub fn probe(rows: u64, time: Duration) -> Vec<Record> {
    let mut records = vec![copy(1, time), copy(2, time), random_read(time)];
    records.push(checksum("CRC32C of a page in cache", PAGE_BYTES, time));
    records.push(checksum("CRC32C of pages in memory", FAR_BYTES, time));
    records.push(layout(rows, time));
    records
}

/// Runs `pass` until the time is over; returns passes per second.
fn passes_per_second(time: Duration, mut pass: impl FnMut()) -> f64 {
    pass();
    let (start, mut passes) = (Instant::now(), 0_u32);
    while passes == 0 || start.elapsed() < time {
        pass();
        passes += 1;
    }
    f64::from(passes) / start.elapsed().as_secs_f64()
}

fn copy(threads: usize, time: Duration) -> Record {
    const PART_BYTES: usize = 64 << 20;
    let copy_alone = || {
        let (source, mut target) = (vec![1_u8; PART_BYTES], vec![2_u8; PART_BYTES]);
        passes_per_second(time, || black_box(&mut target).copy_from_slice(black_box(&source)))
    };
    let rate: f64 = std::thread::scope(|scope| {
        let copiers: Vec<_> = (0..threads).map(|_| scope.spawn(copy_alone)).collect();
        copiers.into_iter().filter_map(|copier| copier.join().ok()).sum()
    });
    let mut record = Record::new("limits", format!("memory copy, {}", threads_name(threads)));
    record.threads = Some(threads);
    record.metric("gb_s", rate * PART_BYTES as f64 / 1e9);
    record
}

/// Follows one random cycle through a large array: each read waits for the one before.
fn random_read(time: Duration) -> Record {
    let len = FAR_BYTES / 4;
    let mut next: Vec<u32> = (0..len as u32).collect();
    let mut random = Random::new(41);
    // Sattolo's shuffle makes a single cycle.
    for at in (1..len).rev() {
        next.swap(at, random.below(at as u64) as usize);
    }
    const STEPS: u32 = 1 << 18;
    let mut at = 0;
    let rate = passes_per_second(time, || {
        for _ in 0..STEPS {
            at = next[at as usize];
        }
        black_box(at);
    });
    let mut record = Record::new("limits", "random read, 256 MiB");
    record.metric("latency_ns", 1e9 / (rate * f64::from(STEPS)));
    record
}

fn checksum(name: &str, span_bytes: usize, time: Duration) -> Record {
    let bytes = vec![3; span_bytes];
    let repeats = (FAR_BYTES / 16 / span_bytes).max(1);
    let rate = passes_per_second(time, || {
        for _ in 0..repeats {
            let checksums = black_box(&bytes).chunks_exact(PAGE_BYTES).map(crc32c::crc32c);
            black_box(checksums.fold(0, |fold, checksum| fold ^ checksum));
        }
    });
    let bytes_per_second = rate * (repeats * span_bytes) as f64;
    let mut record = Record::new("limits", name);
    record
        .metric("gb_s", bytes_per_second / 1e9)
        .metric("page_ns", 1e9 * PAGE_BYTES as f64 / bytes_per_second);
    record
}

/// Reads rows in full that lie in pages in key order: a scan with nothing but the memory below it.
fn layout(rows: u64, time: Duration) -> Record {
    let rows_per_page = (PAGE_BYTES - ROWS_START) / ROW_BYTES;
    let page_count = (rows as usize).div_ceil(rows_per_page);
    let pages = vec![5_u8; page_count * PAGE_BYTES];
    let rate = passes_per_second(time, || {
        let mut fold = 0;
        for page in black_box(&pages).chunks_exact(PAGE_BYTES) {
            for row in page[ROWS_START..].chunks_exact(ROW_BYTES) {
                fold ^= every_word(&row[KEY_LEN..]);
            }
        }
        black_box(fold);
    });
    let mut record = Record::new("limits", "rows of 256 B in pages, ascending, read in full");
    record.metric("mrows_s", rate * (page_count * rows_per_page) as f64 / 1e6);
    record
}
