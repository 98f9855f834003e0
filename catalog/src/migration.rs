//! Migrations: what they are, and how they are stored. See `docs/adr/0016-migrations.md`.

mod control;
mod expression;
mod pass;
mod plan;
mod rewrite;
mod rollback;
mod run;

use llmdb_temporal::{Key, RowKey};
use serde::{Deserialize, Serialize};

pub use plan::{Failure, Plan, Sample};
pub use rewrite::{Fields, Predicate, Rewrite, Rewriting};
pub use run::Chunk;

pub(crate) use rewrite::Matcher;
pub(crate) use rollback::commits as rollback_commits;

/// What a migration does, as it is stored.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The collection whose documents are rewritten.
    pub collection: String,
    /// The schema that the collection has; without one, documents are rewritten under whatever schema there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The version of the schema that the collection has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u32>,
    /// The version that it gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
    /// Which documents are rewritten; all, if nothing is said.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub predicate: Option<Predicate>,
    /// How.
    pub up: Rewriting,
    /// The way back, for documents that were written in the new form meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<Rewriting>,
    /// What it is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The move of a collection from one version of its schema to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Move {
    /// The schema.
    pub schema: String,
    /// The version before.
    pub from: u32,
    /// The version after.
    pub to: u32,
}

impl Definition {
    /// Reads a definition, and checks it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, crate::Error> {
        let refuse = crate::Error::Definition;
        crate::json::read(text).map_err(refuse)?;
        let definition: Self = crate::keeper::parse(text).map_err(refuse)?;
        definition.check().map_err(refuse)?;
        Ok(definition)
    }

    /// Whether everything in it can be read, and fits together.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        match (&self.schema, self.from, self.to) {
            (None, None, None) => {}
            (Some(_), Some(from), Some(to)) if from < to => {}
            (Some(_), Some(_), Some(_)) => return Err("`to` has to be a later version than `from`".into()),
            _ => return Err("`schema`, `from` and `to` stand together, or not at all".into()),
        }
        if self.collection == crate::META {
            return Err(format!("{} is not rewritten", crate::META));
        }
        if let Some(predicate) = &self.predicate {
            Matcher::compile(predicate).map_err(|what| format!("where: {what}"))?;
        }
        self.up.compile().map_err(|what| format!("up: {what}"))?;
        if let Some(down) = &self.down {
            down.compile().map_err(|what| format!("down: {what}"))?;
        }
        Ok(())
    }

    /// Between which versions it moves the collection, if it does.
    pub fn to_move(&self) -> Option<Move> {
        let (schema, from, to) = (self.schema.clone()?, self.from?, self.to?);
        Some(Move { schema, from, to })
    }
}

/// How far a migration is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Stored, and not begun.
    #[default]
    Planned,
    /// Rewriting; goes on with each step.
    Running,
    /// Stopped by somebody; goes on when resumed.
    Paused,
    /// Stopped by a document that cannot be rewritten; goes on when resumed.
    Failed,
    /// Every document is rewritten.
    Done,
    /// Taking back; goes on with each step.
    RollingBack,
    /// Stopped by somebody while taking back.
    RollbackPaused,
    /// Stopped by a document that cannot be taken back.
    RollbackFailed,
    /// Everything is taken back.
    RolledBack,
    /// Withdrawn before it began.
    Cancelled,
}

impl State {
    /// Whether documents of both forms may be there.
    pub fn is_under_way(self) -> bool {
        !matches!(self, Self::Planned | Self::Done | Self::RolledBack | Self::Cancelled)
    }

    /// Its name, as it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Done => "done",
            Self::RollingBack => "rolling_back",
            Self::RollbackPaused => "rollback_paused",
            Self::RollbackFailed => "rollback_failed",
            Self::RolledBack => "rolled_back",
            Self::Cancelled => "cancelled",
        }
    }
}

/// How far a migration, or its rollback, is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Progress {
    /// Rows that it has looked at.
    pub rows: u64,
    /// Rows that there were, about, when it began.
    pub rows_in_all: u64,
    /// Documents of these rows: a row has one for each period of valid time.
    pub documents: u64,
    /// Documents that it changed.
    pub changed: u64,
    /// The row that it looked at last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// Why it stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl Progress {
    /// How much of it is done, from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a fraction to look at")]
    pub fn fraction(&self, state: State) -> f64 {
        match (state, self.rows_in_all) {
            (State::Done | State::RolledBack, _) => 1.0,
            (_, 0) => 0.0,
            (_, all) => (self.rows as f64 / all as f64).min(1.0),
        }
    }
}

/// A row, as it is stored in a document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    partition: u32,
    /// The key, in hexadecimal digits.
    key: String,
}

impl Cursor {
    pub(crate) fn of(row: &RowKey) -> Self {
        let key = row.key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { partition: row.partition, key }
    }

    pub(crate) fn row(&self) -> Option<RowKey> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let pairs = self.key.as_bytes().chunks(2);
        let bytes: Option<Vec<u8>> =
            pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect();
        Some(RowKey { partition: self.partition, key: Key::from_encoded(bytes?).ok()? })
    }
}

/// A migration as it is stored: what it does, and how far it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    /// What it does.
    pub definition: Definition,
    /// How far it is.
    #[serde(default)]
    pub state: State,
    /// The commit that began it, in microseconds since 1970: what is older has the old form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_us: Option<i64>,
    /// The commit that began to take it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back_us: Option<i64>,
    /// How far it is.
    #[serde(default)]
    pub progress: Progress,
}

/// A migration.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Migration {
    /// Its name.
    pub id: String,
    /// What is stored of it.
    #[serde(flatten)]
    pub stored: Stored,
    /// How much of it is done, from 0 to 1.
    pub fraction: f64,
}

impl Migration {
    pub(crate) fn new(id: &str, stored: Stored) -> Self {
        let fraction = stored.progress.fraction(stored.state);
        Self { id: id.into(), stored, fraction }
    }
}
