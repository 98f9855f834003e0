//! What the tests of bad days share: a scripted workload with the state that each commit leaves, runs of it on
//! disks that fail, and the question what a store holds.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]

pub mod behaviour;
pub mod follower;
pub mod script;

use std::{path::Path, sync::Arc};

use llmdb_engine::{Background, Engine, Options, Result, Snapshot};
use llmdb_vfs::{
    Vfs,
    crash::{Chooser, CrashVfs},
};

pub use script::{Change, Rows, Script, Step, Trees};

/// Where the tests keep their store.
pub const PATH: &str = "test.llmdb";
/// Where its log lies.
pub const LOG: &str = "test.llmdb-wal";

/// Options for a disk that repeats: no threads, a small log, checkpoints only when asked for.
pub fn options() -> Options {
    let mut options = Options::default();
    options.background = Background::Manual;
    options.log_window_bytes = 16 << 10;
    options.segment_bytes_max = 64 << 10;
    options
}

/// The same, without the right to write.
pub fn read_only() -> Options {
    let mut options = options();
    options.read_only = true;
    options
}

/// Opens the store on `disk`.
pub fn open(disk: &CrashVfs) -> Result<Engine> {
    open_with(disk, options())
}

/// The same, with options of its own.
pub fn open_with(disk: &CrashVfs, options: Options) -> Result<Engine> {
    Engine::open_on(arc(disk), PATH, options)
}

/// The same disk as the engine wants it.
pub fn arc(disk: &CrashVfs) -> Arc<dyn Vfs> {
    Arc::new(disk.clone())
}

/// Everything that a snapshot shows.
pub fn contents(snapshot: &Snapshot) -> Result<Trees> {
    let mut trees = Trees::new();
    for (name, count) in snapshot.trees()? {
        let tree = snapshot.tree(&name)?.expect("a listed tree exists");
        let rows = tree.iter()?.map(|row| row.map(|(key, value)| (key.to_vec(), value.to_vec())));
        let rows: Rows = rows.collect::<Result<_>>()?;
        assert_eq!(rows.len() as u64, count, "the count of tree {name}");
        trees.insert(name, rows);
    }
    Ok(trees)
}

/// Everything that the store shows.
pub fn state(engine: &Engine) -> Trees {
    contents(&engine.snapshot().unwrap()).unwrap()
}

/// Everything that is wrong with a store.
pub fn problems(engine: &Engine) -> Vec<String> {
    let report = engine.check(&mut |_, _| true).unwrap();
    report.problems.into_iter().map(|problem| format!("{:?}: {}", problem.tree, problem.what)).collect()
}

/// Asserts that a check finds nothing.
pub fn assert_sound(engine: &Engine) {
    assert_eq!(problems(engine), [""; 0]);
}

/// The disk as it is found when the process is killed now, and again what is not a choice.
pub fn killed(disk: &CrashVfs) -> CrashVfs {
    disk.process_crash(&mut Chooser::new(1))
}

/// Files of the log, in the order of their names.
pub fn segments(disk: &CrashVfs) -> Vec<(std::path::PathBuf, u64)> {
    disk.files().into_iter().filter(|(path, _)| path.starts_with(Path::new(LOG))).collect()
}

/// Reads a file as it lies on the disk.
pub fn bytes(disk: &CrashVfs, path: impl AsRef<Path>) -> Vec<u8> {
    let how = llmdb_vfs::Open { write: false, create: llmdb_vfs::Create::Never, direct: false };
    let file = disk.open(path.as_ref(), how).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    llmdb_vfs::read_exact_at(&*file, &mut bytes, 0).unwrap();
    bytes
}

/// Puts a file on the disk, whole and durable, replacing what is there.
pub fn put_file(disk: &CrashVfs, path: impl AsRef<Path>, bytes: &[u8]) {
    let how = llmdb_vfs::Open { write: true, create: llmdb_vfs::Create::IfMissing, direct: false };
    let file = disk.open(path.as_ref(), how).unwrap();
    file.set_len(0).unwrap();
    llmdb_vfs::write_all_at(&*file, bytes, 0).unwrap();
    file.sync_data().unwrap();
}
