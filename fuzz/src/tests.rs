//! The stored corpus, run once.

use std::path::Path;

use arbitrary::{Arbitrary, Unstructured};

/// Names and bytes of the inputs stored for `target`.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let read = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    };
    let mut inputs: Vec<_> = entries.map(read).collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "the corpus of {target} is not there");
    inputs
}

/// Runs every stored input of `target`, as libFuzzer does.
fn replay<'a, I: Arbitrary<'a>>(inputs: &'a [(String, Vec<u8>)], run: fn(&I)) {
    for (name, bytes) in inputs {
        println!("{name}");
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

    let mut inputs = corpus("ops");
    inputs.extend((0..3_000).map(|seed| (format!("seed {seed}"), crate::disk::noise(seed, 400))));
    std::panic::set_hook(Box::new(|_| ()));
    // No page rots here, so that nobody misses a checksum; and nobody asks how long the file is.
    let shown = Bug::ALL.into_iter().filter(|bug| !matches!(bug, Bug::SkipChecksum | Bug::NeverReuse));
    let missed = shown.filter(|bug| {
        let shows = |(_, bytes): &&(String, Vec<u8>)| {
            let input = crate::ops::Input::arbitrary_take_rest(Unstructured::new(bytes));
            plant(Some(*bug));
            let run = std::panic::catch_unwind(|| input.map(|input| crate::ops::run(&input)));
            plant(None);
            run.is_err()
        };
        let first = inputs.iter().find(shows);
        eprintln!("{bug:?}: {}", first.map_or("not found", |(name, _)| name));
        first.is_none()
    });
    assert_eq!(missed.collect::<Vec<_>>(), []);
}

#[test]
fn page() {
    replay(&corpus("page"), crate::page::run);
}

#[test]
fn meta() {
    replay(&corpus("meta"), crate::meta::run);
}

#[test]
fn log() {
    replay(&corpus("log"), crate::log::run);
}

#[test]
fn open() {
    replay(&corpus("open"), crate::open::run);
}

#[test]
fn ops() {
    replay(&corpus("ops"), crate::ops::run);
}

#[test]
fn crafted() {
    for (name, bytes) in corpus("crafted") {
        println!("{name}");
        crate::crafted::run(&bytes);
    }
}
