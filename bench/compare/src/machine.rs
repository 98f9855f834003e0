//! The machine that the figures belong to, asked at run time.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::device::Device;

/// What a reader must know about the machine.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Processor model.
    pub cpu: String,
    /// Logical processors.
    pub cpus: usize,
    /// Memory in GiB.
    pub memory_gib: f64,
    /// Operating system and kernel release.
    pub kernel: String,
    /// Type of the file system that holds the stores.
    pub filesystem: String,
    /// Block device below it.
    pub device: String,
    /// Start of the run, UTC.
    pub date: String,
    /// Load average of the last minute at the start: above 0.2 the figures are doubtful.
    pub load: f64,
}

impl Machine {
    /// Describes this machine and the disk below `dir`.
    pub fn here(dir: &Path) -> Machine {
        let cpuinfo = read("/proc/cpuinfo");
        let name = rustix::system::uname();
        Machine {
            cpu: value_of(&cpuinfo, "model name").unwrap_or("unknown").to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: (memory_bytes() as f64 / f64::from(1 << 30) * 10.0).round() / 10.0,
            kernel: format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy()),
            filesystem: filesystem_of(dir),
            device: Device::below(dir).map_or_else(|| "none".to_owned(), |device| device.name),
            date: utc_now(),
            load: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
        }
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let Machine { cpu, cpus, memory_gib, kernel, filesystem, device, date, load } = self;
        format!(
            "{cpu}, {cpus} CPUs, {memory_gib} GiB; {kernel}; {filesystem} on {device}; {date}; load {load}"
        )
    }
}

/// Bytes of memory of this machine; 8 GiB if it does not tell.
pub fn memory_bytes() -> u64 {
    let meminfo = read("/proc/meminfo");
    let kib = value_of(&meminfo, "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    kib.map_or(8 << 30, |kib| kib << 10)
}

/// Resident memory of this process in bytes: all of it, and the part that is no file's.
pub fn resident_bytes() -> (u64, u64) {
    let status = read("/proc/self/status");
    let field = |name| {
        let kib = value_of(&status, name).and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        kib.unwrap_or(0) << 10
    };
    (field("VmRSS"), field("RssAnon"))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn value_of<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// The type of the mount with the longest path above `dir`.
fn filesystem_of(dir: &Path) -> String {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mounts = read("/proc/self/mounts");
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let above = mounts.filter(|(path, _)| dir.starts_with(path));
    above.max_by_key(|(path, _)| path.len()).map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}

fn utc_now() -> String {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, seconds) = (since / 86_400, since % 86_400);
    let (year, month, day) = date_of(days);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60)
}

/// The Gregorian date of a day counted from 1970-01-01, by eras of 400 years that begin in March.
fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date_of(0), (1970, 1, 1));
        assert_eq!(date_of(19_782), (2024, 2, 29));
        assert_eq!(date_of(20_088), (2024, 12, 31));
    }

    #[test]
    fn fields_of_proc_files() {
        assert_eq!(value_of("MemTotal:       24576 kB\nMemFree: 1 kB", "MemTotal"), Some("24576 kB"));
    }
}
