//! A log with arbitrary segment files: replay ends, and never returns a record that was not written.

use std::{
    io::Read,
    path::Path,
    sync::{Arc, LazyLock},
};

use arbitrary::Arbitrary;
use llmdb_base::{Lsn, StoreId, checksum, codec};
use llmdb_vfs::{MemoryVfs, Vfs};
use llmdb_wal::{Log, LogOptions, LogResult, Replay, TailPolicy};

use crate::disk::{Files, disk, noise, read_folder};

const FOLDER: &str = "log";
const STORE: StoreId = StoreId::new(0x5107E);
const UNIT: usize = 4096;
const RECORDS_MAX: usize = 1_000_000;
const OPTIONS: LogOptions = LogOptions {
    segment_bytes_max: 64 << 10,
    window_bytes: 16 << 10,
    batch_bytes_max: 8 << 10,
    in_flight_max: 2,
    spare_segments_max: 2,
};

/// What lies in the folder of the log, and how it is read.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    source: Source<'a>,
    cut_at_damage: bool,
    /// Which record the replay begins behind.
    from: u8,
}

#[derive(Arbitrary, Debug)]
enum Source<'a> {
    /// Files as they come, whatever their checksums.
    Raw { from: u64, files: Vec<(u8, &'a [u8])> },
    /// A log with bytes changed and checksums made right again.
    Forged { from: Option<u64>, edits: Vec<Edit<'a>> },
    /// A log as rot and loss leave it.
    Rotten { damages: Vec<Damage> },
    /// A log whose last write was torn.
    Torn { written: u64, noise: Option<(u16, u8)> },
}

#[derive(Arbitrary, Debug)]
enum Edit<'a> {
    /// A field of the header of a segment, by its offset.
    Segment {
        file: u8,
        offset: u8,
        bytes: &'a [u8],
    },
    /// Bytes of a batch, header included.
    Batch {
        file: u8,
        batch: u8,
        offset: u16,
        bytes: &'a [u8],
    },
    Cut {
        file: u8,
        units: u8,
    },
    Remove {
        file: u8,
    },
    /// The bytes of one file under the name of another.
    Copy {
        from: u8,
        to: u8,
    },
    /// A unit somewhere else.
    Move {
        file: u8,
        from: u8,
        to: u8,
    },
}

#[derive(Arbitrary, Debug)]
enum Damage {
    /// Four bytes together at most: no checksum misses that.
    Flip {
        file: u8,
        offset: u32,
        mask: u32,
    },
    Zero {
        file: u8,
        sector: u8,
        count: u8,
    },
    Cut {
        file: u8,
        len: u32,
    },
    Remove {
        file: u8,
    },
}

struct Sample {
    /// Before the last write, and behind it.
    before: Files,
    after: Files,
    records: Vec<(Lsn, Vec<u8>)>,
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let vfs: Arc<dyn Vfs> = Arc::new(MemoryVfs::new(1));
    let log = Log::create(vfs.clone(), Path::new(FOLDER), STORE, Lsn::new(0), OPTIONS).expect("memory");
    let mut records = Vec::new();
    let lens =
        [0, 1, 300, 4_000, 20_000, 5, 9_000, 4_030, 40_000, 70, 12_000, 8_000, 100, 30_000, 7, 7, 7, 3_000];
    for (len, number) in lens.into_iter().zip(0..) {
        let bytes = noise(number, len);
        let lsn = append(&log, &bytes).expect("memory");
        if number % 3 != 0 {
            log.sync_to(lsn).expect("memory");
        }
        records.push((lsn, bytes));
    }
    log.sync_to(log.appended()).expect("memory");
    let before = read_folder(&*vfs, FOLDER);
    let bytes = noise(99, 6_000);
    let lsn = append(&log, &bytes).expect("memory");
    log.sync_to(lsn).expect("memory");
    records.push((lsn, bytes));
    let after = read_folder(&*vfs, FOLDER);
    assert!(after.len() > 2 && before.len() == after.len());
    Sample { before, after, records }
});

fn append(log: &Log, bytes: &[u8]) -> LogResult<Lsn> {
    let mut record = log.begin()?;
    record.append(bytes)?;
    record.finish()
}

