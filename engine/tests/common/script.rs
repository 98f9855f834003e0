//! A scripted workload, the state that each of its commits leaves, and runs of it.

use std::collections::BTreeMap;

use llmdb_engine::{Engine, Error, Options, Place, Result, WriteTxn};
use llmdb_vfs::crash::CrashVfs;

use super::{assert_sound, open_with, options, state};

/// Rows of a tree.
pub type Rows = BTreeMap<Vec<u8>, Vec<u8>>;
/// All trees by name.
pub type Trees = BTreeMap<String, Rows>;

/// Something that a transaction does.
#[derive(Clone, Debug)]
pub enum Change {
    Put(&'static str, Vec<u8>, Vec<u8>),
    /// What the first has goes to the second, less some bytes at its end, and with these instead.
    Copy((&'static str, Vec<u8>), (&'static str, Vec<u8>), u32, &'static [u8]),
    Delete(&'static str, Vec<u8>),
    DeleteRange(&'static str, Vec<u8>, Vec<u8>),
    Drop(&'static str),
    /// These, and then back to the savepoint before them.
    Undone(Vec<Change>),
}

impl Change {
    fn apply(&self, trees: &mut Trees) {
        match self {
            Self::Put(tree, key, value) => {
                trees.entry((*tree).to_owned()).or_default().insert(key.clone(), value.clone());
            }
            Self::Copy((from, key), (tree, to), cut, tail) => {
                let value =
                    trees.get(*from).and_then(|rows| rows.get(key)).expect("the script copies what is there");
                let value = [&value[..value.len() - *cut as usize], tail].concat();
                trees.entry((*tree).to_owned()).or_default().insert(to.clone(), value);
            }
            Self::Delete(tree, key) => drop(trees.get_mut(*tree).and_then(|rows| rows.remove(key))),
            Self::DeleteRange(tree, from, to) => {
                if let Some(rows) = trees.get_mut(*tree) {
                    rows.retain(|key, _| key < from || key >= to);
                }
            }
            Self::Drop(tree) => drop(trees.remove(*tree)),
            Self::Undone(_) => {}
        }
    }

    /// Does it.
    pub fn run(&self, txn: &mut WriteTxn<'_>) -> Result<()> {
        match self {
            Self::Put(tree, key, value) => txn.tree(tree)?.put(key, value).map(drop),
            Self::Copy((from, key), (tree, to), cut, tail) => {
                let copied = txn.copy(Place { tree: from, key }, Place { tree, key: to }, *cut, tail)?;
                assert!(copied, "the script copies what is there");
                Ok(())
            }
            Self::Delete(tree, key) => match txn.open_tree(tree)? {
                Some(mut tree) => tree.delete(key).map(drop),
                None => Ok(()),
            },
            Self::DeleteRange(tree, from, to) => match txn.open_tree(tree)? {
                Some(mut tree) => tree.delete_range(from.clone()..to.clone()).map(drop),
                None => Ok(()),
            },
            Self::Drop(tree) => txn.drop_tree(tree).map(drop),
            Self::Undone(changes) => {
                let savepoint = txn.savepoint()?;
                changes.iter().try_for_each(|change| change.run(txn))?;
                txn.rollback_to(savepoint)
            }
        }
    }
}

/// A step of the script.
#[derive(Clone, Debug)]
pub enum Step {
    Commit(Vec<Change>),
    Checkpoint,
    /// A clean close, and an opening.
    Reopen,
    /// A snapshot is taken and held.
    Hold,
    /// The snapshots that are held are looked at and given back.
    Release,
    /// A backup is made, looked at, and removed.
    Backup,
}

/// What is done, and what each commit leaves. The transaction ids of a new store count from 1, so that the id of
/// the last commit is the index of the state.
#[derive(Clone, Debug)]
pub struct Script {
    pub steps: Vec<Step>,
    pub states: Vec<Trees>,
    pub options: Options,
}

/// A key of eight digits.
pub fn key(number: u64) -> Vec<u8> {
    format!("{number:08}").into_bytes()
}

/// A value of `len` bytes that tells one `seed` from another, and each of its pages from the others.
pub fn value(seed: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (seed * 31 + at / 251 * 7 + at) as u8).collect()
}

/// Puts of `numbers` in `tree`, with values of `len` bytes.
pub fn puts(
    tree: &'static str,
    numbers: impl IntoIterator<Item = u64>,
    seed: u64,
    len: usize,
) -> Vec<Change> {
    numbers.into_iter().map(|number| Change::Put(tree, key(number), value(seed + number, len))).collect()
}

impl Script {
    pub fn new(steps: Vec<Step>) -> Self {
        let mut states = vec![Trees::new()];
        for step in &steps {
            if let Step::Commit(changes) = step {
                let mut trees = states.last().unwrap().clone();
                changes.iter().for_each(|change| change.apply(&mut trees));
                states.push(trees);
            }
        }
        Self { steps, states, options: options() }
    }

    /// Splits and merges leaves, puts long values in pages of their own, replaces and shortens them, drops trees
    /// and makes them again, with checkpoints and a clean close on the way.
    pub fn varied() -> Self {
        let mut second = puts("rows", (0..60).map(|number| number * 7 % 121), 5, 110);
        second.push(Change::Put("long", key(1), value(1, 9_000)));
        second.push(Change::Put("long", key(2), value(2, 70_000)));
        let mut third = vec![Change::DeleteRange("rows", key(10), key(90))];
        third.push(Change::Put("long", key(1), value(3, 12_000)));
        third.extend(puts("few", [1, 2, 3], 9, 40));
        let mut fifth = puts("long", [3, 4, 5], 20, 6_000);
        // Moved on: what was put just now, what lies in the tree, short and long.
        let copy = |from, to, cut| Change::Copy(from, ("copies", to), cut, b"end");
        fifth.push(copy(("long", key(4)), key(1), 3));
        fifth.push(copy(("long", key(2)), key(2), 0));
        fifth.extend((95..115).map(|number| copy(("rows", key(number)), key(number), 7)));
        fifth.push(copy(("rows", key(100)), key(1), 0));
        fifth.push(Change::Put("rows", key(100), value(31, 99)));
        fifth.push(copy(("rows", key(100)), key(3), 50));
        fifth.push(Change::Delete("long", key(2)));
        Self::new(vec![
            Step::Commit(puts("rows", 0..120, 1, 100)),
            Step::Commit(second),
            Step::Checkpoint,
            Step::Commit(third),
            Step::Commit(vec![Change::Drop("few"), Change::Put("long", key(9), value(4, 30))]),
            Step::Checkpoint,
            Step::Commit(fifth),
            Step::Commit(puts("few", 0..40, 11, 300)),
            Step::Commit(vec![
                Change::Undone(vec![Change::Copy(("few", key(7)), ("copies", key(7)), 1, b"undone")]),
                Change::Copy(("copies", key(2)), ("few", key(50)), 10, b""),
                Change::Delete("copies", key(2)),
            ]),
            Step::Reopen,
            Step::Commit(vec![Change::Drop("rows"), Change::Drop("few")]),
            Step::Checkpoint,
            Step::Commit(puts("rows", (0..80).rev(), 13, 200)),
            Step::Checkpoint,
            Step::Commit(vec![Change::Delete("rows", key(5)), Change::Put("few", key(1), value(8, 5_000))]),
        ])
    }

    /// The same, and besides: savepoints gone back to, snapshots held while everything is overwritten, backups, ranges
    /// deleted until leaves merge, and a second clean close.
    pub fn everything() -> Self {
        let mut steps = vec![
            Step::Commit(puts("rows", 0..50, 1, 300)),
            Step::Hold,
            Step::Backup,
            Step::Commit(vec![
                Change::DeleteRange("rows", key(3), key(45)),
                Change::Undone(puts("undone", 0..30, 2, 500)),
                Change::Put("long", key(1), value(1, 20_000)),
            ]),
        ];
        steps.extend(Self::varied().steps);
        // The trees are there already; what the script says of states is worked out anew.
        let at = steps.iter().position(|step| matches!(step, Step::Reopen)).unwrap();
        steps.insert(at, Step::Release);
        steps.insert(at - 1, Step::Hold);
        steps.extend([
            Step::Hold,
            Step::Commit(vec![
                Change::Undone(vec![Change::Drop("rows")]),
                Change::DeleteRange("rows", key(0), key(79)),
                Change::Put("few", key(3), value(9, 100)),
            ]),
            Step::Checkpoint,
            Step::Backup,
            Step::Commit(puts("few", 0..20, 3, 150)),
            Step::Release,
            Step::Reopen,
            Step::Commit(vec![Change::Drop("few")]),
        ]);
        Self::new(steps)
    }

    /// The changes of every commit.
    pub fn commits(&self) -> impl Iterator<Item = &[Change]> {
        self.steps.iter().filter_map(|step| match step {
            Step::Commit(changes) => Some(changes.as_slice()),
            _ => None,
        })
    }

    /// Runs all of it on a disk where nothing fails, and returns the open store.
    pub fn run(&self, disk: &CrashVfs) -> Engine {
        let mut engine = open_with(disk, self.options.clone()).unwrap();
        for step in &self.steps {
            match step {
                Step::Commit(changes) => commit(&engine, changes).unwrap(),
                Step::Checkpoint => engine.checkpoint().unwrap(),
                Step::Reopen => {
                    engine.close().unwrap();
                    engine = open_with(disk, self.options.clone()).unwrap();
                }
                // They change nothing, and are for those who look at them.
                Step::Hold | Step::Release | Step::Backup => {}
            }
        }
        engine
    }

    /// State after the last commit.
    pub fn last(&self) -> &Trees {
        self.states.last().unwrap()
    }

    /// Asserts that `engine` holds exactly the first commits, at least `acknowledged` and at most `submitted` of
    /// them, and is sound. Returns how many.
    pub fn verify(&self, engine: &Engine, acknowledged: usize, submitted: usize, story: &str) -> usize {
        let count = usize::try_from(engine.last_commit().txid.get()).unwrap();
        assert!(
            count >= acknowledged,
            "{story}: commit {acknowledged} was acknowledged, and {count} is the last"
        );
        assert!(count <= submitted, "{story}: {count} commits of {submitted}");
        assert!(state(engine) == self.states[count], "{story}: not the state after {count} commits");
        assert_sound(engine);
        count
    }

    /// Opens what is on `disk` and verifies it as [`Script::verify`] does.
    pub fn verify_disk(&self, disk: &CrashVfs, acknowledged: usize, submitted: usize, story: &str) -> usize {
        match open_with(disk, self.options.clone()) {
            Ok(engine) => self.verify(&engine, acknowledged, submitted, story),
            Err(error) => panic!("{story}: {error}"),
        }
    }
}

/// One transaction. The error says whether the changes or the commit failed.
pub fn commit(engine: &Engine, changes: &[Change]) -> std::result::Result<(), Refused> {
    let mut txn = engine.begin_write().map_err(Refused::Begin)?;
    for change in changes {
        if let Err(error) = change.run(&mut txn) {
            txn.abort();
            return Err(Refused::Change(error));
        }
    }
    txn.commit().map(drop).map_err(Refused::Commit)
}

/// Where a transaction failed.
#[derive(Debug)]
pub enum Refused {
    Begin(Error),
    Change(Error),
    Commit(Error),
}

impl Refused {
    pub fn error(&self) -> &Error {
        match self {
            Self::Begin(error) | Self::Change(error) | Self::Commit(error) => error,
        }
    }
}
