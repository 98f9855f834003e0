//! How long a killed database takes to serve again: a process that loads a large database is killed while its log is
//! full, the page cache is emptied of its files, and a new process opens it and reads.
//!
//! ```sh
//! cargo bench -p llmdb-bench-own --bench recovery                                # 256 MB, 3 rounds
//! cargo bench -p llmdb-bench-own --bench recovery -- --gb 10 --store /data/recovery --load-only   # once, some minutes
//! cargo bench -p llmdb-bench-own --bench recovery -- --gb 10 --store /data/recovery --rounds 10 --limit-ms 1000
//! ```
//!
//! Each round: a writer overwrites rows drawn by chance, 16 to a transaction, until `--seconds` have passed, it has seen
//! two checkpoints, and the replay of its log would take about as long as it ever does, by estimate; it is killed; the
//! files are dropped from the page cache; a new process opens the store and reads a row. What was acknowledged must be
//! there. Exit code 1 if a round lost something, or took longer than `--limit-ms`.
//!
//! With `--store`, the store stays there and is used again; loading it can be interrupted and gone on with.
#![expect(clippy::expect_used, reason = "a bench stops at the first surprise")]

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
};

use llmdb_bench_own::rows::Random;
use llmdb_engine::{Durability, Engine, MAIN_TREE, Options};
use llmdb_vfs::{OsVfs, Vfs};

const VALUE_BYTES: usize = 1000;
const ROWS_PER_GB: u64 = 900_000;
const PUTS_PER_COMMIT: u64 = 16;
/// The row that says how many transactions were committed.
const COUNTER: &[u8] = b"\0count";

struct Args {
    gb: f64,
    rounds: u64,
    seconds: u64,
    limit_ms: u64,
    folder: Option<PathBuf>,
    /// Where the store is kept from run to run.
    store: Option<PathBuf>,
    load_only: bool,
    role: Option<(String, PathBuf)>,
}

impl Args {
    fn parse() -> Self {
        let mut args = Self {
            gb: 0.25,
            rounds: 3,
            seconds: 4,
            limit_ms: u64::MAX,
            folder: None,
            store: None,
            load_only: false,
            role: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| wrong(&word));
            match word.as_str() {
                "--bench" => {}
                "--gb" => args.gb = value().parse().unwrap_or_else(|_| wrong(&word)),
                "--rounds" => args.rounds = value().parse().unwrap_or_else(|_| wrong(&word)),
                "--seconds" => args.seconds = value().parse().unwrap_or_else(|_| wrong(&word)),
                "--limit-ms" => args.limit_ms = value().parse().unwrap_or_else(|_| wrong(&word)),
                "--folder" => args.folder = Some(value().into()),
                "--store" => args.store = Some(value().into()),
                "--load-only" => args.load_only = true,
                "--role" => args.role = Some((value(), value().into())),
                _ => wrong(&word),
            }
        }
        args
    }

    fn row_count(&self) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of rows")]
        let count = (self.gb * ROWS_PER_GB as f64) as u64;
        count.max(1000)
    }
}

fn wrong(word: &str) -> ! {
    eprintln!("recovery: {word} is not known, or wants another value");
    std::process::exit(2)
}

fn main() -> ExitCode {
    let args = Args::parse();
    match &args.role {
        Some((role, path)) if role == "load" => load(path, args.row_count()),
        Some((role, path)) if role == "write" => write_until_killed(path, args.row_count()),
        Some((_, path)) => open(path, args.row_count()),
        None => return measure(&args),
    }
    ExitCode::SUCCESS
}

fn now_us() -> u64 {
    OsVfs::new().monotonic_us()
}

fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

fn value(number: u64) -> Vec<u8> {
    let mut random = Random(number);
    (0..VALUE_BYTES.div_ceil(8)).flat_map(|_| random.number().to_le_bytes()).take(VALUE_BYTES).collect()
}

fn open_store(path: &Path) -> Engine {
    Engine::open(path, Options::default()).expect("the store opens")
}

/// Fills a store in the order of the keys, from the row on that it does not have yet.
fn load(path: &Path, row_count: u64) {
    let engine = open_store(path);
    let mut next = loaded_rows(&engine);
    while next < row_count {
        let mut txn = engine.begin_write().expect("the writer");
        let mut tree = txn.tree(MAIN_TREE).expect("the tree");
        for number in next..row_count.min(next + 8_000) {
            tree.put(key(number), value(number)).expect("room");
        }
        txn.commit_with(Durability::Async).expect("a commit");
        next += 8_000;
    }
    engine.close().expect("a clean close");
}

