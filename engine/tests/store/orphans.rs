//! Branches are lost, and roots, and the list of trees: salvage finds the leaves below them by what they say of
//! themselves. Every row of every leaf that is intact comes back, and the report says what did not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, path::Path, sync::Arc};

use llmdb_base::{PAGE_SIZE, PageBytes, header};
use llmdb_engine::{Background, Engine, Options, SalvageReport};
use llmdb_vfs::{Create, File, MemoryVfs, Open, Vfs, read_exact_at, write_all_at};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;
type Trees = BTreeMap<String, Rows>;

fn options() -> Options {
    let mut options = Options::default();
    options.background = Background::Manual;
    options
}

fn key(number: u64) -> Vec<u8> {
    // So long that few fit a branch, and trees get high.
    [format!("{number:08}").as_bytes(), &[b'k'; 300]].concat()
}

fn value(number: u64, round: u64) -> Vec<u8> {
    let len = if number.is_multiple_of(40) { 6_000 } else { 60 };
    (number * 31 + round).to_be_bytes().iter().copied().cycle().take(len).collect()
}

/// A store of two high trees and a low one, overwritten so that old leaves lie about.
fn store(vfs: &Arc<dyn Vfs>) -> (Engine, Trees) {
    let engine = Engine::open_on(Arc::clone(vfs), "store", options()).unwrap();
    let mut trees = Trees::new();
    for round in 0..4 {
        let mut txn = engine.begin_write().unwrap();
        for (name, count) in [("high", 700), ("other", 300), ("low", 5)] {
            let mut tree = txn.tree(name).unwrap();
            let rows = trees.entry(name.into()).or_default();
            for number in (0..count).filter(|number| round == 0 || number % 50 == round) {
                tree.put(key(number), value(number, round)).unwrap();
                rows.insert(key(number), value(number, round));
            }
            if round > 0 {
                let (from, to) = (key(round * 20), key(round * 20 + 9));
                tree.delete_range(&from[..]..&to[..]).unwrap();
                rows.retain(|key, _| *key < from || *key >= to);
            }
        }
        txn.commit().unwrap();
        engine.checkpoint().unwrap();
    }
    (engine, trees)
}

fn data(vfs: &dyn Vfs, path: &str) -> Arc<dyn File> {
    vfs.open(Path::new(path), Open { write: true, create: Create::Never, direct: false }).unwrap()
}

/// Makes pages unreadable for which `is_hit` is true. How many there were.
fn destroy(vfs: &dyn Vfs, is_hit: impl Fn(u64, &PageBytes) -> bool) -> usize {
    let file = data(vfs, "store");
    let mut count = 0;
    for pgno in 18..file.len().unwrap() / PAGE_SIZE as u64 {
        let mut page = [0; PAGE_SIZE];
        read_exact_at(&*file, &mut page, pgno * PAGE_SIZE as u64).unwrap();
        if is_hit(pgno, &page) {
            count += 1;
            page[2_000] ^= 4;
            page[100] ^= 1;
            write_all_at(&*file, &page, pgno * PAGE_SIZE as u64).unwrap();
        }
    }
    count
}

fn is_branch(page: &PageBytes) -> bool {
    header::kind(page) == Some(header::PageKind::Branch)
}

fn contents(vfs: &Arc<dyn Vfs>, path: &str) -> Trees {
    let engine = Engine::open_on(Arc::clone(vfs), path, options()).unwrap();
    let report = engine.check(&mut |_, _| true).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    let snapshot = engine.snapshot().unwrap();
    let names = snapshot.trees().unwrap().into_iter().map(|(name, _)| name);
    names
        .map(|name| {
            let tree = snapshot.tree(&name).unwrap().unwrap();
            let rows = tree.iter().unwrap().map(|row| row.unwrap());
            let rows = rows.map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
            (name, rows)
        })
        .collect()
}

