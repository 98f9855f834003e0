//! Copying a value from one key to another without saying it again in the log.

use llmdb_base::{PAGE_SIZE, PageResult, ReadPages, VALUE_LEN_MAX};
use llmdb_btree::{KEY_LEN_MAX, NewValue, Tree, Value, copy_run};

use crate::{
    CONSUMERS_TREE, Error, Result, WriteTxn,
    record::{CopyArgs, OP_HEADER_LEN, Op, TAIL_LEN_MAX},
};

/// Longer values are copied in pieces of this length.
pub(crate) const PIECE_BYTES: u64 = 256 << 10;
const _: () = assert!(PIECE_BYTES.is_multiple_of(PAGE_SIZE as u64));

/// A key of a tree.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Name of the tree.
    pub tree: &'a str,
    /// The key.
    pub key: &'a [u8],
}

impl WriteTxn<'_> {
    /// Sets `to` to the value of `from`, without its last `cut` bytes, and with `tail` behind. `from` stays as it is.
    /// `false`, and nothing happens, if there is no such key. The tree of `to` is made if it does not exist.
    ///
    /// The log says where the value comes from, not what it is, where that is shorter; so does the change feed.
    /// Cost: reads the value and writes it, in bounded memory.
    ///
    /// # Errors
    /// [`Error::KeyTooLong`]; [`Error::Misuse`] if the value is shorter than `cut`, or `tail` longer than 1,024 bytes;
    /// [`Error::ValueTooLong`]: nothing happened. [`Error::NoSpace`], [`Error::Corruption`], [`Error::Io`]: abort.
    pub fn copy(&mut self, from: Place<'_>, to: Place<'_>, cut: u32, tail: &[u8]) -> Result<bool> {
        if to.key.len() > KEY_LEN_MAX {
            return Err(Error::KeyTooLong { len: to.key.len() });
        }
        if tail.len() > TAIL_LEN_MAX {
            return Err(Error::Misuse(format!("a tail of {} bytes; it may have {TAIL_LEN_MAX}", tail.len())));
        }
        let Some(source) = self.find(from.tree)? else { return Ok(false) };
        let (pages, tree) = self.view(source);
        let Some(found) = tree.get(pages, from.key)? else { return Ok(false) };
        let old_len = len_of(&found);
        let short =
            (old_len <= PIECE_BYTES).then(|| bytes_of(pages, &found).map(<[u8]>::to_vec)).transpose()?;
        ReadPages::check_intact(pages)?;
        let Some(kept) = old_len.checked_sub(u64::from(cut)) else {
            return Err(Error::Misuse(format!("{cut} bytes are to be cut off a value of {old_len}")));
        };
        let new_len = kept + tail.len() as u64;
        if new_len > VALUE_LEN_MAX {
            return Err(Error::ValueTooLong { len: new_len });
        }
        let source_tree = tree.id;
        let target = self.tree_index(to.tree)?;
        let target_tree = self.view(target).1.id;
        let mut buffer = Vec::new();
        let args = CopyArgs::encode(&mut buffer, from.key, (target_tree, to.key), cut, tail);
        self.change(|txn| {
            let Some(mut value) = short else {
                txn.log(&Op::Copy { tree: source_tree, key: from.key, args }, &[])?;
                let Value::Run(run) = found_again(txn, source, from.key)? else {
                    return Err(Error::Misuse("a long value became a short one while it was copied".into()));
                };
                let run = copy_run(txn.parts(target).0, &run, kept, tail)?;
                let (pages, tree) = txn.parts(target);
                tree.insert(pages, to.key, NewValue::Run(run))?;
                return Ok(true);
            };
            value.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
            value.extend_from_slice(tail);
            let put_len = OP_HEADER_LEN + to.key.len() + value.len();
            // The feed hides that tree: who follows it could not know what was copied.
            let is_hidden = from.tree == CONSUMERS_TREE;
            if !is_hidden && args.op_len(from.key.len()) < put_len {
                txn.log(&Op::Copy { tree: source_tree, key: from.key, args }, &[])?;
            } else {
                txn.log(&Op::Put { tree: target_tree, key: to.key, value_len: new_len }, &value)?;
            }
            txn.insert(target, to.key, NewValue::Bytes(&value))?;
            Ok(true)
        })
    }
}

/// The value of a key that was there a moment ago.
fn found_again<'t>(txn: &'t WriteTxn<'_>, index: usize, key: &[u8]) -> Result<Value<'t>> {
    let (pages, tree): (_, &Tree) = txn.view(index);
    tree.get(pages, key)?.ok_or_else(|| Error::Misuse("a value went away while it was copied".into()))
}

pub(crate) fn len_of(value: &Value<'_>) -> u64 {
    match value {
        Value::Inline(bytes) => bytes.len() as u64,
        Value::Run(run) => run.len,
    }
}

/// All of a value that is not long.
pub(crate) fn bytes_of<'p, P: ReadPages>(pages: &'p P, value: &Value<'p>) -> PageResult<&'p [u8]> {
    match value {
        Value::Inline(bytes) => Ok(bytes),
        Value::Run(run) => pages.run(run),
    }
}
