//! The media rots: one bit of the data file changes while the store is closed.
//!
//! Every read then gives the answer that it gave before, or an error that names the page and the tree; what does not
//! lie on the page stays readable; a check finds it; and a salvage saves all other rows and lists what it could not.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
use crate::common::{
    PATH, Rows, Script, Step, Trees, arc, open, open_with, problems, read_only, script::puts, state,
};
use llmdb_engine::{Engine, Error, SalvageReport, Snapshot};
use llmdb_vfs::crash::{Chooser, CrashVfs};

const PAGE: u64 = 4096;
const SAVED: &str = "saved.llmdb";

/// A closed store with leaves, branches, short and long values, and what it holds.
fn store() -> (CrashVfs, Trees) {
    let mut steps = Script::varied().steps;
    // Two levels of branches would take thousands of rows; one takes a few hundred.
    steps.push(Step::Commit(puts("many", 0..700, 3, 100)));
    steps.push(Step::Commit(puts("many", (0..700).step_by(5), 4, 120)));
    let script = Script::new(steps);
    let disk = CrashVfs::new(1);
    script.run(&disk).close().unwrap();
    (disk, script.last().clone())
}

fn page_count(disk: &CrashVfs) -> u64 {
    disk.files().iter().find(|(path, _)| path.to_str() == Some(PATH)).unwrap().1 / PAGE
}

/// What became of the reads of a store with a damaged page.
#[derive(Default, Debug)]
struct Reads {
    right: usize,
    failed: usize,
}

/// Reads every row in every way, and asserts that each answer is right or an error about `page`.
fn read_all(snapshot: &Snapshot, expected: &Trees, page: u64) -> Reads {
    let mut reads = Reads::default();
    let listed = snapshot.trees();
    if let Ok(listed) = &listed {
        let counts: Vec<_> = expected.iter().map(|(name, rows)| (name.clone(), rows.len() as u64)).collect();
        assert_eq!(listed, &counts);
    }
    for (name, rows) in expected {
        let tree = match snapshot.tree(name) {
            Ok(tree) => tree.expect("a damaged page hides no tree"),
            Err(error) => {
                assert_names(&error, page, "the catalog");
                reads.failed += rows.len();
                continue;
            }
        };
        for (key, value) in rows {
            match tree.get(key) {
                Ok(found) => {
                    assert!(found == Some(value.as_slice()), "a wrong answer, page {page}");
                    reads.right += 1;
                }
                Err(error) => {
                    assert_names(&error, page, name);
                    reads.failed += 1;
                }
            }
        }
        scan(&tree, rows, page, name);
        for (key, value) in rows.iter().rev().take(3) {
            let mut reader = match tree.get_reader(key) {
                Ok(reader) => reader.expect("the key is there"),
                Err(error) => {
                    assert_names(&error, page, name);
                    continue;
                }
            };
            let mut bytes = Vec::new();
            match std::io::Read::read_to_end(&mut reader, &mut bytes) {
                Ok(_) => assert!(bytes == *value, "a wrong answer, page {page}"),
                Err(error) => assert!(value.starts_with(&bytes), "wrong bytes before {error}"),
            }
        }
    }
    reads
}

/// Scans both ways: the rows up to the first error are the first ones.
fn scan(tree: &llmdb_engine::TreeRef<'_>, rows: &Rows, page: u64, name: &str) {
    let mut forward = rows.iter();
    for row in tree.iter().into_iter().flatten() {
        match row {
            Ok(row) => assert!(forward.next() == Some((&row.0.to_vec(), &row.1.to_vec())), "page {page}"),
            Err(error) => {
                assert_names(&error, page, name);
                return;
            }
        }
    }
    let mut backward = rows.iter().rev();
    for row in tree.iter().into_iter().flatten().rev() {
        match row {
            Ok(row) => assert!(backward.next() == Some((&row.0.to_vec(), &row.1.to_vec())), "page {page}"),
            Err(error) => return assert_names(&error, page, name),
        }
    }
}

/// Asserts that an error says which page of which tree is damaged.
fn assert_names(error: &Error, page: u64, name: &str) {
    let Error::Corruption(corruption) = error else { panic!("{name}: {error:?}") };
    // The pages of a long value are verified together, and named by the first of them.
    let first = corruption.pgno.get();
    assert!(first <= page && page < first + 32, "{name}: {error}, though page {page} is the damaged one");
    assert!(corruption.tree.is_some(), "{name}: {error}");
    assert!(error.to_string().contains(&format!("{}", corruption.pgno)), "{error}");
}

/// How a damaged page showed.
#[derive(PartialEq, Eq, Debug, Clone, Copy)]
enum Shown {
    /// Nothing lies there.
    Nothing,
    Meta,
    Map,
    Rows,
}

