//! The chapters of the tour.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use llmdb::{Db, Options, Snapshot, WriteTxn};
use serde_json::json;

use super::{crash, input::Input, story::Story, times};
use crate::{
    care::check::describe,
    failure::Failure,
    figures::{Bytes, Count, Seconds, each, rate},
    host::Stopwatch,
    interrupt::Interrupt,
    measure::Random,
    store,
};

/// The tree of files.
const FILES: &str = "files";
/// The tree of commits.
const HISTORY: &str = "history";
/// Bytes per transaction while importing.
const BATCH_BYTES: usize = 1 << 20;
/// Gets to measure with.
const GETS: u64 = 50_000;

/// The tour: where it happens.
pub struct Tour<'a> {
    folder: &'a Path,
    path: PathBuf,
    stop: &'a Interrupt,
}

impl<'a> Tour<'a> {
    pub fn new(folder: &'a Path, stop: &'a Interrupt) -> Self {
        Self { folder, path: folder.join("tour.llmdb"), stop }
    }

    /// Does and tells everything.
    pub fn tell(&self, story: &mut Story<'_>) -> Result<(), Failure> {
        story.say("LLMDB keeps named trees of keys and values in one file, and facts in two times. This tour uses it in earnest.")?;
        let db = self.open(story)?;
        self.import(&db, story)?;
        self.read(&db, story)?;
        self.hold_a_snapshot(&db, story)?;
        self.stop.check()?;
        let told = times::tell(&db, self.stop, story)?;
        self.stop.check()?;
        db.close()?;
        let db = crash::kill_a_writer(&self.path, self.stop, story)?;
        times::ask_again(&db, &told, story)?;
        self.stop.check()?;
        check(&db, story)?;
        self.back_up(&db, story)?;
        self.stop.check()?;
        self.close(db, story)
    }

    fn open(&self, story: &mut Story<'_>) -> Result<Db, Failure> {
        story.chapter("A new database")?;
        let watch = Stopwatch::start();
        let db = Db::open(&self.path, Options::new())?;
        let seconds = watch.seconds();
        story.say(format_args!("Made {} in {}.", self.path.display(), Seconds(seconds)))?;
        story.figure("open", json!({ "path": self.path.display().to_string(), "seconds": seconds }));
        Ok(db)
    }

    fn import(&self, db: &Db, story: &mut Story<'_>) -> Result<(), Failure> {
        story.chapter("Real input")?;
        let input = Input::gather(&std::env::current_dir()?);
        story.say(format_args!("Input: {}.", input.origin))?;
        let mut load = Load { db, stop: self.stop, txn: None, batch_bytes: 0, bytes: 0, rows: 0, batches: 0 };
        let watch = Stopwatch::start();
        input.for_each_file(|name, bytes| load.put(FILES, name, &bytes))?;
        let files = load.rows;
        for (key, value) in &input.history {
            load.put(HISTORY, key, value.as_bytes())?;
        }
        load.commit()?;
        let seconds = watch.seconds();
        let (bytes, batches, commits) = (load.bytes, load.batches, load.rows - files);
        story.say(format_args!(
            "Stored {} files in the tree \"{FILES}\" and {} commits in the tree \"{HISTORY}\": {} in {}. That took {} \
             transactions, and each was forced to the disk before the next began: a power failure on the way would \
             have cost at most the one under way, and never left half of it.",
            Count(files),
            Count(commits),
            Bytes(bytes),
            Seconds(seconds),
            Count(batches)
        ))?;
        story.figure(
            "import",
            json!({ "origin": input.origin, "files": files, "commits": commits, "bytes": bytes, "transactions": batches,
                    "seconds": seconds }),
        );
        Ok(())
    }

