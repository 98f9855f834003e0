//! Folders of stores: copied with their holes, and removed even after an interrupted run.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::SeekFrom;

use crate::engine::Outcome;

const PREFIX: &str = "llmdb-compare-";

/// A folder for this run's stores, removed at the end.
pub struct RunFolder {
    /// Where it is.
    pub path: PathBuf,
}

impl RunFolder {
    /// Makes a folder inside `parent`, and removes those that runs left behind which were killed.
    ///
    /// # Errors
    /// The parent cannot be read or written.
    pub fn create(parent: &Path) -> Outcome<RunFolder> {
        fs::create_dir_all(parent)?;
        for entry in fs::read_dir(parent)?.flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok())
            else {
                continue;
            };
            if !Path::new(&format!("/proc/{pid}")).exists() {
                fs::remove_dir_all(entry.path())?;
            }
        }
        let path = parent.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(RunFolder { path })
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("compare: could not remove {}: {error}", self.path.display());
        }
    }
}

/// Copies the files of a folder. Holes stay holes: a mapped store may be a few megabytes in a file of 64 GiB.
///
/// # Errors
/// Reading or writing fails.
pub fn copy_folder(from: &Path, to: &Path) -> Outcome<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            copy_file(&entry.path(), &target)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Outcome<()> {
    let (source, target) = (File::open(from)?, File::create(to)?);
    let len = source.metadata()?.len();
    target.set_len(len)?;
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    while at < len {
        let Some(data) = next_data(&source, at)? else { break };
        let end = rustix::fs::seek(&source, SeekFrom::Hole(data))?;
        at = data;
        while at < end {
            let part = buffer.len().min(usize::try_from(end - at)?);
            source.read_exact_at(&mut buffer[..part], at)?;
            target.write_all_at(&buffer[..part], at)?;
            at += part as u64;
        }
    }
    Ok(())
}

/// Where data begins at or behind `at`; `None` if only a hole follows.
fn next_data(file: &File, at: u64) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(data) => Ok(Some(data)),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_data_and_keeps_holes() {
        let parent = std::env::temp_dir().join(format!("compare-tests-{}", std::process::id()));
        let folder = RunFolder::create(&parent).expect("writable");
        let (from, to) = (folder.path.join("from"), folder.path.join("to"));
        fs::create_dir_all(from.join("inner")).expect("writable");
        let file = File::create(from.join("inner/sparse")).expect("writable");
        file.write_all_at(b"begin", 0).expect("writable");
        file.write_all_at(b"end", 1 << 30).expect("writable");
        copy_folder(&from, &to).expect("copies");
        let copy = File::open(to.join("inner/sparse")).expect("was copied");
        let mut end = [0; 3];
        copy.read_exact_at(&mut end, 1 << 30).expect("has the length");
        assert_eq!(&end, b"end");
        assert!(crate::device::disk_bytes(&to).expect("readable") < 1 << 20);
        drop(folder);
        fs::remove_dir(parent).expect("the folder inside is gone");
    }
}
