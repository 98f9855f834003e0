//! From backups, and from log that was kept, to a store.
//!
//! ```text
//!   pages of the full backup, then of each later one, to their places in a new file      as the original
//!   every tree walked and verified; checksums renewed under another identity            a store of its own
//!   allocation map from what the walk found; records of the log reapplied                up to the wanted commit
//!   checkpoint; the file gets its name
//! ```

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use llmdb_base::{Lsn, StoreId, Timestamp, TxnId};
use llmdb_pager::Pager;
use llmdb_vfs::{OsVfs, Vfs};
use llmdb_wal::{LogError, LogFolders, LogOptions, LogReader, LogRecord, Replay, TailPolicy};

use super::{
    PageProgress,
    chain::{Chain, Link},
    image::Draft,
};
use crate::{
    Commit, Engine, Error, Result,
    record::{Op, OpReader},
    recovery::Applier,
};

/// Which commit a restored store ends with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RestoreTo {
    /// The last one that backups and log hold.
    #[default]
    Latest,
    /// This one.
    Tx(TxnId),
    /// The last one whose record ends at or before this position of the log.
    Lsn(Lsn),
    /// The last one committed at or before this time.
    Time(Timestamp),
}

/// Where a store is restored from.
#[derive(Clone, Debug, Default)]
pub struct RestoreSource {
    /// The folder of the backup set.
    pub set: PathBuf,
    /// The archive of the log, to go on from the newest usable backup; `None` to end with a backup.
    pub archive: Option<PathBuf>,
    /// The log of the lost store (the folder `<file>-wal`), for what had not been archived.
    pub log: Option<PathBuf>,
}

/// What a restore made.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RestoreReport {
    /// Identity of the new store.
    pub store: StoreId,
    /// Identity of the store that the backups were taken from.
    pub original: StoreId,
    /// The last commit that it holds.
    pub commit: Commit,
    /// Backups used, from the full one on.
    pub backup_count: u64,
    /// Transactions reapplied from the log.
    pub replayed_txns: u64,
    /// Keys in all trees.
    pub key_count: u64,
    /// Size of the data file in bytes.
    pub file_bytes: u64,
    /// Rows that were erased again, having been erased after the commit that was restored. Whoever erases counts them.
    pub erased_rows: u64,
}

impl Engine {
    /// Makes the store at `to`, which must not exist, from a backup set and, if given, from log. It is a store of its
    /// own, with another identity: no log, archive or backup of the original ever passes for one of it. The commits
    /// keep their ids and times.
    ///
    /// Every byte that is used is verified. The file appears under its name once it is whole and durable.
    ///
    /// # Errors
    /// - [`Error::BrokenBackup`]: what is missing, foreign, out of its place or changed.
    /// - [`Error::OutOfReach`] if the wanted commit lies before the full backup, or behind what backups and log hold:
    ///   says how far they go.
    /// - [`Error::Misuse`] if `to` or a log beside it exists; [`Error::Missing`] if there is no backup;
    ///   [`Error::Cancelled`]; [`Error::LogCorruption`], [`Error::Io`], [`Error::NoSpace`].
    pub fn restore(
        source: &RestoreSource,
        to: impl AsRef<Path>,
        until: RestoreTo,
        progress: PageProgress<'_>,
    ) -> Result<RestoreReport> {
        Self::restore_on(&(Arc::new(OsVfs::new()) as Arc<dyn Vfs>), source, to.as_ref(), until, progress)
    }

    /// As [`Engine::restore`], on a disk of the caller's.
    ///
    /// # Errors
    /// As [`Engine::restore`].
    pub fn restore_on(
        vfs: &Arc<dyn Vfs>,
        source: &RestoreSource,
        to: &Path,
        until: RestoreTo,
        progress: PageProgress<'_>,
    ) -> Result<RestoreReport> {
        Self::restore_then(vfs, source, to, until, progress, None)
    }

    /// As [`Engine::restore_on`]; `finish` may change the store before it gets its name, by commits behind the one that
    /// was restored. If it fails, nothing is restored.
    ///
    /// # Errors
    /// As [`Engine::restore`]; those of `finish`.
    pub fn restore_then(
        vfs: &Arc<dyn Vfs>,
        source: &RestoreSource,
        to: &Path,
        until: RestoreTo,
        progress: PageProgress<'_>,
        finish: Option<Finish<'_>>,
    ) -> Result<RestoreReport> {
        let chain = Chain::open_existing(&**vfs, &source.set)?;
        let count = usable(&chain, until)?;
        let links = &chain.links[..count];
        let mut draft = Draft::create(vfs, to)?;
        draft.place(links, progress)?;
        let newest = &links[count - 1];
        let pager = draft.adopt(newest)?;
        let mut report = RestoreReport {
            store: pager.store_id(),
            original: newest.manifest.store,
            commit: Commit::of(&newest.manifest.root),
            backup_count: count as u64,
            replayed_txns: 0,
            key_count: 0,
            file_bytes: 0,
            erased_rows: 0,
        };
        Rest { vfs, source, newest, until }.replay(&pager, &mut report)?;
        draft.make_whole(&pager, &mut report)?;
        drop(pager);
        if let Some(finish) = finish {
            draft.change(finish, &mut report)?;
        }
        draft.name()?;
        Ok(report)
    }
}

/// What is done to a restored store before anybody else can open it.
pub type Finish<'a> = &'a mut dyn FnMut(&Engine) -> Result<()>;

