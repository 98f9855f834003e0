//! A whole store with arbitrary damage.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: llmdb_fuzz::open::Input<'_>| llmdb_fuzz::open::run(&input));
