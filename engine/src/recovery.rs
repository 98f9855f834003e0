//! Recovery: from the newest valid root, reapply the whole, committed records of the log.

use std::{
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use llmdb_base::{
    Lsn, ReadPages, Timestamp, TreeId, TxnId, WritePages,
    plant::{Bug, planted},
};
use llmdb_btree::{NewValue, Tree};
use llmdb_pager::{PageTxn, Pager, RootState};
use llmdb_vfs::Vfs;
use llmdb_wal::{Log, Replay};

use crate::{
    Error, LogTail, Options, Result,
    catalog::Catalog,
    open::open_replay,
    record::{Op, OpReader},
};

/// What opening a store had to do.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Transactions reapplied from the log.
    pub replayed_txns: u64,
    /// Bytes of log reapplied.
    pub replayed_bytes: u64,
    /// Bytes behind the last whole record, which were never acknowledged and were left out.
    pub cut_bytes: u64,
    /// Meta pages that were damaged; the others held what was needed.
    pub damaged_meta_pages: Vec<String>,
    /// Whether a checkpoint should restore what the damage took.
    pub(crate) needs_checkpoint: bool,
}

/// Replays the log over the pager's root and returns the log, ready to be appended to.
pub(crate) fn recover(
    vfs: &Arc<dyn Vfs>,
    folder: &Path,
    pager: &Arc<Pager>,
    options: &Options,
) -> Result<(Log, RecoveryReport)> {
    let (replay, report) = replay(vfs, folder, pager, options)?;
    Ok((replay.into_log()?, report))
}

/// Replays the log over the pager's root, and leaves its files as they are.
pub(crate) fn replay(
    vfs: &Arc<dyn Vfs>,
    folder: &Path,
    pager: &Arc<Pager>,
    options: &Options,
) -> Result<(Replay, RecoveryReport)> {
    let mut replay = open_replay(vfs, folder, pager, options)?;
    let mut report = RecoveryReport { cut_bytes: replay.cut_bytes(), ..RecoveryReport::default() };
    report.damaged_meta_pages =
        pager.meta_report().damaged().map(|slot| format!("{}: {}", slot.pgno, slot.state)).collect();
    report.needs_checkpoint = !report.damaged_meta_pages.is_empty();
    let from = pager.durable().lsn;
    if options.log_tail == LogTail::Strict && from > pager.older_durable().lsn && is_missing(&**vfs, folder)?
    {
        return Err(Error::LogCorruption(format!(
            "{} is missing, though the store was not closed, and with it the last commits: put it back, or open \
             with LogTail::CutAtDamage to go on without them",
            folder.display()
        )));
    }
    if replay.end() > from {
        if options.read_only {
            return Err(Error::ReadOnly(
                "it was not closed and must be recovered first: open it once with the right to write",
            ));
        }
        replay_all(&mut replay, pager, &mut report)?;
        log::info!("recovered {} transactions, {} bytes of log", report.replayed_txns, report.replayed_bytes);
    }
    Ok((replay, report))
}

/// Whether there is no log. A clean close removes it, after making both generations show the same position.
fn is_missing(vfs: &dyn Vfs, folder: &Path) -> Result<bool> {
    match vfs.list_dir(folder) {
        Ok(names) => Ok(names.is_empty()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Error::io("list the log", error)),
    }
}

/// Applies every record in one page transaction: a page is copied once however many records touch it.
fn replay_all(replay: &mut Replay, pager: &Arc<Pager>, report: &mut RecoveryReport) -> Result<()> {
    let mut applier = Applier::new(pager)?;
    let last = replay.end();
    while let Some(record) = replay.next_record()? {
        let (end, len) = (record.end(), record.len());
        if planted(Bug::DropTailRecord) && end == last {
            break;
        }
        if applier.apply(record, end)? {
            report.replayed_txns += 1;
            report.replayed_bytes += len;
        }
    }
    applier.finish(pager)
}

/// Reapplies records to pages.
struct Applier {
    pages: PageTxn,
    last: RootState,
    trees: Trees,
}

/// The trees of the state being rebuilt. Few trees are touched by a tail of the log, so a list will do.
#[derive(Clone)]
struct Trees {
    catalog: Catalog,
    open: Vec<(String, Tree)>,
}

impl Trees {
    /// Position of the tree `id` among the open ones, opening the catalog's trees first if it is not there.
    fn index<P: llmdb_base::ReadPages>(&mut self, pages: &P, id: TreeId) -> Result<usize> {
        if let Some(index) = self.open.iter().position(|(_, tree)| tree.id == id) {
            return Ok(index);
        }
        let found = self.catalog.list(pages)?.into_iter().find(|(_, tree)| tree.id == id);
        self.open.push(found.ok_or_else(|| Error::BadRecord(format!("{id} does not exist")))?);
        Ok(self.open.len() - 1)
    }
}

impl Applier {
    fn new(pager: &Arc<Pager>) -> Result<Self> {
        let tip = pager.tip();
        let last = RootState { txid: tip.txid, timestamp: tip.timestamp, lsn: tip.lsn, roots: tip.roots };
        let trees = Trees { catalog: Catalog::decode(&last.roots)?, open: Vec::new() };
        Ok(Self { pages: pager.begin_write(), last, trees })
    }

