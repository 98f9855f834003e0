//! The picture of the house as a table, and tests that fail with the name of whoever steps outside it.
//!
//! Knows folders and text. Does not know what any of the code does.
#![forbid(unsafe_code)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A room: its folder, and the packages of this workspace that it may name.
pub struct Room {
    /// Folder, from the root.
    pub folder: &'static str,
    /// Packages that it may depend on, dev-dependencies aside.
    pub may_name: &'static [&'static str],
    /// Whether it must forbid unsafe code, having no door.
    pub forbids_unsafe: bool,
}

/// Who may look at whom. A room names only rooms further up in this list.
pub const ROOMS: &[Room] = &[
    Room { folder: "base", may_name: &[], forbids_unsafe: true },
    Room { folder: "vfs", may_name: &["llmdb-base"], forbids_unsafe: false },
    Room { folder: "pager", may_name: &["llmdb-base", "llmdb-vfs"], forbids_unsafe: false },
    Room { folder: "btree", may_name: &["llmdb-base"], forbids_unsafe: true },
    Room { folder: "wal", may_name: &["llmdb-base", "llmdb-vfs"], forbids_unsafe: true },
    Room {
        folder: "engine",
        may_name: &["llmdb-base", "llmdb-vfs", "llmdb-pager", "llmdb-btree", "llmdb-wal"],
        forbids_unsafe: true,
    },
    Room { folder: "temporal", may_name: &["llmdb-base", "llmdb-engine"], forbids_unsafe: true },
    Room { folder: "catalog", may_name: &["llmdb-base", "llmdb-temporal"], forbids_unsafe: true },
    Room {
        folder: "models/text",
        may_name: &["llmdb-base", "llmdb-engine", "llmdb-temporal"],
        forbids_unsafe: true,
    },
    Room {
        folder: "memory",
        may_name: &["llmdb-base", "llmdb-temporal", "llmdb-text"],
        forbids_unsafe: true,
    },
    Room {
        folder: "llmdb",
        may_name: &["llmdb-engine", "llmdb-temporal", "llmdb-catalog", "llmdb-text", "llmdb-memory"],
        forbids_unsafe: true,
    },
    // Of the lowest room it names the planted bugs only.
    Room { folder: "server", may_name: &["llmdb-base", "llmdb"], forbids_unsafe: true },
    Room { folder: "cli", may_name: &["llmdb", "llmdb-server"], forbids_unsafe: true },
];

/// Folders beside the rooms, which may use anything and which nobody uses.
pub const BESIDE: &[&str] = &["sim", "bench/own", "tidy"];

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text of a file below the root; empty if there is none.
pub fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}

/// Every file below `folder` whose name ends with `ending`, as paths from the root, without what builds and other
/// packages leave.
pub fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&root(), Path::new(folder), ending, &mut found);
    found.sort();
    found
}

fn walk(root: &Path, folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder == Path::new(".") { PathBuf::from(&name) } else { folder.join(&name) };
        if name == "target" || name == "node_modules" || name.starts_with('.') {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(root, &path, ending, found),
            Ok(_) if name.ends_with(ending) => found.push(path),
            _ => {}
        }
    }
}

/// Names of this workspace's packages that a manifest lists under `[dependencies]` and target-specific ones.
pub fn own_dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]") && !line.contains("dev-");
        } else if inside && line.starts_with("llmdb") {
            let end = line.find(['.', ' ', '=']).unwrap_or(line.len());
            names.push(line[..end].to_owned());
        }
    }
    names
}
