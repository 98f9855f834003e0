//! What a store says, asked in more than one way.

use std::collections::BTreeMap;

use llmdb_base::checksum::crc32c;
use llmdb_engine::{Engine, Result, TreeRef};

/// More rows than any store has that was crafted from these samples.
const ROWS_MAX: usize = 200_000;
/// Looked for one by one.
const LOOKED_FOR: usize = 60;

/// Rows of each tree, the values as length and checksum.
pub(super) type Contents = BTreeMap<String, BTreeMap<Vec<u8>, (usize, u32)>>;

pub(super) fn digest(value: &[u8]) -> (usize, u32) {
    (value.len(), crc32c(0, value))
}

/// Every row of a sound store. Asks both ways and key by key, and takes no contradiction.
pub(super) fn read(engine: &Engine) -> Result<Contents> {
    let snapshot = engine.snapshot()?;
    let mut contents = Contents::new();
    for (name, count) in snapshot.trees()? {
        let tree = snapshot.tree(&name)?.expect("a tree that is listed is there");
        let rows = rows_of(&name, &tree)?;
        assert_eq!(rows.len() as u64, count, "rows of {name:?}, and how many it counts");
        contents.insert(name, rows);
    }
    Ok(contents)
}

fn rows_of(name: &str, tree: &TreeRef<'_>) -> Result<BTreeMap<Vec<u8>, (usize, u32)>> {
    let (mut rows, mut last) = (BTreeMap::new(), None);
    for row in tree.iter()? {
        let (key, value) = row?;
        assert!(last.is_none_or(|last| last < key), "{name:?}: {key:?} comes behind {last:?}");
        last = Some(key);
        rows.insert(key.to_vec(), digest(value));
        assert!(rows.len() < ROWS_MAX, "{name:?}: a walk without end");
    }
    let mut expected = rows.iter().rev();
    for row in tree.iter()?.rev() {
        let (key, value) = row?;
        let before = expected.next().map(|(key, value)| (key.as_slice(), *value));
        assert_eq!(before, Some((key, digest(value))), "{name:?}: the other way round");
    }
    assert_eq!(expected.next(), None, "{name:?}: the other way round");
    for (key, value) in rows.iter().step_by(rows.len() / LOOKED_FOR + 1) {
        let found = tree.get(key)?.map(digest);
        assert_eq!(found, Some(*value), "{name:?}: {key:?}, looked for");
        let many = tree.multi_get(&[key, b"", b"\xFF\xFF\xFF"])?;
        assert_eq!(many[0].map(digest), Some(*value), "{name:?}: {key:?}, looked for among others");
        let seen = tree.cursor().seek(key)?.map(|row| row.0.to_vec());
        assert_eq!(seen.as_ref(), Some(key), "{name:?}: {key:?}, sought");
    }
    Ok(rows)
}

/// Whatever a damaged store says: every question ends.
pub(super) fn ask(engine: &Engine, key: &[u8]) -> Result<()> {
    let snapshot = engine.snapshot()?;
    for (name, _) in snapshot.trees()? {
        let Ok(Some(tree)) = snapshot.tree(&name) else { continue };
        if let Ok(rows) = tree.iter() {
            let count = rows.take_while(Result::is_ok).take(ROWS_MAX).count();
            assert!(count < ROWS_MAX, "{name:?}: a walk without end");
        }
        if let Ok(rows) = tree.iter() {
            let count = rows.rev().take_while(Result::is_ok).take(ROWS_MAX).count();
            assert!(count < ROWS_MAX, "{name:?}: a walk without end");
        }
        for key in [key, b"", &[9, 0], &[7], b"long"] {
            let _ = tree.get(key);
            let _ = tree.cursor().seek(key).map(drop);
        }
        let _ = tree.multi_get(&[key, b"a", &[7]]);
    }
    Ok(())
}
