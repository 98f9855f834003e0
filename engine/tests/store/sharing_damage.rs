//! What processes share is writable by strangers. Words of it are overwritten with nonsense while processes use the
//! store: each call is answered or fails with an error, nothing panics or waits for ever, no answer is wrong, and the
//! store holds everything that was acknowledged once all have let go of it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
use std::{path::Path, sync::Arc, sync::atomic::Ordering};

use crate::common::assert_sound;
use llmdb_engine::{Background, Engine, Error, Options, Result, Sharing};
use llmdb_vfs::{AREA_WORDS, MemoryVfs, Vfs, crash::Chooser};

const PROCESSES: u64 = 3;
const KEYS: u64 = 40;

fn open(disk: &MemoryVfs) -> Result<Engine> {
    let mut options = Options::default();
    options.sharing = Sharing::Shared;
    options.background = Background::Manual;
    options.checkpoint_log_bytes = 64 << 10;
    options.lock_timeout_us = 3_000;
    Engine::open_on(Arc::new(disk.clone()), "store", options)
}

fn value(number: u64) -> Vec<u8> {
    number.to_be_bytes().repeat(1 + (number % 90) as usize)
}

/// Sets some keys to `number`, all of them in both trees.
fn write(engine: &Engine, chooser: &mut Chooser, number: u64) -> Result<Vec<u64>> {
    let mut txn = engine.begin_write()?;
    let keys: Vec<_> = (0..chooser.between(1, 8)).map(|_| chooser.below(KEYS)).collect();
    for key in &keys {
        for tree in ["left", "right"] {
            txn.tree(tree)?.put(key.to_be_bytes(), value(number))?;
        }
    }
    txn.commit()?;
    Ok(keys)
}

/// What both trees hold, which must agree.
fn read(engine: &Engine) -> Result<Vec<u64>> {
    let snapshot = engine.snapshot()?;
    let mut found = [vec![0; KEYS as usize], vec![0; KEYS as usize]];
    for (tree, found) in ["left", "right"].into_iter().zip(&mut found) {
        let Some(tree) = snapshot.tree(tree)? else { continue };
        for row in tree.iter()? {
            let (key, bytes) = row?;
            let number = u64::from_be_bytes(bytes[..8].try_into().unwrap());
            assert_eq!(bytes, value(number));
            found[u64::from_be_bytes(key.try_into().unwrap()) as usize] = number;
        }
    }
    assert_eq!(found[0], found[1], "a commit in parts");
    Ok(found.into_iter().next().unwrap())
}

/// Numbers of words that mean something, drawn so that the few important ones are hit as well.
fn word(chooser: &mut Chooser) -> usize {
    let word = match chooser.below(4) {
        0 => chooser.below(128),
        1 => chooser.between(128, 384),
        2 => chooser.between(512, 512 + 4 * 16),
        _ => chooser.between(8192, 8192 + 300 * 8),
    };
    (word as usize).min(AREA_WORDS - 1)
}

fn is_allowed(error: &Error) -> bool {
    !matches!(error, Error::Misuse(_) | Error::TxnFailed | Error::Missing(_) | Error::NotADatabase(_))
}

#[test]
fn nonsense_in_the_area_harms_no_data() {
    let mut refused = 0;
    for seed in 0..60 {
        let disk = MemoryVfs::new(seed);
        let mut chooser = Chooser::new(seed);
        let mut expected = vec![0; KEYS as usize];
        let mut number = 0;
        for _ in 0..4 {
            let engines: Vec<_> = (0..PROCESSES).map(|_| open(&disk)).collect();
            let stranger = disk.share(Path::new("store-share")).unwrap();
            for engine in engines.iter().flatten() {
                read(engine).unwrap();
            }
            for _ in 0..40 {
                let engine = &engines[chooser.below(PROCESSES) as usize];
                let Ok(engine) = engine else { continue };
                number += 1;
                match write(engine, &mut chooser, number) {
                    Ok(keys) => keys.into_iter().for_each(|key| expected[key as usize] = number),
                    Err(error) => {
                        assert!(is_allowed(&error), "seed {seed}: {error}");
                        refused += 1;
                        // Committed or not: nobody knows, and what follows would have to be guessed.
                        break;
                    }
                }
                match read(engine) {
                    Ok(found) => assert_eq!(found, expected, "seed {seed}"),
                    Err(error) => assert!(is_allowed(&error), "seed {seed}: {error}"),
                }
                if chooser.percent(15) {
                    let nonsense = [0, 1, u64::MAX, chooser.next_u64()][chooser.below(4) as usize];
                    stranger.words()[word(&mut chooser)].store(nonsense, Ordering::SeqCst);
                }
            }
            drop(engines);
            drop(stranger);
            let engine = Engine::open_on(Arc::new(disk.clone()), "store", Options::default()).unwrap();
            let found = read(&engine).unwrap();
            for (found, expected) in found.iter().zip(&mut expected) {
                assert!(
                    *found == *expected || *found == number,
                    "seed {seed}: {found} instead of {expected}"
                );
                *expected = *found;
            }
            assert_sound(&engine);
            engine.close().unwrap();
        }
    }
    println!("{refused} calls were refused");
}
