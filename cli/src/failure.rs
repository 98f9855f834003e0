//! Why a command ends early: an exit code for scripts, a message and advice for people.

use std::{fmt, io, path::Path, process::ExitCode};

use llmdb::ErrorKind;
use serde_json::json;

/// What the exit code of the program means; documented in `docs/cli.md` and in the help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    NotFound = 1,
    Usage = 2,
    Damaged = 3,
    Io = 4,
    NoSpace = 5,
    Locked = 6,
    NotADatabase = 7,
    Missing = 8,
    NotKept = 9,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command that could not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    code: &'static str,
    message: String,
    advice: Option<String>,
}

impl Failure {
    /// The call makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, code: "misuse", message: message.into(), advice: None }
    }

    /// The key or the tree is not there.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self { exit: Exit::NotFound, code: "not_found", message: format!("{what}: not found"), advice: None }
    }

    /// Bytes that should mean something do not.
    pub fn damaged(message: impl Into<String>) -> Self {
        Self { exit: Exit::Damaged, code: "corruption", message: message.into(), advice: None }
    }

    /// The file is something else.
    pub fn not_a_database(path: &Path) -> Self {
        let message = format!("{} is not an LLMDB data file", path.display());
        Self { exit: Exit::NotADatabase, code: "not_a_database", message, advice: None }
    }

    /// A line or a file of an import that cannot be taken.
    pub fn bad_input(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, code: "bad_input", message: message.into(), advice: None }
    }

    /// Ctrl-C.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self { exit: Exit::Interrupted, code: "interrupted", message: message.into(), advice: None }
    }

    /// The system refused something to do with `path`.
    pub fn file(path: &Path, error: &io::Error) -> Self {
        let (exit, code) = of_io(error.kind());
        Self { exit, code, message: format!("{}: {error}", path.display()), advice: None }
    }

    /// The system refused something else.
    #[cfg(feature = "server")]
    pub fn io(what: impl fmt::Display, error: &io::Error) -> Self {
        let (exit, code) = of_io(error.kind());
        Self { exit, code, message: format!("{what}: {error}"), advice: None }
    }

    /// Adds what to do next.
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Says it on stderr and returns the exit code. Whoever closed our stdout has seen enough: that is no failure.
    pub fn report(&self, json: bool) -> Exit {
        if self.code == BROKEN_PIPE {
            return Exit::Done;
        }
        if json {
            let (code, message, advice) = (self.code, &self.message, &self.advice);
            let error = json!({ "code": code, "message": message, "advice": advice });
            eprintln!("{}", json!({ "error": error, "exit": self.exit as u8 }));
        } else {
            eprintln!("llmdb: {}", self.message);
            if let Some(advice) = &self.advice {
                eprintln!("llmdb: {advice}");
            }
        }
        self.exit
    }
}

/// What an error of the system means to the caller of the program.
fn of_io(kind: io::ErrorKind) -> (Exit, &'static str) {
    match kind {
        io::ErrorKind::NotFound => (Exit::Missing, "missing"),
        io::ErrorKind::StorageFull => (Exit::NoSpace, "no_space"),
        io::ErrorKind::BrokenPipe => (Exit::Done, BROKEN_PIPE),
        _ => (Exit::Io, "io"),
    }
}

const BROKEN_PIPE: &str = "broken_pipe";

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<llmdb::Error> for Failure {
    fn from(error: llmdb::Error) -> Self {
        let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<io::Error>());
        if error.kind() == ErrorKind::Io
            && source.is_some_and(|source| source.kind() == io::ErrorKind::NotFound)
        {
            let failure =
                Self { exit: Exit::Missing, code: "missing", message: error.to_string(), advice: None };
            return failure.advise("look whether the folder exists");
        }
        let exit = match error.kind() {
            ErrorKind::Corruption | ErrorKind::BrokenBackup => Exit::Damaged,
            ErrorKind::NotKept => Exit::NotKept,
            ErrorKind::NotADatabase | ErrorKind::NewerVersion => Exit::NotADatabase,
            ErrorKind::NoSpace => Exit::NoSpace,
            ErrorKind::Locked => Exit::Locked,
            ErrorKind::TooLong | ErrorKind::Misuse | ErrorKind::Refused => Exit::Usage,
            ErrorKind::Missing => Exit::Missing,
            ErrorKind::Cancelled => Exit::Interrupted,
            _ => Exit::Io,
        };
        let advice = match error.kind() {
            ErrorKind::Corruption => Some(
                "look with `llmdb check`, restore a backup, or save what can be read with `llmdb recover`"
                    .into(),
            ),
            _ => error.advice().map(Into::into),
        };
        Self { exit, code: error.code(), message: error.to_string(), advice }
    }
}

/// Of the memory: says what to write instead, where it can.
impl From<llmdb::memory::Error> for Failure {
    fn from(error: llmdb::memory::Error) -> Self {
        use llmdb::memory::Error;
        match error {
            Error::Field { field, what, mend } => Self::usage(format!("{field}: {what}")).advise(mend),
            Error::NotFound { what, mend } => {
                let failure = Self { exit: Exit::NotFound, code: "not_found", message: what, advice: None };
                failure.advise(mend)
            }
            other => llmdb::Error::from(other).into(),
        }
    }
}

/// Of stdout, stderr and streamed values; files are named with [`Failure::file`].
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let (exit, code) = of_io(error.kind());
        Self { exit, code, message: error.to_string(), advice: None }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}
