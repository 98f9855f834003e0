//! What the fuzz targets do with their inputs: one module per target, with a type that arbitrary bytes are decoded
//! to and a function that runs it and panics at a finding. The same functions run over the stored corpus as tests.
//!
//! Knows the rooms by their public calls alone.
#![forbid(unsafe_code)]

pub mod crafted;
mod disk;
pub mod log;
pub mod meta;
pub mod open;
pub mod ops;
pub mod page;

#[cfg(test)]
mod tests;
