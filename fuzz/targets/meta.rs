//! A data file with arbitrary meta pages.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: llmdb_fuzz::meta::Input<'_>| llmdb_fuzz::meta::run(&input));