fn loaded_rows(engine: &Engine) -> u64 {
    let snapshot = engine.snapshot().expect("a snapshot");
    let Some(main) = snapshot.tree(MAIN_TREE).expect("sound pages") else { return 0 };
    let last = main.range::<&[u8]>(..).expect("sound pages").next_back().transpose().expect("sound pages");
    last.map_or(0, |(key, _)| key.try_into().map_or(0, |key| u64::from_be_bytes(key) + 1))
}

/// Overwrites rows, and tells of the transactions that are durable and of what a recovery would have to do.
fn write_until_killed(path: &Path, row_count: u64) {
    let engine = open_store(path);
    let mut random = Random(now_us());
    let mut count = counter(&engine);
    loop {
        let mut ticket = None;
        for _ in 0..16 {
            count += 1;
            let mut txn = engine.begin_write().expect("the writer");
            for _ in 0..PUTS_PER_COMMIT {
                let number = random.number() % row_count;
                txn.put(key(number), value(number ^ count)).expect("room");
            }
            txn.put(COUNTER, count.to_le_bytes()).expect("room");
            ticket = Some(txn.commit_async().expect("a commit"));
        }
        ticket.expect("16 commits").wait().expect("durable");
        let stats = engine.stats().expect("sound pages");
        // One write of the system: whoever reads a line reads all of it.
        let line = format!(
            "{count} {} {} {} {}\n",
            stats.replay_bytes, stats.replay_estimate_us, stats.pages.replaced_pages, stats.checkpoint_count
        );
        if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
            return;
        }
    }
}

fn counter(engine: &Engine) -> u64 {
    let snapshot = engine.snapshot().expect("a snapshot");
    let found = snapshot.get(COUNTER).expect("sound pages");
    found.map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
}

/// Opens what a kill left, reads a row, and tells how long that took.
fn open(path: &Path, row_count: u64) {
    let start_us = now_us();
    let engine = open_store(path);
    let opened_us = now_us();
    let number = Random(start_us).number() % row_count;
    let snapshot = engine.snapshot().expect("a snapshot");
    let row = snapshot.get(key(number)).expect("sound pages").expect("every row is there");
    assert_eq!(row.len(), VALUE_BYTES);
    let served_us = now_us();
    let (read_bytes, waits) = (device_bytes(), major_faults());
    let report = engine.recovery();
    let took = report.took;
    println!(
        "{} {} {} {} {} {} {} {} {} {}",
        opened_us - start_us,
        served_us - start_us,
        took.pages_us,
        took.log_us,
        took.replay_us,
        report.replayed_txns,
        report.replayed_bytes,
        counter(&engine),
        read_bytes,
        waits
    );
    drop(snapshot);
    engine.close().expect("a clean close");
}

/// Bytes that this process had read from the device.
fn device_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("read_bytes: "));
    line.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// How often this process waited for a page of a map to be read from the device.
