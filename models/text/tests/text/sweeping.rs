//! After a purge the index knows the words of what is kept, and no others: also when it is stopped, when the power fails, and
//! when a row is erased meanwhile.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use llmdb_engine::{Background, Engine, Options};
use llmdb_temporal::{At, Retention, RowKey, Rows, Store, Valid, Value, Which};
use llmdb_text::{Query, Search, Swept, TextIndex, Texts};
use llmdb_vfs::crash::{Chooser, CrashPoint, CrashVfs};

use crate::naive::{NOTES, create, text_of};

/// More than one step looks at.
const ROWS: i64 = 300;
const KEEP: Retention = Retention::Versions(2);

fn open(disk: &CrashVfs) -> Engine {
    let mut options = Options::default();
    options.background = Background::Manual;
    options.log_window_bytes = 16 << 10;
    options.segment_bytes_max = 64 << 10;
    Engine::open_on(Arc::new(disk.clone()), "test.llmdb", options).unwrap()
}

fn text<'v>(_: &RowKey, value: &Value<'v>) -> Option<Cow<'v, str>> {
    std::str::from_utf8(value.payload).ok().map(Cow::Borrowed)
}

fn put(store: Store<'_>, rows: impl Iterator<Item = i64>, version: usize) {
    let mut txn = store.begin_write().unwrap();
    let index = TextIndex::open(&mut txn, NOTES).unwrap().unwrap();
    for row in rows {
        let text = format!("shared v{version} row{row}v{version}");
        txn.collection(NOTES).unwrap().put(row, Valid::Now, Value::raw(text.as_bytes())).unwrap();
        index.add(&mut txn, &row.into(), &text).unwrap();
    }
    txn.commit().unwrap();
}

/// Four versions of each row, but for each third, which has one and has ended.
fn fill(store: Store<'_>) {
    create(store);
    for version in 0..4 {
        put(store, (0..ROWS).filter(|row| version == 0 || row % 3 > 0), version);
    }
    let mut txn = store.begin_write().unwrap();
    for row in (0..ROWS).filter(|row| row % 3 == 0) {
        txn.collection(NOTES).unwrap().delete(row, Valid::Now).unwrap();
    }
    txn.commit().unwrap();
}

fn sweep(store: Store<'_>, steps_max: usize) -> Swept {
    let mut steps = 0;
    let swept = TextIndex::sweep(store, NOTES, text, &mut |_| {
        steps += 1;
        steps < steps_max
    });
    swept.unwrap()
}

fn purge(store: Store<'_>) {
    assert!(store.purge(NOTES, KEEP, &mut |_| true).unwrap().is_done);
}

/// Purges and sweeps whatever is left to do, and says so.
fn let_go(store: Store<'_>) {
    purge(store);
    let followed = sweep(store, usize::MAX).followed;
    let mut txn = store.begin_write().unwrap();
    assert_eq!(txn.left_beside(NOTES).unwrap(), followed);
    txn.followed_beside(NOTES).unwrap();
    txn.commit().unwrap();
    assert_eq!(sweep(store, usize::MAX), Swept::default());
}

/// What the index knows is what the versions say that are left.
fn check_words(store: Store<'_>) {
    let view = store.view().unwrap();
    let notes = view.collection(NOTES).unwrap();
    let mut expected = BTreeSet::new();
    for row in notes.versions_of(&Rows::all(), Which::All).unwrap() {
        let (row, versions) = row.unwrap();
        for version in versions {
            let text = String::from_utf8(version.value.payload.to_vec()).unwrap();
            expected.extend(text.split(' ').map(|word| (word.replace("shared", "share"), row.encode())));
        }
    }
    let entries = |tree: &str| view.snapshot().tree(tree).unwrap().unwrap().iter().unwrap();
    let words: BTreeSet<_> = entries("_text/1/words")
        .map(|entry| {
            let (key, _) = entry.unwrap();
            let end = key.iter().position(|byte| *byte == 0).unwrap();
            (String::from_utf8(key[..end].to_vec()).unwrap(), key[end + 1..].to_vec())
        })
        .collect();
    assert_eq!(words, expected);
    let rows: BTreeSet<_> = entries("_text/1/rows").map(|entry| entry.unwrap().0.to_vec()).collect();
    assert_eq!(rows, expected.into_iter().map(|(_, row)| row).collect());
}

fn count(store: Store<'_>, query: &str) -> usize {
    let view = store.view().unwrap();
    let texts = Texts::open(&view, NOTES).unwrap();
    let search = Search { limit: 1000, ..Search::at(At::NOW) };
    texts.search(&Query::parse(query).unwrap(), &search, text_of).unwrap().len()
}

#[test]
pub fn the_words_of_what_was_purged_go_and_their_bytes_can_be_destroyed() {
    let disk = CrashVfs::new(1);
    let engine = open(&disk);
    let store = Store::new(&engine);
    fill(store);
    assert_eq!(sweep(store, usize::MAX), Swept::default(), "nothing was purged");
    purge(store);
    // Stopped after a step, and then a version comes that begins the sweep of the next purge.
    assert_eq!(sweep(store, 1).followed, None);
    put(store, 0..5, 4);
    let_go(store);
    check_words(store);
    assert_eq!((count(store, "v3"), count(store, "v4"), count(store, "v1")), (197, 5, 0));
    let traces = |engine: &Engine| {
        engine.find_traces(&[b"row7v0".to_vec(), b"row7v3".to_vec()], &mut |_, _| true).unwrap().found
    };
    assert!(engine.scrub(&mut |_, _| true).unwrap().is_complete());
    let found = traces(&engine);
    assert!(!found.is_empty() && found.iter().all(|trace| trace.needle == 1), "{found:?}");
}

#[test]
fn a_row_that_is_erased_is_not_remembered_as_a_place() {
    let engine = Engine::in_memory().unwrap();
    let store = Store::new(&engine);
    fill(store);
    purge(store);
    assert_eq!(sweep(store, 1).rows, 256);
    let place = || {
        let view = store.view().unwrap();
        let tree = view.snapshot().tree("_text/1/sweep").unwrap().unwrap();
        let key = tree.iter().unwrap().next().map(|entry| entry.unwrap().0.to_vec());
        key.map(|key| RowKey::decode(&key).unwrap())
    };
    store.erase(NOTES, place().unwrap(), &mut |_, _| true).unwrap();
    assert_eq!(place(), None);
    let_go(store);
    check_words(store);
}

#[test]
fn a_purge_and_its_sweep_survive_crashes() {
    let disk = CrashVfs::new(2);
    let engine = open(&disk);
    fill(Store::new(&engine));
    let points: Arc<Mutex<Vec<CrashPoint>>> = Arc::default();
    let observer = {
        let points = points.clone();
        move |disk: &CrashVfs, op: &llmdb_vfs::crash::Op<'_>| {
            if op.index.is_multiple_of(5) {
                points.lock().unwrap().push(disk.crash_point());
            }
        }
    };
    disk.observe(Some(Arc::new(observer)));
    let_go(Store::new(&engine));
    disk.observe(None);
    check_words(Store::new(&engine));
    let points = std::mem::take(&mut *points.lock().unwrap());
    assert!(points.len() >= 4, "{}", points.len());
    let mut chooser = Chooser::new(2);
    for point in points {
        let engine = open(&point.crash(&mut chooser));
        let store = Store::new(&engine);
        assert_eq!((count(store, "v3"), count(store, "shared")), (200, 200));
        let_go(store);
        check_words(store);
    }
}
