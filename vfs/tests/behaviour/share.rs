//! Areas that several openings share: words, locks, waiting, a tail, and maps that show what others write.
#![expect(unsafe_code, reason = "looking into a mapping is unsafe for whoever does it")]

use std::{
    env,
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdin, Command, Stdio},
    sync::atomic::Ordering::SeqCst,
};

use llmdb_vfs::{AREA_WORDS, ShareError, SharedArea, write_all_at};

use crate::*;

fn on_every_shared_disk(test: impl Fn(&Disk)) {
    on_every_disk(&test);
    println!("on the crashable disk");
    test(&Disk::crashable());
}

fn share(disk: &Disk) -> Arc<dyn SharedArea> {
    disk.vfs.share(&disk.path("area")).unwrap()
}

#[test]
fn words_begin_as_zeros_and_are_seen_by_every_opening() {
    on_every_shared_disk(|disk| {
        let (ours, theirs) = (share(disk), share(disk));
        assert_eq!(ours.words().len(), AREA_WORDS);
        assert!(ours.words().iter().all(|word| word.load(SeqCst) == 0));
        for index in [0, 1, AREA_WORDS - 1] {
            ours.words()[index].store(index as u64 + 5, SeqCst);
            assert_eq!(theirs.words()[index].fetch_add(1, SeqCst), index as u64 + 5);
            assert_eq!(ours.words()[index].load(SeqCst), index as u64 + 6);
        }
        drop((ours, theirs));
        assert_eq!(share(disk).words()[1].load(SeqCst), 7, "the words outlive those who use them");
    });
}

#[test]
fn a_lock_keeps_every_other_opening_out_until_it_is_given_up() {
    on_every_shared_disk(|disk| {
        let (ours, theirs) = (share(disk), share(disk));
        assert!(ours.try_lock(3).unwrap());
        assert!(ours.try_lock(3).unwrap(), "it is ours");
        assert!(!theirs.try_lock(3).unwrap());
        assert!(theirs.is_locked_elsewhere(3).unwrap());
        assert!(!ours.is_locked_elsewhere(3).unwrap(), "our own does not count");

        for other in [0, 2, 4, (1 << 40) - 1] {
            assert!(!ours.is_locked_elsewhere(other).unwrap());
            assert!(theirs.try_lock(other).unwrap(), "lock {other} is another one");
        }
        theirs.unlock(3).unwrap();
        assert!(!theirs.try_lock(3).unwrap(), "nobody gives up what others hold");
        ours.unlock(3).unwrap();
        ours.unlock(3).unwrap();
        assert!(theirs.try_lock(3).unwrap());
        assert!(ours.is_locked_elsewhere(3).unwrap());
    });
}

#[test]
fn locks_end_with_their_opening() {
    on_every_shared_disk(|disk| {
        let (ours, theirs) = (share(disk), share(disk));
        assert!(theirs.try_lock(1).unwrap() && theirs.try_lock(900).unwrap());
        assert!(ours.try_lock(2).unwrap());
        drop(theirs);
        assert!(ours.try_lock(1).unwrap() && ours.try_lock(900).unwrap());
        assert!(share(disk).is_locked_elsewhere(2).unwrap(), "ours did not end");
    });
}

#[test]
fn the_tail_is_what_was_written_last() {
    on_every_shared_disk(|disk| {
        let (ours, theirs) = (share(disk), share(disk));
        assert_eq!(ours.read_tail().unwrap(), b"");
        ours.words()[AREA_WORDS - 1].store(u64::MAX, SeqCst);
        for tail in [vec![1; 100_000], b"short".to_vec(), vec![2; 9], Vec::new(), vec![3; 5000]] {
            ours.write_tail(&tail).unwrap();
            assert_eq!(theirs.read_tail().unwrap(), tail);
        }
        assert_eq!(theirs.words()[AREA_WORDS - 1].load(SeqCst), u64::MAX, "the words are not part of it");
    });
}