/// How many backups of the chain come before the wanted commit.
fn usable(chain: &Chain, until: RestoreTo) -> Result<usize> {
    let not_behind = |link: &&Link| {
        let root = &link.manifest.root;
        match until {
            RestoreTo::Latest => true,
            RestoreTo::Tx(txid) => root.txid <= txid,
            RestoreTo::Lsn(lsn) => root.lsn <= lsn,
            RestoreTo::Time(time) => root.timestamp <= time,
        }
    };
    let count = chain.links.iter().take_while(not_behind).count();
    if count > 0 {
        return Ok(count);
    }
    // A set has at least one backup, or opening it fails.
    let first = Commit::of(&chain.links[0].manifest.root);
    Err(Error::OutOfReach(format!(
        "the full backup holds {}, committed at {}, and nothing before it can be restored from this set",
        first.txid, first.timestamp
    )))
}

/// What comes behind the newest backup that can be used.
struct Rest<'a> {
    vfs: &'a Arc<dyn Vfs>,
    source: &'a RestoreSource,
    newest: &'a Link,
    until: RestoreTo,
}

/// Whether a record comes before the wanted end, or behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Wanted,
    Behind,
}

impl Rest<'_> {
    /// Reapplies records up to the wanted commit.
    fn replay(&self, pager: &Arc<Pager>, report: &mut RestoreReport) -> Result<()> {
        let mut applier = Applier::new(pager)?;
        let mut last = Commit::of(&self.newest.manifest.root);
        let mut end = Side::Wanted;
        if let Some((mut reader, until)) = self.reader()? {
            while let Some(record) = reader.next_record(until).map_err(|error| self.cut_short(error, last))? {
                let head = Head::of(&reader, &record, self.until)?;
                if self.side(&head) == Side::Behind {
                    end = Side::Behind;
                    break;
                }
                if head.txid <= last.txid {
                    return Err(
                        self.out_of_reach(last, &format!("{} follows {} in the log", head.txid, last.txid))
                    );
                }
                last = applier.apply(reader.open(&record)?, record.len(), record.end())?;
                report.replayed_txns += 1;
            }
        }
        if end == Side::Wanted && !self.is_reached(last) {
            return Err(self.out_of_reach(last, "that is where backups and log end"));
        }
        report.commit = last;
        applier.finish(pager)
    }

    /// The log behind the backup, and how far it goes. `None` if there is none, or nothing in it that is newer.
    fn reader(&self) -> Result<Option<(LogReader, Lsn)>> {
        let (store, from) = (self.newest.manifest.store, self.newest.manifest.root.lsn);
        let RestoreSource { archive, log, .. } = self.source.clone();
        let mut archived = from;
        if let Some(dir) = &archive {
            let folders = LogFolders { archive: Some(dir.clone()), log: None };
            let mut reader = LogReader::new(self.vfs.clone(), folders, store, from);
            reader.oldest()?;
            archived = reader.known_end().map_or(from, |end| end.max(from));
        }
        let mut until = archived;
        if let Some(dir) = &log {
            let (vfs, options) = (self.vfs.clone(), LogOptions::default());
            until = Replay::open(vfs, dir, store, archived, options, TailPolicy::Strict)?.end();
        }
        let folders = LogFolders { archive, log };
        Ok((until > from).then(|| (LogReader::new(self.vfs.clone(), folders, store, from), until)))
    }

    fn side(&self, head: &Head) -> Side {
        let wanted = match self.until {
            RestoreTo::Latest => true,
            RestoreTo::Tx(txid) => head.txid <= txid,
            RestoreTo::Lsn(lsn) => head.end <= lsn,
            RestoreTo::Time(time) => head.timestamp.is_none_or(|committed| committed <= time),
        };
        if wanted { Side::Wanted } else { Side::Behind }
    }

    /// Whether `last` is the wanted commit, though nothing behind it was seen.
    fn is_reached(&self, last: Commit) -> bool {
        match self.until {
            RestoreTo::Latest => true,
            RestoreTo::Tx(txid) => last.txid == txid,
            RestoreTo::Lsn(lsn) => last.lsn == lsn,
            RestoreTo::Time(time) => last.timestamp == time,
        }
    }

    fn cut_short(&self, error: LogError, last: Commit) -> Error {
        match error {
            LogError::Gap { .. } => self.out_of_reach(last, &error.to_string()),
            other => other.into(),
        }
    }

    fn out_of_reach(&self, last: Commit, why: &str) -> Error {
        Error::OutOfReach(format!(
            "{} can be restored up to {}, committed at {}: {why}",
            self.source.set.display(),
            last.txid,
            last.timestamp
        ))
    }
}

/// What must be known of a record before it is applied.
struct Head {
    txid: TxnId,
    end: Lsn,
    /// Looked for only if a time was asked for: it stands at the end of the record.
    timestamp: Option<Timestamp>,
}

impl Head {
    fn of(reader: &LogReader, record: &LogRecord, until: RestoreTo) -> Result<Self> {
        let mut ops = OpReader::new(reader.open(record)?);
        let Some(Op::Begin(txid)) = ops.next_op()? else {
            return Err(Error::BadRecord("it does not begin with its transaction id".into()));
        };
        let mut timestamp = None;
        if matches!(until, RestoreTo::Time(_)) {
            while let Some(op) = ops.next_op()? {
                if let Op::Commit(committed) = op {
                    timestamp = Some(committed);
                }
            }
        }
        Ok(Self { txid, end: record.end(), timestamp })
    }
}
