//! What is asked of a crafted store.

use std::{path::Path, sync::Arc};

use llmdb_engine::{CheckReport, Engine, LogTail, Result, StartFrom};
use llmdb_vfs::Vfs;

use super::{
    Notes, Outcome, Source,
    edits::Touched,
    rows::{Contents, ask, digest, read},
    sample::{DATA, Files, disk, noise, options, read_file},
};

/// Pages that a check may look at: a few times as many as the largest sample has, and each of them once or twice.
const STEPS_MAX: u64 = 100_000;
/// Trees that are written to.
const TREES_MAX: usize = 12;

pub(super) fn examine(
    source: &mut dyn Source,
    files: &Files,
    touched: Touched,
    notes: &mut Notes,
) -> Outcome {
    let mut options = options();
    options.create = false;
    options.read_only = source.below(6) == 0;
    options.start_from = if source.below(5) == 0 { StartFrom::Older } else { StartFrom::Newest };
    options.log_tail = if source.below(3) == 0 { LogTail::CutAtDamage } else { LogTail::Strict };
    let key = noise(source.below(50), 12);
    notes.add(format_args!(
        "opened: read only {}, from the {:?}, {:?}",
        options.read_only, options.start_from, options.log_tail
    ));
    let as_usual = options.start_from == StartFrom::Newest && !options.read_only;
    let saved = salvage(files);
    let vfs = disk(files);
    let engine = match Engine::open_on(Arc::clone(&vfs), DATA, options.clone()) {
        Ok(engine) => engine,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return Outcome::Refused;
        }
    };
    let report = check(&engine);
    if let (Ok(report), false) = (&report, touched.data) {
        let of_pages = report.problems.iter().find(|problem| !problem.what.contains("damaged log"));
        assert!(of_pages.is_none(), "the log alone was crafted, and made the pages unsound: {of_pages:?}");
    }
    if !report.is_ok_and(|report| report.is_sound()) {
        damaged(engine, &vfs, &key);
        return Outcome::Damaged;
    }
    let contents = read(&engine).expect("a store that is called sound can be read");
    let copy = engine.backup("backup", &mut |pages, _| steps(pages)).expect("it can be copied");
    assert_eq!(copy.key_count, count(&contents));
    assert_eq!(contents, contents_of(&vfs, "backup"), "the copy of a store that is called sound");
    if as_usual && let Some(saved) = saved {
        assert_eq!(contents, saved, "what was saved of a store that is called sound");
    }
    if options.read_only {
        return Outcome::Sound;
    }
    assert!(engine.mend().expect("there is nothing to be mended").is_empty());
    use_it(engine, &vfs, contents, &key);
    Outcome::Sound
}

fn steps(pages: u64) -> bool {
    assert!(pages < STEPS_MAX, "a walk without end");
    true
}

fn check(engine: &Engine) -> Result<CheckReport> {
    engine.check(&mut |pages, _| steps(pages))
}

fn count(contents: &Contents) -> u64 {
    contents.values().map(|rows| rows.len() as u64).sum()
}

fn contents_of(vfs: &Arc<dyn Vfs>, path: &str) -> Contents {
    let engine = Engine::open_on(Arc::clone(vfs), path, options()).expect("what was made is whole");
    let report = check(&engine).expect("what was made is whole");
    assert!(report.is_sound(), "{path} is damaged: {:?}", report.problems);
    read(&engine).expect("what was made is whole")
}

/// A sound store is written, closed, opened: it holds what it held and what was written.
fn use_it(engine: Engine, vfs: &Arc<dyn Vfs>, mut contents: Contents, key: &[u8]) {
    let names: Vec<String> = contents.keys().take(TREES_MAX).cloned().collect();
    let changed = names.iter().zip(0..).try_for_each(|(name, turn)| {
        change(&engine, name, turn, key, contents.get_mut(name).expect("one of its names"))
    });
    changed.expect("a store that is called sound can be written");
    engine.checkpoint().expect("a store that is called sound can be written");
    assert_eq!(read(&engine).expect("it was written"), contents, "what was written");
    let report = check(&engine).expect("it was written");
    assert!(report.is_sound(), "unsound once it was written: {:?}", report.problems);
    engine.close().expect("it was written");
    assert_eq!(contents_of(vfs, DATA), contents, "what was written and closed");
}

