//! Records become pages again.

use std::{io::Read, sync::Arc};

use llmdb_base::{
    Lsn, ReadPages, RunRef, TreeId, TxnId, WritePages,
    plant::{Bug, planted},
};
use llmdb_btree::{NewValue, Tree, Value, copy_run};
use llmdb_pager::{PageTxn, Pager, RootState, Savepoint};

use crate::{
    Commit, Error, Result,
    catalog::{Catalog, check_name},
    copy::bytes_of,
    record::{Op, OpReader},
};

use super::{
    pending::{Latest, Pending},
    scout::Scout,
};

/// Reapplies records to pages, all in one page transaction: a page is copied once however many records touch it.
///
/// Changes of single keys are gathered; whatever else a record does finds them applied.
pub(crate) struct Applier {
    pages: PageTxn,
    last: RootState,
    trees: Trees,
    pending: Pending,
    scout: Option<Scout>,
    /// Operations found.
    pub(super) ops: u64,
}

/// The trees of the state being rebuilt. Few trees are touched by a tail of the log, so a list will do.
#[derive(Clone)]
pub(super) struct Trees {
    catalog: Catalog,
    open: Vec<(String, Tree)>,
}

impl Trees {
    /// Position of the tree `id` among the open ones, opening the catalog's trees first if it is not there.
    fn index<P: ReadPages>(&mut self, pages: &P, id: TreeId) -> Result<usize> {
        if let Some(index) = self.open.iter().position(|(_, tree)| tree.id == id) {
            return Ok(index);
        }
        let found = self.catalog.list(pages)?.into_iter().find(|(_, tree)| tree.id == id);
        self.open.push(found.ok_or_else(|| Error::BadRecord(format!("{id} does not exist")))?);
        Ok(self.open.len() - 1)
    }

    /// Refuses a tree that cannot be made: its id was used before, or its name is in use.
    fn admit<P: ReadPages>(&self, pages: &P, id: TreeId, name: &str) -> Result<()> {
        if planted(Bug::AdmitAnyTree) {
            return Ok(());
        }
        check_name(name).map_err(|error| Error::BadRecord(error.to_string()))?;
        if !self.catalog.is_new(id) || self.catalog.find(pages, name)?.is_some() {
            return Err(Error::BadRecord(format!("{id}, {name:?}, exists or did exist")));
        }
        Ok(())
    }

    /// The tree `id`.
    pub(super) fn get<P: ReadPages>(&mut self, pages: &P, id: TreeId) -> Result<&mut Tree> {
        let index = self.index(pages, id)?;
        Ok(&mut self.open[index].1)
    }
}

impl Applier {
    pub(crate) fn new(pager: &Arc<Pager>) -> Result<Self> {
        let tip = pager.tip();
        let last = RootState { txid: tip.txid, timestamp: tip.timestamp, lsn: tip.lsn, roots: tip.roots };
        let trees = Trees { catalog: Catalog::decode(&last.roots)?, open: Vec::new() };
        Ok(Self { pages: pager.begin_write(), last, trees, pending: Pending::default(), scout: None, ops: 0 })
    }

    /// Lets a thread go ahead of the changes and fetch what they will need. If it cannot, they do without.
    pub(super) fn look_ahead(&mut self, pager: &Arc<Pager>) {
        self.scout = Scout::new(pager).ok();
    }

    /// Applies one record of `len` bytes, which must be whole, and says which commit it was.
    pub(crate) fn apply<R: Read>(&mut self, record: R, len: u64, end: Lsn) -> Result<Commit> {
        let mut ops = OpReader::of_len(record, len);
        let Some(Op::Begin(txid)) = ops.next_op()? else {
            return Err(Error::BadRecord("it does not begin with its transaction id".into()));
        };
        if txid <= self.last.txid {
            return Err(Error::BadRecord(format!("{txid} comes after {}", self.last.txid)));
        }
        let mut savepoints = Vec::new();
        loop {
            let Some(op) = ops.next_op()? else {
                return Err(Error::BadRecord(format!("{txid} has no end")));
            };
            self.ops += 1;
            match op {
                Op::Commit(timestamp) => {
                    (self.last.txid, self.last.timestamp, self.last.lsn) = (txid, timestamp, end);
                    return Ok(Commit { txid, timestamp, lsn: end });
                }
                Op::Savepoint(index) => {
                    self.flush()?;
                    savepoints.truncate(index as usize);
                    savepoints.push((self.pages.savepoint(), self.trees.clone()));
                }
                Op::Rollback(index) => self.roll_back(&mut savepoints, index, txid)?,
                Op::Put { tree, key, value_len } => {
                    self.trees.index(&self.pages, tree)?;
                    if value_len > LONG_BYTES_MIN {
                        let key = key.to_vec();
                        self.put_long(&mut ops, tree, &key, value_len)?;
                    } else {
                        let len = usize::try_from(value_len).expect("not a long value");
                        let value = self.pending.put(tree, key, len);
                        let got = ops.read_value(value)?;
                        debug_assert_eq!(got, len);
                    }
                }
                Op::Copy { tree, key, args } => {
                    let copy = Copied {
                        from: (tree, key.to_vec()),
                        to: (args.to_tree(), args.to_key(key)),
                        cut: args.cut(),
                        tail: args.tail().to_vec(),
                    };
                    self.copy(&copy)?;
                }
                Op::Delete { tree, key } => {
                    self.trees.index(&self.pages, tree)?;
                    self.pending.delete(tree, key);
                }
                op => self.apply_wide(&op)?,
            }
            if self.pending.is_full() {
                self.flush()?;
            }
        }
    }

