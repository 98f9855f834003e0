//! The write-ahead log: records of any length as bytes in segment files, group commit, replay.
//!
//! Knows files, LSNs, checksums, and which bytes are on the media. Does not know pages, trees, time, or what
//! a record means.
//!
//! ```text
//!  RecordWriter::append ---> open batch ---> sealed batches ---> writes under way ---> media
//!        (tail.rs)         one, in memory        (tail.rs)          (flight.rs)
//!                                 ^
//!  Log::sync_to: one committer leads, seals, writes and waits for all (commit_queue.rs)
//! ```
//!
//! The stored bytes are described in `docs/format/log.md`, the reasons in
//! `docs/adr/0004-logical-log-and-group-commit.md`.
#![forbid(unsafe_code)]

mod archive;
mod batch;
mod commit_queue;
mod error;
mod flight;
mod folder;
mod fragment;
mod hand_over;
mod keep;
mod log;
mod options;
mod replay;
mod room;
mod segment;
mod stats;
mod sync;
mod tail;
mod writer;

pub use archive::{Added, Archive, ArchiveSpan};
pub use error::{LogError, LogResult};
pub use hand_over::LogPosition;
pub use keep::SegmentInfo;
pub use log::Log;
pub use options::{LogOptions, TailPolicy};
pub use replay::{LogFolders, LogReader, LogRecord, LogRecordReader, RecordReader, Replay};
pub use stats::LogStats;
pub use writer::RecordWriter;
