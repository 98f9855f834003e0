//! What a record of the log says: the operations of one transaction, in the order they were made.
//!
//! The bytes are described in `docs/format/record.md`. A record is a sequence of operations, each a header of 16
//! bytes followed by a key and a value:
//!
//! ```text
//! offset size name
//!      0    1 op         see [`Op`]
//!      1    1 flags      bounds of a range (bits 0-1 lower, 2-3 upper: 0 open, 1 included, 2 excluded); else zero
//!      2    2 key_len
//!      4    4 tree       tree id, or the index of a savepoint
//!      8    8 value_len  or the number that the operation carries
//! ```

use std::{io::Read, ops::Bound};

use llmdb_base::{Timestamp, TreeId, TxnId, VALUE_LEN_MAX, codec};

use crate::{Error, Result};

/// Length of the header of an operation in bytes.
pub const OP_HEADER_LEN: usize = 16;

const KEY_LEN: usize = 2;
const TREE: usize = 4;
const VALUE_LEN: usize = 8;

/// What an operation does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum OpCode {
    Begin = 1,
    Commit = 2,
    Put = 3,
    Delete = 4,
    DeleteRange = 5,
    CreateTree = 6,
    DropTree = 7,
    Savepoint = 8,
    Rollback = 9,
    Copy = 10,
}

impl OpCode {
    fn decode(raw: u8) -> Option<Self> {
        use OpCode::*;
        [Begin, Commit, Put, Delete, DeleteRange, CreateTree, DropTree, Savepoint, Rollback, Copy]
            .into_iter()
            .find(|code| *code as u8 == raw)
    }
}

/// An operation, its key and value borrowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op<'a> {
    /// Opens a record: the transaction's id.
    Begin(TxnId),
    /// Closes a record: when it was committed.
    Commit(Timestamp),
    /// Sets a key. The value follows the key; its bytes are appended and read apart.
    Put {
        /// The tree.
        tree: TreeId,
        /// The key.
        key: &'a [u8],
        /// Length of the value in bytes.
        value_len: u64,
    },
    /// Sets a key to what another one has, with another end.
    Copy {
        /// The tree of the other one.
        tree: TreeId,
        /// The other one.
        key: &'a [u8],
        /// Which key gets what of it.
        args: CopyArgs<'a>,
    },
    /// Removes a key.
    Delete {
        /// The tree.
        tree: TreeId,
        /// The key.
        key: &'a [u8],
    },
    /// Removes all keys between two bounds.
    DeleteRange {
        /// The tree.
        tree: TreeId,
        /// Lower bound.
        from: Bound<&'a [u8]>,
        /// Upper bound.
        to: Bound<&'a [u8]>,
    },
    /// Makes a named tree.
    CreateTree {
        /// Its id.
        tree: TreeId,
        /// Its name.
        name: &'a str,
    },
    /// Drops a tree with everything in it.
    DropTree {
        /// Its id.
        tree: TreeId,
        /// Its name.
        name: &'a str,
    },
    /// Remembers the state, as the savepoint of this index.
    Savepoint(u32),
    /// Goes back to the savepoint of this index.
    Rollback(u32),
}

const TO_TREE: usize = 0;
const CUT: usize = TO_TREE + 4;
const PREFIX_LEN: usize = CUT + 4;
const SHARED_LEN: usize = PREFIX_LEN + 2;
const SUFFIX_LEN: usize = SHARED_LEN + 2;
const ARGS_LEN: usize = SUFFIX_LEN + 2;
/// Longest end that a copy gets.
pub const TAIL_LEN_MAX: usize = 1024;
/// In front of what both keys share there are at most so many bytes in the new one.
const PREFIX_LEN_MAX: usize = 8;

/// Where a copy goes, and how it differs.
///
/// ```text
///   new key     prefix, the first bytes of the old key, suffix
///   new value   the old one without its last `cut` bytes, then the tail
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CopyArgs<'a>(&'a [u8]);

