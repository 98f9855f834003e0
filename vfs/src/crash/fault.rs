//! Calls that fail on purpose.

use std::{io, path::Path};

use crate::disk::about;

/// Kinds of calls, for the observer and for planning failures. The order is that of their names in reports.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum OpKind {
    /// Opening a file, or making one.
    Open,
    /// Reading, from the page cache or from the media.
    Read,
    /// [`crate::File::write_at`].
    Write,
    /// [`crate::File::write_durable_at`], before any byte is on its way.
    WriteDurable,
    /// The same call, when its bytes are on their way: a crash here leaves any part of them.
    Arrival,
    /// [`crate::File::sync_data`].
    Sync,
    /// [`crate::File::allocate`].
    Allocate,
    /// [`crate::File::set_len`].
    SetLen,
    /// [`crate::Ring::submit`].
    Submit,
    /// [`crate::Ring::wait`], when a write completes.
    Completion,
    /// Removing a file or a folder.
    Remove,
    /// Renaming a file.
    Rename,
    /// Making a folder.
    CreateDir,
    /// [`crate::Vfs::sync_dir`].
    SyncDir,
    /// A call of a [`crate::SharedArea`]: taking a lock or giving it up, waiting, waking, or a step between stores.
    /// Writing its tail is a [`OpKind::Write`].
    Area,
    /// Asking for the names in a folder, or for one of them.
    List,
    /// Asking for the length of a file.
    Len,
    /// Making a ring or a mapping.
    Prepare,
}

impl OpKind {
    /// All kinds.
    pub const ALL: [Self; 18] = [
        Self::Open,
        Self::Read,
        Self::Write,
        Self::WriteDurable,
        Self::Arrival,
        Self::Sync,
        Self::Allocate,
        Self::SetLen,
        Self::Submit,
        Self::Completion,
        Self::Remove,
        Self::Rename,
        Self::CreateDir,
        Self::SyncDir,
        Self::Area,
        Self::List,
        Self::Len,
        Self::Prepare,
    ];
}

/// How a call fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The device reports an error (EIO). A failed sync has forced some sectors, marks all of them clean, and
    /// leaves what was written visible; the next sync succeeds. A failed direct write has written some sectors.
    Io,
    /// There is no space (ENOSPC). Nothing was changed.
    NoSpace,
    /// A signal came first (EINTR). Nothing was changed. Rings and direct writes try again by themselves.
    Interrupted,
    /// The kernel is short of what it needs for the call just now (EAGAIN). Nothing was changed. Rings try again by
    /// themselves.
    Again,
    /// A read or write handles a part of the bytes. Rings and direct writes go on by themselves. Other calls do not
    /// fail.
    Short,
    /// The process is killed; see [`crate::crash::CrashVfs::kill`]. A write may have been done in part.
    Killed,
    /// The disk says yes and does nothing: what a write brought, or what a sync was to force, never reaches the media,
    /// though it may stay visible in the page cache. Other calls do not fail.
    Lost,
    /// One block of 4 KiB of a read or write comes from, or goes to, another place of the same file, and nobody is
    /// told. Other calls do not fail.
    Misdirected,
}

impl Failure {
    /// The error that the caller sees; `None` if the call seems to have succeeded, in part or as a whole.
    pub fn error(self) -> Option<io::Error> {
        match self {
            Self::Io => Some(io::Error::other("planned device error")),
            Self::NoSpace => Some(io::ErrorKind::StorageFull.into()),
            Self::Interrupted => Some(io::ErrorKind::Interrupted.into()),
            Self::Killed => Some(io::Error::other("the process was killed")),
            Self::Again => Some(io::ErrorKind::WouldBlock.into()),
            Self::Short | Self::Lost | Self::Misdirected => None,
        }
    }

    /// The same, naming the file.
    pub(super) fn error_about(self, path: &Path) -> Option<io::Error> {
        // The folder of a path without one is the current folder.
        self.error().map(about(if path.as_os_str().is_empty() { Path::new(".") } else { path }))
    }
}

/// A failure to come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The kind of call that fails.
    pub kind: OpKind,
    /// How many calls of this kind succeed before, counted from when the fault is planned.
    pub after_count: u64,
    /// How many fail then.
    pub fail_count: u64,
    /// How they fail.
    pub failure: Failure,
}

/// The faults to come, and how many calls there were.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    planned: Vec<Fault>,
    counts: [u64; OpKind::ALL.len()],
    failed_count: u64,
}

impl Faults {
    pub(super) fn plan(&mut self, fault: Fault) {
        self.planned.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.planned.clear();
    }

    /// Counts a call and decides whether it fails.
    pub(super) fn next(&mut self, kind: OpKind) -> Option<Failure> {
        self.counts[kind as usize] += 1;
        let mut failure = None;
        for fault in self.planned.iter_mut().filter(|fault| fault.kind == kind) {
            if fault.after_count > 0 {
                fault.after_count -= 1;
            } else if fault.fail_count > 0 {
                fault.fail_count -= 1;
                failure = Some(fault.failure);
            }
        }
        if failure.is_some() {
            self.note();
        }
        failure
    }

    /// Counts a failure.
    pub(super) fn note(&mut self) {
        self.failed_count += 1;
    }

    pub(super) fn count(&self, kind: OpKind) -> u64 {
        self.counts[kind as usize]
    }

    pub(super) fn failed_count(&self) -> u64 {
        self.failed_count
    }
}