    /// A key gets what another one has at this place of the log, which may be among what has been gathered.
    fn copy(&mut self, copy: &Copied) -> Result<()> {
        let (from, key) = (copy.from.0, copy.from.1.as_slice());
        self.trees.index(&self.pages, from)?;
        self.trees.index(&self.pages, copy.to.0)?;
        let mut value = match self.pending.latest(from, key) {
            Latest::Put(value) => value.to_vec(),
            Latest::Deleted => return Err(copy.missing()),
            Latest::Unknown => {
                let found = self.trees.get(&self.pages, from)?.get(&self.pages, key)?;
                match found.ok_or_else(|| copy.missing())? {
                    Value::Run(run) if run.len > LONG_BYTES_MIN => return self.copy_long(copy, &run),
                    short => bytes_of(&self.pages, &short)?.to_vec(),
                }
            }
        };
        let kept = usize::try_from(copy.cut).ok().and_then(|cut| value.len().checked_sub(cut));
        value.truncate(kept.ok_or_else(|| copy.too_short())?);
        value.extend_from_slice(&copy.tail);
        self.pending.put(copy.to.0, &copy.to.1, value.len()).copy_from_slice(&value);
        Ok(())
    }

    fn copy_long(&mut self, copy: &Copied, run: &RunRef) -> Result<()> {
        // An earlier change of the key must not come after this one.
        self.flush()?;
        let kept = run.len.checked_sub(copy.cut).ok_or_else(|| copy.too_short())?;
        let copied = copy_run(&mut self.pages, run, kept, &copy.tail)?;
        let tree = self.trees.get(&self.pages, copy.to.0)?;
        tree.insert(&mut self.pages, &copy.to.1, NewValue::Run(copied))?;
        Ok(())
    }

    /// Goes back to a savepoint of the transaction. Setting it applied what had been gathered, so that all that has
    /// gathered since is to be undone.
    fn roll_back(&mut self, savepoints: &mut Vec<(Savepoint, Trees)>, index: u32, txid: TxnId) -> Result<()> {
        let Some((savepoint, trees)) = savepoints.get(index as usize) else {
            return Err(Error::BadRecord(format!("{txid} goes back to savepoint {index}, which it has not")));
        };
        self.pending.clear();
        self.pages.rollback_to(savepoint);
        self.trees = trees.clone();
        savepoints.truncate(index as usize + 1);
        Ok(())
    }

    /// Applies what has been gathered.
    fn flush(&mut self) -> Result<()> {
        self.pending.apply(&mut self.pages, &mut self.trees, self.scout.as_ref())
    }

    /// An operation that is about more than a key.
    fn apply_wide(&mut self, op: &Op<'_>) -> Result<()> {
        self.flush()?;
        match *op {
            Op::DeleteRange { tree, from, to } => {
                self.trees.get(&self.pages, tree)?.remove_range(&mut self.pages, from, to)?;
            }
            Op::CreateTree { tree, name } => {
                self.trees.admit(&self.pages, tree, name)?;
                let empty = Tree::empty(tree);
                self.trees.catalog.set(&mut self.pages, name, &empty)?;
                self.trees.open.push((name.to_owned(), empty));
            }
            Op::DropTree { tree, name } => {
                let index = self.trees.index(&self.pages, tree)?;
                if self.trees.open[index].0 != name {
                    return Err(Error::BadRecord(format!("{tree} is not called {name:?}")));
                }
                self.trees.open[index].1.clear(&mut self.pages)?;
                self.trees.open.swap_remove(index);
                self.trees.catalog.remove(&mut self.pages, name)?;
            }
            _ => return Err(Error::BadRecord(format!("{op:?} stands where it cannot"))),
        }
        Ok(())
    }

    /// A value that is too long for memory goes into its pages as it is read.
    fn put_long<R: Read>(
        &mut self,
        ops: &mut OpReader<R>,
        tree: TreeId,
        key: &[u8],
        value_len: u64,
    ) -> Result<()> {
        // An earlier change of the key must not come after this one.
        self.flush()?;
        let run = read_run(&mut self.pages, ops, value_len)?;
        self.trees.get(&self.pages, tree)?.insert(&mut self.pages, key, NewValue::Run(run))?;
        Ok(())
    }

    /// Ends the replay: its state is the newest one, and visible.
    pub(crate) fn finish(mut self, pager: &Pager) -> Result<()> {
        self.flush()?;
        for (name, tree) in &self.trees.open {
            self.trees.catalog.set(&mut self.pages, name, tree)?;
        }
        self.last.roots = self.trees.catalog.encode();
        self.last.check_room()?;
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

/// What a copy says, apart from the reader of the record.
struct Copied {
    from: (TreeId, Vec<u8>),
    to: (TreeId, Vec<u8>),
    cut: u64,
    tail: Vec<u8>,
}

impl Copied {
    fn missing(&self) -> Error {
        Error::BadRecord(format!("{} has no key {} to copy from", self.from.0, self.from.1.escape_ascii()))
    }

    fn too_short(&self) -> Error {
        Error::BadRecord(format!("{} bytes are to be cut off a shorter value", self.cut))
    }
}

/// Longer values than this are not gathered in memory.
const LONG_BYTES_MIN: u64 = 256 << 10;

fn read_run<R: Read>(pages: &mut PageTxn, ops: &mut OpReader<R>, len: u64) -> Result<RunRef> {
    let mut chunk = vec![0; 256 << 10];
    let mut writer = pages.begin_run(len)?;
    loop {
        match ops.read_value(&mut chunk)? {
            0 => return Ok(pages.finish_run(writer)?),
            got => pages.append_run(&mut writer, &chunk[..got])?,
        }
    }
}
