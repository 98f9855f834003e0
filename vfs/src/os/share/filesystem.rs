//! Filesystems on which locks or shared maps do not reach everybody who may open the file.
//!
//! A filesystem that several machines mount keeps the pages of a map in each of them: a store here is not seen
//! there, whatever its locks do. They are known by the number that `statfs` gives, and those that run as a program
//! (FUSE) by the name in the table of mounts.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
};

use crate::share::ShareError;

const FUSE: u32 = 0x6573_5546;

/// Filesystems between machines, and their numbers.
const REMOTE: &[(u32, &str)] = &[
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFE53_4D42, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0x00C3_6400, "CephFS"),
    (0x0116_1970, "GFS2"),
    (0x0BD0_0BD0, "Lustre"),
    (0x7461_636F, "OCFS2"),
    (0x5346_414F, "AFS"),
    (0x6B41_4653, "AFS"),
    (0x0102_1997, "9P"),
    (0x7375_7245, "Coda"),
    (0x1983_0326, "BeeGFS"),
    (0x4750_4653, "GPFS"),
    (0xAAD7_AAEA, "PanFS"),
    (0x786F_4256, "a shared folder of VirtualBox"),
    (0x7C7C_6673, "a shared folder of Parallels"),
    (0xBACB_ACBC, "a shared folder of VMware"),
];

/// Beginnings of the names of FUSE filesystems between machines.
const REMOTE_FUSE: &[&str] = &[
    "virtiofs",
    "fuse.sshfs",
    "fuse.s3",
    "fuse.gcsfuse",
    "fuse.rclone",
    "fuse.glusterfs",
    "fuse.ceph",
    "fuse.juicefs",
    "fuse.blobfuse",
    "fuse.goofys",
    "fuse.seaweedfs",
    "fuse.weed",
    "fuse.moosefs",
    "fuse.mfs",
    "fuse.davfs",
    "fuse.curlftpfs",
    "fuse.smbnetfs",
    "fuse.vmhgfs",
    "fuse.hdfs",
    "fuse.beegfs",
    "fuse.lizardfs",
];

/// Refuses files that other machines may have open.
pub(super) fn check(file: &File) -> Result<(), ShareError> {
    let found = rustix::fs::fstatfs(file).map_err(|error| ShareError::Io(error.into()))?;
    #[expect(clippy::cast_possible_truncation, reason = "the numbers have 32 bits, in a type that differs")]
    let number = found.f_type as u32;
    let name = if number == FUSE {
        name_of_fuse(file).filter(|name| is_remote_fuse(name))
    } else {
        remote(number).map(str::to_owned)
    };
    name.map_or(Ok(()), |name| Err(refusal(&name)))
}

fn refusal(name: &str) -> ShareError {
    let why = "other machines may have the file open, and would neither see each other's locks nor each other's memory";
    ShareError::unsupported(format!("the folder lies on {name}: {why}"))
}

fn remote(number: u32) -> Option<&'static str> {
    REMOTE.iter().find(|(remote, _)| *remote == number).map(|(_, name)| *name)
}

fn is_remote_fuse(name: &str) -> bool {
    REMOTE_FUSE.iter().any(|remote| name.starts_with(remote))
}

/// The name of the filesystem that the file lies on; `None` if the system does not tell.
fn name_of_fuse(file: &File) -> Option<String> {
    let device = file.metadata().ok()?.dev();
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    name_in_mounts(&mounts, &device).map(str::to_owned)
}

/// `36 35 98:0 /root /mount/point rw,noatime master:1 - fuse.sshfs user@host: rw`: the third field is the device,
/// and the name stands behind the dash.
fn name_in_mounts<'a>(mounts: &'a str, device: &str) -> Option<&'a str> {
    let mount = mounts.lines().find(|mount| mount.split(' ').nth(2) == Some(device))?;
    mount.split_once(" - ")?.1.split(' ').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filesystems_between_machines_are_refused_by_name() {
        for (number, name) in
            [(0x6969, "NFS"), (0xFF53_4D42, "CIFS"), (0x0102_1997, "9P"), (0x00C3_6400, "Ceph")]
        {
            let error = refusal(remote(number).unwrap()).to_string();
            assert!(error.contains(name) && error.contains("other machines"), "{error}");
        }
        // ext4, tmpfs, btrfs, overlayfs, XFS.
        for number in [0xEF53, 0x0102_1994, 0x9123_683E, 0x794C_7630, 0x5846_5342] {
            assert_eq!(remote(number), None);
        }
    }

    #[test]
    fn programs_that_are_filesystems_are_known_by_their_mounts() {
        let mounts = "22 1 0:20 / /sys rw - sysfs sysfs rw\n\
                      90 1 0:51 / /home/me/far rw,nosuid shared:4 - fuse.sshfs me@far: rw,user_id=0\n\
                      91 1 0:52 / /var/lib rw - fuse.fuse-overlayfs fuse-overlayfs rw\n";
        assert_eq!(name_in_mounts(mounts, "0:51"), Some("fuse.sshfs"));
        assert_eq!(name_in_mounts(mounts, "0:52"), Some("fuse.fuse-overlayfs"));
        assert_eq!(name_in_mounts(mounts, "0:5"), None);
        assert!(is_remote_fuse("fuse.sshfs") && is_remote_fuse("virtiofs"));
        assert!(!is_remote_fuse("fuse.fuse-overlayfs") && !is_remote_fuse("fuseblk"));
    }

    #[test]
    fn the_folder_of_this_test_is_accepted() {
        check(&tempfile::tempfile().unwrap()).unwrap();
    }
}
