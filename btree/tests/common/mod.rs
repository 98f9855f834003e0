//! What several tests need.
#![allow(dead_code, reason = "no test uses all of it")]

use std::collections::{BTreeMap, BTreeSet};

use llmdb_base::{Pgno, ReadPages};
use llmdb_btree::{CheckReport, Entry, NewValue, PageUse, Tree, Value, testing::VecPages};

/// `len` bytes that depend on `seed`.
pub fn value_bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random(seed);
    (0..len).map(|_| random.next().to_le_bytes()[0]).collect()
}

/// A small generator of numbers (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

/// Inserts `count` entries with random keys that `key` makes.
pub fn fill(
    tree: &mut Tree,
    pages: &mut VecPages,
    model: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    count: u64,
    key: impl Fn(u64) -> Vec<u8>,
) {
    let mut random = Random(1);
    for seed in 0..count {
        let (key, value) = (key(random.next()), value_bytes(seed, 10));
        tree.insert(pages, &key, NewValue::Bytes(&value)).unwrap();
        model.insert(key, value);
    }
}

/// The whole value of an entry.
pub fn read<P: ReadPages>(pages: &P, value: Value<'_>) -> Vec<u8> {
    match value {
        Value::Inline(bytes) => bytes.to_vec(),
        Value::Run(run) => pages.run(&run).unwrap().to_vec(),
    }
}

/// Checks the tree, and that it uses exactly the pages that are live.
pub fn assert_sound(tree: &Tree, pages: &VecPages) -> CheckReport {
    let mut used = BTreeSet::new();
    let report = tree.check(pages, &mut |page_use| {
        let pgno = match page_use {
            PageUse::Node { child, .. } => child.pgno(),
            PageUse::Run(run) => run.first,
        };
        assert!(used.insert(pgno), "{pgno} is reached twice");
    });
    assert!(report.is_sound(), "{:?}", report.problems);
    let live: BTreeSet<Pgno> = pages.live().into_iter().collect();
    assert_eq!(used, live, "pages used and pages live");
    report
}

/// Walks and looks up: the tree has exactly the entries of `model`.
pub fn assert_same(tree: &Tree, pages: &VecPages, model: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let owned = |(key, value): Entry<'_>| (key.to_vec(), read(pages, value));
    let expected: Vec<(Vec<u8>, Vec<u8>)> =
        model.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut cursor = tree.cursor(pages);
    for entry in &expected {
        assert_eq!(cursor.next().unwrap().map(owned).as_ref(), Some(entry));
    }
    assert_eq!(cursor.next().unwrap(), None);
    for entry in expected.iter().rev() {
        assert_eq!(cursor.prev().unwrap().map(owned).as_ref(), Some(entry));
    }
    assert_eq!(cursor.prev().unwrap(), None);
    let keys: Vec<&[u8]> = model.keys().map(Vec::as_slice).collect();
    let mut found = vec![None; keys.len()];
    tree.multi_get(pages, &keys, &mut found).unwrap();
    for ((key, value), found) in model.iter().zip(found) {
        assert_eq!(tree.get(pages, key).unwrap(), found);
        assert_eq!(found.map(|found| read(pages, found)).as_ref(), Some(value));
        let near = [&key[..key.len() / 2], &[&key[..], &[0]].concat()].map(<[u8]>::to_vec);
        for key in near {
            let expected = model.range(key.clone()..).next();
            assert_eq!(
                tree.get(pages, &key).unwrap().map(|value| read(pages, value)).as_ref(),
                model.get(&key)
            );
            let sought = cursor.seek(&key).unwrap().map(owned);
            assert_eq!(sought.as_ref().map(|(key, value)| (key, value)), expected);
            assert_eq!(tree.first_from(pages, &key).unwrap().map(owned), sought);
        }
    }
}
