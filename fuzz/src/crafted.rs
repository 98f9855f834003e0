//! Stores made by hand, every checksum right: the bytes of an input are the choices of what is changed. What must hold
//! is told, and asked, in `llmdb_sim::crafted`, which the tests of the workspace run with choices from seeds.

use llmdb_sim::crafted::{self, Bytes};

/// Runs one input.
///
/// # Panics
/// At a finding.
pub fn run(choices: &[u8]) {
    crafted::run(&mut Bytes(choices));
}
