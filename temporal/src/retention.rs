//! What a collection keeps, and questions about what it does not keep any more.
//!
//! A *horizon* is a moment H. What may be asked is what was so, and what was believed, at H or later: a point (valid,
//! system) of which both are H or later. For that, the record of a believed state goes if it ended by H in either time,
//! and nothing else has to stay. A collection has a horizon, and each row may have a later one.

use std::fmt;

use llmdb_base::{Timestamp, codec};
use llmdb_engine::{TreeMut, TreeRef};

use crate::{BEGINNING, Collection, Error, Result, RowKey, Rows, catalog::damaged};

/// What a collection keeps of its history. The present and the future it always keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Retention {
    /// All of it.
    #[default]
    All,
    /// Of each row the newest states, so many at least; what is believed now is one of them. Rows changed together more
    /// often than that keep what the last of these changes left. 0 means 1.
    Versions(u32),
    /// What was so, and what was believed, at the moments of the last so many microseconds.
    Span {
        /// How many.
        us: u64,
    },
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Versions(1) => f.write_str("1 version"),
            Self::Versions(count) => write!(f, "{count} versions"),
            Self::Span { us } if us % 86_400_000_000 == 0 => write!(f, "{} days", us / 86_400_000_000),
            Self::Span { us } => write!(f, "{} seconds", *us as f64 / 1e6),
        }
    }
}

const KEPT: u8 = b'k';
const ROW_KEPT: u8 = b'r';

/// From when on a collection can be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kept {
    /// Of all rows.
    pub since: Timestamp,
    /// The latest horizon of any row: from there on no row needs to be looked up.
    pub rows_since: Timestamp,
}

impl Kept {
    const ALL: Self = Self { since: BEGINNING, rows_since: BEGINNING };

    pub(crate) fn load(stored: Option<&[u8]>) -> Result<Self> {
        match stored {
            None => Ok(Self::ALL),
            Some(bytes) if bytes.len() == 16 => {
                let moment = |offset| Timestamp::new(codec::get_i64(bytes, offset));
                Ok(Self { since: moment(0), rows_since: moment(8) })
            }
            Some(_) => Err(damaged("the horizon of a collection".into())),
        }
    }

    pub(crate) fn store(self, meta: &mut TreeMut<'_, '_>, id: u32) -> Result<()> {
        let bytes = [self.since.get().to_le_bytes(), self.rows_since.get().to_le_bytes()].concat();
        meta.put(kept_key(id), bytes)?;
        Ok(())
    }
}

pub(crate) fn kept_key(id: u32) -> Vec<u8> {
    [&[KEPT][..], &id.to_be_bytes()].concat()
}

pub(crate) fn row_kept_key(id: u32, row: &[u8]) -> Vec<u8> {
    [&[ROW_KEPT][..], &id.to_be_bytes(), row].concat()
}

fn row_kept(meta: TreeRef<'_>, id: u32, row: &[u8]) -> Result<Timestamp> {
    meta.get(row_kept_key(id, row))?.map_or(Ok(BEGINNING), moment_of)
}

fn moment_of(bytes: &[u8]) -> Result<Timestamp> {
    match bytes.len() {
        8 => Ok(Timestamp::new(codec::get_i64(bytes, 0))),
        _ => Err(damaged("the horizon of a row".into())),
    }
}

impl Collection<'_> {
    /// From when on the collection can be asked, in both times; `None` if it keeps everything. Rows of which only so
    /// many versions are kept may have a later moment each, which the error of asking says.
    pub fn kept_since(&self) -> Option<Timestamp> {
        (self.kept.since > BEGINNING).then_some(self.kept.since)
    }

    /// Refuses questions about moments of a row that are not kept.
    pub(crate) fn check_row_kept_at(&self, row: &[u8], moment: Timestamp) -> Result<()> {
        self.check_kept(moment)?;
        if moment >= self.kept.rows_since { Ok(()) } else { self.check_row_kept(row, moment) }
    }

    /// The same for moments of any row.
    pub(crate) fn check_kept(&self, moment: Timestamp) -> Result<()> {
        if moment >= self.kept.since { Ok(()) } else { Err(self.not_kept(self.kept.since, None)) }
    }

    fn check_row_kept(&self, row: &[u8], moment: Timestamp) -> Result<()> {
        let since = self.row_kept_since(row)?;
        if moment >= since { Ok(()) } else { Err(self.not_kept(since, RowKey::decode(row))) }
    }

    /// From when on a row can be asked.
    pub(crate) fn row_kept_since(&self, row: &[u8]) -> Result<Timestamp> {
        if self.kept.rows_since == BEGINNING {
            return Ok(self.kept.since);
        }
        let meta = self.view.meta()?;
        let of_row = meta.map_or(Ok(BEGINNING), |meta| row_kept(meta, self.info.id, row))?;
        Ok(self.kept.since.max(of_row))
    }

    /// The same for a range. Cost: for moments before the latest horizon of any row, a look at all horizons in the range.
    pub(crate) fn check_rows_kept(&self, rows: &Rows, moment: Timestamp) -> Result<()> {
        self.check_kept(moment)?;
        if moment >= self.kept.rows_since {
            return Ok(());
        }
        let Some(meta) = self.view.meta()? else { return Ok(()) };
        let id = self.info.id;
        let from = row_kept_key(id, &rows.from);
        let to = match &rows.to {
            Some(to) => row_kept_key(id, to),
            None => row_kept_key(id.saturating_add(1), &[]),
        };
        for entry in meta.range(from..to)? {
            let (key, value) = entry?;
            let since = moment_of(value)?;
            if moment < since {
                return Err(self.not_kept(since, key.get(5..).and_then(RowKey::decode)));
            }
        }
        Ok(())
    }

    fn not_kept(&self, since: Timestamp, row: Option<RowKey>) -> Error {
        Error::NotKept { collection: self.info.name.clone(), row, since }
    }
}

/// Whether nobody may ask for a believed record.
pub(crate) fn is_past(record: &crate::record::Record<'_>, horizon: Timestamp) -> bool {
    record.valid.to <= horizon || record.system.to <= horizon
}