/// Opens the damaged store, asserts what must hold whatever is damaged, and says what was.
fn look(disk: &CrashVfs, expected: &Trees, page: u64) -> (Shown, Reads) {
    let engine = open_with(disk, read_only()).unwrap();
    let reads = read_all(&engine.snapshot().unwrap(), expected, page);
    drop(engine);
    let engine = open(disk).unwrap();
    if let Some(mended) = engine.recovery().mended.first() {
        assert!(mended.contains("allocation map") && mended.contains(&format!("pg{page}:")), "{mended}");
        assert!(reads.failed == 0 && state(&engine) == *expected, "a damaged map is no obstacle to reading");
        crate::common::assert_sound(&engine);
        return (Shown::Map, Reads::default());
    }
    let reads = read_all(&engine.snapshot().unwrap(), expected, page);
    let problems = problems(&engine);
    let is_meta = !engine.recovery().damaged_meta_pages.is_empty();
    assert!(!is_meta || [0, 1, 16, 17].contains(&page));
    if reads.failed > 0 {
        assert!(!problems.is_empty(), "page {page}: a read failed, and the check finds nothing");
    }
    let shown = match (is_meta, problems.is_empty()) {
        (true, _) => Shown::Meta,
        (false, true) => Shown::Nothing,
        (false, false) => Shown::Rows,
    };
    if shown == Shown::Rows {
        let named = (0..32).any(|back| {
            problems.iter().any(|text| text.contains(&format!("pg{}", page.saturating_sub(back))))
        });
        assert!(named, "page {page}: {problems:?}");
    }
    (shown, reads)
}

#[test]
fn one_bit_in_every_page() {
    let (store, expected) = store();
    let live = open(&store.fork()).unwrap().stats().unwrap().pages.live_pages;
    let total: usize = expected.values().map(Rows::len).sum();
    let (mut found, mut hits) = (0, 0);
    for page in 0..page_count(&store) {
        let disk = store.fork();
        disk.flip_bit(PATH.as_ref(), page * PAGE + 4 + page % 3, page as u32 % 8).unwrap();
        let (shown, reads) = look(&disk, &expected, page);
        found += u64::from(shown != Shown::Nothing);
        if shown == Shown::Rows {
            hits += 1;
            assert_eq!(reads.right + reads.failed, total);
            assert!(reads.failed > 0, "page {page} is damaged, and every read succeeds");
        }
    }
    assert_eq!(found, live, "every page in use is looked at");
    assert!(hits > 30, "{hits}");
}

#[test]
fn bits_everywhere() {
    let (store, expected) = store();
    let mut chooser = Chooser::new(99);
    for _ in 0..600 {
        let disk = store.fork();
        let at = chooser.below(page_count(&store) * PAGE);
        disk.flip_bit(PATH.as_ref(), at, chooser.below(8) as u32).unwrap();
        look(&disk, &expected, at / PAGE);
    }
}

/// Rows on other pages are not touched by what happened to one.
#[test]
fn the_rest_stays_readable() {
    let (store, expected) = store();
    let total: usize = expected.values().map(Rows::len).sum();
    let mut leaves = 0;
    for page in 18..page_count(&store) {
        let disk = store.fork();
        disk.flip_bit(PATH.as_ref(), page * PAGE + 2000, 1).unwrap();
        let (shown, reads) = look(&disk, &expected, page);
        leaves += usize::from(shown == Shown::Rows && reads.failed < 60 && reads.right > total - 60);
    }
    assert!(leaves > 25, "{leaves} pages whose loss takes a few rows only");
}

#[test]
fn other_trees_can_be_written_while_one_is_damaged() {
    let (store, expected) = store();
    let mut written = 0;
    for page in 18..page_count(&store) {
        let disk = store.fork();
        disk.flip_bit(PATH.as_ref(), page * PAGE + 5, 1).unwrap();
        let Ok(engine) = open(&disk) else { continue };
        for changes in [puts("new", 0..50, 1, 100), puts("many", 0..700, 9, 90)] {
            match crate::common::script::commit(&engine, &changes) {
                Ok(()) => written += 1,
                Err(refused) => assert_names(refused.error(), page, "a write"),
            }
        }
        let reads = read_all_but(&engine, &expected, "many", page);
        drop(engine);
        // What was written beside the damage is there after recovery and after a clean close.
        let engine = open(&crate::common::killed(&disk)).unwrap();
        let again = read_all_but(&engine, &expected, "many", page);
        assert_eq!(reads, again, "page {page}");
    }
    assert!(written > 100, "{written}");
}

