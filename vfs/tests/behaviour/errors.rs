//! What cannot be done is an error of a kind that says why, and names the file.

use std::io::ErrorKind;

use llmdb_vfs::write_all_at;

use crate::*;

#[test]
fn a_missing_folder_is_not_found_by_name() {
    on_every_disk(|disk| {
        let path = disk.path("nowhere/data");
        for how in [NEW, WRITE, READ] {
            let error = disk.vfs.open(&path, how).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(error.to_string().contains("nowhere"), "{error}");
        }
        assert_eq!(disk.vfs.create_dir(&disk.path("nowhere/inner")).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(disk.vfs.remove_file(&path).unwrap_err().kind(), ErrorKind::NotFound);
        disk.create("file");
        assert_eq!(disk.vfs.rename(&disk.path("file"), &path).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(disk.vfs.exists(&disk.path("file")).unwrap());
    });
}

#[test]
fn a_file_opened_for_reading_cannot_be_changed() {
    on_every_disk(|disk| {
        write_all_at(&*disk.create("data"), b"as it was", 0).unwrap();
        let file = disk.vfs.open(&disk.path("data"), READ).unwrap();
        write_all_at(&*file, b"changed", 0).unwrap_err();
        file.write_durable_at(&filled(1, 1), 0).unwrap_err();
        file.set_len(1).unwrap_err();
        file.allocate(0, at(1)).unwrap_err();

        let mut ring = disk.vfs.ring(2).unwrap();
        ring.submit(&file, filled(1, 1), BLOCK_SIZE, 0, 7).unwrap();
        let completion = ring.wait().unwrap();
        assert_eq!(completion.token, 7);
        completion.result.unwrap_err();
        assert_eq!(contents(&*file), b"as it was");
    });
}

#[test]
fn space_that_no_disk_has_is_refused() {
    on_every_disk(|disk| {
        let file = disk.create("data");
        write_all_at(&*file, b"as it was", 0).unwrap();
        // More than any filesystem lets a file grow: refused before anything is taken.
        let error = file.allocate(0, 1 << 62).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::FileTooLarge), "{error}");
        assert_eq!(contents(&*file), b"as it was");
    });
}

#[cfg(unix)]
#[test]
fn missing_rights_are_said_to_be_missing() {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt},
    };

    on_every_disk(|disk| {
        if !disk.is_real() || fs::metadata(&disk.folder).unwrap().uid() == 0 {
            println!("skipped: nothing is forbidden to root, nor in memory");
            return;
        }
        disk.create("data");
        fs::set_permissions(disk.path("data"), fs::Permissions::from_mode(0o400)).unwrap();
        let error = disk.vfs.open(&disk.path("data"), WRITE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        fs::set_permissions(&disk.folder, fs::Permissions::from_mode(0o500)).unwrap();
        let error = disk.vfs.open(&disk.path("new"), NEW).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        fs::set_permissions(&disk.folder, fs::Permissions::from_mode(0o700)).unwrap();
    });
}