    fn read(&self, db: &Db, story: &mut Story<'_>) -> Result<(), Failure> {
        self.stop.check()?;
        story.chapter("Reading")?;
        let snapshot = db.snapshot()?;
        let tree = store::tree(&snapshot, FILES)?;
        let keys = tree.iter()?.map(|row| row.map(|(key, _)| key)).collect::<llmdb::Result<Vec<_>>>()?;
        let mut random = Random(7);
        let watch = Stopwatch::start();
        for _ in 0..GETS {
            let index = usize::try_from(random.next() % keys.len() as u64).unwrap_or_default();
            if tree.get(keys[index])?.is_none() {
                return Err(Failure::damaged("a key that was listed is not found"));
            }
        }
        let get_seconds = each(watch.seconds(), GETS);
        story.say(format_args!(
            "{} random gets: {} each. A get copies nothing: what it returns is a slice of the mapped file, checked \
             against its checksum when it is first touched.",
            Count(GETS),
            Seconds(get_seconds)
        ))?;
        let (prefix, count, bytes, seconds) = scan_largest_folder(&snapshot, &keys)?;
        story.say(format_args!(
            "Keys are kept in order, so a folder is a range: scanning \"{prefix}\" read {} files, {}, in {}.",
            Count(count),
            Bytes(bytes),
            Seconds(seconds)
        ))?;
        let newest = newest_commit(&snapshot)?;
        if let Some((key, value)) = &newest {
            story.say(format_args!("The last row of \"{HISTORY}\" is the newest commit: {key}: {value}"))?;
        }
        story.figure(
            "read",
            json!({ "gets": GETS, "seconds_per_get": get_seconds, "scan_prefix": prefix, "scan_rows": count,
                    "scan_bytes": bytes, "scan_seconds": seconds }),
        );
        Ok(())
    }

    fn hold_a_snapshot(&self, db: &Db, story: &mut Story<'_>) -> Result<(), Failure> {
        self.stop.check()?;
        story.chapter("A snapshot does not move")?;
        let held = db.snapshot()?;
        let before = digest(&held)?;
        let watch = Stopwatch::start();
        let changed = rewrite(db, &held)?;
        let seconds = watch.seconds();
        let (after, now) = (digest(&held)?, digest(&db.snapshot()?)?);
        if after != before || now == before {
            return Err(Failure::damaged("the snapshot moved while it was held"));
        }
        let kept = db.stats()?.held_bytes;
        story.say(format_args!(
            "Held a snapshot of {}, and meanwhile rewrote or deleted all {} files in one transaction ({}). Read again, \
             the snapshot still shows every old byte (digest {before:016x}, as before); a new snapshot shows the new \
             ones ({now:016x}). Neither waited for the other. The file keeps {} for the old snapshot, and uses that \
             space again once nobody can see it.",
            held.txid(),
            Count(changed),
            Seconds(seconds),
            Bytes(kept)
        ))?;
        story.figure(
            "snapshot",
            json!({ "rewritten": changed, "seconds": seconds, "unchanged": after == before, "held_bytes": kept }),
        );
        Ok(())
    }

    fn back_up(&self, db: &Db, story: &mut Story<'_>) -> Result<(), Failure> {
        story.chapter("A backup")?;
        let to = self.folder.join("backup.llmdb");
        let watch = Stopwatch::start();
        let report = db.backup(&to, &mut |_, _| !self.stop.is_asked())?;
        let seconds = watch.seconds();
        let copy = Db::open(&to, Options::new().create(false).read_only(true))?;
        let same = digest(&copy.snapshot()?)? == digest(&db.snapshot()?)?;
        if !same {
            return Err(Failure::damaged("the backup differs from the database"));
        }
        story.say(format_args!(
            "Copied {} keys into a compact file of {} in {}, verified on the way; opened it, and it holds the same rows \
             as the database. It is a database like any other: restoring it is copying it back.",
            Count(report.key_count),
            Bytes(report.file_bytes),
            Seconds(seconds)
        ))?;
        story.figure(
            "backup",
            json!({ "keys": report.key_count, "file_bytes": report.file_bytes, "seconds": seconds, "same_rows": same }),
        );
        Ok(())
    }

    fn close(&self, db: Db, story: &mut Story<'_>) -> Result<(), Failure> {
        story.chapter("What is left")?;
        let stats = db.stats()?;
        let watch = Stopwatch::start();
        db.close()?;
        let seconds = watch.seconds();
        let bytes = std::fs::metadata(&self.path)?.len();
        story.say(format_args!(
            "Closed in {}: everything is in one file of {}, {} keys in {} trees; the log beside it is gone.",
            Seconds(seconds),
            Bytes(bytes),
            Count(stats.key_count),
            stats.tree_count
        ))?;
        story.figure("close", json!({ "seconds": seconds, "file_bytes": bytes, "keys": stats.key_count }));
        Ok(())
    }
}