fn read_all_but(engine: &Engine, expected: &Trees, left_out: &str, page: u64) -> usize {
    let snapshot = engine.snapshot().unwrap();
    let mut right = 0;
    for (name, rows) in expected.iter().filter(|(name, _)| *name != left_out) {
        let Ok(Some(tree)) = snapshot.tree(name) else { continue };
        for (key, value) in rows {
            match tree.get(key) {
                Ok(found) => {
                    assert!(found == Some(value.as_slice()), "page {page}");
                    right += 1;
                }
                Err(error) => assert_names(&error, page, name),
            }
        }
    }
    right
}

fn salvage(disk: &CrashVfs) -> llmdb_engine::Result<SalvageReport> {
    Engine::salvage_on(&arc(disk), PATH.as_ref(), SAVED.as_ref())
}

#[test]
fn salvage_saves_all_other_rows_and_lists_what_is_lost() {
    let (store, expected) = store();
    let mut lossy = 0;
    for page in 0..page_count(&store) {
        let disk = store.fork();
        disk.flip_bit(PATH.as_ref(), page * PAGE + 6, 2).unwrap();
        let before = crate::common::bytes(&disk, PATH);
        let report = match salvage(&disk) {
            Ok(report) => report,
            Err(error) => {
                let text = error.to_string();
                assert!(
                    text.contains("catalog") || text.contains(&format!("pg{page}")),
                    "page {page}: {text}"
                );
                assert!(
                    disk.files().iter().all(|(path, _)| !path.to_string_lossy().contains("saved.llmdb-new"))
                );
                continue;
            }
        };
        let after = crate::common::bytes(&disk, PATH);
        assert!(after[..before.len()] == before, "page {page}: a salvage leaves the store as it is");
        let saved = Engine::open_on(arc(&disk), SAVED, crate::common::options()).unwrap();
        crate::common::assert_sound(&saved);
        let saved = state(&saved);
        let lost = |name: &str, key: &[u8]| {
            report.lost.iter().any(|range| {
                range.tree == name
                    && *range.from <= *key
                    && range.to.as_ref().is_none_or(|to| key < to.as_slice())
            })
        };
        for (name, rows) in &expected {
            for (key, value) in rows {
                match saved.get(name).and_then(|rows| rows.get(key)) {
                    Some(found) => assert!(found == value, "page {page}: a changed value was saved"),
                    None => {
                        let catalog = report.lost.iter().any(|range| range.tree.is_empty());
                        assert!(
                            catalog || lost(name, key),
                            "page {page}: a row of {name} is neither saved nor lost: {report:?}"
                        );
                    }
                }
            }
        }
        let rows: usize = saved.values().map(Rows::len).sum();
        assert_eq!(rows as u64, report.saved.key_count);
        for (name, rows) in &saved {
            // Whose name is lost is saved under another.
            let known = expected.get(name);
            assert!(known.is_some() || name.starts_with("lost tree "), "page {page}: {name}");
            assert!(known.is_none_or(|known| rows.keys().all(|key| known.contains_key(key))));
        }
        for range in &report.lost {
            assert!(range.why.len() > 10 && range.pgno.get() <= page, "{range:?}");
        }
        lossy += usize::from(!report.lost.is_empty());
    }
    assert!(lossy > 30, "{lossy}");
}

/// A store that was killed, with a damaged page: salvage takes what the log still tells, and leaves the log alone.
#[test]
fn salvage_of_a_store_that_was_killed() {
    let script = Script::varied();
    let disk = CrashVfs::new(4);
    let engine = script.run(&disk);
    let store = crate::common::killed(&disk);
    drop(engine);
    let mut whole = 0;
    for page in 0..page_count(&store) {
        let disk = store.fork();
        disk.flip_bit(PATH.as_ref(), page * PAGE + 6, 2).unwrap();
        let before = crate::common::bytes(&disk, PATH);
        let log = crate::common::segments(&disk);
        let log_bytes: Vec<_> = log.iter().map(|(path, _)| crate::common::bytes(&disk, path)).collect();
        if let Ok(report) = salvage(&disk) {
            let saved = state(&Engine::open_on(arc(&disk), SAVED, crate::common::options()).unwrap());
            let is_whole = saved == *script.last();
            assert!(
                is_whole || !report.lost.is_empty() || report.log_lost.is_some(),
                "page {page}: {report:?}"
            );
            whole += usize::from(is_whole);
        }
        assert!(
            crate::common::bytes(&disk, PATH)[..before.len()] == before,
            "page {page}: the data file has changed"
        );
        assert_eq!(crate::common::segments(&disk), log, "page {page}");
        let after: Vec<_> = log.iter().map(|(path, _)| crate::common::bytes(&disk, path)).collect();
        assert!(after == log_bytes, "page {page}: the log has changed");
    }
    assert!(whole > 20, "{whole}");
}