/// Runs one input.
///
/// # Panics
/// At a finding.
pub fn run(input: &Input<'_>) {
    let sample = &*SAMPLE;
    let tail = if input.cut_at_damage { TailPolicy::CutAtDamage } else { TailPolicy::Strict };
    // Behind so many records the replay begins.
    let skipped = usize::from(input.from) % sample.records.len();
    let lsn = skipped.checked_sub(1).map_or(Lsn::new(0), |last| sample.records[last].0);
    match &input.source {
        Source::Raw { from, files } => {
            let named = files.iter().take(6).map(|(index, bytes)| (name(u64::from(*index)), bytes.to_vec()));
            attempt(&disk(&[FOLDER], &named.collect()), Lsn::new(*from), tail);
        }
        Source::Forged { from, edits } => {
            let mut files = sample.after.clone();
            edits.iter().take(16).for_each(|edit| edit.apply(&mut files));
            files.iter_mut().for_each(|(_, bytes)| repair(bytes));
            attempt(&disk(&[FOLDER], &files), from.map_or(lsn, Lsn::new), tail);
        }
        Source::Rotten { damages } => {
            let mut files = sample.after.clone();
            damages.iter().take(8).for_each(|damage| damage.apply(&mut files));
            let vfs = disk(&[FOLDER], &files);
            if let Some(found) = attempt(&vfs, lsn, tail) {
                assert!(sample.records[skipped..].starts_with(&found), "not what was written");
                go_on(&vfs, lsn, found);
            }
        }
        Source::Torn { written, noise } => {
            let vfs = disk(&[FOLDER], &torn(sample, *written, *noise));
            let found = attempt(&vfs, lsn, tail).expect("a torn tail is no damage");
            let whole = sample.records.len() - 1 - skipped;
            assert!(found.len() >= whole, "a record that was durable is gone");
            assert!(sample.records[skipped..].starts_with(&found), "not what was written");
            go_on(&vfs, lsn, found);
        }
    }
}

fn name(index: u64) -> String {
    format!("{FOLDER}/{index:016x}.seg")
}

/// Reads the log to its end and goes on with it. What it held, if there was no error.
fn attempt(vfs: &Arc<dyn Vfs>, from: Lsn, tail: TailPolicy) -> Option<Vec<(Lsn, Vec<u8>)>> {
    let mut replay = open(vfs, from, tail).ok()?;
    let (end, count) = (replay.end(), replay.record_count());
    let records = read_all(&mut replay).ok()?;
    assert_eq!(records.len() as u64, count);
    assert!(records.is_sorted_by(|one, next| one.0 < next.0));
    assert_eq!(records.last().map_or(from, |last| last.0), end);
    let log = replay.into_log().ok()?;
    let lsn = append(&log, b"new").ok()?;
    assert!(lsn > end, "a new record lies behind all old ones");
    log.sync_to(lsn).ok()?;
    Some(records)
}

/// What was found, and the record written behind it, is what another opening finds.
fn go_on(vfs: &Arc<dyn Vfs>, from: Lsn, mut expected: Vec<(Lsn, Vec<u8>)>) {
    let mut replay = open(vfs, from, TailPolicy::Strict).expect("a log taken into use is whole");
    let mut found = read_all(&mut replay).expect("a log taken into use is whole");
    let new = found.pop().expect("a record was appended");
    assert_eq!(new.1, b"new");
    assert!(found == expected, "records changed");
    expected.push(new);
    let log = replay.into_log().expect("memory");
    log.retire(expected.last().expect("just pushed").0).expect("memory");
    log.remove().expect("memory");
}

fn open(vfs: &Arc<dyn Vfs>, from: Lsn, tail: TailPolicy) -> LogResult<Replay> {
    Replay::open(vfs.clone(), Path::new(FOLDER), STORE, from, OPTIONS, tail)
}

fn read_all(replay: &mut Replay) -> LogResult<Vec<(Lsn, Vec<u8>)>> {
    let mut records = Vec::new();
    while let Some(mut record) = replay.next_record()? {
        let mut bytes = Vec::new();
        if let Err(source) = record.read_to_end(&mut bytes) {
            return Err(llmdb_wal::LogError::Io { what: "read".into(), source });
        }
        assert_eq!(record.len(), bytes.len() as u64);
        records.push((record.end(), bytes));
        assert!(records.len() < RECORDS_MAX, "a replay without end");
    }
    Ok(records)
}