impl<'a> CopyArgs<'a> {
    /// Those that make `to` of `key`, as short as they can be, in `buffer`. The caller has checked the lengths.
    #[expect(clippy::cast_possible_truncation, reason = "keys are checked against their far smaller limit")]
    pub fn encode(
        buffer: &'a mut Vec<u8>,
        key: &[u8],
        (to_tree, to): (TreeId, &[u8]),
        cut: u32,
        tail: &[u8],
    ) -> Self {
        let shared_behind = |prefix: usize| {
            let rest = to.get(prefix..).unwrap_or_default();
            rest.iter().zip(key).take_while(|(one, other)| one == other).count()
        };
        let longest = (0..=PREFIX_LEN_MAX.min(to.len()))
            .max_by_key(|prefix| (shared_behind(*prefix), PREFIX_LEN_MAX - prefix));
        let prefix_len = longest.unwrap_or(0);
        let shared_len = shared_behind(prefix_len);
        let (prefix, rest) = to.split_at(prefix_len);
        let suffix = &rest[shared_len..];
        buffer.clear();
        buffer.resize(ARGS_LEN, 0);
        codec::put_u32(buffer, TO_TREE, to_tree.get());
        codec::put_u32(buffer, CUT, cut);
        codec::put_u16(buffer, PREFIX_LEN, prefix_len as u16);
        codec::put_u16(buffer, SHARED_LEN, shared_len as u16);
        codec::put_u16(buffer, SUFFIX_LEN, suffix.len() as u16);
        for part in [prefix, suffix, tail] {
            buffer.extend_from_slice(part);
        }
        Self(buffer)
    }

    fn decode(bytes: &'a [u8], key: &[u8]) -> Result<Self> {
        let args = Self(bytes);
        let is_sound = bytes.len() >= ARGS_LEN
            && args.shared_len() <= key.len()
            && bytes.len() >= ARGS_LEN + args.prefix_len() + args.suffix_len()
            && args.prefix_len() + args.shared_len() + args.suffix_len() <= llmdb_btree::KEY_LEN_MAX;
        if is_sound { Ok(args) } else { Err(Error::BadRecord("a copy that says no key".into())) }
    }

    fn prefix_len(self) -> usize {
        codec::get_u16(self.0, PREFIX_LEN).into()
    }

    fn shared_len(self) -> usize {
        codec::get_u16(self.0, SHARED_LEN).into()
    }

    fn suffix_len(self) -> usize {
        codec::get_u16(self.0, SUFFIX_LEN).into()
    }

    /// The tree that gets the copy.
    pub fn to_tree(self) -> TreeId {
        TreeId::new(codec::get_u32(self.0, TO_TREE))
    }

    /// The key that gets it, if the other one is `key`.
    pub fn to_key(self, key: &[u8]) -> Vec<u8> {
        let (prefix, rest) = self.0[ARGS_LEN..].split_at(self.prefix_len());
        [prefix, &key[..self.shared_len()], &rest[..self.suffix_len()]].concat()
    }

    /// Bytes at the end of the value that the copy does not have.
    pub fn cut(self) -> u64 {
        codec::get_u32(self.0, CUT).into()
    }

    /// Bytes that it has instead.
    pub fn tail(self) -> &'a [u8] {
        &self.0[ARGS_LEN + self.prefix_len() + self.suffix_len()..]
    }

    /// Bytes that the operation takes in the log, with a key of `key_len` bytes.
    pub fn op_len(self, key_len: usize) -> usize {
        OP_HEADER_LEN + key_len + self.0.len()
    }
}

/// Header of `op`, and the bytes that follow it (a put's value follows those).
pub fn encode<'a>(op: &Op<'a>) -> ([u8; OP_HEADER_LEN], &'a [u8], &'a [u8]) {
    let none: &[u8] = &[];
    match *op {
        Op::Begin(txid) => (header(OpCode::Begin, 0, 0, 0, txid.get()), none, none),
        Op::Commit(at) => (header(OpCode::Commit, 0, 0, 0, at.get().cast_unsigned()), none, none),
        Op::Put { tree, key, value_len } => {
            (header(OpCode::Put, 0, key.len(), tree.get(), value_len), key, none)
        }
        Op::Copy { tree, key, args } => {
            (header(OpCode::Copy, 0, key.len(), tree.get(), args.0.len() as u64), key, args.0)
        }
        Op::Delete { tree, key } => (header(OpCode::Delete, 0, key.len(), tree.get(), 0), key, none),
        Op::DeleteRange { tree, from, to } => {
            let ((from_kind, from), (to_kind, to)) = (bound_parts(from), bound_parts(to));
            let flags = from_kind | to_kind << 2;
            (header(OpCode::DeleteRange, flags, from.len(), tree.get(), to.len() as u64), from, to)
        }
        Op::CreateTree { tree, name } => {
            (header(OpCode::CreateTree, 0, name.len(), tree.get(), 0), name.as_bytes(), none)
        }
        Op::DropTree { tree, name } => {
            (header(OpCode::DropTree, 0, name.len(), tree.get(), 0), name.as_bytes(), none)
        }
        Op::Savepoint(index) => (header(OpCode::Savepoint, 0, 0, index, 0), none, none),
        Op::Rollback(index) => (header(OpCode::Rollback, 0, 0, index, 0), none, none),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "keys and names are checked against their far smaller limits"
)]
fn header(code: OpCode, flags: u8, key_len: usize, tree: u32, value_len: u64) -> [u8; OP_HEADER_LEN] {
    let mut bytes = [0; OP_HEADER_LEN];
    bytes[0] = code as u8;
    bytes[1] = flags;
    codec::put_u16(&mut bytes, KEY_LEN, key_len as u16);
    codec::put_u32(&mut bytes, TREE, tree);
    codec::put_u64(&mut bytes, VALUE_LEN, value_len);
    bytes
}

