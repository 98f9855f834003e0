//! What must be known of a transaction before its first operation is handed out.

use std::{collections::BTreeSet, io::Read, ops::Range};

use llmdb_base::{Timestamp, TreeId, TxnId};

use crate::{
    Error, Result,
    record::{Op, OpReader},
};

/// A transaction as a first look at its record shows it. Memory: a few bytes for each tree, and for each stretch of
/// operations that count.
#[derive(Debug)]
pub(super) struct Outline {
    pub txid: TxnId,
    pub timestamp: Timestamp,
    /// Operations that count, as ranges of their places in the record: what was rolled back is not among them, nor are
    /// those that say nothing about data.
    pub visible: Vec<Range<u64>>,
    /// Trees that operations name which count.
    pub trees: BTreeSet<TreeId>,
    /// Trees made and dropped, with their names, in order.
    pub named: Vec<(TreeId, String)>,
}

impl Outline {
    /// Reads the record once, skipping values.
    pub fn of(record: impl Read) -> Result<Self> {
        let mut ops = OpReader::new(record);
        let Some(Op::Begin(txid)) = ops.next_op()? else {
            return Err(Error::BadRecord("it does not begin with its transaction id".into()));
        };
        let (visible, trees, named) = (Vec::new(), BTreeSet::new(), Vec::new());
        let mut outline = Self { txid, timestamp: Timestamp::new(0), visible, trees, named };
        let mut savepoints: Vec<u64> = Vec::new();
        for index in 1.. {
            match ops.next_op()? {
                None => return Err(Error::BadRecord(format!("{txid} has no end"))),
                Some(Op::Commit(timestamp)) => {
                    outline.timestamp = timestamp;
                    break;
                }
                Some(Op::Savepoint(savepoint)) => {
                    savepoints.truncate(savepoint as usize);
                    savepoints.push(index);
                }
                Some(Op::Rollback(savepoint)) => {
                    let Some(back_to) = savepoints.get(savepoint as usize) else {
                        return Err(Error::BadRecord(format!(
                            "{txid} goes back to savepoint {savepoint}, which it has not"
                        )));
                    };
                    outline.forget_from(*back_to);
                    savepoints.truncate(savepoint as usize + 1);
                }
                Some(op) => outline.note(index, &op),
            }
        }
        Ok(outline)
    }

    /// Leaves out what was done to `trees`, going through the record again.
    pub fn hide(&mut self, trees: &[TreeId], record: impl Read) -> Result<()> {
        let mut ops = OpReader::new(record);
        let visible = std::mem::take(&mut self.visible);
        let mut ranges = visible.into_iter().peekable();
        for index in 0.. {
            let Some(op) = ops.next_op()? else { break };
            while ranges.next_if(|range| range.end <= index).is_some() {}
            let counts = ranges.peek().is_some_and(|range| range.contains(&index));
            if counts && tree_of(&op).is_some_and(|tree| !trees.contains(&tree)) {
                self.add(index);
            }
        }
        Ok(())
    }

    fn note(&mut self, index: u64, op: &Op<'_>) {
        if let Op::CreateTree { tree, name } | Op::DropTree { tree, name } = *op {
            self.named.push((tree, name.to_owned()));
        }
        if let Op::Copy { tree, .. } = *op {
            self.trees.insert(tree);
        }
        if let Some(tree) = tree_of(op) {
            self.trees.insert(tree);
            self.add(index);
        }
    }

    fn add(&mut self, index: u64) {
        match self.visible.last_mut() {
            Some(last) if last.end == index => last.end += 1,
            _ => self.visible.push(index..index + 1),
        }
    }

    /// Forgets the operations from `index` on.
    fn forget_from(&mut self, index: u64) {
        self.visible.retain(|range| range.start < index);
        if let Some(last) = self.visible.last_mut() {
            last.end = last.end.min(index);
        }
    }
}

/// The tree that an operation changes.
fn tree_of(op: &Op<'_>) -> Option<TreeId> {
    match *op {
        Op::CreateTree { tree, .. } | Op::DropTree { tree, .. } => Some(tree),
        Op::Put { tree, .. } | Op::Delete { tree, .. } | Op::DeleteRange { tree, .. } => Some(tree),
        Op::Copy { args, .. } => Some(args.to_tree()),
        Op::Begin(_) | Op::Commit(_) | Op::Savepoint(_) | Op::Rollback(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::encode;

    fn record(ops: &[Op<'_>]) -> Vec<u8> {
        let framed = [&[Op::Begin(TxnId::new(7))], ops, &[Op::Commit(Timestamp::new(9))]].concat();
        let bytes = framed.iter().flat_map(|op| {
            let (header, key, end) = encode(op);
            [&header[..], key, end].concat()
        });
        bytes.collect()
    }

    #[test]
    fn what_was_rolled_back_does_not_count() {
        let tree = TreeId::new(3);
        let delete = Op::Delete { tree, key: b"k" };
        let bytes = record(&[
            delete,           // 1
            Op::Savepoint(0), // 2
            delete,           // 3
            Op::Savepoint(1), // 4
            delete,           // 5
            Op::Rollback(1),  // 6
            delete,           // 7
            Op::Rollback(0),  // 8
            delete,           // 9
            delete,           // 10
        ]);
        let outline = Outline::of(bytes.as_slice()).unwrap();
        assert_eq!(outline.visible, [1..2, 9..11]);
        assert_eq!((outline.txid, outline.timestamp), (TxnId::new(7), Timestamp::new(9)));
        let inner =
            record(&[delete, Op::Savepoint(0), delete, Op::Savepoint(1), delete, Op::Rollback(1), delete]);
        assert_eq!(Outline::of(inner.as_slice()).unwrap().visible, [1..2, 3..4, 7..8]);
    }

    #[test]
    fn records_without_an_end_or_with_wrong_savepoints_are_refused() {
        let bytes = record(&[Op::Rollback(0)]);
        assert!(Outline::of(bytes.as_slice()).is_err());
        let bytes = record(&[]);
        assert!(Outline::of(&bytes[..bytes.len() - 16]).is_err());
        assert!(Outline::of(&bytes[16..]).is_err());
    }
}
