//! Places in long answers: where the next page begins, and the points in time that all pages answer for.

use llmdb_temporal::{AsOf, Timestamp};

use super::{FactKey, Point, point::Resolved};
use crate::{Error, Result};

/// The place behind a fact.
pub(super) struct Cursor {
    pub points: Vec<Point>,
    pub after: FactKey,
}

/// A cursor behind `after`, for answers about `points`. As text: moments of valid and system time, and the key.
pub(super) fn behind(points: &[&Resolved], after: &FactKey) -> String {
    let moments = points.iter().flat_map(|point| [point.valid, point.known]);
    let mut text: String = moments.map(|moment| format!("{}.", moment.get())).collect();
    text.push_str(&after.to_string());
    text
}

/// Reads a cursor of an answer about `count` points.
pub(super) fn read(text: &str, count: usize) -> Result<Cursor> {
    parse(text, count).ok_or_else(|| {
        Error::field(
            "cursor",
            "it is not one that an answer gave",
            "give it as it was, with the same question",
        )
    })
}

fn parse(text: &str, count: usize) -> Option<Cursor> {
    let mut parts = text.splitn(2 * count + 1, '.');
    let mut moment = || parts.next()?.parse().ok().map(Timestamp::new);
    let mut points = Vec::with_capacity(count);
    for _ in 0..count {
        points.push(Point { valid: Some(moment()?), known: AsOf::Time(moment()?) });
    }
    Some(Cursor { points, after: parts.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arbitrary_text_is_a_cursor_or_refused() {
        for text in ["", ".", "..", "1.2", "1.2.", "1.2.alice", "x.2.a/b", "1.2.a/b\n"] {
            assert!(read(text, 1).is_err(), "{text:?}");
        }
        let cursor = read("-5.7.a/b.c", 1).unwrap();
        assert_eq!(
            (cursor.points[0].valid, cursor.after.to_string()),
            (Some(Timestamp::new(-5)), "a/b.c".into())
        );
        assert!(read("1.2.a/b", 2).is_err());
    }
}
