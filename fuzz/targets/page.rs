//! Trees over pages of arbitrary bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: llmdb_fuzz::page::Input<'_>| llmdb_fuzz::page::run(&input));
