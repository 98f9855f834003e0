//! Facts of agents: something said of a subject, for a time, by somebody. See `docs/format/facts.md`.
//!
//! Every call that writes is one transaction, and says what it did. Nothing is overwritten: what was believed before can
//! be asked for, and told by [`Facts::history`] and [`Facts::why`].

mod assert;
mod correct;
mod cursor;
mod diff;
mod document;
mod erase;
mod find;
mod follow;
mod forget;
mod history;
mod journal;
mod key;
pub mod limits;
mod pieces;
mod point;
mod recall;
mod remember;
mod shown;
mod text;
mod undo;
mod why;

pub use correct::{Corrected, CorrectedFact, Correction};
pub use diff::{DiffQuery, Difference, DifferenceKind, Differences};
pub use document::Document;
pub use erase::ErasedFact;
pub use find::What;
pub use follow::{FactsFollower, Followed};
pub use forget::{Forget, Forgotten, ForgottenFact};
pub use history::{FactHistory, HistoryQuery};
pub use journal::{By, Noted};
pub use key::{FactKey, NewKey};
pub use point::{Point, ShownPoint};
pub use recall::{Recall, Recalled};
pub use remember::{NewFact, Remembered, RememberedFact};
pub use shown::{Learned, Moment, ShownFact, ShownPeriod, ShownVersion, Txid};
pub use undo::{KeptFact, UndoneFacts};
pub use why::{Replacement, Why};

use llmdb_temporal::{Collection, Store, Timestamp, View};

use crate::{Error, Result};

/// The collection of facts.
pub const FACTS: &str = "facts";
/// The collection that says which facts ever had a tag.
pub const TAGS: &str = "facts_tags";
/// The collection that says what transactions did, where the facts do not say it.
pub const JOURNAL: &str = "facts_journal";

/// The facts of a memory.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'e> {
    store: Store<'e>,
}

impl<'e> Facts<'e> {
    pub(crate) const fn new(store: Store<'e>) -> Self {
        // What is written here tells the index and the tags by itself, at once for many facts.
        Self { store: store.followed(None) }
    }

    /// The present, by the clock of the store.
    ///
    /// # Errors
    /// [`Error::Temporal`].
    pub fn now(&self) -> Result<Timestamp> {
        Ok(self.store.view()?.now())
    }
}

/// A collection of `view`; `None` if nothing was ever put there.
fn collection<'v>(view: &'v View, name: &str) -> Result<Option<Collection<'v>>> {
    match view.collection(name) {
        Ok(collection) => Ok(Some(collection)),
        Err(llmdb_temporal::Error::NoCollection(_)) => Ok(None),
        Err(error) => Err(Error::Temporal(error)),
    }
}
