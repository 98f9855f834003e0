//! What a power failure leaves of names of files and folders.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    collections::BTreeSet,
    io::{Error, ErrorKind},
    path::Path,
};

use llmdb_vfs::{Create, LockError, LockKind, Open, Vfs, crash::CrashVfs};

const MAKE: Open = Open { write: true, create: Create::IfMissing, direct: false };

/// Makes a durable file of one sector that holds `byte`; its name waits for a sync of the folder.
fn make(vfs: &CrashVfs, path: &str, byte: u8) {
    let file = vfs.open(Path::new(path), MAKE).unwrap();
    file.write_at(&[byte; 512], 0).unwrap();
    file.sync_data().unwrap();
}

/// What each name in the root holds.
fn names(vfs: &CrashVfs) -> Vec<(String, u8)> {
    let read = |name: &String| {
        let file = vfs.open(&Path::new("/").join(name), MAKE).unwrap();
        let mut byte = [0];
        file.read_at(&mut byte, 0).unwrap();
        byte[0]
    };
    let names = vfs.list_dir(Path::new("/")).unwrap();
    names.into_iter().map(|name| (name.clone(), read(&name))).collect()
}

fn all_states(vfs: &CrashVfs) -> BTreeSet<Vec<(String, u8)>> {
    vfs.crash_states(10_000).unwrap().map(|state| names(&state)).collect()
}

fn expected<const N: usize>(states: [&[(&str, u8)]; N]) -> BTreeSet<Vec<(String, u8)>> {
    let owned = |state: &[(&str, u8)]| state.iter().map(|(name, byte)| ((*name).to_owned(), *byte)).collect();
    states.map(owned).into()
}

#[test]
fn a_new_name_is_durable_with_its_folder_only() {
    let vfs = CrashVfs::new(1);
    make(&vfs, "/a", 1);
    assert_eq!(all_states(&vfs), expected([&[], &[("a", 1)]]));
    vfs.sync_dir(Path::new("/")).unwrap();
    assert_eq!(all_states(&vfs), expected([&[("a", 1)]]));
}

#[test]
fn changes_of_names_survive_in_any_combination() {
    let vfs = CrashVfs::new(1);
    make(&vfs, "/a", 1);
    vfs.sync_dir(Path::new("/")).unwrap();
    make(&vfs, "/b", 2);
    vfs.remove_file(Path::new("/a")).unwrap();
    assert_eq!(all_states(&vfs), expected([&[("a", 1)], &[("a", 1), ("b", 2)], &[], &[("b", 2)]]));
}

#[test]
fn a_rename_is_atomic() {
    let vfs = CrashVfs::new(1);
    make(&vfs, "/a", 1);
    make(&vfs, "/b", 2);
    vfs.sync_dir(Path::new("/")).unwrap();
    vfs.rename(Path::new("/b"), Path::new("/a")).unwrap();
    assert_eq!(names(&vfs), [("a".to_owned(), 2)]);
    assert_eq!(all_states(&vfs), expected([&[("a", 1), ("b", 2)], &[("a", 2)]]));
    vfs.rename(Path::new("/a"), Path::new("/c")).unwrap();
    // The second rename may be there without the first: the file is at one name in every case.
    assert_eq!(
        all_states(&vfs),
        expected([&[("a", 1), ("b", 2)], &[("a", 2)], &[("a", 1), ("c", 2)], &[("c", 2)]])
    );
}

#[test]
fn what_was_in_a_lost_folder_is_lost() {
    let vfs = CrashVfs::new(1);
    vfs.create_dir(Path::new("/d")).unwrap();
    make(&vfs, "/d/a", 1);
    vfs.sync_dir(Path::new("/d")).unwrap();
    let there = |state: &CrashVfs, path: &str| state.exists(Path::new(path)).unwrap();
    let states = vfs.crash_states(10).unwrap();
    let states: Vec<_> = states.map(|state| (there(&state, "/d"), there(&state, "/d/a"))).collect();
    assert_eq!(states, [(false, false), (true, true)]);
}

#[test]
fn a_removed_file_can_be_used_while_it_is_open() {
    let vfs = CrashVfs::new(1);
    let file = vfs.open(Path::new("/a"), MAKE).unwrap();
    vfs.sync_dir(Path::new("/")).unwrap();
    vfs.remove_file(Path::new("/a")).unwrap();
    vfs.sync_dir(Path::new("/")).unwrap();
    file.write_at(b"still here", 0).unwrap();
    assert_eq!(vfs.used_bytes(), 4096);
    drop(file);
    make(&vfs, "/b", 1);
    vfs.sync_dir(Path::new("/")).unwrap();
    assert_eq!(vfs.used_bytes(), 4096, "the space of the first file came back");
}

#[test]
fn names_that_make_no_sense_are_refused() {
    let vfs = CrashVfs::new(1);
    make(&vfs, "/a", 1);
    vfs.create_dir(Path::new("/d")).unwrap();
    make(&vfs, "/d/a", 1);
    let open = |path: &str, how| vfs.open(Path::new(path), how).unwrap_err().kind();
    assert_eq!(open("/x/y", MAKE), ErrorKind::NotFound);
    assert_eq!(open("/a", Open { create: Create::New, ..MAKE }), ErrorKind::AlreadyExists);
    assert_eq!(open("/b", Open { create: Create::Never, ..MAKE }), ErrorKind::NotFound);
    assert_eq!(open("/d", MAKE), ErrorKind::IsADirectory);
    let kind = |result: Result<(), Error>| result.unwrap_err().kind();
    assert_eq!(kind(vfs.remove_dir(Path::new("/d"))), ErrorKind::DirectoryNotEmpty);
    assert_eq!(kind(vfs.create_dir(Path::new("/a"))), ErrorKind::AlreadyExists);
    assert_eq!(kind(vfs.remove_file(Path::new("/x"))), ErrorKind::NotFound);
    assert_eq!(kind(vfs.rename(Path::new("/x"), Path::new("/y"))), ErrorKind::NotFound);
    assert_eq!(kind(vfs.sync_dir(Path::new("/x"))), ErrorKind::NotFound);
    assert_eq!(vfs.list_dir(Path::new("/x")).unwrap_err().kind(), ErrorKind::NotFound);
    let reader = vfs.open(Path::new("/a"), Open { write: false, ..MAKE }).unwrap();
    assert_eq!(reader.write_at(b"x", 0).unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(vfs.list_dir(Path::new("/")).unwrap(), ["a"]);
}

#[test]
fn locks_keep_others_out_and_end_with_the_crash() {
    let vfs = CrashVfs::new(1);
    let path = Path::new("/lock");
    let lock = vfs.lock(path, LockKind::Exclusive, "writer 7").unwrap();
    let refused = vfs.lock(path, LockKind::Shared, "reader");
    assert!(matches!(refused, Err(LockError::Held { note }) if note == "writer 7"));
    assert!(vfs.fork().lock(path, LockKind::Exclusive, "after").is_ok());
    drop(lock);
    let first = vfs.lock(path, LockKind::Shared, "one").unwrap();
    let second = vfs.lock(path, LockKind::Shared, "two").unwrap();
    assert!(vfs.lock(path, LockKind::Exclusive, "three").is_err());
    drop((first, second));
    drop(vfs.lock(path, LockKind::Exclusive, "four").unwrap());
}
