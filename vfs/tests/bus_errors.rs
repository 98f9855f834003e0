//! Files that are cut while they are mapped: the process lives, the bytes that are gone read as zeros, and the mapping
//! says so. What happens outside of our maps is none of our business.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(unsafe_code, reason = "looking into a mapping is unsafe for whoever does it")]

use std::{
    env,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::Command,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use llmdb_vfs::{
    BLOCK_SIZE, BusErrors, Create, File, LossCause, Mapping, Open, OsOptions, OsVfs, Vfs, write_all_at,
};

const BLOCK: u64 = BLOCK_SIZE as u64;

fn read(mapping: &Mapping, block: u64) -> Vec<u8> {
    // SAFETY: the tests read what they have reserved, and nobody stores there meanwhile.
    unsafe { mapping.bytes(block * BLOCK, BLOCK_SIZE) }.to_vec()
}

fn store(mapping: &Mapping, block: u64, fill: u8) {
    // SAFETY: no test keeps a reference into the block.
    unsafe { mapping.bytes_mut(block * BLOCK, BLOCK_SIZE) }.fill(fill);
}

/// A file of `blocks` blocks filled with 1, and a map of it.
fn mapped(folder: &Path, blocks: u64, bus_errors: BusErrors) -> (Arc<dyn File>, Mapping) {
    let vfs = OsVfs::with_options(OsOptions { bus_errors, ..OsOptions::default() });
    let how = Open { write: true, create: Create::New, direct: false };
    let file = vfs.open(&folder.join("data"), how).unwrap();
    let len = usize::try_from(blocks * BLOCK).unwrap();
    write_all_at(&*file, &vec![1; len], 0).unwrap();
    let mapping = vfs.map(Some(Arc::clone(&file))).unwrap();
    mapping.reserve(blocks * BLOCK).unwrap();
    mapping.load(0, len).unwrap();
    assert!(mapping.is_private_file());
    (file, mapping)
}

fn lost(mapping: &Mapping) -> Vec<u64> {
    let pages = mapping.lost_pages().unwrap();
    assert!(pages.iter().all(|page| page.cause == LossCause::Unreadable));
    pages.into_iter().map(|page| page.offset / BLOCK).collect()
}

#[test]
fn a_cut_file_reads_as_zeros_and_the_mapping_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (file, mapping) = mapped(folder.path(), 8, BusErrors::Catch);
    assert_eq!((mapping.losses(), lost(&mapping)), (0, vec![]));
    file.set_len(5 * BLOCK).unwrap();
    assert_eq!(read(&mapping, 4), [1; BLOCK_SIZE]);
    assert_eq!(mapping.losses(), 0);
    assert_eq!(read(&mapping, 5), [0; BLOCK_SIZE]);
    assert_eq!(read(&mapping, 7), [0; BLOCK_SIZE]);
    assert!(mapping.may_have_lost());
    assert_eq!((mapping.losses(), lost(&mapping)), (2, vec![5, 7]));
    assert_eq!(read(&mapping, 7), [0; BLOCK_SIZE], "without another loss");
    assert_eq!(mapping.losses(), 2);
}

#[test]
fn a_file_that_is_put_back_is_seen_after_a_load() {
    let folder = tempfile::tempdir().unwrap();
    let (file, mapping) = mapped(folder.path(), 4, BusErrors::Catch);
    file.set_len(0).unwrap();
    assert_eq!(read(&mapping, 2), [0; BLOCK_SIZE]);
    assert!(mapping.load(2 * BLOCK, BLOCK_SIZE).is_err(), "there is nothing there");
    write_all_at(&*file, &[7; 4 * BLOCK_SIZE], 0).unwrap();
    assert_eq!(read(&mapping, 2), [0; BLOCK_SIZE], "memory lies in its place");
    mapping.load(2 * BLOCK + 100, 10).unwrap();
    assert_eq!(read(&mapping, 2), [7; BLOCK_SIZE]);
}