fn salvage(vfs: &Arc<dyn Vfs>) -> (SalvageReport, Trees) {
    let report = Engine::salvage_on(vfs, Path::new("store"), Path::new("saved")).unwrap();
    let saved = contents(vfs, "saved");
    assert_eq!(report.saved.key_count, saved.values().map(|rows| rows.len() as u64).sum::<u64>());
    vfs.remove_file(Path::new("saved")).unwrap();
    (report, saved)
}

fn assert_all_found(report: &SalvageReport, saved: &Trees, trees: &Trees) {
    assert!(saved == trees, "{:?}", report.lost);
    for found in &report.orphans {
        assert_eq!((found.missing_keys, found.may_be_stale), (Some(0), false), "{}", found.tree);
    }
}

/// Each branch for itself, and all of them: of a store that was closed, and of one that was killed, with a log.
#[test]
fn every_row_below_lost_branches_comes_back() {
    for close in [true, false] {
        let vfs: Arc<dyn Vfs> = Arc::new(MemoryVfs::new(1));
        let (engine, trees) = store(&vfs);
        if close {
            engine.close().unwrap();
        } else {
            drop(engine);
        }
        let file = data(&*vfs, "store");
        let len = usize::try_from(file.len().unwrap()).unwrap();
        let mut whole = vec![0; len];
        read_exact_at(&*file, &mut whole, 0).unwrap();
        let pages: Vec<u64> = (18..)
            .zip(whole[18 * PAGE_SIZE..].chunks_exact(PAGE_SIZE))
            .filter(|(_, page)| is_branch((*page).try_into().unwrap()))
            .map(|(pgno, _)| pgno)
            .collect();
        assert!(pages.len() > 1, "{pages:?}");
        let mut was_found = false;
        for hit in &pages {
            assert_eq!(destroy(&*vfs, |pgno, _| pgno == *hit), 1);
            let (report, saved) = salvage(&vfs);
            assert_all_found(&report, &saved, &trees);
            was_found |= !report.orphans.is_empty();
            write_all_at(&*file, &whole, 0).unwrap();
        }
        assert!(was_found);
        destroy(&*vfs, |_, page| is_branch(page));
        let (report, saved) = salvage(&vfs);
        assert_all_found(&report, &saved, &trees);
        assert_eq!(report.orphans.len(), 2, "{:?}", report.orphans);
    }
}

/// Without the map nobody knows which leaves are in use: all that are do come back, and what may be old is said to be.
#[test]
fn without_the_map_old_rows_may_come_back_and_no_row_is_missing() {
    let vfs: Arc<dyn Vfs> = Arc::new(MemoryVfs::new(1));
    let (engine, trees) = store(&vfs);
    engine.close().unwrap();
    destroy(&*vfs, |_, page| is_branch(page) || header::kind(page) == Some(header::PageKind::Map));
    let (report, saved) = salvage(&vfs);
    for (name, rows) in &trees {
        let found = &saved[name];
        assert!(rows.iter().all(|(key, value)| found.get(key) == Some(value)), "{name}");
    }
    assert!(!report.orphans.is_empty() && report.orphans.iter().all(|found| found.may_be_stale));
}

/// The list of trees is gone: their rows are saved under names that say so.
#[test]
fn trees_whose_names_are_lost_are_saved_under_others() {
    let vfs: Arc<dyn Vfs> = Arc::new(MemoryVfs::new(1));
    let (engine, trees) = store(&vfs);
    engine.close().unwrap();
    let of_catalog = |page: &PageBytes| {
        matches!(header::kind(page), Some(header::PageKind::Leaf | header::PageKind::Branch))
            && header::tree(page).get() == 0
    };
    assert!(destroy(&*vfs, |_, page| of_catalog(page)) > 0);
    let (report, saved) = salvage(&vfs);
    assert!(saved.keys().all(|name| name.starts_with("lost tree ")), "{:?}", saved.keys());
    let rows: Vec<&Rows> = saved.values().collect();
    assert!(trees.values().all(|tree| rows.contains(&tree)), "{:?}", report.lost);
    assert_eq!((saved.len(), report.orphans.len()), (3, 3));
    assert!(report.lost.iter().any(|lost| lost.tree.is_empty()), "the list of trees is listed as lost");
}
