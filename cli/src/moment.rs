//! Times as people write them: UTC, in the Gregorian calendar.

use llmdb::{Timestamp, memory::when};

use crate::host;

/// A time in microseconds since 1970 as a date: civil from days, by era of 400 years.
pub fn show(us: i64) -> String {
    if us == 0 {
        return "never".into();
    }
    let (days, second) = (us.div_euclid(86_400_000_000), us.div_euclid(1_000_000).rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", second / 3_600, second / 60 % 60, second % 60)
}

/// The time, in microseconds since 1970, that a person wrote: any form that [`when::parse`] knows, or a number of
/// microseconds. UTC, unless an offset is written.
///
/// # Errors
/// What is wrong with it, and how to write it.
pub fn parse(text: &str) -> Result<i64, String> {
    // Four digits are a year.
    if let Some(us) = text.parse().ok().filter(|_| text.len() != 4) {
        return Ok(us);
    }
    let moment = when::parse(text, Timestamp::new(host::now_us()));
    moment.map(Timestamp::get).map_err(|error| format!("{error}; or microseconds since 1970"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates_are_right_at_the_edges() {
        assert_eq!(super::show(1), "1970-01-01 00:00:00 UTC");
        assert_eq!(super::show(951_782_400_000_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(super::show(1_709_251_199_000_000), "2024-02-29 23:59:59 UTC");
        assert_eq!(super::show(4_107_542_400_000_000), "2100-03-01 00:00:00 UTC");
    }

    #[test]
    fn what_is_shown_is_understood() {
        for us in [1_000_000, 951_782_400_000_000, 1_709_251_199_000_000, 4_107_542_400_000_000] {
            assert_eq!(super::parse(&super::show(us)), Ok(us));
        }
        assert_eq!(super::parse("1970-01-01"), Ok(0));
        assert_eq!(super::parse("2000-02-29T00:00:00.25Z"), Ok(951_782_400_250_000));
        assert_eq!(super::parse("2000-02-29 01:02"), Ok(951_786_120_000_000));
        assert_eq!(super::parse("951782400000000"), Ok(951_782_400_000_000));
        assert_eq!(super::parse("2000"), Ok(946_684_800_000_000));
        assert!(super::parse("yesterday").is_ok_and(|us| us < crate::host::now_us()));
        for wrong in
            ["", "soon", "03/04/2024", "2001-02-29", "2000-13-01", "2000-01-01T24:00", "2000-01-01-01"]
        {
            assert!(super::parse(wrong).is_err(), "{wrong}");
        }
    }
}
