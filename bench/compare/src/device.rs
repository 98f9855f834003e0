//! What the disk below a folder did: bytes written according to the block layer, space taken, space left.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::engine::Outcome;

/// The block device below a folder.
#[derive(Clone, Debug)]
pub struct Device {
    major: u32,
    minor: u32,
    /// Its name in /dev.
    pub name: String,
}

impl Device {
    /// The device below `dir`; `None` if the file system is not on one (overlay, tmpfs, network).
    pub fn below(dir: &Path) -> Option<Device> {
        let id = fs::metadata(dir).ok()?.dev();
        let (major, minor) = (rustix::fs::major(id), rustix::fs::minor(id));
        let stats = fs::read_to_string("/proc/diskstats").ok()?;
        let fields = fields_of(&stats, major, minor)?;
        Some(Device { major, minor, name: fields[2].to_owned() })
    }

    /// Bytes written since the machine started, by everybody.
    pub fn written_bytes(&self) -> u64 {
        let stats = fs::read_to_string("/proc/diskstats").unwrap_or_default();
        let sectors =
            fields_of(&stats, self.major, self.minor).and_then(|fields| fields.get(9)?.parse::<u64>().ok());
        sectors.unwrap_or(0) * 512
    }
}

fn fields_of(stats: &str, major: u32, minor: u32) -> Option<Vec<&str>> {
    stats.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find(|fields| {
        fields.first().is_some_and(|it| it.parse() == Ok(major))
            && fields.get(1).is_some_and(|it| it.parse() == Ok(minor))
    })
}

/// Counts what the device below a folder writes from now on.
pub struct Meter {
    device: Option<Device>,
    start_bytes: u64,
}

impl Meter {
    /// Starts counting, after whatever is still on its way has been written.
    ///
    /// # Errors
    /// The folder cannot be opened or synced.
    pub fn start(dir: &Path) -> Outcome<Meter> {
        sync_file_system(dir)?;
        let device = Device::below(dir);
        let start_bytes = device.as_ref().map_or(0, Device::written_bytes);
        Ok(Meter { device, start_bytes })
    }

    /// Bytes written since the start; `None` if there is no block device to ask.
    pub fn written_bytes(&self) -> Option<u64> {
        self.device.as_ref().map(|device| device.written_bytes() - self.start_bytes)
    }
}

/// Writes everything dirty on the file system of `dir` to its device, and waits.
///
/// # Errors
/// The folder cannot be opened, or the device fails.
pub fn sync_file_system(dir: &Path) -> Outcome<()> {
    Ok(rustix::fs::syncfs(File::open(dir)?)?)
}

/// Bytes that the files of a folder take on the disk (holes take none).
///
/// # Errors
/// A file cannot be looked at.
pub fn disk_bytes(dir: &Path) -> Outcome<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let about = entry.metadata()?;
        sum += if about.is_dir() { disk_bytes(&entry.path())? } else { about.blocks() * 512 };
    }
    Ok(sum)
}

/// Bytes that may still be written to the file system of `dir`.
///
/// # Errors
/// The file system does not tell.
pub fn free_bytes(dir: &Path) -> Outcome<u64> {
    let about = rustix::fs::statvfs(dir)?;
    Ok(about.f_bavail * about.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_line_of_a_device() {
        let stats = "   7       0 loop0 0 0 0 0 0 0 0 0\n 254       0 vda 6345 3858 2909986 8231 1387 6490 2494096 9884\n";
        let fields = fields_of(stats, 254, 0).expect("it is there");
        assert_eq!((fields[2], fields[9]), ("vda", "2494096"));
        assert!(fields_of(stats, 8, 0).is_none());
    }
}
