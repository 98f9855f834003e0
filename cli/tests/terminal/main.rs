//! The program seen from outside: what it prints, what it leaves, how it exits.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests make the files that the program reads"
)]

mod backups;
mod bad_days;
mod bench;
mod care;
mod catalog;
mod chaos;
mod doctor;
mod erase;
mod export;
mod guide;
mod import;
mod interrupted;
#[cfg(feature = "server")]
mod mcp;
mod memory;
mod restore;
mod rows;
mod tour;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// A folder with a database in it, and the program to use it with.
pub(crate) struct Desk {
    pub(crate) folder: TempDir,
}

/// What a run printed, and how it exited.
pub(crate) struct Run {
    pub(crate) exit: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.path("test.llmdb")
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program, told which database by its environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llmdb"));
        command.args(arguments).env("LLMDB_DB", self.db()).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.command(arguments).output().unwrap().into()
    }

    pub(crate) fn run_with_stdin(&self, arguments: &[&str], stdin: &[u8]) -> Run {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// Runs what must succeed and returns its text.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!(run.exit, 0, "{arguments:?}: {}", run.stderr);
        run.text()
    }

    /// Runs what must succeed with `--json` and returns its one object.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let text = self.ok(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// The text files below a folder of the desk.
    pub(crate) fn exists(&self, name: &str) -> bool {
        Path::new(&self.path(name)).exists()
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let stderr = String::from_utf8(output.stderr).unwrap();
        Self { exit: output.status.code().unwrap_or(-1), stdout: output.stdout, stderr }
    }
}

impl Run {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    /// The error that was printed for programs.
    pub(crate) fn error_code(&self) -> String {
        let error: Value = serde_json::from_str(&self.stderr).unwrap_or_else(|_| panic!("{}", self.stderr));
        assert_eq!(error["exit"], self.exit);
        assert!(error["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
        error["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// The value of a field of each line of JSON.
pub(crate) fn column(lines: &str, name: &str) -> Vec<String> {
    lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()[name].as_str().unwrap().into())
        .collect()
}
