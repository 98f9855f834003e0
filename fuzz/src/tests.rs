//! The stored corpus, run once.

use std::path::Path;

use arbitrary::{Arbitrary, Unstructured};

/// Runs every file of the corpus of `target`, as libFuzzer does.
fn replay<'a, I: Arbitrary<'a>>(target: &str, files: &'a mut Vec<Vec<u8>>, run: fn(&I)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "the corpus of {target} is not there");
    files.extend(paths.iter().map(|path| std::fs::read(path).unwrap()));
    for (bytes, path) in files.iter().zip(paths) {
        println!("{}", path.display());
        if let Ok(input) = I::arbitrary_take_rest(Unstructured::new(bytes)) {
            run(&input);
        }
    }
}

#[test]
fn page() {
    replay("page", &mut Vec::new(), crate::page::run);
}

#[test]
fn meta() {
    replay("meta", &mut Vec::new(), crate::meta::run);
}

#[test]
fn log() {
    replay("log", &mut Vec::new(), crate::log::run);
}

#[test]
fn open() {
    replay("open", &mut Vec::new(), crate::open::run);
}

#[test]
fn ops() {
    replay("ops", &mut Vec::new(), crate::ops::run);
}