#[test]
fn a_file_of_any_contents_becomes_an_area() {
    on_every_shared_disk(|disk| {
        for (len, name) in
            [(0, "none"), (3, "few"), (8 * AREA_WORDS - 5, "most"), (8 * AREA_WORDS + 7, "more")]
        {
            let garbage: Vec<u8> = (0..=250).cycle().take(len).collect();
            let path = disk.path(name);
            write_all_at(&*disk.create(name), &garbage, 0).unwrap();
            let area = disk.vfs.share(&path).unwrap();
            let found: Vec<u8> =
                area.words().iter().flat_map(|word| word.load(SeqCst).to_le_bytes()).collect();
            let in_words = len.min(8 * AREA_WORDS);
            assert!(found[..in_words] == garbage[..in_words]);
            assert!(found[in_words..].iter().all(|byte| *byte == 0));
            assert_eq!(area.read_tail().unwrap(), garbage[in_words..]);
        }
    });
}

#[test]
fn an_area_in_a_missing_folder_is_an_error_of_the_disk() {
    on_every_shared_disk(|disk| {
        let refused = disk.vfs.share(&disk.path("nowhere/area"));
        assert!(
            matches!(refused, Err(ShareError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound)
        );
    });
}

#[test]
fn a_removed_or_replaced_file_is_noticed() {
    on_every_shared_disk(|disk| {
        let first = share(disk);
        assert!(first.is_current().unwrap());
        assert!(first.try_lock(1).unwrap());
        disk.vfs.remove_file(&disk.path("area")).unwrap();
        assert!(!first.is_current().unwrap());

        let second = share(disk);
        assert!(second.is_current().unwrap() && !first.is_current().unwrap());
        assert!(second.try_lock(1).unwrap(), "the two have nothing to do with each other");
        first.words()[0].store(9, SeqCst);
        assert_eq!(second.words()[0].load(SeqCst), 0);

        disk.vfs.rename(&disk.path("area"), &disk.path("other")).unwrap();
        assert!(!second.is_current().unwrap());
    });
}

#[test]
fn whoever_waits_is_woken() {
    on_every_shared_disk(|disk| {
        let (ours, theirs) = (share(disk), share(disk));
        // Not what is expected, in the half that counts: returns at once.
        ours.wait(5, 1, 3_600_000_000);
        ours.wait(5, 0, 1000);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                while ours.words()[5].load(SeqCst) == 0 {
                    ours.wait(5, 0, 3_600_000_000);
                }
            });
            theirs.words()[5].store(1, SeqCst);
            theirs.wake(5);
            waiting.join().unwrap();
        });
        ours.step();
    });
}