/// The last write, some sectors of it written, the others not.
fn torn(sample: &Sample, written: u64, noise: Option<(u16, u8)>) -> Files {
    let mut files = sample.before.clone();
    let mut number = 0;
    for ((_, old), (_, new)) in files.iter_mut().zip(&sample.after) {
        let len = old.len();
        old.resize(len.max(new.len()), 0);
        for (old, new) in old.chunks_mut(512).zip(new.chunks(512)).filter(|(old, new)| old != new) {
            if written >> (number % 64) & 1 == 1 {
                old.copy_from_slice(new);
            }
            // A sector under way may come to hold anything.
            if let Some((offset, byte)) = noise.filter(|(offset, _)| offset / 512 == number) {
                old[usize::from(offset % 512)] ^= byte;
            }
            number += 1;
        }
    }
    files
}

fn pick(files: &mut Files, file: u8) -> Option<&mut Vec<u8>> {
    let count = files.len().max(1);
    files.get_mut(usize::from(file) % count).map(|(_, bytes)| bytes)
}

fn remove(files: &mut Files, file: u8) {
    if !files.is_empty() {
        files.remove(usize::from(file) % files.len());
    }
}

fn overwrite(bytes: &mut [u8], offset: usize, new: &[u8]) {
    if let Some(place) = bytes.get_mut(offset..) {
        let len = place.len().min(new.len());
        place[..len].copy_from_slice(&new[..len]);
    }
}

impl Edit<'_> {
    fn apply(&self, files: &mut Files) {
        match *self {
            Self::Segment { file, offset, bytes } => {
                let Some(file) = pick(files, file) else { return };
                overwrite(file, usize::from(offset % 64), bytes);
            }
            Self::Batch { file, batch, offset, bytes } => {
                let Some(file) = pick(files, file) else { return };
                let Some(start) = batches(file).get(usize::from(batch)).copied() else { return };
                overwrite(file, start + usize::from(offset), bytes);
            }
            Self::Cut { file, units } => {
                if let Some(file) = pick(files, file) {
                    file.truncate(usize::from(units) * UNIT);
                }
            }
            Self::Remove { file } => remove(files, file),
            Self::Copy { from, to } => {
                let Some(bytes) = pick(files, from).cloned() else { return };
                *pick(files, to).expect("there was one to copy") = bytes;
            }
            Self::Move { file, from, to } => {
                let Some(file) = pick(files, file) else { return };
                let (from, to) = (usize::from(from) * UNIT, usize::from(to) * UNIT);
                if from.max(to) + UNIT <= file.len() {
                    file.copy_within(from..from + UNIT, to);
                }
            }
        }
    }
}

impl Damage {
    fn apply(&self, files: &mut Files) {
        match *self {
            Self::Flip { file, offset, mask } => {
                let Some(file) = pick(files, file) else { return };
                let offset = usize::try_from(offset).expect("64 bits") % file.len().max(1);
                for (byte, mask) in file.iter_mut().skip(offset).zip(mask.to_le_bytes()) {
                    *byte ^= mask;
                }
            }
            Self::Zero { file, sector, count } => {
                let Some(file) = pick(files, file) else { return };
                let sectors = file.chunks_mut(512).skip(usize::from(sector)).take(usize::from(count));
                sectors.for_each(|sector| sector.fill(0));
            }
            Self::Cut { file, len } => {
                let Some(file) = pick(files, file) else { return };
                let len = usize::try_from(len).expect("64 bits") % (file.len() + 1);
                file.truncate(len);
            }
            Self::Remove { file } => remove(files, file),
        }
    }
}

/// Where batches begin, as far as their letters say: `docs/format/log.md`.
fn batches(file: &[u8]) -> Vec<usize> {
    let starts = (UNIT..file.len()).step_by(UNIT);
    starts.filter(|at| file.get(at + 4..at + 8) == Some(b"LBAT")).collect()
}

/// Makes the checksums of a segment right, and each batch the successor of the one before.
fn repair(file: &mut [u8]) {
    if file.len() < UNIT {
        return;
    }
    codec::put_u32(file, 12, 0);
    let mut previous = checksum::crc32c(0, &file[..UNIT]);
    codec::put_u32(file, 12, previous);
    for start in batches(file) {
        let batch = &mut file[start..];
        let len = usize::try_from(codec::get_u32(batch, 32)).expect("64 bits").clamp(64, batch.len());
        let batch = &mut batch[..len];
        let seed = checksum::log_seed(STORE, codec::get_u64(batch, 8), Lsn::new(codec::get_u64(batch, 16)));
        let body = checksum::crc32c(seed, &batch[64..]);
        codec::put_u32(batch, 40, body);
        codec::put_u32(batch, 44, previous);
        previous = checksum::crc32c(seed, &batch[4..64]);
        codec::put_u32(batch, 0, previous);
    }
}
