//! What lies at the path is not a store, not a whole one, not one of this version, or not ours to write.
//!
//! Each gets an error that says what was found and where, and is left as it is.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
#![allow(clippy::disallowed_methods, reason = "the files of the real disk are put there by hand")]

use std::path::Path;

use crate::common::{
    PATH, Script, arc, bytes, killed, open, open_with, options, put_file, read_only,
    script::{commit, puts, value},
    segments, state,
};
use llmdb_base::{
    Pgno, StoreId,
    checksum::{crc32c, page_seed},
    codec,
};
use llmdb_engine::{Engine, ErrorKind, Options};
use llmdb_vfs::{Vfs, crash::CrashVfs};

fn closed() -> (CrashVfs, Script) {
    let script = Script::varied();
    let disk = CrashVfs::new(1);
    script.run(&disk).close().unwrap();
    (disk, script)
}

/// Names of all files but the lock.
fn names(disk: &CrashVfs) -> Vec<String> {
    let names = disk.files().into_iter().map(|(path, _)| path.to_string_lossy().into_owned());
    names.filter(|name| !name.ends_with("-lock")).collect()
}

#[test]
fn files_of_others_are_refused_and_left_alone() {
    let mut sqlite = b"SQLite format 3\0".to_vec();
    sqlite.resize(20_000, 3);
    let files: [(&str, Vec<u8>); 7] = [
        ("empty", Vec::new()),
        ("one byte", vec![7]),
        ("text", b"This file holds the shopping list.\n".repeat(3_000)),
        ("another database", sqlite),
        ("zeros", vec![0; 300_000]),
        ("noise", value(1, 300_001)),
        ("one page of zeros", vec![0; 4096]),
    ];
    for (name, contents) in files {
        for options in [options(), read_only()] {
            let disk = CrashVfs::new(1);
            put_file(&disk, PATH, &contents);
            let error = open_with(&disk, options).expect_err(name);
            assert_eq!(error.kind(), ErrorKind::NotADatabase, "{name}: {error}");
            assert!(error.to_string().contains(PATH), "{name}: {error}");
            assert!(bytes(&disk, PATH) == contents, "{name}");
            assert_eq!(names(&disk), [PATH], "{name}");
        }
        let disk = CrashVfs::new(1);
        put_file(&disk, PATH, &contents);
        let error = Engine::salvage_on(&arc(&disk), PATH.as_ref(), "saved".as_ref()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADatabase, "{name}: {error}");
    }
}

/// Changes the version in a meta page, as a later program would have written it.
fn set_version(disk: &CrashVfs, slot: u64, version: u32) {
    let mut page = bytes(disk, PATH)[slot as usize * 4096..][..512].to_vec();
    let store = StoreId::new(codec::get_u128(&page, 16));
    codec::put_u32(&mut page, 8, version);
    let checksum = crc32c(page_seed(store, Pgno::new(slot)), &page[..508]);
    codec::put_u32(&mut page, 508, checksum);
    disk.overwrite(PATH.as_ref(), slot * 4096, &page).unwrap();
}

#[test]
fn a_newer_version_is_refused_by_its_number() {
    let (store, script) = closed();
    let same = store.fork();
    [0, 1, 16, 17].into_iter().for_each(|slot| set_version(&same, slot, 1));
    script.verify_disk(
        &same,
        13.min(script.states.len() - 1),
        script.states.len() - 1,
        "the version as it was",
    );
    // A later program may write its generation in either pair of pages, and be killed between any two.
    for slots in [vec![0, 1, 16, 17], vec![0, 16], vec![1, 17], vec![0], vec![17]] {
        let disk = store.fork();
        slots.iter().for_each(|slot| set_version(&disk, *slot, 7));
        let before = bytes(&disk, PATH);
        for options in [options(), read_only()] {
            let error = open_with(&disk, options).expect_err("a later version");
            assert_eq!(error.kind(), ErrorKind::NewerVersion, "{slots:?}: {error}");
            let text = error.to_string();
            assert!(text.contains("version 7") && text.contains("version 1"), "{text}");
        }
        assert!(bytes(&disk, PATH) == before);
    }
}

#[test]
fn a_truncated_file_is_refused() {
    let (store, script) = closed();
    let whole = bytes(&store, PATH);
    for page in 0..whole.len() / 4096 {
        for extra in [0, 1, 511, 512, 2048, 4095] {
            let len = page * 4096 + extra;
            let disk = store.fork();
            put_file(&disk, PATH, &whole[..len]);
            for options in [options(), read_only()] {
                let error = open_with(&disk, options).expect_err("pages are missing");
                let text = error.to_string();
                match error.kind() {
                    ErrorKind::NotADatabase => assert!(len < 4096, "{len} bytes: {text}"),
                    ErrorKind::Corruption => {
                        assert!(text.contains(&format!("{len} bytes")), "{len} bytes: {text}")
                    }
                    other => panic!("{len} bytes: {other:?}: {text}"),
                }
                assert!(text.contains(PATH), "{text}");
            }
            assert!(bytes(&disk, PATH) == whole[..len], "{len} bytes: the file has changed");
        }
    }
    // Put back, it is as it was. What others have appended is in nobody's way.
    let all = script.states.len() - 1;
    put_file(&store, PATH, &whole);
    script.verify_disk(&store, all, all, "put back");
    let whole = bytes(&store, PATH);
    for junk in [1, 4095, 4096, 100_000] {
        let disk = store.fork();
        put_file(&disk, PATH, &[&whole[..], &value(9, junk)].concat());
        script.verify_disk(&disk, all, all, "appended to");
    }
}