#[test]
fn a_discard_shows_the_file_where_memory_lay_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (file, mapping) = mapped(folder.path(), 4, BusErrors::Catch);
    store(&mapping, 1, 5);
    file.set_len(BLOCK).unwrap();
    assert_eq!(read(&mapping, 1), [0; BLOCK_SIZE], "a cut takes private copies with it");
    store(&mapping, 1, 6);
    store(&mapping, 2, 6);
    assert_eq!((read(&mapping, 1), read(&mapping, 2)), (vec![6; BLOCK_SIZE], vec![6; BLOCK_SIZE]));
    assert_eq!(lost(&mapping), [1, 2]);
    write_all_at(&*file, &[9; 3 * BLOCK_SIZE], BLOCK).unwrap();
    mapping.discard(BLOCK, 3 * BLOCK_SIZE).unwrap();
    assert_eq!((read(&mapping, 1), read(&mapping, 3)), (vec![9; BLOCK_SIZE], vec![9; BLOCK_SIZE]));
}

/// Readers on many threads, while the file is cut and written anew: nobody dies, and whoever saw zeros is told.
#[test]
fn readers_see_what_was_there_or_are_told() {
    let folder = tempfile::tempdir().unwrap();
    const BLOCKS: u64 = 64;
    let (file, mapping) = mapped(folder.path(), BLOCKS, BusErrors::Catch);
    let (stop, zeros) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (mapping, stop, zeros) = (&mapping, &stop, &zeros);
            scope.spawn(move || {
                let mut block = thread;
                while !stop.load(Ordering::Relaxed) {
                    block = (block * 5 + 3) % BLOCKS;
                    let bytes = read(mapping, block);
                    if bytes != [1; BLOCK_SIZE] {
                        assert!(
                            mapping.may_have_lost() && mapping.losses() > 0,
                            "zeros that nobody knows of"
                        );
                        zeros.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        // Ends as soon as somebody has met a page that was gone.
        while zeros.load(Ordering::Relaxed) == 0 {
            file.set_len(0).unwrap();
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_the_kernel_reads_for_us_fails_as_a_call() {
    let folder = tempfile::tempdir().unwrap();
    let (file, mapping) = mapped(folder.path(), 4, BusErrors::Catch);
    file.set_len(BLOCK).unwrap();
    let vfs = OsVfs::new();
    let how = Open { write: true, create: Create::New, direct: false };
    let other = vfs.open(&folder.path().join("other"), how).unwrap();
    // SAFETY: reserved, and nobody stores there.
    let gone = unsafe { mapping.bytes(2 * BLOCK, BLOCK_SIZE) };
    let error = write_all_at(&*other, gone, 0).unwrap_err();
    assert!(error.to_string().contains("os error 14"), "EFAULT: {error}");
    assert_eq!(mapping.losses(), 0, "nothing was read by this process");
}

/// So many lost pages that they cannot be told apart.
#[test]
fn hundreds_of_lost_pages_are_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let (file, mapping) = mapped(folder.path(), 2000, BusErrors::Catch);
    file.set_len(0).unwrap();
    assert!((0..2000).step_by(2).all(|block| read(&mapping, block) == [0; BLOCK_SIZE]));
    assert_eq!((mapping.losses(), mapping.lost_pages()), (1000, None));
    write_all_at(&*file, &[3; 2000 * BLOCK_SIZE], 0).unwrap();
    mapping.load(0, 2000 * BLOCK_SIZE).unwrap();
    assert!((0..2000).all(|block| read(&mapping, block) == [3; BLOCK_SIZE]));
}

/// Has this test run again in a process of its own, which does `story`. Returns the signal that ended it, and what
/// it said.
fn in_a_process(story: &str) -> (Option<i32>, String) {
    let program = env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", "stories_that_end_processes", "--nocapture"]).env("BUS_ERROR_STORY", story);
    let output = command.output().unwrap();
    (output.status.signal(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Touches a map that is not ours, behind the end of its file.
fn touch_a_foreign_map(folder: &Path) -> u8 {
    let path = folder.join("foreign");
    let file = open_plain(&path);
    // SAFETY: a new map where there is room.
    let map = unsafe {
        libc::mmap(
            ptr::null_mut(),
            BLOCK_SIZE,
            libc::PROT_READ,
            libc::MAP_PRIVATE,
            std::os::fd::AsRawFd::as_raw_fd(&file),
            0,
        )
    };
    assert_ne!(map, libc::MAP_FAILED);
    // SAFETY: mapped, though there is nothing to be read: that is the point.
    unsafe { map.cast::<u8>().read_volatile() }
}

#[expect(clippy::disallowed_methods, reason = "a file that the disk knows nothing of")]
fn open_plain(path: &Path) -> std::fs::File {
    std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path).unwrap()
}

extern "C" fn with_three(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    assert!(!info.is_null());
    say_and_exit(b"three arguments");
}

extern "C" fn with_one(_: libc::c_int) {
    say_and_exit(b"one argument");
}

fn say_and_exit(text: &[u8]) {
    // SAFETY: writes a constant.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) };
}

fn install(handler: usize, flags: i32) {
    // SAFETY: all zero is the default action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    (action.sa_sigaction, action.sa_flags) = (handler, flags);
    // SAFETY: a whole action.
    assert_eq!(unsafe { libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut()) }, 0);
}

#[test]
fn stories_that_end_processes() {
    let folder = tempfile::tempdir().unwrap();
    let Ok(story) = env::var("BUS_ERROR_STORY") else { return };
    let three: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = with_three;
    let one: extern "C" fn(libc::c_int) = with_one;
    match story.as_str() {
        "a handler of three" => install(three as usize, libc::SA_SIGINFO),
        "a handler of one" => install(one as usize, 0),
        "ignored" | "ignored, and sent" => install(libc::SIG_IGN, 0),
        // Without the handler of the runtime, which waits for full stacks.
        "the default" | "the default, and sent" => install(libc::SIG_DFL, 0),
        _ => {}
    }
    let bus_errors = if story == "left" { BusErrors::Leave } else { BusErrors::Catch };
    let (file, mapping) = mapped(folder.path(), 2, bus_errors);
    file.set_len(0).unwrap();
    assert_eq!(read(&mapping, 1), [0; BLOCK_SIZE]);
    eprintln!("caught;");
    if story.ends_with("sent") {
        // SAFETY: sends a signal to this thread.
        unsafe { libc::raise(libc::SIGBUS) };
        eprintln!("went on");
    } else {
        touch_a_foreign_map(folder.path());
    }
}

#[test]
fn other_bus_errors_go_where_they_went_before() {
    for story in ["the default", "the handler of the runtime"] {
        let (signal, said) = in_a_process(story);
        assert!(signal == Some(libc::SIGBUS) && said.contains("caught"), "{story}: {signal:?} {said}");
    }
    let (signal, said) = in_a_process("the default, and sent");
    assert!(signal == Some(libc::SIGBUS) && !said.contains("went on"), "{signal:?} {said}");
    let (signal, said) = in_a_process("a handler of three");
    assert!(signal.is_none() && said.contains("caught;\nthree arguments"), "{signal:?} {said}");
    let (signal, said) = in_a_process("a handler of one");
    assert!(signal.is_none() && said.contains("caught;\none argument"), "{signal:?} {said}");
    let (signal, said) = in_a_process("ignored");
    assert!(signal == Some(libc::SIGBUS) && said.contains("caught"), "{signal:?} {said}");
    let (signal, said) = in_a_process("ignored, and sent");
    assert!(signal.is_none() && said.contains("went on"), "{signal:?} {said}");
    let (signal, said) = in_a_process("left");
    assert!(signal == Some(libc::SIGBUS) && !said.contains("caught"), "{signal:?} {said}");
}
