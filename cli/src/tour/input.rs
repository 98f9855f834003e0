//! Something real to put into the database: the files here, and their history.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::json;

use crate::{host, measure::Random};

/// The tour takes no more than this, so that it stays short wherever it is started.
const FILES_MAX: usize = 10_000;
const BYTES_MAX: u64 = 64 << 20;
const FILE_BYTES_MAX: u64 = 8 << 20;
const FOLDERS_MAX: usize = 2_000;
const COMMITS_MAX: u32 = 20_000;

/// What the tour imports.
pub struct Input {
    /// Where it comes from, for the story.
    pub origin: String,
    pub files: Files,
    /// Keys begin with the date, so that a prefix is a period.
    pub history: Vec<(String, String)>,
}

/// Keys, and where their values are.
pub enum Files {
    Here(Vec<(String, PathBuf)>),
    Made(Vec<(String, Vec<u8>)>),
}

impl Input {
    /// What there is in `folder`.
    pub fn gather(folder: &Path) -> Self {
        if let Some(names) = tracked_files(folder) {
            let history = history(folder);
            let origin = format!("the files that git tracks in {}, and their history", folder.display());
            return Self { origin, files: Files::Here(within_limits(names)), history };
        }
        let names = within_limits(walk(folder));
        if names.is_empty() {
            return Self {
                origin: "data made on the spot".into(),
                files: Files::Made(made()),
                history: Vec::new(),
            };
        }
        Self {
            origin: format!("the files in {}", folder.display()),
            files: Files::Here(names),
            history: Vec::new(),
        }
    }

    /// Calls `each` for every file that can be read.
    pub fn for_each_file<E>(&self, mut each: impl FnMut(&str, Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        match &self.files {
            Files::Made(files) => files.iter().try_for_each(|(key, value)| each(key, value.clone())),
            Files::Here(files) => {
                // A file that has gone, or cannot be read, is not what the tour is about.
                files
                    .iter()
                    .filter_map(|(key, path)| Some((key, host::read(path).ok()?)))
                    .try_for_each(|(key, value)| each(key, value))
            }
        }
    }
}

/// Output of git, if it is there and `folder` is in a checkout.
pub(super) fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(arguments).env("TZ", "UTC").stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn tracked_files(folder: &Path) -> Option<Vec<(String, PathBuf)>> {
    let list = git(folder, &["ls-files", "-z"])?;
    let names: Vec<_> = list
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(|name| (name.to_owned(), folder.join(name)))
        .collect();
    (!names.is_empty()).then_some(names)
}

fn history(folder: &Path) -> Vec<(String, String)> {
    let format = "--format=%cd%x1f%H%x1f%an%x1f%s";
    let count = format!("-n{COMMITS_MAX}");
    let log = git(folder, &["log", "-z", &count, "--date=format-local:%Y-%m-%dT%H:%M:%SZ", format]);
    let commit = |text: &str| {
        let mut fields = text.splitn(4, '\x1f');
        let (date, hash) = (fields.next()?, fields.next()?);
        let (author, subject) = (fields.next()?, fields.next()?);
        Some((format!("{date} {hash}"), json!({ "author": author, "subject": subject }).to_string()))
    };
    log.unwrap_or_default().split('\0').filter_map(commit).collect()
}

fn within_limits(names: Vec<(String, PathBuf)>) -> Vec<(String, PathBuf)> {
    let mut left_bytes = BYTES_MAX;
    let fits = |(_, path): &(String, PathBuf)| match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.len() <= left_bytes.min(FILE_BYTES_MAX) => {
            left_bytes -= metadata.len();
            true
        }
        _ => false,
    };
    names
        .into_iter()
        .filter(|(name, _)| name.len() <= llmdb::KEY_LEN_MAX)
        .filter(fits)
        .take(FILES_MAX)
        .collect()
}

/// Files below `folder`, nearest first, without hidden ones and what builds leave.
fn walk(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut folders = VecDeque::from([(String::new(), folder.to_owned())]);
    for _ in 0..FOLDERS_MAX {
        let Some((prefix, folder)) = folders.pop_front() else { break };
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries.take(FILES_MAX) {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') || name == "target" || name == "node_modules" {
                continue;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push_back((format!("{prefix}{name}/"), entry.path())),
                Ok(kind) if kind.is_file() => found.push((format!("{prefix}{name}"), entry.path())),
                _ => {}
            }
        }
        if found.len() >= FILES_MAX {
            break;
        }
    }
    found
}

/// Pages of words, for a folder where there is nothing.
fn made() -> Vec<(String, Vec<u8>)> {
    const WORDS: [&str; 8] = ["page", "root", "leaf", "branch", "log", "commit", "snapshot", "checkpoint"];
    let mut random = Random(1);
    let mut word = || WORDS[usize::try_from(random.next() % 8).expect("below 8")];
    (0..2_000)
        .map(|number| {
            let text: String = (0..200 + number % 300).map(|_| format!("{} ", word())).collect();
            (format!("{}/{number:04}.txt", WORDS[number % 8]), text.into_bytes())
        })
        .collect()
}
