//! Days in words.

use jiff::civil::{Date, Weekday};

use super::WhenError;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// The day that `words`, in lower case, mean on the day `today`.
pub(super) fn day(words: &[&str], today: Date) -> Option<Date> {
    match words {
        ["today"] => Some(today),
        ["yesterday"] => today.yesterday().ok(),
        ["tomorrow"] => today.tomorrow().ok(),
        ["last", day] => today.nth_weekday(-1, weekday(day)?).ok(),
        ["next", day] => today.nth_weekday(1, weekday(day)?).ok(),
        [first, "of", rest @ ..] => day(&[&[*first], rest].concat(), today),
        [name, year] if month(name).is_some() => Date::new(number(year, 4)?, month(name)?, 1).ok(),
        [number, name, year] if month(name).is_some() => dated(number, name, year),
        [name, number, year] => dated(number, name, year),
        _ => None,
    }
}

fn dated(day: &str, name: &str, year: &str) -> Option<Date> {
    let digits = day.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    let is_number = matches!(&day[digits.len()..], "" | "st" | "nd" | "rd" | "th");
    let day: i8 = digits.parse().ok().filter(|_| is_number)?;
    Date::new(number(year, 4)?, month(name)?, day).ok()
}

fn number(text: &str, digits: usize) -> Option<i16> {
    text.parse().ok().filter(|_| text.len() == digits)
}

/// A month by its name, or the first three letters of it or more.
fn month(word: &str) -> Option<i8> {
    let word = word.trim_end_matches('.');
    let index = MONTHS.iter().position(|name| word.len() >= 3 && name.starts_with(word))?;
    i8::try_from(index + 1).ok()
}

fn weekday(word: &str) -> Option<Weekday> {
    const DAYS: [(&str, Weekday); 7] = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    let found = DAYS.iter().find(|(name, _)| word.len() >= 3 && name.starts_with(word));
    found.map(|(_, day)| *day)
}

/// What people write and understand in several ways.
pub(super) fn ambiguous(text: &str, words: &[&str]) -> Option<WhenError> {
    let error = |mend: String| Some(WhenError::new(format!("{text:?} may mean several times"), mend));
    match words {
        [day] | ["this", day] if weekday(day).is_some() => {
            error(format!("write \"last {day}\", \"next {day}\" or a date"))
        }
        ["last" | "next" | "this", unit @ ("week" | "month" | "year" | "night" | "weekend")] => {
            error(format!("write a day of the {unit}, or \"7 days ago\", \"in 1 month\" and the like"))
        }
        [name, day] | [day, name] if month(name).is_some() && day.len() <= 4 && number(day, 4).is_none() => {
            error(format!("write the year too, as in \"{day} {name} 2024\""))
        }
        [date, ..] => slashes(date).and_then(error),
        [] => None,
    }
}

/// Both ways to read `3/4/2024`.
fn slashes(date: &str) -> Option<String> {
    let parts: Vec<&str> = date.split(['/', '.']).collect();
    let [a, b, c] = parts.as_slice() else { return None };
    if [a, b, c].iter().any(|part| part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    let (year, a, b) = if a.len() == 4 { (a, b, c) } else { (c, a, b) };
    let year = if year.len() == 2 { format!("20{year}") } else { (*year).to_owned() };
    Some(format!("write {year}-{a:0>2}-{b:0>2} or {year}-{b:0>2}-{a:0>2}: year, month, day"))
}
