//! The newest versions in one tree; closed ones in another, ordered by epoch, key and end; and at the beginning of
//! each epoch a copy of what was believed then.
//!
//! What was believed at a moment of epoch `e` either ended in `e`, and is found among its closed versions, or was
//! believed when `e` ended, and is found in the copy made then (in the last epoch: among the newest versions).

use std::collections::BTreeSet;

use llmdb_btree::Tree;

use super::{Count, Layout, Pages, counting::number, key};

/// Changes after which an epoch ends, at least.
const CHANGES_MIN: u64 = 128;

/// See the module. An epoch ends when it has seen `PERCENT` percent as many changes as there were keys.
pub struct Epochs<const PERCENT: u64> {
    pages: Pages,
    current: Tree,
    closed: Tree,
    copies: Tree,
    /// First commit of each epoch.
    begins: Vec<u64>,
    changes: u64,
    keys_at_begin: u64,
    copied_bytes: u64,
}

fn at(epoch: usize, key: &[u8], end: &[u8]) -> Vec<u8> {
    let epoch = u32::try_from(epoch).expect("few epochs");
    [&epoch.to_be_bytes(), key, end].concat()
}

impl<const PERCENT: u64> Epochs<PERCENT> {
    fn begin_epoch(&mut self, commit: u64) {
        let before = self.pages.log_bytes;
        let rows: Vec<_> = {
            let count = self.pages.count();
            count.range(&self.current, &[], None).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
        };
        for (key, value) in rows {
            self.pages.put(&mut self.copies, &at(self.begins.len(), &key, &[]), &value);
        }
        self.copied_bytes += self.pages.log_bytes - before;
        self.pages.log_bytes = before;
        self.begins.push(commit);
        (self.changes, self.keys_at_begin) = (0, self.current.entries);
    }

    fn epoch_of(&self, commit: u64) -> usize {
        self.begins.partition_point(|begin| *begin <= commit) - 1
    }

    fn is_last(&self, epoch: usize) -> bool {
        epoch + 1 == self.begins.len()
    }
}

impl<const PERCENT: u64> Layout for Epochs<PERCENT> {
    const NAME: &'static str = match PERCENT {
        50 => "epochs with copies at 50 %",
        100 => "epochs with copies at 100 %",
        _ => "epochs with copies",
    };

    fn new() -> Self {
        Self {
            pages: Pages::default(),
            current: Pages::tree(1),
            closed: Pages::tree(2),
            copies: Pages::tree(3),
            begins: vec![0],
            changes: 0,
            keys_at_begin: 0,
            copied_bytes: 0,
        }
    }

    fn put(&mut self, commit: u64, number: u32, value: &[u8]) {
        if self.changes >= (self.keys_at_begin * PERCENT / 100).max(CHANGES_MIN) {
            self.begin_epoch(commit);
        }
        self.changes += 1;
        let key = key(number);
        if let Some(old) = self.pages.get(&self.current, &key) {
            let place = at(self.begins.len() - 1, &key, &commit.to_be_bytes());
            self.pages.put(&mut self.closed, &place, &old);
        }
        self.pages.put(&mut self.current, &key, &[&commit.to_be_bytes(), value].concat());
    }

    fn get(&self, pages: &Count<'_>, number: u32) -> bool {
        pages.contains(&self.current, &key(number))
    }

    fn get_as_of(&self, pages: &Count<'_>, key_number: u32, commit: u64) -> Option<u64> {
        let (key, epoch) = (key(key_number), self.epoch_of(commit));
        let survivor = match self.is_last(epoch) {
            true => pages.get(&self.current, &key),
            false => pages.get(&self.copies, &at(epoch + 1, &key, &[])),
        };
        let begin = survivor.map(|value| number(&value, 0));
        if begin.is_some_and(|begin| begin <= commit) {
            return begin;
        }
        let (found, value) = pages.seek(&self.closed, &at(epoch, &key, &(commit + 1).to_be_bytes()))?;
        let begin = number(&value, 0);
        (found.starts_with(&at(epoch, &key, &[])) && begin <= commit).then_some(begin)
    }

    fn scan(&self, pages: &Count<'_>) -> usize {
        pages.range(&self.current, &[], None).count()
    }

    fn scan_as_of(&self, pages: &Count<'_>, commit: u64) -> usize {
        let epoch = self.epoch_of(commit);
        let mut found = BTreeSet::new();
        let (tree, skip, from, to) = match self.is_last(epoch) {
            true => (&self.current, 0, Vec::new(), None),
            false => (&self.copies, 4, at(epoch + 1, &[], &[]), Some(at(epoch + 2, &[], &[]))),
        };
        for (key, value) in pages.range(tree, &from, to.as_deref()) {
            if number(value, 0) <= commit {
                found.insert(key[skip..].to_vec());
            }
        }
        let (from, to) = (at(epoch, &[], &[]), at(epoch + 1, &[], &[]));
        for (key, value) in pages.range(&self.closed, &from, Some(&to)) {
            if number(value, 0) <= commit && commit < number(key, 20) {
                assert!(found.insert(key[4..20].to_vec()), "one version of a key is believed at a time");
            }
        }
        found.len()
    }

    fn pages(&self) -> &Pages {
        &self.pages
    }

    fn pages_mut(&mut self) -> &mut Pages {
        &mut self.pages
    }

    fn work_bytes(&self) -> u64 {
        self.copied_bytes
    }
}
