//! Files that somebody made by hand: taken from sound stores, changed where it hurts, with every checksum made right
//! again, so that nothing but what the bytes mean is left to tell that they are wrong.
//!
//! ```text
//!   sound store ---> edits of fields: headers, slots, children, runs, tree records, map, meta pages, batches, records
//!                      |
//!                      +--> sealed: runs, nodes, meta pages, segments, batches ---> examined
//! ```
//!
//! What is examined: every call ends, with an answer or an error, in bounded memory and a bounded number of steps; and a
//! store that `check` calls sound is one, by everything that does not need a checksum: keys ascend, both ways agree,
//! every key is found, counts are right, a copy holds the same, and so does the store after it was written, closed and
//! opened again. What salvage saves is sound, whatever it was given, and it changes nothing of it.
//!
//! Where the choices come from is left to the caller: a seed in tests, the bytes of a fuzzer in `fuzz/`.

mod area;
mod edits;
mod examine;
mod log_edits;
mod rows;
mod sample;
mod seal;

use std::fmt;

use llmdb_vfs::crash::Chooser;

/// Where choices come from.
pub trait Source {
    /// A number below `limit`; 0 if that is 0.
    fn below(&mut self, limit: u64) -> u64;
}

impl Source for Chooser {
    fn below(&mut self, limit: u64) -> u64 {
        Self::below(self, limit)
    }
}

/// Bytes as a source: a few of them for each choice, and nothing but zeros behind their end.
#[derive(Debug)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Source for Bytes<'_> {
    fn below(&mut self, limit: u64) -> u64 {
        let wanted = match limit {
            0..=1 => return 0,
            2..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            0x1_0001..=0x1_0000_0000 => 4,
            _ => 8,
        };
        let (taken, left) = self.0.split_at(self.0.len().min(wanted));
        self.0 = left;
        let mut raw = [0; 8];
        raw[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(raw) % limit
    }
}

/// What became of a crafted store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It does not open.
    Refused,
    /// It opens, and says itself that it is damaged.
    Damaged,
    /// It opens, and is sound by all that was asked.
    Sound,
    /// It was about what processes share.
    Shared,
}

/// What was done to the files; printed if the examination panics.
#[derive(Default)]
pub(crate) struct Notes(Vec<String>);

impl Notes {
    fn add(&mut self, what: impl fmt::Display) {
        self.0.push(what.to_string());
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("crafted:\n  {}", self.0.join("\n  "));
        }
    }
}

/// Crafts a store by the choices of `source`, and examines it.
///
/// # Panics
/// At a finding. What was crafted is printed to stderr.
pub fn run(source: &mut dyn Source) -> Outcome {
    let mut notes = Notes::default();
    if source.below(16) == 15 {
        area::run(source, &mut notes);
        return Outcome::Shared;
    }
    let sample = sample::pick(source);
    let mut files = sample.files.clone();
    let touched = edits::apply(source, sample, &mut files, &mut notes);
    examine::examine(source, &files, touched, &mut notes)
}

/// A number that is likely to be wrong in an interesting way, in the place of `old`, for a field of `bits` bits.
fn wrong(source: &mut dyn Source, old: u64, bits: u32) -> u64 {
    let max = u64::MAX >> (64 - bits);
    let value = match source.below(10) {
        0 => 0,
        1 => 1,
        2 => old.wrapping_add(1),
        3 => old.wrapping_sub(1),
        4 => max,
        5 => old ^ 1 << source.below(u64::from(bits)),
        6 => source.below(300),
        7 => max.saturating_sub(source.below(300)),
        // Where the documents let counting end.
        8 => (1 << 60) - source.below(300),
        _ => source.below(u64::MAX),
    };
    value & max
}
