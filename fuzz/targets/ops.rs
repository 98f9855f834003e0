//! Arbitrary calls and power failures against a model.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: llmdb_fuzz::ops::Input| llmdb_fuzz::ops::run(&input));