fn major_faults() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in parentheses, may hold blanks.
    let fields = text.rsplit_once(") ").map_or("", |(_, fields)| fields);
    fields.split(' ').nth(9).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn start(args: &Args, role: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--role", role])
        .arg(path)
        .args(["--gb", &args.gb.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child process")
}

/// What the writer said last before it was killed.
#[derive(Clone, Copy, Default)]
struct Killed {
    /// Transactions that are durable.
    acknowledged: u64,
    /// What a recovery would have to do: log to read, how long it would take by estimate, and pages to read.
    replay_bytes: u64,
    estimate_us: u64,
    page_count: u64,
    checkpoint_count: u64,
    /// Overwritten rows in a second.
    speed: u64,
}

impl Killed {
    fn parse(line: &str) -> Option<Self> {
        let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [acknowledged, replay_bytes, estimate_us, page_count, checkpoint_count] = numbers[..] else {
            return None;
        };
        Some(Self { acknowledged, replay_bytes, estimate_us, page_count, checkpoint_count, speed: 0 })
    }
}

/// Runs the writer, and kills it when the log is full: a replay would take nearly as long as the longest seen.
fn kill_a_writer(args: &Args, path: &Path) -> Killed {
    let mut child = start(args, "write", path);
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let start_us = now_us();
    let mut longest = 0;
    let mut first = None;
    let mut last = Killed::default();
    let mut is_killed = false;
    for killed in lines.map_while(Result::ok).filter_map(|line| Killed::parse(&line)) {
        let (first_us, first) = *first.get_or_insert((now_us(), killed));
        let us = (now_us() - first_us).max(1);
        let rows = (killed.acknowledged - first.acknowledged) * (PUTS_PER_COMMIT + 1);
        last = Killed { speed: rows * 1_000_000 / us, ..killed };
        longest = longest.max(killed.estimate_us);
        let is_full = killed.estimate_us >= longest / 10 * 9 && killed.checkpoint_count >= 2;
        if !is_killed && is_full && now_us() - start_us > args.seconds * 1_000_000 {
            child.kill().expect("a child to kill");
            is_killed = true;
        }
    }
    child.wait().expect("a child that ended");
    assert!(is_killed, "the writer ended by itself");
    last
}

/// Drops the files of the store from the page cache.
fn forget(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry")) {
        let path = entry.path();
        if path.is_dir() {
            forget(&path);
            continue;
        }
        use rustix::fs::{Advice, Mode, OFlags, fadvise, fdatasync, open};
        let file = open(&path, OFlags::RDWR, Mode::empty()).expect("a file of the store");
        // What is dirty cannot be dropped.
        fdatasync(&file).expect("the file is forced");
        fadvise(&file, 0, None, Advice::DontNeed).expect("the file is dropped from the cache");
    }
}

/// What a process found that opened the store, in microseconds where it is time.
struct Opened {
    opened_us: u64,
    served_us: u64,
    pages_us: u64,
    log_us: u64,
    replay_us: u64,
    txns: u64,
    log_bytes: u64,
    found: u64,
    read_bytes: u64,
    waits: u64,
}

impl Opened {
    fn parse(text: &str) -> Option<Self> {
        let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [opened_us, served_us, pages_us, log_us, replay_us, txns, log_bytes, found, read_bytes, waits] =
            numbers[..]
        else {
            return None;
        };
        Some(Self {
            opened_us,
            served_us,
            pages_us,
            log_us,
            replay_us,
            txns,
            log_bytes,
            found,
            read_bytes,
            waits,
        })
    }
}

fn measure(args: &Args) -> ExitCode {
    let parent = args.folder.clone().unwrap_or_else(std::env::temp_dir);
    let temporary = tempfile::Builder::new().prefix("llmdb-recovery-").tempdir_in(parent).expect("a folder");
    let folder = args.store.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(folder).expect("the folder of the store");
    let path = folder.join("store");
    let start_us = now_us();
    let loaded = start(args, "load", &path).wait().expect("a child that ended");
    assert!(loaded.success(), "loading failed");
    let bytes = std::fs::metadata(&path).expect("the data file").len();
    println!("loaded {} MB in {} s", bytes >> 20, (now_us() - start_us) / 1_000_000);
    if args.load_only {
        return ExitCode::SUCCESS;
    }
    println!(
        "round   rows/s  to replay: log MB  pages  estimate ms | open ms (pages    log  replay)  first read ms | txns  \
         from disk MB  page waits"
    );
    let mut served = Vec::new();
    for round in 1..=args.rounds {
        let killed = kill_a_writer(args, &path);
        forget(folder);
        let output = start(args, "open", &path).wait_with_output().expect("a child that ended");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let Some(opened) = Opened::parse(&text) else {
            println!("round {round}: the store did not open: {text}");
            return ExitCode::FAILURE;
        };
        print_round(round, &killed, &opened);
        if opened.found < killed.acknowledged {
            println!(
                "round {round}: {} transactions acknowledged, {} found",
                killed.acknowledged, opened.found
            );
            return ExitCode::FAILURE;
        }
        served.push(opened.served_us / 1000);
    }
    tell(args, served)
}

fn print_round(round: u64, killed: &Killed, opened: &Opened) {
    println!(
        "{round:>5} {:>8} {:>18} {:>6} {:>12} | {:>7} {:>6} {:>6} {:>7} {:>14} | {:>5} {:>12} {:>11}",
        killed.speed,
        killed.replay_bytes >> 20,
        killed.page_count,
        killed.estimate_us / 1000,
        opened.opened_us / 1000,
        opened.pages_us / 1000,
        opened.log_us / 1000,
        opened.replay_us / 1000,
        opened.served_us / 1000,
        opened.txns,
        opened.read_bytes >> 20,
        opened.waits
    );
    if killed.replay_bytes > 2 * opened.log_bytes.max(1 << 20) {
        println!("        (a checkpoint had just ended: {} MB of log were left)", opened.log_bytes >> 20);
    }
}

fn tell(args: &Args, mut served: Vec<u64>) -> ExitCode {
    let limit = args.limit_ms.min(1000);
    let fast = served.iter().filter(|ms| **ms < limit).count();
    println!("first read under {limit} ms: {fast} of {}; in order: {served:?} ms", served.len());
    served.sort_unstable();
    let worst = served.last().copied().unwrap_or(0);
    let median = served.get(served.len() / 2).copied().unwrap_or(0);
    println!("first read after: median {median} ms, worst {worst} ms, {} rounds", args.rounds);
    if worst > args.limit_ms { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
