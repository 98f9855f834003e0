//! One document after the other: what becomes of each.

use std::sync::Arc;

use llmdb_temporal::{FOREVER, Kind, Period, Timestamp, Value, Version};
use serde_json::Value as Json;

use crate::{
    Catalog, Result, json,
    migration::{Definition, Matcher, Rewrite},
    schema::{Validator, say},
};
use llmdb_temporal::View;

/// A migration, ready to look at documents.
pub(crate) struct Pass {
    matcher: Option<Matcher>,
    up: Box<dyn Rewrite>,
    /// What every document has to fit afterwards.
    validator: Option<Arc<Validator>>,
    /// How to call it.
    schema: String,
}

/// What becomes of a document.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Outcome {
    /// It is not one of those that the migration is about.
    Other,
    /// It is, and stays as it is.
    Same,
    /// It becomes this text.
    Changed(String),
    /// It cannot be rewritten.
    Failed(String),
}

impl Pass {
    /// # Errors
    /// [`crate::Error::Definition`], [`crate::Error::NoSchema`].
    pub(crate) fn prepare(catalog: &Catalog<'_>, view: &View, definition: &Definition) -> Result<Self> {
        let refuse = crate::Error::Definition;
        let matcher = definition.predicate.as_ref().map(Matcher::compile).transpose().map_err(refuse)?;
        let up = definition.up.compile().map_err(refuse)?;
        let target = match definition.to_move() {
            Some(target) => Some((target.schema, target.to)),
            None => catalog.binding(view, &definition.collection)?.map(|bound| (bound.schema, bound.version)),
        };
        let (mut validator, mut schema) = (None, String::new());
        if let Some((name, version)) = target {
            let stored = catalog.need_schema(view, &name, Some(version))?;
            let compiled = catalog.keeper().validator(&name, version, stored.text.as_bytes());
            validator = Some(compiled.map_err(crate::Error::Schema)?);
            schema = format!("schema {name:?}, version {version}");
        }
        Ok(Self { matcher, up, validator, schema })
    }

    pub(crate) fn look_at(&self, value: Value<'_>) -> Outcome {
        if value.kind != Kind::Json {
            return match self.validator {
                Some(_) => Outcome::Failed(format!("it is {}, not JSON ({})", value.kind, self.schema)),
                None => Outcome::Other,
            };
        }
        self.try_look_at(value.payload).unwrap_or_else(Outcome::Failed)
    }

    fn try_look_at(&self, text: &[u8]) -> std::result::Result<Outcome, String> {
        let document = json::read(text)?;
        let matches = self.matcher.as_ref().map_or(Ok(true), |matcher| matcher.matches(&document));
        if !matches.map_err(|what| format!("where: {what}"))? {
            self.fits(&document, "it is not rewritten, and does not fit")?;
            return Ok(Outcome::Other);
        }
        let rewritten = self.up.rewrite(document.clone()).map_err(|what| format!("up: {what}"))?;
        self.fits(&rewritten, "rewritten, it does not fit")?;
        Ok(match rewritten == document {
            true => Outcome::Same,
            false => Outcome::Changed(rewritten.to_string()),
        })
    }

    fn fits(&self, document: &Json, else_say: &str) -> std::result::Result<(), String> {
        let violations =
            self.validator.as_ref().map_or_else(Vec::new, |validator| validator.violations(document));
        match violations.is_empty() {
            true => Ok(()),
            false => Err(format!("{else_say}: {} ({})", say(&violations), self.schema)),
        }
    }
}

/// Joins what one commit asserted of neighbouring periods: an assertion from the past on is kept in two pieces, and each
/// rewriting would cut it once more.
pub(crate) fn joined<'s>(versions: &[Version<'s>]) -> Vec<Version<'s>> {
    let mut joined: Vec<Version<'s>> = Vec::new();
    for version in versions {
        match joined.last_mut() {
            Some(last)
                if last.valid.to == version.valid.from
                    && last.value == version.value
                    && last.system.from == version.system.from =>
            {
                last.valid.to = version.valid.to;
            }
            _ => joined.push(*version),
        }
    }
    joined
}

/// A period for a report, in microseconds since 1970; without what has no bound.
pub(crate) fn bounds(period: Period) -> (Option<i64>, Option<i64>) {
    let bound = |moment: Timestamp, none: Timestamp| (moment != none).then_some(moment.get());
    (bound(period.from, llmdb_temporal::BEGINNING), bound(period.to, FOREVER))
}
