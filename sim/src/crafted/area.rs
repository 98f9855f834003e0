//! What processes share, with words changed by a stranger who knows the checksums: nothing panics, nothing waits for
//! ever, nothing is allocated without bound. (Whoever may do this may write the data file as well.)

use std::{path::Path, sync::Arc, sync::atomic::Ordering::SeqCst};

use llmdb_base::checksum::crc32c;
use llmdb_engine::{Engine, Options, Result, Sharing};
use llmdb_vfs::SharedArea;

use super::{
    Notes, Source,
    edits::index,
    rows::ask,
    sample::{self, DATA, SHARE, disk, noise},
    wrong,
};

/// Words by their use, as `docs/format/lock.md` numbers them: first word, and how many are of interest.
const PLACES: [(usize, usize); 8] =
    [(0, 12), (16, 1), (40, 1), (48, 5), (56, 9), (80, 9), (128, 256), (512, 64)];
const READERS: (usize, usize) = (8_192, 64);
const HEADER_CHECKSUM: usize = 5;
const TURN_LEN: usize = 51;
const TURN_CHECKSUM: usize = 52;
const RING: usize = 128;
const ROOT_WORDS: usize = 16;
const ROOT_CHECKSUM: usize = 14;

fn options() -> Options {
    let mut options = sample::options();
    options.sharing = Sharing::Shared;
    options.lock_timeout_us = 1_500;
    options
}

pub(super) fn run(source: &mut dyn Source, notes: &mut Notes) {
    let vfs = disk(&sample::pick(source).files);
    let open = || Engine::open_on(Arc::clone(&vfs), DATA, options());
    let mut engines = vec![open().expect("nothing is damaged yet")];
    let stranger = vfs.share(Path::new(SHARE)).expect("the area is there");
    for round in 0..1 + source.below(4) {
        for _ in 0..1 + source.below(4) {
            edit(source, &*stranger, notes);
        }
        seal(&*stranger);
        if engines.len() < 3 {
            engines.extend(open());
        }
        let number = index(source, engines.len());
        notes.add(format_args!("engine {number} is used"));
        if let Some(engine) = engines.get(number) {
            let _ = ask(engine, &[7]);
            let _ = write(engine, round);
            let _ = engine.check(&mut |_, _| true);
        }
        if source.below(4) == 0 && !engines.is_empty() {
            let _ = engines.swap_remove(number).close();
        }
    }
    drop(engines);
    // Nobody is alive any more, so that nothing in the area is believed.
    let engine = open();
    let _ = engine.and_then(|engine| ask(&engine, &[7]));
}

fn write(engine: &Engine, round: u64) -> Result<()> {
    let mut txn = engine.begin_write()?;
    txn.put(noise(round, 9), noise(round, 3_000))?;
    txn.tree("values")?.put([9, 0], noise(round, 70_000))?;
    txn.commit()?;
    engine.checkpoint()
}

fn edit(source: &mut dyn Source, area: &dyn SharedArea, notes: &mut Notes) {
    if source.below(4) == 0 {
        return edit_tail(source, area, notes);
    }
    let (first, count) = match source.below(3) {
        0 => READERS,
        _ => PLACES[index(source, PLACES.len())],
    };
    let number = first + index(source, count);
    let Some(word) = area.words().get(number) else { return };
    let (old, bits) = (word.load(SeqCst), [8, 32, 60, 64][index(source, 4)]);
    let value = wrong(source, old, bits);
    notes.add(format_args!("word {number}: {old:#x} -> {value:#x}"));
    word.store(value, SeqCst);
}

/// The record of the last hand-over.
fn edit_tail(source: &mut dyn Source, area: &dyn SharedArea, notes: &mut Notes) {
    let Ok(mut tail) = area.read_tail() else { return };
    let at = index(source, tail.len() / 8) * 8;
    let Some(word) = tail.get_mut(at..at + 8) else { return };
    let old = u64::from_le_bytes(word.try_into().expect("eight bytes"));
    let value = wrong(source, old, 64);
    notes.add(format_args!("tail, byte {at}: {old:#x} -> {value:#x}"));
    word.copy_from_slice(&value.to_le_bytes());
    let _ = area.write_tail(&tail);
}

/// Makes the checksums of the header, of the roots and of the record right.
fn seal(area: &dyn SharedArea) {
    let words = area.words();
    let sum = |from: usize, count: usize| {
        let bytes = words[from..from + count].iter().map(|word| word.load(SeqCst).to_le_bytes());
        u64::from(bytes.fold(0, |seed, bytes| crc32c(seed, &bytes)))
    };
    words[HEADER_CHECKSUM].store(sum(0, HEADER_CHECKSUM), SeqCst);
    for place in (RING..).step_by(ROOT_WORDS).take(16) {
        words[place + ROOT_CHECKSUM].store(sum(place, ROOT_CHECKSUM), SeqCst);
    }
    let tail = area.read_tail().unwrap_or_default();
    let len = usize::try_from(words[TURN_LEN].load(SeqCst)).unwrap_or(usize::MAX);
    if let Some(record) = tail.get(..len) {
        words[TURN_CHECKSUM].store(crc32c(0, record).into(), SeqCst);
    }
}