#[test]
fn a_folder_in_the_place_of_the_file() {
    let disk = CrashVfs::new(1);
    disk.create_dir(PATH.as_ref()).unwrap();
    let error = open(&disk).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    std::fs::create_dir(&path).unwrap();
    for read_only in [false, true] {
        let mut options = Options::default();
        options.read_only = read_only;
        let error = Engine::open(&path, options).unwrap_err();
        let text = error.to_string().to_lowercase();
        assert!(text.contains("directory") && text.contains("store"), "{text}");
        assert!(path.is_dir());
    }
}

#[test]
fn a_folder_that_does_not_exist() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nowhere/store");
    let error = Engine::open(&path, Options::default()).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
    assert!(!folder.path().join("nowhere").exists());
}

#[cfg(unix)]
#[test]
fn a_folder_without_the_right_to_write() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let engine = Engine::open(&path, Options::default()).unwrap();
    commit(&engine, &puts("t", 0..10, 1, 50)).unwrap();
    let before = state(&engine);
    engine.close().unwrap();
    let set = |folder_mode: u32, file_mode: u32| {
        for file in [path.clone(), folder.path().join("store-lock")] {
            std::fs::set_permissions(file, PermissionsExt::from_mode(file_mode)).unwrap();
        }
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(folder_mode)).unwrap();
    };
    set(0o555, 0o444);
    if std::fs::write(folder.path().join("probe"), "x").is_ok() {
        println!("this user may write everywhere: nothing to see");
        set(0o755, 0o644);
        return;
    }
    let refused = Engine::open(&path, Options::default()).map(drop);
    let made = Engine::open(folder.path().join("new"), Options::default()).map(drop);
    let mut read_only = Options::default();
    read_only.read_only = true;
    let read = Engine::open(&path, read_only).map(|engine| state(&engine));
    set(0o755, 0o644);
    for error in [refused.unwrap_err(), made.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(error.to_string().to_lowercase().contains("permission denied"), "{error}");
        assert!(error.to_string().contains(&*folder.path().to_string_lossy()), "{error}");
    }
    assert!(read.unwrap() == before, "reading needs no right to write");
}

#[test]
fn opened_for_reading_only() {
    let (disk, script) = closed();
    let before = bytes(&disk, PATH);
    let engine = open_with(&disk, read_only()).unwrap();
    let second = open_with(&disk, read_only()).unwrap();
    for engine in [&engine, &second] {
        assert!(state(engine) == *script.last());
        crate::common::assert_sound(engine);
        for error in [
            engine.begin_write().map(drop).unwrap_err(),
            engine.try_begin_write().map(drop).unwrap_err(),
            engine.checkpoint().unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error}");
            assert!(error.to_string().contains("reading only"), "{error}");
        }
    }
    assert_eq!(open(&disk).unwrap_err().kind(), ErrorKind::Locked, "readers keep a writer out");
    engine.backup("copy", &mut |_, _| true).unwrap();
    second.close().unwrap();
    engine.close().unwrap();
    assert!(bytes(&disk, PATH) == before && segments(&disk).is_empty());
    let copy = Engine::open_on(arc(&disk), "copy", options()).unwrap();
    assert!(state(&copy) == *script.last());
    drop(copy);
    assert_eq!(open_with(&CrashVfs::new(1), read_only()).unwrap_err().kind(), ErrorKind::Missing);
    script.verify_disk(&disk, 1, script.states.len() - 1, "after reading");
}

#[test]
fn opened_for_reading_only_after_a_crash() {
    let script = Script::varied();
    let disk = CrashVfs::new(1);
    let engine = script.run(&disk);
    let found = killed(&disk);
    drop(engine);
    let (before, log) = (bytes(&found, PATH), segments(&found));
    let error = open_with(&found, read_only()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error}");
    let text = error.to_string();
    assert!(text.contains("open it once with the right to write"), "{text}");
    assert!(bytes(&found, PATH) == before && segments(&found) == log);
    open(&found).unwrap().close().unwrap();
    assert!(state(&open_with(&found, read_only()).unwrap()) == *script.last());
}

/// Only the path decides which log and which lock belong to a store.
#[test]
fn a_closed_store_can_be_moved_and_copied() {
    let (disk, script) = closed();
    disk.rename(PATH.as_ref(), "moved".as_ref()).unwrap();
    put_file(&disk, Path::new("copied"), &bytes(&disk, "moved"));
    for name in ["moved", "copied"] {
        let engine = Engine::open_on(arc(&disk), name, options()).unwrap();
        assert!(state(&engine) == *script.last(), "{name}");
    }
    let error = Engine::open_on(arc(&disk), PATH, read_only()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
}
