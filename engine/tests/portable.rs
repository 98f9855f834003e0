//! The same behaviour on the real disk, by the plainest means of an operating system and by the best ones it has:
//! without io_uring and without writes past the page cache, every guarantee is kept.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
mod common;

/// Writes by `pwrite` and `fdatasync` through the page cache, as on a system that has nothing else.
mod plain {
    use super::common::behaviour::Disk;
    use llmdb_vfs::{DirectIo, OsOptions, RingChoice};

    crate::behaviour_on!(Disk::real(OsOptions {
        ring: RingChoice::Portable,
        direct: DirectIo::Off,
        ..OsOptions::default()
    }));
}

/// Writes past the page cache, but one after the other.
mod direct {
    use super::common::behaviour::Disk;
    use llmdb_vfs::{DirectIo, OsOptions, RingChoice};

    crate::behaviour_on!(Disk::real(OsOptions {
        ring: RingChoice::Portable,
        direct: DirectIo::Auto,
        ..OsOptions::default()
    }));
}

/// The best there is.
mod best {
    use super::common::behaviour::Disk;
    use llmdb_vfs::OsOptions;

    crate::behaviour_on!(Disk::real(OsOptions::default()));
}

#[test]
fn a_store_moves_between_the_means() {
    use common::behaviour::{Disk, rows};
    use llmdb_engine::{Engine, Options};
    use llmdb_vfs::{DirectIo, OsOptions, OsVfs, RingChoice};
    use std::sync::Arc;

    let plain = OsOptions { ring: RingChoice::Portable, direct: DirectIo::Off, ..OsOptions::default() };
    let best = OsOptions::default();
    let disk = Disk::real(best);
    for round in 0..6u32 {
        let means = if round % 2 == 0 { plain } else { best };
        let vfs = Arc::new(OsVfs::with_options(means));
        let engine = Engine::open_on(vfs, disk.path(), Options::default()).unwrap();
        assert_eq!(rows(&engine).len(), round as usize);
        let mut txn = engine.begin_write().unwrap();
        txn.put(round.to_be_bytes(), vec![7; 5_000]).unwrap();
        txn.commit().unwrap();
        let ring = engine.stats().unwrap().log.unwrap().ring;
        assert!(means != plain || ring == Some(llmdb_vfs::RingKind::Portable), "{ring:?}");
        assert!(engine.check(&mut |_, _| true).unwrap().is_sound());
    }
}

/// What the program was told through the log.
struct Heard(std::sync::Mutex<Vec<String>>);

static HEARD: Heard = Heard(std::sync::Mutex::new(Vec::new()));

impl log::Log for Heard {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

/// A ring of this depth is more than any kernel gives, so that asking for it stands for a kernel that gives none.
#[test]
fn the_fallback_is_said_once() {
    use llmdb_vfs::{OsVfs, RingKind, Vfs};
    log::set_logger(&HEARD).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let vfs = OsVfs::new();
    let has_io_uring = vfs.ring(4).unwrap().kind() == RingKind::IoUring;
    for _ in 0..3 {
        assert_eq!(vfs.ring(1 << 17).unwrap().kind(), RingKind::Portable);
    }
    let heard = HEARD.0.lock().unwrap();
    let said = heard.iter().filter(|line| line.contains("pwrite and fdatasync")).count();
    // Without io_uring, another test of this program may have been told before this one listened.
    assert!(said == 1 || said == 0 && !has_io_uring, "{heard:?}");
}
