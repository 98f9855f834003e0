//! Files in memory, as a whole.

use std::{path::Path, sync::Arc};

use llmdb_vfs::{Create, MemoryVfs, Open, Vfs, read_exact_at, write_all_at};

/// Path and bytes of each file of a disk.
pub type Files = Vec<(String, Vec<u8>)>;

/// All files in `folder` of `vfs`.
pub fn read_folder(vfs: &dyn Vfs, folder: &str) -> Files {
    let mut names = vfs.list_dir(Path::new(folder)).expect("the folder is there");
    names.sort();
    let path = |name: String| if folder.is_empty() { name } else { format!("{folder}/{name}") };
    names.into_iter().map(path).map(|path| (path.clone(), read_file(vfs, &path))).collect()
}

/// The bytes of a file.
pub fn read_file(vfs: &dyn Vfs, path: &str) -> Vec<u8> {
    let how = Open { write: false, create: Create::Never, direct: false };
    let file = vfs.open(Path::new(path), how).expect("the file is there");
    let mut bytes = vec![0; usize::try_from(file.len().expect("memory")).expect("it is in memory")];
    read_exact_at(&*file, &mut bytes, 0).expect("memory");
    bytes
}

/// A disk with `folders` and `files`.
pub fn disk(folders: &[&str], files: &Files) -> Arc<dyn Vfs> {
    let vfs = MemoryVfs::new(1);
    for folder in folders {
        vfs.create_dir(Path::new(folder)).expect("memory");
    }
    for (path, bytes) in files {
        let file = vfs.open(Path::new(path), Open { write: true, create: Create::IfMissing, direct: false });
        write_all_at(&*file.expect("memory"), bytes, 0).expect("memory");
    }
    Arc::new(vfs)
}

/// Bytes that follow from `seed`.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut chooser = llmdb_vfs::crash::Chooser::new(seed);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&chooser.next_u64().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
