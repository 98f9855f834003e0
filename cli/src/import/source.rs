//! What every source of an import offers.

use std::path::PathBuf;

use crate::failure::Failure;

/// A place that rows come from, in an order that is the same every time.
pub trait Source {
    /// The next row.
    fn next(&mut self) -> Result<Next, Failure>;

    /// How far the source has been read: what [`super::Position`] keeps for resuming.
    fn place(&self) -> Place;

    /// Bytes to be read in all, as far as that is known; also what an earlier import read.
    fn total_bytes(&self) -> u64;

    /// Bytes read, also by an earlier import.
    fn done_bytes(&self) -> u64;
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    Row(Row),
    /// A line or a file that cannot be taken: where it is, and why.
    Bad(String),
    /// Something that is left out by rule, and is no mistake.
    LeftOut(String),
    End,
}

/// A row to be stored.
#[derive(Debug)]
pub struct Row {
    /// The tree, if the source says so.
    pub tree: Option<String>,
    pub key: Vec<u8>,
    pub value: Content,
}

/// The value of a row.
#[derive(Debug)]
pub enum Content {
    Bytes(Vec<u8>),
    /// A file that is streamed.
    File {
        path: PathBuf,
        len: u64,
    },
}

impl Content {
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }
}

/// A place in a source, behind the last row that was taken from it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// Byte offset in a file, or bytes of the files so far.
    pub offset: u64,
    /// Lines so far.
    pub line: u64,
    /// Records so far, where a record may have several lines.
    pub record: u64,
    /// The last file of a folder.
    pub last: Option<Vec<u8>>,
}

/// A row or line number as a key: zero-padded, so that the order of keys is the order of numbers.
pub fn number_key(number: u64) -> Vec<u8> {
    format!("{number:012}").into_bytes()
}
