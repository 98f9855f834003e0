//! Values: inside the cell while the cell is at most half a page, in a run of pages of their own otherwise.

use llmdb_base::{Epoch, PageResult, Pgno, RunRef, VALUE_LEN_MAX, WritePages, codec};

use crate::{
    TreeError, TreeResult,
    node::{CELL_LEN_MAX, Form},
};

/// Bytes of a stored [`RunRef`].
pub const RUN_REF_LEN: usize = 32;
const FIRST: usize = 0;
const LEN: usize = FIRST + 8;
const BIRTH: usize = LEN + 8;
pub(crate) const CHECKSUM: usize = BIRTH + 8;
const RESERVED: usize = CHECKSUM + 4;
const _: () = assert!(RESERVED + 4 == RUN_REF_LEN);

/// A stored value, as the tree hands it out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value<'p> {
    /// The value itself, in the page.
    Inline(&'p [u8]),
    /// Where the value is: read it through [`llmdb_base::ReadPages::run`] or in parts.
    Run(RunRef),
}

impl Value<'_> {
    /// Length of the value in bytes. Free: the run is not read.
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Run(run) => run.len,
        }
    }

    /// Whether the value has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A value to be stored.
#[derive(Clone, Copy, Debug)]
pub enum NewValue<'a> {
    /// The value itself. The tree puts it out of line if it is too long for the cell, see [`is_inline`].
    Bytes(&'a [u8]),
    /// A run that the caller has finished; from now on it belongs to the tree, which frees it when the value goes.
    /// This is the way to stream a value in without holding it in memory.
    Run(RunRef),
}

/// Whether a value of `value_len` bytes stands in the page beside a key of `key_len` bytes: key and value are
/// together at most 2010 bytes, so that two cells always fit a page.
pub const fn is_inline(key_len: usize, value_len: u64) -> bool {
    key_len as u64 + value_len <= CELL_LEN_MAX as u64
}

/// What a cell holds behind its key: the value, or a stored run reference.
pub(crate) enum Payload<'a> {
    Inline(&'a [u8]),
    Run([u8; RUN_REF_LEN]),
}

impl<'a> Payload<'a> {
    /// The payload for `value` beside a key of `key_len` bytes; a long value is written out of line.
    pub(crate) fn prepare<P: WritePages>(
        pages: &mut P,
        key_len: usize,
        value: NewValue<'a>,
    ) -> TreeResult<Self> {
        let run = match value {
            NewValue::Run(run) => run,
            NewValue::Bytes(bytes) if is_inline(key_len, bytes.len() as u64) => {
                return Ok(Self::Inline(bytes));
            }
            NewValue::Bytes(bytes) => write_run(pages, bytes)?,
        };
        Ok(Self::Run(encode_run(&run)))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Inline(bytes) => bytes,
            Self::Run(bytes) => bytes,
        }
    }

    pub(crate) fn form(&self) -> Form {
        match self {
            Self::Inline(_) => Form::Inline,
            Self::Run(_) => Form::Run,
        }
    }
}

fn write_run<P: WritePages>(pages: &mut P, bytes: &[u8]) -> TreeResult<RunRef> {
    let len = bytes.len() as u64;
    if len > VALUE_LEN_MAX {
        return Err(TreeError::ValueTooLong { len });
    }
    let mut writer = pages.begin_run(len)?;
    if let Err(error) = pages.append_run(&mut writer, bytes) {
        // The first error is the one to tell; the transaction is aborted either way.
        let _ = pages.abandon_run(writer);
        return Err(error.into());
    }
    Ok(pages.finish_run(writer)?)
}

/// Bytes of a run copied at a time.
const COPY_BYTES: u64 = 256 << 10;

/// The first `kept` bytes of a run, and `tail`, as a new run. In bounded memory.
///
/// # Errors
/// Corruption that names the page of the run; no space; I/O: the transaction must be aborted.
pub fn copy_run<P: WritePages>(pages: &mut P, run: &RunRef, kept: u64, tail: &[u8]) -> PageResult<RunRef> {
    // A damaged page may name a run that is not there, of any length: no room is made for such.
    pages.run_part(run, 0, 0)?;
    let mut writer = pages.begin_run(kept + tail.len() as u64)?;
    while writer.written < kept {
        let len = usize::try_from(COPY_BYTES.min(kept - writer.written)).expect("at most 256 KiB");
        let copied = pages.run_part(run, writer.written, len).map(<[u8]>::to_vec);
        let appended = copied.and_then(|bytes| pages.append_run(&mut writer, &bytes));
        if let Err(error) = appended {
            // The first error is the one to tell; the transaction is aborted either way.
            let _ = pages.abandon_run(writer);
            return Err(error);
        }
    }
    if !tail.is_empty() {
        pages.append_run(&mut writer, tail)?;
    }
    pages.finish_run(writer)
}

/// Frees the run that was stored as `old`, if it was one.
pub(crate) fn free_run<P: WritePages>(pages: &mut P, old: Option<RunRef>) -> PageResult<()> {
    old.map_or(Ok(()), |run| pages.free_run(&run))
}

/// The stored form of `run`.
pub fn encode_run(run: &RunRef) -> [u8; RUN_REF_LEN] {
    let mut bytes = [0; RUN_REF_LEN];
    codec::put_u64(&mut bytes, FIRST, run.first.get());
    codec::put_u64(&mut bytes, LEN, run.len);
    codec::put_u64(&mut bytes, BIRTH, run.birth.get());
    codec::put_u32(&mut bytes, CHECKSUM, run.checksum);
    bytes
}

/// The run that `bytes` stand for; `None` if they stand for none.
pub fn decode_run(bytes: &[u8]) -> Option<RunRef> {
    let bytes: &[u8; RUN_REF_LEN] = bytes.try_into().ok()?;
    let run = RunRef {
        first: Pgno::new(codec::get_u64(bytes, FIRST)),
        len: codec::get_u64(bytes, LEN),
        birth: Epoch::new(codec::get_u64(bytes, BIRTH)),
        checksum: codec::get_u32(bytes, CHECKSUM),
    };
    let sound = run.first <= Pgno::MAX
        && (1..=VALUE_LEN_MAX).contains(&run.len)
        && codec::get_u32(bytes, RESERVED) == 0;
    sound.then_some(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_reference_matches_annotated_bytes() {
        let run = RunRef {
            first: Pgno::new(0x0102),
            len: 0x0304,
            birth: Epoch::new(0x0506),
            checksum: 0x0708_090A,
        };
        let bytes = encode_run(&run);
        #[rustfmt::skip]
        assert_eq!(bytes, [
            0x02, 0x01, 0, 0, 0, 0, 0, 0, // first
            0x04, 0x03, 0, 0, 0, 0, 0, 0, // len
            0x06, 0x05, 0, 0, 0, 0, 0, 0, // birth
            0x0A, 0x09, 0x08, 0x07,       // checksum
            0, 0, 0, 0,                   // reserved
        ]);
        assert_eq!(decode_run(&bytes), Some(run));
    }

    #[test]
    fn unsound_run_references_are_refused() {
        let run = RunRef { first: Pgno::new(1), len: 1, birth: Epoch::new(1), checksum: 0 };
        for (offset, byte) in [(LEN, 0), (LEN + 7, 1), (FIRST + 6, 1), (RESERVED, 1)] {
            let mut bytes = encode_run(&run);
            bytes[offset] = byte;
            assert_eq!(decode_run(&bytes), None, "byte {offset} = {byte}");
        }
        assert_eq!(decode_run(&[0; 31]), None);
    }
}