/// Rows on their way into the database, a batch at a time.
struct Load<'a> {
    db: &'a Db,
    stop: &'a Interrupt,
    txn: Option<WriteTxn<'a>>,
    batch_bytes: usize,
    bytes: u64,
    rows: u64,
    batches: u64,
}

impl Load<'_> {
    fn put(&mut self, tree: &str, key: &str, value: &[u8]) -> Result<(), Failure> {
        let txn = match &mut self.txn {
            Some(txn) => txn,
            none => none.insert(self.db.begin_write()?),
        };
        txn.tree(tree)?.put(key, value)?;
        self.rows += 1;
        self.bytes += value.len() as u64;
        self.batch_bytes += key.len() + value.len();
        if self.batch_bytes >= BATCH_BYTES { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), Failure> {
        self.stop.check()?;
        if let Some(txn) = self.txn.take() {
            txn.commit()?;
            self.batches += 1;
            self.batch_bytes = 0;
        }
        Ok(())
    }
}

/// The first folder in which most files lie: its prefix, files, bytes, and how long the scan took.
fn scan_largest_folder(snapshot: &Snapshot, keys: &[&[u8]]) -> Result<(String, u64, u64, f64), Failure> {
    let mut folders = BTreeMap::<&[u8], u64>::new();
    for key in keys {
        let folder = key.iter().position(|byte| *byte == b'/').map_or(&key[..0], |end| &key[..=end]);
        *folders.entry(folder).or_default() += 1;
    }
    let largest = folders.into_iter().max_by_key(|(folder, count)| (!folder.is_empty(), *count));
    let prefix = largest.map(|(folder, _)| folder).unwrap_or_default();
    let watch = Stopwatch::start();
    let (mut count, mut bytes) = (0, 0);
    for row in store::tree(snapshot, FILES)?.prefix(prefix)? {
        count += 1;
        bytes += row?.1.len() as u64;
    }
    Ok((String::from_utf8_lossy(prefix).into_owned(), count, bytes, watch.seconds()))
}

fn newest_commit(snapshot: &Snapshot) -> Result<Option<(String, String)>, Failure> {
    let Some(tree) = snapshot.tree(HISTORY)? else { return Ok(None) };
    let text = |bytes: &[u8]| crate::text::escape(bytes, crate::text::Keep::Line);
    Ok(tree.cursor().last()?.map(|(key, value)| (text(key), text(value))))
}

/// Appends a line to every file, and deletes every tenth.
fn rewrite(db: &Db, old: &Snapshot) -> Result<u64, Failure> {
    let mut txn = db.begin_write()?;
    let mut tree = txn.tree(FILES)?;
    let mut count = 0;
    for row in store::tree(old, FILES)?.iter()? {
        let (key, value) = row?;
        count += 1;
        if count % 10 == 0 {
            tree.delete(key)?;
        } else {
            tree.put(key, [value, b"\n(read on the tour)\n"].concat())?;
        }
    }
    txn.commit()?;
    Ok(count)
}

/// A digest of every tree, key and value that a snapshot shows (FNV-1a: to compare, not to protect).
fn digest(snapshot: &Snapshot) -> Result<u64, Failure> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for byte in bytes.iter().chain(&bytes.len().to_le_bytes()) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    };
    for (name, _) in snapshot.trees()? {
        add(name.as_bytes());
        for row in store::tree(snapshot, &name)?.iter()? {
            let (key, value) = row?;
            add(key);
            add(value);
        }
    }
    Ok(hash)
}

fn check(db: &Db, story: &mut Story<'_>) -> Result<(), Failure> {
    story.chapter("A full check")?;
    let watch = Stopwatch::start();
    let report = db.check()?;
    let seconds = watch.seconds();
    if let Some(problem) = report.problems.first() {
        return Err(Failure::damaged(format!("the check found damage: {}", describe(problem))));
    }
    story.say(format_args!(
        "Read all {} pages in {} ({} pages/s): every checksum, the order and the bounds of all {} keys, and that each \
         page is used exactly once. No damage.",
        Count(report.page_count),
        Seconds(seconds),
        Count(rate(report.page_count, seconds)),
        Count(report.key_count)
    ))?;
    story.figure(
        "check",
        json!({ "problems": 0, "pages": report.page_count, "keys": report.key_count, "seconds": seconds }),
    );
    Ok(())
}
