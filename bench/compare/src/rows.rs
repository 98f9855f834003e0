//! Where engines put the rows they read: counts them, and reads as much of each value as the workload asks for.
//!
//! A concrete type, so that the call is compiled into each engine's loop and costs no indirect jump per row.

use std::hint::black_box;

use crate::data::{self, Dataset};

/// How much of a row is read.
#[derive(Clone, Copy)]
pub enum Depth<'a> {
    /// The first word of the value.
    Touch,
    /// Every byte of the value.
    Whole,
    /// Every byte of the value, compared with what the dataset says the key must hold in this version.
    Verify(&'a Dataset, u32),
}

/// A sink for rows.
pub struct Rows<'a> {
    depth: Depth<'a>,
    /// Rows seen.
    pub count: u64,
    /// Rows that did not hold what they must, or came out of order. Only counted by [`Depth::Verify`].
    pub wrong: u64,
    fold: u64,
    last_index: Option<u64>,
}

impl<'a> Rows<'a> {
    /// An empty sink.
    pub fn new(depth: Depth<'a>) -> Rows<'a> {
        Rows { depth, count: 0, wrong: 0, fold: 0, last_index: None }
    }

    /// Takes a row that a get found.
    #[inline(always)]
    pub fn value(&mut self, key: &[u8], value: &[u8]) {
        self.count += 1;
        match self.depth {
            Depth::Touch => self.fold ^= first_word(value),
            Depth::Whole => self.fold ^= every_word(value),
            Depth::Verify(dataset, version) => self.check(dataset, version, key, value),
        }
    }

    /// Takes the next row of a scan; [`Depth::Verify`] checks the order as well.
    #[inline(always)]
    pub fn row(&mut self, key: &[u8], value: &[u8]) {
        if let Depth::Verify(..) = self.depth {
            let index = data::index_of(key);
            self.wrong += u64::from(self.last_index.is_some_and(|last| index.is_none_or(|it| it <= last)));
            self.last_index = index;
        }
        self.value(key, value);
    }

    #[cold]
    fn check(&mut self, dataset: &Dataset, version: u32, key: &[u8], value: &[u8]) {
        let right = data::index_of(key).is_some_and(|index| dataset.value(index, version) == value);
        self.wrong += u64::from(!right);
    }
}

impl Drop for Rows<'_> {
    // The compiler must believe that somebody looks at what was read.
    fn drop(&mut self) {
        black_box(self.fold);
    }
}

#[inline(always)]
fn first_word(value: &[u8]) -> u64 {
    value.first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word))
}

/// Exclusive or of all words: vectorised by the compiler, so that memory and not arithmetic is the limit.
#[inline(always)]
pub fn every_word(value: &[u8]) -> u64 {
    let (words, rest) = value.as_chunks::<8>();
    let fold = words.iter().fold(0, |fold, word| fold ^ u64::from_le_bytes(*word));
    rest.iter().fold(fold, |fold, byte| fold ^ u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verify_sees_wrong_values_and_wrong_order() {
        let dataset = Dataset::new(256);
        let mut rows = Rows::new(Depth::Verify(&dataset, 0));
        rows.row(&data::key(1), dataset.value(1, 0));
        rows.row(&data::key(2), dataset.value(2, 0));
        assert_eq!((rows.count, rows.wrong), (2, 0));
        rows.row(&data::key(3), dataset.value(4, 0));
        assert_eq!(rows.wrong, 1);
        rows.row(&data::key(2), dataset.value(2, 0));
        assert_eq!(rows.wrong, 2);
        rows.value(b"foreign", b"");
        assert_eq!(rows.wrong, 3);
    }

    #[test]
    fn every_byte_counts() {
        assert_eq!(every_word(&[1, 0, 0, 0, 0, 0, 0, 0, 2]), 3);
    }
}
