//! How facts differ between two points in both times.

use std::cmp::Ordering;

use llmdb_temporal::Fact;
use serde::Serialize;

use super::{
    FACTS, FactKey, Facts, Point, ShownFact, ShownPoint, What, collection, cursor,
    document::check_collection, find, limits::RESULTS_DEFAULT, recall::check_results_max,
};
use crate::Result;

/// A question for differences.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiffQuery {
    /// Which facts.
    pub what: What,
    /// The first point.
    pub from: Point,
    /// The second point.
    pub to: Point,
    /// Most differences of the answer; at least 1, at most [`super::limits::RESULTS_MAX`].
    pub results_max: usize,
    /// Where an earlier answer to the same question ended.
    pub cursor: Option<String>,
}

impl Default for DiffQuery {
    fn default() -> Self {
        Self {
            what: What::All,
            from: Point::default(),
            to: Point::default(),
            results_max: RESULTS_DEFAULT,
            cursor: None,
        }
    }
}

/// The facts that differ, in the order of their keys.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Differences {
    /// The first point.
    pub from: ShownPoint,
    /// The second point.
    pub to: ShownPoint,
    /// How they differ.
    pub differences: Vec<Difference>,
    /// Where to go on; `None` if that is all.
    pub cursor: Option<String>,
}

/// What a difference is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DifferenceKind {
    /// It is only at the second point.
    Added,
    /// It is only at the first point.
    Removed,
    /// It says something else.
    Changed,
}

/// How a fact differs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Difference {
    /// The fact.
    pub key: FactKey,
    /// How.
    pub kind: DifferenceKind,
    /// At the first point.
    pub before: Option<ShownFact>,
    /// At the second point.
    pub after: Option<ShownFact>,
}

impl Facts<'_> {
    /// How facts differ between two points in both times. Facts that say the same at both are left out.
    ///
    /// Cost: what is meant, at both points.
    ///
    /// # Errors
    /// [`crate::Error::Field`]; [`crate::Error::Temporal`], [`crate::Error::Document`].
    pub fn diff(&self, query: &DiffQuery) -> Result<Differences> {
        query.what.check()?;
        check_results_max(query.results_max)?;
        let view = self.store.view()?;
        let place = query.cursor.as_deref().map(|text| cursor::read(text, 2)).transpose()?;
        let points =
            place.as_ref().map_or([query.from, query.to], |place| [place.points[0], place.points[1]]);
        let [from, to] = [points[0].resolve(&view)?, points[1].resolve(&view)?];
        let mut differences: Vec<Difference> = Vec::new();
        let mut next = None;
        if let Some(facts) = collection(&view, FACTS)? {
            check_collection(&facts)?;
            let after = place.as_ref().map(|place| &place.after);
            let side = |at| find::facts(&view, &facts, &query.what, &[], at, after);
            let (mut left, mut right) = (side(from.at)?.peekable(), side(to.at)?.peekable());
            while let Some((before, after)) = pair(&mut left, &mut right)? {
                if same(before.as_ref(), after.as_ref()) {
                    continue;
                }
                if let Some(last) = differences.last().filter(|_| differences.len() == query.results_max) {
                    next = Some(cursor::behind(&[&from, &to], &last.key));
                    break;
                }
                let show = |fact: Option<Fact<'_>>, point| {
                    fact.map(|fact| ShownFact::new(&facts, &fact, point)).transpose()
                };
                differences.extend(difference(show(before, &from)?, show(after, &to)?));
            }
        }
        Ok(Differences { from: from.shown(&view)?, to: to.shown(&view)?, differences, cursor: next })
    }
}

/// A fact at the first point, and at the second.
type Pair<'s> = (Option<Fact<'s>>, Option<Fact<'s>>);

/// The facts of the next key of two sequences in the order of keys.
fn pair<'s, I: Iterator<Item = Result<Fact<'s>>>>(
    left: &mut std::iter::Peekable<I>,
    right: &mut std::iter::Peekable<I>,
) -> Result<Option<Pair<'s>>> {
    let order = match (left.peek(), right.peek()) {
        (None, None) => return Ok(None),
        (Some(Ok(left)), Some(Ok(right))) => left.row.cmp(&right.row),
        (Some(_), None) | (Some(Err(_)), _) => Ordering::Less,
        (None, Some(_)) | (_, Some(Err(_))) => Ordering::Greater,
    };
    let before = if order.is_le() { left.next().transpose()? } else { None };
    let after = if order.is_ge() { right.next().transpose()? } else { None };
    Ok(Some((before, after)))
}

fn same(before: Option<&Fact<'_>>, after: Option<&Fact<'_>>) -> bool {
    matches!((before, after), (Some(before), Some(after)) if before.value == after.value)
}

fn difference(before: Option<ShownFact>, after: Option<ShownFact>) -> Option<Difference> {
    let kind = match (&before, &after) {
        (None, Some(_)) => DifferenceKind::Added,
        (Some(_), None) => DifferenceKind::Removed,
        _ => DifferenceKind::Changed,
    };
    let key = before.as_ref().or(after.as_ref())?.key.clone();
    Some(Difference { key, kind, before, after })
}