fn bound_parts(bound: Bound<&[u8]>) -> (u8, &[u8]) {
    match bound {
        Bound::Unbounded => (0, &[]),
        Bound::Included(key) => (1, key),
        Bound::Excluded(key) => (2, key),
    }
}

fn bound(kind: u8, key: &[u8]) -> Result<Bound<&[u8]>> {
    match kind {
        0 if key.is_empty() => Ok(Bound::Unbounded),
        1 => Ok(Bound::Included(key)),
        2 => Ok(Bound::Excluded(key)),
        _ => Err(Error::BadRecord(format!("range bound of kind {kind} with {} bytes", key.len()))),
    }
}

/// Reads the operations of a record one after the other, in memory bounded by the longest key.
#[derive(Debug)]
pub struct OpReader<R> {
    source: Counted<R>,
    key: Vec<u8>,
    end_key: Vec<u8>,
    value_left: u64,
}

impl<R: Read> OpReader<R> {
    /// Reads from the start of a record of any length.
    pub fn new(source: R) -> Self {
        Self::of_len(source, u64::MAX)
    }

    /// Reads from the start of a record of `len` bytes: a value that claims more is refused before any of it is read.
    pub fn of_len(source: R, len: u64) -> Self {
        let source = Counted { source, left: len };
        Self { source, key: Vec::new(), end_key: Vec::new(), value_left: 0 }
    }

    /// The next operation, `None` at the end of the record. Skips what is left of the last put's value.
    ///
    /// # Errors
    /// [`Error::BadRecord`] if the bytes are no operation; an I/O error of the source.
    pub fn next_op(&mut self) -> Result<Option<Op<'_>>> {
        self.skip_value()?;
        let mut header = [0; OP_HEADER_LEN];
        let got = read_up_to(&mut self.source, &mut header)?;
        if got == 0 {
            return Ok(None);
        }
        if got < OP_HEADER_LEN {
            return Err(Error::BadRecord(format!("it ends {got} bytes into the header of an operation")));
        }
        self.decode(&header).map(Some)
    }

    /// Reads bytes of the value of the put that [`OpReader::next_op`] returned last; 0 at its end.
    ///
    /// # Errors
    /// As [`OpReader::next_op`].
    pub fn read_value(&mut self, buf: &mut [u8]) -> Result<usize> {
        let want = usize::try_from(self.value_left).unwrap_or(usize::MAX).min(buf.len());
        let got = read_up_to(&mut self.source, &mut buf[..want])?;
        if got < want {
            return Err(Error::BadRecord(format!("it ends {} bytes before its value does", want - got)));
        }
        self.value_left -= got as u64;
        Ok(got)
    }

    fn skip_value(&mut self) -> Result<()> {
        let mut scratch = [0; 4096];
        while self.read_value(&mut scratch)? > 0 {}
        Ok(())
    }

    fn decode(&mut self, header: &[u8; OP_HEADER_LEN]) -> Result<Op<'_>> {
        let Some(code) = OpCode::decode(header[0]) else {
            return Err(Error::BadRecord(format!("operation {} is not known", header[0])));
        };
        let flags = header[1];
        if flags != 0 && (code != OpCode::DeleteRange || flags >> 4 != 0) {
            return Err(Error::BadRecord(format!("{code:?} with flags {flags:#x}")));
        }
        let raw_tree = codec::get_u32(header, TREE);
        let tree = TreeId::new(raw_tree);
        let value_len = codec::get_u64(header, VALUE_LEN);
        fill(&mut self.source, &mut self.key, u64::from(codec::get_u16(header, KEY_LEN)))?;
        let key = self.key.as_slice();
        Ok(match code {
            OpCode::Begin => Op::Begin(TxnId::new(value_len)),
            OpCode::Commit => Op::Commit(Timestamp::new(value_len.cast_signed())),
            OpCode::Put => {
                let left = self.source.left;
                if value_len > VALUE_LEN_MAX.min(left) {
                    return Err(Error::BadRecord(format!(
                        "a value of {value_len} bytes, and {left} are left"
                    )));
                }
                self.value_left = value_len;
                Op::Put { tree, key, value_len }
            }
            OpCode::Copy => {
                fill(&mut self.source, &mut self.end_key, value_len)?;
                Op::Copy { tree, key, args: CopyArgs::decode(&self.end_key, key)? }
            }
            OpCode::Delete => Op::Delete { tree, key },
            OpCode::DeleteRange => {
                fill(&mut self.source, &mut self.end_key, value_len)?;
                Op::DeleteRange { tree, from: bound(flags & 3, key)?, to: bound(flags >> 2, &self.end_key)? }
            }
            OpCode::CreateTree => Op::CreateTree { tree, name: name(key)? },
            OpCode::DropTree => Op::DropTree { tree, name: name(key)? },
            OpCode::Savepoint => Op::Savepoint(raw_tree),
            OpCode::Rollback => Op::Rollback(raw_tree),
        })
    }
}

