//! The files that are not the database's own, and the clock: the one place that asks the system for them.
#![expect(clippy::disallowed_methods, reason = "user files and durations; the database has its own door")]

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use crate::failure::Failure;

/// Measures how long something takes.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    pub fn seconds(&self) -> f64 {
        self.elapsed().as_secs_f64()
    }
}

/// The clock, in microseconds since 1970; 0 if it stands before that.
pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Opens a file of the user's for reading.
pub fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Reads a whole file of the user's.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path)
}

/// The absolute name of a file that exists.
pub fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    fs::canonicalize(path).map_err(|error| Failure::file(path, &error))
}

/// A file that gets its name only once it is whole; without that it goes when dropped.
#[derive(Debug)]
pub struct Draft {
    pub file: File,
    path: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl Draft {
    /// Begins a file beside `target`.
    pub fn create(target: &Path) -> Result<Self, Failure> {
        let mut name = target.as_os_str().to_owned();
        name.push("-new");
        let path = PathBuf::from(name);
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.map_err(|error| Failure::file(&path, &error))?;
        Ok(Self { file, path, target: target.to_owned(), finished: false })
    }

    /// Where the file is until it is finished.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Forces the file to the media and gives it its name.
    pub fn finish(mut self) -> Result<(), Failure> {
        let name = || {
            self.file.sync_all()?;
            fs::rename(&self.path, &self.target)?;
            sync_folder_of(&self.target)
        };
        name().map_err(|error| Failure::file(&self.target, &error))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.finished {
            // A draft that cannot be removed is overwritten by the next one.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Renames a file or a folder, durably.
pub fn rename(from: &Path, to: &Path) -> Result<(), Failure> {
    let rename = || {
        fs::rename(from, to)?;
        sync_folder_of(to)
    };
    rename().map_err(|error| Failure::file(from, &error))
}

/// Removes a file that nobody needs any more.
pub fn remove(path: &Path) -> Result<(), Failure> {
    fs::remove_file(path).map_err(|error| Failure::file(path, &error))
}

#[cfg(unix)]
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Other systems make names durable by themselves, and do not open folders as files.
#[cfg(not(unix))]
fn sync_folder_of(_: &Path) -> io::Result<()> {
    Ok(())
}
