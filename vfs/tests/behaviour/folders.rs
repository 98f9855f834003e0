//! Names: creating, listing, renaming, removing.

use std::io::ErrorKind;

use llmdb_vfs::write_all_at;

use crate::*;

#[test]
fn files_are_listed_by_name_and_folders_are_not() {
    on_every_disk(|disk| {
        for name in ["b", "a", "c"] {
            disk.create(name);
        }
        disk.vfs.create_dir(&disk.path("inner")).unwrap();
        disk.create("inner/d");
        assert_eq!(disk.vfs.list_dir(&disk.folder).unwrap(), ["a", "b", "c"]);
        assert_eq!(disk.vfs.list_dir(&disk.path("inner")).unwrap(), ["d"]);
        assert_eq!(disk.vfs.list_dir(&disk.path("nowhere")).unwrap_err().kind(), ErrorKind::NotFound);
        disk.vfs.sync_dir(&disk.folder).unwrap();
        disk.vfs.sync_dir(&disk.path("inner")).unwrap();
        assert_eq!(disk.vfs.sync_dir(&disk.path("nowhere")).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_rename_replaces_what_had_the_name() {
    on_every_disk(|disk| {
        let new = disk.create("new");
        write_all_at(&*new, b"new", 0).unwrap();
        write_all_at(&*disk.create("old"), b"old", 0).unwrap();
        disk.vfs.rename(&disk.path("new"), &disk.path("old")).unwrap();
        assert_eq!(disk.vfs.list_dir(&disk.folder).unwrap(), ["old"]);
        assert_eq!(contents(&*disk.vfs.open(&disk.path("old"), READ).unwrap()), b"new");
        write_all_at(&*new, b"again", 0).unwrap();
        assert_eq!(contents(&*disk.vfs.open(&disk.path("old"), READ).unwrap()), b"again");
        let missing = disk.vfs.rename(&disk.path("new"), &disk.path("old")).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn folders_are_made_once_and_removed_when_empty() {
    on_every_disk(|disk| {
        let folder = disk.path("folder");
        assert!(!disk.vfs.exists(&folder).unwrap());
        disk.vfs.create_dir(&folder).unwrap();
        disk.vfs.create_dir(&folder).unwrap();
        assert!(disk.vfs.exists(&folder).unwrap());
        disk.create("folder/file");
        assert_eq!(disk.vfs.remove_dir(&folder).unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
        disk.vfs.remove_file(&disk.path("folder/file")).unwrap();
        disk.vfs.remove_dir(&folder).unwrap();
        assert!(!disk.vfs.exists(&folder).unwrap());
        assert_eq!(disk.vfs.remove_dir(&folder).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_file_is_no_folder_and_a_folder_no_file() {
    on_every_disk(|disk| {
        disk.create("file");
        assert_eq!(disk.vfs.create_dir(&disk.path("file")).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(disk.vfs.open(&disk.folder, READ).unwrap_err().kind(), ErrorKind::IsADirectory);
    });
}
