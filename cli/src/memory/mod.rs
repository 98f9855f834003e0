//! What agents remember, by hand: facts for a time, and what was known of them when.

pub mod correct;
pub mod diff;
pub mod forget;
pub mod history;
pub mod recall;
pub mod remember;
mod said;
mod show;
pub mod travel;
pub mod undo;
pub mod why;

use clap::Args;
use llmdb::{
    Timestamp, TxnId,
    memory::{
        Facts,
        facts::{By, Point, What},
        when,
    },
    temporal::AsOf,
};

use crate::failure::Failure;

/// Who says it, and why.
#[derive(Debug, Args)]
pub struct ByArgs {
    /// Who does this: a person or an agent
    #[arg(long, env = "LLMDB_AGENT", value_name = "NAME")]
    pub by: Option<String>,
    /// Why, for those who ask later
    #[arg(long, value_name = "TEXT")]
    pub because: Option<String>,
}

impl ByArgs {
    pub fn by(&self) -> By {
        By { agent: self.by.clone(), reason: self.because.clone() }
    }
}

/// The point in both times that is asked about.
#[derive(Debug, Args)]
pub struct PointArgs {
    /// What held at this time, by what is known now
    #[arg(long, value_name = "TIME")]
    pub as_of_valid: Option<String>,
    /// By what was known at this time, or after this transaction (tx42)
    #[arg(long, value_name = "TIME")]
    pub as_of_known: Option<String>,
    /// Both at once: what held at this time, by what was known then
    #[arg(long, value_name = "TIME", conflicts_with_all = ["as_of_valid", "as_of_known"])]
    pub at: Option<String>,
}

impl PointArgs {
    /// The point, seen from `now`.
    pub fn point(&self, now: Timestamp) -> Result<Point, Failure> {
        if let Some(at) = &self.at {
            return both("--at", at, now);
        }
        let valid = time("--as-of-valid", self.as_of_valid.as_deref(), now)?;
        let known = self.as_of_known.as_deref().map(|text| known("--as-of-known", text, now)).transpose()?;
        Ok(Point { valid, known: known.unwrap_or_default() })
    }
}

/// The point in both times that `text` means: a time, or what was known of the present after a transaction.
pub fn both(argument: &str, text: &str, now: Timestamp) -> Result<Point, Failure> {
    match known(argument, text, now)? {
        AsOf::Time(moment) => Ok(Point::both(moment)),
        as_of => Ok(Point { valid: None, known: as_of }),
    }
}

/// A time, or the number of a transaction.
pub fn known(argument: &str, text: &str, now: Timestamp) -> Result<AsOf, Failure> {
    match txid(text) {
        Some(txid) => Ok(AsOf::Transaction(txid)),
        None => Ok(AsOf::Time(moment(argument, text, now)?)),
    }
}

/// The number of a transaction, as it is shown: `tx42`.
pub fn txid(text: &str) -> Option<TxnId> {
    text.strip_prefix("tx")?.parse().ok().map(TxnId::new)
}

/// A time that may be left out.
pub fn time(argument: &str, text: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
    text.map(|text| moment(argument, text, now)).transpose()
}

fn moment(argument: &str, text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    when::parse(text, now)
        .map_err(|error| Failure::usage(format!("{argument}: {}", error.what)).advise(error.mend))
}

/// Which facts the argument `text` means; all of them if there is none.
pub fn what(text: Option<&str>) -> Result<What, Failure> {
    Ok(text.map_or(Ok(What::All), What::parse)?)
}

/// The clock of the store.
pub fn now(facts: &Facts<'_>) -> Result<Timestamp, Failure> {
    Ok(facts.now()?)
}
