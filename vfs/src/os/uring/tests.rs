use std::{mem::ManuallyDrop, os::fd::FromRawFd};

use super::*;
use crate::{Create, DirectIo, Open};

/// A ring and a file that it can write to; `None` where there is no io_uring or no direct file.
fn ring_and_file(folder: &tempfile::TempDir) -> Option<(UringRing, Arc<dyn File>)> {
    let how = Open { write: true, create: Create::New, direct: true };
    let file = OsFile::open(&folder.path().join("log"), how, DirectIo::Auto).unwrap();
    let ring = UringRing::new(4).inspect_err(|error| println!("skipped: {error}")).ok()?;
    file.direct()?;
    Some((ring, Arc::new(file)))
}

fn filled(blocks: usize, fill: u8) -> AlignedBuf {
    let mut buffer = AlignedBuf::new(blocks * BLOCK_SIZE);
    buffer.fill(fill);
    buffer
}

fn queued(ring: &mut UringRing) -> usize {
    ring.ring.submission().len()
}

#[test]
fn whatever_the_kernel_leaves_out_is_written_before_the_completion() {
    let folder = tempfile::tempdir().unwrap();
    let how = Open { write: true, create: Create::New, direct: true };
    let len = 4 * BLOCK_SIZE;
    let short = i32::try_from(2 * BLOCK_SIZE + 512).unwrap();
    let whole = i32::try_from(len).unwrap();
    let answers =
        [(whole, 0), (short, 2), (0, 4), (-libc::EINTR, 4), (-libc::ECANCELED, 4), (-libc::EINVAL, 4)];
    for (name, (answer, blocks_missing)) in answers.into_iter().enumerate() {
        let file = OsFile::open(&folder.path().join(name.to_string()), how, DirectIo::Auto).unwrap();
        let file: Arc<dyn File> = Arc::new(file);
        let write = UnderWay { token: 5, file: Arc::clone(&file), buffer: filled(6, 1), len, offset: 0 };
        let completion = write.complete(answer);
        completion.result.unwrap();
        assert_eq!((completion.token, completion.buffer.len()), (5, 6 * BLOCK_SIZE));
        let mut bytes = vec![0; len];
        let written = if blocks_missing == 0 { 0 } else { len as u64 };
        assert_eq!(file.len().unwrap(), written, "answer {answer}");
        let count = file.read_at(&mut bytes, 0).unwrap();
        let missing = bytes[..count].iter().filter(|byte| **byte == 1).count();
        assert_eq!(missing, blocks_missing * BLOCK_SIZE, "answer {answer}");
    }
}

#[test]
fn errors_of_the_media_are_passed_on_without_another_try() {
    let folder = tempfile::tempdir().unwrap();
    let how = Open { write: true, create: Create::New, direct: false };
    let file: Arc<dyn File> =
        Arc::new(OsFile::open(&folder.path().join("log"), how, DirectIo::Auto).unwrap());
    for errno in [libc::EIO, libc::ENOSPC, libc::EFBIG] {
        let write =
            UnderWay { token: 1, file: Arc::clone(&file), buffer: filled(1, 1), len: BLOCK_SIZE, offset: 0 };
        let error = write.complete(-errno).result.unwrap_err();
        assert_eq!(error.kind(), io::Error::from_raw_os_error(errno).kind());
        assert!(
            error.to_string().contains(&format!("log: {}", io::Error::from_raw_os_error(errno))),
            "{error}"
        );
        assert!(file.is_empty().unwrap());
    }
}

#[test]
fn a_lone_write_is_held_until_somebody_waits_or_kicks_or_submits_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some((mut ring, file)) = ring_and_file(&folder) else { return };
    ring.submit(&file, filled(1, 1), BLOCK_SIZE, 0, 0).unwrap();
    assert!(ring.lone.is_some() && ring.started() == 0);
    ring.kick();
    assert!(ring.lone.is_none() && ring.started() == 1);
    ring.wait().unwrap().result.unwrap();

    ring.submit(&file, filled(1, 1), BLOCK_SIZE, 0, 0).unwrap();
    ring.submit(&file, filled(1, 1), BLOCK_SIZE, BLOCK_SIZE as u64, 1).unwrap();
    assert_eq!(queued(&mut ring), 0);
    ring.wait().unwrap().result.unwrap();
    ring.wait().unwrap().result.unwrap();

    // Waited for while it is alone, it goes past the ring; held when the ring goes, it is written all the same.
    ring.submit(&file, filled(1, 2), BLOCK_SIZE, 2 * BLOCK_SIZE as u64, 7).unwrap();
    assert_eq!(ring.wait().unwrap().token, 7);
    assert_eq!(file.len().unwrap(), 3 * BLOCK_SIZE as u64);
    ring.submit(&file, filled(1, 3), BLOCK_SIZE, 3 * BLOCK_SIZE as u64, 8).unwrap();
    assert_eq!((ring.in_flight(), file.len().unwrap()), (1, 3 * BLOCK_SIZE as u64));
    drop(ring);
    assert_eq!(file.len().unwrap(), 4 * BLOCK_SIZE as u64);
}

#[test]
fn a_ring_that_the_kernel_no_longer_serves_fails_its_writes() {
    let folder = tempfile::tempdir().unwrap();
    let Some((mut ring, file)) = ring_and_file(&folder) else { return };
    ring.submit(&file, filled(1, 1), BLOCK_SIZE, 0, 3).unwrap();
    ring.queue_lone();
    // SAFETY: the ring goes on owning its descriptor, which is never closed through this value.
    let mut descriptor =
        ManuallyDrop::new(unsafe { std::os::fd::OwnedFd::from_raw_fd(ring.ring.as_raw_fd()) });
    rustix::io::dup2(tempfile::tempfile().unwrap(), &mut descriptor).unwrap();
    let completion = ring.wait().unwrap();
    assert_eq!(completion.token, 3);
    completion.result.unwrap_err();
    assert!(ring.wait().is_none());
}
