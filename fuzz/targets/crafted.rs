//! Stores made by hand, every checksum right.
#![no_main]

libfuzzer_sys::fuzz_target!(|choices: &[u8]| llmdb_fuzz::crafted::run(choices));
