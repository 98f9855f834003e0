//! How far a purge has come, as it is stored. See `docs/format/time.md`.

use llmdb_base::{Timestamp, codec};

use super::PurgeProgress;
use crate::{Collection, Result, Retention, catalog::damaged};

const JOB: u8 = b'p';

/// What a purge keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Keep {
    Since(Timestamp),
    Versions(u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Epochs,
    Rows,
    Notes,
    Done,
}

/// A purge that is not through, as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Job {
    pub keep: Keep,
    pub phase: Phase,
    pub progress: PurgeProgress,
    /// The last row that was looked at, or the first note that was not.
    pub cursor: Vec<u8>,
}

const KEEP: usize = 0;
const KEEP_WHAT: usize = KEEP + 1;
const PHASE: usize = KEEP_WHAT + 8;
const COUNTS: usize = PHASE + 1;
const CURSOR: usize = COUNTS + 4 * 8;

impl Job {
    /// A new one; `None` if there is nothing to do.
    pub fn of(keep: Retention, now: Timestamp, facts: &Collection<'_>) -> Option<Self> {
        let keep = match keep {
            Retention::All => return None,
            Retention::Versions(count) => Keep::Versions(count.max(1)),
            Retention::Span { us } => {
                let horizon = Timestamp::new(now.get().saturating_sub_unsigned(us));
                if horizon <= facts.kept.since {
                    return None;
                }
                Keep::Since(horizon)
            }
        };
        Some(Self { keep, phase: Phase::Epochs, progress: PurgeProgress::default(), cursor: Vec::new() })
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; CURSOR];
        let (kind, what) = match self.keep {
            Keep::Since(horizon) => (0, horizon.get().cast_unsigned()),
            Keep::Versions(count) => (1, u64::from(count)),
        };
        bytes[KEEP] = kind;
        codec::put_u64(&mut bytes, KEEP_WHAT, what);
        bytes[PHASE] = match self.phase {
            Phase::Epochs => 0,
            Phase::Rows => 1,
            Phase::Notes => 2,
            Phase::Done => 3,
        };
        let PurgeProgress { steps, epochs, rows, removed } = self.progress;
        for (index, count) in [steps, epochs, rows, removed].into_iter().enumerate() {
            codec::put_u64(&mut bytes, COUNTS + 8 * index, count);
        }
        bytes.extend_from_slice(&self.cursor);
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let wrong = || damaged("how far a purge has come".into());
        let (head, cursor) = bytes.split_at_checked(CURSOR).ok_or_else(wrong)?;
        let what = codec::get_u64(head, KEEP_WHAT);
        let count = |index: usize| codec::get_u64(head, COUNTS + 8 * index);
        Ok(Self {
            keep: match head[KEEP] {
                0 => Keep::Since(Timestamp::new(what.cast_signed())),
                1 => Keep::Versions(u32::try_from(what).map_err(|_| wrong())?),
                _ => return Err(wrong()),
            },
            phase: match head[PHASE] {
                0 => Phase::Epochs,
                1 => Phase::Rows,
                2 => Phase::Notes,
                _ => return Err(wrong()),
            },
            progress: PurgeProgress { steps: count(0), epochs: count(1), rows: count(2), removed: count(3) },
            cursor: cursor.to_vec(),
        })
    }
}

pub(crate) fn job_key(id: u32) -> Vec<u8> {
    [&[JOB][..], &id.to_be_bytes()].concat()
}
