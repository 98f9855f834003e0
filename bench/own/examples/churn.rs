//! What overwriting costs: how long the file becomes, and how much is written, with and without the limits on room and
//! recovery time.
//!
//!     cargo run --release -p llmdb-bench-own --example churn [ROWS] [VALUE_BYTES] [DURABILITY: off | sync]
//!
//! Rows are put at random, ten to a transaction, for some multiples of their number. Counts pages, not time; only the
//! last column is a time, to be compared with the one above it in the same run.

use std::time::Duration;

use llmdb_bench_own::rows::Random;
use llmdb_engine::{Churn, Durability, Engine, Options, RecoveryTime};
use llmdb_vfs::{OsVfs, Vfs};

/// How often each row is overwritten, on average.
const ROUNDS: usize = 5;

fn main() -> llmdb_engine::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| {
        let text = arguments.next();
        text.map_or(default, |text| text.parse().expect("a number"))
    };
    let (rows, value_len) = (number(100_000), number(100));
    let durability = match arguments.next().as_deref() {
        Some("sync") => Durability::Sync,
        _ => Durability::Off,
    };
    println!("{rows} rows of {value_len} bytes, overwritten {ROUNDS} times at random, {durability:?}");
    println!(
        "{:<12} {:>11} {:>12} {:>13} {:>9}",
        "limits", "file / live", "checkpoints", "pages / put", "seconds"
    );
    run("none", &without_limits(), rows, value_len, durability)?;
    run("default", &Options::default(), rows, value_len, durability)?;
    let mut tight = Options::default();
    tight.churn.bytes_min = 1 << 20;
    run("5 %, always", &tight, rows, value_len, durability)
}

fn without_limits() -> Options {
    let mut options = Options::default();
    options.churn = Churn { percent: 0, bytes_min: u64::MAX };
    options.recovery =
        RecoveryTime { checkpoint_us: u64::MAX, throttle_us: u64::MAX, stall_us: u64::MAX, read_us: 0 };
    options
}

fn run(
    name: &str,
    options: &Options,
    rows: usize,
    value_len: usize,
    durability: Durability,
) -> llmdb_engine::Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let engine = Engine::open(folder.path().join("churn.llmdb"), options.clone())?;
    let mut txn = engine.begin_write()?;
    txn.tree("rows")?
        .bulk_load((0..rows as u64).map(|number| (number.to_be_bytes(), vec![1_u8; value_len])))?;
    txn.commit()?;
    (0..2).try_for_each(|_| engine.checkpoint())?;
    let before = engine.stats()?;
    let (clock, mut random) = (OsVfs::new(), Random(7));
    let began = clock.monotonic_us();
    for _ in 0..rows * ROUNDS / 10 {
        let mut txn = engine.begin_write()?;
        let mut tree = txn.tree("rows")?;
        for _ in 0..10 {
            tree.put((random.below(rows) as u64).to_be_bytes(), vec![2; value_len])?;
        }
        txn.commit_with(durability)?;
    }
    let took = Duration::from_micros(clock.monotonic_us() - began);
    let after = engine.stats()?;
    let puts = (rows * ROUNDS) as f64;
    println!(
        "{name:<12} {:>11.2} {:>12} {:>13.2} {:>9.1}",
        after.pages.file_pages as f64 / after.pages.live_pages as f64,
        after.checkpoint_count - before.checkpoint_count,
        (after.pages.checkpoint_pages - before.pages.checkpoint_pages) as f64 / puts,
        took.as_secs_f64(),
    );
    Ok(())
}
