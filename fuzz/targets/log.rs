//! A log with arbitrary segment files.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: llmdb_fuzz::log::Input<'_>| llmdb_fuzz::log::run(&input));
