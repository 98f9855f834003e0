//! Times as people write them, and back. Everything is in UTC, unless an offset is written.
//!
//! A text that could mean two times is refused with both ways to write it: a fact with a wrong date is worse than a
//! second try.

mod calendar;

use std::fmt;

use jiff::{Span, civil, tz::Offset};
use llmdb_temporal::Timestamp;

use crate::Error;

/// Why a text is no time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WhenError {
    /// What is wrong.
    pub what: String,
    /// How to write it.
    pub mend: String,
}

impl WhenError {
    fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what: what.into(), mend: mend.into() }
    }

    /// The same as an error of the field that held the text.
    pub fn of_field(self, field: &str) -> Error {
        Error::field(field, self.what, self.mend)
    }
}

impl fmt::Display for WhenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.mend)
    }
}

impl std::error::Error for WhenError {}

/// How times are written, for help texts.
pub const FORMS: &str = "2024-03-01, 2024-03-01T14:30:00Z, \"2024-03-01 14:30\", 2024-03, 2024, \"1 March 2024\", now, today, \
                         yesterday, tomorrow, \"3 days ago\", \"in 2 weeks\", \"last monday\", \"yesterday at 14:30\"";

/// The moment that `text` means, seen from `now`. Days, months and years stand for their first moment.
///
/// # Errors
/// [`WhenError`]: it is no time, or may mean several.
///
/// # Examples
/// ```
/// use llmdb_memory::when;
///
/// let now = when::parse("2024-05-15T12:00:00Z", Default::default())?;
/// let show = |text| when::parse(text, now).map(when::show);
/// assert_eq!(show("1 March 2024")?, "2024-03-01T00:00:00Z");
/// assert_eq!(show("3 days ago")?, "2024-05-12T12:00:00Z");
/// assert_eq!(show("last monday")?, "2024-05-13T00:00:00Z");
/// assert!(show("03/04/2024").unwrap_err().mend.contains("2024-03-04"));
/// # Ok::<(), when::WhenError>(())
/// ```
pub fn parse(text: &str, now: Timestamp) -> Result<Timestamp, WhenError> {
    let lower = text.trim().to_lowercase();
    let words: Vec<&str> = lower.split([' ', '\t', ',']).filter(|word| !word.is_empty()).collect();
    let reader = Reader { text: text.trim(), now };
    let moment = match words.as_slice() {
        [] => return Err(reader.unknown()),
        ["now"] => return Ok(now),
        [.., "ago"] => reader.span(&words[..words.len() - 1], Span::negate)?,
        ["in", rest @ ..] => reader.span(rest, |span| span)?,
        [word] if word.bytes().all(|byte| byte.is_ascii_digit()) => reader.digits(word)?,
        words => match reader.written(&lower) {
            Some(moment) => moment,
            None => reader.words(words)?,
        },
    };
    check_years(moment)
}

/// A moment in RFC 3339, in UTC; microseconds since 1970 if it lies outside the years that a calendar has.
pub fn show(moment: Timestamp) -> String {
    match jiff::Timestamp::from_microsecond(moment.get()) {
        Ok(moment) => moment.to_string(),
        Err(_) => moment.to_string(),
    }
}

/// The years that are written with four digits.
fn check_years(moment: jiff::Timestamp) -> Result<Timestamp, WhenError> {
    match i32::from(Offset::UTC.to_datetime(moment).year()) {
        1..=9999 => Ok(Timestamp::new(moment.as_microsecond())),
        year => {
            Err(WhenError::new(format!("the year {year} is out of range"), "write a year from 1 to 9999"))
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    now: Timestamp,
}

impl Reader<'_> {
    fn unknown(&self) -> WhenError {
        WhenError::new(format!("{:?} is no time", self.text), format!("write for instance {FORMS}"))
    }

    fn now(&self) -> Result<civil::DateTime, WhenError> {
        let now = jiff::Timestamp::from_microsecond(self.now.get());
        let now = now.map_err(|_| WhenError::new("the clock is out of range", "write a date"))?;
        Ok(Offset::UTC.to_datetime(now))
    }

    /// A time that lies a span away from now: "3 days", "a week", "2h 30m".
    fn span(&self, words: &[&str], direct: impl Fn(Span) -> Span) -> Result<jiff::Timestamp, WhenError> {
        let words = words.iter().map(|word| if matches!(*word, "a" | "an" | "one") { "1" } else { word });
        let text = words.collect::<Vec<_>>().join(" ");
        let span = text.strip_prefix('-').map_or_else(|| text.parse::<Span>().ok(), |_| None);
        let span = span.ok_or_else(|| self.unknown())?;
        let moment =
            self.now()?.checked_add(direct(span)).ok().and_then(|time| Offset::UTC.to_timestamp(time).ok());
        moment.ok_or_else(|| WhenError::new(format!("{:?} is too far away", self.text), "write a date"))
    }

    fn digits(&self, digits: &str) -> Result<jiff::Timestamp, WhenError> {
        let year = digits.parse().ok().filter(|_| digits.len() == 4);
        let start = year
            .and_then(|year| civil::Date::new(year, 1, 1).ok())
            .and_then(|date| at(date, civil::Time::MIN));
        start.ok_or_else(|| {
            WhenError::new(
                format!("{digits} is only a number"),
                "write a year with four digits, or 2024-03-01",
            )
        })
    }

    /// Dates and times in the way of RFC 3339, with or without an offset: without, in UTC.
    fn written(&self, lower: &str) -> Option<jiff::Timestamp> {
        let is_date = lower.as_bytes().first().is_some_and(u8::is_ascii_digit) && lower.contains('-');
        let text = lower.strip_suffix(" utc").unwrap_or(lower).replacen(" at ", " ", 1).to_uppercase();
        if !is_date || text.contains('[') {
            return None;
        }
        if let Some((year, month)) =
            text.split_once('-').filter(|(year, month)| year.len() == 4 && month.len() == 2)
        {
            return at(civil::Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()?, civil::Time::MIN);
        }
        let local = || text.parse::<civil::DateTime>().ok().and_then(|time| at(time.date(), time.time()));
        text.parse().ok().or_else(local)
    }

    /// A day in words, and perhaps a time of it.
    fn words(&self, words: &[&str]) -> Result<jiff::Timestamp, WhenError> {
        if let Some(error) = calendar::ambiguous(self.text, words) {
            return Err(error);
        }
        let (day, time) = match words {
            [day @ .., "at", time] => (day, Some(*time)),
            [day @ .., time] if time.contains(':') => (day, Some(*time)),
            day => (day, None),
        };
        let date = calendar::day(day, self.now()?.date()).ok_or_else(|| self.unknown())?;
        let time = match time {
            None => civil::Time::MIN,
            Some(time) => format!("{time:0>5}").parse().map_err(|_| {
                let what = format!("{time:?} is no time of day");
                WhenError::new(what, "write hours and minutes, up to 23:59, as in 14:30")
            })?,
        };
        at(date, time).ok_or_else(|| self.unknown())
    }
}

fn at(date: civil::Date, time: civil::Time) -> Option<jiff::Timestamp> {
    Offset::UTC.to_timestamp(date.to_datetime(time)).ok()
}

#[cfg(test)]
mod tests;