    /// Applies one record. `false` if the root held it already.
    fn apply<R: Read>(&mut self, record: R, end: Lsn) -> Result<bool> {
        let mut ops = OpReader::new(record);
        let Some(Op::Begin(txid)) = ops.next_op()? else {
            return Err(Error::BadRecord("it does not begin with its transaction id".into()));
        };
        if txid <= self.last.txid {
            return Err(Error::BadRecord(format!("{txid} comes after {}", self.last.txid)));
        }
        let mut savepoints = Vec::new();
        loop {
            match ops.next_op()? {
                None => return Err(Error::BadRecord(format!("{txid} has no end"))),
                Some(Op::Commit(timestamp)) => return self.committed(txid, timestamp, end).map(|()| true),
                Some(Op::Savepoint(index)) => {
                    savepoints.truncate(index as usize);
                    savepoints.push((self.pages.savepoint(), self.trees.clone()));
                }
                Some(Op::Rollback(index)) => {
                    let Some((savepoint, trees)) = savepoints.get(index as usize) else {
                        return Err(Error::BadRecord(format!(
                            "{txid} goes back to savepoint {index}, which it has not"
                        )));
                    };
                    self.pages.rollback_to(savepoint);
                    self.trees = trees.clone();
                    savepoints.truncate(index as usize + 1);
                }
                Some(Op::Put { tree, key, value_len }) => {
                    let key = key.to_vec();
                    let value = read_value(&mut self.pages, &mut ops, value_len)?;
                    let tree = self.tree(tree)?;
                    tree.1.insert(tree.0, &key, value.as_new())?;
                }
                Some(op) => self.apply_simple(&op)?,
            }
        }
    }

    fn tree(&mut self, id: TreeId) -> Result<(&mut PageTxn, &mut Tree)> {
        let index = self.trees.index(&self.pages, id)?;
        Ok((&mut self.pages, &mut self.trees.open[index].1))
    }

    fn apply_simple(&mut self, op: &Op<'_>) -> Result<()> {
        match *op {
            Op::Delete { tree, key } => {
                let (pages, tree) = self.tree(tree)?;
                tree.remove(pages, key)?;
            }
            Op::DeleteRange { tree, from, to } => {
                let (pages, tree) = self.tree(tree)?;
                tree.remove_range(pages, from, to)?;
            }
            Op::CreateTree { tree, name } => {
                let empty = Tree::empty(tree);
                self.trees.catalog.set(&mut self.pages, name, &empty)?;
                self.trees.open.push((name.to_owned(), empty));
            }
            Op::DropTree { tree, name } => {
                let index = self.trees.index(&self.pages, tree)?;
                self.trees.open[index].1.clear(&mut self.pages)?;
                self.trees.open.swap_remove(index);
                self.trees.catalog.remove(&mut self.pages, name)?;
            }
            _ => return Err(Error::BadRecord(format!("{op:?} stands where it cannot"))),
        }
        Ok(())
    }

    fn committed(&mut self, txid: TxnId, timestamp: Timestamp, end: Lsn) -> Result<()> {
        (self.last.txid, self.last.timestamp, self.last.lsn) = (txid, timestamp, end);
        Ok(())
    }

    fn finish(mut self, pager: &Pager) -> Result<()> {
        for (name, tree) in &self.trees.open {
            self.trees.catalog.set(&mut self.pages, name, tree)?;
        }
        self.last.roots = self.trees.catalog.encode();
        self.pages.check_intact()?;
        let root = self.pages.commit(self.last);
        if pager.commons().is_some() {
            // Other processes read it as soon as it is published.
            pager.write_out()?;
        }
        pager.publish(&root);
        Ok(())
    }
}

/// A value read from the log: short ones in memory, long ones already in pages.
enum Replayed {
    Bytes(Vec<u8>),
    Run(llmdb_base::RunRef),
}

impl Replayed {
    fn as_new(&self) -> NewValue<'_> {
        match self {
            Self::Bytes(bytes) => NewValue::Bytes(bytes),
            Self::Run(run) => NewValue::Run(*run),
        }
    }
}

/// Values up to this length are gathered in memory before they are stored.
const GATHER_BYTES_MAX: u64 = 256 << 10;

fn read_value<R: Read>(pages: &mut PageTxn, ops: &mut OpReader<R>, len: u64) -> Result<Replayed> {
    if len <= GATHER_BYTES_MAX {
        let mut bytes = vec![0; usize::try_from(len).expect("at most 256 KiB")];
        let got = ops.read_value(&mut bytes)?;
        debug_assert_eq!(got as u64, len);
        return Ok(Replayed::Bytes(bytes));
    }
    let mut chunk = vec![0; 256 << 10];
    let mut writer = pages.begin_run(len)?;
    loop {
        match ops.read_value(&mut chunk)? {
            0 => return Ok(Replayed::Run(pages.finish_run(writer)?)),
            got => pages.append_run(&mut writer, &chunk[..got])?,
        }
    }
}
