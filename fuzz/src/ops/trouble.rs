//! Calls of the disk that fail, and a disk that is full.

use arbitrary::Arbitrary;
use llmdb_engine::{Error, ErrorKind};
use llmdb_vfs::crash::{CrashVfs, Failure, Fault, OpKind};

/// Something that goes wrong from now on.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Trouble {
    /// Later calls of one kind fail, in one of the ways that such a call can.
    Failing { kind: u8, way: u8, after: u8, more: u8 },
    /// The disk has room for so many pages more.
    Full { pages: u8 },
}

impl Trouble {
    pub fn begin(self, disk: &CrashVfs) {
        match self {
            Self::Failing { kind, way, after, more } => {
                let kind = *pick(&OpKind::ALL, kind);
                let failure = *pick(ways(kind), way);
                // Mostly the next few calls, now and then one in the middle of the calls to come; mostly one.
                let after_count = u64::from(after % 64);
                let fail_count = if more < 192 { 1 } else { u64::from(more - 190) };
                disk.plan(Fault { kind, after_count, fail_count, failure });
            }
            Self::Full { pages } => disk.set_capacity(Some(disk.used_bytes() + u64::from(pages) * 4096)),
        }
    }
}

/// There is room again, and nothing fails any more.
pub fn end(disk: &CrashVfs) {
    disk.clear_faults();
    disk.set_capacity(None);
}

/// Whether an error says what a failing disk is, and nothing else.
pub fn is_clear(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::NoSpace | ErrorKind::Poisoned)
}

fn ways(kind: OpKind) -> &'static [Failure] {
    use Failure::{Interrupted, Io, NoSpace, Short};
    match kind {
        OpKind::Read => &[Io, Interrupted, Short],
        OpKind::Write => &[Io, NoSpace, Interrupted, Short],
        OpKind::Open | OpKind::Allocate | OpKind::Completion => &[Io, NoSpace],
        _ => &[Io],
    }
}

fn pick<T>(all: &[T], number: u8) -> &T {
    &all[usize::from(number) % all.len()]
}