/// Knows how much is left.
#[derive(Debug)]
struct Counted<R> {
    source: R,
    left: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let count = self.source.read(buf)?;
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

fn name(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| Error::BadRecord("the name of a tree is not UTF-8".into()))
}

fn fill(source: &mut impl Read, buf: &mut Vec<u8>, len: u64) -> Result<()> {
    let len = usize::try_from(len).ok().filter(|len| *len <= usize::from(u16::MAX));
    let Some(len) = len else { return Err(Error::BadRecord("a bound longer than any key".into())) };
    buf.resize(len, 0);
    if read_up_to(source, buf)? < len {
        return Err(Error::BadRecord("it ends inside a key".into()));
    }
    Ok(())
}

fn read_up_to(source: &mut impl Read, buf: &mut [u8]) -> Result<usize> {
    let mut got = 0;
    while got < buf.len() {
        match source.read(&mut buf[got..]) {
            Ok(0) => break,
            Ok(count) => got += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read the log", error)),
        }
    }
    Ok(got)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(ops: &[Op<'_>]) -> Vec<u8> {
        ops.iter()
            .flat_map(|op| {
                let (header, key, end) = encode(op);
                [&header[..], key, end].concat()
            })
            .collect()
    }

    #[test]
    fn every_op_comes_back() {
        let tree = TreeId::new(7);
        let mut buffer = Vec::new();
        let args = CopyArgs::encode(&mut buffer, b"row\0", (TreeId::new(9), b"\0\x01row\x01x"), 3, b"tail");
        let ops = [
            Op::Begin(TxnId::new(9021)),
            Op::CreateTree { tree, name: "facts" },
            Op::Put { tree, key: b"empty", value_len: 0 },
            Op::Savepoint(0),
            Op::Delete { tree, key: b"k" },
            Op::DeleteRange { tree, from: Bound::Included(b""), to: Bound::Excluded(b"zz") },
            Op::DeleteRange { tree, from: Bound::Unbounded, to: Bound::Unbounded },
            Op::Rollback(0),
            Op::Copy { tree, key: b"row\0", args },
            Op::DropTree { tree, name: "facts" },
            Op::Commit(Timestamp::new(-5)),
        ];
        let stored = bytes(&ops);
        let mut reader = OpReader::new(stored.as_slice());
        for op in &ops {
            assert_eq!(reader.next_op().unwrap().as_ref(), Some(op));
        }
        assert_eq!(reader.next_op().unwrap(), None);
    }

    #[test]
    fn a_value_is_no_longer_than_what_is_left_of_its_record() {
        let stored =
            [bytes(&[Op::Put { tree: TreeId::new(2), key: b"ab", value_len: 3 }]), vec![7; 3]].concat();
        let len = stored.len() as u64;
        assert!(OpReader::of_len(stored.as_slice(), len).next_op().is_ok());
        let short = OpReader::of_len(stored.as_slice(), len - 1).next_op().unwrap_err();
        assert!(short.to_string().contains("a value of 3 bytes, and 2 are left"), "{short}");
    }

    #[test]
    fn put_matches_annotated_bytes() {
        let stored = bytes(&[Op::Put { tree: TreeId::new(2), key: b"ab", value_len: 3 }]);
        #[rustfmt::skip]
        assert_eq!(stored, [
            3, 0, 2, 0,             // put, flags, key_len
            2, 0, 0, 0,             // tree
            3, 0, 0, 0, 0, 0, 0, 0, // value_len
            b'a', b'b',
        ]);
    }

    #[test]
    fn copy_matches_annotated_bytes_and_the_example_of_the_documentation() {
        let mut buffer = Vec::new();
        let args = CopyArgs::encode(&mut buffer, b"ada\0", (TreeId::new(3), b"\x01adaXY"), 9, b"T");
        assert_eq!(args.to_key(b"ada\0"), b"\x01adaXY");
        assert_eq!((args.to_tree(), args.cut(), args.tail()), (TreeId::new(3), 9, &b"T"[..]));
        let stored = bytes(&[Op::Copy { tree: TreeId::new(2), key: b"ada\0", args }]);
        #[rustfmt::skip]
        assert_eq!(stored, [
            10, 0, 4, 0,             // copy, flags, key_len
            2, 0, 0, 0,              // tree of the other key
            18, 0, 0, 0, 0, 0, 0, 0, // bytes behind it
            b'a', b'd', b'a', 0,
            3, 0, 0, 0,              // tree that gets the copy
            9, 0, 0, 0,              // cut
            1, 0, 3, 0, 2, 0,        // prefix, shared, suffix
            1, b'X', b'Y', b'T',
        ]);
        let page = include_str!("../../docs/format/record.md");
        let (_, example) = page.rsplit_once("```\n0A").expect("the example of a copy");
        let example = format!("0A{}", example.split("```").next().unwrap_or_default());
        let hex: Vec<&str> = example.lines().map(|line| line.get(..27).unwrap_or(line)).collect();
        let byte = |byte| u8::from_str_radix(byte, 16).expect("hexadecimal bytes");
        let shown: Vec<u8> = hex.iter().flat_map(|line| line.split_whitespace()).map(byte).collect();
        assert_eq!(stored, shown);
    }

    #[test]
    fn unread_values_are_skipped() {
        let mut stored = bytes(&[Op::Put { tree: TreeId::new(1), key: b"k", value_len: 3 }]);
        stored.extend(b"abc");
        stored.extend(bytes(&[Op::Commit(Timestamp::new(1))]));
        let mut reader = OpReader::new(stored.as_slice());
        assert!(matches!(reader.next_op().unwrap(), Some(Op::Put { .. })));
        assert_eq!(reader.next_op().unwrap(), Some(Op::Commit(Timestamp::new(1))));
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_an_answer_or_an_error() {
        let tree = TreeId::new(1);
        let mut stored = bytes(&[Op::Begin(TxnId::new(1)), Op::Put { tree, key: b"key", value_len: 5 }]);
        stored.extend(b"value");
        stored.extend(bytes(&[Op::DeleteRange {
            tree,
            from: Bound::Included(b"a"),
            to: Bound::Excluded(b"b"),
        }]));
        let mut buffer = Vec::new();
        let args = CopyArgs::encode(&mut buffer, b"key", (tree, b"xkeyy"), 1, b"t");
        stored.extend(bytes(&[Op::Copy { tree, key: b"key", args }]));
        let drain = |bytes: &[u8]| {
            let mut reader = OpReader::new(bytes);
            while let Ok(Some(op)) = reader.next_op() {
                if let Op::Copy { key, args, .. } = op {
                    let _ = (args.to_key(key), args.tail());
                }
            }
        };
        for index in 0..stored.len() {
            drain(&stored[..index]);
            for flip in [1, 0x80, 0xFF] {
                let mut changed = stored.clone();
                changed[index] ^= flip;
                drain(&changed);
            }
        }
    }
}