type Rows = std::collections::BTreeMap<Vec<u8>, (usize, u32)>;

fn change(engine: &Engine, name: &str, turn: usize, key: &[u8], rows: &mut Rows) -> Result<()> {
    let mut txn = engine.begin_write()?;
    let mut tree = txn.tree(name)?;
    let value = noise(turn as u64, [10, 900, 9_000][turn % 3]);
    assert_eq!(tree.put(key, &value)?, rows.insert(key.to_vec(), digest(&value)).is_some());
    if let Some(first) = rows.keys().next().cloned() {
        assert!(tree.delete(&first)?);
        rows.remove(&first);
    }
    if turn % 4 == 3 {
        let (low, high) = ([40_u8], [120_u8]);
        let gone = tree.delete_range(&low[..]..&high[..])?;
        let before = rows.len();
        rows.retain(|key, _| key[..] < low[..] || key[..] >= high[..]);
        assert_eq!(gone, (before - rows.len()) as u64);
    }
    txn.commit().map(drop)
}

/// A damaged store: every call ends. What was mended is sound.
fn damaged(engine: Engine, vfs: &Arc<dyn Vfs>, key: &[u8]) {
    let _ = ask(&engine, key);
    let _ = engine.backup("backup", &mut |pages, _| steps(pages));
    let mended = engine.mend().is_ok_and(|report| !report.is_empty());
    if mended && let Ok(report) = check(&engine) {
        let left = report.problems.iter().find(|problem| problem.tree.is_some());
        assert!(left.is_none(), "still damaged once it was mended: {left:?}");
    }
    let _ = write(&engine, key);
    let _ = engine.checkpoint();
    let _ = ask(&engine, key);
    if engine.close().is_ok() {
        // What a clean close leaves opens again, damaged or not.
        let again = Engine::open_on(Arc::clone(vfs), DATA, options());
        let _ = again.map(|engine| ask(&engine, key));
    }
}

/// Transactions that touch every tree.
fn write(engine: &Engine, key: &[u8]) -> Result<()> {
    let names: Vec<String> = engine.snapshot()?.trees()?.into_iter().map(|(name, _)| name).collect();
    for (name, turn) in names.iter().zip(0..).take(TREES_MAX) {
        let mut txn = engine.begin_write()?;
        let savepoint = txn.savepoint()?;
        if let Ok(mut tree) = txn.tree(name) {
            let _ = tree.put(key, noise(1, 900)).and_then(|_| tree.put([7], noise(1, 9_000)));
            let _ = tree.delete([9, 0]);
            let _ = tree.delete_range(key..&[0xFF_u8][..]);
        }
        match turn % 3 {
            0 => drop(txn.rollback_to(savepoint)),
            1 => drop(txn.drop_tree(name)),
            _ => {}
        }
        let _ = txn.commit();
    }
    Ok(())
}

/// What can be saved is sound, and the crafted store stays as it was. All of it, if nothing was lost.
fn salvage(files: &Files) -> Option<Contents> {
    let vfs = disk(files);
    let report = Engine::salvage_on(&vfs, Path::new(DATA), Path::new("saved"));
    for (path, bytes) in files {
        assert!(read_file(&*vfs, path).starts_with(bytes), "salvage changed {path}");
    }
    let report = report.ok()?;
    let contents = contents_of(&vfs, "saved");
    assert_eq!(report.saved.key_count, count(&contents));
    let is_whole = report.lost.is_empty() && report.log_lost.is_none() && report.from == StartFrom::Newest;
    is_whole.then_some(contents)
}
