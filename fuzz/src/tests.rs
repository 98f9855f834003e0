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

/// Every planted bug that a sequence of calls can show is shown by the stored corpus, or by arbitrary inputs.
#[test]
#[cfg(feature = "plant")]
fn ops_finds_planted_bugs() {
    use llmdb_base::plant::{Bug, plant};

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/ops");
    let mut inputs: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    inputs.extend((0..3_000).map(|seed| crate::disk::noise(seed, 400)));
    std::panic::set_hook(Box::new(|_| ()));
    // No page rots here, so that nobody misses a checksum.
    let missed = Bug::ALL.into_iter().filter(|bug| *bug != Bug::SkipChecksum).filter(|bug| {
        let shows = |bytes: &Vec<u8>| {
            let input = crate::ops::Input::arbitrary_take_rest(Unstructured::new(bytes));
            plant(Some(*bug));
            let run = std::panic::catch_unwind(|| input.map(|input| crate::ops::run(&input)));
            plant(None);
            run.is_err()
        };
        let first = inputs.iter().position(shows);
        eprintln!("{bug:?}: input {first:?} of {}", inputs.len());
        first.is_none()
    });
    assert_eq!(missed.collect::<Vec<_>>(), []);
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
