//! Times as people write them: UTC, in the Gregorian calendar.

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

/// The time, in microseconds since 1970, that a person wrote: `2026-02-28 13:45:10`, with or without a fraction, seconds,
/// minutes, a `T` in the middle or a `Z` at the end; or a number of microseconds. Always UTC.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<i64, String> {
    if let Ok(us) = text.parse() {
        return Ok(us);
    }
    written(text).ok_or_else(|| {
        format!("{text:?} is no time: write 2026-02-28T13:45:10Z, or microseconds since 1970; always UTC")
    })
}

fn written(text: &str) -> Option<i64> {
    let text = text.trim().trim_end_matches(['Z', 'z']).trim_end_matches(" UTC");
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, "0:0"));
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let known = (1..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let mut time = time.split(':');
    let (hour, minute) = (time.next()?.parse::<i64>().ok()?, time.next()?.parse::<i64>().ok()?);
    let second_us = time.next().map_or(Some(0), microseconds)?;
    let fits = (0..24).contains(&hour) && (0..60).contains(&minute) && time.next().is_none();
    if !known || !fits || date.next().is_some() {
        return None;
    }
    let us = days(year, month, day) * 86_400_000_000 + (hour * 60 + minute) * 60_000_000 + second_us;
    // The 31st of February is the 3rd of March to the sum, and nothing to a person.
    show(us).starts_with(&format!("{year}-{month:02}-{day:02}")).then_some(us).or((us == 0).then_some(0))
}

/// Seconds with at most six digits behind the point, as microseconds.
fn microseconds(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds = seconds.parse::<i64>().ok().filter(|seconds| (0..60).contains(seconds))?;
    let digits = fraction.len() <= 6 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = format!("{fraction:0<6}").parse::<i64>().ok().filter(|_| digits)?;
    Some(seconds * 1_000_000 + fraction)
}

/// Days from 1970 to a date: the inverse of what `show` does.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
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
        for wrong in [
            "",
            "yesterday",
            "2001-02-29",
            "2000-13-01",
            "2000-01-01T24:00",
            "2000-01-01T00:00:00.1234567",
            "2000-01-01-01",
        ] {
            assert!(super::parse(wrong).is_err(), "{wrong}");
        }
    }
}