/// What a process writes to a file, the others see through their maps without loading it again, except where they
/// have stored something themselves.
#[test]
fn maps_show_at_once_what_another_opening_writes() {
    on_every_shared_disk(|disk| {
        let _area = share(disk);
        let ours = disk.create("data");
        write_all_at(&*ours, &[1; 4 * BLOCK_SIZE], 0).unwrap();
        let mapping = disk.vfs.map(Some(Arc::clone(&ours))).unwrap();
        mapping.load(0, 4 * BLOCK_SIZE).unwrap();
        // SAFETY: loaded, and compared at once, before anybody writes or stores again.
        let block = |index: u64| unsafe { mapping.bytes(at(index), BLOCK_SIZE) }.to_vec();
        let all: Vec<u8> = (0..4).flat_map(block).collect();
        assert_eq!(all, [1; 4 * BLOCK_SIZE]);

        // SAFETY: nobody holds a reference into the range.
        unsafe { mapping.bytes_mut(at(1), BLOCK_SIZE) }.fill(7);
        let theirs = disk.vfs.open(&disk.path("data"), WRITE).unwrap();
        write_all_at(&*theirs, &[2; 2 * BLOCK_SIZE], at(1)).unwrap();
        assert_eq!(block(1), [7; BLOCK_SIZE], "a store shadows the file");
        assert_eq!(block(2), [2; BLOCK_SIZE]);
        mapping.discard(at(1), BLOCK_SIZE).unwrap();
        assert_eq!(block(1), [2; BLOCK_SIZE]);
        theirs.write_durable_at(&filled(1, 3), at(3)).unwrap();
        assert_eq!(block(3), [3; BLOCK_SIZE]);

        write_all_at(&*theirs, &[4; BLOCK_SIZE], at(5)).unwrap();
        mapping.load(at(4), 2 * BLOCK_SIZE).unwrap();
        assert_eq!((block(4), block(5)), (vec![0; BLOCK_SIZE], vec![4; BLOCK_SIZE]));
        ours.set_len(at(2)).unwrap();
        assert_eq!(mapping.load(at(5), BLOCK_SIZE).unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
        theirs.allocate(at(2), at(2)).unwrap();
        mapping.load(at(3), BLOCK_SIZE).unwrap();
        assert_eq!((block(0), block(3)), (vec![1; BLOCK_SIZE], vec![0; BLOCK_SIZE]));
    });
}

const AREA_PATH: &str = "LLMDB_TEST_AREA_PATH";

/// Not a test of its own: what the process started below does.
#[test]
fn hold_a_lock_of_the_area_until_the_parent_is_done() {
    let Ok(path) = env::var(AREA_PATH) else { return };
    let area = OsVfs::new().share(Path::new(&path)).unwrap();
    assert!(area.try_lock(7).unwrap());
    area.words()[1].store(1, SeqCst);
    area.wake(1);
    println!("\nheld");
    while area.words()[2].load(SeqCst) == 0 {
        area.wait(2, 0, 60_000_000);
    }
    area.words()[1].store(2, SeqCst);
    area.wake(1);
    let _ = std::io::stdin().read(&mut [0]);
}

/// The process, its end of the pipe that it waits for, and what it goes on to say, which somebody must listen to.
fn start_holder(path: &Path) -> (Child, ChildStdin, impl Sized) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "share::hold_a_lock_of_the_area_until_the_parent_is_done", "--nocapture"])
        .env(AREA_PATH, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line == "held"), "the child could not take the lock");
    let stdin = child.stdin.take().unwrap();
    (child, stdin, said)
}

#[test]
fn another_process_shares_words_waits_and_leaves_its_lock_however_it_ends() {
    let disk = Disk::real("best means", OsOptions::default());
    let (area, path) = (share(&disk), disk.path("area"));
    for is_killed in [false, true] {
        area.words()[1].store(0, SeqCst);
        area.words()[2].store(0, SeqCst);
        let (mut child, stdin, _said) = start_holder(&path);
        assert_eq!(area.words()[1].load(SeqCst), 1);
        assert!(area.is_locked_elsewhere(7).unwrap() && !area.try_lock(7).unwrap());

        area.words()[2].store(1, SeqCst);
        area.wake(2);
        while area.words()[1].load(SeqCst) == 1 {
            area.wait(1, 1, 60_000_000);
        }
        assert!(area.is_locked_elsewhere(7).unwrap());
        if is_killed {
            child.kill().unwrap();
        }
        drop(stdin);
        child.wait().unwrap();
        assert!(!area.is_locked_elsewhere(7).unwrap());
        assert!(area.try_lock(7).unwrap());
        area.unlock(7).unwrap();
    }
}

#[test]
fn locks_end_with_their_opening_though_processes_are_being_started() {
    let disk = Disk::real("best means", OsOptions::default());
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| {
            for _ in 0..20 {
                let mut command = Command::new(env::current_exe().unwrap());
                command.args(["--list"]).stdout(Stdio::null()).status().unwrap();
            }
        });
        while !starting.is_finished() {
            assert!(share(&disk).try_lock(1).unwrap());
        }
    });
}
