//! Locks keep out whom they should, say who holds them, and end with their holder.

use std::{
    env,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
};

use llmdb_vfs::{LockError, LockKind, OsVfs};

use crate::*;

fn note_of_holder(refused: Result<Box<dyn llmdb_vfs::FileLock>, LockError>) -> String {
    match refused {
        Err(LockError::Held { note }) => note,
        other => panic!("the lock should be held, not {other:?}"),
    }
}

#[test]
fn an_exclusive_lock_keeps_everybody_out_and_tells_who_has_it() {
    on_every_disk(|disk| {
        let path = disk.path("lock");
        let lock = disk.vfs.lock(&path, LockKind::Exclusive, "the first, with a long note").unwrap();
        for kind in [LockKind::Exclusive, LockKind::Shared] {
            assert_eq!(note_of_holder(disk.vfs.lock(&path, kind, "x")), "the first, with a long note");
        }
        drop(lock);
        assert!(disk.vfs.exists(&path).unwrap());
        let second = disk.vfs.lock(&path, LockKind::Exclusive, "the second").unwrap();
        assert_eq!(note_of_holder(disk.vfs.lock(&path, LockKind::Exclusive, "x")), "the second");
        drop(second);
    });
}

#[test]
fn shared_locks_keep_out_exclusive_ones_until_the_last_is_gone() {
    on_every_disk(|disk| {
        let path = disk.path("lock");
        let first = disk.vfs.lock(&path, LockKind::Shared, "reader").unwrap();
        let second = disk.vfs.lock(&path, LockKind::Shared, "reader").unwrap();
        assert_eq!(note_of_holder(disk.vfs.lock(&path, LockKind::Exclusive, "x")), "reader");
        drop(first);
        assert_eq!(note_of_holder(disk.vfs.lock(&path, LockKind::Exclusive, "x")), "reader");
        drop(second);
        disk.vfs.lock(&path, LockKind::Exclusive, "writer").unwrap();
    });
}

/// A process that is being started holds copies of all descriptors for a moment. A lock that ended with the last
/// copy was found held by nobody, now and then, when a store was closed and opened again.
#[test]
fn a_lock_ends_when_it_is_dropped_though_processes_are_being_started() {
    let disk = Disk::real("best means", OsOptions::default());
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| {
            for _ in 0..20 {
                let mut command = Command::new(env::current_exe().unwrap());
                command.args(["--list"]).stdout(Stdio::null()).status().unwrap();
            }
        });
        while !starting.is_finished() {
            disk.vfs.lock(&disk.path("lock"), LockKind::Exclusive, "again").unwrap();
        }
    });
}

#[test]
fn locks_of_two_names_have_nothing_to_do_with_each_other() {
    on_every_disk(|disk| {
        let _a = disk.vfs.lock(&disk.path("a"), LockKind::Exclusive, "").unwrap();
        let _b = disk.vfs.lock(&disk.path("b"), LockKind::Exclusive, "").unwrap();
        assert_eq!(note_of_holder(disk.vfs.lock(&disk.path("a"), LockKind::Shared, "x")), "");
    });
}

#[test]
fn a_lock_in_a_missing_folder_is_an_error_of_the_disk() {
    on_every_disk(|disk| {
        let refused = disk.vfs.lock(&disk.path("nowhere/lock"), LockKind::Exclusive, "x");
        assert!(matches!(refused, Err(LockError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound));
    });
}

const LOCK_PATH: &str = "LLMDB_TEST_LOCK_PATH";

/// Not a test of its own: what the process started below does.
#[test]
fn hold_the_lock_until_the_parent_is_done() {
    let Ok(path) = env::var(LOCK_PATH) else { return };
    let _lock = OsVfs::new().lock(Path::new(&path), LockKind::Exclusive, "the child").unwrap();
    println!("\nheld");
    let _ = std::io::stdin().read(&mut [0]);
}

/// The process, and what it goes on to say, which somebody must listen to.
fn start_holder(path: &Path) -> (Child, impl Sized) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "locks::hold_the_lock_until_the_parent_is_done", "--nocapture"])
        .env(LOCK_PATH, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line == "held"), "the child could not take the lock");
    (child, said)
}

#[test]
fn another_process_is_kept_out_until_the_holder_ends_or_is_killed() {
    let disk = Disk::real("best means", OsOptions::default());
    let path = disk.path("lock");
    let end: [fn(&mut Child); 2] = [|child| drop(child.stdin.take()), |child| child.kill().unwrap()];
    for end in end {
        let (mut child, _said) = start_holder(&path);
        assert_eq!(note_of_holder(disk.vfs.lock(&path, LockKind::Exclusive, "x")), "the child");
        end(&mut child);
        child.wait().unwrap();
        disk.vfs.lock(&path, LockKind::Exclusive, "the parent").unwrap();
    }
}
